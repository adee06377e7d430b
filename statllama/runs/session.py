"""One run's work on one stage: prepare its data, train it, publish it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from statllama.config.stage import TrainingSpec
from statllama.errors import Interrupted
from statllama.model.identity import base_identity, config_of, require_identity
from statllama.recipe import Recipe
from statllama.runs.forecast.figure import Figure
from statllama.runs.forecast.machine import this_machine
from statllama.runs.forecast.samples import ranks_below
from statllama.runs.forecast.timing import Timing
from statllama.runs.generations import Generations
from statllama.runs.held import HeldBack
from statllama.runs.kept_state import begin, keep
from statllama.runs.loaded import Loaded
from statllama.runs.replaying import Replays
from statllama.runs.reporting import Reporter
from statllama.runs.scorer import Scorer
from statllama.runs.signals import StopSignal
from statllama.stages import stage_module
from statllama.store import Entry, Store
from statllama.store.files import write_json
from statllama.store.hold import Hold
from statllama.store.mirrored import bring
from statllama.store.versions import __version__, installed_versions
from statllama.train.job import Job
from statllama.train.ranks import ALONE, Ranks
from statllama.train.steps import steps_of

if TYPE_CHECKING:
    from statllama.config.source import SourceSpec
    from statllama.data.encode import Kind
    from statllama.data.holdout import Holdout
    from statllama.data.prepare import Prepared
    from statllama.data.replay import ReplayRows
    from statllama.data.select import Guard
    from statllama.data.selection import Selection
    from statllama.model.base_model import Base
    from statllama.runs.forecast.forecast import StageForecast
    from statllama.runs.plan import PlannedStage
    from statllama.train.selection import Validation


def _weights(entry: Entry) -> dict[str, Any]:
    """Return the records of the entry's files of weights."""
    return {name: record for name, record in entry.manifest["files"].items() if name.endswith(".safetensors")}


def _unseen(event: object) -> None:
    """Leave an event to rank 0, on whom it happens too."""


class Session:
    """The things that one run loads, once: tokenizer, base, prepared data, adapters."""

    def __init__(
        self,
        recipe: Recipe,
        store: Store,
        reporter: Reporter,
        stop: StopSignal,
        *,
        wait: bool = True,
        base: Mapping[str, Any] | None = None,
        loaded: Loaded | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        """Take `wait`, whether to wait for results that another process holds, and `base`, its identity in the plan,
        since a branch may move.

        `loaded`: this base, as another run loaded it. `ranks`: the processes that train together, each with a session
        of its own on the same recipe and workspace.
        """
        self.ranks = ranks
        self.recipe, self.store, self.reporter, self.stop, self.wait = recipe, store, reporter, stop, wait
        self.identity = base or base_identity(recipe.base, store.memory)
        self.loaded = loaded or Loaded(recipe.base, self.identity, store, reporter, recipe.longest_row)
        self.loaded.on_base(self._require_lengths)
        self.tasks = recipe.tasks()
        self._prepared: dict[str, Prepared] = {}
        self.held = HeldBack(recipe, store, self.loaded, reporter)
        self.cache: dict[str, list[str]] = {}
        """{stage: keys of the cached data that it was given}"""
        self.scorer = Scorer(
            self.loaded, self.tasks, recipe.evaluate, recipe.precision, wait=wait, holdouts=self.holdouts
        )
        self.needs: Mapping[str, StageForecast] = {}
        """{stage: memory and disk that it was forecast to need}, for its manifest."""
        self.timing = Timing(recipe, self.loaded, self.scorer, self.prepare)
        generations = Generations(self.loaded, recipe.root, wait)
        self.replays = Replays(recipe, generations, self.guard, self._prepare)

    def _require_lengths(self, base: Base) -> None:
        """Check that every stage's rows, layers and tokens fit the base, before the first stage trains."""
        from statllama.model.token_rows import require_rows
        from statllama.train.preflight import require_init, require_layers, require_length

        for stage in self.recipe.trained:
            require_length(stage, base.max_length)
            require_layers(stage, base.model.config.num_hidden_layers)
            require_init(stage, base.backend)
            require_rows(base, stage.lora)

    def prepare(self, spec: TrainingSpec) -> Prepared:
        """Tokenise, mask and pack the stage's data, or take them from the workspace's cache; once in a session.

        So a stage trains on the rows that were checked before the first stage began, whatever happens to the files.
        """
        if spec.name not in self._prepared:
            kind = stage_module(spec.type).DATA_KIND
            prepared = self._prepare(spec, self.guard(spec), kind, spec.data, spec.data_options)
            self.cache[spec.name] = [prepared.selection.kept_in, prepared.kept_in, *self.held.kept_in]
            self._prepared[spec.name] = replace(prepared, replay=self.replay(spec))
        return self._prepared[spec.name]

    def _prepare(
        self, spec: TrainingSpec, guard: Guard, kind: Kind, sources: Sequence[SourceSpec], options: Mapping[str, Any]
    ) -> Prepared:
        from statllama.data.prepare import prepare

        with self.reporter.preparing(spec.name) as progress:
            return prepare(
                kind,
                sources,
                root=self.recipe.root,
                tokenizer=self.loaded.tokenizer,
                cache=self.store.root,
                guard=guard,
                progress=progress,
                note=self.reporter.note,
                **options,
            )

    def replay(self, spec: TrainingSpec) -> ReplayRows | None:
        """Prepare what the stage replays, held to what its own rows are held to; None where it replays nothing."""
        rows, keys = self.replays.rows(spec)
        self.cache.setdefault(spec.name, []).extend(keys)
        return rows

    def write_rows(self, stage: PlannedStage) -> None:
        """Have a model write the rows that the stage is to replay, if any. The stack that writes them is trained."""
        spec = stage.spec
        if isinstance(spec, TrainingSpec) and spec.generated is not None:
            entry, prepared = self.replays.generations.make(spec, stage.below), self.prepare(spec)
            if prepared.replay is None or prepared.replay.written_in != entry.key:  # awaited, or of another stack
                self._prepared[spec.name] = replace(prepared, replay=self.replay(spec))

    def settle(self, stage: PlannedStage) -> None:
        """Take what the stage replays as it is in the plan: a branch on the hub may move meanwhile."""
        self.replays.settle(stage)

    def guard(self, spec: TrainingSpec) -> Guard:
        """Return what the stage's rows must not copy: benchmark questions, and what the recipe holds out."""
        from statllama.data.select import Guard

        return Guard(spec.deduplicate, spec.decontaminate, self.tasks, self.held.out, spec.name)

    def holdouts(self) -> tuple[Holdout, ...]:
        """Return all hold-outs of the recipe, tokenised: those of its stages in order, then `evaluate.holdouts`; of all
        its stages, also those that are not part of this run.
        """
        return tuple(map(self.held.holdout, self.held.names))

    def holdout(self, stage: str) -> Holdout | None:
        """Return a stage's own hold-out; None when it has none."""
        return self.held.holdout(stage) if stage in self.held.names else None

    def choose(self, spec: TrainingSpec) -> Selection:
        """Choose the usable rows of the stage's data. DataError when some copy questions that the recipe
        scores.
        """
        selection = self._choose(spec, spec.data, self.guard(spec))
        self.cache[spec.name] = [selection.kept_in, *self.held.kept_in, *self.replays.written_in(spec)]
        for one, guard in self.replays.sources(spec):
            self.cache[spec.name].append(self._choose(spec, one.sources, guard).kept_in)
        return selection

    def _choose(self, spec: TrainingSpec, sources: Sequence[SourceSpec], guard: Guard) -> Selection:
        from statllama.data.prepare import choose_rows

        with self.reporter.preparing(spec.name) as progress:
            selection = choose_rows(
                sources,
                root=self.recipe.root,
                guard=guard,
                cache=self.store.root,
                progress=progress,
                note=self.reporter.note,
            )
        selection.require_clean()
        return selection

    def train(self, stage: PlannedStage) -> Entry:
        """Train the stage and publish its result; what another process publishes meanwhile, also to the workspace's
        mirror, is taken instead.

        All ranks call it. Rank 0 holds the lock, prepares the data and publishes; the others train along.
        """
        self.settle(stage)
        with self.ranks.one_fate():
            entry = self._train(stage) if self.ranks.first else self._train_along(stage)
        self.stop.obey()
        return entry

    def _train(self, stage: PlannedStage) -> Entry:
        name = stage.spec.name
        bring(self.store, "results", stage.key, fresh=True)

        def damaged(wrong: str) -> None:
            self.reporter.note(f"{name}: its {wrong}, so it is made again")

        with self.store.hold("results", stage.key, on_wait=self.reporter.waiting(name), wait=self.wait) as hold:
            before = self.store.find("results", stage.key)
            entry = self.store.sound("results", stage.key, damaged)
            if entry is not None:
                self._tell(entry)
                self.reporter.stage_cached(name, entry)
                return entry
            with self.unchanged(stage):
                manifest = self._fit(stage, hold) if isinstance(stage.spec, TrainingSpec) else self._blend(stage)
            entry = self.store.publish("results", stage.key, manifest)
        self._tell(entry)
        if before is not None and _weights(before) != _weights(entry):
            self.reporter.note(f"{name}: it is not bit for bit what was damaged, on which stages above it were trained")
        self.reporter.stage_finished(name, entry)
        return entry

    def _tell(self, entry: Entry | None) -> Entry | None:
        """Let the other ranks know the result, or that there is none yet; they wait for it however long it takes."""
        self.ranks.wait_for_first()
        told = self.ranks.broadcast(None if entry is None else {"path": str(entry.path), "manifest": entry.manifest})
        return None if told is None else Entry(Path(str(told["path"])), cast(Mapping[str, Any], told["manifest"]))

    def _train_along(self, stage: PlannedStage) -> Entry:
        """Train on another rank than the first; nothing is written."""
        from statllama.train import training

        entry = self._tell(None)
        if entry is None:
            job = replace(self._job(stage), on_step=_unseen, on_note=_unseen, report_to=(), tracker_folder=None)
            with self.stop.deferred():
                training.run(job, stage_module(stage.spec.type))
            job.base.check_unchanged()
            entry = self._tell(None)
        assert entry is not None
        return entry

    @contextmanager
    def unchanged(self, stage: PlannedStage) -> Iterator[None]:
        """Enclose work on what a stage reads. InputChanged when a file of it, or of the base, is not what it was in the
        plan: before, after, or when the work failed, since that may be why.
        """
        self._require_unchanged(stage)
        try:
            yield
        except Interrupted:
            raise
        except Exception:
            self._require_unchanged(stage)
            raise
        self._require_unchanged(stage)

    def _require_unchanged(self, stage: PlannedStage) -> None:
        stage.require_inputs(self.recipe.root, self.tasks, self.recipe.held)
        require_identity(self.recipe.base, self.identity, self.store.memory)

    def _fit(self, stage: PlannedStage, hold: Hold) -> dict[str, Any]:
        """Train the stage's adapter into its unpublished folder; the manifest."""
        from statllama.train import training

        spec = stage.spec
        assert isinstance(spec, TrainingSpec)
        self.write_rows(stage)
        prepared = self.prepare(spec)
        began = begin(self.store, stage, self.reporter.note)
        self._tell(None)  # the data are in the cache: all ranks load what they need
        job = self._job(stage, hold)
        base = job.base
        forecast = self._forecast(stage)
        steps = steps_of(spec, len(prepared.dataset))
        with self.reporter.training(spec, prepared.report, steps), self.stop.deferred():
            outcome = training.run(job, stage_module(spec.type))
        base.check_unchanged()
        write_json(job.folder / "out" / "history.json", outcome.history)
        data = prepared.as_json(spec.replayed)
        if self.held.out is not None:
            data["held_out"] = {"sets": self.held.out.counts(), **prepared.selection.held_back()}
        dtype = str(base.dtype).removeprefix("torch.")
        where = {"backend": base.backend, "dtype": dtype, "machine": this_machine().as_json()}
        return self._manifest(stage, data, outcome.metrics(), forecast=forecast, **where, **began)

    def _job(self, stage: PlannedStage, hold: Hold | None = None) -> Job:
        spec = stage.spec
        assert isinstance(spec, TrainingSpec)
        prepared, base = self.prepare(spec), self.loaded.base(spec.train.precision)
        unchanged, rows = partial(self._require_unchanged, stage), len(prepared.dataset)
        kept = partial(keep, self.store, stage, self.recipe.name, rows, unchanged)
        parents = self.loaded.adapters([(key, 1.0) for key in stage.below])
        return Job(
            spec=spec,
            base=base,
            parents=parents,
            dataset=prepared.dataset,
            keep=kept if spec.train.keep_state else None,
            replay=prepared.replay,
            left_out=prepared.report.left_out > 0,
            data_kind=stage_module(spec.type).DATA_KIND,
            folder=Path(self.ranks.broadcast(str(self._folder(stage)) if self.ranks.first else "")),
            root=self.recipe.root,
            trust_local_code=self.recipe.trust_local_code,
            on_step=self.reporter.step,
            on_note=self.reporter.note,
            stop_requested=self.stop.requested,
            validation=self._validation(spec),
            hold=hold,
            report_to=self.recipe.report_to,
            run_name=f"{self.recipe.name}/{spec.name}",
            tracker_folder=self.store.root / "trackers" / self.recipe.name / spec.name,
            ranks=self.ranks,
        )

    def _validation(self, spec: TrainingSpec) -> Validation | None:
        """Return what the stage's steps are compared on; None where it publishes its last step."""
        from statllama.train.selection import on_benchmark, on_holdout

        if (select := spec.train.select) is None:
            return None
        shown, tokenizer = partial(self.reporter.validating, spec.name), self.loaded.tokenizer
        if select.holdout is None:
            return on_benchmark(self.scorer.suite, select.on, tokenizer, shown)
        held = self.holdout(select.holdout or spec.name)
        assert held is not None, "the recipe was checked for it"
        budget = self.recipe.evaluate.micro_tokens
        return on_holdout(held, budget, tokenizer.pad_token_id or 0, shown, self.reporter.note)  # type: ignore[arg-type]

    def _folder(self, stage: PlannedStage) -> Path:
        """Return the working folder, with an empty `out/`."""
        self.store.fresh_out("results", stage.key)
        return self.store.partial("results", stage.key, self._about(stage))

    def _forecast(self, stage: PlannedStage) -> dict[str, Any]:
        """Return what the stage will take, as forecast just before it trains, for its manifest."""
        made = {"seconds": self.timing.training(stage.spec, ranks_below(self.store, stage.below))}
        if (needs := self.needs.get(stage.spec.name)) is not None:
            kept = float(needs.disk.adapter)
            made |= {"memory": needs.memory, "disk": Figure(kept, kept, kept, "size of the adapter")}
        return {what: figure.as_json() for what, figure in made.items() if figure is not None}

    def _about(self, stage: PlannedStage) -> dict[str, Any]:
        return {"kind": "adapter", "name": stage.spec.name, "recipe": self.recipe.name}

    def _blend(self, stage: PlannedStage) -> dict[str, Any]:
        """Blend the adapters of its siblings into the stage's unpublished folder; the manifest."""
        from statllama.model.blending import save_adapter
        from statllama.runs.scaling import settled_scale

        began = time.monotonic()
        adapters = self.loaded.adapters([(key, 1.0) for key in stage.siblings])
        out = self.store.fresh_out("results", stage.key)
        spec, scaled = settled_scale(stage, adapters, self.loaded, self.held, self.recipe, self.reporter)
        with self.reporter.exporting(f"{stage.spec.name}: blending") as progress:
            found = stage_module(spec.type).make_adapter(spec, adapters, progress or (lambda *_: None))
        config = config_of(self.recipe.base.model, self.identity["model"]) or {}
        save_adapter(found.adapter, found.rank, self.recipe.base.model, out, config.get("num_hidden_layers"))
        write_json(out / "history.json", [])
        metrics = {"steps": 0, "tokens": 0, "seconds": time.monotonic() - began, **found.metrics(), **scaled}
        data = {"sources": [], "examples": 0, "tokens": 0}
        return self._manifest(stage, data, metrics, siblings=list(stage.siblings))

    def _manifest(
        self, stage: PlannedStage, data: dict[str, Any], metrics: dict[str, Any], **more: Any
    ) -> dict[str, Any]:
        return {
            **self._about(stage),
            "overrides": list(self.recipe.overrides),
            "config": stage.spec.model_dump(mode="json"),
            "base": {**self.recipe.base_record, "identity": self.identity},
            "parents": list(stage.below),
            "material": stage.material,
            "data": data,
            "metrics": metrics,
            "versions": installed_versions(),
            "statllama": __version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            **more,
        }
