"""Keeps the state of a run from its events: what the terminal and the page show while it goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from statllama.config.stage import TrainingSpec
from statllama.errors import Interrupted, StatllamaError
from statllama.runs.reporting import Reporter
from statllama.runs.watch import afar
from statllama.runs.watch.afar import end, note_drift, note_score, stepped, tokens_of
from statllama.runs.watch.fleet_progress import FleetProgress
from statllama.runs.watch.run_state import NOTES, Activity, PromptAnswer, RunState, StageState
from statllama.train.job import StepEvent

if TYPE_CHECKING:
    from statllama.data.report import MixtureReport
    from statllama.data.verdicts import Verdict
    from statllama.evaluation.scorecard import Scorecard
    from statllama.evaluation.scores import Drift, TaskScore
    from statllama.recipe import Recipe
    from statllama.runs.cluster.work import Where, Work
    from statllama.runs.plan import PlannedStage
    from statllama.store import Entry, Holder

Kind = Literal["loading", "preparing", "generating", "scoring", "validating", "writing"]


class RunProgress(Reporter):
    """The events of one run as a `RunState`. Prints and writes nothing.

    `changed` is called after each event: with True where it is one to show at once (a stage began or ended, a score),
    with False for one of many (a step, an item).
    """

    def __init__(self, changed: Callable[[bool], None] | None = None, clock: Callable[[], float] = time.time) -> None:
        """Take the clock that moments are told by; another one than `time.time` is for tests."""
        self.state = RunState()
        self.changed, self.clock = changed or (lambda soon: None), clock
        self.state.updated = self.state.started = clock()
        self.fleet = FleetProgress(clock)
        """Workers elsewhere, as far as there are any."""

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
            tasks=recipe.benchmarks,
            notes=self.state.notes,
            fleet=self.state.fleet,
        )
        for stage in stages:
            if stage.entry is not None:
                self._cached(self.state.stages[stage.spec.name], stage.entry)
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
    def generating(self, what: str) -> Iterator[Callable[[int, int], None]]:
        with self.active("generating", what) as advance:
            yield advance

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
        now = self.clock()
        stepped(self.state.stages[event.stage], event, now)
        if (activity := self.state.activity) is not None:
            activity.done, activity.at = event.step, now
        self._told(False)

    def stage_finished(self, name: str, entry: Entry) -> None:
        end(self.state.stages[name], entry, "done")
        self._told()

    def stage_cached(self, name: str, entry: Entry) -> None:
        """Note a stage that was trained before, or by another process: while this one waited for it, or by a worker."""
        self.state.activity = None
        self._cached(self.state.stages[name], entry)
        self._told()

    def _cached(self, stage: StageState, entry: Entry) -> None:
        where = self.trained_by_workers.get(entry.key)
        end(stage, entry, "cached" if where is None else "done")
        stage.where = where or stage.where

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

    @contextmanager
    def validating(self, stage: str, on: str) -> Iterator[Callable[[int, int, str], None]]:
        with self.active("validating", f"{stage} on {on}") as advance:
            yield lambda done, total, _: advance(done, total)

    def scored(self, name: str, score: TaskScore) -> None:
        self.state.activity = None  # another process may have been waited for
        note_score(self.state, name, score)
        self._told()

    def drifted(self, name: str, drift: Drift) -> None:
        self.state.activity = None
        note_drift(self.state, name, drift)
        self._told()

    def answered(self, name: str, answers: Sequence[PromptAnswer]) -> None:
        self.state.answers[name] = tuple(answers)
        self._told()

    # ------------------------------------------------------------------ workers elsewhere

    @property
    def trained_by_workers(self) -> Mapping[str, str]:
        """Return {key of a stage that workers have trained since this began: where}."""
        return self.fleet.trained

    def course(self, name: str, recipe: Recipe, stages: Sequence[PlannedStage]) -> None:
        if self.fleet.whole.ended is not None:
            self.fleet = self.fleet.again()
        self.fleet.course(name, recipe.name)
        self.state.fleet, self.state.activity = self.fleet.whole, None
        self._told()

    def agenda(
        self, works: Mapping[str, Work], needs: Mapping[str, Iterable[str]], of: Mapping[str, Sequence[str]]
    ) -> None:
        self.fleet.agenda(works, needs, of)
        self._told(False)

    def began(self, work: Work, where: Where) -> None:
        self.fleet.began(work, where)
        for each in self._concerned(work):
            afar.began(each.state, work, where, self.clock())
            each._told()

    def told(self, work: Work, where: Where, event: str, arguments: tuple[Any, ...]) -> None:
        self.fleet.told(work, event, arguments)
        for each in self._concerned(work):
            if event == "note":
                each.state.notes = [*each.state.notes, f"{work} on {where}: {arguments[0]}"][-NOTES:]
            afar.told(each.state, work, event, arguments, self.clock())
            each._told(event in ("training", "stage_finished", "scored"))

    def ended(self, work: Work, where: Where, seconds: float, error: StatllamaError | None) -> None:
        self.fleet.ended(work, where, seconds, error)
        for each in self._concerned(work):
            afar.ended(each.state, work, seconds, error)
            each._told()

    def lost(self, work: Work, where: Where, why: str) -> None:
        self.fleet.lost(work)
        for each in self._concerned(work):
            afar.lost(each.state, work)
            each._told()

    def filled(self) -> None:
        self.fleet.filled()
        self._told()

    def _concerned(self, work: Work) -> Sequence[RunProgress]:
        """Return who keeps the state of a run that wants a work."""
        return (self,)

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
