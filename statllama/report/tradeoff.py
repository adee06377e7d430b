"""The dial: a run's scores as the adapter of one stage is scaled, from nothing to beyond its trained size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from statllama.report.data import DialData, Estimate
from statllama.report.plot import BOLD, axes_at, error_bars, figure_of, is_narrow, marker, paint, percent, short
from statllama.report.svg import PAINT, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def dial(data: DialData) -> Markup:
    """Return the trade-off (general score across, domain score up, a point for each scale) above a panel for each
    benchmark.

    ValueError when there is no point, or a named benchmark has no score in one of them.
    """
    named = [task for task in (data.domain, data.general) if task is not None]
    if not data.points or not set(named) <= set(data.tasks):
        raise ValueError(f"a dial needs points with scores on {' and '.join(named)}")
    across = f" {data.domain} against {data.general}, then" if data.general else ""
    scales = ", ".join(f"{point.scale:g}" for point in data.points)
    return picture(
        "dial",
        f"Scores as {data.stage} is scaled",
        f"{across.strip().capitalize()} the score on each of {', '.join(data.tasks)} in per cent with 95 % intervals, "
        f"at the scales {scales} of the adapter of {data.stage}.".strip(),
        lambda width: _draw(data, width),
    )


def _draw(data: DialData, width: int) -> Figure:
    narrow, tasks = is_narrow(width), data.tasks
    columns = 1 if narrow else min(3, len(tasks))
    top = (300 if narrow else 400) if data.general else 0
    panel, left = 150 if narrow else 170, 48
    rows = math.ceil(len(tasks) / columns)
    figure = figure_of(width, top + rows * (panel + 66))
    if data.general:
        side = 20 if narrow else 70
        ax = axes_at(figure, left + side / 2, 30, width - left - side - 8, top - 90)
        _trade_off(ax, data, data.general)
    each = width / columns
    for index, task in enumerate(tasks):
        row, column = divmod(index, columns)
        ax = axes_at(figure, column * each + left, top + row * (panel + 66) + 26, each - left - 12, panel)
        ax.set_title(short(task, each - 12, BOLD), pad=6, x=-left / ax.bbox.width)
        _against_scale(ax, [p.scale for p in data.points], [p.estimates[task] for p in data.points], index)
        ax.set_xlabel(short(f"scale of {data.stage}", each - left))
    return figure


def _trade_off(ax: Axes, data: DialData, general: str) -> None:
    x = [point.estimates[general] for point in data.points]
    y = [point.estimates[data.domain] for point in data.points]
    ax.plot([e.value for e in x], [e.value for e in y], color=PAINT["line"], linewidth=1.2, zorder=1)
    for point, across, up in zip(data.points, x, y, strict=True):
        trained = point.scale == 1
        color = paint(1) if trained else paint(0)
        shape = marker(1) if trained else marker(0)
        error_bars(ax, [across.value], [up], color, shape, zorder=2, alpha=0.9)
        ax.plot([across.low, across.high], [up.value, up.value], color=color, linewidth=1.5, alpha=0.45, zorder=1.5)
        ax.annotate(
            f"{point.scale:g}" + " (as trained)" * trained,
            (across.value, up.value),
            xytext=(7, 6),
            textcoords="offset points",
            weight="bold",
            color=color,
            zorder=3,
        )
    _ticks(ax, y[0])
    ax.xaxis.set_major_formatter(lambda value, _: _tick(value, x[0]))
    ax.grid(axis="both")
    ax.set_xlabel(short(general, ax.bbox.width))
    ax.set_title(short(data.domain, ax.bbox.width), weight="normal", color=PAINT["muted"], fontsize="medium", pad=8)


def _against_scale(ax: Axes, scales: Sequence[float], estimates: Sequence[Estimate], index: int) -> None:
    ax.plot(scales, [e.value for e in estimates], color=paint(index), linewidth=1.2)
    error_bars(ax, scales, estimates, paint(index), marker(index))
    room = 0.06 * (max(scales) - min(scales)) or 0.5
    ax.set_xlim(min(scales) - room, max(scales) + room)
    _ticks(ax, estimates[0])
    if len(scales) <= 7:
        ax.set_xticks(scales, [f"{scale:g}" for scale in scales])


def _tick(value: float, like: Estimate) -> str:
    return f"{value:g}" if like.unit.loss else percent(value)


def _ticks(ax: Axes, like: Estimate) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(lambda value, _: _tick(value, like))
    ax.tick_params(length=3)
    ax.grid(axis="y")
