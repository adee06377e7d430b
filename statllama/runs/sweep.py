"""A sweep: one recipe with other values in some fields, and what its trials scored, took and say about the fields.

Every trial is a recipe of its own over shared stages, so what trials have in common is trained once, and a sweep that
was killed goes on: a trial that is in the workspace is found there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, pvariance
from typing import TYPE_CHECKING, Any, Literal

from statllama.evaluation.scores import TaskScore
from statllama.runs.subject import Subject
from statllama.runs.variants import Settings
from statllama.store import Store

if TYPE_CHECKING:
    from statllama.runs.study_file import Study


@dataclass(frozen=True)
class Trial:
    """One combination of values."""

    number: int
    name: str
    """Of its recipe."""
    settings: Settings
    state: Literal["done", "pruned", "failed"]
    value: float | None = None
    """Score on the objective, higher is better, as `TaskScore.value`: the mean over runs. None without a score."""
    values: tuple[float, ...] = ()
    """Of each run."""
    step: int | None = None
    """Step at which it was pruned."""
    seconds: float = 0.0
    """Training of the stages that no earlier trial had, as published."""
    why: str = ""
    """Of a failed trial, its error."""


@dataclass(frozen=True)
class Sweep:
    """The trials of a sweep."""

    objective: str
    """Benchmark or hold-out by whose score trials are compared."""
    stage: str
    """Stage whose stack is scored."""
    metric: str
    """Of these scores; empty where none was scored."""
    trials: tuple[Trial, ...]
    matters: Mapping[str, float] = field(default_factory=dict)
    """{field: share of the variance between trials that it accounts for}; empty for fewer than four finished trials."""
    by: str = ""
    """How `matters` was found, in words."""

    @property
    def best(self) -> Trial | None:
        """Return the finished trial with the highest score; of equal ones the first. None without any."""
        done = [trial for trial in self.trials if trial.state == "done" and trial.value is not None]
        return max(done, key=lambda trial: trial.value or 0.0, default=None) if done else None

    @property
    def ranked(self) -> tuple[Trial, ...]:
        """Return the trials, the best first; pruned and failed ones last."""
        order = {"done": 0, "pruned": 1, "failed": 2}

        def place(trial: Trial) -> tuple[int, float, int]:
            return order[trial.state], math.inf if trial.value is None else -trial.value, trial.number

        return tuple(sorted(self.trials, key=place))

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain JSON values."""
        return asdict(self) | {"best": self.best and self.best.number}


def trials_of(
    study: Study,
    scores: Mapping[str, Mapping[str, Mapping[str, TaskScore]]],
    subjects: Mapping[str, Subject],
    failed: Mapping[str, str],
    store: Store,
) -> tuple[Trial, ...]:
    """Return the trials of a study of variants, in their order.

    `scores`: {recipe: {stack: {benchmark: score}}}; `failed`: {recipe: error}.
    """
    found, seen = [], set[str]()
    objective, stage = study.objective, study.stage
    for number, (name, settings) in enumerate(study.variants.items(), start=1):
        runs = [run.recipe.name for run in study.runs if run.of == name]
        seconds = sum(training_seconds(subjects[run], seen, store) for run in runs if run in subjects)
        why = next((failed[run] for run in runs if run in failed), "")
        known = [scores.get(run, {}).get(stage, {}).get(objective) for run in runs]
        values = tuple(score.value for score in known if score is not None)
        done = not why and len(values) == len(runs) > 0
        value = fmean(values) if done else None
        found.append(
            Trial(number, name, settings, "done" if done else "failed", value, values, None, round(seconds, 1), why)
        )
    return tuple(found)


def training_seconds(subject: Subject, seen: set[str], store: Store) -> float:
    """Return the seconds of training of a recipe's stages whose keys are not in `seen`, to which they are added."""
    total = 0.0
    for stage in subject.stages:
        entry = None if stage.key in seen else store.find("results", stage.key)
        seen.add(stage.key)
        total += 0.0 if entry is None else float(entry.manifest["metrics"].get("seconds", 0.0))
    return total


def main_effects(trials: Sequence[Trial]) -> dict[str, float]:
    """Return {field: share of the variance of the trials' scores that lies between its values}.

    Of a whole grid that is the main effect of an analysis of variance, eta squared: what fields do together is in none
    of the shares. Empty for fewer than four finished trials, or scores that are all the same.

    >>> grid = [Trial(i, "", {"a": i % 2, "b": i // 2}, "done", float(i % 2)) for i in range(4)]
    >>> main_effects(grid)
    {'a': 1.0, 'b': 0.0}
    """
    done = [(trial.settings, trial.value) for trial in trials if trial.value is not None and trial.state == "done"]
    if len(done) < 4 or not (whole := pvariance([value for _, value in done])):
        return {}
    mean, shares = fmean(value for _, value in done), {}
    for name in done[0][0]:
        groups: dict[str, list[float]] = {}
        for settings, value in done:
            groups.setdefault(repr(settings[name]), []).append(value)
        between = math.fsum(len(group) * (fmean(group) - mean) ** 2 for group in groups.values()) / len(done)
        shares[name] = round(between / whole, 12)
    return shares
