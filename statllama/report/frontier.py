"""The part of a study's page about gain and forgetting: the picture of its frontier, and what was saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from statllama.evaluation.frontier import Saved
from statllama.evaluation.unit import Unit, unit_of
from statllama.report import tables, words
from statllama.report.data import Estimate
from statllama.report.plot import axes_at, bars_across, error_bars, figure_of, is_narrow, marker, paint, short
from statllama.report.svg import PAINT, picture
from statllama.report.tables import Cell, Table
from statllama.runs.frontier import Frontier, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class FrontierPart:
    """The contents of that part."""

    picture: Markup
    sentences: tuple[str, ...]
    points: Table


def frontier_part(found: Frontier) -> FrontierPart:
    """Return the part for a frontier."""
    unit = unit_of(found.metric)
    return FrontierPart(_picture(found, unit), tuple(sentences(found)), _points(found, unit))


def sentences(found: Frontier) -> Iterator[str]:
    """Say of each pipeline what it forgets less than the ladder at the same gain, or why that cannot be said."""
    unit = unit_of(found.metric)
    for one in found.saved:
        yield _sentence(one, unit)
    for name in found.out_of_reach:
        yield f"{name}: no pipeline of the ladder gains as much, so it cannot be compared at equal gain."
    if len(found.saved) > 1:
        n = len(found.saved) + len(found.out_of_reach)
        yield f"The intervals hold together with 95 % confidence: each is wider, for {n} comparisons."


def _sentence(one: Saved, unit: Unit) -> str:
    shown = one.low > 0 or one.high < 0
    word, size = ("less", one.saved) if one.saved > 0 else ("more", -one.saved)
    verdict = f"forgets {word}" if shown else "no evidence that it forgets less or more"
    gain, ladder, own, size_ = (_figure(v, unit) for v in (one.gain, one.ladder, one.forgotten, size))
    ends = (one.low, one.high) if one.saved > 0 else (-one.high, -one.low)
    return (
        f"{one.name}: {verdict}. At its gain of {gain} the ladder ({' to '.join(one.between)}) forgets {ladder}, "
        f"and it forgets {own}: {size_} {word}, {_range(*ends, unit)} {unit.of_changes}."
    )


def _figure(value: float, unit: Unit) -> str:
    return f"{value:.3f}" if unit.loss else f"{100 * value:.1f}"


def _points(found: Frontier, unit: Unit) -> Table:
    rows: list[Sequence[str | Cell]] = []
    for point in sorted(found.points, key=lambda one: one.gain):
        rows.append(
            (
                point.name,
                Cell(_figure(point.gain, unit), below=(_range(point.gain_low, point.gain_high, unit),)),
                Cell(_figure(point.forgotten, unit), below=(_range(point.forgotten_low, point.forgotten_high, unit),)),
                str(point.runs),
                "ladder" if point.of_ladder else words.DASH,
            )
        )
    caption = f"Gained on {found.spec.gain}, forgotten on {found.spec.kept}, from the base ({unit.of_changes})"
    return tables.table(caption, ("pipeline", "gained", "forgotten", "runs", "part"), rows, "part")


def _range(low: float, high: float, unit: Unit) -> str:
    return f"[{_figure(low, unit)}, {_figure(high, unit)}]"


def _picture(found: Frontier, unit: Unit) -> Markup:
    names = ", ".join(point.name for point in found.points)
    return picture(
        "frontier",
        "Gained and forgotten",
        f"What the pipelines {names} gained on {found.spec.gain} (across) and forgot on {found.spec.kept} (up), from "
        f"the base, in {unit.of_changes}, with 95 % intervals; the pipelines of the ladder are joined.",
        lambda width: _draw(found, unit, width),
    )


def _draw(found: Frontier, unit: Unit, width: int) -> Figure:
    narrow = is_narrow(width)
    below = 54 + 19 * len(found.points)
    height = 260 if narrow else 380
    figure = figure_of(width, height + below + 12)
    ax = axes_at(figure, 62, 12, width - 74, height)
    ladder = sorted((point for point in found.points if point.of_ladder), key=lambda one: one.gain)
    ax.axhline(0, color=PAINT["line"], linewidth=1, zorder=0)
    ax.plot([0, *(p.gain for p in ladder)], [0, *(p.forgotten for p in ladder)], color=PAINT["muted"], linewidth=1.4)
    ax.plot([0], [0], "x", color=PAINT["muted"])
    ax.annotate("base", (0, 0), (6, -14), textcoords="offset points", color=PAINT["muted"])
    number = 0
    for point in found.points:
        if not point.of_ladder:
            number += 1
        color, shape = (PAINT["muted"], "o") if point.of_ladder else (paint(number - 1), marker(number))
        _mark(ax, point, color, shape)
    ax.set_xlabel(short(f"gained on {found.spec.gain} ({unit.of_changes})", width - 74))
    ax.set_ylabel(short(f"forgotten on {found.spec.kept}", height))
    ax.grid(color=PAINT["grid"])
    ax.legend(loc="upper left", bbox_to_anchor=(0, -46 / height), frameon=False, borderaxespad=0)
    return figure


def _mark(ax: Axes, point: Point, color: str, shape: str) -> None:
    gain = Estimate(point.gain, point.gain_low, point.gain_high)
    forgotten = Estimate(point.forgotten, point.forgotten_low, point.forgotten_high)
    bars_across(ax, [gain], [point.forgotten], color, shape, label=short(point.name, 280))
    error_bars(ax, [point.gain], [forgotten], color, shape)
