"""Small real things that tests train on: a random Llama, a byte-level tokenizer with a Llama-3-style template, data."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# The default run gives the same answer every time; a search for new cases is one variable away.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.register_profile("search", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

os.environ.setdefault("OMP_NUM_THREADS", "1")  # models are tiny: more threads only wait for each other
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

REPO = Path(__file__).resolve().parent.parent
SHARED = REPO.parent / "shared"

# `pytest -m quick`: files, or single tests of one, that notice most in a minute on one core. Others are not imported.
QUICK = frozenset(
    {
        "test_architecture.py",
        "test_recipe.py",
        "benchmarks/test_measuring.py",
        "cli/test_app.py",
        "config/test_inherit.py",
        "data/test_checks.py",
        "data/test_collate.py",
        "data/test_mixture.py",
        "data/test_packing.py",
        "data/test_tokenise.py",
        "evaluation/test_paired.py",
        "evaluation/test_scorecard.py",
        "model/test_stack.py",
        "release/test_adapter.py",
        "release/test_gguf.py",
        "runs/test_shipped_keys.py",
        "store/test_store.py",
        "train/test_parity.py::test_sft_is_a_plain_sft_trainer_on_the_merged_base[on two parents]",
    }
)

TEMPLATE = (
    "{{- bos_token }}"
    "{%- for m in messages %}"
    "{{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
SPECIAL = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|finetune_right_pad_id|>",
)
WORDS = [
    "mean",
    "median",
    "mode",
    "range",
    "sample",
    "population",
    "the",
    "a",
    "of",
    "is",
    "what",
    "define",
    "average",
    "middle",
    "value",
    "most",
    "common",
]


def make_tokenizer() -> Any:
    """Byte-level BPE of about 300 tokens with Llama-3's special tokens; adds BOS like Llama-3's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 20, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{SPECIAL[0]} $A", pair=f"{SPECIAL[0]} $A $B", special_tokens=[(SPECIAL[0], 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=SPECIAL[0],
        eos_token="<|eot_id|>",
        pad_token="<|finetune_right_pad_id|>",
        chat_template=TEMPLATE,
    )


SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 0,
    "eos_token_id": 4,
    "pad_token_id": 5,
    "initializer_range": 0.08,
    "tie_word_embeddings": True,
}
"""Of the random bases: 2 layers of width 64."""


def make_llama(vocabulary: int, seed: int = 0, **changes: Any) -> Any:
    """A random Llama of 2 layers and width 64, in float32. For other architectures see `small_models.py`."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**{"vocab_size": vocabulary, **SIZES, **changes}))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the other test files when only the quick ones are asked for: importing them takes as long."""
    if config.option.markexpr != "quick" or not collection_path.name.startswith("test_"):
        return None
    name = collection_path.relative_to(Path(__file__).parent).as_posix()
    return None if name in {entry.partition("::")[0] for entry in QUICK} else True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the quick tests, before those without the mark are left out."""
    for item in items:
        test = item.nodeid.removeprefix("tests/")
        wanted = test in QUICK or test.partition("::")[0] in QUICK
        if wanted and not (item.get_closest_marker("slow") or item.get_closest_marker("gpu")):
            item.add_marker("quick")


_seen_modules = 0


def pytest_runtest_setup() -> None:
    """Take libraries out of the garbage collector's sight once they are loaded.

    Every trainer collects garbage twice. Among the objects of torch and Transformers, none of which is any, that takes
    0.3 s each time: two thirds of a small run.
    """
    global _seen_modules
    if len(sys.modules) > _seen_modules + 50:
        _seen_modules = len(sys.modules)
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """The small tokenizer."""
    return make_tokenizer()


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved small base: safetensors and tokenizer."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = make_tokenizer()
    make_llama(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def _short_probe(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drift on 3 of the 48 probe texts: it is measured after every stage, and most tests are about something else."""
    from statllama.evaluation import probe

    whole = probe.probe_texts
    if request.module.__name__.rpartition(".")[2] != "test_drift":
        monkeypatch.setattr(probe, "probe_texts", lambda: whole()[::20])


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Write rows as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def conversations(count: int) -> list[dict[str, Any]]:
    """Rows in the `messages` format, all different."""
    rows = []
    for i in range(count):
        a, b = WORDS[i % len(WORDS)], WORDS[(i * 7 + 3) % len(WORDS)]
        rows.append(
            {
                "messages": [
                    {"role": "user", "content": f"define the {a} of {i}"},
                    {"role": "assistant", "content": f"the {b} value is {i * 3 % 17}"},
                ]
            }
        )
    return rows


def preferences(count: int) -> list[dict[str, Any]]:
    """Rows in the `preference` format, all different."""
    return [
        {
            "prompt": f"what is the mean of {i} and {i + 2}",
            "chosen": f"the mean is {i + 1}",
            "rejected": f"the mode {i}",
        }
        for i in range(count)
    ]


def judgements(count: int) -> list[dict[str, Any]]:
    """Rows in the `judged` format, all different: two good answers, then a bad one."""
    answers = ("rejected", "chosen", "chosen")
    return [
        {"prompt": row["prompt"], "completion": row[answers[i % 3]], "label": i % 3 > 0}
        for i, row in enumerate(preferences(count))
    ]


@pytest.fixture
def write_recipe(tmp_path: Path, base_folder: Path) -> Callable[..., Path]:
    """Writes a recipe of the given stages (YAML mappings) on the small base, with data files beside it."""
    import yaml

    write_jsonl(tmp_path / "sft.jsonl", conversations(48))
    write_jsonl(tmp_path / "dpo.jsonl", preferences(32))
    write_jsonl(tmp_path / "kto.jsonl", judgements(30))
    write_jsonl(tmp_path / "cpt.jsonl", [{"text": f"the mean of {i} is the average value. " * 4} for i in range(24)])

    def write(stages: list[dict[str, Any]], **fields: Any) -> Path:
        body = {"name": "tiny", "base": {"model": str(base_folder), "quantization": "none"}, "stages": stages, **fields}
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
        return path

    return write


def stage(name: str, kind: str = "sft", **fields: Any) -> dict[str, Any]:
    """A small stage: 6 steps of 4 rows at rank 4."""
    train = {"steps": 6, "batch_size": 4, "micro_tokens": 128, "max_length": 64, "learning_rate": 1e-2}
    train |= {"gradient_checkpointing": False, "checkpoint_every": 2, **fields.pop("train", {})}
    lora = {"r": 4, "alpha": 8, **fields.pop("lora", {})}
    formats = {"sft": "messages", "dpo": "preference", "kto": "judged", "grpo": "prompt_answer", "cpt": "text"}
    data = fields.pop("data", [{"path": f"{kind}.jsonl", "format": formats[kind]}])
    return {"name": name, "type": kind, "data": data, "lora": lora, "train": train, **fields}


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> Path:
    """A folder with a recipe of two stages that ran without benchmarks, and two benchmarks beside it."""
    import yaml

    from tests.benchmarks_for_tests import choice_task, reply_task
    from tests.running import run

    folder = tmp_path_factory.mktemp("trained")
    choice_task(folder / "eval", "letters", 12)
    reply_task(folder / "eval", "replies", 8)
    write_jsonl(folder / "sft.jsonl", conversations(8))
    base = {"model": str(base_folder), "quantization": "none"}
    stages = [stage("one", train={"steps": 2}), stage("two", train={"steps": 2})]
    (folder / "recipe.yaml").write_text(yaml.safe_dump({"name": "tiny", "base": base, "stages": stages}))
    run(folder / "recipe.yaml", folder / "w")
    return folder


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> tuple[Path, Any]:
    """A copy of it: the recipe and its workspace."""
    from statllama.store import Store

    folder = shutil.copytree(trained_once, tmp_path / "trained")
    return folder / "recipe.yaml", Store(folder / "w")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)
