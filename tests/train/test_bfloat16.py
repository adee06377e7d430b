"""Training and scoring in bfloat16 on a CPU: supported, and near float32."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import stage
from tests.running import Recorder, adapter_bytes, losses, run

Write = Callable[..., Path]
HALF = {"precision": "bfloat16"}


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "kind", [pytest.param("cpt", marks=SLOW), "sft", "dpo", pytest.param("kto", marks=SLOW), "grpo"]
)
def test_each_stage_type_trains_near_float32(kind: str, write_recipe: Write, tmp_path: Path) -> None:
    """On a parent; the new slice is float32, so that a small step is not rounded away."""
    more: dict[str, Any] = {}
    if kind == "grpo":
        more = {"rewards": [{"name": "length", "target": 4}], "generations": 8, "max_completion_length": 30}
        more["data"] = [{"path": "grpo.jsonl"}]
        rows = [{"prompt": f"Say {n}.", "answer": str(n)} for n in range(12)]
        (tmp_path / "grpo.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = {}
    for precision in ("float32", "bfloat16"):
        train = {"precision": precision, "steps": 4, "learning_rate": 1e-3, "batch_size": 8}
        path = write_recipe([stage("one", train=train), stage("two", kind, train=train, **more)])
        results = run(path, tmp_path / precision)
        found[precision] = losses(results["two"])
        weights = load_file(results["two"] / "adapter_model.safetensors")
        assert {w.dtype for w in weights.values()} == {torch.float32}
        assert any(bool(w.any()) for name, w in weights.items() if "lora_B" in name)
    if kind != "grpo":  # which samples other completions
        assert found["bfloat16"] == pytest.approx(found["float32"], rel=0.02)


def test_a_resumed_run_equals_an_unbroken_one(write_recipe: Write, tmp_path: Path) -> None:
    path = write_recipe([stage("one", train=HALF), stage("two", "dpo", train=HALF)])

    class Break(Recorder):
        def step(self, event: object) -> None:
            super().step(event)
            if (self.steps[-1].stage, self.steps[-1].step) == ("two", 3):
                raise ConnectionError

    with pytest.raises(ConnectionError):
        run(path, tmp_path / "broken", reporter=Break())
    assert adapter_bytes(run(path, tmp_path / "broken")["two"]) == adapter_bytes(run(path, tmp_path / "whole")["two"])
