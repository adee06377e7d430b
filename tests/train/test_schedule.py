"""What the first and the last steps of each schedule train at, and which activations are kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from pydantic import ValidationError
from safetensors.torch import load_file

from statllama.config.lora import LoraSpec
from statllama.config.train import TrainSpec
from statllama.model import stack
from statllama.model.shape import shape_of
from statllama.stages import stage_module
from statllama.train import activations
from statllama.train.activations import recomputes
from statllama.train.memory import Setting, saved
from tests.conftest import stage
from tests.running import Recorder, run
from tests.small_models import make_model

torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("schedule", "after"),
    [
        ("constant", lambda i, n: 1.0),
        ("linear", lambda i, n: (n - i + 1) / n),
        ("cosine", lambda i, n: (1 + math.cos(math.pi * (i - 1) / n)) / 2),
    ],
)
def test_rates_are_as_documented(
    schedule: str, after: Callable[[int, int], float], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """Two steps of warm-up, then four."""
    reporter = Recorder()
    path = write_recipe([stage("one", train={"schedule": schedule, "warmup": 0.25, "learning_rate": 0.01})])
    run(path, tmp_path / "w", reporter=reporter)
    wanted = [0.0, 0.5, *(after(i, 4) for i in range(1, 5))]
    assert [e.learning_rate for e in reporter.steps] == pytest.approx([0.01 * share for share in wanted])
    assert after(4, 4) == pytest.approx({"constant": 1, "linear": 1 / 4, "cosine": 2.5 / 4**2}[schedule], rel=0.1)


def test_the_first_step_of_a_warm_up_teaches_nothing(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    result = run(write_recipe([stage("one", train={"steps": 1, "warmup": 1})]), tmp_path / "w")["one"]
    tensors = load_file(result / "adapter_model.safetensors")
    assert all(not tensor.any() for name, tensor in tensors.items() if "lora_B" in name)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 6, "warmup": 7}, "`warmup` 7 is above `steps` 6"),
        ({"warmup": 2.5}, "`warmup` 2.5: from 1 it is a number of steps"),
        ({"gradient_checkpointing": "maybe"}, "should be true, false or auto; got 'maybe'"),
        ({"gradient_checkpointing": 1}, "should be true, false or auto; got 1"),
    ],
    ids=str,
)
def test_settings_that_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainSpec(**fields)


# ------------------------------------------------------------------ gradient checkpointing


def kept_bytes(model_type: str, layers: int, dtype: torch.dtype) -> float:
    """Bytes a token that a forward pass of a small model with LoRA really keeps for its backward pass."""
    model = make_model(model_type, num_hidden_layers=layers, hidden_size=128, intermediate_size=512).to(dtype)
    model.requires_grad_(False)
    peft = stack.attach(model, LoraSpec(r=8), (), seed=0)
    own = {t.untyped_storage().data_ptr() for t in [*peft.parameters(), *peft.buffers()]}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if (place := tensor.untyped_storage().data_ptr()) not in own:
            kept[place] = tensor
        return tensor

    ids = torch.randint(6, 60, (2, 128))
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), autocast:
        peft(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.sum().backward()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) / ids.numel()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("model_type", ["llama", "mistral", "qwen2", "qwen3"])
def test_the_estimate_is_what_a_pass_keeps(model_type: str, dtype: torch.dtype) -> None:
    """Two layers more, against autograd's own saved tensors."""
    measured = kept_bytes(model_type, 4, dtype) - kept_bytes(model_type, 2, dtype)
    shape = shape_of(make_model(model_type, hidden_size=128, intermediate_size=512).config.to_dict(), "base")
    setting = Setting(shape, width=dtype.itemsize, rank=8, recast=dtype is torch.bfloat16)
    assert 2 * saved(setting, 128) == pytest.approx(measured, rel=0.05)


def job_of(shape: dict[str, Any], notes: list[str], **train: Any) -> Any:
    """A stage about to train on an NF4 base of this shape, of which there is nothing but its config."""
    config = SimpleNamespace(to_dict=lambda: shape, name_or_path="base", get=shape.get)
    model = SimpleNamespace(config=config, is_loaded_in_4bit=True)
    body = {"name": "s", "type": "sft", "data": [{"path": "x"}], "train": {"max_length": 2048, **train}}
    rows = Dataset.from_dict({"input_ids": [[1] * 2048] * 64, "labels": [[1] * 2048] * 64})
    base = SimpleNamespace(model=model, dtype=torch.bfloat16, backend="transformers")
    return SimpleNamespace(
        spec=stage_module("sft").Spec.model_validate(body),
        base=base, parents=(), dataset=rows, data_kind="conversations", replay=None, on_note=notes.append,
    )  # fmt: skip


LLAMA_3B = {
    "model_type": "llama", "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28,
    "num_attention_heads": 24, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 128_256,
    "tie_word_embeddings": True,
}  # fmt: skip


def give_gpu(monkeypatch: pytest.MonkeyPatch, free: float) -> None:
    monkeypatch.setattr(activations.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(activations.torch.cuda, "mem_get_info", lambda: (free, free))
    monkeypatch.setattr(activations.torch.cuda, "memory_reserved", lambda: 0)


@pytest.mark.parametrize(("free", "on"), [(80 * 2**30, False), (12 * 2**30, True)])
def test_auto_on_a_gpu_asks_for_room(free: int, on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    job = job_of(LLAMA_3B, notes)
    monkeypatch.setattr(activations.torch.cuda, "is_available", lambda: False)
    assert not recomputes(job) and not notes
    give_gpu(monkeypatch, free)
    assert recomputes(job) is on
    assert len(notes) == 1
    assert notes[0].startswith(f"gradient checkpointing is {'on' if on else 'off'}: without it this stage would take")
    assert recomputes(job_of(LLAMA_3B, notes, gradient_checkpointing=not on)) is not on and len(notes) == 1


def test_a_run_starts_with_the_budget_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    job = job_of(LLAMA_3B, notes, micro_tokens=16_384)
    monkeypatch.setattr(activations.torch.cuda, "is_available", lambda: False)
    assert activations.budget(job, False) == 16_384 and not notes
    give_gpu(monkeypatch, 40 * 2**30)
    assert activations.budget(job, True) == 16_384 and not notes  # an upper bound, so never more
    give_gpu(monkeypatch, 6 * 2**30)
    found = activations.budget(job, True)
    assert 2048 <= found < 16_384
    assert notes == [
        f"the token budget is {found:,} instead of `micro_tokens` 16,384: {found:,} fit by the worst case; what is "
        "learned is the same"
    ]
    give_gpu(monkeypatch, 2 * 2**30)
    assert activations.budget(job, True) == 2048  # a row cannot be split: it is tried all the same
    assert "not even one row may fit" in notes[-1]
