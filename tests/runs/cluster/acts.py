"""Works for slots that need no model: what they do is their name."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, replace
from typing import Any

from statllama.errors import TrainingError
from statllama.runs.cluster.placement import Card
from statllama.runs.cluster.slot import Place, Slot
from statllama.runs.cluster.work import Began, Ended, Lost, Told
from statllama.train.memory import GIB


@dataclass(frozen=True)
class Act:
    """Has of `Work` what the engine looks at."""

    id: str
    devices: int = 1
    base: str = "base"
    least: float = 0.0
    wanted: float = 0.0
    kind: str = "train"

    @property
    def name(self) -> str:
        return self.id

    @property
    def what(self) -> str:
        return self.id.partition("-")[0]

    def __str__(self) -> str:
        return f"act {self.id}"


def act(text: str) -> Act:
    """Return the act that a text names, `look-1` or, with the GiB that it needs of a device, `look-1:40`."""
    name, _, size = text.partition(":")
    return Act(name, least=float(size or 0) * GIB, wanted=float(size or 0) * GIB)


class OddSlot(Slot):
    """Says that the first process of a workspace was given a small card, and each later one a large one."""

    def look(self) -> Place:
        seen = self._question.workspace / "seen"
        first = not seen.exists()
        seen.touch()
        return replace(super().look(), card=Card("small" if first else "large", 1.0 if first else 3.0))


def perform(work: Act, desk: Any, reporter: Any, stop: Any, ranks: Any = None) -> None:
    """In place of `perform.perform`; goes to the worker by value."""
    match work.what:
        case "look":
            variables = {
                n: os.environ.get(n) for n in ("OMP_NUM_THREADS", "WORLD_SIZE", "CUDA_VISIBLE_DEVICES", "WHICH")
            }
            main = threading.current_thread() is threading.main_thread()
            reporter.note({"pid": os.getpid(), "main": main, "torch": "torch" in sys.modules, **variables})
        case "flood":
            with reporter.busy("flooding"):
                for step in range(1000):
                    reporter.step(step)
                    time.sleep(0.001)
            print("words that no console may show")
        case "broken":
            raise TrainingError("it broke", remedy="mend it")
        case "bug":
            print(1 / 0)
        case "exit":
            raise SystemExit(3)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "saving":
            with stop.deferred():
                reporter.note("waiting")
                while not stop.requested():
                    time.sleep(0.02)
            reporter.note("saved")
            stop.obey()
        case "stubborn":
            with stop.deferred():
                reporter.note("waiting")
                while True:
                    time.sleep(0.02)
        case "endless":
            reporter.note(os.getpid())
            while True:
                time.sleep(0.02)
        case "group":
            reporter.note(ranks.gather((ranks.rank, os.getpid())))
            if work.id == "group-dies" and ranks.rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            if work.id == "group-fails" and ranks.rank == 1:
                raise TrainingError("rank one broke")
            ranks.gather(None)


def done(cluster: Any, *works: Act, stop_at: str = "", seconds: float = 60) -> dict[str, list[Any]]:
    """Have works done; {work: what was heard of it}. `stop_at`: the note at which everything is to stop."""
    heard: dict[str, list[Any]] = {work.id: [] for work in works}
    for work in works:
        assert cluster.room(work)
        cluster.submit(work)
    deadline = time.monotonic() + seconds
    while not all(told and isinstance(told[-1], Ended | Lost) for told in heard.values()):
        assert time.monotonic() < deadline, heard
        for news in cluster.heard(1.0):
            heard[news.work].append(news)
            if stop_at and isinstance(news, Told) and news.arguments == (stop_at,):
                cluster.stop()
    assert all(isinstance(told[0], Began) or len(told) == 1 for told in heard.values())
    return heard


def notes(told: list[Any]) -> list[Any]:
    """What a work noted."""
    return [news.arguments[0] for news in told if isinstance(news, Told) and news.event == "note"]
