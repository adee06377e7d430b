"""Words between workers and driver: events one way, the wish to stop the other.

A worker's reporter keeps what it is told and sends it a few times a second, so that a step a millisecond does not flood
anyone, and a driver that is slow holds up no training. Of progress only the newest is sent.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from statllama.runs.reporting import Reporter
from statllama.store import Entry

if TYPE_CHECKING:
    from statllama.config.stage import TrainingSpec
    from statllama.data.report import MixtureReport
    from statllama.data.verdicts import Verdict
    from statllama.evaluation.scores import Drift, TaskScore
    from statllama.runs.watch.run_state import PromptAnswer
    from statllama.store import Holder
    from statllama.train.job import StepEvent

PERIOD = 0.25
"""Seconds between two letters of a worker."""
END = "/end"
"""`training/end`: the block that `training` began has ended."""
AT = "/at"
"""`scoring/at`: the callback that `scoring` yielded was called."""

Item = tuple[str, str, tuple[Any, ...]]
"""The id of a work, an event and its arguments."""


class Board:
    """Where events are pinned up and the driver fetches them, and where workers read that they are to stop.

    An actor; each call is a coroutine, so all of them can wait at once.
    """

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._dropped = 0  # items that the driver has
        self._insistence = 0
        self._news, self._stop = asyncio.Event(), asyncio.Event()

    async def tell(self, items: Sequence[Item]) -> None:
        """Pin up what a worker tells."""
        self._items += items
        self._news.set()

    async def since(self, number: int, timeout: float) -> tuple[int, list[Item]]:
        """Return the number of the next item, and the items from `number` on, which are then known to be fetched up to
        it; wait for the first.
        """
        del self._items[: max(0, number - self._dropped)]
        self._dropped = max(number, self._dropped)
        if not self._items:
            self._news.clear()
            await _within(self._news, timeout)
        return self._dropped + len(self._items), list(self._items)

    async def stop(self) -> int:
        """Ask all workers to stop; return how often they were asked."""
        self._insistence += 1
        stop, self._stop = self._stop, asyncio.Event()
        stop.set()
        return self._insistence

    async def insistence(self, known: int, timeout: float) -> int:
        """Return how often workers were asked to stop; wait until it is more than `known`."""
        if self._insistence <= known:
            await _within(self._stop, timeout)
        return self._insistence


async def _within(event: asyncio.Event, timeout: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout)
    except TimeoutError:
        pass


class RemoteReporter(Reporter):
    """A worker's reporter: sends each event of one work, in order.

    A block is two events, `training` and `training/end`; a call of its callback is `scoring/at`.
    Appending to a deque takes no lock that a signal could find taken.
    """

    def __init__(self, work: str, send: Callable[[Sequence[Item]], object]) -> None:
        """Take the work's id, and what sends items off."""
        self._work, self._send = work, send
        self._pending: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sending, name="reporter", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send the rest."""
        self._done.set()
        self._thread.join()

    def _sending(self) -> None:
        while not self._done.wait(PERIOD):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        events = [self._pending.popleft() for _ in range(len(self._pending))]
        items = [(self._work, event, arguments) for event, arguments in newest(events)]
        if not items:
            return
        try:
            self._send(items)
        except Exception:  # one of them cannot be pickled; or the board is gone, and with it who would listen
            for item in items if len(items) > 1 else ():
                try:
                    self._send([item])
                except Exception:
                    continue

    def _tell(self, event: str, *arguments: Any) -> None:
        self._pending.append((event, arguments))

    @contextmanager
    def _block(self, event: str, *arguments: Any) -> Iterator[Callable[..., None]]:
        self._tell(event, *arguments)
        try:
            yield lambda *at: self._tell(event + AT, *at)
        finally:
            self._tell(event + END)

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        with self._block("busy", what):
            yield

    def waiting(self, what: str) -> Callable[[Holder], None]:
        return lambda holder: self._tell("waiting", what, holder)

    @contextmanager
    def preparing(self, stage: str) -> Iterator[Callable[[str, int, int], None] | None]:
        with self._block("preparing", stage) as call:
            yield call

    @contextmanager
    def generating(self, what: str) -> Iterator[Callable[[int, int], None] | None]:
        with self._block("generating", what) as call:
            yield call

    def data_ready(self, spec: TrainingSpec, report: MixtureReport, findings: Sequence[Verdict]) -> None:
        self._tell("data_ready", spec, report, findings)

    def sized(self, spec: TrainingSpec, report: MixtureReport, steps: int) -> None:
        self._tell("sized", spec, report, steps)

    @contextmanager
    def training(self, spec: TrainingSpec, report: MixtureReport, steps: int) -> Iterator[None]:
        with self._block("training", spec, report, steps):
            yield

    def step(self, event: StepEvent) -> None:
        self._tell("step", event)

    def note(self, text: str) -> None:
        self._tell("note", text)

    def stage_finished(self, name: str, entry: Entry) -> None:
        self._tell("stage_finished", name, entry)

    def stage_cached(self, name: str, entry: Entry) -> None:
        self._tell("stage_cached", name, entry)

    @contextmanager
    def scoring(self, name: str, task: str) -> Iterator[Callable[[int, int, str], None] | None]:
        with self._block("scoring", name, task) as call:
            yield call

    def scored(self, name: str, score: TaskScore) -> None:
        self._tell("scored", name, score)

    def drifted(self, name: str, drift: Drift) -> None:
        self._tell("drifted", name, drift)

    def answered(self, name: str, answers: Sequence[PromptAnswer]) -> None:
        self._tell("answered", name, answers)

    @contextmanager
    def exporting(self, what: str) -> Iterator[Callable[[int, int], None] | None]:
        with self._block("exporting", what) as call:
            yield call

    def verifying(self, what: str) -> None:
        self._tell("verifying", what)


def newest(events: Sequence[tuple[str, tuple[Any, ...]]]) -> list[tuple[str, tuple[Any, ...]]]:
    """Return the events without those that the next one overtakes: of steps, or calls of one callback, in a row the
    last remains.
    """
    overtaken = {
        i
        for i, (event, _) in enumerate(events[:-1])
        if (event == "step" or event.endswith(AT)) and events[i + 1][0] == event
    }
    return [event for i, event in enumerate(events) if i not in overtaken]
