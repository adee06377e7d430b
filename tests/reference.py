"""Independent truths for the tests: dense arithmetic and plain PEFT, no code of the adapter stack."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Lora:
    """One LoRA: rank, alpha, kind of scale and modules, as a person would write them down."""

    r: int = 4
    alpha: float = 8.0
    rslora: bool = False
    modules: tuple[str, ...] = ALL
    dropout: float = 0.0

    @property
    def scale(self) -> float:
        """alpha / r, or alpha / sqrt(r)."""
        return self.alpha / math.sqrt(self.r) if self.rslora else self.alpha / self.r


def peft_lora(model: Any, lora: Lora, seed: int = 0) -> Any:
    """`model` with a fresh LoRA, made by PEFT alone."""
    torch.manual_seed(seed)
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        use_rslora=lora.rslora,
        lora_dropout=lora.dropout,
        target_modules=list(lora.modules),
        bias="none",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def saved_lora(base: Any, lora: Lora, folder: Path, seed: int, size: float = 0.1) -> Path:
    """A folder that PEFT saved: a LoRA whose A and B are both random. `base` is copied, not touched."""
    model = peft_lora(copy.deepcopy(base), lora, seed)
    randomise(model, seed, size)
    model.save_pretrained(folder)
    return folder


def randomise(model: Any, seed: int, size: float = 0.1) -> None:
    """Fill every trainable B with normal numbers (A has numbers already)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * size)


def tensors(folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """{module name: (A, B)} of a saved adapter, in float64."""
    from safetensors.torch import load_file

    found = load_file(folder / "adapter_model.safetensors")
    prefix, end = "base_model.model.", ".lora_A.weight"
    return {
        name.removeprefix(prefix).removesuffix(end): (
            a.double(),
            found[name.replace("lora_A", "lora_B")].double(),
        )
        for name, a in found.items()
        if name.endswith(end)
    }


def merged(base: Any, adapters: Iterable[tuple[Path, float]]) -> Any:
    """A copy of the base with `scale B A` of each (folder, scale) added to its weights in float64."""
    model = copy.deepcopy(base)
    updates: dict[str, Tensor] = {}
    for folder, scale in adapters:
        for name, (a, b) in tensors(folder).items():
            updates[name] = updates.get(name, torch.tensor(0.0, dtype=torch.float64)) + scale * (b @ a)
    with torch.no_grad():
        for name, update in updates.items():
            weight = model.get_submodule(name).weight
            weight.copy_((weight.double() + update).to(weight.dtype))
    return model


def dequantised(base: Any, empty: Any) -> Any:
    """`empty` (the same architecture, float32) filled with the dequantised weights of a bitsandbytes base."""
    import bitsandbytes as bnb

    with torch.no_grad():
        for name, module in empty.named_modules():
            if isinstance(module, torch.nn.Linear):
                weight = base.get_submodule(name).weight
                if isinstance(weight, bnb.nn.Params4bit):
                    weight = bnb.functional.dequantize_4bit(weight.data, weight.quant_state)
                module.weight.copy_(weight)
        own = dict(base.named_parameters())
        for name, parameter in empty.named_parameters():
            if parameter.shape == own[name].shape and own[name].dtype is parameter.dtype:
                parameter.copy_(own[name])
    return empty


def some_ids(vocabulary: int, rows: int = 3, width: int = 17, seed: int = 0) -> Tensor:
    """Random token ids, (rows, width)."""
    return torch.randint(6, vocabulary, (rows, width), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def logits(model: Any, ids: Tensor) -> Tensor:
    """Logits of a model in evaluation mode, (rows, width, vocabulary)."""
    was = model.training
    model.eval()
    result = model(input_ids=ids, use_cache=False).logits
    model.train(was)
    return result


def relative(got: Tensor, wanted: Tensor) -> float:
    """Norm of the difference over the norm of what was wanted."""
    return float((got.double() - wanted.double()).norm() / wanted.double().norm().clamp_min(1e-300))


def worst(got: Sequence[float], wanted: Sequence[float]) -> float:
    """Largest difference between two curves of equal length."""
    return max(abs(a - b) for a, b in zip(got, wanted, strict=True))
