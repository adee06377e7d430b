"""A cluster without Ray for tests: its workers are this process, one work at a time, by the code that real ones run."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from statllama.errors import StatllamaError
from statllama.runs.cluster.fill import RayExecutor
from statllama.runs.cluster.perform import Desk, perform
from statllama.runs.cluster.work import Began, Ended, Heard, Lost, Told, Where, Work
from statllama.runs.reporting import Reporter
from statllama.runs.signals import StopSignal
from statllama.store import Store

HERE = Where("here", "cpu 0")


class Telling(Reporter):
    """Keeps the events of a work as a worker on Ray sends them: see `board.RemoteReporter`."""

    def __init__(self) -> None:
        self.events: list[tuple[str, tuple[Any, ...]]] = []

    def _tell(self, event: str, *arguments: Any) -> None:
        self.events.append((event, arguments))

    @contextmanager
    def _block(self, event: str, *arguments: Any) -> Iterator[Callable[..., None]]:
        self._tell(event, *arguments)
        try:
            yield lambda *at: self._tell(f"{event}/at", *at)
        finally:
            self._tell(f"{event}/end")

    def busy(self, what: str) -> Any:
        return self._block("busy", what)

    def preparing(self, stage: str) -> Any:
        return self._block("preparing", stage)

    def training(self, spec: Any, report: Any, steps: int) -> Any:
        return self._block("training", spec, report, steps)

    def scoring(self, name: str, task: str) -> Any:
        return self._block("scoring", name, task)

    def step(self, event: Any) -> None:
        self._tell("step", event)

    def note(self, text: str) -> None:
        self._tell("note", text)

    def stage_finished(self, name: str, entry: Any) -> None:
        self._tell("stage_finished", name, entry)

    def scored(self, name: str, score: Any) -> None:
        self._tell("scored", name, score)

    def drifted(self, name: str, drift: Any) -> None:
        self._tell("drifted", name, drift)


class InProcess:
    """Takes one work at a time and does it when it is listened to; `before` may raise or return a Lost instead."""

    def __init__(self, workspace: Path, slots: int = 1, before: Callable[[Work], Heard | None] | None = None) -> None:
        self.desk, self.slots = Desk(workspace), slots
        self.before = before or (lambda work: None)
        self.waiting: list[Work] = []
        self.begun: list[str] = []
        self.stopped = 0
        self.most = 0

    def room(self, work: Work) -> bool:
        return len(self.waiting) < self.slots

    def submit(self, work: Work) -> None:
        assert self.room(work)
        self.waiting.append(pickle.loads(pickle.dumps(work)))  # noqa: S301 - as Ray sends it
        self.begun.append(str(work))
        self.most = max(self.most, len(self.waiting))

    def heard(self, timeout: float) -> list[Heard]:
        if not self.waiting:
            return []
        work, began = self.waiting.pop(), time.monotonic()  # the last one given ends first
        if (instead := self.before(work)) is not None:
            return [Began(work.id, HERE), instead]
        error = None
        try:
            perform(work, self.desk, Reporter(), StopSignal())
        except StatllamaError as raised:
            error = pickle.loads(pickle.dumps(raised))  # noqa: S301
        return [Began(work.id, HERE), Ended(work.id, HERE, time.monotonic() - began, error)]

    def stop(self) -> None:
        self.stopped += 1


class Beside(InProcess):
    """Does all works that it was given, one after the other, and tells of them as if they had been done at the same
    time, each at a place of its own.
    """

    def __init__(
        self,
        workspace: Path,
        places: Sequence[Where],
        before: Callable[[Work], Heard | None] | None = None,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(workspace, len(places), before)
        self.places, self.pause = places, pause

    def heard(self, timeout: float) -> Iterator[Heard]:  # type: ignore[override]
        works, self.waiting = self.waiting, []
        told = [self._done(work, where) for work, where in zip(works, self.places, strict=False)]
        for line in zip_longest(*told):
            for heard in line:
                if heard is not None:
                    self.pause()
                    yield heard

    def _done(self, work: Work, where: Where) -> list[Heard]:
        if (instead := self.before(work)) is not None:
            return [Began(work.id, where), replace(instead, where=where)]
        telling, began, error = Telling(), time.monotonic(), None
        try:
            perform(work, self.desk, telling, StopSignal())
        except StatllamaError as raised:
            error = pickle.loads(pickle.dumps(raised))  # noqa: S301
        events = pickle.loads(pickle.dumps(telling.events))  # noqa: S301
        told = [Told(work.id, where, event, arguments) for event, arguments in events]
        return [Began(work.id, where), *told, Ended(work.id, where, time.monotonic() - began, error)]


def lost(work: Work) -> Lost:
    """Return the news that a work's worker is gone."""
    return Lost(work.id, HERE, "it was killed")


def use(monkeypatch: Any, cluster: InProcess) -> list[tuple[str | None, int | None]]:
    """Have `RayExecutor` use this cluster; (address, workers) of each connection."""
    asked: list[tuple[str | None, int | None]] = []

    @contextmanager
    def connected(executor: RayExecutor, *_: object) -> Iterator[InProcess]:
        asked.append((executor.address, executor.workers))
        yield cluster

    monkeypatch.setattr(RayExecutor, "require", lambda executor, planned: None)
    monkeypatch.setattr(RayExecutor, "_cluster", connected)
    return asked


class Kept(Reporter):
    """Keeps what it is told of workers."""

    def __init__(self) -> None:
        self.began_: list[str] = []
        self.ended_: list[tuple[str, StatllamaError | None]] = []
        self.notes: list[str] = []
        self.cached: list[str] = []

    def began(self, work: Work, where: Where) -> None:
        self.began_.append(str(work))

    def ended(self, work: Work, where: Where, seconds: float, error: StatllamaError | None) -> None:
        self.ended_.append((str(work), error))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def stage_cached(self, name: str, entry: Any) -> None:
        self.cached.append(name)


def adapters(folders: Sequence[Path]) -> list[bytes]:
    """Return the bytes of adapters in result folders."""
    return [(folder / "adapter_model.safetensors").read_bytes() for folder in folders]


def published(workspace: Path) -> dict[str, Any]:
    """Return {entry: what must not depend on where it was made}; every file is whole."""
    store, found = Store(workspace), dict[str, Any]()
    for kind in ("results", "scores"):
        for entry in store.entries(kind):  # type: ignore[arg-type]
            store.verify(kind, entry.key)  # type: ignore[arg-type]
            score = {k: v for k, v in entry.manifest.get("score", {}).items() if k != "seconds"}
            weights = entry.manifest["files"].get("adapter_model.safetensors")
            found[entry.key] = (weights, score, entry.manifest.get("drift"))
    return found
