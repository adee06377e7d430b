"""The scorecard: all stacks on all benchmarks, each compared with the base and with its parent. Pure data, no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from statllama.config.blind import Blind
from statllama.config.metrics import BITS
from statllama.errors import EvaluationError
from statllama.evaluation import meaning
from statllama.evaluation.paired import Change, Judged, judge, paired_change, spoken_level
from statllama.evaluation.power import Smallest, smallest_for
from statllama.evaluation.scores import Drift, TaskScore, floor_known
from statllama.evaluation.unit import Unit, unit_of


class IncomparableError(EvaluationError, ValueError):
    """Scores that measure different things."""

    exit_code = 2


def compare_scores(before: TaskScore, after: TaskScore, tests: int = 1) -> Change:
    """Return `paired_change` of two recorded scores. Raises IncomparableError unless they are of the same items."""
    require_comparable(before, after)
    return paired_change(before.items, after.items, after.clusters, tests, after.smooth, after.weights)


def require_comparable(before: TaskScore, after: TaskScore) -> None:
    """Raise IncomparableError unless two scores are of the same items."""
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
                f"{before.task}: the scores cannot be compared: item {row} is a different question in each",
                remedy="the benchmark's data changed in between: score both again",
            )


@dataclass(frozen=True)
class Cell:
    """One stack on one benchmark. `value` and `stderr` are shares between 0 and 1; of a hold-out's metric
    `log_probability` nats per token, minus the loss."""

    task: str
    metric: str
    value: float
    stderr: float | None
    n: int
    limited: bool
    from_base: Judged | None
    """None for the base itself."""
    from_parent: Judged | None
    """None for the base itself; the same as `from_base` for a stack on the base."""
    chance: float | None = None
    """Share that guessing gets right; None where items have no choices."""
    blind: Blind | None = None
    """Blind baseline of the benchmark; None where it states none."""
    loss: float | None = None
    """Mean loss, lower is better: of a benchmark's held-out answers in bits per byte, of a hold-out in nats per
    supervised token, of its pairs' chosen completions. None for other metrics."""
    perplexity: float | None = None
    """exp(loss) of a hold-out; None elsewhere."""
    selected: tuple[str, ...] = ()
    """The stages in the stack whose best step was selected on this score: it is no test score."""

    @property
    def unit(self) -> Unit:
        """Return what people read its figures as."""
        return unit_of(self.metric)


@dataclass(frozen=True)
class Row:
    """One stack: `base` or the name of its last stage; `parent` is the row that it started from."""

    name: str
    parent: str | None
    cells: tuple[Cell, ...]
    drift: Drift | None = None
    """Drift of its predictions; None where not measured."""


@dataclass(frozen=True)
class Scorecard:
    """All stacks (rows, the base first) on all benchmarks (columns, `tasks`)."""

    tasks: tuple[str, ...]
    rows: tuple[Row, ...]
    tests: int
    """Number of changes judged together: those of the recipe where its family is known."""
    smallest: Mapping[str, Smallest]
    """{benchmark: smallest change from the base that its items could show}; empty where nothing is compared."""
    notes: tuple[meaning.Note, ...] = ()
    """Reasons to read scores with care, by benchmark."""

    @property
    def level(self) -> str:
        """Return what intervals and p-values are of, in words."""
        cells = (cell for row in self.rows for cell in row.cells)
        return spoken_level(j.change for cell in cells for j in (cell.from_base, cell.from_parent) if j is not None)

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain JSON values."""
        return asdict(self)


def scorecard(
    rows: Sequence[tuple[str, str | None, Sequence[TaskScore]]],
    drifts: Mapping[str, Drift] | None = None,
    sizes: Mapping[tuple[str, str, str], int] | None = None,
    selected: meaning.Selected | None = None,
) -> Scorecard:
    """Return the scorecard of `rows` (name, parent's name, scores): the base first, parents before children.

    `drifts`: {name: its drift}, as far as measured. `sizes`: {(name, what it is compared with, benchmark): number of
    changes that this one is judged with}; None: all of the scorecard are one family. `selected`: the scores that steps
    were selected on.

    Raises EvaluationError when rows are not scored on the same benchmarks and items, or a parent is missing.
    """
    if not rows:
        raise EvaluationError("a scorecard needs scores")
    tasks = tuple(score.task for score in rows[0][2])
    root, known = rows[0][0], dict[str, Sequence[TaskScore]]()
    pairs: dict[tuple[str, str, str], tuple[TaskScore, TaskScore]] = {}  # by stack, what it is compared with, benchmark
    for name, parent, scores in rows:
        if tuple(score.task for score in scores) != tasks:
            raise EvaluationError(f"{name} is scored on {[s.task for s in scores]}, {root} on {list(tasks)}")
        if name in known or (known and parent not in known) or (not known and parent is not None):
            raise EvaluationError(f"scorecard: {name!r} appears twice or before its parent {parent!r}")
        for other in {root, parent} if parent is not None else ():
            for before, after in zip(known[other], scores, strict=True):
                pairs[name, other, after.task] = before, after
        known[name] = scores
    sizes = sizes or dict.fromkeys(pairs, len(pairs))
    judged = {key: judge(compare_scores(before, after, sizes[key])) for key, (before, after) in pairs.items()}
    floors = {each[0].task: floor_known(each) for each in zip(*(scores for *_, scores in rows), strict=True)}
    built = tuple(
        Row(
            name,
            parent,
            tuple(
                _cell(
                    score,
                    judged.get((name, root, score.task)),
                    None if parent is None else judged[name, parent, score.task],
                    floors[score.task],
                    tuple((selected or {}).get(name, {}).get(score.task, ())),
                )
                for score in scores
            ),
            (drifts or {}).get(name),
        )
        for name, parent, scores in rows
    )
    return Scorecard(
        tasks, built, max(sizes.values(), default=0), dict(_smallest(built)), tuple(_notes(rows, selected))
    )


def _cell(
    score: TaskScore,
    from_base: Judged | None,
    from_parent: Judged | None,
    floor: tuple[float | None, Blind | None],
    selected: tuple[str, ...],
) -> Cell:
    return Cell(
        task=score.task,
        metric=score.metric,
        value=score.value,
        stderr=score.stderr,
        n=score.n,
        limited=score.limited,
        from_base=from_base,
        from_parent=from_parent,
        chance=floor[0],
        blind=floor[1],
        loss=score.others.get(BITS, score.others.get("loss")) if score.smooth or score.held else None,
        perplexity=score.others.get("perplexity") if score.held else None,
        selected=selected,
    )


def _smallest(rows: Sequence[Row]) -> Iterator[tuple[str, Smallest]]:
    for i, cell in enumerate(rows[0].cells):
        changes = [judged.change for row in rows if (judged := row.cells[i].from_base) is not None]
        if seen := smallest_for(cell.metric, cell.value, changes):
            yield cell.task, seen


def _notes(
    rows: Sequence[tuple[str, str | None, Sequence[TaskScore]]], selected: meaning.Selected | None
) -> Iterator[meaning.Note]:
    """Yield what the scores cannot mean, each stack's set against its parent's and the base's."""
    root = rows[0][0]
    before = {name: tuple(dict.fromkeys((parent, root))) for name, parent, _ in rows if parent is not None}
    for i in range(len(rows[0][2])):
        yield from meaning.notes({name: scores[i] for name, _, scores in rows}, before, selected)
