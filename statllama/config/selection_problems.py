"""What a recipe's stages cannot select their best step or scale on, each with what would let them. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from statllama.config.evaluate import EvaluateSpec
from statllama.config.holdout import UNSCORED, holds_out
from statllama.config.scale_choice import ScaleChoice
from statllama.config.selection import OWN, PREFIX, SelectSpec
from statllama.config.source import SourceSpec
from statllama.config.stage import StageSpec, TrainingSpec
from statllama.config.yaml_lines import Path_, line_of
from statllama.errors import Problem, near

Fault = tuple[str, str | None]
"""What is wrong, and the remedy."""


def selection_problems(
    evaluate: EvaluateSpec, stages: Sequence[tuple[int, StageSpec]], lines: Mapping[Path_, int]
) -> list[Problem]:
    """Return the selections on hold-outs and benchmarks that the recipe does not have."""
    trained = {stage.name: stage for _, stage in stages if isinstance(stage, TrainingSpec)}
    problems = []
    for i, stage in stages:
        select = stage.train.select if isinstance(stage, TrainingSpec) else None
        if select is not None and (fault := _fault(trained[stage.name], select, trained, evaluate)):
            at = line_of(("stages", i, "train", "select", "on"), lines)
            problems.append(Problem(f"stages[{i}].train.select.on (stage {stage.name})", fault[0], at, fault[1]))
        choice = getattr(stage, "choose", None)
        if isinstance(choice, ScaleChoice):
            problems += _choice_problems(i, stage, choice, trained, evaluate, lines)
    return problems


def _choice_problems(
    i: int,
    stage: StageSpec,
    choice: ScaleChoice,
    trained: Mapping[str, TrainingSpec],
    evaluate: EvaluateSpec,
    lines: Mapping[Path_, int],
) -> Iterator[Problem]:
    """Yield what a blend's scale cannot be chosen on."""
    for name in choice.names:
        if fault := _no_choice(name, trained, evaluate):
            place = ("on",) if name == choice.on else ("keep", name)
            where = ".".join((f"stages[{i}].choose", *place))
            at = line_of(("stages", i, "choose", *place), lines)
            yield Problem(f"{where} (stage {stage.name})", fault[0], at, fault[1])


def _no_choice(name: str, trained: Mapping[str, TrainingSpec], evaluate: EvaluateSpec) -> Fault | None:
    """Return what is wrong with a name that a blend's scale is chosen on; None where nothing is."""
    if name.startswith(PREFIX):
        return _no_holdout(name.removeprefix(PREFIX), trained, evaluate)
    held = [PREFIX + each for each in _held(trained, evaluate)]
    message = f"{name!r} is no hold-out: " + (near(PREFIX + name, held) if held else "the recipe has none")
    return message, f"a scale is chosen on held-out rows, as in `{PREFIX}{name}`"


def _held(trained: Mapping[str, TrainingSpec], evaluate: EvaluateSpec) -> list[str]:
    return [*(one.name for one in trained.values() if holds_out(one)), *evaluate.holdouts]


def _fault(
    stage: TrainingSpec, select: SelectSpec, trained: Mapping[str, TrainingSpec], evaluate: EvaluateSpec
) -> Fault | None:
    """Return what is wrong with a stage's `select.on`; None where nothing is."""
    name = select.holdout
    if name is None:
        return None if select.on in evaluate.tasks else _no_benchmark(select.on, trained, evaluate)
    if select.on == OWN:
        if stage.type == UNSCORED:
            task = evaluate.tasks[0] if evaluate.tasks else "TASK"
            message = f"a {UNSCORED} stage holds no rows out: it is given questions alone, which have no loss"
            return message, f"name a benchmark of `evaluate.tasks`, as in `select: {{on: {task}}}`"
        return None if holds_out(stage) else _holds_nothing(stage)
    return _no_holdout(name, trained, evaluate)


def _no_holdout(name: str, trained: Mapping[str, TrainingSpec], evaluate: EvaluateSpec) -> Fault | None:
    held = _held(trained, evaluate)
    if name in held:
        return None
    if name in trained and trained[name].type != UNSCORED:
        return _holds_nothing(trained[name])
    message = f"no hold-out {name!r}: {near(name, held)}" if held else f"the recipe has no hold-out {name!r}"
    return message, f"write `evaluate: {{holdouts: {{{name or 'NAME'}: {{path: FILE}}}}}}`, or name one that is there"


def _holds_nothing(stage: TrainingSpec) -> Fault:
    line = f"data: [{{{_place(stage.data[0])}, holdout: 0.05}}]"
    return (
        f"stage {stage.name} holds no rows out",
        f"write `{line}` in stage {stage.name} (or --set stages.{stage.name}.data.0.holdout=0.05)",
    )


def _place(source: SourceSpec) -> str:
    if source.path is not None:
        return f"path: {source.path}"
    if source.built is not None:
        return f"built: {source.built}, part: {source.part}"
    return f"hub: {source.hub}" if source.hub is not None else "problems: {...}"


def _no_benchmark(on: str, trained: Mapping[str, TrainingSpec], evaluate: EvaluateSpec) -> Fault:
    names = [OWN, *(PREFIX + one.name for one in trained.values() if holds_out(one)), *evaluate.tasks]
    names += [PREFIX + name for name in evaluate.holdouts]
    return (
        f"{on!r} is neither a hold-out nor a benchmark of `evaluate.tasks`: {near(on, names)}",
        f"for the stage's own held-out rows write `select: {{on: {OWN}}}`; a benchmark is named in `evaluate: {{tasks: "
        f"[{', '.join((*evaluate.tasks, on))}]}}`",
    )
