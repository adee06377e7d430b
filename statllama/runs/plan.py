"""The plan of a run: each stage's key, whether the store holds it, and why it will run; and a run's record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from statllama.config.benchmarks import TaskFile
from statllama.config.holdout import Held
from statllama.config.stage import StageSpec, TrainingSpec
from statllama.data.held_rows import held_descriptions
from statllama.data.prepare import settled, settled_held
from statllama.evaluation.gates import GateAnswer, answers
from statllama.evaluation.held_score import HeldTask
from statllama.model.identity import base_identity
from statllama.model.precision import compute_type
from statllama.recipe import Recipe
from statllama.runs.house.history import stages_before
from statllama.runs.inputs import input_hashes, require_inputs
from statllama.runs.kept_state import KeptState, to_go_on_from
from statllama.runs.keys import difference, own_material, placed, stage_key, trunk_of
from statllama.runs.scorebook import ScoreBook
from statllama.runs.selecting import choice_material, require_enough, selection_material
from statllama.runs.subject import BASE, StackRef, parent_stack
from statllama.store import Entry, Store
from statllama.store.mirrored import bring


@dataclass(frozen=True)
class Fixed:
    """The part of a plan that no other stage's result changes: a stage, what it reads, and the material of both."""

    spec: StageSpec
    own: Mapping[str, Any]
    """See `keys.own_material`."""
    hashes: Mapping[str, str]
    """See `inputs.input_hashes`."""
    replayed: tuple[TrainingSpec, ...] = ()
    """The stages below whose data it replays, with nothing left open either."""


@dataclass(frozen=True)
class PlannedStage:
    """A stage, its key, the keys of the stack below it, and why it will or will not run."""

    fixed: Fixed
    key: str
    material: dict[str, Any]
    parents: tuple[str, ...]
    """Names of the stages that it trains on: the recipe's, without those left out."""
    below: tuple[str, ...]
    parent: StackRef
    """The whole stack that it trains on."""
    entry: Entry | None
    why: str
    siblings: tuple[str, ...] = ()
    """Keys of the stages that a blend combines, in its order."""
    answers: tuple[GateAnswer, ...] = ()
    """Answers of the gates that hold it, where its scores are known."""
    begins: KeptState | None = None
    """What a stage that is not trained goes on from, instead of from its first step."""

    @property
    def spec(self) -> StageSpec:
        """Return the stage, with nothing left open: commits in place of branches."""
        return self.fixed.spec

    def require_inputs(self, root: Path, tasks: Sequence[TaskFile], held: Sequence[Held]) -> None:
        """Raise InputChanged when a file that the stage reads is not what it was in the plan. `root`, `held`: the
        recipe's.
        """
        fixed = self.fixed
        require_inputs(self.spec.name, fixed.hashes, self.spec, root, tasks, held, fixed.replayed)

    @property
    def cached(self) -> bool:
        """Return whether the store holds its result."""
        return self.entry is not None

    @property
    def stack(self) -> StackRef:
        """Return its stack."""
        return StackRef(self.spec.name, self.parent.name, (*self.below, self.key))

    @property
    def joined(self) -> bool:
        """Return whether it stands on several stages, whose stack together is that of none."""
        return self.parent.name not in (BASE, *self.parents)

    @property
    def left_out(self) -> str:
        """Name the gates that keep later stages from training on it. Empty when it is not left out."""
        return "; ".join(str(answer) for answer in self.answers if answer.leaves_out)


def plan(recipe: Recipe, store: Store, until: str | None = None, *, contents: bool = False) -> tuple[PlannedStage, ...]:
    """Return the key of every stage and whether the store holds it, sound. Hashes data and, once, the base; loads no
    torch, unless it is a build for GPUs and has to say what `precision: auto` is here.

    A result is sound when its files are there and have their sizes; with `contents`, their hashes too. One that the
    workspace's mirror has is brought from there. A stage that is known to have broken a gate that falls back to the
    parent is not below those that follow.
    UsageError when there is no stage `until`, StoreError when the workspace cannot be written.
    """
    if until is not None:
        recipe.stage(until)
    store.require_space(0)
    base = base_identity(recipe.base, store.memory)
    # A hub dataset may move on while earlier stages train: what is keyed now is what is read then.
    names = [stage.name for stage in recipe.stages]
    wanted = recipe.stages[: names.index(until) + 1] if until is not None else recipe.stages
    specs = [_settled(s, recipe.root, store) if isinstance(s, TrainingSpec) else s for s in wanted]
    tasks = recipe.tasks()
    require_enough(wanted, tasks, recipe.evaluate)
    held = settled_held(recipe.held, recipe.root, store.memory)
    fixed = [_fixed(recipe, spec, base, tasks, held, specs) for spec in specs]
    return _arrange(recipe, store, fixed, tasks, contents)


def rearranged(
    recipe: Recipe,
    store: Store,
    planned: Sequence[PlannedStage],
    tasks: Sequence[TaskFile],
    held: Sequence[HeldTask],
) -> tuple[PlannedStage, ...]:
    """Return the plan as it is after a gate may have broken. What the stages read counts as it was planned.

    `tasks`, `held`: the recipe's benchmarks and hold-outs, as they were then.
    """
    return _arrange(recipe, store, [stage.fixed for stage in planned], tasks, contents=True, held=held)


def _settled(spec: TrainingSpec, root: Path, store: Store) -> TrainingSpec:
    """Return the stage with nothing left open about its sources."""
    changes: dict[str, Any] = {"data": settled(spec.data, root, store.memory)}
    if spec.replay is not None:
        replay: dict[str, Any] = {"data": settled(spec.replay.data, root, store.memory)}
        if (written := spec.replay.generations) is not None:
            prompts = settled(written.prompts, root, store.memory)
            replay["generations"] = written.model_copy(update={"prompts": prompts})
        changes["replay"] = spec.replay.model_copy(update=replay)
    return spec.model_copy(update=changes)


def _fixed(
    recipe: Recipe,
    spec: StageSpec,
    base: Mapping[str, Any],
    tasks: Sequence[TaskFile],
    held: Sequence[Held],
    stages: Sequence[StageSpec],
) -> Fixed:
    root = recipe.root
    names = spec.replay.stages if isinstance(spec, TrainingSpec) and spec.replay is not None else ()
    by_name = {stage.name: stage for stage in stages if isinstance(stage, TrainingSpec)}
    replayed = tuple(by_name[name] for name in names)
    # Before the key: a file edited in between is then not as it was hashed.
    hashes = input_hashes(spec, root, tasks, held, replayed)
    selects = selection_material(spec, tasks, recipe.evaluate, held, root)
    selects = selects or choice_material(spec, recipe.evaluate, held, root, recipe.precision)
    material = own_material(spec, base, root, tasks, held_descriptions(held, root), selects, replayed)
    return Fixed(spec, material, hashes, replayed)


def held_before(store: Store, name: str) -> tuple[HeldTask, ...]:
    """Return the hold-outs of a recipe as they were when it last ran: to know them without reading their rows.

    Were they others since, so would be the stages' keys, and no score is known of those.
    """
    return tuple(HeldTask(**held) for held in store.last_run(name).get("holdouts", ()))


def _arrange(
    recipe: Recipe,
    store: Store,
    stages: Sequence[Fixed],
    tasks: Sequence[TaskFile],
    contents: bool,
    held: Sequence[HeldTask] | None = None,
) -> tuple[PlannedStage, ...]:
    """Return `plan` of settled stages. `held`: the recipe's hold-outs; None: as they were in its last run.

    Parents come first in `stages`, so each key is made of known keys. A stage that a gate leaves out hands its own
    parents to its children (`_grounded`) and its key to none, so a broken gate changes the keys of all later stages.
    """
    last, compute = stages_before(store, recipe.name), compute_type(recipe.precision)
    known = partial(held_before, store, recipe.name) if held is None else (lambda: held)
    book = ScoreBook(store, stages[0].own["base"], tasks, recipe.evaluate, compute, known)
    planned: dict[str, PlannedStage] = {}
    for fixed in stages:
        spec = fixed.spec
        parents = tuple(dict.fromkeys(_grounded(recipe, spec, planned)))
        below = tuple(planned[s.name].key for s in recipe.stack(spec) if not planned[s.name].left_out)
        siblings = {name: planned[name].key for name in spec.siblings}
        material = placed(fixed.own, spec, below, siblings)
        key = stage_key(material)
        entry, wrong = store.find("results", key), None
        if entry is not None and (wrong := store.flaw(entry, contents=contents)) is not None:
            entry = None
        why = f"its {wrong}: made again" if wrong else _why(store, key, material, entry, spec.name, last.get(spec.name))
        if entry is None and (entry := bring(store, "results", key)) is not None:
            why = "from the mirror" if entry.path.is_dir() else "in the mirror: `run` takes it from there"
        begins = None
        if entry is None and not store.unfinished("results", key):
            begins = to_go_on_from(store, spec, material)
            why += f"; {begins}" if begins else _hint(spec, material, last.get(spec.name))
        parent = parent_stack(parents, below, {name: p.stack for name, p in planned.items()})
        of = tuple(siblings.values())
        result = PlannedStage(fixed, key, material, parents, below, parent, entry, why, of, begins=begins)
        if entry is not None:
            found = _answers(book, recipe, result)
            told = [str(answer) for answer in found if answer.answer == "broken"]
            result = replace(result, answers=found, why="; ".join([why, *told]))
        planned[spec.name] = result
    return tuple(planned.values())


def _grounded(recipe: Recipe, stage: StageSpec, planned: Mapping[str, PlannedStage]) -> Iterator[str]:
    """Yield the names of the stage's parents, each that is left out replaced by its own parents."""
    for parent in recipe.parents(stage):
        if planned[parent.name].left_out:
            yield from planned[parent.name].parents
        else:
            yield parent.name


def _why(
    store: Store, key: str, material: dict[str, Any], entry: Entry | None, name: str, before: Mapping[str, Any] | None
) -> str:
    """Say why a stage will or will not run. `before`: its record in the last run."""
    if entry is not None:
        return "cached" if entry.manifest.get("name") == name else f"cached (as {entry.manifest.get('name')})"
    if store.unfinished("results", key):
        return "unfinished: resumes from its checkpoint"
    if before is None:
        return "new"
    if before["key"] == key:
        return "the last run did not finish it, or its result was deleted"
    return difference(before["material"], material)


def _hint(spec: StageSpec, material: Mapping[str, Any], before: Mapping[str, Any] | None) -> str:
    """Say how a stage that differs from its last run in its length alone could have gone on from there."""
    if before is None or not isinstance(spec, TrainingSpec) or spec.train.keep_state:
        return ""
    trunk, earlier = trunk_of(material), before["material"]
    if trunk is None or trunk != trunk_of(earlier) or earlier == material:
        return ""
    return "; with `train.keep_state: true` a longer run could go on from this one"


def _answers(book: ScoreBook, recipe: Recipe, stage: PlannedStage) -> tuple[GateAnswer, ...]:
    """Return the answers of a trained stage's gates, by the scores that the workspace has; none while some are
    missing.
    """
    gates = recipe.evaluate.gates
    if not gates:
        return ()
    scores = [book.recorded(stack) for stack in (stage.stack, StackRef(BASE, None), stage.parent)]
    if any(found is None for found in scores):
        return ()
    own, of_base, of_parent = (found or () for found in scores)
    return answers(gates, stage.spec.name, own, of_base, of_parent)


def record_of(
    recipe: Recipe,
    planned: Sequence[PlannedStage],
    held: Sequence[HeldTask],
    cache: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Return a workspace's record of a run of these stages (`runs/<name>.json`): all that `subject_of` needs.

    `held`: what it holds out; `cache`: {stage: keys of the prepared data that it was given}.
    """
    stages = {
        p.spec.name: {
            "type": p.spec.type,
            "parents": list(p.parents),
            "key": p.key,
            "below": list(p.below),
            "material": p.material,
            "left_out": p.left_out,
            "siblings": list(p.spec.siblings),
            "selects_on": list(p.spec.chosen_on),
            "cache": list((cache or {}).get(p.spec.name, ())),
        }
        for p in planned
    }
    return {
        "name": recipe.name,
        "description": recipe.description,
        "recipe": str(recipe.source),
        "overrides": list(recipe.overrides),
        "order": [stage.name for stage in recipe.stages],
        "comparisons": recipe.comparisons,
        "holdouts": [task.to_json() for task in held],
        "stages": stages,
        "base": recipe.base_record,
        "identity": dict(planned[0].material["base"]),
        "evaluate": recipe.evaluate.model_dump(mode="json"),
        "root": str(recipe.root),
        "precision": recipe.precision,
        "compute": compute_type(recipe.precision),
        "resolved": recipe.to_yaml(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
