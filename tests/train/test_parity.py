"""Loss curves against plain TRL + PEFT scripts, and every field of TRL's configs accounted for."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from statllama.config.stage import StageSpec
from statllama.model.stack import slice_seed
from statllama.runs import runner
from statllama.runs.reporting import Reporter
from statllama.runs.signals import StopSignal
from statllama.stages import cpt, dpo, kto, sft
from statllama.store import Store
from statllama.train import training
from statllama.train.job import Job
from tests.conftest import conversations, preferences, stage, write_jsonl
from tests.reference import merged, worst
from tests.running import losses, recipe_of, run
from tests.small_models import make_model

torch.set_num_threads(1)
Write = Callable[..., Path]

SEED = 1234
TRAIN = {
    "steps": 20, "batch_size": 4, "micro_tokens": 10**6, "learning_rate": 3e-3, "schedule": "cosine",
    "warmup": 0.1, "weight_decay": 0.05, "max_grad_norm": 0.7, "max_length": 96, "seed": SEED,
}  # fmt: skip
LORA = {"r": 5, "alpha": 12, "dropout": 0.1}
PARENTS = [
    stage("one", "cpt", train={"steps": 4}),
    stage("two", train={"steps": 4}, lora={"r": 3, "alpha": 4, "rslora": True, "target_modules": ["v_proj"]}),
]
SCALES = {"one": 8 / 4, "two": 4 / math.sqrt(3)}


def plain_arguments(folder: Path) -> dict[str, Any]:
    """What a person would write for `TRAIN`."""
    return {
        "output_dir": str(folder), "max_steps": 20, "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1, "learning_rate": 3e-3, "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1, "weight_decay": 0.05, "max_grad_norm": 0.7, "seed": SEED, "data_seed": SEED,
        "logging_steps": 1, "report_to": "none", "use_cpu": True, "bf16": False, "disable_tqdm": True,
        "save_strategy": "no", "gradient_checkpointing": False, "optim": "adamw_torch",
        "dataloader_pin_memory": False,
    }  # fmt: skip


def plain_lora() -> Any:
    from peft import LoraConfig

    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    return LoraConfig(r=5, lora_alpha=12, lora_dropout=0.1, target_modules=modules, task_type="CAUSAL_LM")


def load(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def curve(trainer: Any) -> list[float]:
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def plain_sft(model: Any, tokenizer: Any, rows: list[dict[str, Any]], folder: Path, depth: int) -> list[float]:
    """TRL's SFTTrainer on raw rows: its own template, masks, collator and PEFT model."""
    import trl
    from datasets import Dataset
    from transformers import set_seed

    set_seed(slice_seed(SEED, depth))
    config = trl.SFTConfig(**plain_arguments(folder), max_length=96)
    dataset = Dataset.from_list(rows)
    trainer = trl.SFTTrainer(
        model, args=config, train_dataset=dataset, processing_class=tokenizer, peft_config=plain_lora()
    )
    return curve(trainer)


def plain_dpo(model: Any, tokenizer: Any, rows: list[dict[str, Any]], folder: Path, depth: int) -> list[float]:
    """TRL's DPOTrainer on raw rows; its reference is the model with the adapter switched off."""
    import trl
    from datasets import Dataset
    from transformers import set_seed

    set_seed(slice_seed(SEED, depth))
    config = trl.DPOConfig(**plain_arguments(folder), max_length=96, beta=0.2, disable_dropout=False)
    dataset = Dataset.from_list(rows)
    trainer = trl.DPOTrainer(
        model, args=config, train_dataset=dataset, processing_class=tokenizer, peft_config=plain_lora()
    )
    return curve(trainer)


def turn(role: str, text: str) -> list[dict[str, str]]:
    """A conversation of one turn."""
    return [{"role": role, "content": text}]


def prompt_ids(tokenizer: Any, rows: list[dict[str, Any]]) -> list[list[int]]:
    """Token ids of each row's `prompt`, up to where the answer begins."""
    return [
        tokenizer.apply_chat_template(
            turn("user", row["prompt"]), tokenize=True, return_dict=False, add_generation_prompt=True
        )
        for row in rows
    ]


def order_of(path: Path, workspace: Path, column: str, rendered: list[list[int]]) -> list[int]:
    """In which order a stage trains on the rows that a tokenizer's own template renders to `rendered`."""
    recipe = recipe_of(path)
    session = runner.Session(recipe, Store(workspace), Reporter(), StopSignal())
    dataset = session.prepare(recipe.stages[-1]).dataset
    where = {tuple(ids): i for i, ids in enumerate(rendered)}
    order = [where[tuple(row)] for row in dataset[column]]
    assert sorted(order) == list(range(len(rendered)))
    return order


def conversational(row: dict[str, Any]) -> dict[str, Any]:
    """A conversation as TRL's prompt-completion columns."""
    return {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}


@pytest.mark.parametrize(
    ("kind", "parents", "train_on"),
    [
        ("llama", [], "responses"),
        ("llama", PARENTS, "responses"),
        ("mistral", PARENTS, "all"),  # computed as a Llama
        ("qwen2", PARENTS, "responses"),
        ("qwen3", PARENTS, "responses"),
    ],
    ids=["on the base", "on two parents", "mistral on two parents, all tokens", "qwen2", "qwen3"],
)
def test_sft_is_a_plain_sft_trainer_on_the_merged_base(
    kind: str, parents: list[dict[str, Any]], train_on: str, write_recipe: Write, base_folder: Path, tokenizer: Any,
    tmp_path: Path,
) -> None:  # fmt: skip
    rows = conversations(48)
    if kind != "llama":
        base_folder = tmp_path / kind
        make_model(kind).save_pretrained(base_folder)
        tokenizer.save_pretrained(base_folder)
    base = {"model": str(base_folder), "quantization": "none"}
    path = write_recipe([*parents, stage("last", lora=LORA, train=TRAIN, train_on=train_on)], base=base)
    results = run(path, tmp_path / "w")
    ids = [tokenizer.apply_chat_template(r["messages"], tokenize=True, return_dict=False) for r in rows]
    order = order_of(path, tmp_path / "w", "input_ids", ids)
    model = merged(load(base_folder), [(results[name], SCALES[name]) for name in results if name != "last"])
    data = [conversational(rows[i]) if train_on == "responses" else rows[i] for i in order]
    wanted = plain_sft(model, tokenizer, data, tmp_path / "plain", len(parents))
    got = losses(results["last"])
    assert len(got) == len(wanted) == 20
    assert worst(got, wanted) < 1e-4
    assert max(wanted) - min(wanted) > 0.3  # it learns, so that a wrong curve would show


@pytest.mark.parametrize("parents", [[], PARENTS], ids=["on the base", "on two parents"])
def test_dpo_is_a_plain_dpo_trainer_on_the_merged_base(
    parents: list[dict[str, Any]], write_recipe: Write, base_folder: Path, tokenizer: Any, tmp_path: Path
) -> None:
    rows = preferences(32)
    path = write_recipe([*parents, stage("last", "dpo", lora=LORA, train=TRAIN, beta=0.2)])
    results = run(path, tmp_path / "w")

    order = order_of(path, tmp_path / "w", "prompt_ids", prompt_ids(tokenizer, rows))
    answers = {k: [turn("assistant", r[k]) for r in rows] for k in ("chosen", "rejected")}
    data = [{"prompt": turn("user", rows[i]["prompt"]), **{k: v[i] for k, v in answers.items()}} for i in order]
    model = merged(load(base_folder), [(results[name], SCALES[name]) for name in results if name != "last"])
    wanted = plain_dpo(model, tokenizer, data, tmp_path / "plain", len(parents))
    got = losses(results["last"])
    assert len(got) == len(wanted) == 20
    assert worst(got, wanted) < 1e-4
    assert max(wanted) - min(wanted) > 0.1


# ------------------------------------------------------------------ every field of TRL's configs

# Fields that we leave at their default, by why they cannot change what is trained.
HARMLESS = {
    "how often and where is logged": (
        "log_on_each_node", "log_level", "log_level_replica", "include_num_input_tokens_seen",
        "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id", "skip_memory_metrics", "debug",
    ),
    "evaluation by the trainer, which is off": (
        "bf16_full_eval", "fp16_full_eval", "eval_steps", "eval_delay", "per_device_eval_batch_size",
        "prediction_loss_only", "eval_on_start", "eval_do_concat_batches", "eval_use_gather_object",
        "eval_accumulation_steps", "include_for_metrics", "batch_eval_metrics", "metric_for_best_model",
        "greater_is_better", "label_names", "do_eval", "do_predict",
    ),
    "uploading, which is off": (
        "hub_token", "hub_private_repo", "hub_model_id", "hub_strategy", "hub_always_push", "hub_revision",
    ),
    "several processes or machines: there is one": (
        "save_on_each_node", "ddp_find_unused_parameters", "ddp_bucket_cap_mb", "ddp_broadcast_buffers",
        "ddp_static_graph", "ddp_backend", "ddp_timeout", "fsdp", "fsdp_config", "deepspeed",
        "parallelism_config", "local_rank",
    ),
    "data loader workers: there are none": (
        "dataloader_persistent_workers", "dataloader_prefetch_factor", "dataloader_multiprocessing_context",
        "dataloader_in_order",
    ),
    "read only with torch_compile or use_liger_kernel, which are off": (
        "torch_compile_backend", "torch_compile_mode", "liger_kernel_config",
    ),
    "read only by TRL's own processing of raw rows: ours are tokenised": (
        "dataset_text_field", "dataset_num_proc", "packing_strategy",
    ),
    "read only when rows are grouped by length, which they are not": ("length_column_name",),
    "the model is loaded by us": ("model_init_kwargs",),
    "read by scripts, not by the trainer": ("do_train", "resume_from_checkpoint"),
    "checkpoints are ours": ("enable_jit_checkpoint", "restore_callback_states_from_checkpoint"),
    "constants of options that are off (alpha divergence, discopop, precomputed or synchronised reference)": (
        "precompute_ref_batch_size", "f_alpha_divergence_coef", "discopop_tau", "ref_model_mixup_alpha",
        "ref_model_sync_steps",
    ),
}  # fmt: skip


class _Stop(Exception):
    pass


def fields_set(config: str, module: Any, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The fields of a TRL config that a stage type sets."""
    import trl

    seen: dict[str, Any] = {}

    def record(**fields: Any) -> None:
        seen.update(fields)
        raise _Stop

    monkeypatch.setattr(trl, config, record)
    data = ({"path": "x.jsonl", "format": "text"},)
    spec: StageSpec = module.Spec(name="a", type=module.__name__.rpartition(".")[2], data=data)
    base = SimpleNamespace(dtype=torch.float32, backend="transformers", tokenizer=SimpleNamespace(pad_token_id=0))
    job = Job(spec, base, (), None, module.DATA_KIND, Path("nowhere"))  # type: ignore[arg-type]
    with pytest.raises(_Stop):
        module.make_trainer(job, None, training.arguments(job, False))
    return set(seen)


@pytest.mark.parametrize(
    ("config", "module"),
    [("SFTConfig", sft), ("SFTConfig", cpt), ("DPOConfig", dpo), ("KTOConfig", kto)],
    ids=lambda x: str(x)[:20],
)
def test_every_field_of_trls_config_is_accounted_for(config: str, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that a new TRL or Transformers adds makes this fail: set it, or say why it cannot matter."""
    import trl

    known = {f.name for f in dataclasses.fields(getattr(trl, config)) if f.init}
    ours = fields_set(config, module, monkeypatch)
    harmless = [name for names in HARMLESS.values() for name in names]
    assert len(harmless) == len(set(harmless))
    assert ours <= known
    assert not ours & set(harmless), "set by us and yet on the list"
    assert known - ours - set(harmless) == set(), "not accounted for"


def test_the_list_has_no_field_that_does_not_exist() -> None:
    import trl

    known = {f.name for c in (trl.SFTConfig, trl.DPOConfig) for f in dataclasses.fields(c)}
    assert {name for names in HARMLESS.values() for name in names} <= known


def test_written_rows_are_the_rows_of_the_parity_tests(write_recipe: Write, tmp_path: Path) -> None:
    """The plain scripts get the same rows as the recipe's files hold."""
    write_recipe([stage("one")])
    for file, rows in (("sft.jsonl", conversations(48)), ("dpo.jsonl", preferences(32))):
        assert [json.loads(x) for x in (tmp_path / file).read_text().splitlines()] == rows
    assert (
        write_jsonl(tmp_path / "again.jsonl", conversations(48)).read_bytes() == (tmp_path / "sft.jsonl").read_bytes()
    )
