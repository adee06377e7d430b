"""Seconds from operations: fitted to what was measured on this machine, else a range from the datasheet.

The seconds of a sample are a sum: so much an operation, a pass, a step, a step of generation, a beginning. The factors
are never negative, and fitted so that the relative errors are least. Few samples do not tell five factors apart, so
each is drawn a little towards what it is worth at first sight: a pass 256 tokens (`budget.PASS_TOKENS`), others alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from statllama.data.budget import PASS_TOKENS
from statllama.runs.forecast.datasheet import Datasheet
from statllama.runs.forecast.figure import Figure
from statllama.runs.forecast.samples import Cost, Sample

FACTORS = ("operations", "passes", "units", "decoded", "starts")
DRAWN = 1e-3  # weight of the first sight, against 1 for each sample's relative error
UNCHECKED = 0.25  # relative error of a forecast that was never checked
OTHER = 0.1  # weight of samples of other kinds of stage, and 1 / that of their number
LEAST = 0.05
ENOUGH = 3  # whole stages of a type that are checked against each other
EFFICIENCY = 0.1, 0.3, 0.7  # of the datasheet's operations: least, usual, most
LAUNCHES = 1.5e-3  # seconds a layer of a step of generation, when launches bound it: most
PASSED = 0.5e-3, 1.5e-3, 4e-3  # seconds a layer of a pass, when launches bound it: least, usual, most


@dataclass(frozen=True)
class Speed:
    """What each part of a cost takes, in seconds."""

    operations: float
    passes: float
    units: float
    decoded: float
    starts: float

    def seconds(self, cost: Cost) -> float:
        """Return the seconds of some work."""
        return float(sum(getattr(self, name) * getattr(cost, name) for name in FACTORS))


def fit(samples: Sequence[Sample], weights: Sequence[float] | None = None) -> Speed:
    """Return the speed that explains the samples best. At least one sample, each of more than 0 seconds."""
    total = sum(sample.cost.operations for sample in samples)
    per_token = total / max(1.0, sum(sample.cost.tokens for sample in samples))
    first = sum(sample.seconds for sample in samples) / max(total, 1.0)
    one_pass = first * per_token * PASS_TOKENS
    worth = np.array([first, one_pass, one_pass / 4, one_pass, one_pass])
    parts = np.array([[getattr(sample.cost, name) for name in FACTORS] for sample in samples], dtype=float)
    scales = np.array([math.sqrt(w) for w in weights or [1.0] * len(samples)])
    rows = parts * worth / np.array([[sample.seconds] for sample in samples]) * scales[:, None]
    drawn = np.sqrt(DRAWN) * np.eye(len(FACTORS))
    found, _ = nnls(np.vstack([rows, drawn]), np.concatenate([scales, np.full(len(FACTORS), np.sqrt(DRAWN))]))
    return Speed(*(float(factor) for factor in found * worth))


def checked(samples: Sequence[Sample]) -> float | None:
    """Return the relative error of each sample forecast from the others, root of the mean square; None below two."""
    if len(samples) < 2:
        return None
    errors = []
    for number, sample in enumerate(samples):
        others = [other for i, other in enumerate(samples) if i != number]
        errors.append(fit(others).seconds(sample.cost) / sample.seconds - 1)
    return math.sqrt(sum(error**2 for error in errors) / len(errors))


def figure(
    kind: str, low: Cost, usual: Cost, high: Cost, samples: Sequence[Sample], last: float | None
) -> Figure | None:
    """Return the seconds of work of a kind, where samples of it, or of others like it, are known; else None.

    `last`: relative error of the latest forecast of this kind that was checked here.
    """
    own = [sample for sample in samples if sample.kind == kind and sample.seconds > 0]
    like = [sample for sample in samples if _like(sample.kind, kind) and sample.kind != kind and sample.seconds > 0]
    if not own and not like:
        return None
    speed = fit([*own, *like], [1.0] * len(own) + [OTHER / max(1, len(like))] * len(like))
    error = _error(own, last)
    spread = max(LEAST, UNCHECKED if error is None else error) + (0 if own else UNCHECKED)
    return Figure(
        speed.seconds(usual),
        speed.seconds(low) / (1 + spread),
        speed.seconds(high) * (1 + spread),
        _basis(kind, own, like),
        error,
    )


def _like(kind: str, wanted: str) -> bool:
    """Return whether two kinds compute alike: stages that train on rows, or benchmarks."""
    return ("score:" in kind) == ("score:" in wanted) and "drift" not in (kind, wanted) and "grpo" not in (kind, wanted)


def _error(own: Sequence[Sample], last: float | None) -> float | None:
    """Return the error when last checked: of whole stages from each other; else of the last forecast; else of the
    steps that were calibrated.
    """
    whole = [sample for sample in own if sample.source == "manifest"]
    if len(whole) >= ENOUGH:
        return checked(whole)
    return abs(last) if last is not None else checked(whole or own)


def _basis(kind: str, own: Sequence[Sample], like: Sequence[Sample]) -> str:
    runs = sum(sample.source == "manifest" for sample in own)
    if not runs:
        return "calibrated here" if own else f"{len(like)} other stage{'s' * (len(like) > 1)} here"
    if ":" in kind or kind == "drift":
        return "measured here"
    return f"{runs} {kind} stage{'s' * (runs > 1)} here"


def from_datasheet(low: Cost, usual: Cost, high: Cost, sheet: Datasheet, step_bytes: float, layers: int) -> Figure:
    """Return the range that a datasheet leaves. Short passes are bound by launches, a step of generation by those or by
    the `step_bytes` that it reads.
    """
    least, middle, most = EFFICIENCY
    floor, launches = step_bytes / sheet.bandwidth, LAUNCHES * layers

    def seconds(cost: Cost, share: float, layer: float, step: float) -> float:
        computed = cost.operations / (share * sheet.operations)
        return max(computed, cost.passes * layers * layer) + cost.decoded * step

    return Figure(
        seconds(usual, middle, PASSED[1], max(floor / middle, launches / 4)),
        seconds(low, most, PASSED[0], floor),
        seconds(high, least, PASSED[2], max(floor / least, launches)),
        f"{sheet.source}, not measured",
    )
