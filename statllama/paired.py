"""Two models' scores of the same items: how much changed, how sure that is, and what it is evidence of.

Two models that answer the same questions are compared question by question: what both get right or both get
wrong says nothing about the change. That is sharper than comparing two accuracies with their separate errors.
Pure mathematics, no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from statllama.scores import standard_error

ALPHA = 0.05
Z = NormalDist().inv_cdf(1 - ALPHA / 2)

Verdict = Literal["better", "worse", "no evidence of a difference"]


@dataclass(frozen=True)
class Change:
    """From `before` to `after` on the same `n` items. Differences are percentage points, after - before."""

    n: int
    difference: float
    """100 x (mean after - mean before)."""
    stderr: float | None
    """Paired standard error: standard deviation of the items' differences over sqrt(n). None for n = 1."""
    low: float
    """Lower end of the 95 % interval of the difference."""
    high: float
    """Upper end."""
    gained: int
    """Items that score higher after."""
    lost: int
    """Items that score lower after."""
    p: float
    """Two-sided p of 'as likely gained as lost': exact McNemar for 0/1 scores, the sign test for others."""


def paired_change(before: Sequence[float], after: Sequence[float]) -> Change:
    """The change between two models' scores (0 to 1) of the same items, in the same order.

    The p-value is that of McNemar's exact test: of `gained + lost` changed items, `gained` is binomial with
    probability 1/2 under no change. The interval for 0/1 scores is that of Agresti and Min (2005, Statistics
    in Medicine 24, 729-740): half an item is added to each cell of the 2 x 2 table, so that it does not
    collapse when few items change. For other scores it is the normal one. Raises ValueError for no items or
    unequal lengths.

    >>> change = paired_change([0, 0, 0, 1], [1, 1, 0, 1])
    >>> change.difference, change.gained, change.lost, change.p
    (50.0, 2, 0, 0.5)
    """
    n = len(before)
    if n == 0 or n != len(after):
        raise ValueError(f"a paired comparison needs the same items on both sides, got {n} and {len(after)}")
    deltas = [b - a for a, b in zip(before, after, strict=True)]
    gained, lost = sum(d > 0 for d in deltas), sum(d < 0 for d in deltas)
    difference, error = math.fsum(deltas) / n, standard_error(deltas)
    if all(x in (0, 1) for x in (*before, *after)):
        center, half = _agresti_min(n, gained, lost)
    else:
        center, half = difference, math.inf if error is None else Z * error
    return Change(
        n=n,
        difference=100 * difference,
        stderr=None if error is None else 100 * error,
        low=100 * max(-1.0, center - half),
        high=100 * min(1.0, center + half),
        gained=gained,
        lost=lost,
        p=mcnemar_p(gained, lost),
    )


def _agresti_min(n: int, gained: int, lost: int) -> tuple[float, float]:
    """Centre and half width of the 95 % interval for a difference of paired proportions."""
    total, up, down = n + 2, gained + 0.5, lost + 0.5
    variance = (up + down - (up - down) ** 2 / total) / total**2
    return (up - down) / total, Z * math.sqrt(variance)


def mcnemar_p(gained: int, lost: int) -> float:
    """Exact two-sided p of `gained` against `lost`: min(1, 2 P(X <= min)) with X ~ B(gained + lost, 1/2).

    1 when nothing changed. The sum is made in integers, so that no term is rounded or underflows.
    """
    m, tail, term = gained + lost, 0, 1
    for k in range(min(gained, lost) + 1):
        tail += term
        term = term * (m - k) // (k + 1)
    return min(1.0, 2 * tail / 2**m) if m else 1.0


def verdict(change: Change) -> Verdict:
    """What the test says at the two-sided level 0.05. Of many comparisons, one in twenty errs by chance.

    The test counts items. With graded scores many small gains can stand against a few large losses: where the mean
    goes the other way, neither word would be true.
    """
    if change.p >= ALPHA or (change.gained - change.lost) * change.difference <= 0:
        return "no evidence of a difference"
    return "better" if change.gained > change.lost else "worse"
