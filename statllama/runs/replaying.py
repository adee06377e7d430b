"""What the stages of a run replay: prepared sources, rows of stages below, and what a model writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from statllama.config.stage import TrainingSpec
from statllama.recipe import Recipe
from statllama.runs.generations import ROWS_FILE, Generations
from statllama.runs.replayed import Replayed, generations_of, replayed_sources
from statllama.store import Entry

if TYPE_CHECKING:
    from statllama.data.prepare import Prepared
    from statllama.data.replay import Part, ReplayRows
    from statllama.data.select import Guard
    from statllama.runs.plan import PlannedStage

Prepare = Callable[[TrainingSpec, "Guard", Any, Sequence[Any], Mapping[str, Any]], "Prepared"]


class Replays:
    """The rows that the stages of a run replay."""

    def __init__(
        self, recipe: Recipe, generations: Generations, guard: Callable[[TrainingSpec], Guard], prepare: Prepare
    ) -> None:
        """Take `guard`: returns what a stage's rows must not copy; `prepare`: makes rows of sources."""
        self._recipe, self.generations, self._guard, self._prepare = recipe, generations, guard, prepare
        self._settled: dict[str, TrainingSpec] = {}
        self._below: dict[str, tuple[str, ...]] = {}

    def settle(self, stage: PlannedStage) -> None:
        """Take the stages whose data it replays as they are in the plan, since a branch on the hub may move meanwhile,
        and the keys of the stack below it.
        """
        self._settled |= {spec.name: spec for spec in stage.fixed.replayed}
        self._below[stage.spec.name] = stage.below

    def sources(self, spec: TrainingSpec) -> Iterator[tuple[Replayed, Guard]]:
        """Yield the sources that a stage replays, with what they must not copy: what its own rows must not."""
        names = spec.replay.stages if spec.replay is not None else ()
        stages = [self._settled.get(name) or self._recipe.training_stage(name) for name in names]
        for one in replayed_sources(spec, stages):
            yield one, replace(self._guard(spec), deduplicate=one.stage.deduplicate, stage=one.label)

    def rows(self, spec: TrainingSpec) -> tuple[ReplayRows | None, list[str]]:
        """Return what a stage replays, None for nothing, and the keys of the data that it was given for that.

        Rows that a model is still to write are awaited. DataError for rows that cannot be used, and for what would keep
        the model from writing any.
        """
        from statllama.data.replay import Part, ReplayRows

        parts, keys, awaited = list[Part](), list[str](), None
        for one, guard in self.sources(spec):
            made = self._prepare(spec, guard, one.kind, one.sources, one.options)
            keys += [made.selection.kept_in, made.kept_in]
            parts.append(Part(made.dataset, one.kind, made.report, made.selection, one.label))
        if spec.generated is not None:
            below = self._stack_of(spec)
            entry = None if below is None else self.generations.find(spec, below)
            keys += self.written_in(spec)
            if entry is None:
                awaited = self.generations.expected(spec)
            else:
                part, more = self._written(spec, entry)
                parts.append(part)
                keys += more
        return ReplayRows(parts, spec.train.seed, awaited) if parts or awaited is not None else None, keys

    def written_in(self, spec: TrainingSpec) -> list[str]:
        """Return the key of the entry of the workspace's cache that has, or will have, what a model writes for a stage;
        none where it writes nothing, or nobody knows the stack that does.
        """
        below = None if spec.generated is None else self._stack_of(spec)
        return [] if below is None else [self.generations.key(spec, below)]

    def _stack_of(self, spec: TrainingSpec) -> tuple[str, ...] | None:
        """Return the keys of the stack below a stage, as far as they bear on who writes; None where not known."""
        assert spec.generated is not None
        if spec.generated.by == "base" or not self._recipe.stack(spec):
            return ()
        return self._below.get(spec.name)

    def _written(self, spec: TrainingSpec, entry: Entry) -> tuple[Part, list[str]]:
        """Return written rows, held to what the stage's own are held to, and the keys of what was prepared.

        A copy of a benchmark's question is left out also where the stage's own data would stop the run: nobody can
        take it out of what the model says.
        """
        from statllama.data.replay import Part

        assert spec.generated is not None and spec.replay is not None
        guard = self._guard(spec)
        if guard.decontaminate == "stop":
            guard = replace(guard, decontaminate="drop")
        train_on = spec.replay.train_on or spec.train_on  # type: ignore[attr-defined]
        options = {"train_on": train_on, "seed": spec.train.seed}
        options |= {"max_length": spec.train.max_length, "packing": False}
        guard = replace(guard, deduplicate="none", stage="")
        made = self._prepare(spec, guard, "conversations", [self.generations.source(entry)], options)
        about = entry.manifest
        (source,) = made.report.sources
        name = generations_of(about["rows"], about["by"])
        report = replace(made.report, sources=(replace(source, name=name),))
        told = {field: about[field] for field in ("by", "rows", "asked_for", "tries", "dropped", "tokens")}
        told["left_out"] = dict(made.selection.sources[0].dropped)  # copies of questions, and of what is held out
        told |= {"fingerprint": about["files"][ROWS_FILE]["sha256"], "kept_in": entry.key}
        part = Part(made.dataset, "conversations", report, made.selection, generated=told)
        return part, [made.selection.kept_in, made.kept_in]
