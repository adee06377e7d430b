"""Arithmetic on low-rank updates: side by side along the rank, exactly; or the best of fewer ranks, by SVD.

An update of a module is `scaling * B @ A`, A (r, in), B (out, r): see `stack.Slice`. Everything is computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from statllama.model.adapter import Adapter, Slice


def modules_of(adapters: Iterable[Adapter]) -> list[str]:
    """Return the names of all modules that any of the adapters has a slice for, in the order of their tensors in a
    file.
    """
    return sorted({module for adapter in adapters for module in adapter.slices}, key=lambda module: f"{module}.")


def folded_rank(adapters: Sequence[Adapter]) -> int:
    """Return the largest sum of the adapters' ranks on one module; 0 without adapters."""
    ranks = (sum(a.slices[m].A.shape[0] for a in adapters if m in a.slices) for m in modules_of(adapters))
    return max(ranks, default=0)


def fold(adapters: Sequence[Adapter]) -> Adapter:
    """Fold the adapters into one with the same update: one rank (`folded_rank`) and scale 1 in all modules, float32."""
    rank = folded_rank(adapters)
    return Adapter({module: padded(*factors(adapters, module), rank) for module in modules_of(adapters)})


def factors(adapters: Sequence[Adapter], module: str) -> tuple[Tensor, Tensor]:
    """Return A (r, in) and B (out, r) in float64 whose product B A is the sum of the adapters' updates of a module."""
    slices = [adapter.slices[module] for adapter in adapters if module in adapter.slices]
    return torch.cat([s.A.double() for s in slices], 0), torch.cat([s.B.double() * s.scaling for s in slices], 1)


def size(a: Tensor, b: Tensor) -> float:
    """Return the Frobenius norm of the product B A, which is not formed."""
    return float((b.T @ b * (a @ a.T)).sum().clamp_min(0).sqrt())


def recompress(a: Tensor, b: Tensor, rank: int) -> tuple[Tensor, Tensor, float, float]:
    """Return the best A and B of rank `rank` for the product B A, with the Frobenius norms of what is missing and of
    the product.

    Eckart and Young (1936): the first singular triplets. They come from the small core of two QR decompositions,
    B A = Q_b (R_b R_a^T) Q_a^T, so the product itself, (out, in), is never formed. The roots of the singular values go
    to both sides. In the precision of `a` and `b`: give float64.
    """
    qb, rb = torch.linalg.qr(b)
    qa, ra = torch.linalg.qr(a.T)
    u, s, vh = torch.linalg.svd(rb @ ra.T, full_matrices=False)
    root = s[:rank].sqrt()
    new_a, new_b = root[:, None] * (vh[:rank] @ qa.T), qb @ u[:, :rank] * root
    return new_a, new_b, float(s[rank:].norm()), float(s.norm())


def relative_errors(missing: Mapping[str, float], whole: Mapping[str, float]) -> tuple[float, dict[str, float]]:
    """Return the relative error of fewer ranks, of all modules together and of each, from the norms of the missing part
    and of the update.

    0 for nothing lost, 1 for everything; 0 too where there is no update.

    >>> relative_errors({"q": 3.0, "k": 0.0}, {"q": 4.0, "k": 3.0})
    (0.6, {'q': 0.75, 'k': 0.0})
    """
    each = {module: missing[module] / whole[module] if whole[module] else 0.0 for module in whole}
    return math.hypot(*missing.values()) / (math.hypot(*whole.values()) or 1.0), each


def compress(dense: Tensor, rank: int) -> tuple[Tensor, Tensor, float, float]:
    """Return A and B of rank `rank` for a dense update (out, in), with the norms of what is missing and of the update.

    Small matrices by a whole SVD. Large ones by a randomised one (Halko, Martinsson and Tropp 2011, SIAM Review 53,
    217-288, algorithm 4.4) with eight power iterations, whose loss is a little above the least; it is measured, not
    estimated.
    """
    if min(dense.shape) <= _WHOLE:
        u, s, vh = torch.linalg.svd(dense, full_matrices=False)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            u, s, v = torch.svd_lowrank(dense, min(rank + 32, *dense.shape), niter=8)
        vh = v.T
    root = s[:rank].sqrt()
    a, b = root[:, None] * vh[:rank], u[:, :rank] * root
    return a, b, float(torch.linalg.norm(dense - b @ a)), float(torch.linalg.norm(dense))


def padded(a: Tensor, b: Tensor, rank: int) -> Slice:
    """Return A and B with zero rows and columns up to `rank`, in float32 and contiguous; scale 1."""
    short = rank - a.shape[0]
    return Slice(F.pad(a, (0, 0, 0, short)).float(), F.pad(b, (0, short)).float().contiguous(), 1.0)


_WHOLE = 1024  # rows or columns up to which a whole SVD takes seconds
