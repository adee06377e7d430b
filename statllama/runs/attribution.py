"""Scores of what is trained, beyond a run: chosen stages, scaled adapters, what each stage is worth. Loads no torch.

Everything here is a set of stacks of the same adapters on one base: the base is loaded once, a stack that was scored
before is not scored again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from statllama.errors import UsageError
from statllama.evaluation.meaning import Selected
from statllama.evaluation.paired import Judged, judge
from statllama.evaluation.scorecard import Scorecard, compare_scores, scorecard
from statllama.evaluation.scores import TaskScore
from statllama.runs.family import Asked, Family, card_sizes
from statllama.runs.scorer import Scorer
from statllama.runs.subject import BASE, StackRef, Subject, scaled

Scores = tuple[TaskScore, ...]


def evaluate(
    scorer: Scorer, stacks: Sequence[StackRef], family: Family, selected: Selected | None = None
) -> tuple[Scorecard, dict[str, Scores]]:
    """Return the scorecard of `stacks` (the base first, parents before children) and {name of a stack: its scores}.

    `family`: that of the run whose stacks they are; `selected`: the scores that steps were selected on.

    A parent that is not among them is replaced by the nearest stack below that is, in the end the base. Drifts are
    those that the workspace has.
    """
    scores = {stack.name: scorer.score(stack) for stack in stacks}
    drifts = {s.name: drift for s in stacks if s.keys and (drift := scorer.known_drift(s)) is not None}
    rows = [(s.name, s.parent if s.parent in scores else _above(s), scores[s.name]) for s in stacks]
    named, pairs = {stack.name: stack for stack in stacks}, [(name, parent) for name, parent, _ in rows]
    tasks = [score.task for score in rows[0][2]]
    return scorecard(rows, drifts, card_sizes(family, named, pairs, tasks), selected), scores


def _above(stack: StackRef) -> str | None:
    return None if stack.parent is None else BASE


@dataclass(frozen=True)
class Share:
    """The worth of one stage on one benchmark."""

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
    selected: Selected = field(default_factory=dict)
    """The scores that steps were selected on: of `base`, of each stage, and of `without STAGE`."""

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
    return {
        s.task: {
            "metric": s.metric,
            "value": s.value,
            "stderr": s.stderr,
            "n": s.n,
            "chance": s.chance,
            "blind": s.blind and asdict(s.blind),
        }
        for s in scores
    }


def attribute(subject: Subject, scorer: Scorer, stage: str | None = None) -> Attribution:
    """Measure the worth of each stage in the stack of `stage` (None: the last). UsageError when nothing is trained."""
    whole = subject.stack(stage or subject.last)
    if not whole.keys:
        raise UsageError(f"{subject.name} has no trained stage to measure", remedy="run its recipe first")
    names = {s.key: s.name for s in subject.stages}
    stages = tuple(names[key] for key in whole.keys)
    stacks = {BASE: subject.stack(BASE)}
    for i, (below, name) in enumerate(zip((BASE, *stages), stages, strict=False), start=1):
        stacks[name] = StackRef(name, below, whole.keys[:i])
    prefixes = {name: scorer.score(stack) for name, stack in stacks.items()}
    lacking = {names[key]: whole.scaled(f"{whole.name} without {names[key]}", {key: 0.0}) for key in whole.keys}
    without = {name: scorer.score(stack) for name, stack in lacking.items()}
    full = prefixes[stages[-1]]
    changes: dict[tuple[str, str, str], tuple[TaskScore, TaskScore]] = {}
    asked: dict[tuple[str, str, str], Asked] = {}
    for below, name in zip((BASE, *stages), stages, strict=False):
        for t, score in enumerate(full):
            step, kept = ("step", name, score.task), ("kept", name, score.task)
            changes[step] = prefixes[below][t], prefixes[name][t]
            asked[step] = stacks[below], stacks[name], score.task
            if name != stages[-1]:  # of the last stage both changes are the same one
                changes[kept] = without[name][t], score
                asked[kept] = lacking[name], whole, score.task
    sizes = Family.of(subject).sizes(asked)
    judged = {key: judge(compare_scores(*pair, sizes[key])) for key, pair in changes.items()}
    shares = tuple(
        Share(name, task, judged["step", name, task], judged.get(("kept", name, task), judged["step", name, task]))
        for name in stages
        for task in (score.task for score in full)
    )
    shown = stacks | {
        f"without {name}": StackRef(name, BASE, tuple(k for k in whole.keys if names[k] != name)) for name in lacking
    }
    selected = {name: subject.selected_on(stack) for name, stack in shown.items()}
    return Attribution(whole.name, stages, prefixes, without, shares, selected)


@dataclass(frozen=True)
class Notch:
    """One position of a dial: the factor, the scores, and the change of each from factor 1."""

    factor: float
    scores: Scores
    changes: Mapping[str, Judged]
    """By benchmark; none at factor 1."""


@dataclass(frozen=True)
class Dial:
    """The scores of a stack over the factor on one stage's adapter."""

    stack: str
    stage: str
    notches: tuple[Notch, ...]
    """Sorted by factor; factor 1 (as trained) is always among them."""
    selected: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """{benchmark: the stages of the stack whose best step was selected on it}."""

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
    stacks = {
        factor: scaled(subject, whole, {key: factor}) if factor != 1 else whole for factor in sorted({*grid, 1.0})
    }
    scores = {factor: {score.task: score for score in scorer.score(stack)} for factor, stack in stacks.items()}
    asked = {(f, task): (whole, stacks[f], task) for f, found in scores.items() if f != 1 for task in found}
    sizes = Family.of(subject).sizes(asked)
    judged = {
        (f, task): judge(compare_scores(scores[1.0][task], scores[f][task], size)) for (f, task), size in sizes.items()
    }
    notches = tuple(
        Notch(f, tuple(found.values()), {task: change for (at, task), change in judged.items() if at == f})
        for f, found in scores.items()
    )
    return Dial(whole.name, stage, notches, subject.selected_on(whole))
