"""What a benchmark can show: the smallest change that a test finds, and whether a gate can be held. Pure mathematics.

It depends on how many items two models answer differently (discordance) and on how much clusters of items take away
(design effect). Both are measured where models are scored. Before that they are assumed: see `assumed`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Literal

from statllama.config.metrics import LIKELIHOOD, LOG_PROBABILITY
from statllama.evaluation.clusters import design_effect, sums_of
from statllama.evaluation.paired import ALPHA, WIDEST, Change
from statllama.evaluation.scores import TaskScore
from statllama.evaluation.student import t_quantile
from statllama.evaluation.unit import unit_of

POWER = 0.8
CORRELATION = 0.5  # of two models' scores of the same items; 0.3 to 0.7 in Miller (2024, arXiv 2411.00640)
WITHIN = 0.1  # correlation of two items' changes within a cluster
MOST_ITEMS = 1_000_000  # nobody writes more for a gate

Basis = Literal["measured", "base scored", "assumed"]
NORMAL = NormalDist()


def smallest_change(
    n: int,
    discordance: float,
    level: float = ALPHA,
    power: float = POWER,
    design_effect: float = 1.0,
    clusters: int | None = None,
) -> float:
    """Return the smallest change, in points, that a two-sided test at `level` finds with this power, on `n` items.

    `discordance`: share of the items that the two models answer differently; the change itself where it is larger.
    Connor (1987, Biometrics 43, 207-211), of n / `design_effect` items: n delta^2 = (z_a sqrt(D) + z_b sqrt(D -
    delta^2))^2. At least as many items change one way as the sign test needs, log2(1 / level). 100 where none is found.
    With `clusters`, z_a is Student's t of their test, and the sign test needs as many clusters.
    """
    for_level, for_power = NORMAL.inv_cdf(1 - level / 2), NORMAL.inv_cdf(power)
    if clusters is not None and clusters < n:
        if clusters < max(2.0, -math.log2(level)):
            return 100.0
        for_level = _quantile(level / 2, clusters - 1)
    items = n / design_effect

    def found(delta: float) -> bool:
        changed = max(discordance, delta)
        unit = for_level * math.sqrt(changed) + for_power * math.sqrt(changed - delta**2)
        return items * delta**2 >= unit**2 and items * delta >= -math.log2(level)

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return 100 * high


@dataclass(frozen=True)
class Design:
    """A benchmark's items, as far as they bear on what two models' scores of them can show."""

    items: int
    clusters: int
    """Equal to `items` where items have none."""
    accuracy: float
    """Share that the base answers right, measured or assumed."""
    discordance: float
    """Share of items that two models answer differently."""
    design_effect: float
    """`items` over the number of items without clusters that would say as much."""
    basis: Basis
    """Source of discordance and design effect: `measured` on scored stacks; the base's score alone, by assumption; or
    nothing scored."""

    @property
    def effective(self) -> float:
        """Return the number of items without clusters that would say as much."""
        return self.items / self.design_effect

    def smallest_change(self, tests: int = 1) -> float:
        """Return the smallest change, in points, that is shown with 80 % power among `tests`; 100 where none is."""
        effect, clusters = self.design_effect, self.clusters
        return smallest_change(self.items, self.discordance, ALPHA / tests, design_effect=effect, clusters=clusters)

    def held(self, budget: float, level: float = ALPHA) -> float:
        """Return the chance that a gate of `budget` points comes out `held` when the true change is zero.

        Normal approximation of `paired.judge_budget`: the measured change has variance D x effect / n, and the test's
        unit is that of a true loss of the budget, for which as many items at least must change.
        """
        n, allowed = self.items, -budget / 100
        if self.clusters < 2 or not allowed:
            return 0.0
        changed = max((self.discordance * n + 1) * n / (n + 2) ** 2, allowed - allowed**2)
        unit = math.sqrt(changed * self.design_effect / n)
        margin = allowed - _quantile(level, self.clusters - 1) * unit
        spread = math.sqrt(self.discordance * self.design_effect / n)
        return NORMAL.cdf(margin / spread) if spread else float(margin > 0)

    def items_to_hold(self, budget: float, level: float = ALPHA) -> int | None:
        """Return the least number of items, clustered alike, with which `held` is `POWER` or more; None beyond
        `MOST_ITEMS`, as of a budget of 0.
        """
        low, high = 1, MOST_ITEMS
        if self.of(high).held(budget, level) < POWER:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.of(middle).held(budget, level) >= POWER else (middle, high)
        return high

    def of(self, items: int) -> Design:
        """Return the same benchmark with another number of items, clustered alike."""
        clusters = max(1, round(items * self.clusters / self.items))
        return Design(items, clusters, self.accuracy, self.discordance, self.design_effect, self.basis)


def measured(accuracy: float, changes: Iterable[Change]) -> Design:
    """Return the design of a benchmark on which changes were measured: their mean discordance and design effect.

    Half an item more is counted as gained and half as lost, as in the tests, so that equal answers are no certainty.
    Graded scores that differ a little count as a whole item, so their smallest change is an upper bound.
    """
    found = list(changes)
    discordance = fmean((change.gained + change.lost + 1) / (change.n + 2) for change in found)
    effect = fmean(change.n / change.effective for change in found)
    return Design(found[0].n, found[0].clusters, accuracy, discordance, effect, "measured")


def of_base(base: TaskScore) -> Design:
    """Return the design of a benchmark on which the base alone is scored.

    Discordance is that of two models of its accuracy a whose scores correlate by 0.5: a (1 - a). The design effect is
    that of its own score.
    """
    sums = sums_of(base.items, base.clusters)
    discordance = _discordance(base.value, base.n)
    return Design(base.n, len(sums), base.value, discordance, design_effect(base.items, sums), "base scored")


def assumed(sizes: Iterable[int], accuracy: float = 0.5) -> Design:
    """Return the design of a benchmark that nothing is scored on. `sizes`: number of items in each cluster.

    Discordance as in `of_base`, at the accuracy where it is largest unless another is given. Two items of a cluster
    correlate by 0.1, so the design effect is 1 + 0.1 (m - 1), m being the size of a mean item's cluster (Kish 1965,
    Survey Sampling, 8.2).
    """
    found = list(sizes)
    n = sum(found)
    effect = 1 + WITHIN * (sum(size**2 for size in found) / n - 1)
    return Design(n, len(found), accuracy, _discordance(accuracy, n), effect, "assumed")


@dataclass(frozen=True)
class Smallest:
    """What scored items could show."""

    change: float
    """Smallest change from the base, in points, that is shown with 80 % power; 100 where none is."""
    tests: int
    """Number of changes that are judged together."""
    metric: str = ""
    """The benchmark's metric, where a change is not told in points."""

    def __str__(self) -> str:
        unit = unit_of(self.metric)
        if self.change >= 100 and not unit.loss:
            return "80 % power for no true change: too few items"
        among = f", among {self.tests:,} changes" if self.tests > 1 else ""
        return f"80 % power for a true change of {unit.size(self.change)}{among}"


def smallest_for(metric: str, accuracy: float, changes: Iterable[Change]) -> Smallest | None:
    """Return `smallest_of`, or of a metric that every model moves a little on every item `smallest_smooth`."""
    if metric not in (LIKELIHOOD, LOG_PROBABILITY):
        return smallest_of(accuracy, changes)
    return smallest_smooth(changes, metric if metric == LOG_PROBABILITY else "")


def smallest_of(accuracy: float, changes: Iterable[Change]) -> Smallest | None:
    """Return what the items of measured changes from a base of this accuracy could show; None without any."""
    found = list(changes)
    if not found:
        return None
    tests = max(change.tests for change in found)
    return Smallest(measured(accuracy, found).smallest_change(tests), tests)


def smallest_smooth(changes: Iterable[Change], metric: str = "") -> Smallest | None:
    """Return what the items of measured changes of likelihoods could show, by Student's t; None without any.

    (t_a + z_b) times the changes' mean standard error. Their items all change a little, so that `smallest_of`, which
    counts those that do, would say that next to nothing shows.
    """
    found = [change for change in changes if change.stderr is not None]
    if not found:
        return None
    tests = max(change.tests for change in found)
    needed = _quantile(ALPHA / tests / 2, found[0].clusters - 1) + NORMAL.inv_cdf(POWER)
    most = 100 * (WIDEST if metric else 1.0)
    return Smallest(min(most, needed * fmean(change.stderr or 0.0 for change in found)), tests, metric)


def _quantile(level: float, degrees: int) -> float:
    """Return the upper quantile of Student's t, of the normal distribution where they differ by less than 0.002."""
    return t_quantile(level, degrees) if degrees <= 1000 else NORMAL.inv_cdf(1 - level)


def _discordance(accuracy: float, n: int) -> float:
    """Return 2 a (1 - a) (1 - CORRELATION), the share that differs of two models of accuracy a; of an item at least."""
    return max(2 * accuracy * (1 - accuracy) * (1 - CORRELATION), 1 / (n + 2))
