"""The recipe as a graph: the base, the stages, and their parents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from statllama.report.data import Stage
from statllama.report.plot import BOLD, axes_at, figure_of, is_narrow, short
from statllama.report.svg import PAINT, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BASE = "base"
Place = tuple[int, int]
"""(steps from the base, lane beside the others at that depth)"""


def graph(stages: Sequence[Stage], base: str) -> Markup:
    """Return the boxes for the base and every stage, with arrows from what a stage is stacked on."""
    arrows = "; ".join(f"{parent} to {child}" for parent, child in edges(stages))
    return picture(
        "recipe-graph",
        "Recipe",
        f"The base and {len(stages)} stages, each an adapter on top of the stages before its arrow: {arrows}.",
        lambda width: _draw(stages, base, width),
    )


def layout(stages: Sequence[Stage]) -> dict[str, Place]:
    """Return {name: place} of the base and each stage: one deeper than its deepest parent, in its parent's lane if
    free.

    >>> layout([Stage("a", "sft", ()), Stage("b", "dpo", ("a",)), Stage("c", "dpo", ("a",))])
    {'base': (0, 0), 'a': (1, 0), 'b': (2, 0), 'c': (2, 1)}
    """
    places: dict[str, Place] = {BASE: (0, 0)}
    for stage in stages:
        parents = [places[name] for name in stage.parents or (BASE,) if name in places] or [places[BASE]]
        depth, lane = 1 + max(depth for depth, _ in parents), parents[-1][1]
        taken = {at for d, at in places.values() if d == depth}
        while lane in taken:
            lane += 1
        places[stage.name] = depth, lane
    return places


def edges(stages: Sequence[Stage]) -> list[tuple[str, str]]:
    """Return (parent, child) of every arrow. A parent that lies below another parent of the child needs none of its
    own.

    >>> edges([Stage("a", "sft", ()), Stage("b", "dpo", ("a",)), Stage("c", "sft", ("a", "b"))])
    [('base', 'a'), ('a', 'b'), ('b', 'c')]
    """
    below: dict[str, set[str]] = {BASE: set()}
    found = []
    for stage in stages:
        parents = [name for name in stage.parents if name in below] or [BASE]
        found += [(p, stage.name) for p in parents if not any(p in below[other] for other in parents)]
        below[stage.name] = {*parents, *(name for p in parents for name in below[p])}
    return found


def _draw(stages: Sequence[Stage], base: str, width: int) -> Figure:
    places = layout(stages)
    deep, lanes = 1 + max(d for d, _ in places.values()), 1 + max(lane for _, lane in places.values())
    across = not is_narrow(width) and deep <= 7
    if across:
        gap, side, tall = 38, 22, 64
        wide = min(170.0, (width - 4 - gap * (deep - 1)) / deep)
        height = lanes * tall + (lanes - 1) * side
    else:
        gap, side, tall = 28, 14, 58
        wide = min(230.0, (width - 4 - side * (lanes - 1)) / lanes)
        height = deep * tall + (deep - 1) * gap
    figure = figure_of(width, height + 4)
    ax = axes_at(figure, 0, 0, width, height + 4)
    ax.set(xlim=(0, width), ylim=(height + 4, 0))
    ax.set_axis_off()
    used = deep * wide + (deep - 1) * gap if across else lanes * wide + (lanes - 1) * side
    left = (width - used) / 2
    corners = {
        name: (left + d * (wide + gap), 2 + lane * (tall + side))
        if across
        else (left + lane * (wide + side), 2 + d * (tall + gap))
        for name, (d, lane) in places.items()
    }
    _arrows(ax, stages, corners, (wide, tall), across)
    _box(ax, corners[BASE], (wide, tall), (BASE, base), PAINT["muted"], solid=True)
    for stage in stages:
        kept = stage.trained and not stage.left_out
        _box(ax, corners[stage.name], (wide, tall), (stage.name, _kind(stage)), PAINT["series-1"], solid=kept)
    return figure


def _kind(stage: Stage) -> str:
    if not stage.trained:
        return "not trained yet"
    if stage.left_out:
        return "left out"
    return stage.type if stage.steps is None else f"{stage.type}, {stage.steps:,} steps"


def _box(
    ax: Axes, at: tuple[float, float], size: tuple[float, float], words: tuple[str, str], color: str, *, solid: bool
) -> None:
    from matplotlib.patches import FancyBboxPatch

    (x, y), (wide, tall) = at, size
    ax.add_patch(
        FancyBboxPatch(
            (x + 6, y + 6),
            wide - 12,
            tall - 12,
            boxstyle="round,pad=5,rounding_size=8",
            facecolor=PAINT["shade"] if solid else "none",
            edgecolor=color,
            linewidth=1.4,
            linestyle="-" if solid else (0, (4, 3)),
        )
    )
    ax.text(x + wide / 2, y + tall * 0.38, short(words[0], wide - 14, BOLD), ha="center", va="center", weight="bold")
    ax.text(x + wide / 2, y + tall * 0.68, short(words[1], wide - 8), ha="center", va="center", color=PAINT["muted"])


def _arrows(
    ax: Axes,
    stages: Sequence[Stage],
    corners: Mapping[str, tuple[float, float]],
    size: tuple[float, float],
    across: bool,
) -> None:
    from matplotlib.patches import FancyArrowPatch

    wide, tall = size
    look: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 11, "color": PAINT["line"], "linewidth": 1.3}
    for parent, child in edges(stages):
        (x, y), (to_x, to_y) = corners[parent], corners[child]
        if across:
            start, end = (x + wide, y + tall / 2), (to_x, to_y + tall / 2)
        else:
            start, end = (x + wide / 2, y + tall), (to_x + wide / 2, to_y)
        ax.add_patch(FancyArrowPatch(start, end, shrinkA=1, shrinkB=1, **look))
