"""Batches are bounded by rows and by characters."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from statllama.data.batches import CHARACTERS, ROWS, batches


@given(st.lists(st.sampled_from([0, 10, CHARACTERS // 3, CHARACTERS, 2 * CHARACTERS]), max_size=600))
def test_nothing_is_lost_and_bounds_hold(lengths: list[int]) -> None:
    found = list(batches(lengths, lambda length: length))
    assert [length for batch in found for length in batch] == lengths
    assert all(batch and len(batch) <= ROWS and (len(batch) == 1 or sum(batch) <= CHARACTERS) for batch in found)
    for before, after in pairwise(found):  # no batch is smaller than it must be
        assert len(before) == ROWS or sum(before) + after[0] > CHARACTERS
