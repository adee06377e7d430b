"""Paired comparison of scores on the same items, and the scorecard made of it. Pure mathematics, no torch.

Two models that answer the same questions are compared question by question: what both get right or both get
wrong says nothing about the change. That is sharper than comparing two accuracies with their separate errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Literal

from statllama.errors import EvaluationError
from statllama.scores import TaskScore, standard_error

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


def compare_scores(before: TaskScore, after: TaskScore) -> Change:
    """`paired_change` of two recorded scores. Raises EvaluationError unless they are of the same items."""
    for what in ("task", "metric", "n"):
        old, new = getattr(before, what), getattr(after, what)
        if old != new:
            raise EvaluationError(
                f"{before.task}: the scores cannot be compared: {what} is {old!r} and {new!r}",
                remedy="score both with the same evaluation settings",
            )
    for row, (old, new) in enumerate(zip(before.item_ids, after.item_ids, strict=True), start=1):
        if old != new:
            raise EvaluationError(
                f"{before.task}: the scores cannot be compared: item {row} is not the same question in both",
                remedy="the benchmark's data changed in between: score both again",
            )
    return paired_change(before.items, after.items)


@dataclass(frozen=True)
class Cell:
    """One stack on one benchmark. `value` and `stderr` are shares between 0 and 1."""

    task: str
    metric: str
    value: float
    stderr: float | None
    n: int
    limited: bool
    from_base: Change | None
    """None for the base itself."""
    from_parent: Change | None
    """None for the base itself."""


@dataclass(frozen=True)
class Row:
    """One stack: `base` or the name of its last stage; `parent` is the row that it started from."""

    name: str
    parent: str | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Scorecard:
    """All stacks (rows, the base first) on all benchmarks (columns, `tasks`)."""

    tasks: tuple[str, ...]
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON-able dict, each change with its `verdict`."""
        data: dict[str, Any] = asdict(self)
        for row, plain in zip(self.rows, data["rows"], strict=True):
            for cell, fields in zip(row.cells, plain["cells"], strict=True):
                for key in ("from_base", "from_parent"):
                    change = getattr(cell, key)
                    if change is not None:
                        fields[key]["verdict"] = verdict(change)
        return data


def scorecard(rows: Sequence[tuple[str, str | None, Sequence[TaskScore]]]) -> Scorecard:
    """The scorecard of `rows` (name, parent's name, scores): the base first, parents before children.

    Raises EvaluationError when rows are not scored on the same benchmarks and items, or a parent is missing.
    """
    if not rows:
        raise EvaluationError("there are no scores to make a scorecard of")
    tasks = tuple(score.task for score in rows[0][2])
    known: dict[str, Sequence[TaskScore]] = {}
    built = []
    for name, parent, scores in rows:
        if tuple(score.task for score in scores) != tasks:
            raise EvaluationError(f"{name} is scored on {[s.task for s in scores]}, {rows[0][0]} on {list(tasks)}")
        if name in known or (known and parent not in known) or (not known and parent is not None):
            raise EvaluationError(f"scorecard: {name!r} appears twice or before its parent {parent!r}")
        base = known[rows[0][0]] if known else None
        above = known[parent] if parent is not None else None
        cells = tuple(
            _cell(score, base[i] if base else None, above[i] if above else None) for i, score in enumerate(scores)
        )
        known[name] = scores
        built.append(Row(name, parent, cells))
    return Scorecard(tasks, tuple(built))


def _cell(score: TaskScore, base: TaskScore | None, parent: TaskScore | None) -> Cell:
    return Cell(
        task=score.task,
        metric=score.metric,
        value=score.value,
        stderr=score.stderr,
        n=score.n,
        limited=score.limited,
        from_base=compare_scores(base, score) if base else None,
        from_parent=compare_scores(parent, score) if parent else None,
    )
