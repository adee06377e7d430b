"""Charts of scores: with intervals, as change from the base over the stages, and by topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from statllama.report.data import Benchmark, Estimate, Topic
from statllama.report.plot import (
    BOLD,
    axes_at,
    bars_across,
    error_bars,
    figure_of,
    is_narrow,
    label_width,
    marker,
    paint,
    percent,
    short,
    signed,
    spread,
)
from statllama.report.svg import PAINT, picture
from statllama.report.words import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_TOPICS = 40
"""Topics in a chart; its table has all of them."""
ROW = 25
"""Pixels from one row of a chart to the next."""


def scores(benchmarks: Sequence[Benchmark]) -> Markup | None:
    """Return every stack's score with its 95 % interval, a panel for each benchmark. None without benchmarks."""
    if not benchmarks:
        return None
    return picture(
        "scores",
        "Scores with 95 % intervals",
        "A panel for each benchmark, with the score of the base and of the stack after each stage, in per cent"
        f"{', losses of held-out rows in nats per token' if any(b.unit.loss for b in benchmarks) else ''}. "
        "The shaded band is the base's interval.",
        lambda width: _draw_scores(benchmarks, width),
    )


def _draw_scores(benchmarks: Sequence[Benchmark], width: int) -> Figure:
    columns = 1 if is_narrow(width) else min(2, len(benchmarks))
    rows = [benchmarks[i : i + columns] for i in range(0, len(benchmarks), columns)]
    each = (width - 24 * (columns - 1)) / columns
    left = 12 + label_width([label(s) for b in benchmarks for s in b.scores], max(120, 0.48 * each))
    heights = [58 + ROW * max(len(b.scores) for b in row) for row in rows]
    figure = figure_of(width, sum(heights))
    for index, row in enumerate(rows):
        for column, benchmark in enumerate(row):
            x, y = column * (each + 24), sum(heights[:index]) + 26
            ax = axes_at(figure, x + left, y, each - left - 12, ROW * len(benchmark.scores))
            loss = ": loss" if is_narrow(width) else ": loss, lower is better"
            title = f"{benchmark.task}{loss if benchmark.unit.loss else ''}"
            ax.set_title(short(title, each, BOLD), pad=6, x=-left / ax.bbox.width)
            _rows_of_scores(ax, benchmark, left)
    return figure


def _rows_of_scores(ax: Axes, benchmark: Benchmark, left: float) -> None:
    shown = benchmark.scores
    base = shown[0].estimate
    ax.axvspan(base.low, base.high, color=PAINT["shade"], linewidth=0, zorder=0)
    ax.axvline(base.value, color=PAINT["line"], linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    _floors(ax, benchmark)
    for place, score in enumerate(shown):
        bars_across(ax, [score.estimate], [place], PAINT["muted"] if place == 0 else paint(0))
    _rows(ax, [short(label(s), left - 10) for s in shown], loss=benchmark.unit.loss)


def _floors(ax: Axes, benchmark: Benchmark) -> None:
    """Draw chance and the blind baseline."""
    if benchmark.chance is not None:
        ax.axvline(100 * benchmark.chance, color=PAINT["muted"], linewidth=1.2, linestyle=(0, (1, 2)), zorder=1)
    if benchmark.blind is not None:
        ax.axvline(100 * benchmark.blind.value, color=PAINT["muted"], linewidth=1, linestyle="-.", zorder=1)


def _rows(ax: Axes, labels: Sequence[str], *, loss: bool = False) -> None:
    """Draw a row for each label, from the top, and per cent below, or a loss."""
    from matplotlib.ticker import MaxNLocator

    ax.set_yticks(range(len(labels)), list(labels))
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0, labelcolor=PAINT["ink"])
    ax.tick_params(axis="x", length=3)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}" if loss else percent(value))
    ax.grid(axis="x")
    ax.spines["left"].set_visible(False)


def changes(benchmarks: Sequence[Benchmark]) -> Markup | None:
    """Draw gains and losses: each benchmark's change from the base over the stages, in points.

    Lines follow parents, so a recipe that branches shows its branches. None without a stage that is scored.
    """
    return _changes("changes", "Gained and forgotten", [b for b in benchmarks if not b.unit.loss])


def losses(benchmarks: Sequence[Benchmark]) -> Markup | None:
    """Draw what `changes` does of the losses on held-out rows, in nats per token: down is better."""
    return _changes("losses", "Change of held-out losses", [b for b in benchmarks if b.unit.loss])


def _changes(ident: str, title: str, benchmarks: Sequence[Benchmark]) -> Markup | None:
    stacks = list(dict.fromkeys(score.stack for b in benchmarks for score in b.scores))
    if len(stacks) < 2:
        return None
    unit = benchmarks[0].unit
    return picture(
        ident,
        title,
        f"Change from the base in {unit.of_changes_in_full} over the stages {', '.join(stacks[1:])}, with intervals, "
        f"a line for each benchmark: {', '.join(_named(b) for b in benchmarks)}. Lines of domain benchmarks are solid."
        f"{' Down is better.' if unit.loss else ''}",
        lambda width: _draw_changes(benchmarks, stacks, width),
    )


def _draw_changes(benchmarks: Sequence[Benchmark], stacks: Sequence[str], width: int) -> Figure:
    narrow, tasks = is_narrow(width), [_named(b) for b in benchmarks]
    left, top = (44, 12 + 17 * len(tasks)) if narrow else (62, 14)
    beside = 0 if narrow else 16 + label_width(tasks, 230, BOLD)
    height = 210 if narrow else 300
    figure = figure_of(width, top + height + 34)
    ax = axes_at(figure, left, top, width - left - beside - 8, height)
    ax.axhline(0, color=PAINT["muted"], linewidth=1, zorder=1)
    ends = [_line_of_changes(ax, benchmarks, index, stacks) for index in range(len(benchmarks))]
    ax.plot([0], [0], marker="o", color=PAINT["muted"], markersize=6, zorder=4)
    _stacks_below(ax, stacks)
    unit = benchmarks[0].unit
    ax.set_ylabel("" if narrow else f"change from the base, {unit.of_changes}")
    if narrow:
        ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.01), borderaxespad=0, handletextpad=0.4, labelspacing=0.3)
    else:
        low, high = ax.get_ylim()
        for index, at in enumerate(spread(ends, 17 * (high - low) / height)):
            place, label = (1.015, (at - low) / (high - low)), short(tasks[index], beside - 8, BOLD)
            ax.text(*place, label, transform=ax.transAxes, va="center", color=paint(index), weight="bold")
    return figure


def _named(benchmark: Benchmark) -> str:
    return f"{benchmark.task} (domain)" if benchmark.domain else benchmark.task


def _line_of_changes(ax: Axes, benchmarks: Sequence[Benchmark], index: int, stacks: Sequence[str]) -> float:
    """Draw one benchmark's line, a little beside the others'. The change of its last stack."""
    shift = (index - (len(benchmarks) - 1) / 2) * min(0.1, 0.5 / len(benchmarks))
    places = {stacks[0]: (0.0, 0.0)}
    intervals: list[Estimate] = []
    for score in benchmarks[index].scores:
        if score.from_base is None or score.from_parent is None:
            continue
        change, unit = score.from_base.change, benchmarks[index].unit
        intervals.append(Estimate(unit.change(change.difference), *unit.bounds(change.low, change.high)))
        places[score.stack] = (stacks.index(score.stack) + shift, intervals[-1].value)
        if score.from_parent.against in places:
            start, end = places[score.from_parent.against], places[score.stack]
            solid = "-" if benchmarks[index].domain else (0, (5, 3))
            ax.plot((start[0], end[0]), (start[1], end[1]), color=paint(index), linestyle=solid, zorder=2)
    x = [at for at, _ in places.values()][1:]
    error_bars(ax, x, intervals, paint(index), marker(index), label=short(_named(benchmarks[index]), 250), zorder=3)
    return intervals[-1].value if intervals else 0.0


def _stacks_below(ax: Axes, stacks: Sequence[str]) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set_xticks(range(len(stacks)), [short(name, ax.bbox.width / len(stacks)) for name in stacks])
    ax.set_xlim(-0.35, len(stacks) - 0.65)
    ax.tick_params(length=3)
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(lambda value, _: signed(value))
    ax.grid(axis="y")


def topics(benchmark: Benchmark, ident: str, before: str, after: str) -> Markup | None:
    """Return the score of each topic in two stacks, such as the base and the last stage. None without topics."""
    shown = [t for t in benchmark.topics if before in t.estimates and after in t.estimates][:MOST_TOPICS]
    if not shown:
        return None
    return picture(
        ident,
        f"{benchmark.task} by topic",
        f"Score on each of {len(shown)} topics in per cent, with 95 % intervals, for {before} and {after}.",
        lambda width: _draw_topics(shown, before, after, width),
    )


def _draw_topics(shown: Sequence[Topic], before: str, after: str, width: int) -> Figure:
    narrow = is_narrow(width)
    labels = [f"{topic.name} ({topic.n})" for topic in shown]
    left = 12 if narrow else 12 + label_width(labels, 330)
    pitch = 44 if narrow else 34
    figure = figure_of(width, 34 + pitch * len(shown) + 26)
    ax = axes_at(figure, left, 34, width - left - 16, pitch * len(shown))
    for index, (stack, color, side) in enumerate(((before, PAINT["muted"], -1), (after, paint(0), 1))):
        at = [place + (0.14 if narrow else 0) + side * (0.12 if narrow else 0.15) for place in range(len(shown))]
        estimates = [topic.estimates[stack] for topic in shown]
        bars_across(ax, estimates, at, color, marker(index), label=short(stack, width / 3))
    _rows(ax, [short(label, left - 10) for label in labels])
    for place in range(1, len(shown)):
        ax.axhline(place - 0.5, color=PAINT["grid"], linewidth=0.8)
    if narrow:
        ax.set_yticks([])
        for place, label in enumerate(labels):
            ax.text(0, place - 0.28, short(label, width - 30), transform=ax.get_yaxis_transform(), va="center")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2, ncols=2, handletextpad=0.3)
    return figure
