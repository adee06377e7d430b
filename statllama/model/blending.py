"""Blends of sibling adapters: one adapter whose update is a weighted mean of theirs, module by module.

With weights w_i that sum to 1 and dense updates D_i = s_i B_i A_i (zero where an adapter has no slice):

- `linear`: scale * sum_i w_i D_i. Exact: the slices stand side by side along the rank. The mean of the A's times the
  mean of the B's, which is often taken for it, is another update.
- `ties` (Yadav et al. 2023, arXiv 2306.01708): of each D_i only its share `density` of largest entries is kept; for
  each entry the sign of the sum of what is kept is elected, and the result is scale times the weighted mean of the
  updates that have this sign.
- `dare` (Yu et al. 2024, arXiv 2311.03099): each entry of each D_i is kept with probability `density` and divided by
  it; then `linear`.

The last two are dense, so their best approximation of `rank` ranks is taken and its error reported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from statllama.config.lora import LoraSpec
from statllama.errors import TrainingError
from statllama.model.adapter import ADAPTER_FILE, PREFIX, Adapter, Slice, layer_of, write_config
from statllama.model.lowrank import (
    compress,
    factors,
    folded_rank,
    modules_of,
    padded,
    recompress,
    relative_errors,
    size,
)

Method = Literal["linear", "ties", "dare"]


@dataclass(frozen=True)
class Blend:
    """A blended adapter, and the error of its rank."""

    adapter: Adapter
    rank: int
    error: float
    """Frobenius norm of the part that the rank leaves out, over that of the exact blend, all modules together."""
    modules: Mapping[str, float]
    """The same for each module."""
    share: float
    """Norm of the blend over the sum of the norms of the weighted updates: the part that did not cancel."""

    def metrics(self) -> dict[str, Any]:
        """Return the figures for the manifest."""
        return {"rank": self.rank, "error": self.error, "share": self.share}


def blend(
    adapters: Sequence[Adapter],
    weights: Sequence[float],
    method: Method = "linear",
    *,
    density: float = 1.0,
    scale: float = 1.0,
    rank: int | None = None,
    seed: int = 0,
    on_module: Callable[[int, int], None] = lambda done, total: None,
) -> Blend:
    """Blend `adapters` by `weights` above 0, which count relative to each other.

    `rank`: of the result; None: the adapters' ranks together, at which `linear` is exact. `on_module`: called with
    modules done and modules in all. TrainingError when the blend is no update at all: when the adapters are zero, or
    cancel.
    """
    if any(adapter.rows for adapter in adapters):
        raise TrainingError(
            "a blended stage has rows of tokens (`lora.token_rows`), which cannot be blended",
            remedy="train the tokens in a stage below the siblings",
        )
    shares = [weight / math.fsum(weights) for weight in weights]
    modules, kept = modules_of(adapters), rank or folded_rank(adapters)
    generator = torch.Generator().manual_seed(seed)
    slices: dict[str, Slice] = {}
    missing: dict[str, float] = {}
    whole: dict[str, float] = {}
    weighted = [_scaled(adapter, share * scale) for adapter, share in zip(adapters, shares, strict=True)]
    for done, module in enumerate(modules, start=1):
        if method == "linear":
            a, b = factors(weighted, module)
            missing[module], whole[module] = 0.0, size(a, b)
            if a.shape[0] > kept:
                a, b, missing[module], whole[module] = recompress(a, b, kept)
        else:
            updates = _dense(adapters, module)
            mixed = (
                ties([trimmed(u, density) for u in updates], shares)
                if method == "ties"
                else linear([dropped(u, density, generator) for u in updates], shares)
            )
            a, b, missing[module], whole[module] = compress(scale * mixed, kept)
        slices[module] = padded(a, b, kept)
        on_module(done, len(modules))
    total = math.hypot(*whole.values())
    apart = math.fsum(math.hypot(*(size(*factors([one], module)) for module in one.slices)) for one in weighted)
    if not total > _NOTHING * apart:
        raise TrainingError(
            "the blend changes nothing: " + ("the adapters are zero" if not apart else "the weighted updates cancel"),
            remedy="check the blended adapters and their weights",
        )
    return Blend(Adapter(slices), kept, *relative_errors(missing, whole), total / apart)


def save_adapter(adapter: Adapter, rank: int, base: str, folder: Path, layers: int | None = None) -> None:
    """Write a blended adapter as an ordinary PEFT adapter of this rank and scale 1, in float32.

    `layers`: those of the base. Modules are named in full where some layers have no slice; None: all have one.
    """
    tensors = {}
    for module, part in adapter.slices.items():
        tensors[f"{PREFIX}{module}.lora_A.weight"], tensors[f"{PREFIX}{module}.lora_B.weight"] = part.A, part.B
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / ADAPTER_FILE, {"format": "pt"})
    places: dict[str, set[int | None]] = {}
    for module in adapter.slices:
        places.setdefault(module.rpartition(".")[2], set()).add(layer_of(module))
    whole = layers is None or all(found in ({None}, set(range(layers))) for found in places.values())
    modules = places if whole else adapter.slices
    write_config(LoraSpec(r=rank, alpha=float(rank)), modules, base, folder)


def linear(updates: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Return the weighted sum of dense updates.

    >>> linear([torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])], [0.5, 0.5]).tolist()
    [0.5, 1.0]
    """
    return sum((share * update for share, update in zip(shares, updates, strict=True)), torch.zeros_like(updates[0]))


def trimmed(update: Tensor, density: float) -> Tensor:
    """Return the update with all but its share `density` of largest entries (by size) set to 0."""
    keep = int(density * update.numel())
    if keep >= update.numel():
        return update
    flat = torch.zeros(update.numel(), dtype=update.dtype)
    places = update.abs().reshape(-1).topk(keep).indices
    flat[places] = update.reshape(-1)[places]
    return flat.reshape(update.shape)


def ties(updates: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Return the weighted mean, entry by entry, of the updates that have the elected sign: that of the sum of all.

    >>> ties([torch.tensor([1.0, -3.0, 0.0]), torch.tensor([3.0, 1.0, 2.0])], [0.5, 0.5]).tolist()
    [2.0, -3.0, 2.0]
    """
    stacked, weights = torch.stack(list(updates)), torch.tensor(list(shares), dtype=updates[0].dtype)
    elected = torch.where(stacked.sum(0) >= 0, 1, -1)
    weights = weights.reshape(-1, *[1] * updates[0].ndim) * (stacked.sign() == elected)
    total = weights.sum(0)  # 0 where all that is kept is 0
    return (weights * stacked).sum(0) / torch.where(total == 0, 1, total)


def dropped(update: Tensor, density: float, generator: torch.Generator) -> Tensor:
    """Return the update with each entry kept with probability `density`, and divided by it: the same on average."""
    return update * torch.bernoulli(torch.full_like(update, density), generator=generator) / density


def _scaled(adapter: Adapter, factor: float) -> Adapter:
    return Adapter({name: Slice(s.A, s.B, s.scaling * factor) for name, s in adapter.slices.items()})


def _dense(adapters: Sequence[Adapter], module: str) -> list[Tensor]:
    """Return each adapter's update of a module, (out, in) in float64; zero where it has none."""
    found = {i: factors([adapter], module) for i, adapter in enumerate(adapters) if module in adapter.slices}
    updates = {i: b @ a for i, (a, b) in found.items()}
    nothing = torch.zeros_like(next(iter(updates.values())))
    return [updates.get(i, nothing) for i in range(len(adapters))]


_NOTHING = 1e-7  # float32 rounding of updates that cancel
