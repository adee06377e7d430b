"""The page's tables, as rows of text: every number of the charts, and more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from statllama.evaluation.meaning import floors
from statllama.report import words
from statllama.report.curves import Panel, points_of
from statllama.report.data import Benchmark, Delta, DialData, DialPoint, Gate, Source, Stage
from statllama.report.now import Now

LOGGED_ROWS = 12
"""Steps of each stage in the table of training curves."""


@dataclass(frozen=True)
class Cell:
    """One cell. `kind` is how its last line is marked: `better`, `worse`, `same` or nothing."""

    text: str
    kind: str = ""
    below: tuple[str, ...] = ()
    """Further lines, smaller."""


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each row is its heading."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words_in: frozenset[int] = frozenset({0})
    """Columns that hold words, set on the left; the others hold numbers, set on the right."""


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str | Cell]], words_in: str = "") -> Table:
    """Return a table of these rows. `words_in` names further columns of words, separated by commas."""
    named = {0, *(columns.index(name) for name in words_in.split(",") if name)}
    cells = tuple(tuple(c if isinstance(c, Cell) else Cell(c) for c in row) for row in rows)
    return Table(caption, tuple(columns), cells, frozenset(named))


def stages(found: Sequence[Stage]) -> Table:
    """Return a table of the stages and the cost of their training."""
    settings = list(dict.fromkeys(name for stage in found for name in stage.settings))
    timed, held = (any(what in stage.forecast for stage in found) for what in ("seconds", "memory"))
    made = (*("time forecast",) * timed, "time", "tokens/s", *("memory forecast",) * held, "memory")
    columns = ("stage", "type", "on", "trained", *settings, "steps", "tokens", *made, "adapter")
    rows = [
        (
            stage.name,
            stage.type,
            ", ".join(stage.parents) or "base",
            "left out" if stage.left_out else words.moment(stage.created) if stage.trained else "not yet",
            *(stage.settings.get(name, words.DASH) for name in settings),
            words.count(stage.steps),
            words.count(stage.tokens),
            *(words.duration(stage.forecast.get("seconds")),) * timed,
            words.duration(stage.seconds),
            words.count(stage.tokens / stage.seconds if stage.tokens and stage.seconds else None),
            *(words.size(stage.forecast.get("memory")),) * held,
            words.size(stage.peak_memory_bytes),
            words.size(stage.adapter_bytes),
        )
        for stage in found
    ]
    return table("Stages", columns, rows, "type,on,trained")


def logged(found: Sequence[Stage]) -> Table:
    """Return some of each stage's logged steps, evenly spaced, always with its first and last."""
    rows = []
    paid = any(stage.curve is not None and stage.curve.reward for stage in found)
    for stage in found:
        curve = stage.curve
        if curve is None:
            continue
        for i in evenly(len(curve.steps), LOGGED_ROWS):
            figures = [curve.loss[i], curve.learning_rate[i], curve.grad_norm[i]]
            figures += [curve.reward[i] if curve.reward else None] if paid else []
            rows.append((stage.name, words.count(curve.steps[i]), *map(words.figure, figures)))
    caption = f"Training, up to {LOGGED_ROWS} steps of each stage"
    columns = ("stage", "step", "loss", "learning rate", "gradient norm", *(("reward",) if paid else ()))
    return table(caption, columns, rows)


def figures(caption: str, found: Sequence[Stage], panels: Sequence[Panel]) -> Table:
    """Return the range of each figure of a chart by stage, and where it stood at last."""
    rows = []
    for stage in found:
        for panel in panels:
            values = [value for _, value in points_of(stage.curve, panel.name)] if stage.curve is not None else []
            if values:
                numbers = map(words.figure, (values[0], values[-1], min(values), max(values)))
                rows.append((stage.name, panel.title, *numbers))
    return table(caption, ("stage", "figure", "first", "last", "lowest", "highest"), rows, "figure")


def now(found: Now) -> Table:
    """Return what each stage of a run that goes on does; where, if workers train them."""
    columns = ["stage", "state", "step", "time", "loss", "tokens/s", "memory", "drift"]
    rows = [[s.name, s.doing, s.step, s.time, s.loss, s.speed, s.memory, s.drift] for s in found.stages]
    words_in = "state"
    if any(stage.where for stage in found.stages):
        columns.append("where")
        words_in = "state,where"
        rows = [[*row, stage.where or words.DASH] for row, stage in zip(rows, found.stages, strict=True)]
    return table("Stages; drift is from the base, in nats a token", columns, rows, words_in)


def works(found: Now) -> Table:
    """Return what each worker of a run that goes on is at."""
    columns = ("work", "where", "state", "step", "loss", "tokens/s", "time left")
    rows = [(w.name, w.where, w.doing, w.step, w.loss, w.speed, w.left) for w in found.works]
    return table("Workers", columns, rows, "where,state")


def evenly(length: int, most: int) -> list[int]:
    """Return at most `most` indices below `length`, evenly spaced, including the first and the last.

    >>> evenly(9, 3)
    [0, 4, 8]
    """
    if length <= most:
        return list(range(length))
    return [round(i * (length - 1) / (most - 1)) for i in range(most)]


def scores(benchmark: Benchmark) -> Table:
    """Return one benchmark's scores, each compared with the base and with what it was trained on."""
    rows = [
        (
            words.label(score),
            Cell(words.scored(score.estimate), below=(words.interval(score.estimate),)),
            change(score.from_base),
            change(score.from_parent),
        )
        for score in benchmark.scores
    ]
    first = benchmark.scores[0]
    loss = benchmark.unit.loss
    one = ("held-out row" if loss else "held-out pair") if benchmark.held else "item"
    part = words.several(first.n, one) if first.n == first.total else f"the first {first.n:,} of {first.total:,}"
    known = floors(benchmark.chance, benchmark.blind)
    unit = "nats per token (lower is better)" if loss else "per cent"
    caption = f"{benchmark.task}: {benchmark.unit.metric} of {part}, in {unit}{f'; {known}' if known else ''}"
    return table(caption, ("stack", "score", "from base", "from parent"), rows)


def change(delta: Delta | None) -> Cell:
    """Return the cell of a change: it, its interval, and what its test says."""
    if delta is None:
        return Cell(words.DASH)
    tested = f"{'no evidence' if words.kind(delta) == 'same' else delta.verdict}, p {words.p_equals(delta.p)}"
    figures = words.points(delta.change.difference, delta.unit), words.points_interval(delta.change, delta.unit)
    return Cell(figures[0], words.kind(delta), (figures[1], tested))


def changes(benchmarks: Sequence[Benchmark]) -> Table:
    """Return the numbers of a chart of what was gained and forgotten: benchmarks of one unit."""
    rows: list[tuple[str | Cell, ...]] = [
        (
            benchmark.task,
            words.label(score),
            words.points(score.from_base.change.difference, benchmark.unit),
            words.points_interval(score.from_base.change, benchmark.unit),
            words.count(score.from_base.change.gained),
            words.count(score.from_base.change.lost),
            Cell(score.from_base.verdict, words.kind(score.from_base)),
        )
        for benchmark in benchmarks
        for score in benchmark.scores
        if score.from_base is not None
    ]
    unit, columns = benchmarks[0].unit, ["benchmark", "stack", "change", "interval", "gained", "lost", "verdict"]
    if unit.loss:  # every row's loss falls or rises, most by ever so little
        columns, rows = columns[:4] + columns[6:], [row[:4] + row[6:] for row in rows]
    return table(f"Change from the base, in {unit.of_changes_in_full}", columns, rows, "stack,verdict")


def topics(benchmark: Benchmark, last: str) -> Table:
    """Return every stack's score on every topic, and how `last` differs from the base."""
    stacks = [score.stack for score in benchmark.scores]
    rows: list[tuple[str | Cell, ...]] = []
    for topic in benchmark.topics:
        values = [words.percent(topic.estimates[s].value) if s in topic.estimates else words.DASH for s in stacks]
        rows.append((topic.name, words.count(topic.n), *values, change(topic.delta)))
    columns = ("topic", "items", *stacks, f"{last} from base")
    return table(f"{benchmark.task} by topic, in per cent", columns, rows)


def gates(found: Sequence[Gate]) -> Table:
    """Return each budget and what came of it."""
    rows = [
        (
            gate.stage,
            Cell(gate.test.answer, {"broken": "worse", "held": "better", "undecided": ""}[gate.test.answer]),
            gate.task,
            words.points(gate.test.budget, gate.unit),
            Cell(
                words.points(gate.test.difference, gate.unit),
                below=(words.points_bounds(gate.test.lower, gate.test.upper, gate.unit),),
            ),
            gate.against,
        )
        for gate in found
    ]
    columns = ("stage", "gate", "benchmark", "allowed", "change", "from")
    losses = " (of losses in nats per token)" if any(gate.unit.loss for gate in found) else ""
    return table(f"Gates: what a stage may cost, in percentage points{losses}", columns, rows, "gate,benchmark,from")


def drift(found: Sequence[Stage]) -> Table | None:
    """Return the KL divergences in nats per token. None when none was recorded."""
    recorded = [s for s in found if s.drift_base is not None or s.drift_parent is not None]
    if not recorded:
        return None
    rows = [(s.name, words.figure(s.drift_parent), words.figure(s.drift_base)) for s in recorded]
    return table("Drift: KL divergence on probe texts, nats per token", ("stage", "to its parent", "to the base"), rows)


def sources(found: Sequence[Stage]) -> Table | None:
    """Return every source of every stage's data. None when none is recorded."""
    rows = [(stage.name, *_source(source)) for stage in found for source in stage.sources]
    columns = ("stage", "source", "rows", "used", "examples", "tokens", "with loss", "cut", "dropped")
    return table("Data of each stage", columns, rows, "source,dropped") if rows else None


def _source(source: Source) -> tuple[str, ...]:
    dropped = "; ".join(f"{words.count(number)} {reason}" for reason, number in source.dropped.items() if number)
    return (
        source.name,
        words.count(source.rows),
        words.count(source.used),
        words.count(source.examples),
        words.count(source.tokens),
        words.share(source.supervised, source.tokens),
        words.count(source.truncated),
        dropped or "none",
    )


def dial(data: DialData) -> Table:
    """Return the scores at each setting of a dial, and how each differs from the stage as trained."""
    rows: list[tuple[str | Cell, ...]] = [
        (f"{point.scale:g}", *(_setting(point, task) for task in data.tasks)) for point in data.points
    ]
    return table(f"Score by scale of {data.stage}, and change from scale 1", ("scale", *data.tasks), rows)


def _setting(point: DialPoint, task: str) -> Cell:
    found, delta = point.estimates[task], point.deltas.get(task)
    cell = Cell(words.scored(found), below=(words.interval(found),))
    if delta is None:
        return cell
    changed = change(delta)
    return Cell(cell.text, changed.kind, (*cell.below, f"{changed.text} ({changed.below[0]})", changed.below[1]))
