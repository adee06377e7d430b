"""The driver of a cluster's workers: gives them what runs lack, until the workspace has it all."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from statllama.errors import Interrupted, StatllamaError, TrainingError, UsageError
from statllama.recipe import Recipe
from statllama.runs.cluster.agenda import Agenda, Course
from statllama.runs.cluster.schedule import in_order, urgency
from statllama.runs.cluster.work import Began, Cluster, Ended, Heard, Lost, Told, Where, Work
from statllama.runs.plan import PlannedStage
from statllama.runs.reporting import Reporter
from statllama.runs.signals import StopSignal
from statllama.store import Store
from statllama.store.mirrored import offer

TRIES = 3
"""Times that a work is begun, and gets no further than before, until its workers' deaths are taken for its fault."""
PATIENCE = 1.0
"""Seconds between two looks for a request to stop."""
UNSEEN = 90.0
"""Seconds until what a worker published must be seen here: a network file system keeps names for up to 60."""


@dataclass(frozen=True)
class RayExecutor:
    """Fills the workspace by workers on Ray: those of a cluster, or of this machine."""

    address: str | None = None
    """Of a cluster, `HOST:PORT`; None: RAY_ADDRESS, else this machine."""
    workers: int | None = None
    """Number of workers at most; None: as many as there are devices."""

    def require(self, planned: Sequence[PlannedStage]) -> None:
        """Raise UsageError when a stage is to be trained and there is no Ray here, or nothing at the address.

        Asked before data are tokenised, which may take minutes.
        """
        from statllama.runs.cluster.connection import require_way

        if not all(stage.cached for stage in planned):
            require_way(self.address)

    def fill(
        self, courses: Sequence[Course], store: Store, reporter: Reporter, stop: StopSignal
    ) -> dict[str, StatllamaError]:
        """Publish all that the courses lack; {course: the error that ended it}. Interrupted when asked to stop.

        A course that failed ends; what others need goes on. Nothing is started where the workspace has everything.
        """
        if not any(course.lacks for course in courses):
            return {}
        for course in courses:
            reporter.course(course.name, course.session.recipe, course.planned)
        try:
            with self._cluster(courses, store, reporter) as cluster:
                return Filling(courses, cluster, reporter, stop).run()
        finally:
            reporter.filled()

    def _cluster(self, courses: Sequence[Course], store: Store, reporter: Reporter) -> AbstractContextManager[Cluster]:
        from statllama.runs.cluster.engine import connect

        works = {(work.devices, work.least): work for course in courses for work, _ in course.lacks}
        most = max(devices for devices, _ in works)
        return connect(
            self.address,
            workspace=store.root,
            files=_files(courses),
            threads=threads(),
            workers=self.workers,
            devices=most,
            note=reporter.note,
            works=list(works.values()),
        )


def chosen_executor(
    name: str | None, address: str | None, workers: int | None, recipes: Sequence[Recipe]
) -> RayExecutor | None:
    """Return what is to run the stages: None is this process.

    `name`: `local`, `ray` or None, which is Ray where a cluster or workers are named, or a stage takes several devices.
    UsageError for what does not go together.
    """
    several = [(stage.name, stage.train.devices) for r in recipes for stage in r.trained if stage.train.devices > 1]
    if name not in (None, "local", "ray"):
        raise UsageError(f"executor {name!r} is unknown", remedy="local or ray")
    if workers is not None and workers < 1:
        raise UsageError(f"workers: {workers} is too few", remedy="1 or more")
    if name != "local":
        asked = name == "ray" or address is not None or workers is not None or bool(several)
        return RayExecutor(address, workers) if asked else None
    if address is not None or workers is not None:
        raise UsageError("--executor local takes no --address and no --workers: these are of Ray")
    if several:
        stage, devices = several[0]
        raise UsageError(
            f"--executor local: stage {stage} takes {devices} devices, which are processes of their own",
            remedy=f"leave --executor out, or --set stages.{stage}.train.devices=1",
        )
    return None


def threads() -> int:
    """Return the number of threads that this process computes with: workers take as many, since it moves rounding."""
    import torch

    return torch.get_num_threads()


def _files(courses: Sequence[Course]) -> tuple[Path, ...]:
    """Return the files and folders that workers read beside the workspace, each once."""
    found: dict[Path, None] = {}
    for course in courses:
        base = course.session.recipe.base
        named = (base.model, base.tokenizer, base.chat_template)
        found |= dict.fromkeys(Path(name) for name in named if name is not None and os.path.isabs(name))
        found |= dict.fromkeys(Path(name) for stage in course.planned for name in stage.fixed.hashes)
        found |= dict.fromkeys(path for task in course.session.tasks for path in (task.path, *task.files))
    return tuple(found)


@dataclass
class Filling:
    """The loop of `fill`, and what it keeps."""

    courses: Sequence[Course]
    cluster: Cluster
    reporter: Reporter
    stop: StopSignal
    running: dict[str, Work] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)
    failed: dict[str, StatllamaError] = field(default_factory=dict)
    _told_to_stop: bool = False
    _reached: dict[str, int] = field(default_factory=dict)
    """{work: the furthest step that a worker told of}"""
    _lost_at: dict[str, int] = field(default_factory=dict)
    """{work: `_reached` when a worker of it was lost}"""
    _agenda: Agenda | None = None
    """What is left to do; None: to be found anew."""
    _urgent: dict[str, float] = field(default_factory=dict)
    _smallest: float = 0.0
    """The least memory that one of the agenda needs: where there is no room for that, there is for none."""
    _ready: list[Work] | None = None
    """Those of the agenda that wait for none, the most urgent first; None: to be found anew."""

    def run(self) -> dict[str, StatllamaError]:
        """Work until nothing is left that can be done; {course: the error that ended it}."""
        with self.stop.deferred():
            while self._submit() or self.running:
                for heard in self.cluster.heard(PATIENCE):
                    self._take(heard)
                if self.stop.requested() and not self._told_to_stop:
                    self._told_to_stop = True
                    self.cluster.stop()
        if self.stop.requested():
            raise Interrupted(
                "stopped by a signal; finished work is kept, and every worker saved where it stood",
                remedy="run the same command again to go on",
            )
        return self.failed

    def _submit(self) -> bool:
        """Start the most urgent works that there is room for; whether any is left or begun."""
        if self._told_to_stop or self.stop.requested():
            return False
        self._look()
        assert self._ready is not None
        no_room: list[tuple[int, float]] = []  # so many devices, of so many bytes
        for work in self._ready:
            if work.id in self.running or any(work.devices >= n and work.least >= size for n, size in no_room):
                continue
            if self.cluster.room(work):
                self.running[work.id] = work
                self.tries[work.id] += 1
                self.cluster.submit(work)
            elif work.devices == 1 and work.least <= self._smallest:
                break
            else:
                no_room.append((work.devices, work.least))
        return bool(self._ready)

    def _look(self) -> None:
        """Find what is left and what of it is ready, if that may have changed: a worker tells more often of a step."""
        if self._agenda is None:
            self._agenda = Agenda.of_courses([course for course in self.courses if course.name not in self.failed])
            self._urgent = urgency(self._agenda.works, self._agenda.needs)
            self._smallest = min((work.least for work in self._agenda.works.values()), default=0.0)
            self._ready = None
        if self._ready is None:
            self._ready = in_order(self._agenda.works, self._agenda.needs, self._urgent)
            self.reporter.agenda(self._agenda.works, self._agenda.needs, self._agenda.of)

    def _take(self, heard: Heard) -> None:
        """Act on what a worker tells."""
        work = self.running.get(heard.work)
        if work is None:
            return  # of a worker that was given up
        match heard:
            case Began(where=where):
                self.reporter.began(work, where)
            case Told(where=where, event=event, arguments=arguments):
                if event == "step":
                    self._reached[work.id] = max(self._reached.get(work.id, 0), arguments[0].step)
                self.reporter.told(work, where, event, arguments)
            case Ended(where=where, seconds=seconds, error=error):
                del self.running[work.id]
                self._end(work, where, seconds, error)
            case Lost(where=where, why=why):
                del self.running[work.id]
                self._lose(work, where, why)

    def _end(self, work: Work, where: Where, seconds: float, error: StatllamaError | None) -> None:
        if isinstance(error, Interrupted):
            if not self.stop.requested():  # something else stopped that worker, such as the end of its host's lease
                self._lose(work, where, "it was stopped by a signal")
            else:
                self.reporter.ended(work, where, seconds, error)
            return
        self.reporter.ended(work, where, seconds, error)
        if error is None:
            self._refresh(work)
        else:
            self._fail(work, error)

    def _refresh(self, work: Work) -> None:
        wanting = self._wanting(work)
        if wanting and not self._shown(wanting[0], work):
            self._fail(
                work,
                TrainingError(
                    f"a worker says that it published {work}, but {wanting[0].session.store.root} does not show it",
                    remedy="all hosts must share one workspace: `statllama doctor --address ADDR` tells what each sees",
                ),
            )
            return
        if wanting and work.kind in ("train", "score"):
            offer(wanting[0].session.store, work.shelf, [work.key])
        for course in wanting:
            course.take(work)
        gated = any(course.session.recipe.evaluate.gates for course in wanting)
        self._agenda = None if gated or self._agenda is None else self._agenda.without(work)
        self._ready = None

    def _shown(self, course: Course, work: Work) -> bool:
        """Return whether the workspace shows here what a worker published, if need be when names are read anew."""
        deadline = time.monotonic() + UNSEEN
        while not course.holds(work):
            if self.stop.requested() or time.monotonic() > deadline:
                return False
            course.session.store.listed(work.shelf)
            if course.holds(work):
                return True
            time.sleep(PATIENCE)
        return True

    def _lose(self, work: Work, where: Where, why: str) -> None:
        """Note that a worker is gone; the work is begun again, from its checkpoint.

        A stage that gets further each time is not what its workers die of, where hosts come and go.
        """
        if (reached := self._reached.get(work.id, 0)) > self._lost_at.get(work.id, 0):
            self._lost_at[work.id], self.tries[work.id] = reached, 1
        self.reporter.lost(work, where, why)
        if self.tries[work.id] < TRIES:
            then = "begins it again" if work.kind == "release" else "goes on from its checkpoint"
            self.reporter.note(f"{self._called(work)}: its worker on {where} is gone ({why}); another {then}")
            return
        self._fail(
            work,
            TrainingError(
                f"{self._called(work)}: {TRIES} workers died of it, the last on {where}: {why}",
                remedy="a worker that runs out of its host's memory is killed: give it a host with more, or lower "
                "`train.micro_tokens`; run the same command again to go on from the checkpoint",
            ),
        )

    def _called(self, work: Work) -> str:
        """Return a work in words; with its recipe, where there are several."""
        return (
            str(work)
            if len({course.session.recipe.name for course in self.courses}) == 1
            else f"{work} of {work.recipe.name}"
        )

    def _fail(self, work: Work, error: StatllamaError) -> None:
        for course in self._wanting(work):
            if work.kind == "release":
                course.give_up(work, error)
            else:
                self.failed.setdefault(course.name, error)
        self._agenda = None

    def _wanting(self, work: Work) -> list[Course]:
        return [course for course in self.courses if any(one.id == work.id for one, _ in course.lacks)]


def raise_first(failed: Mapping[str, StatllamaError]) -> None:
    """Raise the first of these errors, if there is one."""
    for error in failed.values():
        raise error
