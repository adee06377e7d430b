"""A study's frontier: what its pipelines gained and forgot, and what they save against a ladder of intensities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from statllama.config.sweep import FrontierSpec
from statllama.evaluation.frontier import Saved, Stack, interval, saved
from statllama.evaluation.scores import TaskScore
from statllama.runs.subject import BASE

if TYPE_CHECKING:
    from statllama.runs.study_file import Pipeline

Scores = Mapping[str, Mapping[str, Mapping[str, TaskScore]]]
"""{recipe: {stack: {benchmark: score}}}"""


@dataclass(frozen=True)
class Point:
    """A pipeline's place: means over its runs, with 95 % intervals over rows and runs."""

    name: str
    gain: float
    gain_low: float
    gain_high: float
    forgotten: float
    forgotten_low: float
    forgotten_high: float
    runs: int
    of_ladder: bool


@dataclass(frozen=True)
class Frontier:
    """The points of a study, in nats per token on hold-outs (as shares on benchmarks), and what is saved."""

    spec: FrontierSpec
    metric: str
    """Of the scores on `spec.gain`."""
    points: tuple[Point, ...]
    saved: tuple[Saved, ...]
    """Of the pipelines that are not of the ladder, where it reaches their gain; judged together."""
    out_of_reach: tuple[str, ...]
    """Pipelines that gained more than the ladder, or less than nothing: they cannot be compared."""

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain JSON values."""
        found = [asdict(each) | {"saved": each.saved} for each in self.saved]
        points = [asdict(point) for point in self.points]
        spec = self.spec.model_dump(mode="json")
        return {"of": spec, "points": points, "saved": found, "out_of_reach": list(self.out_of_reach)}


def frontier(spec: FrontierSpec, ended: Sequence[Pipeline], scores: Scores) -> Frontier | None:
    """Return the frontier of the pipelines that ended; None for fewer than two with scores on both sets."""
    stacks = {stack.name: stack for stack in _stacks(spec, ended, scores)}
    if len(stacks) < 2:
        return None
    ladder = [stacks[name] for name in spec.ladder if name in stacks]
    others = [stack for name, stack in stacks.items() if name not in spec.ladder]
    found = {stack.name: saved(ladder, stack, tests=len(others)) for stack in others} if ladder else {}
    known = (scores.get(pipeline.recipe.name, {}).get(BASE, {}).get(spec.gain) for pipeline in ended)
    metric = next(score.metric for score in known if score is not None)
    return Frontier(
        spec,
        metric,
        tuple(_point(stack, stack.name in spec.ladder) for stack in stacks.values()),
        tuple(each for each in found.values() if each is not None),
        tuple(name for name, each in found.items() if each is None),
    )


def _point(stack: Stack, of_ladder: bool) -> Point:
    gain, forgotten = interval(stack.gains, stack.domain), interval(stack.losses, stack.general)
    return Point(stack.name, stack.gain, *gain, stack.forgotten, *forgotten, len(stack.gains), of_ladder)


def _stacks(spec: FrontierSpec, ended: Sequence[Pipeline], scores: Scores) -> Iterator[Stack]:
    """Yield each pipeline's rows, in as many runs as all that are trained anew have; one that is trained once is the
    same in each.
    """
    runs: dict[str, list[tuple[TaskScore, ...]]] = {}
    for pipeline in ended:
        known = scores.get(pipeline.recipe.name, {})
        parts = [known.get(stack, {}).get(task) for task in (spec.gain, spec.kept) for stack in (BASE, pipeline.last)]
        if all(part is not None for part in parts):
            runs.setdefault(pipeline.name, []).append(tuple(part for part in parts if part is not None))
    repeated = [len(found) for found in runs.values() if len(found) > 1]
    count = min(repeated, default=1)
    for name, found in runs.items():
        rows = (found * count if len(found) == 1 else found)[:count]
        gains = [_less(last, first) for first, last, _, _ in rows]
        losses = [_less(first, last) for _, _, first, last in rows]
        yield Stack(name, gains, losses, found[0][0].weights, found[0][2].weights)


def _less(one: TaskScore, other: TaskScore) -> list[float]:
    """Return the differences of two scores, row by row. Scores are such that higher is better."""
    return [a - b for a, b in zip(one.items, other.items, strict=True)]
