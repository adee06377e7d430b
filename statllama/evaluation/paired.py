"""Two models' scores of the same items: the size of the change, its certainty, and its verdict.

Two models that answer the same questions are compared question by question: what both get right or both get
wrong says nothing about the change. That is sharper than comparing two accuracies with their separate errors.
Pure mathematics, no torch; numpy only where random draws are needed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, TypeVar

from statllama.evaluation.scores import standard_error

ALPHA = 0.05
Z = NormalDist().inv_cdf(1 - ALPHA / 2)
DRAWS = 10_000  # bootstrap resamples, and random signs of the sign-flip test
SEED = 0  # the same scores always give the same interval and p
CELLS = 1_000_000  # random integers held at once

K = TypeVar("K")
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
    """Lower end of the 95 % interval of the difference: Agresti-Min for 0/1 scores, the bootstrap for others."""
    high: float
    """Upper end."""
    bootstrap: tuple[float, float]
    """95 % percentile interval of the difference from resampled items."""
    gained: int
    """Items that score higher after."""
    lost: int
    """Items that score lower after."""
    p: float
    """Two-sided p of 'no change': exact McNemar for 0/1 scores, its kin the sign-flip test for others."""


def paired_change(before: Sequence[float], after: Sequence[float]) -> Change:
    """Return the change between two models' scores (0 to 1) of the same items, in the same order.

    For 0/1 scores the p-value is that of McNemar's exact test: of `gained + lost` changed items, `gained` is
    binomial with probability 1/2 under no change; for others that of `sign_flip_p`, which is the same test
    where scores are 0/1. The interval for 0/1 scores is that of Agresti and Min (2005, Statistics in Medicine
    24, 729-740): half an item is added to each cell of the 2 x 2 table. The bootstrap, the interval for other
    scores, collapses when few items change: of 100 items without a change every resample is without one too,
    yet the next 100 may have some. Of a single graded item the interval is the whole range.
    Raises ValueError for no items or unequal lengths.

    >>> change = paired_change([0, 0, 0, 1], [1, 1, 0, 1])
    >>> change.difference, change.gained, change.lost, change.p
    (50.0, 2, 0, 0.5)
    """
    deltas = _differences(before, after)
    n, gained, lost = len(deltas), sum(d > 0 for d in deltas), sum(d < 0 for d in deltas)
    error, resampled = standard_error(deltas), bootstrap_interval(deltas)
    if _binary(before, after):
        p, (center, unit) = mcnemar_p(gained, lost), _agresti_min(deltas)
        low, high = max(-1.0, center - Z * unit), min(1.0, center + Z * unit)
    else:
        p = sign_flip_p(deltas)
        low, high = resampled if n > 1 else (-1.0, 1.0)
    return Change(
        n=n,
        difference=100 * math.fsum(deltas) / n,
        stderr=None if error is None else 100 * error,
        low=100 * low,
        high=100 * high,
        bootstrap=(100 * resampled[0], 100 * resampled[1]),
        gained=gained,
        lost=lost,
        p=p,
    )


def _differences(before: Sequence[float], after: Sequence[float]) -> list[float]:
    if not before or len(before) != len(after):
        raise ValueError(f"a paired comparison needs the same items on both sides, got {len(before)} and {len(after)}")
    return [b - a for a, b in zip(before, after, strict=True)]


def _binary(before: Sequence[float], after: Sequence[float]) -> bool:
    return all(x in (0, 1) for x in (*before, *after))


def _agresti_min(deltas: Sequence[float]) -> tuple[float, float]:
    """Return the centre and standard error of the mean difference, as shares, with two imaginary items that hold it
    back.

    Half an item in each cell of the 2 x 2 table is half an item that is gained, half one that is lost and one
    that stays: differences of 1, -1 and 0. Written so, the formula holds for graded scores too.
    """
    total, added = len(deltas) + 2, math.fsum(deltas)
    variance = (math.fsum(d * d for d in deltas) + 1 - added**2 / total) / total**2
    return added / total, math.sqrt(variance)


def bootstrap_interval(deltas: Sequence[float]) -> tuple[float, float]:
    """Return 95 % percentile interval of the mean of `deltas` (differences of paired items), in their unit.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. A resample of n items is a multinomial
    draw over the distinct differences: 0/1 scores have three at most. Where they are many, items are drawn.
    """
    import numpy

    n, counts = len(deltas), sorted(Counter(deltas).items())
    generator = numpy.random.default_rng(SEED)
    values, times = numpy.array(counts).T
    if 10 * len(values) < n:
        sums = [generator.multinomial(n, times / n, size) @ values for size in _pieces(len(values))]
    else:
        sums = [numpy.array(deltas)[generator.integers(n, size=(size, n))].sum(1) for size in _pieces(n)]
    low, high = numpy.quantile(numpy.concatenate(sums) / n, (ALPHA / 2, 1 - ALPHA / 2))
    return float(low), float(high)


def _pieces(width: int) -> Iterator[int]:
    """Yield the sizes that add up to DRAWS, so that rows of `width` integers stay below CELLS at once."""
    step = max(1, CELLS // width)
    for start in range(0, DRAWS, step):
        yield min(step, DRAWS - start)


def mcnemar_p(gained: int, lost: int) -> float:
    """Return the exact two-sided p of `gained` against `lost`: min(1, 2 P(X <= min)) with X ~ B(gained + lost, 1/2).

    1 when nothing changed.
    """
    return min(1.0, 2 * _fair_tail(gained + lost, min(gained, lost)))


def _fair_tail(m: int, k: int) -> float:
    """Return P(X <= k) with X ~ B(m, 1/2). The sum is made in integers, so that no term is rounded or underflows."""
    tail, term = 0, 1
    for i in range(k + 1):
        tail += term
        term = term * (m - i) // (i + 1)
    return tail / (1 << m)


def sign_flip_p(deltas: Sequence[float], *, lower: bool = False) -> float:
    """Return the p of 'the differences of paired items are as likely positive as negative', from their mean.

    The paired randomisation test (Fisher 1935, The Design of Experiments, section 21): each difference keeps its size
    and gets a random sign, and p is the share of draws, the observed one among them, whose mean is at least as far
    from 0; with `lower`, at least as low. For differences of -1, 0 and 1 this is McNemar's test.
    """
    import numpy

    sizes = numpy.array([abs(d) for d in deltas if d])
    if not len(sizes):
        return 1.0
    generator = numpy.random.default_rng(SEED)
    ups = (generator.integers(2, size=(size, len(sizes)), dtype=numpy.int8) for size in _pieces(len(sizes)))
    sums = 2 * numpy.concatenate([up @ sizes for up in ups]) - sizes.sum()
    observed, slack = math.fsum(deltas), 1e-9 * sizes.sum()  # equal sums may differ in rounding
    extreme = sums <= observed + slack if lower else abs(sums) >= abs(observed) - slack
    return (1 + int(extreme.sum())) / (1 + DRAWS)


def holm(ps: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for their number, in the given order: below a level, the chance of any false one is
    below it.

    Holm (1979, Scandinavian Journal of Statistics 6, 65-70): the i-th smallest of m is multiplied by m - i + 1; none
    is smaller than the one before it, or larger than 1.

    >>> holm([0.25, 0.125, 0.5])
    [0.5, 0.375, 0.5]
    """
    adjusted, least = [1.0] * len(ps), 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        least = max(least, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = least
    return adjusted


@dataclass(frozen=True)
class Judged:
    """A change and its verdict among all changes that are judged together."""

    change: Change
    """Its intervals and its `p` are not adjusted."""
    p_holm: float
    """`change.p` adjusted by Holm."""
    verdict: Verdict
    """The verdict of `p_holm`."""


def judge(changes: Mapping[K, Change], level: float = ALPHA) -> dict[K, Judged]:
    """Judge a family of changes: the chance of any false `better` or `worse` among them is at most `level`.

    >>> judge({"sft": paired_change([0] * 9, [1] * 9), "dpo": paired_change([1, 0], [1, 0])})["sft"].verdict
    'better'
    """
    adjusted = holm([change.p for change in changes.values()])
    return {
        name: Judged(change, p, _verdict(change, p, level))
        for (name, change), p in zip(changes.items(), adjusted, strict=True)
    }


def _verdict(change: Change, p: float, level: float) -> Verdict:
    if p >= level or change.difference == 0:
        return "no evidence of a difference"
    return "better" if change.difference > 0 else "worse"


@dataclass(frozen=True)
class BudgetTest:
    """Test of a change below its budget, beyond chance. Percentage points, after - before."""

    budget: float
    """The allowed change, 0 or less."""
    difference: float
    """The measured change."""
    upper: float
    """One-sided upper confidence bound (1 - level) of the true change."""
    p: float
    """One-sided p of 'the true change is the budget or better'."""
    broken: bool
    """p < level. Then `upper` lies below the budget."""

    def __bool__(self) -> bool:
        return self.broken


def breaks(before: Sequence[float], after: Sequence[float], budget: float, level: float = ALPHA) -> BudgetTest:
    """Test 'the true change is at least `budget` points' (0 or less) one-sided on the same items, scores 0 to 1.

    The budget is broken when both hold: the upper bound of Agresti and Min lies below it, and the exact test
    (McNemar; the sign-flip test for graded scores) finds a loss at all. The second matters near a budget of 0, where
    the bound is too sure of four or five changed items. The chance of a false break at level 0.05, exactly at the
    budget, is 0.055 at most from 50 items on, whatever share of them changes, and usually below 0.05. There Tango's
    score test reaches 0.075, and for graded scores with rare large gains the bootstrap 0.5, this test 0.12.
    Raises ValueError for another budget or level, no items, or unequal lengths.

    >>> breaks([1] * 100, [0] * 10 + [1] * 90, budget=-2.0).broken
    True
    """
    if not (-100 <= budget <= 0 < level < 1):
        raise ValueError(f"a budget is -100 to 0 points at a level between 0 and 1, got {budget} at {level}")
    deltas = _differences(before, after)
    center, unit = _agresti_min(deltas)
    normal = NormalDist()
    below = normal.cdf((center - budget / 100) / unit)  # at `budget / 100`, how surprising is the centre?
    if _binary(before, after):
        gained, lost = deltas.count(1), deltas.count(-1)
        loss = _fair_tail(gained + lost, gained)
    else:
        loss = sign_flip_p(deltas, lower=True)
    p = max(below, loss)
    return BudgetTest(
        budget=budget,
        difference=100 * math.fsum(deltas) / len(deltas),
        upper=100 * min(1.0, center + normal.inv_cdf(1 - level) * unit),
        p=p,
        broken=p < level,
    )
