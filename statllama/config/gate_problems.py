"""What is wrong with the gates of a recipe: stages and hold-outs that it lacks, and blends that a gate would break."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from statllama.config.evaluate import EvaluateSpec
from statllama.config.holdout import held_sources
from statllama.config.metrics import HOLDOUT
from statllama.config.stage import StageSpec
from statllama.config.yaml_lines import Path_, line_of
from statllama.errors import Problem, near


def gate_problems(evaluate: EvaluateSpec, names: Sequence[str], lines: Mapping[Path_, int]) -> list[Problem]:
    """Return the gates that hold stages which the recipe does not have."""
    return [
        Problem(
            f"evaluate.gates.{task}.stages",
            f"unknown stage {name!r}: {near(name, names)}",
            line_of(("evaluate", "gates", task, "stages"), lines),
        )
        for task, gate in evaluate.gates.items()
        for name in gate.stages or ()
        if name not in names
    ]


def held_gates(evaluate: EvaluateSpec, stages: Sequence[StageSpec], lines: Mapping[Path_, int]) -> list[Problem]:
    """Return the gates on hold-outs that the recipe does not have."""
    names = list(dict.fromkeys(f"{HOLDOUT}{held.name}" for held in held_sources(stages, evaluate)))
    return [
        Problem(
            f"evaluate.gates.{task}",
            f"no such hold-out: {near(task, names)}",
            line_of(("evaluate", "gates", task), lines),
            remedy="hold rows out of a stage's source (`holdout: 0.05`), or name a set under `evaluate.holdouts`",
        )
        for task in evaluate.gates
        if task.startswith(HOLDOUT) and task not in names
    ]


def blended_gates(evaluate: EvaluateSpec, stages: Sequence[StageSpec], lines: Mapping[Path_, int]) -> list[Problem]:
    """Return the gates that would leave out a stage that another one blends."""
    blended = [(name, stage.name) for stage in stages for name in stage.siblings]
    return [
        Problem(
            f"evaluate.gates.{task}",
            f"would leave out stage {name!r}, which {blend!r} blends",
            line_of(("evaluate", "gates", task), lines),
            remedy="set `on_break: stop`, or name the `stages` it holds",
        )
        for task, gate in evaluate.gates.items()
        for name, blend in blended
        if gate.on_break == "parent" and (gate.stages is None or name in gate.stages)
    ]
