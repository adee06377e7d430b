"""How much of each stage's update is left once merged weights are cast to fewer bits.

Rounding removes what is smaller than half the distance between two neighbouring numbers, so a small update on weights
that already are such numbers is lost, whole stages of it, while every single weight looks right to three digits. With
W the base's original weights, u_i the update of stage i and C the cast, the released weights changed by
D = C(W + sum_i u_i) - W. The share kept of stage i is c_i of the least-squares fit D ~ sum_i c_i u_i over all adapted
weights together: 1 when nothing is lost, 0 when the release would be the same without the stage, above 1 when rounding
magnified it. The fit is joint since stages overlap: a small stage on top of a large one is not credited with the
large one's part, and rounding noise, which points nowhere, counts for none.

With e = D - sum_i u_i and G_ij = <u_i, u_j>, c = 1 + G^-1 <e, u>. No update is ever formed: with u_i = s_i B_i A_i,
<u_i, u_j> = s_i s_j sum((B_i^T B_j) * (A_i A_j^T)) and <e, u_i> = s_i sum((B_i^T e) * A_i).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from statllama.model.adapter import Adapter
from statllama.model.lowrank import factors

_COLLINEAR = 1e-10  # of the largest eigenvalue: below, it is rounding of a direction that no stage has alone


class Update:
    """The whole stack's update of one module, B A, and what a cast did along it. A: (r, in), B: (out, r), float64."""

    def __init__(self, adapters: Sequence[Adapter], module: str) -> None:
        self.A, self.B = factors(adapters, module)
        ranks = [a.slices[module].A.shape[0] if module in a.slices else 0 for a in adapters]
        stage = torch.repeat_interleave(torch.arange(len(ranks)), torch.tensor(ranks))
        self._of_stage = F.one_hot(stage, len(ranks)).double()  # (r, stages)
        self._b32 = self.B.float()
        self._along = torch.zeros_like(self.A)  # B^T e, (r, in)

    def add_to(self, rows: Tensor, start: int) -> Tensor:
        """Return the weights of the rows from `start`, (n, in), with the update added, in float64."""
        return rows.double().addmm_(self.B[start : start + len(rows)], self.A)

    def observe(self, exact: Tensor, cast: Tensor, start: int) -> None:
        """Add the rows from `start`, (n, in), before and after the cast. `exact` is overwritten, to save an
        allocation.
        """
        self._along -= self._b32[start : start + len(exact)].T @ exact.sub_(cast.double()).float()

    def gram(self) -> Tensor:
        """Return <u_i, u_j>, (stages, stages)."""
        return self._of_stage.T @ (self.B.T @ self.B * (self.A @ self.A.T)) @ self._of_stage

    def removed(self) -> Tensor:
        """Return <e, u_i> of all rows observed, (stages,)."""
        return self._of_stage.T @ (self._along * self.A).sum(1)


def kept_shares(gram: Tensor, removed: Tensor) -> list[float]:
    """Return c_i of every stage from G, (stages, stages), and <e, u_i>, (stages,), summed over modules; 1 for a zero
    update.

    Stages that changed the very same thing, by whatever amounts, lose the same share of it: of all fits the one with
    the smallest sum of |u_i| (c_i - 1)^2.
    """
    lengths = gram.diagonal().clamp_min(0).sqrt()
    scale = torch.where(lengths > 0, lengths.rsqrt(), 0.0)
    inverse = torch.linalg.pinv(scale[:, None] * gram * scale, rtol=_COLLINEAR, hermitian=True)
    return [1.0 + c for c in (scale * (inverse @ (scale * removed))).tolist()]
