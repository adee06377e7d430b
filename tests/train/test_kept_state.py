"""A stage that is given more steps goes on from the state kept of its shorter run, and is the unbroken run bit for bit."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from statllama.config.train import TrainSpec
from statllama.errors import UsageError
from statllama.recipe import load_recipe
from statllama.runs.house.clearing import stock_of
from statllama.runs.plan import plan
from statllama.store import Store
from tests.conftest import stage, write_jsonl
from tests.conftest import conversations as rows_of
from tests.running import Recorder, Worker, adapter_bytes, losses, run
from tests.train.test_resume import StopAt

torch.set_num_threads(1)
Write = Callable[..., Path]
KEPT = {"schedule": "constant", "keep_state": True, "checkpoint_every": 50}


def manifest(result: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((result / "manifest.json").read_text())
    return found


def history(result: Path) -> list[dict[str, float]]:
    """The log of a stage, without the count of tokens, which TRL begins anew with every process."""
    entries = json.loads((result / "history.json").read_text())
    return [{name: value for name, value in entry.items() if name != "num_tokens"} for entry in entries]


def states(workspace: Path) -> dict[int, Path]:
    """{step: the state kept of it}"""
    return {entry.manifest["step"]: entry.path for entry in Store(workspace).entries("states")}


def extended(
    path: Path, tmp_path: Path, short: str, long: str, step: int, *overrides: str, last: str = "one"
) -> tuple[Path, Recorder]:
    """Run `short`, then `long` on the same workspace: it goes on from `step` and equals `long` alone. Its result."""
    whole = run(path, tmp_path / "whole", long, *overrides, f"stages.{last}.train.keep_state=false")[last]
    run(path, tmp_path / "w", short, *overrides)
    assert step in states(tmp_path / "w")
    reporter = Recorder()
    more = run(path, tmp_path / "w", long, *overrides, reporter=reporter)[last]
    taken = [event.step for event in reporter.steps if event.stage == last]
    assert taken == list(range(step + 1, len(losses(whole)) + 1))
    assert any(f"{last}: going on from step {step} of an earlier run of" in note for note in reporter.notes)
    assert manifest(more)["extended_from"] == {"step": step, "key": states(tmp_path / "w")[step].name}
    assert "extended_from" not in manifest(whole)
    assert more.name == whole.name, "the key says nothing of where it began"
    assert adapter_bytes(more) == adapter_bytes(whole)
    assert history(more) == history(whole)
    for figure in ("tokens", "loss", "first_loss", "steps", "adapter_step"):
        assert manifest(more)["metrics"][figure] == manifest(whole)["metrics"][figure]
    return more, reporter


# ------------------------------------------------------------------ the same bits

REPLAY = {"data": [{"path": "dpo.jsonl", "format": "preference"}], "share": 0.5, "weight": 0.5}
VARIANTS: dict[str, tuple[dict[str, Any], int, int]] = {
    "plain": ({}, 3, 6),
    "warm-up in steps": ({"train": {"warmup": 2}}, 3, 6),
    "dropout and replay, anchored to a target": (
        {
            "lora": {"dropout": 0.2},
            "replay": {"data": [{"path": "replayed.jsonl", "format": "messages"}], "share": 0.5},
            "anchor": {"on": "replay", "target": 0.01},
        },
        3,
        6,
    ),
    "noise on embeddings": ({"train": {"neftune_alpha": 5.0}}, 3, 5),
    "packed, across an epoch": ({"train": {"packing": True, "batch_size": 2}}, 5, 9),
    "EVA": ({"lora": {"init": "eva"}}, 2, 4),
    "two rates": ({"lora": {"plus_ratio": 16.0}}, 2, 4),
    "adafactor": ({"train": {"optimizer": "adafactor"}}, 3, 6),
    "schedule-free": ({"train": {"optimizer": "schedule_free_adamw", "warmup": 2}}, 3, 6),
    "kto": ({"kind": "kto"}, 2, 4),
    "capped": ({"drift": {"max": 50.0, "every": 2}}, 4, 6),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_constant_stage_goes_on_from_its_last_step(name: str, write_recipe: Write, tmp_path: Path) -> None:
    if name == "schedule-free":
        pytest.importorskip("schedulefree")
    fields, short, long = VARIANTS[name]
    fields = {**fields, "train": {**KEPT, **fields.get("train", {})}}
    write_jsonl(tmp_path / "replayed.jsonl", rows_of(60)[48:])
    path = write_recipe([stage("one", fields.pop("kind", "sft"), **fields)])
    extended(path, tmp_path, f"stages.one.train.steps={short}", f"stages.one.train.steps={long}", short)
