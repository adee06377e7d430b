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
McNemar's where there are none: p is the larger of the two, and the interval holds 0 unless p is below its level.

Changes that are judged together, `tests` of them, are judged by Bonferroni: p times `tests`, intervals at 1 - 0.05 /
`tests`. So all intervals of a family hold together with 95 % confidence, a verdict and its interval agree, and the p of
a change does not depend on what the others came out as. Holm's procedure finds a little more, but leaves no interval
that agrees with it and says how large a change is. `benchmarks/paired_tests.py` has the levels of these tests and the
coverage of the intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from statllama.evaluation.clusters import Clusters, Weights, clustered_error, design_effect, mean_of, sums_of
from statllama.evaluation.student import t_cdf

ALPHA = 0.05
Z = NormalDist().inv_cdf(1 - ALPHA / 2)
DRAWS = 10_000  # random signs of the sign-flip test
SEED = 0  # the same scores always give the same p
CELLS = 1_000_000  # random integers held at once
LEAST_UNIT = 1e-9  # share: where all items change alike

Verdict = Literal["better", "worse", "no evidence of a difference"]
WIDEST = 100.0  # nats: the end of the range of a difference of losses, as 1 is that of shares


@dataclass(frozen=True)
class Change:
    """From `before` to `after` on the same `n` items. Differences are percentage points, after - before."""

    n: int
    difference: float
    """100 x (mean after - mean before)."""
    stderr: float | None
    """Paired standard error, of clusters where items have some. None for a single item or cluster."""
    low: float
    """Lower end of the interval of the difference, at the level of its family: 1 - 0.05 / `tests`."""
    high: float
    """Upper end."""
    gained: int
    """Items that score higher after."""
    lost: int
    """Items that score lower after."""
    p: float
    """Two-sided p of 'no change', by itself. `tests` x p is below 0.05 exactly where the interval leaves 0 out."""
    clusters: int
    """Number of clusters; `n` where items have none."""
    effective: float
    """Items without clusters that would say as much about this change."""
    tests: int = 1
    """Number of changes that it is judged with, itself included."""

    @property
    def p_adjusted(self) -> float:
        """Return p for all the changes together, by Bonferroni: the verdict's. At most 1."""
        return min(1.0, self.tests * self.p)


def paired_change(
    before: Sequence[float],
    after: Sequence[float],
    clusters: Clusters = None,
    tests: int = 1,
    smooth: bool = False,
    weights: Weights = None,
) -> Change:
    """Return the change between two models' scores (0 to 1) of the same items, in the same order.

    `clusters`: the cluster of each item; `tests`: number of changes that are judged together; `smooth`: scores that
    every model moves a little on every item (`Pivot.of`); `weights`: scores are mean log-probabilities of that many
    tokens, not shares, and a "point" is a hundredth of a nat. Of a single item, or a single cluster, the interval is
    the whole range. Raises ValueError for no items or unequal lengths.

    >>> change = paired_change([0, 0, 0, 1], [1, 1, 0, 1])
    >>> change.difference, change.gained, change.lost, round(change.p, 3)
    (50.0, 2, 0, 0.282)
    """
    deltas = _differences(before, after)
    sums = sums_of(deltas, clusters, weights)
    n, gained, lost = len(deltas), sum(d > 0 for d in deltas), sum(d < 0 for d in deltas)
    pivot = Pivot.of(deltas, sums, binary := is_binary(before, after), smooth, weights)
    p = pivot.p(0.0)
    if binary or smooth:
        alone = binary and len(sums) == n
        p = max(p, mid_p(gained, lost) if alone else sign_flip_p([total for total, _ in sums]))
    low, high = pivot.interval(ALPHA / tests)
    if tests * p >= ALPHA:
        low, high = min(low, 0.0), max(high, 0.0)
    error = clustered_error(deltas, sums, weights)
    return Change(
        n=n,
        difference=100 * mean_of(deltas, weights),
        stderr=None if error is None else 100 * error,
        low=100 * low,
        high=100 * high,
        gained=gained,
        lost=lost,
        p=p,
        clusters=len(sums),
        effective=n / pivot.design_effect if len(sums) > 1 else 1.0,
        tests=tests,
    )


@dataclass(frozen=True)
class Pivot:
    """(center - delta) / unit, by Student's t: what interval and p-value of a mean difference come from. As shares."""

    center: float
    unit: float
    degrees: int
    design_effect: float
    items: int
    """Number of 0/1 items; 0 for graded scores."""
    limit: float = 1.0
    """The largest difference that there is."""

    @classmethod
    def of(
        cls,
        deltas: Sequence[float],
        sums: Sequence[tuple[float, int]],
        binary: bool,
        smooth: bool = False,
        weights: Weights = None,
    ) -> Pivot:
        """Return the pivot of some differences between -1 and 1.

        Half an item in each cell of the 2 x 2 table is half an item that is gained, half one that is lost and one that
        stays: differences of 1, -1 and 0, which hold the mean back and keep the unit above 0. Graded scores get a whole
        item at either end of their range: with halves, rare large gains that a sample happens to lack made a loss of
        nothing (9 % false alarms at n = 50). `smooth` scores, such as likelihoods, get none: they have no rare large
        changes, and items at the ends of the range would drown small ones. That is Student's paired t, of clusters.
        """
        if weights is not None:
            unit = max(LEAST_UNIT, clustered_error(deltas, sums, weights) or 0.0)
            return cls(mean_of(deltas, weights), unit, len(sums) - 1, 1.0, 0, WIDEST)
        if smooth and not binary:
            effect = design_effect(deltas, sums)
            error = clustered_error(deltas, [(delta, 1) for delta in deltas]) or 0.0
            unit = max(LEAST_UNIT, error * math.sqrt(effect))
            return cls(math.fsum(deltas) / len(deltas), unit, len(sums) - 1, effect, 0)
        n, total = len(deltas), math.fsum(deltas)
        squares = math.fsum(d * d for d in deltas) + (1 if binary else 2)
        variance = (squares - total**2 / (n + 2)) / (n + 2) ** 2
        effect = design_effect(deltas, sums)
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
            return sign * self.limit
        inside, outside = self.center, sign * self.limit
        if self.below(outside, sign) > level:
            return outside
        for _ in range(50):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if self.below(middle, sign) > level else (inside, middle)
        return outside

    def interval(self, level: float) -> tuple[float, float]:
        """Return the two-sided confidence interval, whose error is at most `level`."""
        return self.bound(level / 2, -1), self.bound(level / 2, 1)


def _differences(before: Sequence[float], after: Sequence[float]) -> list[float]:
    if not before or len(before) != len(after):
        raise ValueError(f"a paired comparison needs the same items on both sides, got {len(before)} and {len(after)}")
    if not all(map(math.isfinite, (*before, *after))):
        place = next(i for i, pair in enumerate(zip(before, after, strict=True)) if not all(map(math.isfinite, pair)))
        raise ValueError(f"scores that are no numbers cannot be compared: {before[place]} and {after[place]}")
    return [b - a for a, b in zip(before, after, strict=True)]


def is_binary(before: Sequence[float], after: Sequence[float]) -> bool:
    """Return whether all scores are 0 or 1."""
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


@dataclass(frozen=True)
class Judged:
    """A change and its verdict among the `change.tests` that are judged together."""

    change: Change
    p_adjusted: float
    """`change.p_adjusted`."""
    verdict: Verdict
    """`better` or `worse` where `p_adjusted` is below 0.05 and the interval, therefore, leaves 0 out."""


def judge(change: Change) -> Judged:
    """Judge a change: the chance of any false `better` or `worse` among `change.tests` of them is at most 5 %.

    >>> judge(paired_change([0] * 9, [1] * 9)).verdict
    'better'
    """
    if change.p_adjusted >= ALPHA or change.difference == 0:
        return Judged(change, change.p_adjusted, "no evidence of a difference")
    return Judged(change, change.p_adjusted, "better" if change.difference > 0 else "worse")


def spoken_level(changes: Iterable[Change]) -> str:
    """Return what interval and p of some changes are of: one change, or all of their family; or of their families."""
    sizes = sorted({change.tests for change in changes})
    if sizes[-1:] in ([], [1]):
        return "95 % interval, two-sided p"
    together = " or ".join(f"{size:,}" for size in sizes)
    return f"95 % intervals and two-sided p, for all {together} together (Bonferroni)"


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
    before: Sequence[float],
    after: Sequence[float],
    budget: float,
    level: float = ALPHA,
    clusters: Clusters = None,
    smooth: bool = False,
    weights: Weights = None,
) -> BudgetTest:
    """Test a change against a budget of `budget` points (0 or less), both ways one-sided at `level`.

    That no loss was shown is no proof that there is none: `held` is a non-inferiority test, so with too few items the
    answer is `undecided`. `broken` wants a loss at all to be shown too, by the sign-flip test, which matters near a
    budget of 0. `smooth`, `weights`: as in `paired_change`. Raises ValueError for another budget or level, no items, or
    unequal lengths.

    >>> judge_budget([1] * 100, [0] * 10 + [1] * 90, budget=-2.0).answer
    'broken'
    >>> [judge_budget([1] * n, [1] * n, budget=-2.0).answer for n in (50, 500)]
    ['undecided', 'held']
    """
    if not (-100 <= budget <= 0 < level < 1):
        raise ValueError(f"a budget is -100 to 0 points at a level between 0 and 1, got {budget} at {level}")
    deltas = _differences(before, after)
    sums = sums_of(deltas, clusters, weights)
    pivot = Pivot.of(deltas, sums, binary := is_binary(before, after), smooth, weights)
    p_broken, p_held = pivot.below(budget / 100), pivot.below(budget / 100, sign=-1)
    if binary or smooth:
        p_broken = max(p_broken, sign_flip_p([total for total, _ in sums], lower=True))
    return BudgetTest(
        budget=budget,
        difference=100 * mean_of(deltas, weights),
        lower=100 * pivot.bound(level, -1),
        upper=100 * pivot.bound(level, 1),
        p_broken=p_broken,
        p_held=p_held,
        answer="broken" if p_broken < level else "held" if p_held < level else "undecided",
    )
