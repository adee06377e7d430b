"""A thousand recipes on a hundred workers, on paper: the real driver's loop on a clock that only counts.

    python benchmarks/cluster_plan.py [--recipes 1000] [--workers 100] [--scale 60] [--save]

The study: the pipelines of the miniature study, with other seeds of their first stages and other settings of the last.
`Filling`, the agenda and the order of works are those of `--executor ray`; the cluster is simulated: workers start,
load the base, take a work each, and die. Stages last as long as they took here (results/time_forecast.json: a model of
3.5 M parameters on two cores), stretched by `--scale`: only their ratios are measured, no hour is forecast for a GPU.
What one work asks of the file system is counted by store_operations.py, and added up here for the whole study.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, ClassVar, cast
from unittest import mock

from common import RESULTS, report

from statllama.errors import StatllamaError
from statllama.runs.cluster import fill
from statllama.runs.cluster.agenda import Agenda, Course
from statllama.runs.cluster.schedule import in_order, urgency
from statllama.runs.cluster.work import Ended, Heard, Kind, Lost, Where, Work
from statllama.runs.reporting import Reporter
from statllama.runs.signals import StopSignal

Graph = Mapping[str, tuple["Piece", frozenset[str]]]
"""{id of a work: the work with its length, and the ids of those before it}"""
SEEDS = 10  # of first stages; a tenth of the recipes stands on each
BENCHMARKS = ("stats", "general")
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

    @property
    def id(self) -> str:
        """Return what it is told by, as `Work.id`."""
        return f"{self.kind}-{self.key}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


UNGATED = SimpleNamespace(recipe=SimpleNamespace(evaluate=SimpleNamespace(gates={})))


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


def measured() -> dict[str, float]:
    """{stage or kind of work: seconds here}, means over the recipes of the miniature study."""
    recipes = json.loads((RESULTS / "time_forecast.json").read_text(encoding="utf-8"))["recipes"]
    took: dict[str, list[float]] = {}
    for name, found in recipes.items():
        if name == "quickstart":
            continue
        for stage, row in found["stages"].items():
            label = "dtft" if stage.startswith("dtft") else f"{stage}, first" if (name, stage) == FIRST else stage
            took.setdefault(label, []).append(row["took"])
        stacks = len(found["stages"])
        works = (stacks + 1) * len(BENCHMARKS) + stacks  # scores of the base too; a drift of each stage
        took.setdefault("score", []).append(found["scores and drift"]["took"] / works)
    return {name: sum(values) / len(values) for name, values in took.items()}


FIRST = ("instruct_pipeline", "sft")  # an sft on the base is shorter than one after others


def paths(count: int) -> list[tuple[str, ...]]:
    """The stages of each recipe, each named with what tells it from others of its place: `dpo/3`.

    Of ten recipes four end in a tuning after SFT and DPO, two in GRPO after SFT, two in DPO after CPT and SFT, two in
    DPO after CPT, dialogues and SFT. A tenth stands on each of ten seeds of the stages before the last; the tunings of
    a seed share four variants of their DPO.
    """
    found: list[tuple[str, ...]] = []
    for i in range(count):
        seed, shape, number = i * SEEDS // count, i % 10, i // 10
        if shape < 4:
            found.append((f"sft, first/{seed}", f"dpo/{shape}", f"dtft/{number}"))
        elif shape < 6:
            found.append((f"sft, first/{seed}", f"grpo/{i}"))
        elif shape < 8:
            found.append((f"cpt/{seed}", "sft/0", f"dpo/{i}"))
        else:
            found.append((f"cpt/{seed}", "instruct/0", "sft/0", f"dpo/{i}"))
    return found


def study(count: int, scale: float, *, shared: bool = True, known: bool = True, off: float = 0.0) -> list[Recipe]:
    """The courses of so many recipes.

    `shared`: recipes that begin alike share what they begin with. `known`: there are forecasts. `off`: standard
    deviation of the logarithm of true over forecast length. As in the agenda, scores and drifts have no forecast.
    """
    seconds, draw = measured(), random.Random(0)
    pieces: dict[str, Piece] = {}

    def piece(kind: Kind, name: str, key: str) -> Piece:
        found = Piece(kind, name, key, None, 0.0)
        if found.id not in pieces:
            length = scale * seconds[name.partition("/")[0] if kind == "train" else "score"]
            forecast = length if kind == "train" and known else None
            pieces[found.id] = replace(found, seconds=forecast, length=length * math.exp(draw.gauss(0.0, off)))
        return pieces[found.id]

    courses = []
    for i, stages in enumerate(paths(count)):
        lacks: list[tuple[Piece, frozenset[str]]] = []
        lacks += [(piece("score", "base", task), frozenset()) for task in BENCHMARKS]
        below, before = "" if shared else f"{i}:", frozenset[str]()
        for stage in stages:
            below = f"{below} {stage}"
            trained = piece("train", stage, below)
            lacks.append((trained, before))
            before |= {trained.id}
            lacks += [(piece("score", stage, f"{below} on {task}"), before) for task in BENCHMARKS]
            lacks.append((piece("measure", stage, below), before))
        courses.append(Recipe(f"recipe {i}", tuple(lacks)))
    return courses


def graph_of(courses: Sequence[Recipe]) -> Graph:
    """All works of the courses."""
    return {piece.id: (piece, needs) for course in courses for piece, needs in course.lacks}


def bound(graph: Graph, workers: int) -> float:
    """Seconds that no schedule can beat: the longest chain, or the sum over all workers."""
    lengths = {name: replace(piece, seconds=piece.length) for name, (piece, _) in graph.items()}
    chains = urgency(cast(Mapping[str, Work], lengths), {name: needs for name, (_, needs) in graph.items()})
    return max(max(chains.values()), sum(piece.length for piece, _ in graph.values()) / workers)


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
        self._queue: list[tuple[float, int, bool]] = []  # (when, device, whether its work ends well)
        self._left: dict[str, float] = {}  # seconds of a work that its checkpoints leave to do
        self._lost, self._draw = lost, random.Random(1)

    def room(self, work: Piece) -> bool:
        """Return whether a device is free."""
        return any(device.work is None for device in self._devices)

    def submit(self, work: Piece) -> None:
        """Start a work, on a device that has the base, if one is free."""
        free = [device for device in self._devices if device.work is None]
        device = max(free, key=lambda one: one.alive)
        device.began, device.ready = self.now, self.now + (START + BASE) * (not device.alive)
        device.work, device.alive = work, True
        ends = device.ready + self._left.get(work.id, work.length)
        dies = math.inf if self._lost is None else self.now + self._draw.expovariate(1 / (self._lost * HOUR))
        heapq.heappush(self._queue, (min(ends, dies), device.number, ends <= dies))

    def heard(self, timeout: float) -> list[Heard]:
        """Return what happens next, at once: this clock does not wait."""
        self.now, number, well = heapq.heappop(self._queue)
        device = self._devices[number]
        work, where = device.work, Where("host", f"gpu {number}")
        assert work is not None
        device.work = None
        self.spans.append(Span(number, work.id, device.began, device.ready, self.now, well))
        if well:
            return [Ended(work.id, where, self.now - device.ready)]
        self.losses += 1
        device.alive = False
        done = max(0.0, self.now - device.ready)
        if work.kind == "train":
            done = done // CHECKPOINT * CHECKPOINT
        elif work.kind == "measure":
            done = 0.0  # a score keeps each answer
        self._left[work.id] = self._left.get(work.id, work.length) - done
        return [Lost(work.id, where, "it was killed")]

    def stop(self) -> None:
        """Never asked."""
        raise AssertionError


@dataclass(frozen=True)
class Outcome:
    """What became of a study."""

    seconds: float
    bound: float
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
    done = sum(graph[span.work][0].length for span in cluster.spans if span.done)
    useful, spans = done / (workers * cluster.now), tuple(cluster.spans)
    return Outcome(cluster.now, bound(graph, workers), useful, cluster.losses, len(failed), len(spans), took, spans)


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
    if len(ended) != sum(span.done for span in outcome.spans):
        found.append("a work was done twice")
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
    if not outcome.failed and (ended.keys() != graph.keys() or outcome.seconds < outcome.bound - 1e-6):
        found.append(f"{len(ended)} of {len(graph)} works in {outcome.seconds} s, where {outcome.bound} s are needed")
    return found


def scenarios(recipes: int, workers: int, scale: float) -> dict[str, Outcome]:
    """The study under each condition."""
    found: dict[str, Outcome] = {}

    def told(name: str, courses: Sequence[Recipe], on: int = workers, lost: float | None = None) -> None:
        graph = graph_of(courses)
        found[name] = simulate(courses, on, lost)
        assert not (wrong := violations(found[name], graph)), wrong[0]
        print(f"{name:42} " + "  ".join(f"{what} {value}" for what, value in found[name].row().items()), flush=True)

    told("longest path first", study(recipes, scale))
    with first_come():
        told("first come", study(recipes, scale))
    told("longest path, no forecasts", study(recipes, scale, known=False))
    told("longest path, forecasts off by 25 %", study(recipes, scale, off=0.25))
    with first_come():
        told("first come, lengths off by 25 %", study(recipes, scale, off=0.25))
    for hours in (24.0, 6.0, 2.0, 0.5):
        told(f"a process lives {hours:g} h", study(recipes, scale), lost=hours)
    told("nothing shared", study(recipes, scale, shared=False))
    for some in (workers // 10, workers // 2, workers * 2, workers * 4):
        if some:
            told(f"{some} workers", study(recipes, scale), on=some)
    return found


def driver_cost(recipes: int, scale: float) -> dict[str, float]:
    """Milliseconds of a processor that the driver takes at the start of such a study."""
    courses = cast(Sequence[Course], study(recipes, scale))
    agenda = Agenda.of_courses(courses)
    urgent = urgency(agenda.works, agenda.needs)
    one = next(iter(agenda.works.values()))

    def least(call: Callable[[], object]) -> float:
        times = []
        for _ in range(5):
            began = time.process_time()
            call()
            times.append(time.process_time() - began)
        return round(1e3 * min(times), 2)

    return {
        "all that is left, anew": least(lambda: Agenda.of_courses(courses)),
        "urgency of all, anew": least(lambda: urgency(agenda.works, agenda.needs)),
        "what is ready, when a work has ended": least(
            lambda: in_order(agenda.without(one).works, agenda.needs, urgent)
        ),
    }


def store_totals(recipes: int, scale: float) -> dict[str, Any]:
    """File system operations and requests of the whole study, from those of one work of each kind."""
    file = RESULTS / "store_operations.json"
    if not file.is_file():
        return {}
    each = json.loads(file.read_text(encoding="utf-8"))["works"]
    kinds = [piece.kind for piece, _ in graph_of(study(recipes, scale)).values()]
    counts = {kind: kinds.count(kind) for kind in ("train", "score", "measure")}
    names = sorted({name for kind in counts for name in each[kind]})
    sums = {name: round(sum(count * each[kind].get(name, 0) for kind, count in counts.items())) for name in names}
    return {"works": counts, "in all": sums}


def main() -> None:
    """Simulate, print, and save where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--scale", type=float, default=60.0, help="seconds there for one measured here")
    parser.add_argument("--save", action="store_true", help="write results/cluster_plan.json")
    asked = parser.parse_args()
    if asked.recipes < SEEDS or asked.workers < 1:
        parser.error(f"--recipes from {SEEDS}, --workers from 1")
    shared, alone = (graph_of(study(asked.recipes, asked.scale, shared=each)) for each in (True, False))
    figures = {
        "recipes": asked.recipes,
        "workers": asked.workers,
        "scale": asked.scale,
        "assumed": {"checkpoint": CHECKPOINT, "start": START, "base": BASE},
        "measured seconds": {name: round(value, 2) for name, value in measured().items()},
        "stages": {"shared": _stages(shared), "each recipe by itself": _stages(alone)},
        "works": {"shared": len(shared), "each recipe by itself": len(alone)},
        "driver, ms": driver_cost(asked.recipes, asked.scale),
        "scenarios": {n: o.row() for n, o in scenarios(asked.recipes, asked.workers, asked.scale).items()},
        "store": store_totals(asked.recipes, asked.scale),
    }
    report("cluster_plan", figures, asked.save)


def _stages(graph: Graph) -> int:
    return sum(piece.kind == "train" for piece, _ in graph.values())


if __name__ == "__main__":
    main()
