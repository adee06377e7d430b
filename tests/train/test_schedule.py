"""What the first and the last steps of each schedule train at, and which activations are kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from statllama.config.specs import LoraSpec, TrainSpec
from statllama.model import stack
from statllama.train import activations
from statllama.train.activations import bytes_per_token, recomputes
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
@pytest.mark.parametrize("model_type", ["llama", "mistral", "qwen2"])
def test_the_estimate_covers_what_a_pass_keeps(model_type: str, dtype: torch.dtype) -> None:
    """Two layers more, against autograd's own saved tensors: never below, and not over twice as much."""
    measured = kept_bytes(model_type, 4, dtype) - kept_bytes(model_type, 2, dtype)
    config = SimpleNamespace(num_hidden_layers=2, hidden_size=128, intermediate_size=512)
    assert measured <= bytes_per_token(config, dtype) <= 2 * measured


@pytest.mark.parametrize(("free", "on"), [(2**40, False), (2**20, True)])
def test_auto_on_a_gpu_asks_for_room(free: int, on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    model = SimpleNamespace(config=SimpleNamespace(num_hidden_layers=28, hidden_size=3072, intermediate_size=8192))
    base = SimpleNamespace(model=model, dtype=torch.bfloat16)
    job: Any = SimpleNamespace(spec=SimpleNamespace(train=TrainSpec()), base=base, on_note=notes.append)
    monkeypatch.setattr(activations.torch.cuda, "is_available", lambda: False)
    assert not recomputes(job) and not notes
    monkeypatch.setattr(activations.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(activations.torch.cuda, "mem_get_info", lambda: (free, free))
    for name in ("memory_reserved", "memory_allocated"):
        monkeypatch.setattr(activations.torch.cuda, name, lambda: 0)
    assert recomputes(job) is on
    assert notes == [
        f"gradient checkpointing is {'on' if on else 'off'}: a forward pass of 8,192 tokens would keep about 42.0 GiB "
        f"of activations, and {free / 2**30:.1f} GiB are free"
    ]
    job.spec.train = TrainSpec(gradient_checkpointing=not on)
    assert recomputes(job) is not on and len(notes) == 1
