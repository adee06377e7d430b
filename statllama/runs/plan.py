"""The plan of a run: each stage's key, whether the store holds it, and why it will run; and a run's record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from statllama.config.specs import StageSpec, TrainingSpec
from statllama.data.prepare import settled
from statllama.evaluation.gates import Breach, breaches
from statllama.model.identity import base_identity
from statllama.recipe import Recipe
from statllama.runs.keys import difference, key_material, stage_key
from statllama.runs.scorebook import ScoreBook
from statllama.runs.subject import BASE, StackRef, parent_stack
from statllama.store import Entry, Store


@dataclass(frozen=True)
class PlannedStage:
    """A stage, its key, the keys of the stack below it, and why it will or will not run."""

    spec: StageSpec
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
    breaches: tuple[Breach, ...] = ()
    """Gates that it broke, as far as its scores are known."""

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
        return "; ".join(str(b) for b in self.breaches if b.gate.on_break == "parent")


def plan(recipe: Recipe, store: Store, until: str | None = None) -> tuple[PlannedStage, ...]:
    """Return the key of every stage and whether the store holds it. Loads no torch; hashes data and, once, the base.

    A stage that is known to have broken a gate that falls back to the parent is not below those that follow.
    UsageError when there is no stage `until`, StoreError when the workspace cannot be written.
    """
    if until is not None:
        recipe.stage(until)
    store.require_space(0)
    base = base_identity(recipe.base, store.memory)
    # A hub dataset may move on while earlier stages train: what is keyed now is what is read then.
    names = [stage.name for stage in recipe.stages]
    wanted = recipe.stages[: names.index(until) + 1] if until is not None else recipe.stages
    specs = [
        s.model_copy(update={"data": settled(s.data, recipe.root, store.memory)}) if isinstance(s, TrainingSpec) else s
        for s in wanted
    ]
    return _arrange(recipe, store, specs, base)


def _arrange(
    recipe: Recipe, store: Store, specs: Sequence[StageSpec], base: Mapping[str, Any]
) -> tuple[PlannedStage, ...]:
    """Return `plan` of settled stages on an identified base: asked again once a gate may have broken.

    Parents come first in `specs`, so each key is made of known keys. A stage that a gate leaves out hands its own
    parents to its children (`_grounded`) and its key to none, so a broken gate changes the keys of all later stages.
    """
    tasks = recipe.tasks()
    last = store.last_run(recipe.name)["stages"]
    book = ScoreBook(store, base, tasks, recipe.evaluate, recipe.precision)
    planned: dict[str, PlannedStage] = {}
    for spec in specs:
        parents = tuple(dict.fromkeys(_grounded(recipe, spec, planned)))
        below = tuple(planned[s.name].key for s in recipe.stack(spec) if not planned[s.name].left_out)
        siblings = {name: planned[name].key for name in spec.siblings}
        material = key_material(spec, below, base, recipe.root, tasks, siblings)
        key = stage_key(material)
        entry = store.find("results", key)
        why = _why(store, key, material, entry, spec.name, last.get(spec.name))
        parent = parent_stack(parents, below, {name: p.stack for name, p in planned.items()})
        result = PlannedStage(spec, key, material, parents, below, parent, entry, why, tuple(siblings.values()))
        if entry is not None:
            broken = _breaches(book, recipe, result)
            result = replace(result, breaches=broken, why="; ".join([why, *map(str, broken)]))
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


def _breaches(book: ScoreBook, recipe: Recipe, stage: PlannedStage) -> tuple[Breach, ...]:
    """Return the gates that a trained stage broke, by the scores that the workspace has; none while some are
    missing.
    """
    gates = recipe.evaluate.gates
    if not gates:
        return ()
    scores = [book.recorded(stack) for stack in (stage.stack, StackRef(BASE, None), stage.parent)]
    if any(found is None for found in scores):
        return ()
    own, of_base, of_parent = (found or () for found in scores)
    return breaches(gates, stage.spec.name, own, of_base, of_parent)


def record_of(recipe: Recipe, planned: Sequence[PlannedStage]) -> dict[str, Any]:
    """Return a workspace's record of a run of these stages (`runs/<name>.json`): all that `subject_of` needs."""
    stages = {
        p.spec.name: {
            "type": p.spec.type,
            "parents": list(p.parents),
            "key": p.key,
            "below": list(p.below),
            "material": p.material,
            "left_out": p.left_out,
        }
        for p in planned
    }
    return {
        "name": recipe.name,
        "description": recipe.description,
        "recipe": str(recipe.source),
        "overrides": list(recipe.overrides),
        "order": [stage.name for stage in recipe.stages],
        "stages": stages,
        "base": recipe.base.model_dump(mode="json"),
        "identity": dict(planned[0].material["base"]),
        "evaluate": recipe.evaluate.model_dump(mode="json"),
        "root": str(recipe.root),
        "precision": recipe.precision,
        "resolved": recipe.to_yaml(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
