"""What a recipe holds out: the sources whose rows no stage trains on, under the names that scores bear. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from statllama.config.evaluate import EvaluateSpec
from statllama.config.source import SourceSpec
from statllama.config.stage import StageSpec, TrainingSpec
from statllama.config.yaml_lines import Path_, line_of
from statllama.errors import Problem

USED_FIELDS = ("holdout", "repeat", "limit", "weight")
"""Fields of a source that say how its rows are used, which is nothing to rows that are held out."""
UNSCORED = "grpo"
"""The stage type whose rows have no text to take a loss on."""


@dataclass(frozen=True)
class Held:
    """Rows of one source that are held out. Several sources of a stage are one hold-out, of the stage's name."""

    name: str
    """The stage's, or that in `evaluate.holdouts`."""
    source: SourceSpec
    """What the rows are read from: the stage's source, or its held-out file, read as the source is."""
    share: float | None
    """Share of its usable rows that is held out. None: all of them."""
    stage: TrainingSpec | None
    """The stage; None for a set of `evaluate.holdouts`."""
    place: int = 0
    """Index of the source in the stage's data."""

    def settled(self, source: SourceSpec) -> Held:
        """Return the same with nothing left open in its source (see `prepare.settled`)."""
        return replace(self, source=source)


def held_sources(stages: Iterable[StageSpec], evaluate: EvaluateSpec) -> tuple[Held, ...]:
    """Return all that a recipe holds out: of its stages in order, then `evaluate.holdouts`."""
    of_stages = (held for stage in stages if isinstance(stage, TrainingSpec) for held in _of_stage(stage))
    named = (Held(name, bare(source), None, None) for name, source in evaluate.holdouts.items())
    return (*of_stages, *named)


def _of_stage(stage: TrainingSpec) -> Iterator[Held]:
    for place, source in enumerate(stage.data):
        if isinstance(source.holdout, str):
            yield Held(stage.name, held_file(source, source.holdout), None, stage, place)
        elif source.holdout is not None:
            yield Held(stage.name, bare(source), source.holdout, stage, place)


def bare(source: SourceSpec) -> SourceSpec:
    """Return a source without what says how its rows are used: the rows that it has."""
    defaults = {name: SourceSpec.model_fields[name].default for name in USED_FIELDS}
    return source.model_copy(update=defaults)


def held_file(source: SourceSpec, file: str) -> SourceSpec:
    """Return the held-out file of a source as a source of its own, read as that one is."""
    elsewhere = {"hub": None, "config": None, "revision": None, "split": "train", "problems": None}
    return bare(source).model_copy(update={"path": file, **elsewhere})


def holds_out(stage: StageSpec) -> bool:
    """Return whether a stage has a hold-out of its own."""
    return isinstance(stage, TrainingSpec) and any(source.holdout is not None for source in stage.data)


def holdout_problems(
    evaluate: EvaluateSpec | None, stages: Sequence[tuple[int, StageSpec]], lines: Mapping[Path_, int]
) -> list[Problem]:
    """Return the hold-outs that cannot be: of a stage that takes no loss on its rows, of one another, of one name."""
    problems = []
    for i, stage in stages:
        for j, source in enumerate(stage.data if isinstance(stage, TrainingSpec) else ()):
            if source.holdout is not None and stage.type == UNSCORED:
                message = f"a {UNSCORED} stage is given questions alone, so its rows have no text to take a loss on"
                remedy = (
                    "score a benchmark in `evaluate.tasks`, or name questions with worked answers under "
                    "`evaluate.holdouts`: no stage trains on those either"
                )
                at = line_of(("stages", i, "data", j, "holdout"), lines)
                problems.append(Problem(f"stages[{i}].data[{j}].holdout (stage {stage.name})", message, at, remedy))
    names = {stage.name for _, stage in stages}
    for name, source in evaluate.holdouts.items() if evaluate else ():
        at = line_of(("evaluate", "holdouts", name), lines)
        if name in names:
            message = f"{name!r} is the name of a stage, whose own hold-out would bear it too"
            problems.append(Problem(f"evaluate.holdouts.{name}", message, at, "give the set another name"))
        if used := [field for field in USED_FIELDS if getattr(source, field) != SourceSpec.model_fields[field].default]:
            message = f"takes no `{used[0]}`: every row of the set is held out, once"
            remedy = f"remove `{used[0]}`" + ("" if used[0] != "holdout" else ", or put it at the source of a stage")
            problems.append(Problem(f"evaluate.holdouts.{name}.{used[0]}", message, at, remedy))
    return problems
