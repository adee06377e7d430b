"""A cluster on a clock that only counts, under the real loop of `--executor ray`: for cluster_plan.py.

`Filling` drives it as it drives Ray. Its works have a length; workers start, load the base, take a work each, and die.
"""

from __future__ import annotations

import heapq
import math
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar, cast
from unittest import mock

from statllama.errors import StatllamaError
from statllama.runs.cluster import fill
from statllama.runs.cluster.agenda import Course
from statllama.runs.cluster.work import Ended, Heard, Kind, Lost, Told, Where, Work
from statllama.runs.reporting import Reporter
from statllama.runs.signals import StopSignal

Graph = Mapping[str, tuple["Piece", frozenset[str]]]
"""{id of a work: the work with its length, and the ids of those before it}"""
CHECKPOINT = 300.0  # seconds between two checkpoints of a stage
START, BASE = 20.0, 60.0  # seconds until a worker takes works; until it has loaded the base
HOUR = 3600.0


@dataclass(frozen=True)
class Piece:
    """A work of the simulation: what `Work` is to the driver, and how long it really takes."""

    kind: Kind
    name: str
    key: str
    seconds: float | None
    """Forecast, as the driver has it."""
    length: float
    """What it takes."""
    devices: int = 1
    least: float = 0.0
    wanted: float = 0.0
    shelf: str = "results"

    @property
    def id(self) -> str:
        """Return what it is told by, as `Work.id`."""
        return f"{self.kind}-{self.key}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


UNGATED = SimpleNamespace(recipe=SimpleNamespace(name="a recipe", evaluate=SimpleNamespace(gates={})), store=None)


@dataclass
class Recipe:
    """What `Filling` needs of a course. What a worker says that it published is there."""

    name: str
    lacks: tuple[tuple[Piece, frozenset[str]], ...]
    session: ClassVar[Any] = UNGATED

    def take(self, done: Piece) -> None:
        """Note that a work is published."""
        self.lacks = tuple((piece, needs) for piece, needs in self.lacks if piece.id != done.id)

    def holds(self, work: Piece) -> bool:
        """Return whether the workspace has it."""
        return True


def graph_of(courses: Sequence[Recipe]) -> Graph:
    """All works of the courses."""
    return {piece.id: (piece, needs) for course in courses for piece, needs in course.lacks}


def bound(graph: Graph, workers: int) -> float:
    """Seconds that no schedule can beat: the longest chain, or the sum over all workers."""
    _, ends = earliest(graph)
    return max(max(ends.values()), sum(piece.length * piece.devices for piece, _ in graph.values()) / workers)


def earliest(graph: Graph) -> tuple[dict[str, float], dict[str, float]]:
    """When each work begins and ends where there are workers for all."""
    begins: dict[str, float] = {}
    ends: dict[str, float] = {}
    for name, (piece, needs) in graph.items():  # those before come first
        begins[name] = max((ends[before] for before in needs), default=0.0)
        ends[name] = begins[name] + piece.length
    return begins, ends


def close_bound(graph: Graph, workers: int) -> float:
    """The same, and knows that at first there is not enough to do: by any time no schedule has done more work than one
    with workers for all, and what is left then takes all workers so long.
    """
    begins, ends = earliest(graph)
    sizes = {name: piece.devices for name, (piece, _) in graph.items()}
    turns = sorted([(begins[n], size) for n, size in sizes.items()] + [(ends[n], -size) for n, size in sizes.items()])
    left, active, before = sum(piece.length * piece.devices for piece, _ in graph.values()), 0, 0.0
    least = left / workers
    for when, change in turns:
        left -= active * (when - before)
        active, before = active + change, when
        least = max(least, when + left / workers)
    return least


@dataclass
class Device:
    """A device, and the process on it."""

    number: int
    alive: bool = False
    """Whether a process is there, which then has the base."""
    work: Piece | None = None
    began: float = 0.0
    ready: float = 0.0
    """When it begins with its work proper."""


@dataclass(frozen=True)
class Span:
    """What a device did from when to when: `began` includes its start and the base."""

    device: int
    work: str
    began: float
    ready: float
    ended: float
    done: bool


class Simulated:
    """A cluster (`work.Cluster`) on a clock of its own."""

    def __init__(self, workers: int, lost: float | None = None) -> None:
        """Take `lost`: hours that a process lives in the mean; None: for ever."""
        self.now, self.spans, self.losses = 0.0, list[Span](), 0
        self._devices = [Device(number) for number in range(workers)]
        # (when, devices, whether their work ends well)
        self._queue: list[tuple[float, tuple[int, ...], bool]] = []
        self._left: dict[str, float] = {}  # seconds of a work that its checkpoints leave to do
        self._lost, self._draw = lost, random.Random(1)

    def room(self, work: Piece) -> bool:
        """Return whether so many devices are free."""
        return sum(device.work is None for device in self._devices) >= work.devices

    def submit(self, work: Piece) -> None:
        """Start a work, on devices that have the base, as far as such are free."""
        free = sorted((device for device in self._devices if device.work is None), key=lambda one: not one.alive)
        group = free[: work.devices]
        ready = self.now + (START + BASE) * (not all(device.alive for device in group))
        for device in group:
            device.began, device.ready, device.work, device.alive = self.now, ready, work, True
        ends = ready + self._left.get(work.id, work.length)
        rate = 0.0 if self._lost is None else len(group) / (self._lost * HOUR)
        dies = self.now + self._draw.expovariate(rate) if rate else math.inf
        heapq.heappush(self._queue, (min(ends, dies), tuple(device.number for device in group), ends <= dies))

    def heard(self, timeout: float) -> list[Heard]:
        """Return what happens next, at once: this clock does not wait."""
        self.now, numbers, well = heapq.heappop(self._queue)
        group = [self._devices[number] for number in numbers]
        work, ready, where = group[0].work, group[0].ready, Where("host", f"gpu {numbers[0]}")
        assert work is not None
        for device in group:
            self.spans.append(Span(device.number, work.id, device.began, ready, self.now, well))
            device.work, device.alive = None, well  # when one of a group dies, the others are ended
        if well:
            return [Ended(work.id, where, self.now - ready)]
        self.losses += 1
        done, left = max(0.0, self.now - ready), self._left.get(work.id, work.length)
        step = Told(work.id, where, "step", (SimpleNamespace(step=int(work.length - left + done)),))
        if work.kind == "train":
            done = done // CHECKPOINT * CHECKPOINT
        elif work.kind == "measure":
            done = 0.0  # a score keeps each answer
        self._left[work.id] = left - done
        return [*([step] if work.kind == "train" else []), Lost(work.id, where, "it was killed")]

    def stop(self) -> None:
        """Never asked."""
        raise AssertionError


@dataclass(frozen=True)
class Outcome:
    """What became of a study."""

    seconds: float
    bound: float
    close_bound: float
    """See the functions."""
    useful: float
    """Share of the devices' time that went into work that was kept."""
    losses: int
    failed: int
    """Recipes that were given up: see `fill.TRIES`."""
    events: int
    driver: float
    """Processor seconds of the driver's loop."""
    spans: tuple[Span, ...] = ()

    def row(self) -> dict[str, float]:
        """Return its figures."""
        return {
            "hours": round(self.seconds / HOUR, 2),
            "over the bound": round(self.seconds / self.bound, 3),
            "over the closer bound": round(self.seconds / self.close_bound, 3),
            "useful": round(self.useful, 3),
            "losses": self.losses,
            "recipes given up": self.failed,
            "driver, ms an event": round(1e3 * self.driver / self.events, 2),
        }


def simulate(courses: Sequence[Recipe], workers: int, lost: float | None = None) -> Outcome:
    """Have the driver's loop fill a workspace."""
    graph, cluster = graph_of(courses), Simulated(workers, lost)
    with StopSignal() as stop:
        loop = fill.Filling(cast(Sequence[Course], courses), cast(Any, cluster), Reporter(), stop)
        began = time.process_time()
        failed: Mapping[str, StatllamaError] = loop.run()
        took = time.process_time() - began
    done = sum(graph[span.work][0].length for span in cluster.spans if span.done)  # a span is of one device
    useful, spans = done / (workers * cluster.now), tuple(cluster.spans)
    return Outcome(
        cluster.now,
        bound(graph, workers),
        close_bound(graph, workers),
        useful,
        cluster.losses,
        len(failed),
        len(spans),
        took,
        spans,
    )


@contextmanager
def first_come() -> Iterator[None]:
    """Have the loop take ready works as the recipes list them."""

    def listed(works: Mapping[str, Work], needs: Mapping[str, frozenset[str]], _: object = None) -> list[Work]:
        return [work for name, work in works.items() if not any(before in works for before in needs[name])]

    with mock.patch.object(fill, "in_order", listed):
        yield


def violations(outcome: Outcome, graph: Graph) -> list[str]:
    """Return what the simulation did that no cluster can do."""
    found, ended = [], {span.work: span.ended for span in outcome.spans if span.done}
    times = Counter(span.work for span in outcome.spans if span.done)
    found += [f"{work} was done twice" for work, count in times.items() if count > graph[work][0].devices]
    free: dict[int, float] = {}
    for span in sorted(outcome.spans, key=lambda span: span.began):
        if span.began < free.get(span.device, 0.0):
            found.append(f"device {span.device} did two works at {span.began}")
        free[span.device] = span.ended
        found += [
            f"{span.work} began before {before} was done"
            for before in graph[span.work][1]
            if ended.get(before, math.inf) > span.began
        ]
    if not outcome.failed and (ended.keys() != graph.keys() or outcome.seconds < outcome.close_bound - 1e-6):
        found.append(
            f"{len(ended)} of {len(graph)} works in {outcome.seconds} s, where {outcome.close_bound} s are needed"
        )
    return found
