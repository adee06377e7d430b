"""Scores of what is trained, beyond a run: chosen stages, scaled adapters, what each stage is worth. Loads no torch.

Everything here is a set of stacks of the same adapters on one base: the base is loaded once, a stack that was scored
before is not scored again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from statllama.errors import UsageError
from statllama.evaluation.paired import Change, Judged, judge
from statllama.evaluation.scorecard import Scorecard, compare_scores, scorecard
from statllama.evaluation.scores import TaskScore
from statllama.runs.scorer import Scorer
from statllama.runs.subject import BASE, StackRef, Subject, scaled

Scores = tuple[TaskScore, ...]


def evaluate(scorer: Scorer, stacks: Sequence[StackRef]) -> tuple[Scorecard, dict[str, Scores]]:
    """Return the scorecard of `stacks` (the base first, parents before children) and {name of a stack: its scores}.

    A parent that is not among them is replaced by the nearest stack below that is, in the end the base. Drifts are
    those that the workspace has.
    """
    scores = {stack.name: scorer.score(stack) for stack in stacks}
    drifts = {s.name: drift for s in stacks if s.keys and (drift := scorer.known_drift(s)) is not None}
    rows = [(s.name, s.parent if s.parent in scores else _above(s), scores[s.name]) for s in stacks]
    return scorecard(rows, drifts), scores


def _above(stack: StackRef) -> str | None:
    return None if stack.parent is None else BASE


@dataclass(frozen=True)
class Share:
    """The worth of one stage on one benchmark, judged among all changes of the attribution."""

    stage: str
    task: str
    step: Judged
    """From the stack below the stage to that stack with it: the effect of training it."""
    kept: Judged
    """From the whole stack without the stage to the whole stack: its worth at the end."""


@dataclass(frozen=True)
class Attribution:
    """Every prefix of a stack and every stack with one adapter left out, scored on the same items."""

    stack: str
    stages: tuple[str, ...]
    prefixes: Mapping[str, Scores]
    """{base, then each stage: scores of the stack up to it}."""
    without: Mapping[str, Scores]
    """{stage: scores of the whole stack without it}."""
    shares: tuple[Share, ...]
    tests: int
    """Changes that Holm's adjustment is over."""

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain JSON values: means instead of all items."""
        return {
            "stack": self.stack,
            "stages": list(self.stages),
            "prefixes": {name: _means(scores) for name, scores in self.prefixes.items()},
            "without": {name: _means(scores) for name, scores in self.without.items()},
            "shares": [asdict(share) for share in self.shares],
        }


def _means(scores: Scores) -> dict[str, dict[str, Any]]:
    return {s.task: {"metric": s.metric, "value": s.value, "stderr": s.stderr, "n": s.n} for s in scores}


def attribute(subject: Subject, scorer: Scorer, stage: str | None = None) -> Attribution:
    """Measure the worth of each stage in the stack of `stage` (None: the last). UsageError when nothing is trained."""
    whole = subject.stack(stage or subject.last)
    if not whole.keys:
        raise UsageError(f"{subject.name} has no trained stage to measure", remedy="run its recipe first")
    names = {s.key: s.name for s in subject.stages}
    stages = tuple(names[key] for key in whole.keys)
    prefixes = {BASE: scorer.score(subject.stack(BASE))}
    before = BASE
    for i, name in enumerate(stages, start=1):
        prefixes[name] = scorer.score(StackRef(name, before, whole.keys[:i]))
        before = name
    without = {
        names[key]: scorer.score(whole.scaled(f"{whole.name} without {names[key]}", {key: 0.0})) for key in whole.keys
    }
    full = prefixes[stages[-1]]
    changes: dict[tuple[str, str, str], Change] = {}
    for below, name in zip((BASE, *stages), stages, strict=False):
        for t, score in enumerate(full):
            changes["step", name, score.task] = compare_scores(prefixes[below][t], prefixes[name][t])
            if name != stages[-1]:  # of the last stage both changes are the same one
                changes["kept", name, score.task] = compare_scores(without[name][t], score)
    judged = judge(changes)
    shares = tuple(
        Share(name, task, judged["step", name, task], judged.get(("kept", name, task), judged["step", name, task]))
        for name in stages
        for task in (score.task for score in full)
    )
    return Attribution(whole.name, stages, prefixes, without, shares, len(judged))


@dataclass(frozen=True)
class Notch:
    """One position of a dial: the factor, the scores, and the change of each from factor 1."""

    factor: float
    scores: Scores
    changes: Mapping[str, Judged]
    """By benchmark, judged among all changes of the dial; none at factor 1."""


@dataclass(frozen=True)
class Dial:
    """The scores of a stack over the factor on one stage's adapter."""

    stack: str
    stage: str
    notches: tuple[Notch, ...]
    """Sorted by factor; factor 1 (as trained) is always among them."""
    tests: int
    """Changes that are judged together."""

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain JSON values: means instead of all items."""
        notches = [
            {"factor": n.factor, "scores": _means(n.scores), "from_1": {t: asdict(c) for t, c in n.changes.items()}}
            for n in self.notches
        ]
        return {"stack": self.stack, "stage": self.stage, "notches": notches}


def dial(subject: Subject, scorer: Scorer, stage: str, grid: Sequence[float], on: str | None = None) -> Dial:
    """Score the stack of stage `on` (None: the last) with `stage`'s adapter at each factor of `grid`, and at 1.

    No training: a factor multiplies the adapter's update. UsageError for a factor that is not finite, and a stage that
    is not in the stack.
    """
    if not grid or not all(math.isfinite(factor) for factor in grid):
        raise UsageError(f"--grid: expected numbers such as 0,0.5,1, got {list(grid)}")
    whole, key = subject.stack(on or subject.last), subject.stage(stage).key
    scores = {
        factor: scorer.score(scaled(subject, whole, {key: factor}) if factor != 1 else whole)
        for factor in sorted({*grid, 1.0})
    }
    judged = judge(
        {
            (factor, new.task): compare_scores(old, new)
            for factor, found in scores.items()
            if factor != 1
            for old, new in zip(scores[1.0], found, strict=True)
        }
    )
    notches = tuple(
        Notch(factor, found, {task: change for (at, task), change in judged.items() if at == factor})
        for factor, found in scores.items()
    )
    return Dial(whole.name, stage, notches, len(judged))
