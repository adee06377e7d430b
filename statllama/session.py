"""What one run loads once, and what it does to one stage: prepare, train, publish, score."""

from __future__ import annotations

import gc
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from statllama import __version__
from statllama.evaluate import TaskFile, TaskScore, find_tasks, protocol_key, task_fingerprint
from statllama.identity import base_identity
from statllama.recipe import Recipe
from statllama.reporting import Reporter
from statllama.shipped import shipped_root
from statllama.signals import StopSignal
from statllama.specs import StageSpec, TrainSpec
from statllama.stages import stage_module
from statllama.store import Entry, Store, digest, write_json
from statllama.versions import installed_versions

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedTokenizerBase

    from statllama.data.prepare import Prepared
    from statllama.data.select import Guard, Selection
    from statllama.model import Base
    from statllama.runner import PlannedStage
    from statllama.stack import Adapter
    from statllama.training import Outcome


def count_steps(rows: int, train: TrainSpec) -> int:
    """Optimizer steps over `rows` rows (packed rows where rows are packed), as Transformers' Trainer counts them."""
    if train.steps is not None:
        return train.steps
    batches = math.ceil(rows / train.micro_batch_size)
    per_epoch = max(1, math.ceil(batches / train.accumulation))
    return math.ceil((train.epochs or 1.0) * per_epoch)


def eval_folders(recipe: Recipe) -> list[Path]:
    """Where benchmarks are looked up: beside the recipe, then among the shipped ones."""
    return [recipe.root / "eval", shipped_root() / "eval"]


def recipe_tasks(recipe: Recipe) -> tuple[TaskFile, ...]:
    """The benchmarks that the recipe scores. BenchmarkError for one that is not there or is wrong."""
    spec = recipe.evaluate
    return tuple(find_tasks(spec.tasks, eval_folders(recipe), spec.data, recipe.root).values())


class Session:
    """What one run loads, once: tokenizer, base, prepared data, adapters."""

    def __init__(
        self,
        recipe: Recipe,
        store: Store,
        reporter: Reporter,
        stop: StopSignal,
        *,
        wait: bool = True,
        base: Mapping[str, Any] | None = None,
    ) -> None:
        """`wait`: for what another process holds. `base`: its identity in the plan, since a branch may move."""
        self.recipe, self.store, self.reporter, self.stop, self.wait = recipe, store, reporter, stop, wait
        self.identity = base or base_identity(recipe.base, store.memory)
        self._base: Base | None = None
        self._adapters: dict[str, Adapter] = {}

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The base's tokenizer."""
        from statllama.model import choose_backend, load_tokenizer, start_backend

        if choose_backend() == "unsloth":  # it must come before Transformers; else data needs no torch
            start_backend("unsloth")
        return load_tokenizer(self.recipe.base, self.identity)

    def base(self, precision: str) -> Base:
        """The frozen base, loaded at its first use; loaded again only for a stage of another precision."""
        from statllama.model import choose_backend, load_base, resolve_dtype, start_backend
        from statllama.preflight import require_length

        backend = choose_backend()
        start_backend(backend)
        if self._base is None or self._base.dtype is not resolve_dtype(precision):
            self._base = None
            gc.collect()  # two bases at once may not fit
            lengths = [stage.train.max_length for stage in self.recipe.stages]
            if self.recipe.evaluate.tasks:
                lengths.append(self.recipe.evaluate.max_length)
            with self.reporter.busy(f"loading {self.recipe.base.model}"):
                self._base = load_base(self.recipe.base, self.identity, precision, max(lengths), backend)
            for stage in self.recipe.stages:
                require_length(stage, self._base)
        return self._base

    def adapters(self, keys: Sequence[str]) -> tuple[Adapter, ...]:
        """The adapters of these results, checked against their manifests' hashes when first read."""
        from statllama.stack import load_adapter

        for key in keys:
            if key not in self._adapters:
                self._adapters[key] = load_adapter(self.store.verify("results", key).path)
        return tuple(self._adapters[key] for key in keys)

    def prepare(self, spec: StageSpec) -> Prepared:
        """The stage's data, tokenised, masked and packed: from the workspace's cache when it was done before."""
        from statllama.data.prepare import prepare

        with self.reporter.preparing(spec.name) as progress:
            return prepare(
                stage_module(spec.type).DATA_KIND,
                spec.data,
                root=self.recipe.root,
                tokenizer=self.tokenizer,
                train_on=spec.train_on,  # type: ignore[attr-defined]
                max_length=spec.train.max_length,
                packing=spec.train.packing,
                seed=spec.train.seed,
                cache=self.store.root,
                guard=self.guard(spec),
                progress=progress,
            )

    def guard(self, spec: StageSpec) -> Guard:
        """What the stage's rows are held to."""
        from statllama.data.select import Guard

        return Guard(spec.deduplicate, spec.decontaminate, recipe_tasks(self.recipe))

    def choose(self, spec: StageSpec) -> Selection:
        """Which rows of the stage's data may be used. DataError when some copy questions that the recipe scores."""
        from statllama.data.prepare import choose_rows

        with self.reporter.preparing(spec.name) as progress:
            selection = choose_rows(
                spec.data, root=self.recipe.root, guard=self.guard(spec), cache=self.store.root, progress=progress
            )
        selection.require_clean()
        return selection

    def train(self, stage: PlannedStage) -> Entry:
        """Train the stage and publish its result; what another process publishes meanwhile is taken instead."""
        name = stage.spec.name
        with self.store.hold("results", stage.key, on_wait=self.reporter.waiting(name), wait=self.wait):
            entry = self.store.find("results", stage.key)
            if entry is not None:
                self.reporter.stage_cached(name, entry)
                return entry
            prepared = self.prepare(stage.spec)
            outcome = self._fit(stage, prepared)
            out = self.store.partial("results", stage.key) / "out"
            write_json(out / "history.json", outcome.history)
            entry = self.store.publish("results", stage.key, self._manifest(stage, prepared, outcome))
        self.reporter.stage_finished(name, entry)
        self.stop.obey()
        return entry

    def _fit(self, stage: PlannedStage, prepared: Prepared) -> Outcome:
        from statllama import training

        base = self.base(stage.spec.train.precision)
        parents = self.adapters(stage.below)
        self.store.fresh_out("results", stage.key)
        job = training.Job(
            spec=stage.spec,
            base=base,
            parents=parents,
            dataset=prepared.dataset,
            data_kind=stage_module(stage.spec.type).DATA_KIND,
            folder=self.store.partial("results", stage.key),
            on_step=self.reporter.step,
            on_note=self.reporter.note,
            stop_requested=self.stop.requested,
            report_to=self.recipe.report_to,
            run_name=f"{self.recipe.name}/{stage.spec.name}",
            tracker_folder=self.store.root / "trackers" / self.recipe.name / stage.spec.name,
        )
        steps = count_steps(len(prepared.dataset), stage.spec.train)
        with self.reporter.training(stage.spec, prepared.report, steps), self.stop.deferred():
            outcome = training.run(job, stage_module(stage.spec.type))
        base.check_unchanged()
        return outcome

    def _manifest(self, stage: PlannedStage, prepared: Prepared, outcome: Outcome) -> dict[str, Any]:
        assert self._base is not None
        return {
            "kind": "adapter",
            "name": stage.spec.name,
            "recipe": self.recipe.name,
            "overrides": list(self.recipe.overrides),
            "config": stage.spec.model_dump(mode="json"),
            "base": {**self.recipe.base.model_dump(mode="json"), "identity": self.identity},
            "parents": list(stage.below),
            "material": stage.material,
            "data": {
                **prepared.report.as_json(),
                "examples": prepared.report.examples,
                "tokens": prepared.report.tokens,
            },
            "metrics": outcome.metrics(),
            "backend": self._base.backend,
            "dtype": str(self._base.dtype).removeprefix("torch."),
            "versions": installed_versions(),
            "statllama": __version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def score(self, name: str, keys: tuple[str, ...], tasks: Sequence[TaskFile]) -> tuple[TaskScore, ...]:
        """Scores of a stack, task by task: from the store, or computed on the loaded base and kept there."""
        return tuple(self._score_task(name, keys, task) for task in tasks)

    def _score_task(self, name: str, keys: tuple[str, ...], task: TaskFile) -> TaskScore:
        from statllama.evaluate import score
        from statllama.model import scoring

        spec = self.recipe.evaluate
        precision = self.recipe.stages[0].train.precision
        protocol = protocol_key(
            spec, {task.name: task_fingerprint(task)}, digest(list(keys)), {**self.identity, "precision": precision}
        )
        key = digest(protocol)
        entry = self.store.find("scores", key)
        if entry is None:
            with self.store.hold(
                "scores", key, on_wait=self.reporter.waiting(f"{name} on {task.name}"), wait=self.wait
            ):
                entry = self.store.find("scores", key)
                if entry is None:
                    stack = scoring(self.base(precision), self.adapters(keys))
                    with stack as model, self.reporter.scoring(name, task.name) as progress:
                        (result,) = score(model, self.tokenizer, [task], spec, progress)
                    out = self.store.fresh_out("scores", key)
                    write_json(out / "samples.json", list(result.samples))
                    manifest = {"kind": "score", "stack": list(keys), "protocol": protocol, "score": result.to_json()}
                    entry = self.store.publish("scores", key, manifest)
        result = TaskScore.from_json(entry.manifest["score"])
        self.reporter.scored(name, result)
        return result
