"""Which slot takes a work, and why a worker is gone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.runs.cluster.crew import Crew, choose, why
from tests.runs.cluster.acts import Act


def crew(size: int, base: str, since: float) -> Crew:
    return Crew([None] * size, None, 0, base=base, since=since)


CREWS = st.lists(st.builds(crew, st.integers(1, 3), st.sampled_from("ab"), st.floats(0, 9)), max_size=5)


@given(CREWS, st.integers(0, 4), st.integers(1, 4))
def test_a_work_gets_its_devices_and_nobody_closes_more_than_it_needs(
    idle: list[Crew], free: int, devices: int
) -> None:
    work: Any = Act("work", devices=devices, base="a")
    chosen, closing = choose(idle, free, work)
    if chosen is not None:
        assert chosen.size == devices and not closing
        if any(each.size == devices and each.base == "a" for each in idle):
            assert chosen.base == "a", "the base is loaded there"
        else:
            assert free < devices, "a free device is taken before a loaded base is dropped"
    else:
        freed = [each.size for each in closing]
        enough = free + sum(freed) >= devices
        assert enough or set(closing) == set(idle)
        assert not closing or free + sum(freed[:-1]) < devices
        assert sorted(closing, key=lambda each: each.since) == closing, "the longest idle first"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "The actor died unexpectedly before finishing this task.\n\tpid: 7\nThe actor is dead because its worker "
            "process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits with a "
            "connection error code 2. End of file. Some common causes include: (1) the process was killed by the OOM "
            "killer due to high memory usage, (2) ray stop --force was called",
            "its process died",
        ),
        (
            "The actor died because its node has died. Node Id: 9c42 the actor's node was terminated",
            "its host has left",
        ),
        ("Task was killed due to the node running low on memory.", "its host ran out of memory"),
        (
            "The actor died because of an error raised in its creation task, ray::Slot.__init__()\n  File x\n"
            "ModuleNotFoundError: No module named 'statllama'\n",
            "it does not start: ModuleNotFoundError: No module named 'statllama'",
        ),
    ],
)
def test_why_a_worker_is_gone(text: str, told: str) -> None:
    """Texts of Ray 2.60."""
    assert why(RuntimeError(text)).startswith(told)
