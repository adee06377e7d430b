"""The common parts of the charts: places in CSS pixels, series by colour and shape, intervals, fitting labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from statllama.report.data import Estimate
from statllama.report.svg import PAINT, SERIES, clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "osD^vP"
"""Shapes of the series, in the order of their colours: no chart depends on colour alone."""
CHARACTER, BOLD = 7.9, 9.1
"""Width of a character of a label, in pixels; rather too much than too little."""


def is_narrow(width: int) -> bool:
    """Return whether a chart of this width is for a phone."""
    return width < 600


def figure_of(width: float, height: float) -> Figure:
    """Return a figure of this size in CSS pixels."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / 72, height / 72))


def axes_at(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Return the axes whose upper left corner is at (left, top), all in CSS pixels."""
    whole, tall = (72 * side for side in figure.get_size_inches())
    return figure.add_axes((left / whole, 1 - (top + height) / tall, width / whole, height / tall))


def label_width(labels: Sequence[str], most: float, character: float = CHARACTER) -> float:
    """Return the pixels that the longest of the labels takes, at most `most`."""
    return min(most, character * max((len(label) for label in labels), default=0))


def short(text: str, width: float, character: float = CHARACTER) -> str:
    """Return `text` on one line, cut with an ellipsis when it is wider than `width` pixels."""
    room = max(1, int(width / character))
    text = " ".join(clean(text).split())
    return text if len(text) <= room else text[: room - 1] + "…"


def paint(index: int) -> str:
    """Return the stand-in colour of the series of this index."""
    return PAINT[f"series-{index % SERIES + 1}"]


def marker(index: int) -> str:
    """Return the marker of the series of this index."""
    return MARKERS[index % SERIES]


def signed(value: float) -> str:
    """Return a tick of a change: +5, 0 or −5, with a real minus sign."""
    return f"{value:+g}".replace("-", "−") if value else "0"


def percent(value: float) -> str:
    """Return a tick of a score."""
    return f"{value:g} %"


def error_bars(ax: Axes, x: Sequence[float], y: Sequence[Estimate], color: str, shape: str = "o", **more: Any) -> None:
    """Draw points with vertical 95 % intervals."""
    ends = [e.value - e.low for e in y], [e.high - e.value for e in y]
    ax.errorbar(x, [e.value for e in y], yerr=ends, **_look(color, shape), **more)


def bars_across(ax: Axes, x: Sequence[Estimate], y: Sequence[float], color: str, shape: str = "o", **more: Any) -> None:
    """Draw points with horizontal 95 % intervals."""
    ends = [e.value - e.low for e in x], [e.high - e.value for e in x]
    ax.errorbar([e.value for e in x], y, xerr=ends, **_look(color, shape), **more)


def _look(color: str, shape: str) -> dict[str, Any]:
    return {"fmt": shape, "color": color, "markersize": 6, "elinewidth": 1.5, "capsize": 3}


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Return `values` moved apart so that any two are at least `gap` from each other, each run about its own mean.

    >>> spread([0.0, 0.0, 9.0], 2.0)
    [-1.0, 1.0, 9.0]
    """
    runs: list[tuple[list[int], float]] = []  # (indices from low to high, centre)
    for index in sorted(range(len(values)), key=values.__getitem__):
        members, center = [index], values[index]
        while runs and center - runs[-1][1] < gap * (len(runs[-1][0]) + len(members)) / 2:
            members = [*runs.pop()[0], *members]
            center = sum(values[i] for i in members) / len(members)
        runs.append((members, center))
    places = {
        index: center + gap * (rank - (len(members) - 1) / 2)
        for members, center in runs
        for rank, index in enumerate(members)
    }
    return [places[i] for i in range(len(values))]
