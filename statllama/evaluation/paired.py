"""Two models' scores of the same items: the size of the change, its certainty, and its verdict.

Two models that answer the same questions are compared question by question: what both get right or both get wrong says
nothing about the change. That is sharper than comparing two accuracies with their separate errors. Items that are built
alike, such as the problems of one kind, say less than as many that are not: where a benchmark names their clusters,
standard errors, intervals and p-values are of clusters (Miller 2024, "Adding error bars to evals", arXiv 2411.00640).
Pure mathematics, no torch; numpy only where random draws are needed.

One pivot gives interval and p-value, so the two cannot contradict each other: (centre - delta) / unit, by Student's t
with one degree of freedom less than there are clusters. Centre and unit are those of Agresti and Min (2005, Statistics
in Medicine 24, 729-740), half an item added to each cell of the 2 x 2 table, and the unit is wider by the root of the
design effect. A loss or gain of 0/1 scores must also be shown by the mid-p sign-flip test of the clusters, which is
McNemar's where there are none: p is the larger of the two, and the interval holds 0 unless p is below 0.05.
`benchmarks/paired_tests.py` has the levels of these tests and the coverage of the intervals.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, TypeVar

from statllama.evaluation.student import t_cdf

ALPHA = 0.05
Z = NormalDist().inv_cdf(1 - ALPHA / 2)
DRAWS = 10_000  # random signs of the sign-flip test
SEED = 0  # the same scores always give the same p
CELLS = 1_000_000  # random integers held at once

K = TypeVar("K")
Verdict = Literal["better", "worse", "no evidence of a difference"]
Clusters = Sequence[Hashable] | None
"""The cluster of each item; None where each item is one by itself."""


@dataclass(frozen=True)
class Change:
    """From `before` to `after` on the same `n` items. Differences are percentage points, after - before."""

    n: int
    difference: float
    """100 x (mean after - mean before)."""
    stderr: float | None
    """Paired standard error, of clusters where items have some. None for a single item or cluster."""
    low: float
    """Lower end of the 95 % interval of the difference."""
    high: float
    """Upper end."""
    gained: int
    """Items that score higher after."""
    lost: int
    """Items that score lower after."""
    p: float
    """Two-sided p of 'no change'. Below 0.05 exactly where the interval leaves 0 out."""
    clusters: int
    """Number of clusters; `n` where items have none."""
    effective: float
    """Items without clusters that would say as much about this change."""


def paired_change(before: Sequence[float], after: Sequence[float], clusters: Clusters = None) -> Change:
    """Return the change between two models' scores (0 to 1) of the same items, in the same order.

    `clusters`: the cluster of each item. Of a single item, or a single cluster, the interval is the whole range. Raises
    ValueError for no items or unequal lengths.

    >>> change = paired_change([0, 0, 0, 1], [1, 1, 0, 1])
    >>> change.difference, change.gained, change.lost, round(change.p, 3)
    (50.0, 2, 0, 0.282)
    """
    deltas = _differences(before, after)
    sums = sums_of(deltas, clusters)
    n, gained, lost = len(deltas), sum(d > 0 for d in deltas), sum(d < 0 for d in deltas)
    pivot = _Pivot.of(deltas, sums, binary := _binary(before, after))
    p = pivot.p(0.0)
    if binary:
        p = max(p, mid_p(gained, lost) if len(sums) == n else sign_flip_p([total for total, _ in sums]))
    low, high = pivot.interval(ALPHA)
    if p >= ALPHA:
        low, high = min(low, 0.0), max(high, 0.0)
    error = clustered_error(deltas, sums)
    return Change(
        n=n,
        difference=100 * math.fsum(deltas) / n,
        stderr=None if error is None else 100 * error,
        low=100 * low,
        high=100 * high,
        gained=gained,
        lost=lost,
        p=p,
        clusters=len(sums),
        effective=n / pivot.design_effect,
    )


def clustered_error(values: Sequence[float], sums: Sequence[tuple[float, int]]) -> float | None:
    """Return the standard error of the mean of `values`; None for fewer than two clusters.

    `sums`: (sum, number) of each cluster's values. The root of G / (G - 1) times the sum over the G clusters of (sum -
    number x mean)^2, over n (Liang and Zeger 1986, Biometrika 73, 13-22). With clusters of one it is the usual one.
    """
    n, count = len(values), len(sums)
    if count < 2:
        return None
    mean = math.fsum(values) / n
    squares = math.fsum((total - number * mean) ** 2 for total, number in sums)
    return math.sqrt(squares * count / (count - 1)) / n


def sums_of(values: Sequence[float], clusters: Clusters) -> list[tuple[float, int]]:
    """Return (sum, number) of the values of each cluster."""
    if clusters is None:
        return [(value, 1) for value in values]
    if len(clusters) != len(values):
        raise ValueError(f"{len(values)} items have {len(clusters)} clusters")
    found: dict[Hashable, list[float]] = defaultdict(list)
    for value, cluster in zip(values, clusters, strict=True):
        found[cluster].append(value)
    return [(math.fsum(group), len(group)) for group in found.values()]


@dataclass(frozen=True)
class _Pivot:
    """(center - delta) / unit, by Student's t: what interval and p-value of a mean difference come from. As shares."""

    center: float
    unit: float
    degrees: int
    design_effect: float
    items: int
    """Number of 0/1 items; 0 for graded scores."""

    @classmethod
    def of(cls, deltas: Sequence[float], sums: Sequence[tuple[float, int]], binary: bool) -> _Pivot:
        """Return the pivot of some differences between -1 and 1.

        Half an item in each cell of the 2 x 2 table is half an item that is gained, half one that is lost and one that
        stays: differences of 1, -1 and 0, which hold the mean back and keep the unit above 0. Graded scores get a whole
        item at either end of their range: with halves, rare large gains that a sample happens to lack made a loss of
        nothing (9 % false alarms at n = 50).
        """
        n, total = len(deltas), math.fsum(deltas)
        squares = math.fsum(d * d for d in deltas) + (1 if binary else 2)
        variance = (squares - total**2 / (n + 2)) / (n + 2) ** 2
        plain = clustered_error(deltas, [(d, 1) for d in deltas])
        of_clusters = clustered_error(deltas, sums)
        effect = max(1.0, (of_clusters / plain) ** 2) if plain and of_clusters is not None else 1.0
        return cls(total / (n + 2), math.sqrt(variance * effect), len(sums) - 1, effect, n if binary else 0)

    def unit_at(self, delta: float) -> float:
        """Return the unit for a true difference of `delta`: so many 0/1 items at least must then have changed.

        Where a sample holds few of them by chance, the unit it suggests is too small: a loss of 5 points was ruled out
        in 8 % of the samples in which it was true.
        """
        if not self.items:
            return self.unit
        return max(self.unit, math.sqrt((abs(delta) - delta**2) * self.design_effect / self.items))

    def p(self, delta: float) -> float:
        """Return the two-sided p of a true difference of `delta`."""
        return min(1.0, 2 * self.below(delta, sign=-1 if self.center > delta else 1))

    def below(self, delta: float, sign: int = 1) -> float:
        """Return the chance of a centre this low if the true difference is `delta`; with `sign` -1, this high."""
        if not self.degrees:
            return 1.0
        return t_cdf(sign * (self.center - delta) / self.unit_at(delta), self.degrees)

    def bound(self, level: float, sign: int) -> float:
        """Return the upper (`sign` 1) or lower (-1) confidence bound, whose error is at most `level`."""
        if not self.degrees:
            return float(sign)
        inside, outside = self.center, float(sign)
        if self.below(outside, sign) > level:
            return outside
        for _ in range(50):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if self.below(middle, sign) > level else (inside, middle)
        return outside

    def interval(self, level: float) -> tuple[float, float]:
        return self.bound(level / 2, -1), self.bound(level / 2, 1)


def _differences(before: Sequence[float], after: Sequence[float]) -> list[float]:
    if not before or len(before) != len(after):
        raise ValueError(f"a paired comparison needs the same items on both sides, got {len(before)} and {len(after)}")
    return [b - a for a, b in zip(before, after, strict=True)]


def _binary(before: Sequence[float], after: Sequence[float]) -> bool:
    return all(x in (0, 1) for x in (*before, *after))


def _pieces(width: int) -> Iterator[int]:
    """Yield the sizes that add up to DRAWS, so that rows of `width` integers stay below CELLS at once."""
    step = max(1, CELLS // width)
    for start in range(0, DRAWS, step):
        yield min(step, DRAWS - start)


def mid_p(gained: int, lost: int) -> float:
    """Return McNemar's two-sided mid-p: 2 P(X < least) + P(X = least), X ~ B(gained + lost, 1/2).

    1 when nothing changed. The exact test stays far below its level, this one close to it (Fagerland, Lydersen and
    Laake 2013, BMC Medical Research Methodology 13, 91).
    """
    changed, least = gained + lost, min(gained, lost)
    if not changed:
        return 1.0
    return min(1.0, 2 * _fair_tail(changed, least) - math.comb(changed, least) / (1 << changed))


def _fair_tail(m: int, k: int) -> float:
    """Return P(X <= k) with X ~ B(m, 1/2). The sum is made in integers, so that no term is rounded or underflows."""
    tail, term = 0, 1
    for i in range(k + 1):
        tail += term
        term = term * (m - i) // (i + 1)
    return tail / (1 << m)


def sign_flip_p(sums: Sequence[float], *, lower: bool = False) -> float:
    """Return the mid-p of 'the differences of each cluster are as likely positive as negative together', two-sided.

    The paired randomisation test (Fisher 1935, The Design of Experiments, section 21) of clusters: each one's sum of
    differences keeps its size and gets a random sign, and p is the share of draws whose total is farther from 0, and
    half of those as far; with `lower`, lower. The observed signs are among the draws. For clusters of one item and
    differences of -1, 0 and 1 this is McNemar's test.
    """
    import numpy

    sizes = numpy.array([abs(total) for total in sums if total])
    if not len(sizes):
        return 1.0
    generator = numpy.random.default_rng(SEED)
    ups = (generator.integers(2, size=(size, len(sizes)), dtype=numpy.int8) for size in _pieces(len(sizes)))
    totals = 2 * numpy.concatenate([up @ sizes for up in ups]) - sizes.sum()
    observed, slack = math.fsum(sums), 1e-9 * sizes.sum()  # equal totals may differ in rounding
    drawn, own = (totals, observed) if lower else (-abs(totals), -abs(observed))
    farther, as_far = int((drawn < own - slack).sum()), int((abs(drawn - own) <= slack).sum())
    return (farther + (as_far + 1) / 2) / (1 + DRAWS)


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


Held = Literal["held", "broken", "undecided"]


@dataclass(frozen=True)
class BudgetTest:
    """Two tests of a change against its budget: whether it is worse, whether it is better. Points, after - before."""

    budget: float
    """The allowed change, 0 or less."""
    difference: float
    """The measured change."""
    lower: float
    """One-sided lower confidence bound (1 - level) of the true change."""
    upper: float
    """One-sided upper confidence bound."""
    p_broken: float
    """One-sided p of 'the true change is the budget or better'."""
    p_held: float
    """One-sided p of 'the true change is the budget or worse': non-inferiority."""
    answer: Held
    """`broken` where `upper` is below the budget, `held` where `lower` is above it, else `undecided`."""


def judge_budget(
    before: Sequence[float], after: Sequence[float], budget: float, level: float = ALPHA, clusters: Clusters = None
) -> BudgetTest:
    """Test a change against a budget of `budget` points (0 or less), both ways one-sided at `level`.

    That no loss was shown is no proof that there is none: `held` is a non-inferiority test, so with too few items the
    answer is `undecided`. `broken` wants a loss at all to be shown too, by the sign-flip test, which matters near a
    budget of 0. Raises ValueError for another budget or level, no items, or unequal lengths.

    >>> judge_budget([1] * 100, [0] * 10 + [1] * 90, budget=-2.0).answer
    'broken'
    >>> [judge_budget([1] * n, [1] * n, budget=-2.0).answer for n in (50, 500)]
    ['undecided', 'held']
    """
    if not (-100 <= budget <= 0 < level < 1):
        raise ValueError(f"a budget is -100 to 0 points at a level between 0 and 1, got {budget} at {level}")
    deltas = _differences(before, after)
    sums = sums_of(deltas, clusters)
    pivot = _Pivot.of(deltas, sums, binary := _binary(before, after))
    p_broken, p_held = pivot.below(budget / 100), pivot.below(budget / 100, sign=-1)
    if binary:
        p_broken = max(p_broken, sign_flip_p([total for total, _ in sums], lower=True))
    return BudgetTest(
        budget=budget,
        difference=100 * math.fsum(deltas) / len(deltas),
        lower=100 * pivot.bound(level, -1),
        upper=100 * pivot.bound(level, 1),
        p_broken=p_broken,
        p_held=p_held,
        answer="broken" if p_broken < level else "held" if p_held < level else "undecided",
    )


def smallest_change(
    n: int, discordance: float, level: float = ALPHA, power: float = 0.8, design_effect: float = 1.0
) -> float:
    """Return the smallest change, in points, that a two-sided test at `level` finds with this power, on `n` items.

    `discordance`: share of the items that the two models answer differently. Connor (1987, Biometrics 43, 207-211), of
    n / `design_effect` items: n delta^2 = (z_a sqrt(D) + z_b sqrt(D - delta^2))^2. 100 where no change is found so.
    """
    normal = NormalDist()
    for_level, for_power = normal.inv_cdf(1 - level / 2), normal.inv_cdf(power)
    low, high = 0.0, discordance
    items = n / design_effect

    def found(delta: float) -> bool:
        unit = for_level * math.sqrt(discordance) + for_power * math.sqrt(max(0.0, discordance - delta**2))
        return items * delta**2 >= unit**2

    if not found(high):
        return 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return 100 * high
