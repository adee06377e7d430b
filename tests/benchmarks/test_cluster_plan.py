"""benchmarks/cluster_plan.py: the simulated cluster does what one can do, and the driver's loop asks it little."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from statllama.errors import TrainingError
from statllama.runs.cluster import fill
from statllama.runs.cluster.agenda import Agenda
from statllama.runs.cluster.work import Where
from statllama.runs.reporting import Reporter
from statllama.runs.signals import StopSignal
from tests.conftest import REPO


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(REPO / "benchmarks"))
    import cluster_plan

    return cluster_plan


@pytest.mark.parametrize("lost", [None, 6.0, 1.0])
@pytest.mark.parametrize("shared", [True, False])
def test_a_simulated_study_is_one_that_a_cluster_could_do(plan: Any, shared: bool, lost: float | None) -> None:
    courses = plan.study(40, 60.0, shared=shared, off=0.25)
    graph = plan.graph_of(courses)
    outcome = plan.simulate(courses, 7, lost)
    assert plan.violations(outcome, graph) == []
    assert (outcome.losses > 0) == (lost is not None) and 0 < outcome.useful <= 1
    if not outcome.failed:
        assert outcome.seconds >= outcome.bound and all(not course.lacks for course in courses)


def test_violations_are_seen(plan: Any) -> None:
    courses = plan.study(10, 60.0)
    graph = plan.graph_of(courses)
    outcome = plan.simulate(courses, 3)
    spans = list(outcome.spans)
    early = [plan.replace(span, began=0.0) for span in spans]
    assert any("two works" in one for one in plan.violations(plan.replace(outcome, spans=tuple(early)), graph))
    assert any("before" in one for one in plan.violations(plan.replace(outcome, spans=tuple(early)), graph))
    assert "twice" in plan.violations(plan.replace(outcome, spans=(*spans, spans[0])), graph)[0]
    assert "of" in plan.violations(plan.replace(outcome, spans=tuple(spans[:-1])), graph)[0]


def test_the_bound_of_a_chain_and_of_many(plan: Any) -> None:
    chain, *_ = plan.study(10, 1.0)
    lengths = [piece.length for piece, _ in chain.lacks]
    longest = sum(piece.length for piece, _ in chain.lacks if piece.kind == "train") + lengths[-1]
    assert plan.bound(plan.graph_of([chain]), 100) == pytest.approx(longest)
    assert plan.bound(plan.graph_of([chain]), 1) == pytest.approx(sum(lengths))


def test_sharing_and_the_order_pay(plan: Any) -> None:
    shared = plan.simulate(plan.study(60, 60.0), 8)
    alone = plan.simulate(plan.study(60, 60.0, shared=False), 8)
    with plan.first_come():
        listed = plan.simulate(plan.study(60, 60.0), 8)
    assert shared.seconds < listed.seconds and shared.seconds < alone.seconds
    assert len(plan.graph_of(plan.study(60, 60.0))) < len(plan.graph_of(plan.study(60, 60.0, shared=False)))


def test_news_of_a_step_finds_nothing_anew(plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[str] = Counter()
    courses = plan.study(30, 60.0)
    cluster = plan.Simulated(4)
    heard, room = cluster.heard, cluster.room

    def chatting(timeout: float) -> list[Any]:
        asked["heard"] += 1
        if asked["heard"] % 5:
            return [plan.Lost("train-of-another", Where("h", "gpu 0"), "")]  # a message that changes nothing
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
    plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system may say for a while that a name is not there which another host has made."""
    answers = iter([False, False, True])
    listed: list[str] = []
    store = SimpleNamespace(root=tmp_path, listed=listed.append)
    course = SimpleNamespace(holds=lambda work: next(answers), session=SimpleNamespace(store=store))
    work = plan.Piece("train", "sft", "k", 1.0, 1.0)
    monkeypatch.setattr(fill, "PATIENCE", 0.0)
    with StopSignal() as stop:
        loop = fill.Filling([], plan.Simulated(1), Reporter(), stop)
        assert loop._shown(course, work) and listed == ["results"]

        courses = plan.study(10, 60.0)[:1]
        monkeypatch.setattr(fill, "UNSEEN", -1.0)
        monkeypatch.setattr(type(courses[0]), "holds", lambda self, work: False)
        monkeypatch.setattr(type(courses[0]), "session", SimpleNamespace(**vars(plan.UNGATED), store=store))
        failed = fill.Filling(courses, plan.Simulated(2), Reporter(), stop).run()
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
