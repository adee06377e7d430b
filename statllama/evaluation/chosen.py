"""The choice of a stage's best step, or of a blend's scale, as manifests record it and as it is said. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from statllama.errors import TrainingError

Figure = Literal["holdout_loss", "holdout_accuracy", "task_score"]
"""What steps are compared by, as the history calls it: nats per supervised token of a hold-out, the share of its pairs
that is ranked right, the score on a benchmark."""
WORDS: dict[str, str] = {
    "holdout_loss": "held-out loss",
    "holdout_accuracy": "held-out accuracy",
    "task_score": "score",
}


def is_better(figure: str, value: float, than: float) -> bool:
    """Return whether a value of a figure is better than another; equal ones are not.

    >>> is_better("holdout_loss", 1.2, 1.3), is_better("task_score", 0.4, 0.4)
    (True, False)
    """
    return value < than if figure == "holdout_loss" else value > than


@dataclass(frozen=True)
class Chosen:
    """The best of a stage's validated steps. `metrics.selected` of its manifest."""

    on: str
    """`holdout:NAME`, or the benchmark."""
    figure: Figure
    step: int
    """The best step; of equal ones the first. Its adapter is published."""
    value: float
    """The figure at that step."""
    of: int
    """Steps that the stage has taken."""
    last: float
    """The figure at the last validation."""
    validations: int
    without_better: int
    """Validations since the best one."""

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def of_metrics(cls, metrics: Mapping[str, Any]) -> Chosen | None:
        """Return the choice that a manifest's metrics record; None where none was made."""
        record = metrics.get("selected")
        return None if record is None else cls(**{f.name: record[f.name] for f in fields(cls)})

    def __str__(self) -> str:
        what = WORDS[self.figure] + (f" on {self.on}" if self.figure == "task_score" else "")
        best = f"best at step {self.step:,} of {self.of:,}: {what} {self.spoken(self.value)}"
        if self.step == self.of:
            return f"{best}, at the last step"
        return f"{best} (at the end {self.spoken(self.last)})"

    def spoken(self, value: float) -> str:
        """Return a value of the figure in words: nats, or a share in points."""
        return f"{value:.3f}" if self.figure == "holdout_loss" else f"{100 * value:.1f}"


def spoken_choice(metrics: Mapping[str, Any]) -> str | None:
    """Return what a manifest's metrics say of the choice, and of a stage that it ended early; None without one."""
    found = Chosen.of_metrics(metrics)
    if found is None:
        scaled = metrics.get("scaled")
        return None if scaled is None else str(Scaled.of_json(scaled))
    if metrics.get("ended_by") != "patience":
        return str(found)
    times = f"{found.without_better} validation{'s' * (found.without_better > 1)}"
    return f"{found}; ended early, after {times} without a better one"


def chosen(on: str, figure: Figure, validated: Mapping[int, float], steps: int) -> Chosen:
    """Return the best of the validated steps, {step: value} in their order. TrainingError without any."""
    if not validated:
        raise TrainingError(f"no step was validated on {on}")
    best, *others = validated
    for step in others:
        if is_better(figure, validated[step], validated[best]):
            best = step
    since = len(validated) - 1 - list(validated).index(best)
    return Chosen(on, figure, best, validated[best], steps, [*validated.values()][-1], len(validated), since)


@dataclass(frozen=True)
class Tried:
    """A scale of a blend, as it was measured."""

    scale: float
    value: float
    """The figure that scales are compared by."""
    lost: Mapping[str, float]
    """{hold-out to keep: nats per token lost on it, compared with the stack that the blend stands on}"""

    def said(self, figure: Figure, on: str) -> str:
        """Return it in words: what was found on `on`, and lost elsewhere."""
        lost = (f"{name} {nats:+.4f} nats per token" for name, nats in self.lost.items())
        value = f"{self.value:.4f}" if figure == "holdout_loss" else f"{100 * self.value:.1f}"
        return f"scale {self.scale:g}: " + ", ".join((f"{WORDS[figure]} on {on} {value}", *lost))


@dataclass(frozen=True)
class Scaled:
    """The best of a blend's scales. `metrics.scaled` of its manifest."""

    on: str
    """`holdout:NAME`."""
    figure: Figure
    scale: float
    """The best scale; of equal ones the smallest. Its adapter is published."""
    before: float
    """The figure of the stack that the blend stands on: scale 0."""
    keep: Mapping[str, float]
    """{hold-out: nats per token that a scale may lose on it}"""
    tried: tuple[Tried, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "value": self.best.value, "tried": [asdict(one) for one in self.tried]}

    @classmethod
    def of_json(cls, record: Mapping[str, Any]) -> Scaled:
        """Return what `as_json` made a record of."""
        own = {f.name: record[f.name] for f in fields(cls) if f.name != "tried"}
        return cls(**own, tried=tuple(Tried(**one) for one in record["tried"]))

    @property
    def best(self) -> Tried:
        """Return the scale that is published."""
        return next(one for one in self.tried if one.scale == self.scale)

    def __str__(self) -> str:
        before = f"{self.before:.4f}" if self.figure == "holdout_loss" else f"{100 * self.before:.1f}"
        scales = ", ".join(f"{one.scale:g}" for one in self.tried)
        return f"best of the scales {scales} is {self.best.said(self.figure, self.on)} (without the blend {before})"


def chosen_scale(
    on: str, figure: Figure, before: float, tried: Sequence[Tried], keep: Mapping[str, float]
) -> Scaled | None:
    """Return the best of the scales that lose no more than `keep` allows; of equal ones the first. None without any."""
    best: Tried | None = None
    for one in tried:
        kept = all(one.lost[name] <= most for name, most in keep.items())
        if kept and (best is None or is_better(figure, one.value, best.value)):
            best = one
    return None if best is None else Scaled(on, figure, best.scale, before, dict(keep), tuple(tried))
