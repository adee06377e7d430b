"""Gain against forgetting: how much less does a protected stage forget than a gentler one that gains as much?

Every trained stack is a point: what it gained on the domain, what it forgot in general, both in nats per token from the
base, on rows that nobody trained on. Stages that differ in their intensity alone (learning rate, steps) make a ladder,
whose first rung is the base itself at (0, 0); between two rungs it is a straight line. A stack that gains G and
forgets Y is compared with the ladder at the same gain:

    saved = (1 - w) Y_a + w Y_b - Y,    w = (G - G_a) / (G_b - G_a),

with a and b the rungs whose gains enclose G. Its error is that of its linear part (the delta method), in the rows of
both sets and in the runs, which are crossed: each run has the same rows. See `repeated` for the two parts and for the
interval. Pure mathematics, no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, stdev

from statllama.evaluation.clusters import Weights, clustered_error, mean_of, sums_of
from statllama.evaluation.paired import ALPHA
from statllama.evaluation.repeated import Spread, crossed
from statllama.evaluation.student import t_quantile

Runs = Sequence[Sequence[float]]
"""A value of each row in each run: equal places are the same row, or the same run."""


@dataclass(frozen=True)
class Stack:
    """A trained stack's rows, in nats per token from the base: of each run those of all rows."""

    name: str
    gains: Runs
    """Base less stack, on the domain's rows: above 0 it learned."""
    losses: Runs
    """Stack less base, on the general rows: above 0 it forgot."""
    domain: Weights = None
    """Tokens of each of the domain's rows, where a mean counts tokens; None: it counts rows."""
    general: Weights = None
    """The same of the general rows."""

    @property
    def gain(self) -> float:
        """Return the mean over runs, and over rows or their tokens."""
        return _mean(self.gains, self.domain)

    @property
    def forgotten(self) -> float:
        """Return the mean over runs, and over rows or their tokens."""
        return _mean(self.losses, self.general)


@dataclass(frozen=True)
class Saved:
    """What a stack forgets less than the ladder does at the same gain, in nats per token."""

    name: str
    gain: float
    forgotten: float
    ladder: float
    """What the ladder forgets at that gain."""
    between: tuple[str, str]
    """The rungs that enclose it; `base` is the lowest."""
    low: float
    """Lower end of the interval of `saved`, at 1 - 0.05 / `tests`."""
    high: float
    runs: int
    tests: int

    @property
    def saved(self) -> float:
        """Return what it forgets less; below 0 it forgets more."""
        return self.ladder - self.forgotten


def saved(ladder: Sequence[Stack], stack: Stack, tests: int = 1) -> Saved | None:
    """Return what a stack forgets less than the ladder at equal gain, or None where the ladder does not reach its gain.

    `tests`: comparisons that are made together. ValueError for unequal runs or rows, or fewer than two rows of a set.
    """
    _require_alike([*ladder, stack])
    gains, losses = ([[0.0] * len(run) for run in part] for part in (stack.gains, stack.losses))
    base = Stack("base", gains, losses, stack.domain, stack.general)
    rungs = sorted([base, *ladder], key=lambda rung: rung.gain)
    for low, high in pairwise(rungs):
        if low.gain <= stack.gain <= high.gain and low.gain < high.gain:
            return _between(low, high, stack, tests)
    return None


def _between(low: Stack, high: Stack, stack: Stack, tests: int) -> Saved:
    width = high.gain - low.gain
    w, slope = (stack.gain - low.gain) / width, (high.forgotten - low.forgotten) / width
    # The linear part, row by row: the mean of the first is what is saved, that of the second is 0.
    of_losses = _combined(((1 - w, low.losses), (w, high.losses), (-1.0, stack.losses)))
    of_gains = _combined(((slope, stack.gains), (-slope * (1 - w), low.gains), (-slope * w, high.gains)))
    parts = ((of_losses, stack.general), (of_gains, stack.domain))
    found, wide = _mean(of_losses, stack.general), _half_width(parts, ALPHA / tests)
    return Saved(
        name=stack.name,
        gain=stack.gain,
        forgotten=stack.forgotten,
        ladder=stack.forgotten + found,
        between=(low.name, high.name),
        low=found - wide,
        high=found + wide,
        runs=len(stack.gains),
        tests=tests,
    )


def interval(values: Runs, weights: Weights = None, level: float = ALPHA) -> tuple[float, float]:
    """Return the interval of a mean over rows (with `weights` their tokens) and runs, at 1 - `level`."""
    center, wide = _mean(values, weights), _half_width(((values, weights),), level)
    return center - wide, center + wide


def _half_width(parts: Sequence[tuple[Runs, Weights]], level: float) -> float:
    """Return half the width of the interval of a sum of means, over rows of their own each, and over the same runs."""
    count, rows = len(parts[0][0]), min(len(values[0]) for values, _ in parts)
    if count == 1:
        errors = (clustered_error(values[0], sums_of(values[0], None, w), w) or 0.0 for values, w in parts)
        return t_quantile(level / 2, rows - 1) * math.hypot(*errors)
    of_items = math.hypot(*(crossed(values, weights).of_items for values, weights in parts)) / 100
    sums = [math.fsum(mean_of(values[run], weights) for values, weights in parts) for run in range(count)]
    return Spread(of_items, stdev(sums) / math.sqrt(count), rows, count).half_width(level)


def _combined(parts: Sequence[tuple[float, Runs]]) -> list[list[float]]:
    """Return the sum of weighted values, run by run and row by row."""
    return [
        [
            math.fsum(weight * value for (weight, _), value in zip(parts, row, strict=True))
            for row in zip(*runs, strict=True)
        ]
        for runs in zip(*(values for _, values in parts), strict=True)
    ]


def _mean(values: Runs, weights: Weights) -> float:
    return fmean(mean_of(run, weights) for run in values)


def _require_alike(stacks: Sequence[Stack]) -> None:
    """Raise ValueError where the stacks have other runs or rows, or too few."""
    shapes = {(tuple(map(len, one.gains)), tuple(map(len, one.losses))) for one in stacks}
    weights = {tuple(part and tuple(part) for part in (one.domain, one.general)) for one in stacks}
    if len(shapes) != 1 or len(weights) != 1:
        raise ValueError("all stacks need the same runs of the same rows")
    gains, losses = shapes.pop()
    if not gains or len(gains) != len(losses) or len({*gains}) != 1 or len({*losses}) != 1 or min(*gains, *losses) < 2:
        raise ValueError("each stack needs as many runs of one set as of the other, of at least two rows each")
