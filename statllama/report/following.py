"""Keeps the page of a run up to date, from another process, until the run has ended.

The run tells its state in the workspace (`runs.watch.live`); this reads it, and writes the page whole, old or new. So
drawing takes no time from the process that trains, and the page of a run that was killed says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from pathlib import Path

from statllama.errors import NotFoundError, StatllamaError, near
from statllama.report.collect import collect
from statllama.report.data import ReportData
from statllama.report.live import with_live
from statllama.report.page import Drawn, write
from statllama.runs.house.history import run_with
from statllama.runs.subject import Subject, subject_of
from statllama.runs.watch.gpu import gpu
from statllama.runs.watch.live import Live, read_live, without_file
from statllama.store import Holder, Store

LOOK = 0.5
"""Seconds between two looks at the run's state."""
EVERY, SHARE = 4.0, 0.04
"""Seconds between two pages at least, and the share of a core's time that drawing them may take."""
AGAIN = 5, 60
"""Seconds after which the page loads itself again, at least and at most."""


def follow(
    store: Store,
    name: str,
    path: Path,
    tell: Callable[[str], None],
    settings: Callable[[Subject], Subject] = lambda subject: subject,
) -> Live:
    """Write the page of the run `name` to `path` again and again until the run has ended; return its end.

    `settings` changes how the scores are read, as options of `report` do. `tell` is called once with what keeps the
    page from being written, and later pages are tried all the same. NotFoundError for a run that tells nothing,
    StoreError or UsageError when the last page cannot be written.
    """
    live = read_live(store, name)
    if live is None:
        names = sorted({*store.runs(), *(path.stem for path in (store.root / "live").glob("*.json"))})
        raise NotFoundError(
            f"no run of {name!r} tells of itself in {store.root}: {near(name, names)}",
            remedy=f"start one in another terminal: statllama run {name}",
        )
    known, drawn, told = _Known(store, name, settings), Drawn(), False
    gap, seen, written = EVERY, 0.0, 0.0
    while True:
        if not live.going or (live.state.updated != seen and time.monotonic() - written >= gap):
            seen, began = live.state.updated, time.process_time()
            data = known.data(live)
            try:
                write(with_live(data, live, time.time(), _gpu(live), _again(gap)), path, drawn)
            except StatllamaError as error:
                if not live.going:
                    raise
                if not told:
                    told = True
                    tell(f"the page is not kept up to date for now: {error}")
            written, gap = time.monotonic(), max(EVERY, (time.process_time() - began) / SHARE)
        if not live.going:
            return live
        time.sleep(LOOK)
        live = read_live(store, name) or without_file(store, live)


def _again(gap: float) -> int:
    low, high = AGAIN
    return round(min(high, max(low, gap)))


def _gpu(live: Live) -> dict[str, str]:
    """Return how busy the GPU is, where the run is on this machine."""
    return gpu() if live.going and live.holder.host == Holder.here().host else {}


class _Known:
    """The run's records, gathered again only when a stage, a score or an answer has come."""

    def __init__(self, store: Store, name: str, settings: Callable[[Subject], Subject]) -> None:
        self.store, self.name, self.settings = store, name, settings
        self._mark: Hashable = None
        self._data: ReportData | None = None

    def data(self, live: Live) -> ReportData | None:
        """Return the report of what is finished. None while the workspace has no record of this run.

        What goes wrong in reading is left to the last page, which raises it: the run is writing meanwhile.
        """
        state = live.state
        mark = (
            tuple((stage.name, stage.key, stage.open) for stage in state.stages.values()),
            tuple((stack, *scores) for stack, scores in state.scores.items()),
            tuple(stage.drift_to_base for stage in state.stages.values()),
            tuple(state.answers),
            live.going,
        )
        if mark != self._mark:
            try:
                self._data, self._mark = self._collect(live), mark
            except StatllamaError:
                if state.outcome == "finished":
                    raise
        return self._data

    def _collect(self, live: Live) -> ReportData | None:
        told = {stage.name: stage.key for stage in live.state.stages.values()}
        record = self.store.last_run(run_with(self.store, self.name, told))
        keys = {name: stage["key"] for name, stage in record["stages"].items()}
        if any(name not in keys for name in live.state.stages):
            return None
        if all(keys[name] != stage.key for name, stage in live.state.stages.items()):
            return None  # an earlier run of that name, of which this one keeps nothing
        return collect(self.settings(subject_of(record, self.store)), self.store, ended=not live.going)
