"""The part of a study's page about a sweep: its trials, the best one, and what mattered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from statllama.evaluation.unit import Unit, unit_of
from statllama.report import tables, words
from statllama.report.plot import axes_at, figure_of, is_narrow, paint, short
from statllama.report.svg import PAINT, picture
from statllama.report.tables import Cell, Table
from statllama.runs.sweep import Sweep, Trial
from statllama.runs.variants import as_arguments, short_names, shown, spoken

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 190
"""Height of a panel in pixels."""


@dataclass(frozen=True)
class SweepPart:
    """The contents of that part."""

    summary: str
    command: str
    """The best trial's values as arguments of `statllama run`; empty without a best one."""
    picture: Markup | None
    trials: Table
    matters: Table | None
    by: str


def sweep_part(sweep: Sweep) -> SweepPart:
    """Return the part for a sweep."""
    unit, best = unit_of(sweep.metric), sweep.best
    return SweepPart(
        summary=summary(sweep),
        command=as_arguments(best.settings) if best else "",
        picture=_picture(sweep, unit),
        trials=_trials(sweep, unit),
        matters=_matters(sweep),
        by=sweep.by,
    )


def summary(sweep: Sweep) -> str:
    """Say in a sentence or two how many trials there were, and which was the best."""
    counts = {state: sum(trial.state == state for trial in sweep.trials) for state in ("done", "pruned", "failed")}
    other = "".join(f", {n} {state}" for state, n in counts.items() if n and state != "done")
    time = words.duration(sum(trial.seconds for trial in sweep.trials))
    text = f"{words.several(len(sweep.trials), 'trial')} ({counts['done']} finished{other}), {time} of training."
    if (best := sweep.best) is None or best.value is None:
        return f"{text} None finished, so there is no best one."
    figure, what, values = unit_of(sweep.metric).spoken(best.value), sweep.objective, spoken(best.settings)
    chosen = f"Best on {what}: trial {best.number} with {figure} ({values})."
    return f"{text} {chosen} It was selected on {what}, so that is no test score."


def _trials(sweep: Sweep, unit: Unit) -> Table:
    names = short_names(tuple(sweep.trials[0].settings)) if sweep.trials else {}
    several = any(len(trial.values) > 1 for trial in sweep.trials)
    columns = ("trial", *names.values(), sweep.objective, *(("runs",) * several), "training", "state")
    rows: list[Sequence[str | Cell]] = []
    for trial in sweep.ranked:
        runs = (", ".join(unit.spoken(value) for value in trial.values) or words.DASH,) * several
        value = words.DASH if trial.value is None or trial.state != "done" else unit.spoken(trial.value)
        settings = (shown(trial.settings[field]) for field in names)
        rows.append((str(trial.number), *settings, value, *runs, words.duration(trial.seconds), state_of(trial)))
    return tables.table(f"Trials, the best on {sweep.objective} first ({unit.words})", columns, rows, "state")


def state_of(trial: Trial) -> str:
    """Return what became of a trial."""
    if trial.state == "pruned":
        return f"pruned at step {trial.step}"
    return trial.state if not trial.why else f"failed: {trial.why.splitlines()[0]}"


def _matters(sweep: Sweep) -> Table | None:
    if not sweep.matters:
        return None
    names = short_names(tuple(sweep.matters))
    ranked = sorted(sweep.matters.items(), key=lambda pair: -pair[1])
    rows = [(names[field], f"{100 * share:.0f} %") for field, share in ranked]
    return tables.table("Share of the variance between trials", ("field", "share"), rows)


def _picture(sweep: Sweep, unit: Unit) -> Markup | None:
    """Draw the score of each finished trial against each field, the best marked. None for fewer than two."""
    done = [trial for trial in sweep.trials if trial.state == "done" and trial.value is not None]
    if len(done) < 2:
        return None
    fields = tuple(done[0].settings)
    names = short_names(fields)
    return picture(
        "sweep",
        f"Trials on {sweep.objective}",
        f"The {unit.metric or sweep.objective} of each finished trial against {', '.join(names.values())}; the best "
        "trial is filled.",
        lambda width: _draw(done, fields, names, sweep, unit, width),
    )


def _draw(
    done: Sequence[Trial], fields: Sequence[str], names: dict[str, str], sweep: Sweep, unit: Unit, width: int
) -> Figure:
    columns = 1 if is_narrow(width) else min(3, len(fields))
    left, gap, below = 58, 20, 52
    each = (width - gap * (columns - 1)) / columns
    rows = -(-len(fields) // columns)
    figure = figure_of(width, rows * (PANEL + below + 14))
    for index, field in enumerate(fields):
        row, column = divmod(index, columns)
        top = row * (PANEL + below + 14) + 12
        ax = axes_at(figure, column * (each + gap) + left, top, each - left - 10, PANEL)
        _panel(ax, done, field, sweep, unit)
        ax.set_xlabel(short(names[field], each - left))
        if column == 0:
            ax.set_ylabel(short(f"{unit.metric} on {sweep.objective}", PANEL))
    return figure


def _panel(ax: Axes, done: Sequence[Trial], field: str, sweep: Sweep, unit: Unit) -> None:
    values = [trial.settings[field] for trial in done]
    scores = [unit.score(trial.value or 0.0) for trial in done]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if numbers:
        places = [float(value) for value in values]
        if min(places) > 0 and max(places) / min(places) >= 10:
            ax.set_xscale("log")
            ax.minorticks_off()
            ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")  # matplotlib's own is in TeX
    else:
        labels = list(dict.fromkeys(shown(value) for value in values))
        places = [float(labels.index(shown(value))) for value in values]
        ax.set_xticks(range(len(labels)), [short(label, 80) for label in labels])
        ax.set_xlim(-0.5, len(labels) - 0.5)
    best = done.index(sweep.best) if sweep.best in done else 0
    ax.plot(places, scores, "o", color=paint(0), markersize=6, fillstyle="none")
    ax.plot(places[best : best + 1], scores[best : best + 1], "o", color=paint(0), markersize=9)
    ax.grid(axis="y", color=PAINT["grid"])
