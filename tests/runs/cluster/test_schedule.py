"""The order of works: longest path first, checked against all orders of small random graphs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from statllama.runs.cluster.schedule import UNKNOWN, ends, in_order, urgency


@dataclass(frozen=True)
class Some:
    """What `schedule` reads of a work."""

    id: str
    seconds: float | None = 1.0
    devices: int = 1


def works(seconds: list[float | None]) -> dict[str, Any]:
    return {f"w{i}": Some(f"w{i}", value) for i, value in enumerate(seconds)}


@st.composite
def graphs(draw: Any) -> tuple[dict[str, Any], dict[str, set[str]]]:
    made = works(draw(st.lists(st.integers(1, 9).map(float), min_size=1, max_size=5)))
    names = list(made)
    pairs = [(a, b) for i, b in enumerate(names) for a in names[:i]]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return made, {name: {a for a, b in chosen if b == name} for name in names}


def paths(name: str, made: dict[str, Any], needs: dict[str, set[str]]) -> float:
    """The longest chain from a work to the end, by trying all."""
    after = [other for other in made if name in needs[other]]
    return float(made[name].seconds + max((paths(other, made, needs) for other in after), default=0.0))


def makespan(order: list[str], made: dict[str, Any], needs: dict[str, set[str]], workers: int) -> float:
    """How long it takes when free workers take the first ready work of `order`."""
    done: dict[str, float] = {}
    free, now, running = workers, 0.0, dict[str, float]()
    while len(done) < len(made):
        for name in order:
            if free and name not in done and name not in running and needs[name] <= done.keys():
                running[name], free = now + made[name].seconds, free - 1
        now = min(running.values())
        for name in [name for name, end in running.items() if end == now]:
            done[name] = running.pop(name)
            free += 1
    return now


@given(graphs())
def test_urgency_is_the_longest_path_to_the_end(graph: Any) -> None:
    made, needs = graph
    assert urgency(made, needs) == {name: paths(name, made, needs) for name in made}


@given(graphs(), st.integers(1, 3))
def test_the_order_is_within_grahams_bound_of_the_best(graph: Any, workers: int) -> None:
    made, needs = graph
    urgent = urgency(made, needs)
    best = min(makespan(list(order), made, needs, workers) for order in permutations(made))
    ours = makespan(sorted(made, key=lambda name: -urgent[name]), made, needs, workers)
    assert best <= ours <= best * (2 - 1 / workers) + 1e-9


def test_ready_ones_come_most_urgent_first_and_unknown_ones_count() -> None:
    made = works([1.0, None, 5.0, 2.0])
    assert [work.id for work in in_order(made, {"w3": {"w0"}})] == ["w1", "w2", "w0"]
    assert urgency(made, {})["w1"] == UNKNOWN
    assert in_order(made, {"w0": {"gone"}})[-1].id == "w0"


def test_a_long_chain_is_no_deep_recursion() -> None:
    made = works([1.0] * 20000)
    assert urgency(made, {f"w{i}": {f"w{i - 1}"} for i in range(1, 20000)})["w0"] == 20000


@given(graphs(), st.integers(1, 4), st.data())
def test_the_time_that_is_left_is_that_of_the_schedule(
    graph: tuple[dict[str, Any], dict[str, set[str]]], workers: int, data: Any
) -> None:
    made, needs = graph
    order = sorted(made, key=lambda name: -paths(name, made, needs))
    seconds = {name: work.seconds for name, work in made.items()}
    found = ends(made, needs, seconds, {}, workers)
    assert found.keys() == made.keys()
    assert max(found.values()) == makespan(order, made, needs, workers)
    assert all(found[name] >= found[before] + seconds[name] for name in made for before in needs[name])
    # One that is begun has less to go, and waits for nobody.
    first = data.draw(st.sampled_from([name for name in made if not needs[name]]))
    assert ends(made, needs, seconds, {first: 0.5}, workers)[first] == 0.5


def test_a_work_on_several_devices_waits_for_all_of_them() -> None:
    made = {"a": Some("a", 5.0), "b": Some("b", 4.0, devices=2), "c": Some("c", 1.0)}
    assert ends(made, {}, {"a": 5.0, "b": 4.0, "c": 1.0}, {}, 2) == {"a": 5.0, "b": 9.0, "c": 10.0}
    assert ends(made, {}, {"a": 5.0, "b": 4.0, "c": 1.0}, {}, 1)["b"] == 9.0, "it is begun even so, alone"
