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
from statllama.errors import UsageError
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
        ("cosine_with_min", lambda i, n: 0.1 + 0.9 * (1 + math.cos(math.pi * (i - 1) / n)) / 2),
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
    last = {"constant": 1, "linear": 1 / 4, "cosine": 2.5 / 4**2, "cosine_with_min": 0.1 + 0.9 * 2.5 / 4**2}[schedule]
    assert after(4, 4) == pytest.approx(last, rel=0.1)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"schedule": "cosine_with_min", "min_rate": 0.5}, [1, 0.5 + 0.5 * (1 + math.cos(math.pi / 6)) / 2]),
        ({"schedule": "wsd", "warmup": 2, "decay": 2}, [0, 0.5, 1, 1, 1, 1 - math.sqrt(1 / 2)]),
        (
            {"schedule": "wsd", "min_rate": 0.2, "decay": 0.5},
            [1] * 4 + [0.2 + 0.8 * (1 - math.sqrt(i / 3)) for i in (1, 2)],
        ),
        ({"schedule": "wsd", "warmup": 2, "min_rate": 0.2}, [0.2, 0.6, 1, 1, 1, 1]),  # 0.1 of 6 steps: one, at the peak
        ({"schedule": "wsd", "warmup": 0.6, "decay": 0.4}, [0, 0.25, 0.5, 0.75, 1, 1 - math.sqrt(1 / 2)]),
        ({"schedule": "wsd", "steps": None, "epochs": 1, "batch_size": 16, "decay": 2}, [1, 1, 1 - math.sqrt(1 / 2)]),
    ],
    ids=str,
)
def test_rates_with_a_least_one_or_a_decay(
    fields: dict[str, Any], wanted: list[float], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """Six steps (three of the 48 rows by epoch), by hand; rounded up, 0.6 and 0.4 of six are four and three."""
    reporter = Recorder()
    run(write_recipe([stage("one", train={"learning_rate": 0.01, **fields})]), tmp_path / "w", reporter=reporter)
    found = [e.learning_rate for e in reporter.steps]
    assert found[: len(wanted)] == pytest.approx([0.01 * share for share in wanted])


def test_a_decay_longer_than_the_stage_is_said_first(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    train = {"schedule": "wsd", "steps": None, "epochs": 1, "batch_size": 16, "decay": 4}
    with pytest.raises(UsageError, match=r"`train\.decay` 4 is above the 3 steps after its warm-up"):
        run(write_recipe([stage("one", train=train)]), tmp_path / "w")


def test_the_first_step_of_a_warm_up_teaches_nothing(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    result = run(write_recipe([stage("one", train={"steps": 1, "warmup": 1})]), tmp_path / "w")["one"]
    tensors = load_file(result / "adapter_model.safetensors")
    assert all(not tensor.any() for name, tensor in tensors.items() if "lora_B" in name)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 6, "warmup": 7}, "`warmup` 7 is above `steps` 6"),
        ({"warmup": 2.5}, "`warmup` 2.5: from 1 it is a number of steps"),
        ({"min_rate": 0.1}, "`min_rate` is for `cosine_with_min` and `wsd`; `linear` has no least rate"),
        ({"schedule": "wsd", "min_rate": 1.0}, "less than 1"),
        ({"decay": 0.1}, "`decay` is for `schedule: wsd`, not `linear`"),
        ({"schedule": "wsd", "decay": 0.0}, "greater than 0"),
        ({"schedule": "wsd", "decay": 2.5}, "`decay` 2.5: from 1 it is a number of steps"),
        ({"schedule": "wsd", "decay": 0.7, "warmup": 0.5}, "are more than all steps together"),
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
