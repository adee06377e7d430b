"""A cluster without Ray for tests: its workers are this process, one work at a time, by the code that real ones run."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from statllama.errors import StatllamaError
from statllama.runs.cluster.fill import RayExecutor
from statllama.runs.cluster.perform import Desk, perform
from statllama.runs.cluster.work import Began, Ended, Heard, Lost, Where, Work
from statllama.runs.reporting import Reporter
from statllama.runs.signals import StopSignal

HERE = Where("here", "cpu 0")


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
