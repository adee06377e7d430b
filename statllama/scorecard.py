"""The scorecard: all stacks on all benchmarks, each compared with the base and with its parent. Pure data, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from statllama.errors import EvaluationError
from statllama.paired import Change, paired_change, verdict
from statllama.scores import Drift, TaskScore


class IncomparableError(EvaluationError):
    """Scores that do not measure the same thing."""

    exit_code = 2


def compare_scores(before: TaskScore, after: TaskScore) -> Change:
    """`paired_change` of two recorded scores. Raises IncomparableError unless they are of the same items."""
    for what in ("task", "metric", "n"):
        old, new = getattr(before, what), getattr(after, what)
        if old != new:
            raise IncomparableError(
                f"{before.task}: the scores cannot be compared: {what} is {old!r} and {new!r}",
                remedy="score both with the same evaluation settings",
            )
    for row, (old, new) in enumerate(zip(before.item_ids, after.item_ids, strict=True), start=1):
        if old != new:
            raise IncomparableError(
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
    drift: Drift | None = None
    """How far its predictions have moved; None where that was not measured."""


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


def scorecard(
    rows: Sequence[tuple[str, str | None, Sequence[TaskScore]]], drifts: Mapping[str, Drift] | None = None
) -> Scorecard:
    """The scorecard of `rows` (name, parent's name, scores): the base first, parents before children.

    `drifts`: {name: its drift}, as far as measured.

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
        built.append(Row(name, parent, cells, (drifts or {}).get(name)))
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
