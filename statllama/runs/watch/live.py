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
from statllama.store.leases import Lease, leases

if TYPE_CHECKING:
    from statllama.errors import StatllamaError
    from statllama.recipe import Recipe
    from statllama.runs.cluster.work import Work
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
    workspace, that one's file is left alone until it ends. While workers do the works of a whole study, each of its
    runs has a record of its own; together they take no more time than one.
    """

    def __init__(
        self,
        store: Store,
        note: Callable[[str], None],
        on_file: Callable[[str], None] = lambda name: None,
        *,
        took: dict[str, float] | None = None,
    ) -> None:
        """Take `on_file`, called with the run's name once its file is there for others to read; `took`: {run: seconds
        that its last write took}, which several records share.
        """
        super().__init__(self._changed)
        self.store, self._note, self._on_file = store, note, on_file
        self._holder, self._machine = Holder.here(), dict[str, str]()
        self._tried, self._took = 0.0, {} if took is None else took
        self._begun = self._noted = False
        self._beside: dict[str, LiveRecord] = {}  # by run, while workers do the works of several
        self._went_on: set[str] = set()  # runs of those that this record itself went on with

    def planned(self, recipe: Recipe, stages: Sequence[PlannedStage]) -> None:
        """Begin a run on this machine; a study begins several, one after the other."""
        self._begun, self._tried = False, -math.inf
        if self.state.name:
            self.state = RunState(started=time.time())
        self._machine = self._machine or {"processor": str(cpu()), **_gpu_in_words()}
        super().planned(recipe, stages)
        if (before := self._beside.get(recipe.name)) is not None:
            self._went_on.add(recipe.name)
            self._take(before.state)

    def _take(self, before: RunState) -> None:
        """Take over what workers told of this run's stages."""
        self.state.started, self.state.fleet = before.started, before.fleet
        for name, stage in before.stages.items():
            if (now := self.state.stages.get(name)) is not None and now.key == stage.key:
                now.series, now.began, now.where = stage.series, stage.began, stage.where or now.where
                now.memory_bytes, now.on_gpu = stage.memory_bytes, stage.on_gpu
                now.tokens_per_second = stage.tokens_per_second

    # ------------------------------------------------------------------ workers elsewhere

    def course(self, name: str, recipe: Recipe, stages: Sequence[PlannedStage]) -> None:
        """Begin with a run of workers: this one, or one of a study, which is recorded beside the others."""
        if self.state.goes_on and self.state.name == recipe.name:
            super().course(name, recipe, stages)
            return
        if self.fleet.whole.ended is not None:
            self.fleet, self._beside = self.fleet.again(), {}
        self.fleet.course(name, recipe.name)
        self._machine = self._machine or {"processor": str(cpu()), **_gpu_in_words()}
        before = self._beside.get(recipe.name)
        one = self._beside[recipe.name] = LiveRecord(self.store, self._note, self._on_file, took=self._took)
        one._machine, one._holder = self._machine, self._holder
        one.planned(recipe, stages)
        if before is not None:  # another pipeline of this recipe
            one.state.stages = {**before.state.stages, **one.state.stages}
        one.state.fleet = self.fleet.fleets[recipe.name]

    def _concerned(self, work: Work) -> Sequence[RunProgress]:
        if not self._beside:
            return (self,)
        return [self._beside[name] for name in self.fleet.wanting(work.id) if name in self._beside]

    def filled(self) -> None:
        """Note it in the records of all runs."""
        super().filled()
        for one in self._beside.values():
            one._told()

    def pipeline_failed(self, name: str, error: StatllamaError) -> None:
        """Note it of a pipeline that workers could not fill: it does not begin here."""
        run = self.fleet.runs.get(name, "")
        if self.state.name == run and self.state.outcome != "failed":
            super().failed(error)
        elif self.state.name != run and run in self._beside:
            self._beside[run].failed(error)

    def failed(self, error: BaseException) -> None:
        """Note it also in the records of runs that workers were at work for, and that did not go on here."""
        super().failed(error)
        for name, one in self._beside.items():
            if one.state.outcome == "running" and name not in self._went_on:
                one.failed(error)

    # ------------------------------------------------------------------ the file

    def _changed(self, soon: bool) -> None:
        took = sum(self._took.values())
        gap = YIELD if not self._begun and self._noted else max(SOON if soon else EVERY, took / SHARE)
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
        self._took[name] = self._tried - began

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


def read_all(store: Store, working: Sequence[Lease]) -> list[Live]:
    """Return what the files of all runs tell that have not told their end; `working`: leases of live processes."""
    holders = [lease.holder for lease in working]
    names = sorted(path.stem for path in store.listed("live") if path.suffix == ".json")
    found = [_read(store, name, holders) for name in names]
    return [live for live in found if live is not None and live.state.outcome == "running"]


def _read(store: Store, name: str, working: Sequence[Holder] | None = None) -> Live | None:
    body: Any = read_json(path_of(store, name))
    try:
        if body["schema"] != SCHEMA:
            return None
        machine = {str(what): str(value) for what, value in body["machine"].items()}
        holder = Holder(**body["holder"])
        return Live(RunState.from_json(body["state"]), holder, machine, _alive(store, holder, working))
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def without_file(store: Store, live: Live) -> Live:
    """Return what was read last of a run whose file is gone, as when its workspace was deleted."""
    return replace(live, alive=_alive(store, live.holder))


def _alive(store: Store, holder: Holder, working: Sequence[Holder] | None = None) -> bool:
    """Return whether the process that runs it lives: one on another host, such as a container that is gone, while it
    has its lease of the workspace. `working`: holders of all leases, where they are known.
    """
    if holder.is_here() or not os.access(store.root / "locks", os.W_OK):
        return holder.alive()
    try:
        working = [lease.holder for lease in leases(store, to_show=True)] if working is None else working
    except StoreError:
        return holder.alive()
    return any(one.pid is None or (one.pid, one.host) == (holder.pid, holder.host) for one in working)


def _gpu_in_words() -> dict[str, str]:
    found = gpu()
    words = {"GPU": found.get("name", "")}
    if found.get("memory.total", "").isdecimal():
        words["GPU memory"] = f"{int(found['memory.total']) / 1024:.1f} GiB"
    return {what: value for what, value in words.items() if value}
