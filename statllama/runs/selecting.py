"""What a stage selects its best step or scale on, in a run: whether it is enough, and what of it is in the key."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from statllama.config.benchmarks import TaskFile, task_fingerprint
from statllama.config.evaluate import EvaluateSpec
from statllama.config.holdout import Held
from statllama.config.scale_choice import ScaleChoice
from statllama.config.selection import PREFIX
from statllama.config.stage import StageSpec, TrainingSpec
from statllama.data.contamination import read_items
from statllama.data.held_rows import held_descriptions
from statllama.errors import UsageError
from statllama.evaluation.held_score import HELD_PROTOCOL
from statllama.evaluation.suite import ASKED, PROTOCOL
from statllama.model.precision import compute_type
from statllama.stages import stage_module
from statllama.store.canonical import digest

LEAST_ITEMS = 50
"""Of a benchmark: below it the standard error of a score near a half is above 7 points."""
CHOICE_NUMERICS = 1
"""Raised when the same `train.select` would publish another step: in the keys of stages that have one."""

SCALE_NUMERICS = 1
"""Raised when the same `choose` would publish another scale: in the keys of blends that have one."""


def require_enough(stages: Iterable[StageSpec], tasks: Sequence[TaskFile], evaluate: EvaluateSpec) -> None:
    """Raise UsageError where a stage selects on a benchmark of too few items. Of hub data, and of benchmarks whose code
    may leave rows out, nothing is known yet: see `require_items`.
    """
    for stage, task in _benchmarks(stages, tasks):
        if task.is_local and task.config.get("process_docs") is None:
            count = sum(1 for _ in islice(read_items(task), min(evaluate.limit or LEAST_ITEMS, LEAST_ITEMS)))
            require_items(stage, task.name, count, evaluate.limit)


def _benchmarks(stages: Iterable[StageSpec], tasks: Sequence[TaskFile]) -> Iterable[tuple[TrainingSpec, TaskFile]]:
    """Yield the stages that select on a benchmark, with it."""
    for stage in stages:
        if isinstance(stage, TrainingSpec) and (select := stage.train.select) is not None:
            yield from ((stage, task) for task in tasks if select.holdout is None and task.name == select.on)


def require_items(stage: TrainingSpec, task: str, count: int, limit: int | None) -> None:
    """Raise UsageError for a selection on `count` items, where those are too few to tell steps apart."""
    if count >= LEAST_ITEMS:
        return
    has = "which has" if limit is None or limit > count else "of which `evaluate.limit` leaves"
    own = f"hold rows out and select on them: --set stages.{stage.name}.data.0.holdout=0.05 "
    own += f"--set stages.{stage.name}.train.select.on=holdout"
    raise UsageError(
        f"stage {stage.name}: `train.select.on` names {task}, {has} {count} items: the standard error of a score near "
        f"50 % is {100 * math.sqrt(0.25 / max(count, 1)):.1f} points, so the choice would be of noise; a benchmark to "
        f"select on has at least {LEAST_ITEMS}",
        remedy="name a larger benchmark" if stage.type == "grpo" else own,
    )


def selection_material(
    stage: StageSpec, tasks: Sequence[TaskFile], evaluate: EvaluateSpec, held: Sequence[Held], root: Path
) -> dict[str, Any] | None:
    """Return what of a stage's selection is in its key, in place of a name; None where it selects nothing.

    `held`: what the recipe holds out, with settled sources; `root`: the recipe's.
    """
    select = stage.train.select if isinstance(stage, TrainingSpec) else None
    if select is None:
        return None
    if (name := select.holdout) is not None:
        rows = [one for one in held if one.name == (name or stage.name)]
        return {"numerics": CHOICE_NUMERICS, "protocol": HELD_PROTOCOL, **_rows(rows, evaluate, root)}
    (fingerprint,) = [task_fingerprint(task) for task in tasks if task.name == select.on]
    asked = evaluate.model_dump(mode="json", include=set(ASKED))
    libraries = {"lm_eval": version("lm_eval")}
    return {"numerics": CHOICE_NUMERICS, "task": fingerprint, "protocol": PROTOCOL, "asked": asked, **libraries}


def choice_material(
    spec: StageSpec, evaluate: EvaluateSpec, held: Sequence[Held], root: Path, precision: str
) -> dict[str, Any] | None:
    """Return what of a blend's choice of its scale is in its key, in place of names; None where it chooses none.

    `precision`: what the recipe's stacks are scored in.
    """
    choice = getattr(spec, "choose", None)
    if not isinstance(choice, ScaleChoice):
        return None
    rows = {name: _rows([one for one in held if PREFIX + one.name == name], evaluate, root) for name in choice.names}
    keep = sorted(([rows[name], most] for name, most in choice.keep.items()), key=digest)
    how = {"numerics": SCALE_NUMERICS, "protocol": HELD_PROTOCOL, "compute": compute_type(precision)}
    return {**how, "on": rows[choice.on], "keep": keep}


def _rows(held: Sequence[Held], evaluate: EvaluateSpec, root: Path) -> dict[str, Any]:
    """Return what decides the token ids of a hold-out, and which of them have loss."""
    owner = held[0].stage
    if owner is None:
        how = {"max_length": evaluate.max_length}
    else:
        kind, train_on = stage_module(owner.type).DATA_KIND, owner.data_options["train_on"]
        how = {"kind": kind, "train_on": train_on, "max_length": owner.train.max_length}
    return {"rows": held_descriptions(held, root), **how}
