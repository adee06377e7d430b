"""The only loop over stages: plan, then skip what the store holds and execute the rest, scoring after each stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from statllama.checkpoints import SEAL
from statllama.data.prepare import settled
from statllama.data.verdicts import judge
from statllama.evaluate import TaskScore
from statllama.identity import base_identity
from statllama.keys import difference, key_material, stage_key
from statllama.recipe import Recipe
from statllama.reporting import Reporter
from statllama.scorecard import Scorecard, scorecard
from statllama.session import Session, count_steps, recipe_tasks
from statllama.signals import StopSignal
from statllama.specs import StageSpec
from statllama.store import Entry, Store


@dataclass(frozen=True)
class PlannedStage:
    """A stage, its key, the keys of the stack below it, and why it will or will not run."""

    spec: StageSpec
    key: str
    material: dict[str, Any]
    below: tuple[str, ...]
    entry: Entry | None
    why: str

    @property
    def cached(self) -> bool:
        """Whether the store holds its result."""
        return self.entry is not None


@dataclass(frozen=True)
class RunResult:
    """What a run leaves: the result folder of each stage by name, and the scorecard (None without tasks)."""

    results: dict[str, Path]
    scorecard: Scorecard | None


def plan(recipe: Recipe, store: Store, until: str | None = None) -> tuple[PlannedStage, ...]:
    """Key of every stage and whether the store holds it. Loads no torch; hashes data and, once, the base.

    UsageError when there is no stage `until`, StoreError when the workspace cannot be written.
    """
    if until is not None:
        recipe.stage(until)
    store.require_space(0)
    tasks = recipe_tasks(recipe)
    last = store.last_run(recipe.name)["stages"]
    base = base_identity(recipe.base, store.memory)
    planned: dict[str, PlannedStage] = {}
    for stage in recipe.stages:
        below = tuple(planned[s.name].key for s in recipe.stack(stage))
        # A hub dataset may move on while earlier stages train: what is keyed now is what is read then.
        spec = stage.model_copy(update={"data": settled(stage.data, recipe.root, store.memory)})
        material = key_material(spec, below, base, recipe.root, tasks)
        key = stage_key(material)
        entry = store.find("results", key)
        before = last.get(spec.name)
        if entry is not None:
            why = "cached" if entry.manifest.get("name") == spec.name else f"cached (as {entry.manifest.get('name')})"
        elif any((store.root / "partial" / f"results-{key}").glob(f"checkpoints/*/{SEAL}")):
            why = "unfinished: goes on from its checkpoint"
        elif before is None:
            why = "new"
        elif before["key"] == key:
            why = "the last run did not finish it, or its result was deleted"
        else:
            why = difference(before["material"], material)
        planned[spec.name] = PlannedStage(spec, key, material, below, entry, why)
        if spec.name == until:
            break
    return tuple(planned.values())


def run(
    recipe: Recipe,
    store: Store,
    reporter: Reporter,
    *,
    until: str | None = None,
    wait: bool = True,
) -> RunResult:
    """Train every stage that the store does not hold, score the base and each stack, and return the scorecard.

    Raises a StatllamaError; the store is then as before, plus a checkpoint to resume from.
    """
    tasks = recipe_tasks(recipe)
    planned = plan(recipe, store, until)
    store.prune_partial()  # a run that was killed right after it published left its checkpoints
    reporter.planned(recipe, planned)
    with StopSignal() as stop:
        session = Session(recipe, store, reporter, stop, wait=wait, base=planned[0].material["base"])
        _check(session, planned)
        _record(recipe, store, planned)
        rows: list[tuple[str, str | None, tuple[TaskScore, ...]]] = []
        if tasks:
            rows.append(("base", None, session.score("base", (), tasks)))
        results: dict[str, Path] = {}
        for stage in planned:
            entry = stage.entry or session.train(stage)
            results[stage.spec.name] = entry.path
            if stage.cached:
                reporter.stage_cached(stage.spec.name, entry)
            if tasks:
                parent = recipe.parents(stage.spec)
                name = parent[-1].name if parent else "base"
                rows.append((stage.spec.name, name, session.score(stage.spec.name, (*stage.below, stage.key), tasks)))
    card = scorecard(rows) if tasks else None
    reporter.finished(recipe, results, card)
    return RunResult(results, card)


def _check(session: Session, planned: Sequence[PlannedStage]) -> None:
    """Whatever would stop a stage that will run, such as a bad row, stops the run before a model is loaded."""
    waiting = [stage.spec for stage in planned if not stage.cached]
    if waiting:
        from statllama.preflight import require_optimizer, require_trackers

        require_trackers(session.recipe.report_to)
        for spec in waiting:
            require_optimizer(spec)
    for stage in planned:
        if stage.cached:
            session.choose(stage.spec)  # what it learned long ago may be in a benchmark that was added since
        else:
            prepared = session.prepare(stage.spec)
            findings = [v for v in judge(stage.spec, prepared.selection, prepared.report) if v.level == "warning"]
            session.reporter.data_ready(stage.spec, prepared.report, findings)


def _record(recipe: Recipe, store: Store, planned: Sequence[PlannedStage]) -> None:
    """Remember which key each stage of this recipe has: what `status` shows and `plan` compares with."""
    before = store.last_run(recipe.name)["stages"]
    stages = {p.spec.name: {"key": p.key, "material": p.material} for p in planned}
    names = {s.name for s in recipe.stages}
    kept = {name: record for name, record in before.items() if name in names}
    record = {
        "recipe": str(recipe.source),
        "overrides": list(recipe.overrides),
        "order": [s.name for s in recipe.stages],
        "stages": {**kept, **stages},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    store.write_run(recipe.name, record)


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
        if stage.entry is not None:
            data, steps = stage.entry.manifest["data"], stage.entry.manifest["metrics"]["steps"]
            sizes[stage.spec.name] = Measure(data["examples"], data["tokens"], steps)
        else:
            prepared = session.prepare(stage.spec)
            steps = count_steps(len(prepared.dataset), stage.spec.train)
            sizes[stage.spec.name] = Measure(prepared.report.examples, prepared.report.tokens, steps)
    return sizes
