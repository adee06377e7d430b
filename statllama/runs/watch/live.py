"""A run's state on the disk while it goes on, for another process to show: `live/<run>.json` in the workspace.

The run writes it, now and then and at its end; `read_live` reads it. The file names the process that writes it, so a
run that was killed is not mistaken for one that goes on. It stays when the run has ended, until the next run of that
name.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statllama.errors import StoreError
from statllama.runs.forecast.machine import cpu
from statllama.runs.watch.gpu import gpu
from statllama.runs.watch.progress import RunProgress
from statllama.runs.watch.run_state import RunState
from statllama.store import Holder, Store
from statllama.store.files import read_json, write_text
from statllama.store.leases import leases

if TYPE_CHECKING:
    from statllama.recipe import Recipe
    from statllama.runs.plan import PlannedStage

SCHEMA = 1
EVERY, SOON = 2.0, 0.2
"""Seconds between two writes at least: of one of many events, and of one to show at once."""
YIELD = 10.0
"""Seconds between two looks at whether another process's run of the same name has ended."""
SHARE = 0.01
"""Share of the time that writing may take."""


@dataclass(frozen=True)
class Live:
    """A run as its file tells."""

    state: RunState
    holder: Holder
    """The process that runs it, or ran it."""
    machine: dict[str, str]
    """{what: value} in words: `processor`, `GPU`, `GPU memory`."""
    alive: bool
    """Whether that process lived when this was read."""

    @property
    def going(self) -> bool:
        """Return whether the run goes on: it has told no end, and its process lives."""
        return self.state.outcome == "running" and self.alive

    @property
    def killed(self) -> bool:
        """Return whether its process has died without a word."""
        return self.state.outcome == "running" and not self.alive


class LiveRecord(RunProgress):
    """Writes the state of its run into the workspace as it changes, seldom enough to cost nothing.

    A disk that refuses stops no run: it is told once, to `note`. Where another process runs the same recipe in the same
    workspace, that one's file is left alone until it ends.
    """

    def __init__(
        self, store: Store, note: Callable[[str], None], on_file: Callable[[str], None] = lambda name: None
    ) -> None:
        """Take `on_file`, called with the run's name once its file is there for others to read."""
        super().__init__(self._changed)
        self.store, self._note, self._on_file = store, note, on_file
        self._holder, self._machine = Holder.here(), dict[str, str]()
        self._tried, self._took = 0.0, 0.0
        self._begun = self._noted = False

    def planned(self, recipe: Recipe, stages: Sequence[PlannedStage]) -> None:
        """Begin a run on this machine; a study begins several, one after the other."""
        self._begun, self._tried = False, -math.inf
        if self.state.name:
            self.state = RunState(started=time.time())
        self._machine = {"processor": str(cpu()), **_gpu_in_words()}
        super().planned(recipe, stages)

    def _changed(self, soon: bool) -> None:
        gap = YIELD if not self._begun and self._noted else max(SOON if soon else EVERY, self._took / SHARE)
        if self.state.name and (time.monotonic() - self._tried >= gap or self.state.outcome != "running"):
            self._write()

    def _write(self) -> None:
        """Write the file, unless it is that of another process, which is told once."""
        began, name = time.monotonic(), self.state.name
        body = {
            "schema": SCHEMA,
            "holder": asdict(self._holder),
            "machine": self._machine,
            "state": self.state.to_json(),
        }
        try:
            if not self._begun:
                path_of(self.store, name).parent.mkdir(parents=True, exist_ok=True)
                if (other := self._other()) is not None:
                    raise StoreError(f"{other} runs {name} in this workspace and is the one that is shown")
            write_text(path_of(self.store, name), [json.dumps(body, allow_nan=False)])
            if not self._begun:
                self._begun = True
                self._on_file(name)
        except (OSError, ValueError, StoreError) as error:
            if not self._noted:
                self._noted = True
                self._note(f"this run cannot be watched, and goes on: {error}")
        self._tried = time.monotonic()
        self._took = self._tried - began

    def _other(self) -> Holder | None:
        """Return the process that runs a recipe of this name in this workspace, if it is another one."""
        found = read_live(self.store, self.state.name)
        return found.holder if found is not None and found.going and found.holder != self._holder else None


def path_of(store: Store, name: str) -> Path:
    """Return the file of a run of this name."""
    return store.root / "live" / f"{name}.json"


def read_live(store: Store, name: str) -> Live | None:
    """Return what the file of a run tells. None where there is none, or none of this version."""
    found = _read(store, name)
    if found is not None and found.killed:
        return _read(store, name)  # it may have told its end, and then died, after the file was read
    return found


def _read(store: Store, name: str) -> Live | None:
    body: Any = read_json(path_of(store, name))
    try:
        if body["schema"] != SCHEMA:
            return None
        machine = {str(what): str(value) for what, value in body["machine"].items()}
        holder = Holder(**body["holder"])
        return Live(RunState.from_json(body["state"]), holder, machine, _alive(store, holder))
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def without_file(store: Store, live: Live) -> Live:
    """Return what was read last of a run whose file is gone, as when its workspace was deleted."""
    return replace(live, alive=_alive(store, live.holder))


def _alive(store: Store, holder: Holder) -> bool:
    """Return whether the process that runs it lives: one on another host, such as a container that is gone, while it
    has its lease of the workspace.
    """
    if holder.is_here() or not os.access(store.root / "locks", os.W_OK):
        return holder.alive()
    try:
        working = [lease.holder for lease in leases(store, to_show=True)]
    except StoreError:
        return holder.alive()
    return any(one.pid is None or (one.pid, one.host) == (holder.pid, holder.host) for one in working)


def _gpu_in_words() -> dict[str, str]:
    found = gpu()
    words = {"GPU": found.get("name", "")}
    if found.get("memory.total", "").isdecimal():
        words["GPU memory"] = f"{int(found['memory.total']) / 1024:.1f} GiB"
    return {what: value for what, value in words.items() if value}
