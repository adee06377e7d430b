"""Draws the state of a run in a few lines of the terminal: pure functions of the state, the width and the time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.text import Text

from statllama.cli.console.terminal import readable_bytes, visible
from statllama.evaluation.unit import unit_of
from statllama.runs.watch.run_state import Activity, RunState, StageState, newest

LINES = 4
"""Height of the frame of a run: always the same, so that what stands above it never moves."""
BLOCKS = "▁▂▃▄▅▆▇█"
MARKS = {"waiting": "○", "cached": "✓", "training": "●", "scoring": "●", "done": "✓", "failed": "✗"}
STYLES = {"waiting": "dim", "cached": "green", "training": "bold cyan", "scoring": "bold cyan", "done": "green"}
ASCII = str.maketrans("✓●○✗━─·", "*>.x=-,")
WIDEST_BAR, NARROWEST_BAR = 50, 8
FIGURES = (
    ("reward", "reward {:.3f}"),
    ("kl", "KL {:.2g}"),
    ("completions/mean_length", "length {:.0f}"),
    ("completions/clipped_ratio", "cut {:.0%}"),
    ("rewards/margins", "margin {:.3f}"),
    ("rewards/accuracies", "accuracy {:.0%}"),
    ("holdout_loss", "held-out {:.3f}"),
    ("holdout_accuracy", "held-out accuracy {:.0%}"),
    ("task_score", "validated {:.1%}"),
    ("replay_loss", "replay {:.4f}"),
    ("anchor_kl", "anchor KL {:.2g}"),
    ("anchor_coefficient", "x {:.3g}"),
    ("drift", "drift {:.3g}"),
    ("grad_norm", "|grad| {:.3g}"),
    ("learning_rate", "lr {:.2g}"),
)
"""Figures beside the loss, the most telling first."""


@dataclass(frozen=True)
class Part:
    """Which pipeline of how many a run is in its study."""

    number: int
    total: int


def frame(state: RunState, width: int, now: float, part: Part | None = None, *, ascii_only: bool = False) -> list[Text]:
    """Return the lines of a run, each at most `width` columns: `LINES` of them; one where no run is planned, as for
    `eval`. What does not fit is left out, the least telling first.
    """
    if not state.goes_on:
        lines = [_activity(state, width, now)]
    else:
        lines = [_stages(state, width, part), _activity(state, width, now), _curve(state, width, ascii_only)]
        lines.append(_machine(state, width, now))
    return fitted(lines, width, ascii_only=ascii_only)


def stages_line(state: RunState, width: int, *, ascii_only: bool = False) -> list[Text]:
    """Return the line of a run's name and stages."""
    return fitted([_stages(state, width, None)], width, ascii_only=ascii_only)


def fitted(lines: list[Text], width: int, *, ascii_only: bool) -> list[Text]:
    """Return the lines, cut at the width, in the signs that the terminal has."""
    for line in lines:
        if ascii_only:
            line.plain = line.plain.translate(ASCII).encode("ascii", "replace").decode()
        line.truncate(width, overflow="ellipsis")
    return lines


def fitting(parts: Iterable[Text | str], width: int, gap: str = "  ") -> Text:
    """Return a line of as many of the parts as fit, the first ones first."""
    line = Text(no_wrap=True)
    for part in parts:
        text = Text(part) if isinstance(part, str) else part
        if text.cell_len and line.cell_len + text.cell_len + (len(gap) if line.cell_len else 0) <= width:
            line.append(gap if line.cell_len else "")
            line.append_text(text)
    return line


def _stages(state: RunState, width: int, part: Part | None) -> Text:
    """Return the run's name and its stages with their states; counts where there is no room for the names."""
    count = f"{state.trained} of {len(state.stages)} stages"
    head = Text(visible(state.name), style="bold")
    if part is not None:
        head.append(f" (pipeline {part.number} of {part.total})", style="not bold")
    marks = Text()
    for stage in state.stages.values():
        marks.append(" " if marks.cell_len else "")
        marks.append(f"{MARKS[stage.doing]} {visible(stage.name)}", style=STYLES.get(stage.doing, "red"))
    if head.cell_len + marks.cell_len + len(count) + 4 <= width:
        return fitting([head, marks, Text(count, style="dim")], width)
    current = state.current
    now = Text(f"{MARKS[current.doing]} {visible(current.name)}", style=STYLES[current.doing]) if current else ""
    return fitting([head, now, count], width)


def _activity(state: RunState, width: int, now: float) -> Text:
    """Return what is done now: its name, a bar, how much of how much, and the time that is left of it."""
    activity = state.activity
    if activity is None:  # a library is loaded, or drift is measured, which tell nothing of how far they are
        return Text("working ..." if state.goes_on else "", style="dim")
    total, left = activity.total, _left(state, activity, now)
    name = Text(spoken(activity), style="bold")
    if not total:
        return fitting([name, f"{duration(max(0.0, now - activity.began))}"], width)
    counts = f"{activity.done:,}/{total:,}"
    if activity.kind == "writing":
        counts = f"{readable_bytes(activity.done)} of {readable_bytes(total)}"
    ends = [counts, *([f"{duration(left)} left"] if left is not None else [])]
    room = width - name.cell_len - sum(len(end) + 2 for end in ends) - 2
    done = bar(activity.done / total, min(room, WIDEST_BAR)) if room >= NARROWEST_BAR else Text()
    return fitting([name, done, *ends], width)


def _left(state: RunState, activity: Activity, now: float) -> float | None:
    if activity.kind == "training":
        known = state.stage_eta(activity.what, now) if activity.what in state.stages else None
        return known[0] if known else None
    return activity.left(now)


def spoken(activity: Activity) -> str:
    """Return an activity in words."""
    words = {"preparing": f"{activity.what} data", "scoring": activity.what, "writing": f"writing {activity.what}"}
    words |= {
        "validating": f"validating {activity.what}",
        "generating": f"writing {activity.what}",
        "training": activity.what,
        "loading": activity.what,
        "waiting": f"waiting for {activity.what}",
    }
    return visible(words[activity.kind])


def bar(share: float, columns: int) -> Text:
    """Return a bar that is full to a share of its columns."""
    full = round(columns * min(1.0, max(0.0, share)))
    return Text("━" * full, style="cyan").append("─" * (columns - full), style="dim")


def _curve(state: RunState, width: int, ascii_only: bool) -> Text:
    """Return the curve of the stage's loss (of its reward, for grpo) and its newest figures; scores while it is
    scored.
    """
    activity, stage = state.activity, state.current
    if activity is not None and activity.kind == "scoring":
        return _scores(state, activity, width)
    if stage is None or not stage.series.rows:
        return Text()
    figures = dict(newest(stage))
    name = "reward" if "reward" in figures else "loss"
    values = [value for value in stage.series.of(name) if value is not None]
    columns = min(30, max(10, width // 4))
    curve = Text("" if ascii_only else sparkline(values, columns), style="cyan")
    parts = [shape.format(figures[key]) for key, shape in FIGURES if key in figures and key != name]
    change = f"{name} {values[0]:.4g} -> {values[-1]:.4g}" if len(values) > 1 else f"{name} {values[-1]:.4g}"
    return fitting([change, curve, *parts], width)


def sparkline(values: Sequence[float], columns: int) -> str:
    """Return values as blocks of eight heights in at most so many columns, each the mean of the values that it
    stands for: the lowest value is the lowest block.
    """
    finite = [value for value in values if math.isfinite(value)]
    columns = min(columns, len(finite))
    edges = [round(i * len(finite) / columns) for i in range(columns + 1)] if columns else [0]
    means = [sum(finite[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means, default=0.0), max(means, default=0.0)
    top = len(BLOCKS) - 1
    return "".join(BLOCKS[round((value - low) / (high - low) * top) if high > low else top // 2] for value in means)


def _scores(state: RunState, activity: Activity, width: int) -> Text:
    """Return what the stacks before scored on the benchmark under way."""
    task = activity.what.rpartition(" on ")[2]
    scores = {name: found[task] for name, found in state.scores.items() if task in found}
    known = [f"{visible(name)} {unit_of(score.metric).spoken(score.value)}" for name, score in scores.items()]
    return fitting(["so far:", *known] if known else [], width)


def _machine(state: RunState, width: int, now: float) -> Text:
    """Return the time that is left of the run and that has passed, the speed, and the memory with its label."""
    parts = [f"run: {left_of(state, now)}"]
    if state.activity is not None and state.activity.kind == "training" and (stage := state.current) is not None:
        parts += [f"{stage.tokens_per_second:,.0f} tok/s"] if stage.tokens_per_second else []
        parts += [memory(stage)] if stage.memory_bytes else []
    passed = f"{duration(max(0.0, now - state.started))} passed"
    return fitting([*parts, passed], width, " · ")


def left_of(state: RunState, now: float) -> str:
    """Return the time that is left of the run; `at least` where that of a part is not known yet."""
    eta = state.eta(now)
    if eta.without and not eta.seconds:
        return "time left not known yet"
    return f"{'at least ' if eta.without else ''}{duration(eta.seconds)} left"


def memory(stage: StageState) -> str:
    """Return the stage's peak memory and what it is of."""
    return f"{readable_bytes(stage.memory_bytes)} {'GPU' if stage.on_gpu else 'resident'} peak"


def duration(seconds: float) -> str:
    """Return 1:02 or 3:01:02; `?` for what is not finite."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
