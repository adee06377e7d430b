"""benchmarks/gpu_train.py on a CPU: its arithmetic, and that all of it runs on a tiny model."""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import conversations, make_tokenizer, preferences, write_jsonl

REPO = Path(__file__).resolve().parent.parent.parent
BENCHMARKS = REPO / "benchmarks"


@pytest.fixture
def gpu_train(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu_train

    return gpu_train


@pytest.mark.parametrize("shape", ["3b", "tiny"])
def test_model_flops_are_those_of_the_matrices_of_a_real_model(gpu_train: Any, shape: str) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(**gpu_train.SHAPES[shape], tie_word_embeddings=True))
        frozen = sum(p.numel() for name, p in model.named_parameters() if p.ndim == 2)  # the head is the embedding
        modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
        peft = get_peft_model(model, LoraConfig(r=16, target_modules=modules))
    lora = sum(p.numel() for name, p in peft.named_parameters() if "lora_" in name)
    assert gpu_train.model_flops(gpu_train.SHAPES[shape], 16, "sft") == 4 * frozen + 6 * lora
    assert gpu_train.model_flops(gpu_train.SHAPES[shape], 16, "dpo") == 6 * frozen + 6 * lora


def test_the_example_in_its_docstring(gpu_train: Any) -> None:
    assert doctest.testmod(gpu_train, optionflags=doctest.ELLIPSIS) == (0, 1)


def line(side: str, case: str, useful: int, gib: float, **more: Any) -> dict[str, Any]:
    steps = {"seconds": [2.0, 1.0, 1.0], "places": [2 * useful] * 3, "useful": [useful] * 3}
    curves = {"losses": [1.5, 1.4, 1.3], "norms": [0.3, 0.2, 0.1], "memory": {"allocated": gib}}
    return {"side": side, "case": case, "kind": "sft", "rank": 16, "micro": 4, **steps, **curves, **more}


def test_figures_and_ratios(gpu_train: Any) -> None:
    """By hand: medians over the steps of all rounds, utilisation of useful tokens, ratios at one micro-batch."""
    lines = [
        line("statllama", "sft 4", 300, 4.0, notes=["out of memory"]),
        line("trl", "sft 4", 100, 10.0),
        line("trl", "sft 8", 150, 20.0),
        {"side": "trl", "case": "sft 1", "out_of_memory": True},
        line("statllama", "alone", 100, 1.0),
        line("statllama", "stack", 97, 1.0),
        line("statllama", "alone", 300, 1.0),
        line("statllama", "stack", 291, 1.0),
        {"side": "statllama", "case": "generation 8", "seconds": [4.0], "items": 16, "new_tokens": 64, "memory": None},
        {"side": "statllama", "case": "switch", "times_faster": 9.0},
        {"side": "trl", "load": {"seconds": 1.0, "memory": None}},
    ]
    flops = gpu_train.model_flops(gpu_train.SHAPES["3b"], 16, "sft")
    figures = gpu_train.summed_up(lines, "3b", 1000 * flops)
    mine = figures["rows"]["statllama: sft 4"]
    assert mine["useful_tokens_per_second"] == 300 and mine["tokens_per_second"] == 600
    assert mine["seconds_per_step"] == 1.0 and mine["first_loss"] == 1.5 and mine["gradient_norm"] == 0.2
    assert mine["model_flops_utilisation"] == pytest.approx(0.3) and mine["notes"] == ["out of memory"]
    assert figures["rows"]["trl: sft 1"] == {"out_of_memory": True}
    generation = figures["rows"]["statllama: generation 8"]
    assert generation["items_per_second"] == 4.0 and generation["new_tokens_per_second"] == 16.0
    assert figures["ratios"]["sft 4: statllama over trl"] == {"speed": 3.0, "memory": 0.4}
    assert figures["ratios"]["sft, each at its best: statllama over trl"] == {"speed": 2.0}
    assert figures["ratios"]["rank 16+64+8 over rank 8"]["speed"] == pytest.approx(0.97)
    assert figures["switch"][0]["times_faster"] == 9.0
    table = gpu_train.table(figures).splitlines()
    assert len(table) == 2 + 7 and len({row.count("|") for row in table}) == 1
    assert "| statllama: sft 4 | 600 | 300 | 30.0% | 4.00 | 4 | 1.5000 | 0.200 |" in table


@pytest.mark.slow
def test_everything_runs_on_a_tiny_model(tmp_path: Path) -> None:
    """Sides that a CPU can run, all parts but those about memory; --join gives the same figures again."""
    make_tokenizer().save_pretrained(tmp_path / "tokenizer")
    write_jsonl(tmp_path / "sft.jsonl", conversations(60))
    write_jsonl(tmp_path / "dpo.jsonl", preferences(40))
    solved = [{"question": f"what is {i} and 1", "answer": f"it is\n#### {i + 1}"} for i in range(20)]
    for split in ("test", "train"):
        write_jsonl(tmp_path / f"{split}.jsonl", solved[:8] if split == "test" else solved[8:])

    def call(*arguments: str | Path) -> str:
        line = [sys.executable, BENCHMARKS / "gpu_train.py", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(REPO)}
        found = subprocess.run([str(word) for word in line], capture_output=True, text=True, env=environment)
        assert found.returncode == 0, found.stderr[-3000:]
        return found.stdout

    given = ["--tokenizer", tmp_path / "tokenizer", "--sft", tmp_path / "sft.jsonl", "--dpo", tmp_path / "dpo.jsonl"]
    given += ["--gsm8k", tmp_path / "test.jsonl", tmp_path / "train.jsonl", "--base", tmp_path / "base", "--strict"]
    said = call("--shape", "tiny", *given, "--out", tmp_path / "lines.jsonl")
    body = json.loads(said[said.index("\n{") :])
    rows = body["rows"]
    assert {name.partition(":")[0] for name in rows} == {"statllama", "trl", "merged"}
    assert all("failed" not in row and "skipped" not in row for row in rows.values())
    for side in ("statllama", "trl"):
        assert rows[f"{side}: sft 2"]["tokens_per_second"] >= rows[f"{side}: sft 2"]["useful_tokens_per_second"] > 0
        assert rows[f"{side}: dpo 2"]["first_loss"] == pytest.approx(0.693, abs=0.02)
    assert rows["merged: generation 8"]["new_tokens_per_second"] > 0
    assert rows["statllama: profile"]["profile"]["calls"]
    assert body["ratios"]["rank 16+64+8 over rank 8"]["speed"] > 0 and body["switch"][0]["times_faster"] > 0
    again = call("--join", tmp_path / "lines.jsonl")
    assert json.loads(again[again.index("\n{") :])["rows"] == rows
