"""The arithmetic of replay and anchor: losses and their gradients on the logits of some positions, and the coefficient.

Pure functions. Shapes: N positions whose next token carries loss, V the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

KL_GAIN = 0.1
"""K_beta of arXiv 1909.08593, section 2.2."""
MOST_ERROR = 0.2
"""What it clips the proportional error to."""
STARTS_AT = 1.0
"""The coefficient at the first step of a stage that holds a target."""


@dataclass(frozen=True)
class SideLoss:
    """Losses of some positions, as sums in nats."""

    cross_entropy: Tensor
    """(), float64."""
    kl: Tensor
    """(), float64; 0 without a parent."""
    gradient: Tensor
    """Of `ce_scale * cross_entropy + kl_scale * kl` on the logits, (N, V), float32 or float64."""


def side_loss(
    logits: Tensor, targets: Tensor, parent: Tensor | None = None, *, ce_scale: float = 0.0, kl_scale: float = 0.0
) -> SideLoss:
    """Return cross-entropy and KL(parent || policy) at N positions, and their gradient.

        CE = -ln q(target),   KL = sum over v of p(v) (ln p(v) - ln q(v)),   p of the parent, q of the policy
        d CE / d logits = q - onehot(target),   d KL / d logits = q - p

    The gradient is written down rather than derived, so that of a whole vocabulary only what is used is in memory.
    `logits`, `parent`: (N, V), any float type, computed with in float32 at least; `targets`: (N,).
    """
    wide = torch.promote_types(logits.dtype, torch.float32)
    log_q = logits.detach().to(wide).log_softmax(-1)
    entropy = -log_q.gather(-1, targets[:, None]).sum(dtype=torch.float64)
    kl = torch.zeros((), dtype=torch.float64, device=logits.device)
    gradient = log_q.exp() * (ce_scale + kl_scale)
    if parent is not None:
        log_p = parent.detach().to(wide).log_softmax(-1)
        p = log_p.exp()
        kl = log_p.sub_(log_q).mul_(p).sum(-1).clamp_min(0).sum(dtype=torch.float64)  # below 0 rounding alone brings it
        gradient -= p.mul_(kl_scale)
    if ce_scale:
        gradient[torch.arange(len(targets), device=targets.device), targets] -= ce_scale
    return SideLoss(entropy, kl, gradient)


def next_coefficient(coefficient: float, kl: float, target: float) -> float:
    """Return the coefficient of the step after one that measured `kl`, nats per token.

        e = clip((KL - target) / target, -0.2, 0.2),   coefficient * (1 + 0.1 e)      (arXiv 1909.08593, section 2.2)

    >>> round(next_coefficient(1.0, 0.03, 0.01), 6), round(next_coefficient(1.0, 0.0105, 0.01), 6)
    (1.02, 1.005)
    """
    error = min(MOST_ERROR, max(-MOST_ERROR, kl / target - 1))
    return coefficient * (1 + KL_GAIN * error)


def coefficient_after(log: Sequence[Mapping[str, Any]], target: float) -> float:
    """Return the coefficient of the next step of a stage that holds a target, from what the steps so far logged.

    The log is in every checkpoint, so a resumed stage goes on with the coefficient that an unbroken one has.
    """
    for entry in reversed(log):
        if "anchor_coefficient" in entry and "anchor_kl" in entry:
            return next_coefficient(float(entry["anchor_coefficient"]), float(entry["anchor_kl"]), target)
    return STARTS_AT
