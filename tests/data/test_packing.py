"""Packing: nothing lost, no row over, hardly any place wasted."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statllama.data.packing import pack, utilisation


@settings(deadline=None)
@given(st.lists(st.integers(1, 64)), st.integers(64, 100))
def test_packing_keeps_everything_within_bounds(lengths: list[int], width: int) -> None:
    rows = pack(lengths, width)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in row) <= width for row in rows)
    assert all(row == sorted(row) for row in rows)
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert rows == pack(lengths, width)
    # Best fit leaves at most one row not more than half full.
    assert sum(2 * sum(lengths[i] for i in row) <= width for row in rows) <= 1


def test_the_fullest_row_with_room_is_chosen() -> None:
    assert pack([6, 5, 4, 3], 10) == [[0, 2], [1, 3]]
    assert pack([10, 10], 10) == [[0], [1]]
    assert pack([], 10) == []


@pytest.mark.parametrize("length", [0, 11])
def test_lengths_are_checked(length: int) -> None:
    with pytest.raises(ValueError, match=r"1\.\.10"):
        pack([length], 10)


def test_many_sequences_pack_fast_and_tight() -> None:
    draw = random.Random(0)
    lengths = [min(2048, 1 + int(draw.expovariate(1 / 300))) for _ in range(100_000)]
    start = time.perf_counter()
    rows = pack(lengths, 2048)
    assert time.perf_counter() - start < 5
    assert utilisation(lengths, len(rows), 2048) > 0.99
