"""Keeps the state of workers from what they tell."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from statllama.errors import Interrupted
from statllama.runs.cluster.schedule import ends
from statllama.runs.watch.fleet import Fleet, HostUse, WorkState
from statllama.train.job import StepEvent

if TYPE_CHECKING:
    from statllama.errors import StatllamaError
    from statllama.runs.cluster.work import Where, Work

AGAIN = 5.0
"""Seconds after which the time that is left is estimated anew, where nothing began or ended."""
SHARE = 0.02
"""Share of the time that estimating may take."""
_FIRST = {"train": "starts", "score": "starts", "measure": "measures", "release": "starts"}
_DOING = {
    "busy": "{}",
    "preparing": "reads its data",
    "generating": "writes {}",
    "training": "trains",
    "scoring": "is scored",
    "exporting": "writes",
    "verifying": "verifies",
}


class FleetProgress:
    """The works of several runs: what is under way, done, and to come."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.fleets: dict[str, Fleet] = {}
        """Of each run: works that several of them want are in each."""
        self.runs: dict[str, str] = {}
        """{course: its run}; the pipelines of a recipe are one run."""
        self.whole = Fleet(began=clock())
        self.of: Mapping[str, Sequence[str]] = {}
        """{work that is still to be done: the courses that want it}."""
        self.trained: dict[str, str] = {}
        """{key of a stage that a worker has trained: where}."""
        self._works: Mapping[str, Work] = {}
        self._needs: Mapping[str, Iterable[str]] = {}
        self._took: dict[tuple[str, ...], list[float]] = {}
        self._keys: dict[str, set[str]] = {}  # {a work in words: keys of all that are called so}
        self._not_before = 0.0

    def course(self, name: str, run: str) -> None:
        """Note a course that workers are about to work for."""
        if not self.runs:
            self.whole.began = self.clock()
        self.runs[name] = run
        self.fleets.setdefault(run, Fleet(began=self.clock()))

    def again(self) -> FleetProgress:
        """Return what begins anew after the workers of an earlier time, with what is known of them."""
        other = FleetProgress(self.clock)
        other.trained, other._took = self.trained, self._took
        return other

    def named(self, work: Work) -> Work:
        """Return the work, its name with its recipe's where another work of the study is called the same."""
        several = len(self._keys.get(str(work), ())) > 1
        return replace(work, name=f"{work.recipe.name}:{work.name}") if several else work

    def wanting(self, work: str) -> list[str]:
        """Return the runs that want a work."""
        return list(dict.fromkeys(self.runs[course] for course in self.of.get(work, ()) if course in self.runs))

    def about(self, work: Work) -> list[Fleet]:
        """Return the state of all, and of each run that wants a work."""
        return [self.whole, *(self.fleets[run] for run in self.wanting(work.id))]

    # ------------------------------------------------------------------ events

    def agenda(
        self, works: Mapping[str, Work], needs: Mapping[str, Iterable[str]], of: Mapping[str, Sequence[str]]
    ) -> None:
        """Note all works that are still to be done."""
        self._works, self._needs, self.of = works, needs, of
        for work in works.values():
            self._keys.setdefault(str(work), set()).add(work.key)
        self._count()
        self.estimate()

    def began(self, work: Work, where: Where) -> None:
        """Note that a worker is at a work."""
        now = self.clock()
        place, expected = (where.host, where.device, work.devices), self._seconds(work)
        named = self.named(work).name
        state = WorkState(work.kind, named, work.task, *place, now, expected, _FIRST[work.kind], at=now)
        for fleet in self.about(work):
            fleet.first = now if fleet.first is None else fleet.first
            fleet.works[work.id] = state
            use = fleet.hosts.setdefault(where.host, HostUse(gpus=where.device.startswith("gpu")))
            here = sum(one.devices for one in fleet.works.values() if one.host == where.host)
            use.most = max(use.most, here)
        self._count()
        self.estimate()

    def told(self, work: Work, event: str, arguments: Sequence[Any]) -> None:
        """Note what a worker tells of its work; see `cluster.board` for the events. Others are passed over."""
        state, now = self.whole.works.get(work.id), self.clock()
        if state is None:
            return
        name, _, part = event.partition("/")
        if part == "end":
            state.doing = "ends" if name in ("training", "scoring") else _FIRST[work.kind]
        elif part == "at":
            done, total = arguments[1:3] if name == "preparing" else arguments[:2]
            if state.total is None:
                state.first = int(done)
            state.done, state.total, state.at = int(done), int(total), now
        elif event == "waiting":
            state.doing = f"waits for {arguments[1]}"
        elif event == "step":
            _stepped(state, arguments[0], now)
        elif event == "stage_finished":
            _finished(state, arguments[1].manifest["metrics"])
        elif name in _DOING:
            state.doing = _DOING[name].format(arguments[0])
            state.done, state.total, state.first, state.since, state.at = 0, None, 0, now, now
            if event == "training":
                state.total = int(arguments[2])
        if now - self.whole.eta_at >= AGAIN:
            self.estimate()

    def ended(self, work: Work, where: Where, seconds: float, error: StatllamaError | None) -> None:
        """Note that a work has ended. Only what has ended well says how long others like it take."""
        state = self._forget(work)
        for fleet in self.about(work):
            fleet.hosts.setdefault(where.host, HostUse()).seconds += seconds * work.devices
            fleet.done += error is None
            fleet.failed += error is not None and not isinstance(error, Interrupted)
        if not isinstance(error, Interrupted):
            self._works = {name: one for name, one in self._works.items() if name != work.id}
        if error is None:
            if work.kind == "train":
                self.trained[work.key] = str(where)
            if state is None or not state.first:  # loading the base is of the first work of a worker alone
                loading = max(0.0, state.since - state.began) if state is not None and state.since else 0.0
                self._took.setdefault(_alike(work), []).append(max(0.0, seconds - loading))
        self._count()
        self.estimate()

    def lost(self, work: Work) -> None:
        """Note that the worker of a work is gone."""
        state = self._forget(work)
        for fleet in self.about(work):
            fleet.lost += 1
            fleet.lost_seconds += 0.0 if state is None else work.devices * (self.clock() - state.began)
        self._count()
        self.estimate()

    def filled(self) -> None:
        """Note that the workers have ended."""
        for fleet in (self.whole, *self.fleets.values()):
            fleet.ended, fleet.works, fleet.waiting, fleet.eta_seconds = self.clock(), {}, 0, None

    def _forget(self, work: Work) -> WorkState | None:
        for fleet in self.fleets.values():
            fleet.works.pop(work.id, None)
        return self.whole.works.pop(work.id, None)

    # ------------------------------------------------------------------ the time that is left

    def _count(self) -> None:
        waiting = [name for name in self._works if name not in self.whole.works]
        wanting = Counter(run for name in waiting for run in self.wanting(name))
        self.whole.waiting = len(waiting)
        for name, fleet in self.fleets.items():
            fleet.waiting = wanting[name]

    def estimate(self) -> None:
        """Reckon when the works end, if as many devices as were at work at once go on, the most urgent works first.

        Of many works this takes long: it is done as seldom as that takes no more than `SHARE` of the time.
        """
        began = time.perf_counter()
        if began < self._not_before:
            return
        now, whole = self.clock(), self.whole
        known = {name: self._seconds(work) for name, work in self._works.items()}
        known |= {name: state.left(now) for name, state in whole.works.items() if name in known}
        unknown = {name for name, one in known.items() if one is None}
        unsure = unknown | {name for name, work in self._works.items() if work.recipe.evaluate.gates}
        seconds = {name: one or 0.0 for name, one in known.items()}
        begun = {name: left for name, left in seconds.items() if name in whole.works}
        devices = max([whole.most, *(work.devices for work in self._works.values())], default=1)
        for fleet in (whole, *self.fleets.values()):
            fleet.eta_seconds, fleet.eta_at, fleet.at_least = None, now, False
        for name, end in ends(self._works, self._needs, seconds, begun, devices).items():
            for fleet in self.about(self._works[name]):
                fleet.at_least |= name in unsure
                if name not in unknown:
                    fleet.eta_seconds = max(end, fleet.eta_seconds or 0.0)
        self._not_before = time.perf_counter() + (time.perf_counter() - began) / SHARE

    def _seconds(self, work: Work) -> float | None:
        """Return the seconds that a work is to take: its forecast, else what works like it took, or take."""
        if work.seconds is not None:
            return work.seconds
        if took := self._took.get(_alike(work)):
            return sum(took) / len(took)
        for state in self.whole.works.values():
            if work.kind == "score" == state.kind and state.task == work.task and state.total and not state.first:
                left = state.left(state.at) if state.done else None
                if left is not None:
                    return state.at - state.began + left
        return None


def _alike(work: Work) -> tuple[str, ...]:
    """Return what works have in common that take about as long: a benchmark, or a stage under other seeds."""
    if work.kind != "train":
        return work.kind, work.task
    return work.kind, work.name, re.sub(r"\.run\d+$", "", work.recipe.name)


def _finished(state: WorkState, metrics: Mapping[str, Any]) -> None:
    """Note a stage's first and last loss, or reward, as its result has them: a worker does not tell of every step."""
    what = "reward" if state.rewarded else "loss"
    state.first_loss, state.loss = metrics.get(f"first_{what}", state.first_loss), metrics.get(what, state.loss)


def _stepped(state: WorkState, event: StepEvent, now: float) -> None:
    if not state.done:
        state.first = event.step - 1
    state.doing, state.done, state.total, state.at = "trains", event.step, event.total, now
    state.eta_seconds = event.eta_seconds if math.isfinite(event.eta_seconds) else None
    state.tokens_per_second, state.memory_bytes = event.tokens_per_second, event.memory_bytes
    state.on_gpu, state.rewarded = event.on_gpu, "reward" in event.extra
    told = event.extra["reward"] if state.rewarded else event.loss
    state.loss = told if math.isfinite(told) else None
    state.first_loss = state.loss if state.first_loss is None else state.first_loss
