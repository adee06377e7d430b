"""Recipes that are trained several times, under other seeds: is the recipe better, or this checkpoint alone?

A comparison of two checkpoints says how they would do on other items. It does not say what other seeds would have made
of the recipes: two runs of one recipe differ too, and with enough items that difference is found. Here both vary, items
(in their clusters) and runs, and are crossed: every run answers the same items. The variance of the mean difference is
that between items, plus that between runs, less the interaction of the two, which both hold:

    variance = max(items - interaction, interaction - runs, 0) + runs

So readers and cases are analysed (Hillis 2007, Statistics in Medicine 26, 596-619); here they are runs and items, and
the values are differences between two recipes. Runs are few, so their part has a wide Student's t of its own, with one
degree of freedom less than there are. The interval is as wide as those of the two parts, added as squares (Howe 1974,
JASA 69, 789-794). That keeps every level, also the smaller ones of a family: of two runs alone at most 5.0 % are called
different, where Satterthwaite's degrees of freedom for the sum give up to 12.8 %, and quantiles weighted by the
variances (Cochran and Cox) 6.1. `benchmarks/seeds.py` has the level on items. Pure mathematics and data, no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean, stdev
from typing import Any

from statllama.evaluation.clusters import Clusters, Weights, clustered_error, mean_of, sums_of
from statllama.evaluation.compare import Comparison, Contrast, Scored
from statllama.evaluation.paired import ALPHA, Change, Judged, Pivot, is_binary, judge
from statllama.evaluation.scorecard import require_comparable
from statllama.evaluation.scores import TaskScore
from statllama.evaluation.student import t_cdf, t_quantile
from statllama.evaluation.unit import Unit, unit_of


@dataclass(frozen=True)
class Spread:
    """The error of a mean over items and runs, in its two parts: standard errors in points."""

    of_items: float
    of_runs: float
    clusters: int
    """Clusters of items, 2 or more."""
    runs: int
    """Runs, 2 or more."""

    @property
    def stderr(self) -> float:
        """Return the standard error of both together."""
        return math.hypot(self.of_items, self.of_runs)

    def half_width(self, level: float = ALPHA) -> float:
        """Return half the width of the interval, in points: the smallest difference that is evidence at `level`."""
        return self._wide(t_quantile(level / 2, self.clusters - 1), level / 2)

    def p(self, difference: float) -> float:
        """Return the two-sided p of a difference of that many points: the level at which it is half the width."""
        low, high = 0.0, abs(difference) / self.of_items if self.of_items else 1e18
        while high - low > 1e-12 * high:  # on the items' quantile, which gives the tail and with it that of the runs
            middle = (low + high) / 2
            wide = self._wide(middle, t_cdf(-middle, self.clusters - 1)) > abs(difference)
            low, high = (low, middle) if wide else (middle, high)
        return 2 * t_cdf(-high, self.clusters - 1)

    def after(self, runs: int) -> Spread:
        """Return the error to expect with so many runs that differ as these do."""
        return replace(self, of_runs=self.of_runs * math.sqrt(self.runs / runs), runs=runs)

    def _wide(self, of_items: float, tail: float) -> float:
        """Return half the width of the interval. `of_items`: the items' quantile of `tail`."""
        return math.hypot(of_items * self.of_items, self.of_runs and self.of_runs * t_quantile(tail, self.runs - 1))


@dataclass(frozen=True)
class RecipeChange:
    """From one recipe to another, over runs and items."""

    change: Change
    """Of the means over the runs; `gained` and `lost` count items whose mean over the runs is higher or lower."""
    spread: Spread | None
    """None for a single item or cluster."""


def recipe_change(
    before: Sequence[Sequence[float]],
    after: Sequence[Sequence[float]],
    clusters: Clusters = None,
    tests: int = 1,
    weights: Weights = None,
) -> RecipeChange:
    """Return the change between two recipes' scores (0 to 1): those of each run, on the same items in the same order.

    Runs of one place belong together, such as those of two recipes on one run of a shared stage. A model that is not
    trained anew has the same scores in each run. `tests`: number of changes that are judged together; that
    number times p is below 0.05 exactly where the interval leaves 0 out. `weights`: as in `paired_change`. Raises
    ValueError for fewer than two runs, no
    items, or unequal lengths.

    >>> found = recipe_change([[0, 0, 1, 1]] * 2, [[1, 0, 1, 1], [1, 1, 1, 1]])
    >>> found.change.difference, round(found.spread.of_runs, 1), round(found.spread.of_items, 1)
    (37.5, 12.5, 19.1)
    """
    if len(before) < 2 or len(before) != len(after):
        raise ValueError(f"two runs or more of both recipes are needed, got {len(before)} and {len(after)}")
    if {len(run) for run in (*before, *after)} != {len(before[0])} or not before[0]:
        raise ValueError("all runs need the same items")
    runs = [[b - a for a, b in zip(*pair, strict=True)] for pair in zip(before, after, strict=True)]
    means = [fmean(item) for item in zip(*runs, strict=True)]
    sums = sums_of(means, clusters, weights)
    binary = all(is_binary(old, new) for old, new in zip(before, after, strict=True))
    pivot = Pivot.of(means, sums, binary, weights=weights)
    spread = _spread(runs, means, clusters, pivot.unit**2, weights) if len(sums) > 1 else None
    center = 100 * pivot.center
    p = min(1.0, spread.p(center)) if spread else 1.0
    wide = spread.half_width(ALPHA / tests) if spread else math.inf
    low, high = max(-100 * pivot.limit, center - wide), min(100 * pivot.limit, center + wide)
    change = Change(
        n=len(means),
        difference=100 * (fmean(means) if weights is None else mean_of(means, weights)),
        stderr=spread.stderr if spread else None,
        low=min(low, 0.0) if tests * p >= ALPHA else low,
        high=max(high, 0.0) if tests * p >= ALPHA else high,
        gained=sum(mean > 0 for mean in means),
        lost=sum(mean < 0 for mean in means),
        p=p,
        clusters=len(sums),
        effective=len(means) / pivot.design_effect,
        tests=tests,
    )
    return RecipeChange(change, spread)


def crossed(runs: Sequence[Sequence[float]], weights: Weights = None) -> Spread:
    """Return the error of the mean of values of the same items in several runs, two of both or more."""
    means = [fmean(item) for item in zip(*runs, strict=True)]
    error = clustered_error(means, sums_of(means, None, weights), weights) or 0.0
    return _spread(runs, means, None, error**2, weights)


def _spread(
    runs: Sequence[Sequence[float]], means: Sequence[float], clusters: Clusters, of_items: float, weights: Weights
) -> Spread:
    """Return the error of the mean of `runs`. `means`: of each item; `of_items`: the squared error from items alone."""

    def average(values: Sequence[float]) -> float:
        return fmean(values) if weights is None else mean_of(values, weights)

    count, n, mean = len(runs), len(means) if weights is None else sum(weights), average(means)
    of_runs = stdev(found := [average(run) for run in runs]) ** 2 / count
    residuals = [
        sums_of([value - item - own + mean for value, item in zip(run, means, strict=True)], clusters, weights)
        for run, own in zip(runs, found, strict=True)
    ]
    groups = len(residuals[0])
    squares = math.fsum(total**2 for run in residuals for total, _ in run)
    both = squares * groups / (groups - 1) / (count - 1) / count / n**2
    of_items = max(of_items - both, both - of_runs, 0.0)
    return Spread(100 * math.sqrt(of_items), 100 * math.sqrt(of_runs), groups, count)


@dataclass(frozen=True)
class Repeated:
    """A model by the name that the reader knows it by, and the scores of its runs."""

    name: str
    runs: Mapping[int, Scored]
    """{number of the run, from 1: its scores}, as far as they ended."""
    trained_once: bool = False
    """Whether nothing in it is trained anew, as in the base: its run 1 stands for all."""


@dataclass(frozen=True)
class RecipeContrast:
    """One recipe against the reference on one benchmark, over runs and items."""

    task: str
    other: str
    runs: int
    before: float
    """Mean score of the reference's runs, a share between 0 and 1."""
    after: float
    """Mean score of the other's runs."""
    before_sd: float | None
    """Standard deviation between the reference's runs, in points. None where it is trained once."""
    after_sd: float | None
    """The same of the other's."""
    spread: Spread | None
    """None for a single item or cluster."""
    recipe: Judged
    """Verdict on the recipe: on other items, and under other seeds."""
    checkpoint: Judged
    """Verdict on the first run alone: on other items. That of the comparison of the checkpoints."""
    metric: str = ""

    @property
    def unit(self) -> Unit:
        """Return what people read its figures as."""
        return unit_of(self.metric)

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain JSON values."""
        return asdict(self)


def compare_recipes(comparison: Comparison, repeated: Sequence[Repeated]) -> tuple[RecipeContrast, ...]:
    """Return the verdicts on recipes where `comparison` has those on their first runs, each judged with as many others.

    `repeated`: the reference and the others, by the same names. Without two runs that both sides have on the benchmark
    there is none.
    Raises IncomparableError when runs were scored on different items.
    """
    named = {each.name: each for each in repeated}
    old = named[comparison.reference]
    found: dict[tuple[str, str], RecipeChange] = {}
    for contrast in comparison.contrasts:
        numbers = _common(old, new := named[contrast.other], contrast.task)
        if len(numbers) > 1:
            sides = _scores(old, contrast.task, numbers), _scores(new, contrast.task, numbers)
            for score in (*sides[0], *sides[1]):
                require_comparable(sides[0][0], score)
            before, after = ([score.items for score in side] for side in sides)
            found[contrast.task, contrast.other] = recipe_change(
                before, after, sides[0][0].clusters, contrast.overall.change.tests, sides[0][0].weights
            )
    return tuple(
        _contrast(contrast, old, named[contrast.other], found[key])
        for contrast in comparison.contrasts
        if (key := (contrast.task, contrast.other)) in found
    )


def _common(old: Repeated, new: Repeated, task: str) -> list[int]:
    """Return the numbers of the runs that both have on a benchmark; one that is trained once is the same in all."""
    several = (each for each in (old, new) if not each.trained_once)
    sides = [{number for number, run in each.runs.items() if task in run.records} for each in several]
    return sorted(set.intersection(*sides)) if sides else []


def _scores(side: Repeated, task: str, numbers: Sequence[int]) -> list[TaskScore]:
    return [side.runs[1 if side.trained_once else number].records[task].score for number in numbers]


def _contrast(contrast: Contrast, old: Repeated, new: Repeated, found: RecipeChange) -> RecipeContrast:
    numbers = _common(old, new, contrast.task)
    before, after = ([score.value for score in _scores(side, contrast.task, numbers)] for side in (old, new))
    return RecipeContrast(
        task=contrast.task,
        other=contrast.other,
        runs=len(numbers),
        before=fmean(before),
        after=fmean(after),
        before_sd=None if old.trained_once else 100 * stdev(before),
        after_sd=None if new.trained_once else 100 * stdev(after),
        spread=found.spread,
        recipe=judge(found.change),
        checkpoint=Judged(contrast.overall.change, contrast.overall.p_adjusted, contrast.overall.verdict),
        metric=contrast.metric,
    )
