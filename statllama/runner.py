"""The only loop over stages: plan, then skip what the store holds and execute the rest, scoring after each stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from statllama.config.specs import StageSpec, TrainingSpec
from statllama.data.prepare import settled
from statllama.data.verdicts import judge
from statllama.errors import GateBroken
from statllama.evaluate.gates import Breach, breaches
from statllama.evaluate.scorecard import Scorecard, scorecard
from statllama.evaluate.scores import Drift, StackRef, TaskScore
from statllama.keys import difference, key_material, stage_key
from statllama.loaded import Loaded
from statllama.model.identity import base_identity
from statllama.recipe import Recipe
from statllama.reporting import Reporter
from statllama.scorer import ScoreBook
from statllama.session import Session, count_steps, recipe_tasks
from statllama.signals import StopSignal
from statllama.stages import stage_module
from statllama.store import Entry, Store
from statllama.subjects import BASE, run_record
from statllama.train.checkpoints import SEAL


@dataclass(frozen=True)
class PlannedStage:
    """A stage, its key, the keys of the stack below it, and why it will or will not run."""

    spec: StageSpec
    key: str
    material: dict[str, Any]
    parents: tuple[str, ...]
    """Names of the stages that it is trained on: the recipe's, without those that were left out."""
    below: tuple[str, ...]
    entry: Entry | None
    why: str
    siblings: tuple[str, ...] = ()
    """Keys of the stages that a blend is made of, in its order."""
    breaches: tuple[Breach, ...] = ()
    """Gates that it broke, as far as its scores are known."""

    @property
    def cached(self) -> bool:
        """Whether the store holds its result."""
        return self.entry is not None

    @property
    def stack(self) -> StackRef:
        """Its stack."""
        name = self.parents[-1] if self.parents else BASE
        return StackRef(self.spec.name, name, (*self.below, self.key))

    @property
    def left_out(self) -> str:
        """Why what follows is not trained on it: the gates that say so. Empty when it is not left out."""
        return "; ".join(str(b) for b in self.breaches if b.gate.on_break == "parent")


@dataclass(frozen=True)
class RunResult:
    """What a run leaves: the result folder of each stage by name, and the scorecard (None without tasks)."""

    results: dict[str, Path]
    scorecard: Scorecard | None


def plan(recipe: Recipe, store: Store, until: str | None = None) -> tuple[PlannedStage, ...]:
    """Key of every stage and whether the store holds it. Loads no torch; hashes data and, once, the base.

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
    """`plan` of settled stages on an identified base: asked again once a gate may have broken."""
    tasks = recipe_tasks(recipe)
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
        result = PlannedStage(spec, key, material, parents, below, entry, why, tuple(siblings.values()))
        if entry is not None:
            broken = _breaches(book, recipe, result, planned)
            result = replace(result, breaches=broken, why="; ".join([why, *map(str, broken)]))
        planned[spec.name] = result
    return tuple(planned.values())


def _grounded(recipe: Recipe, stage: StageSpec, planned: Mapping[str, PlannedStage]) -> Iterator[str]:
    """Names of the stage's parents, each that is left out replaced by its own parents."""
    for parent in recipe.parents(stage):
        if planned[parent.name].left_out:
            yield from planned[parent.name].parents
        else:
            yield parent.name


def _why(
    store: Store, key: str, material: dict[str, Any], entry: Entry | None, name: str, before: Mapping[str, Any] | None
) -> str:
    """Why a stage will or will not run. `before`: what the last run recorded of it."""
    if entry is not None:
        return "cached" if entry.manifest.get("name") == name else f"cached (as {entry.manifest.get('name')})"
    if any((store.root / "partial" / f"results-{key}").glob(f"checkpoints/*/{SEAL}")):
        return "unfinished: goes on from its checkpoint"
    if before is None:
        return "new"
    if before["key"] == key:
        return "the last run did not finish it, or its result was deleted"
    return difference(before["material"], material)


def _breaches(
    book: ScoreBook, recipe: Recipe, stage: PlannedStage, planned: Mapping[str, PlannedStage]
) -> tuple[Breach, ...]:
    """The gates that a trained stage broke, by the scores that the workspace has; none while some are missing."""
    gates = recipe.evaluate.gates
    if not gates:
        return ()
    parent = planned[stage.parents[-1]].stack if stage.parents else StackRef(BASE, None)
    scores = [book.recorded(stack) for stack in (stage.stack, StackRef(BASE, None), parent)]
    if any(found is None for found in scores):
        return ()
    own, of_base, of_parent = (found or () for found in scores)
    return breaches(gates, stage.spec.name, own, of_base, of_parent)


def run(
    recipe: Recipe,
    store: Store,
    reporter: Reporter,
    *,
    until: str | None = None,
    wait: bool = True,
    loaded: Loaded | None = None,
) -> RunResult:
    """Train every stage that the store does not hold, score the base and each stack, and return the scorecard.

    Raises a StatllamaError; the store is then as before, plus a checkpoint to resume from. GateBroken when a stage
    broke a gate that stops the run: its result and scores are kept. `loaded`: the recipe's base, where it is loaded.
    """
    planned = plan(recipe, store, until)
    store.prune_partial()  # a run that was killed right after it published left its checkpoints
    reporter.planned(recipe, planned)
    with StopSignal() as stop:
        session = Session(recipe, store, reporter, stop, wait=wait, base=planned[0].material["base"], loaded=loaded)
        _check(session, planned)
        _record(recipe, store, planned)
        rows: list[tuple[str, str | None, tuple[TaskScore, ...]]] = []
        if recipe.evaluate.tasks:
            rows.append((BASE, None, session.scorer.score(StackRef(BASE, None))))
        results: dict[str, Path] = {}
        drifts: dict[str, Drift] = {}
        while len(results) < len(planned):
            stage = planned[len(results)]
            entry = stage.entry or session.train(stage)
            results[stage.spec.name] = entry.path
            if stage.cached:
                reporter.stage_cached(stage.spec.name, entry)
            drifts[stage.spec.name] = session.scorer.drift(stage.stack)
            if recipe.evaluate.tasks:
                rows.append((stage.spec.name, stage.stack.parent, session.scorer.score(stage.stack)))
            if recipe.evaluate.gates:  # what follows stands on other stages when this one is left out
                planned = _arrange(recipe, store, [p.spec for p in planned], planned[0].material["base"])
                _record(recipe, store, planned)
                if _stopped(planned[len(results) - 1], reporter):
                    break
    card = scorecard(rows, drifts) if rows else None
    reporter.finished(recipe, results, card)
    for stage in planned[: len(results)]:
        if stops := [b for b in stage.breaches if b.gate.on_break == "stop"]:
            raise GateBroken("; ".join(map(str, stops)), remedy=_remedy(stops[0]))
    return RunResult(results, card)


def _stopped(stage: PlannedStage, reporter: Reporter) -> bool:
    """Say which gates the stage broke; whether one of them stops the run."""
    for breach in stage.breaches:
        what = "the run stops" if breach.gate.on_break == "stop" else "left out, what follows goes on from its parent"
        reporter.note(f"{breach}: {what}")
    return any(breach.gate.on_break == "stop" for breach in stage.breaches)


def _remedy(breach: Breach) -> str:
    return (
        f"the stage is kept: change how it trains, go on from its parent with "
        f"--set evaluate.gates.{breach.task}.on_break=parent, or allow more (`budget`)"
    )


def _check(session: Session, planned: Sequence[PlannedStage]) -> None:
    """Whatever would stop a stage that will run, such as a bad row, stops the run before a model is loaded."""
    waiting = [stage.spec for stage in planned if not stage.cached and isinstance(stage.spec, TrainingSpec)]
    if waiting:
        from statllama.train.preflight import require_optimizer, require_trackers

        require_trackers(session.recipe.report_to)
        for training in waiting:
            require_optimizer(training)
    for stage, spec in ((stage, stage.spec) for stage in planned):
        if not isinstance(spec, TrainingSpec):
            continue
        if stage.cached:
            session.choose(spec)  # what it learned long ago may be in a benchmark that was added since
        else:
            prepared = session.prepare(spec)
            spec.rows_per_epoch(len(prepared.dataset))  # too few are an error
            if require := getattr(stage_module(spec.type), "require", None):
                require(spec, session.recipe.root, session.recipe.trust_local_code)
            findings = [v for v in judge(spec, prepared.selection, prepared.report) if v.level == "warning"]
            session.reporter.data_ready(spec, prepared.report, findings)


def record_of(recipe: Recipe, planned: Sequence[PlannedStage]) -> dict[str, Any]:
    """What the workspace keeps of a run of these stages."""
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
    return run_record(recipe, planned[0].material["base"], stages)


def _record(recipe: Recipe, store: Store, planned: Sequence[PlannedStage]) -> None:
    """Remember which key each stage of this recipe has: what `status` shows and `plan` compares with."""
    record = record_of(recipe, planned)
    before = store.last_run(recipe.name)["stages"]
    kept = {name: stage for name, stage in before.items() if name in record["order"]}
    store.write_run(recipe.name, record | {"stages": kept | record["stages"]})


@dataclass(frozen=True)
class Measure:
    """Size of a stage for `plan`: examples and tokens of one pass over its data, optimizer steps in all."""

    examples: int
    tokens: int
    steps: int


def measure(recipe: Recipe, store: Store, stages: Sequence[PlannedStage], reporter: Reporter) -> dict[str, Measure]:
    """Exact sizes of planned stages: from the manifest of a cached one, by tokenising the data of the others."""
    session = Session(recipe, store, reporter, StopSignal(), base=stages[0].material["base"])
    sizes = {}
    for stage in stages:
        spec = stage.spec
        if not isinstance(spec, TrainingSpec):
            sizes[spec.name] = Measure(0, 0, 0)
        elif stage.entry is not None:
            data, steps = stage.entry.manifest["data"], stage.entry.manifest["metrics"]["steps"]
            sizes[spec.name] = Measure(data["examples"], data["tokens"], steps)
        else:
            prepared = session.prepare(spec)
            steps = count_steps(spec.rows_per_epoch(len(prepared.dataset)), spec.train)
            sizes[spec.name] = Measure(prepared.report.examples, prepared.report.tokens, steps)
    return sizes
