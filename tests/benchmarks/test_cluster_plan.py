"""benchmarks/cluster_plan.py: the simulated cluster does what one can do, and the driver's loop asks it little."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from statllama.errors import TrainingError
from statllama.runs.cluster import fill
from statllama.runs.cluster.agenda import Agenda
from statllama.runs.cluster.work import Ended, Lost, Told, Where
from statllama.runs.reporting import Reporter
from statllama.runs.signals import StopSignal
from tests.conftest import REPO


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(REPO / "benchmarks"))
    import cluster_plan

    return cluster_plan


@pytest.fixture
def simulated(plan: Any) -> Any:
    import simulated

    return simulated


@pytest.mark.parametrize("lost", [None, 6.0, 1.0])
@pytest.mark.parametrize(("shared", "devices"), [(True, 1), (False, 1), (True, 3)])
def test_a_simulated_study_is_one_that_a_cluster_could_do(
    plan: Any, simulated: Any, shared: bool, devices: int, lost: float | None
) -> None:
    courses = plan.study(40, 60.0, shared=shared, off=0.25, devices=devices)
    graph = simulated.graph_of(courses)
    outcome = simulated.simulate(courses, 7, lost)
    assert simulated.violations(outcome, graph) == []
    assert (outcome.losses > 0) == (lost is not None) and 0 < outcome.useful <= 1
    if not outcome.failed:
        assert outcome.seconds >= outcome.bound and all(not course.lacks for course in courses)


def test_violations_are_seen(plan: Any, simulated: Any) -> None:
    courses = plan.study(10, 60.0)
    graph = simulated.graph_of(courses)
    outcome = simulated.simulate(courses, 3)
    spans = list(outcome.spans)
    early = [replace(span, began=0.0) for span in spans]
    assert any("two works" in one for one in simulated.violations(replace(outcome, spans=tuple(early)), graph))
    assert any("before" in one for one in simulated.violations(replace(outcome, spans=tuple(early)), graph))
    assert "twice" in simulated.violations(replace(outcome, spans=(*spans, spans[0])), graph)[0]
    assert "of" in simulated.violations(replace(outcome, spans=tuple(spans[:-1])), graph)[0]


def test_the_bound_of_a_chain_and_of_many(plan: Any, simulated: Any) -> None:
    chain, *_ = plan.study(10, 1.0)
    lengths = [piece.length for piece, _ in chain.lacks]
    longest = sum(piece.length for piece, _ in chain.lacks if piece.kind == "train") + lengths[-1]
    assert simulated.bound(simulated.graph_of([chain]), 100) == pytest.approx(longest)
    assert simulated.bound(simulated.graph_of([chain]), 1) == pytest.approx(sum(lengths))


def test_the_closer_bound_holds_for_every_order_of_few_works(simulated: Any) -> None:
    """The chain a -> b and c beside it, on two workers and on one, by hand."""
    piece = {
        name: simulated.Piece("train", name, name, None, length)
        for name, length in (("a", 3.0), ("b", 2.0), ("c", 1.0))
    }
    none: frozenset[str] = frozenset()
    graph = {
        "train-a": (piece["a"], none),
        "train-b": (piece["b"], frozenset({"train-a"})),
        "train-c": (piece["c"], none),
    }
    assert [simulated.close_bound(graph, workers) for workers in (1, 2, 9)] == [6.0, 5.0, 5.0]
    # a first, then four of b's length at once: two workers need 3 + 8 / 2, which neither simple bound sees.
    wide = {"train-a": (piece["a"], none)} | {
        f"train-{i}": (replace(piece["b"], key=str(i)), frozenset({"train-a"})) for i in range(4)
    }
    assert simulated.bound(wide, 2) == 5.5 and simulated.close_bound(wide, 2) == 7.0


class Dying:
    """A cluster whose workers reach these steps and die, one after the other, and then do all."""

    def __init__(self, steps: list[int]) -> None:
        self.steps, self.work = steps, None

    def room(self, work: Any) -> bool:
        return self.work is None

    def submit(self, work: Any) -> None:
        self.work = work

    def heard(self, timeout: float) -> list[Any]:
        work, self.work, where = self.work, None, Where("h", "gpu 0")
        if work.kind != "train" or not self.steps:
            return [Ended(work.id, where, 1.0)]
        step = SimpleNamespace(step=self.steps.pop(0))
        return [Told(work.id, where, "step", (step,)), Lost(work.id, where, "killed")]


@pytest.mark.parametrize(
    ("steps", "given_up"),
    [([5, 9, 14, 20, 31], False), ([5, 5, 5], True), ([5, 3, 4], True), ([5, 5, 9, 9], False), ([0, 0, 0], True)],
)
def test_a_stage_that_gets_further_is_not_given_up(plan: Any, steps: list[int], given_up: bool) -> None:
    courses = plan.study(10, 60.0)[:1]
    with StopSignal() as stop:
        failed = fill.Filling(courses, Dying(steps), Reporter(), stop).run()
    assert bool(failed) == given_up


def test_sharing_and_the_order_pay(plan: Any, simulated: Any) -> None:
    shared = simulated.simulate(plan.study(60, 60.0), 8)
    alone = simulated.simulate(plan.study(60, 60.0, shared=False), 8)
    with simulated.first_come():
        listed = simulated.simulate(plan.study(60, 60.0), 8)
    assert shared.seconds < listed.seconds and shared.seconds < alone.seconds
    assert len(simulated.graph_of(plan.study(60, 60.0))) < len(simulated.graph_of(plan.study(60, 60.0, shared=False)))


def test_news_of_a_step_finds_nothing_anew(plan: Any, simulated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[str] = Counter()
    courses = plan.study(30, 60.0)
    cluster = simulated.Simulated(4)
    heard, room = cluster.heard, cluster.room

    def chatting(timeout: float) -> list[Any]:
        asked["heard"] += 1
        if asked["heard"] % 5:
            return [Lost("train-of-another", Where("h", "gpu 0"), "")]  # a message that changes nothing
        return list(heard(timeout))

    monkeypatch.setattr(cluster, "heard", chatting)
    monkeypatch.setattr(cluster, "room", lambda work: asked.update(room=1) or room(work))
    of_courses = Agenda.of_courses
    monkeypatch.setattr(Agenda, "of_courses", lambda courses: asked.update(agenda=1) or of_courses(courses))
    with StopSignal() as stop:
        assert fill.Filling(courses, cluster, Reporter(), stop).run() == {}
    works = len(cluster.spans)
    assert asked["agenda"] == 1
    assert asked["room"] <= works + asked["heard"], "one answer that nothing has room is enough"


def test_what_is_not_shown_at_once_is_looked_for_again(
    plan: Any, simulated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system may say for a while that a name is not there which another host has made."""
    answers = iter([False, False, True])
    listed: list[str] = []
    store = SimpleNamespace(root=tmp_path, listed=listed.append)
    course = SimpleNamespace(holds=lambda work: next(answers), session=SimpleNamespace(store=store))
    work = simulated.Piece("train", "sft", "k", 1.0, 1.0)
    monkeypatch.setattr(fill, "PATIENCE", 0.0)
    with StopSignal() as stop:
        loop = fill.Filling([], simulated.Simulated(1), Reporter(), stop)
        assert loop._shown(course, work) and listed == ["results"]

        courses = plan.study(10, 60.0)[:1]
        monkeypatch.setattr(fill, "UNSEEN", -1.0)
        monkeypatch.setattr(type(courses[0]), "holds", lambda self, work: False)
        monkeypatch.setattr(type(courses[0]), "session", SimpleNamespace(**{**vars(simulated.UNGATED), "store": store}))
        failed = fill.Filling(courses, simulated.Simulated(2), Reporter(), stop).run()
    assert isinstance(failed["recipe 0"], TrainingError) and "does not show it" in str(failed["recipe 0"])


def test_the_trace_is_counted_by_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPO / "benchmarks"))
    import store_operations

    trace = """
12 newfstatat(AT_FDCWD, "/work-begins/train sft ", 0x7f, 0) = -1 ENOENT
12 openat(AT_FDCWD, "/w/results/k/manifest.json", O_RDONLY|O_CLOEXEC) = -1 ENOENT
13 openat(AT_FDCWD, "/w/partial/a.tmp", O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0666) = 3</w/partial/a.tmp>
13 fsync(3</w/partial/a.tmp>) = 0
13 rename("/w/partial/a.tmp", "/w/partial/a") = 0
13 openat(AT_FDCWD, "/elsewhere", O_RDONLY) = 4</elsewhere>
12 newfstatat(AT_FDCWD, "/work-begins/score sft t", 0x7f, 0) = -1 ENOENT
12 flock(5</w/locks/x.lock>, LOCK_EX|LOCK_NB) = 0
"""
    found = store_operations.counted(trace, "/w/")
    assert found == {"train sft ": {"open": 1, "create": 1, "fsync": 1, "rename": 1}, "score sft t": {"lock": 1}}
    assert store_operations.means(found) == {
        "train": {"create": 1, "fsync": 1, "open": 1, "rename": 1},
        "score": {"lock": 1},
    }
