"""Keeps the state of a run from its events: what the terminal and the page show while it goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from statllama.config.specs import TrainingSpec
from statllama.errors import Interrupted, StatllamaError
from statllama.runs.reporting import Reporter
from statllama.runs.watch.run_state import NOTES, Activity, PromptAnswer, RunState, SeenScore, StageState
from statllama.train.job import StepEvent

if TYPE_CHECKING:
    from statllama.data.report import MixtureReport
    from statllama.data.verdicts import Verdict
    from statllama.evaluation.scorecard import Scorecard
    from statllama.evaluation.scores import Drift, TaskScore
    from statllama.recipe import Recipe
    from statllama.runs.plan import PlannedStage
    from statllama.store import Entry, Holder

Kind = Literal["loading", "preparing", "scoring", "writing"]


class RunProgress(Reporter):
    """The events of one run as a `RunState`. Prints and writes nothing.

    `changed` is called after each event: with True where it is one to show at once (a stage began or ended, a score),
    with False for one of many (a step, an item).
    """

    def __init__(self, changed: Callable[[bool], None] | None = None, clock: Callable[[], float] = time.time) -> None:
        """Take the clock that moments are told by; another one than `time.time` is for tests."""
        self.state = RunState()
        self.changed, self.clock = changed or (lambda soon: None), clock
        self._last = self.state.updated = self.state.started = clock()

    def _told(self, soon: bool = True) -> None:
        self.state.updated = self.clock()
        self.changed(soon)

    # ------------------------------------------------------------------ the plan

    def planned(self, recipe: Recipe, stages: Sequence[PlannedStage]) -> None:
        """Begin a run: all stages wait, or are cached."""
        self.state = RunState(
            name=recipe.name,
            description=recipe.description,
            started=self.state.started,
            stages={s.spec.name: StageState(s.spec.name, s.spec.type, key=s.key) for s in stages},
            tasks=recipe.evaluate.tasks,
            notes=self.state.notes,
        )
        for stage in stages:
            if stage.entry is not None:
                self._finish(self.state.stages[stage.spec.name], stage.entry, "cached")
        self._told()

    def forecast(self, seconds: Mapping[str, float]) -> None:
        self.state.expected = {name: float(value) for name, value in seconds.items() if math.isfinite(value)}
        self._told(False)

    def sized(self, spec: TrainingSpec, report: MixtureReport, steps: int) -> None:
        if spec.name in self.state.stages:
            stage = self.state.stages[spec.name]
            stage.steps, stage.tokens = steps, tokens_of(spec, report, steps)
        self._told(False)

    def note(self, text: str) -> None:
        self.state.notes = [*self.state.notes, text][-NOTES:]
        self._told()

    def data_ready(self, spec: TrainingSpec, report: MixtureReport, findings: Sequence[Verdict]) -> None:
        for finding in findings:
            self.note(f"{spec.name}: {finding.source}: {finding.text}")

    # ------------------------------------------------------------------ work under way

    @contextmanager
    def active(self, kind: Kind, what: str) -> Iterator[Callable[[int, int], None]]:
        """Enclose an activity; yield a callback (done, total)."""
        before = self.state.activity
        activity = self.state.activity = Activity(kind, what, self.clock())
        self._told()

        def advance(done: int, total: int) -> None:
            if activity.total is None:
                activity.first = done
            activity.done, activity.total, activity.at = done, total, self.clock()
            self._told(False)

        try:
            yield advance
        finally:
            self.state.activity = before
            self._told(False)

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        with self.active("loading", what):
            yield

    @contextmanager
    def preparing(self, stage: str) -> Iterator[Callable[[str, int, int], None]]:
        with self.active("preparing", stage) as advance:
            yield lambda source, done, total: advance(done, total)

    @contextmanager
    def exporting(self, what: str) -> Iterator[Callable[[int, int], None]]:
        with self.active("writing", what) as advance:
            yield advance

    def waiting(self, what: str) -> Callable[[Holder], None]:
        def wait(holder: Holder) -> None:
            self.state.activity = Activity("waiting", f"{what}, held by {holder}", self.clock())
            self._told()

        return wait

    # ------------------------------------------------------------------ training

    @contextmanager
    def training(self, spec: TrainingSpec, report: MixtureReport, steps: int) -> Iterator[None]:
        """Enclose a stage's training. It is `scoring` or `done` afterwards only once it is published."""
        stage = self.state.stages[spec.name]
        self.sized(spec, report, steps)
        stage.doing, stage.began = "training", self.clock()
        self.state.activity = Activity("training", spec.name, stage.began, total=steps)
        self._told()
        try:
            yield
        except BaseException:
            stage.doing = "failed"
            raise
        finally:
            self.state.activity = None
            self._told(False)

    def step(self, event: StepEvent) -> None:
        stage = self.state.stages[event.stage]
        stage.step, stage.steps, stage.at = event.step, event.total, self.clock()
        stage.eta_seconds = event.eta_seconds if math.isfinite(event.eta_seconds) else None
        stage.tokens_per_second, stage.memory_bytes = event.tokens_per_second, event.memory_bytes
        stage.on_gpu = event.on_gpu
        figures = {
            "loss": event.loss,
            "grad_norm": event.grad_norm,
            "learning_rate": event.learning_rate,
            "memory_bytes": float(event.memory_bytes),
            **({"tokens_per_second": event.tokens_per_second} if event.tokens_per_second else {}),
            **event.extra,
        }
        stage.series.add(event.step, figures)
        if (activity := self.state.activity) is not None:
            activity.done, activity.at = event.step, stage.at
        self._told(False)

    def stage_finished(self, name: str, entry: Entry) -> None:
        self._finish(self.state.stages[name], entry, "done")
        self._told()

    def stage_cached(self, name: str, entry: Entry) -> None:
        """Note a stage that was trained before, or by another process while this one waited for it."""
        self.state.activity = None
        self._finish(self.state.stages[name], entry, "cached")
        self._told()

    def _finish(self, stage: StageState, entry: Entry, doing: Literal["done", "cached"]) -> None:
        metrics: Mapping[str, Any] = entry.manifest["metrics"]
        stage.key, stage.doing, stage.eta_seconds = entry.key, doing, None
        stage.seconds = metrics.get("seconds")
        stage.step = stage.steps = int(metrics.get("steps") or 0)
        stage.tokens = metrics.get("tokens")

    # ------------------------------------------------------------------ scores

    @contextmanager
    def scoring(self, name: str, task: str) -> Iterator[Callable[[int, int, str], None]]:
        """Enclose the scoring of a stack; its stage, if it ends one, is `scoring` meanwhile."""
        stage = self.state.stages.get(name)
        before = stage.doing if stage is not None else None
        if stage is not None:
            stage.doing = "scoring"
        try:
            with self.active("scoring", f"{name} on {task}") as advance:
                began = self.clock()
                activity = self.state.activity
                yield lambda done, total, _: advance(done, total)
                if activity is not None and not activity.first:  # one that goes on from an earlier run tells too little
                    self.state.score_seconds[task] = self.clock() - began
        finally:
            if stage is not None and before is not None:
                stage.doing = before

    def scored(self, name: str, score: TaskScore) -> None:
        self.state.activity = None  # another process may have been waited for
        self.state.scores.setdefault(name, {})[score.task] = SeenScore(score.value, score.stderr, score.metric)
        self._told()

    def drifted(self, name: str, drift: Drift) -> None:
        self.state.activity = None
        if name in self.state.stages:
            stage = self.state.stages[name]
            stage.drift_to_parent, stage.drift_to_base = drift.to_parent, drift.to_base
        self._told()

    def answered(self, name: str, answers: Sequence[PromptAnswer]) -> None:
        self.state.answers[name] = tuple(answers)
        self._told()

    # ------------------------------------------------------------------ the end

    def finished(self, recipe: Recipe, results: Mapping[str, Path], card: Scorecard | None) -> None:
        self.state.outcome, self.state.activity = "finished", None
        self._told()

    def failed(self, error: BaseException) -> None:
        """Note the end of a run by an error, or by a signal."""
        stopped = isinstance(error, Interrupted | KeyboardInterrupt)
        self.state.outcome = "stopped" if stopped else "failed"
        self.state.error = str(error) or type(error).__name__
        if isinstance(error, StatllamaError):
            self.state.error, self.state.remedy = error.message, error.remedy or ""
        for stage in self.state.stages.values():
            if stage.doing in ("training", "scoring"):
                stage.doing = "failed"
        self.state.activity = None
        self._told()


def tokens_of(spec: TrainingSpec, report: MixtureReport, steps: int) -> int | None:
    """Return the tokens that a stage's steps train on: those of an epoch, times its epochs. None for prompts, whose
    completions are yet to be made.
    """
    rows = spec.rows_per_epoch(report.rows) if report.rows else 0
    if not rows or not report.supervised_tokens:
        return None
    return round(report.tokens * steps * spec.train.batch_size / rows)
