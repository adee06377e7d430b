"""How often checks and a person agree, over all rows of a build.

The sample is stratified: so many rows of those kept, so many of each reason. Each judged row stands for N_h / n_h rows,
where its stratum has N_h in the build and n_h that were judged; all shares are of such weights. Rows that the person is
unsure of are judged, but neither agree nor disagree. A stratum of which nothing was judged is in no figure; `covered`
says what share of the rows has a stratum that is.

Intervals are of 95 %, with the effective number of rows of unequal weights, n = (sum w)^2 / sum w^2 (Kish 1965, "Survey
Sampling", 11.7): that of Wilson for a share (1927, "Probable inference, the law of succession, and statistical
inference"), that of Fleiss, Cohen and Everitt for kappa (1969, "Large sample standard errors of kappa and weighted
kappa", formula 13). Where all agree the latter has no width; then kappa's interval is that which follows from
Wilson's interval of the agreement with the margins as they are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from statllama.data.build.check.checks import check_names
from statllama.data.build.review.sampling import KEPT, Item, Sample, strata
from statllama.data.build.review.verdicts import Decision, Verdict, decided

_Z = NormalDist().inv_cdf(0.975)
Interval = tuple[float, float]
BUILD = "all checks"
"""The name under which the build's own decision is compared: kept, or left out for whatever reason."""


@dataclass(frozen=True)
class Table:
    """Rows by what a check and a person say: counts, or sums of weights. `keep` is that a check passed a row."""

    both_keep: float
    check_keeps: float
    """The check keeps what the person drops."""
    person_keeps: float
    """The check drops what the person keeps."""
    both_drop: float

    @property
    def total(self) -> float:
        """Return the sum."""
        return self.both_keep + self.check_keeps + self.person_keeps + self.both_drop


@dataclass(frozen=True)
class Agreement:
    """A check and a person. `raw`: rows that were judged; `weighted`: rows of the build that they stand for.

    `share`: of the rows of the build on which both say the same; `kappa`: None where chance alone gives full agreement.
    """

    check: str
    raw: Table
    weighted: Table
    effective: float
    unsure: int
    unchecked: int
    """Judged rows of which the check could not tell, or which it was not asked about."""
    share: float
    share_interval: Interval
    kappa: float | None
    kappa_interval: Interval | None


@dataclass(frozen=True)
class Stratum:
    """The rows of one reason, or those kept, and what the person says of those that were judged."""

    name: str
    rows: int
    shown: int
    keep: int
    drop: int
    unsure: int
    right: float | None
    """Share of the decided ones for which the person says what the build did."""
    interval: Interval | None


@dataclass(frozen=True)
class Review:
    """What verdicts say of a build's checks."""

    strata: tuple[Stratum, ...]
    checks: tuple[Agreement, ...]
    judged: int
    covered: float
    changed: int
    """Verdicts on rows that say something else now; they count for nothing."""


def review(sample: Sample, verdicts: Iterable[Verdict]) -> Review:
    """Return how build and person agree. Verdicts on rows that are not in the sample count for nothing."""
    decisions, changed = decided(verdicts, {item.row["id"]: item.digest for item in sample.items})
    judged = [item for item in sample.items if item.row["id"] in decisions]
    counts = Counter(item.stratum for item in judged)
    weights = {item.row["id"]: sample.sizes[item.stratum] / counts[item.stratum] for item in judged}
    there = {name for item in judged for name in item.checks}
    names = [BUILD, *(name for name in check_names() if name in there)]
    total = sum(sample.sizes.values())
    return Review(
        tuple(_stratum(name, sample, judged, decisions) for name in strata(sample)),
        tuple(filter(None, (agreement(name, judged, decisions, weights) for name in names))),
        len(judged),
        sum(sample.sizes[name] for name in counts) / total if total else 0.0,
        changed,
    )


def _stratum(name: str, sample: Sample, judged: Sequence[Item], decisions: Mapping[str, Decision]) -> Stratum:
    mine = [item for item in judged if item.stratum == name]
    said = Counter(decisions[item.row["id"]] for item in mine)
    right, count = said["keep" if name == KEPT else "drop"], said["keep"] + said["drop"]
    shown = sum(item.stratum == name for item in sample.items)
    figures = (right / count, wilson(right / count, count)) if count else (None, None)
    return Stratum(name, sample.sizes[name], shown, said["keep"], said["drop"], said["unsure"], *figures)


def agreement(
    check: str, judged: Sequence[Item], decisions: Mapping[str, Decision], weights: Mapping[str, float]
) -> Agreement | None:
    """Return how one check and the person agree on the judged rows; None where no row has both.

    `decisions`, `weights`: by the row's id.
    """
    cells: dict[tuple[bool, bool], list[float]] = {(a, b): [] for a in (True, False) for b in (True, False)}
    unsure = unchecked = 0
    for item in judged:
        keeps = _keeps(check, item)
        decision = decisions[item.row["id"]]
        if keeps is None:
            unchecked += 1
        elif decision == "unsure":
            unsure += 1
        else:
            cells[keeps, decision == "keep"].append(weights[item.row["id"]])
    each = [weight for found in cells.values() for weight in found]
    if not each:
        return None
    raw, weighted = (
        Table(*(value(cells[place]) for place in ((True, True), (True, False), (False, True), (False, False))))
        for value in (len, math.fsum)
    )
    effective = math.fsum(each) ** 2 / math.fsum(weight**2 for weight in each)
    share = (weighted.both_keep + weighted.both_drop) / weighted.total
    found = kappa(weighted, effective)
    return Agreement(
        check, raw, weighted, effective, unsure, unchecked, share, wilson(share, effective),
        found[0] if found else None, found[1] if found else None,
    )  # fmt: skip


def _keeps(check: str, item: Item) -> bool | None:
    if check == BUILD:
        return item.kept
    passed = item.checks.get(check, {}).get("passed")
    return passed if isinstance(passed, bool) else None


def wilson(share: float, count: float) -> Interval:
    """Return Wilson's 95 % interval of a share of `count` rows, which may be an effective number.

    >>> [round(end, 3) for end in wilson(1.0, 20)]
    [0.839, 1.0]
    """
    center = share + _Z**2 / (2 * count)
    half = _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    scale = 1 + _Z**2 / count
    return max(0.0, (center - half) / scale), min(1.0, (center + half) / scale)


def kappa(table: Table, count: float) -> tuple[float, Interval] | None:
    """Return Cohen's kappa of a 2x2 table with its 95 % interval, of `count` rows; None where it is not defined.

    >>> value, (low, high) = kappa(Table(20, 5, 10, 15), 50)
    >>> round(value, 3), round(low, 3), round(high, 3)
    (0.4, 0.151, 0.649)
    """
    cells = [[table.both_keep, table.check_keeps], [table.person_keeps, table.both_drop]]
    p = [[cell / table.total for cell in row] for row in cells]
    rows = [sum(row) for row in p]
    columns = [p[0][0] + p[1][0], p[0][1] + p[1][1]]
    observed = p[0][0] + p[1][1]
    expected = rows[0] * columns[0] + rows[1] * columns[1]
    if math.isclose(expected, 1.0):
        return None
    value = (observed - expected) / (1 - expected)
    on = sum(p[i][i] * ((1 - expected) - (rows[i] + columns[i]) * (1 - observed)) ** 2 for i in (0, 1))
    off = (1 - observed) ** 2 * sum(p[i][j] * (columns[i] + rows[j]) ** 2 for i, j in ((0, 1), (1, 0)))
    variance = (on + off - (observed * expected - 2 * expected + observed) ** 2) / (count * (1 - expected) ** 4)
    if variance <= 1e-15:
        low, high = ((end - expected) / (1 - expected) for end in wilson(observed, count))
        return value, (max(-1.0, low), min(1.0, high))
    half = _Z * math.sqrt(variance)
    return value, (max(-1.0, value - half), min(1.0, value + half))
