"""The figures of all stages by optimizer step, one panel each, on one axis: learning, behaviour, machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from statllama.report.data import Curve, Stage
from statllama.report.plot import axes_at, figure_of, is_narrow, paint, short
from statllama.report.svg import PAINT, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Panel:
    """One figure of the log and its title. `smooth`: whether a moving average is drawn too."""

    name: str
    title: str
    smooth: bool = False


LEARNING = (
    Panel("loss", "Loss", smooth=True),
    Panel("learning_rate", "Learning rate"),
    Panel("grad_norm", "Gradient norm"),
    Panel("reward", "Reward", smooth=True),
)
"""The last one only where a stage has rewards."""
BEHAVIOUR = (
    Panel("holdout_loss", "Held-out loss, on which the step is selected"),
    Panel("holdout_accuracy", "Held-out pairs ranked right, on which the step is selected"),
    Panel("task_score", "Score of the benchmark on which the step is selected"),
    Panel("rewards/margins", "Reward margin, chosen less rejected", smooth=True),
    Panel("rewards/accuracies", "Share of pairs ranked right", smooth=True),
    Panel("kl", "KL from the reference, nats a token", smooth=True),
    Panel("replay_loss", "Loss of replayed rows", smooth=True),
    Panel("anchor_kl", "Anchor's KL from the parent, nats a token", smooth=True),
    Panel("anchor_coefficient", "Anchor's coefficient"),
    Panel("drift", "Drift from the parent, nats a token"),
)
MACHINE = (Panel("tokens_per_second", "Tokens per second"), Panel("memory", "Peak memory, GiB"))
SMOOTHED_FROM = 30
"""Steps from which a stage's loss is also drawn as a moving average."""

Logged = Sequence[tuple[str, Curve]]
Points = Sequence[tuple[float, float]]


def curves(stages: Sequence[Stage]) -> Markup | None:
    """Return the loss, learning rate, gradient norm, reward of all stages on one axis of steps. None when nothing was
    logged.
    """
    logged = _logged(stages)
    paid = any(curve.reward for _, curve in logged)
    return _chart("curves", "Training curves", logged, LEARNING if paid else LEARNING[:-1])


def behaviour(stages: Sequence[Stage]) -> Markup | None:
    """Return what preference and reward stages log, and the drift measured while training. None without any."""
    logged = _logged(stages)
    return _chart("behaviour", "Preferences and drift", logged, shown(BEHAVIOUR, stages))


def machine(stages: Sequence[Stage]) -> Markup | None:
    """Return throughput and memory by step. None where neither was recorded."""
    return _chart("machine", "Throughput and memory", _logged(stages), shown(MACHINE, stages))


def shown(panels: Sequence[Panel], stages: Sequence[Stage]) -> tuple[Panel, ...]:
    """Return those panels that some stage has figures for."""
    return tuple(panel for panel in panels if any(points_of(curve, panel.name) for _, curve in _logged(stages)))


def points_of(curve: Curve, name: str) -> list[tuple[float, float]]:
    """Return a figure's (step, value), without the steps at which it was not logged."""
    if name in ("loss", "learning_rate", "grad_norm", "reward"):
        values = getattr(curve, name) or (None,) * len(curve.steps)
        return [(float(step), v) for step, v in zip(curve.steps, values, strict=True) if v is not None]
    return list(curve.others.get(name, ()))


def _logged(stages: Sequence[Stage]) -> list[tuple[str, Curve]]:
    return [(stage.name, stage.curve) for stage in stages if stage.curve is not None and stage.curve.steps]


def _chart(ident: str, title: str, logged: Logged, panels: Sequence[Panel]) -> Markup | None:
    if not logged or not panels:
        return None
    names, titles = ", ".join(name for name, _ in logged), "; ".join(panel.title for panel in panels)
    what = f"{titles}: at each optimizer step of {names}, one stage after the other."
    return picture(ident, title, what, lambda width: _draw(logged, panels, width))


def _draw(logged: Logged, panels: Sequence[Panel], width: int) -> Figure:
    narrow = is_narrow(width)
    tall, low = (150, 90) if narrow else (210, 115)
    heights = [tall if panel.name == "loss" else low for panel in panels]
    left, right, gap = 44 if narrow else 56, 14, 30
    figure = figure_of(width, 44 + sum(heights) + (len(panels) - 1) * gap + 42)
    total, top = sum(curve.steps[-1] for _, curve in logged), 44
    axes = []
    for index, (height, panel) in enumerate(zip(heights, panels, strict=True)):
        ax = axes_at(figure, left, top, width - left - right, height)
        log = _wants_log(panel.name, logged)
        _panel(ax, logged, panel, paint(index), total, narrow, log)
        title = short(panel.title, width - 14) + " (log scale)" * log
        ax.set_title(title, pad=22 if index == 0 else 6, x=-left / ax.bbox.width)
        axes.append(ax)
        top += height + gap
    for ax in axes[:-1]:
        ax.tick_params(labelbottom=False)
    axes[-1].set_xlabel("optimizer step, stages one after the other")
    _name_stages(axes[0], logged, total)
    return figure


def _wants_log(name: str, logged: Logged) -> bool:
    """Return whether stages (learning rate) or steps (gradient norm) differ so much that the small ones would
    vanish.
    """
    if name not in ("learning_rate", "grad_norm"):
        return False
    stages: list[list[float]] = [[v for _, v in points_of(curve, name) if v > 0] for _, curve in logged]
    peaks = [max(values) for values in stages if values]
    if not peaks:
        return False
    if name == "learning_rate":
        return max(peaks) > 10 * min(peaks)
    values = sorted(v for stage in stages for v in stage)
    return values[-1] > 20 * values[len(values) // 2]


def _panel(ax: Axes, logged: Logged, panel: Panel, color: str, total: int, narrow: bool, log: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    start, least = 0, 0.0
    for place, (_, curve) in enumerate(logged):
        end = start + curve.steps[-1]
        if place % 2 == 0:
            ax.axvspan(start, end, color=PAINT["shade"], linewidth=0, zorder=0)
        points = [(start + step, v) for step, v in points_of(curve, panel.name) if not (log and v <= 0)]
        most = max(8, round((160 if narrow else 420) * curve.steps[-1] / total))
        thick = smooth(points) if panel.smooth and len(points) >= SMOOTHED_FROM else points
        if thick is not points:
            ax.plot(*averaged(points, most), color=color, alpha=0.4, linewidth=0.9)
        ax.plot(*averaged(thick, most), color=color, marker="o" if len(points) == 1 else "", markersize=4)
        least = min(least, *(v for _, v in points), least)
        start = end
    ax.set_xlim(0, max(1, total))
    ax.grid(axis="y")
    if log:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}".replace("e-0", "e−").replace("e+0", "e"))
        ax.minorticks_off()
    else:
        ax.yaxis.set_major_locator(MaxNLocator(4))
        if panel.name == "learning_rate":  # a factor above the axis would push the title into the panel above
            ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("e-0", "e−"))
        if least >= 0:
            ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(5 if narrow else 9, integer=True))
    ax.tick_params(length=3)


def averaged(points: Points, most: int) -> tuple[list[float], list[float]]:
    """Return at most `most` points (x, y), averaged in consecutive groups of equal size: two lists, x and y."""
    size = max(1, math.ceil(len(points) / most))
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [sum(x for x, _ in g) / len(g) for g in groups], [sum(y for _, y in g) / len(g) for g in groups]


def smooth(points: Points) -> list[tuple[float, float]]:
    """Return the moving average of y over the tenth of the points around each one, over fewer at both ends."""
    half = max(1, len(points) // 20)
    sums = [0.0]
    for _, y in points:
        sums.append(sums[-1] + y)
    result = []
    for i, (x, _) in enumerate(points):
        low, high = max(0, i - half), min(len(points), i + half + 1)
        result.append((x, (sums[high] - sums[low]) / (high - low)))
    return result


def _name_stages(ax: Axes, logged: Logged, total: int) -> None:
    """Write each stage's name above its steps; leave it out where not even three letters fit."""
    start, place = 0, ax.get_xaxis_transform()
    for name, curve in logged:
        label = short(name, ax.bbox.width * curve.steps[-1] / total - 2)
        if len(label) >= min(3, len(name)):
            middle = start + curve.steps[-1] / 2
            ax.text(middle, 1.02, label, transform=place, ha="center", va="bottom", color=PAINT["muted"])
        start += curve.steps[-1]
