"""What workers tell arrives whole and in order; of progress the newest is enough."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.runs.cluster.board import AT, END, Board, RemoteReporter, newest
from statllama.runs.reporting import Reporter

EVENTS = st.lists(
    st.tuples(st.sampled_from(["step", "note", f"scoring{AT}", f"preparing{AT}"]), st.tuples(st.integers()))
)


@given(EVENTS)
def test_only_what_the_next_one_overtakes_is_left_out(events: list[tuple[str, tuple[Any, ...]]]) -> None:
    kept = newest(events)
    assert all(a[0] != b[0] for a, b in pairwise(kept) if a[0] != "note")
    assert [e for e in kept if e[0] == "note"] == [e for e in events if e[0] == "note"]
    rest = iter(events)
    assert all(one in rest for one in kept), "in their order"
    assert kept[-1:] == events[-1:], "the last is always told"


def act(reporter: Reporter, pause: float) -> None:
    spec: Any = "spec"
    with reporter.training(spec, None, 3):  # type: ignore[arg-type]
        for step in range(3):
            reporter.step(step)  # type: ignore[arg-type]
            time.sleep(pause)
    reporter.waiting("sft")("holder")  # type: ignore[arg-type]
    with reporter.scoring("sft", "letters") as progress:
        assert progress is not None
        progress(1, 2, "letters")
        time.sleep(pause)
        progress(2, 2, "letters")
    reporter.note("done")


def test_the_driver_hears_what_a_worker_told_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("statllama.runs.cluster.board.PERIOD", 0.01)
    letters: list[Any] = []
    reporter = RemoteReporter("work", letters.append)
    act(reporter, 0.05)
    reporter.close()
    told = [item for letter in letters for item in letter]
    assert {work for work, _, _ in told} == {"work"}
    assert [(event, *arguments) for _, event, arguments in told] == [
        ("training", "spec", None, 3), ("step", 0), ("step", 1), ("step", 2), ("training" + END,),
        ("waiting", "sft", "holder"),
        ("scoring", "sft", "letters"), ("scoring" + AT, 1, 2, "letters"), ("scoring" + AT, 2, 2, "letters"),
        ("scoring" + END,), ("note", "done"),
    ]  # fmt: skip
    assert len(letters) > 2


def test_an_event_that_cannot_travel_takes_no_other_with_it() -> None:
    sent: list[Any] = []

    def send(items: Any) -> None:
        if any(arguments == (None,) for _, _, arguments in items):
            raise TypeError("cannot pickle it")
        sent.extend(items)

    reporter = RemoteReporter("work", send)
    for text in ("first", None, "last"):
        reporter.note(text)  # type: ignore[arg-type]
    reporter.close()
    assert [arguments for _, _, arguments in sent] == [("first",), ("last",)]


def test_the_board_hands_each_item_on_once_and_waits() -> None:
    async def scene() -> None:
        board = Board()
        first = asyncio.create_task(board.since(0, 5.0))
        await asyncio.sleep(0.01)
        await board.tell([("w", "note", (1,)), ("w", "note", (2,))])
        number, items = await first
        assert (number, [a for _, _, a in items]) == (2, [(1,), (2,)])
        assert (await board.since(0, 0.0))[0] == 2, "until they are known to have come"
        assert await board.since(2, 0.01) == (2, [])
        await board.tell([("w", "note", (3,))])
        assert await board.since(2, 5.0) == (3, [("w", "note", (3,))])

    asyncio.run(scene())


def test_a_wish_to_stop_reaches_all_who_wait_and_those_who_come_later() -> None:
    async def scene() -> None:
        board = Board()
        waiting = [asyncio.create_task(board.insistence(0, 5.0)) for _ in range(3)]
        await asyncio.sleep(0.01)
        assert await board.stop() == 1
        assert await asyncio.gather(*waiting) == [1, 1, 1]
        assert await board.insistence(0, 5.0) == 1
        assert await board.insistence(1, 0.01) == 1, "asked once so far"
        assert await board.stop() == 2
        assert await board.insistence(1, 5.0) == 2

    asyncio.run(scene())
