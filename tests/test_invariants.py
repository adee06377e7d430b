"""What must hold in every run: reference, frozen base, zero learning rate, batches, packing, tokens."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import statllama.model.base_model
import statllama.model.stack
from statllama.errors import DataError, ModelError, TrainingError
from statllama.recipe import load_recipe
from statllama.runs import runner
from statllama.runs.reporting import Reporter
from statllama.runs.signals import StopSignal
from statllama.stages import dpo
from statllama.store import Store
from statllama.train import training
from statllama.train.trainer import StageTrainer
from tests.conftest import TEMPLATE, conversations, stage, write_jsonl
from tests.reference import logits, merged, relative, some_ids
from tests.running import losses, run

torch.set_num_threads(1)
Write = Callable[..., Path]

PARENTS = [
    stage("cpt", "cpt", train={"steps": 3}),
    stage("sft", lora={"r": 6, "alpha": 5, "rslora": True, "target_modules": ["q_proj", "up_proj"]},
          train={"steps": 3}),
]  # fmt: skip
SCALES = {"cpt": 8 / 4, "sft": 5 / math.sqrt(6)}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One workspace for recipes with the same parents: they are trained once."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def base(base_folder: Path) -> Any:
    """The small base in float32, loaded by Transformers alone."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)


# ------------------------------------------------------------------ the reference of DPO


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"loss": "sigmoid"}, math.log(2)),
        ({"loss": "robust", "label_smoothing": 0.1}, math.log(2)),
        ({"loss": "ipo", "beta": 0.3}, 1 / (4 * 0.3**2)),
    ],
)
def test_dpo_starts_at_the_loss_of_equal_policies(
    fields: dict[str, Any], wanted: float, write_recipe: Write, shared: Path, base: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """On two parents of different rank; the reference gives the log-probabilities of the parents merged."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    check = dpo.check_reference

    def spy(trainer: Any, model: Any, inputs: Any, log_probs: Any) -> None:
        check(trainer, model, inputs, log_probs)
        got = log_probs()
        ids, keep = inputs["input_ids"], inputs["completion_mask"]
        results = {n: p for n, p in runner_results.items() if n in SCALES}
        parents = merged(base, [(path, SCALES[name]) for name, path in results.items()])
        with torch.no_grad():
            output = parents(input_ids=ids, attention_mask=inputs["attention_mask"]).logits
        picked = output[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
        seen.append((got, (picked * keep[:, 1:]).sum(1)))

    monkeypatch.setattr(dpo, "check_reference", spy)
    path = write_recipe(PARENTS)
    runner_results = run(path, shared)
    path = write_recipe([*PARENTS, stage("dpo", "dpo", train={"steps": 2, "learning_rate": 1e-3}, **fields)])
    found = losses(run(path, shared)["dpo"])
    assert found[0] == pytest.approx(wanted, rel=1e-6)
    assert abs(found[1] - wanted) > 1e-6  # and it trains
    got, truth = (torch.cat(parts) for parts in zip(*seen, strict=True))  # it is checked row by row
    assert relative(got, truth) < 1e-5


def test_the_parents_matter_to_the_reference(write_recipe: Write, shared: Path, base: Any) -> None:
    """What the test above can tell: the parents change the logits, so the bare base would be wrong."""
    results = run(write_recipe(PARENTS), shared)
    ids = some_ids(base.config.vocab_size)
    stacked = merged(base, [(path, SCALES[name]) for name, path in results.items()])
    assert relative(logits(stacked, ids), logits(base, ids)) > 1e-2


def test_a_wrong_reference_stops_the_run(write_recipe: Write, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRL's own reference, without the parents, is found out before the first step."""
    monkeypatch.setattr(statllama.model.stack, "refer_to_parents", lambda model: None)
    path = write_recipe([*PARENTS, stage("dpo", "dpo")])
    with pytest.raises(TrainingError, match="the reference is not the parent stack"):
        run(path, shared, "stages.dpo.train.seed=1")
    monkeypatch.setattr(dpo, "check_reference", lambda *a: None)
    with pytest.raises(TrainingError, match=r"the first sigmoid loss is .* and must be 0\.693147"):
        run(path, shared, "stages.dpo.train.seed=1")
    assert not any((shared / "results").glob("*/dpo"))


# ------------------------------------------------------------------ the base


def _digest(model: Any) -> str:
    """SHA-256 of every weight's and buffer's bytes."""
    total = hashlib.sha256()
    for name, tensor in sorted((*model.named_parameters(), *model.named_buffers())):
        total.update(name.encode())
        total.update(tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_the_base_is_bit_identical_after_every_stage(
    quantization: str, write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[tuple[Any, str]] = []
    after: list[str] = []
    load, train = statllama.model.base_model.load_base, training.run

    def loading(*args: Any) -> Any:
        base = load(*args)
        loaded.append((base.model, _digest(base.model)))
        return base

    def training_(*args: Any) -> Any:
        outcome = train(*args)
        after.append(_digest(loaded[0][0]))
        return outcome

    monkeypatch.setattr(statllama.model.base_model, "load_base", loading)
    monkeypatch.setattr(training, "run", training_)
    stages = [stage("cpt", "cpt"), stage("sft", lora={"dropout": 0.1}), stage("dpo", "dpo")]
    for one in stages:
        one["train"] |= {"steps": 2, "weight_decay": 0.1, "gradient_checkpointing": True}
    path = write_recipe(stages)
    run(path, tmp_path / "w", f"base.quantization={quantization}")
    assert len(loaded) == 1, "the base is loaded once for all stages"
    assert after == [loaded[0][1]] * 3


def test_a_changed_base_is_noticed_and_nothing_is_published(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = StageTrainer.training_step

    def spoil(self: Any, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        with torch.no_grad():
            model.get_input_embeddings().weight[0, 0] += 1e-3
        return step(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(StageTrainer, "training_step", spoil)
    with pytest.raises(ModelError, match="the frozen base changed"):
        run(write_recipe([stage("sft", train={"steps": 1})]), tmp_path / "w")
    assert not list((tmp_path / "w").glob("results/*"))


# ------------------------------------------------------------------ a zero learning rate


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_a_learning_rate_of_zero_changes_no_logit(kind: str, write_recipe: Write, shared: Path, base: Any) -> None:
    found = {}
    for rate in (0.0, 1e-2):
        train = {"steps": 3, "learning_rate": rate, "weight_decay": 0.1}
        results = run(write_recipe([*PARENTS, stage("last", kind, train=train)]), shared)
        found[rate] = results["last"]
    updates = load_file(found[0.0] / "adapter_model.safetensors")
    assert all(not t.any() for n, t in updates.items() if "lora_B" in n)
    recipe = load_recipe(write_recipe([*PARENTS, stage("last", kind)]))
    session = runner.Session(recipe, Store(shared), Reporter(), StopSignal())
    loaded = session.loaded.base("float32")
    ids = some_ids(loaded.model.config.vocab_size)
    below = [path.name for name, path in results.items() if name != "last"]
    stacks = [below, [*below, found[0.0].name], [*below, found[1e-2].name]]
    outputs = []
    for keys in stacks:
        with statllama.model.base_model.scoring(loaded, session.loaded.adapters([(key, 1.0) for key in keys])) as model:
            outputs.append(logits(model, ids))
    assert relative(outputs[1], outputs[0]) < 1e-6
    assert relative(outputs[2], outputs[0]) > 1e-3


# ------------------------------------------------------------------ batches


BATCH = {"steps": 4, "batch_size": 8, "learning_rate": 3e-3, "max_grad_norm": 0.5, "adam_epsilon": 1e-4}


@pytest.mark.parametrize(
    ("kind", "extra"),
    [("sft", {}), ("sft", {"packing": True, "max_length": 128}), ("cpt", {"packing": True}), ("dpo", {})],
)
def test_accumulation_does_not_change_training(
    kind: str, extra: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    """One row a pass, or all in one: the loss curve and the adapter."""
    path = write_recipe([stage("one", kind, train=BATCH | extra)])
    write_jsonl(tmp_path / "sft.jsonl", conversations(96))
    curves, adapters = [], []
    for micro in (8192, 1):
        result = run(path, tmp_path / f"w{micro}", f"stages.one.train.micro_tokens={micro}")["one"]
        curves.append(losses(result))
        adapters.append(load_file(result / "adapter_model.safetensors"))
    assert len(curves[0]) == 4
    assert len(set(curves[0])) == 4
    for curve, adapter in zip(curves[1:], adapters[1:], strict=True):
        assert curve == pytest.approx(curves[0], abs=1e-5)
        for name, tensor in adapters[0].items():
            assert relative(adapter[name], tensor) < 2e-4 if "lora_B" in name else 2e-5, name


@pytest.mark.parametrize("kind", ["sft", "cpt"])
def test_packing_does_not_change_the_loss(kind: str, write_recipe: Write, tmp_path: Path) -> None:
    """One step over all rows, packed and not: the same loss, gradient norm and update."""
    write_jsonl(tmp_path / "sft.jsonl", conversations(24))
    path = write_recipe([stage(
        "one", kind, train={"steps": 1, "learning_rate": 1e-3, "max_length": 150, "adam_epsilon": 1.0}
    )])  # fmt: skip
    recipe = load_recipe(path)
    (tmp_path / "w").mkdir()
    sizes, found, updates = [], [], []
    for packing in (False, True):
        session = runner.Session(recipe, Store(tmp_path / "w"), Reporter(), StopSignal())
        train = recipe.stages[0].train.model_copy(update={"packing": packing})
        rows = len(session.prepare(recipe.stages[0].model_copy(update={"train": train})).dataset)
        sizes.append(rows)
        changes = {"batch_size": rows, "micro_tokens": 100_000, "packing": str(packing).lower()}
        overrides = [f"stages.one.train.{k}={v}" for k, v in changes.items()]
        result = run(path, tmp_path / "w", *overrides)["one"]
        found.append(losses(result)[0])
        updates.append(load_file(result / "adapter_model.safetensors"))
    assert sizes[1] < sizes[0]
    assert found[1] == pytest.approx(found[0], abs=1e-5)
    for name in updates[0]:
        assert relative(updates[1][name], updates[0][name]) < 1e-4, name


# ------------------------------------------------------------------ tokens


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every batch that a trainer trains on."""
    found: list[dict[str, Any]] = []
    step = StageTrainer.pass_step

    def spy(self: Any, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        found.append({k: v.clone() if torch.is_tensor(v) else v for k, v in inputs.items()})
        trained = {p.data_ptr() for n, p in model.named_parameters() if "lora_" in n and p.requires_grad}
        held = {p.data_ptr() for group in self.optimizer.param_groups for p in group["params"]}
        assert held == trained != set(), "the optimizer holds the new slice alone"
        return step(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(StageTrainer, "pass_step", spy)
    return found


def dialogues(count: int) -> list[dict[str, Any]]:
    """Conversations with a system turn and two assistant turns."""
    roles = ("system", "user", "assistant", "user", "assistant")
    texts = ("be brief", "mean of {} ?", "it is {}", "and the mode of {} ?", "the mode is {}")
    turns = list(zip(roles, texts, strict=True))
    return [{"messages": [{"role": r, "content": t.format(i)} for r, t in turns]} for i in range(count)]


@pytest.mark.parametrize("packing", [False, True])
def test_trained_tokens_are_the_templates_own(
    packing: bool, write_recipe: Write, tmp_path: Path, tokenizer: Any, batches: list[dict[str, Any]]
) -> None:
    """Every example of an epoch, as the tokenizer's template renders it; loss on answers and their ends."""
    rows = [*conversations(9), *dialogues(7)]
    data = [{"path": "mixed.jsonl", "format": "messages"}]
    write_jsonl(tmp_path / "mixed.jsonl", rows)
    train = {"steps": None, "epochs": 1, "max_length": 160, "packing": packing, "micro_tokens": 10_000}
    run(write_recipe([stage("one", data=data, train=train)]), tmp_path / "w")
    wanted = {}
    for row in rows:
        ids = tokenizer.apply_chat_template(row["messages"], tokenize=True, return_dict=False)
        answers = [m["content"] for m in row["messages"] if m["role"] == "assistant"]
        wanted[tuple(ids)] = "".join(f"{a}<|eot_id|>" for a in answers)
    seen = []
    for batch in batches:
        assert ("attention_mask" in batch) != packing
        assert ("position_ids" in batch) == packing
        for i, ids in enumerate(batch["input_ids"].tolist()):
            labels = batch["labels"][i].tolist()
            if packing:
                places = batch["position_ids"][i].tolist()
                starts = [k for k, p in enumerate(places) if p == 0]
            else:
                starts = [0]
            for start, stop in zip(starts, [*starts[1:], len(ids)], strict=True):
                real = [k for k in range(start, stop) if ids[k] != tokenizer.pad_token_id]
                if not real:
                    continue
                example = tuple(ids[k] for k in real)
                assert example.count(tokenizer.bos_token_id) == 1
                assert example[0] == tokenizer.bos_token_id
                learned = [ids[k] for k in range(start, stop) if labels[k] != -100]
                assert [x for x in labels[start:stop] if x != -100] == learned
                assert tokenizer.decode(learned) == wanted[example]
                seen.append(example)
    assert sorted(seen) == sorted(wanted)


def test_trained_pairs_are_the_templates_own(
    write_recipe: Write, tmp_path: Path, tokenizer: Any, batches: list[dict[str, Any]]
) -> None:
    import json

    run(write_recipe([stage("one", "dpo", train={"steps": 4})]), tmp_path / "w")
    wanted = {}
    for line in (tmp_path / "dpo.jsonl").read_text().splitlines():
        row = json.loads(line)
        for answer in (row["chosen"], row["rejected"]):
            turns = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": answer}]
            ids = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
            wanted[tuple(ids)] = (row["prompt"], answer, answer == row["chosen"])
    count = 0
    for batch in batches:
        half = len(batch["input_ids"]) // 2  # chosen first, then rejected
        found = []
        for i, ids in enumerate(batch["input_ids"].tolist()):
            real = batch["attention_mask"][i].bool()
            example = tuple(torch.tensor(ids)[real].tolist())
            prompt, answer, chosen = wanted[example]
            learned = torch.tensor(ids)[batch["completion_mask"][i].bool()]
            assert tokenizer.decode(learned) == f"{answer}<|eot_id|>"
            assert chosen == (i < half)
            found.append(prompt)
            count += 1
        assert found[:half] == found[half:]
    assert count == 4 * 4 * 2


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{- bos_token }}" + TEMPLATE, "it begins with two BOS"),
        (TEMPLATE.replace("+ '<|eot_id|>' }}", "+ ' ' }}"), "ends an assistant turn without a special token"),
    ],
)
def test_a_template_with_wrong_tokens_stops_the_run(
    template: str, message: str, write_recipe: Write, base_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "odd.jinja").write_text(template)
    base = {"model": str(base_folder), "quantization": "none", "chat_template": "odd.jinja"}
    with pytest.raises(DataError, match=message) as caught:
        run(write_recipe([stage("one")], base=base), tmp_path / "w")
    assert "base.chat_template" in str(caught.value)
    assert not list((tmp_path / "w").glob("results/*"))
