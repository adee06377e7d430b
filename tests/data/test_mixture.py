"""The mixture: exact counts, draws that other sources cannot change, an order that only the seed decides."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statllama.config.source import SourceSpec
from statllama.data.mixture import mix, permutation
from statllama.errors import DataError


def spec(**fields: Any) -> SourceSpec:
    return SourceSpec(path="x.jsonl", format="text", **fields)


def uses(mixture: Any, source: int) -> list[int]:
    return [int(r) for r in mixture.rows[mixture.sources == source]]


specs = st.builds(spec, limit=st.none() | st.integers(1, 30), repeat=st.integers(1, 4))
counted = st.lists(st.tuples(st.integers(1, 40), specs), min_size=1, max_size=4)
weighted = st.lists(
    st.tuples(
        st.integers(20, 60),
        st.builds(spec, limit=st.none() | st.integers(20, 30), repeat=st.integers(1, 4), weight=st.floats(0.1, 1)),
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None)
@given(counted, st.integers(0, 2**32 - 1))
def test_without_weights_every_drawn_row_is_used_repeat_times(given_: list[Any], seed: int) -> None:
    mixture = mix([n for n, _ in given_], [s for _, s in given_], seed)
    for i, (n, source) in enumerate(given_):
        drawn = Counter(uses(mixture, i))
        assert set(drawn.values()) == {source.repeat}
        assert len(drawn) == min(n, source.limit or n)
        assert max(drawn) < n
        assert mixture.counts[i] == sum(drawn.values())


@settings(deadline=None)
@given(weighted, st.integers(0, 2**32 - 1))
def test_weights_are_exact_shares_of_the_largest_mixture(given_: list[Any], seed: int) -> None:
    sources = [s for _, s in given_]
    mixture = mix([n for n, _ in given_], sources, seed)
    capacity = [min(n, s.limit or n) * s.repeat for n, s in given_]
    total, whole = sum(mixture.counts), sum(s.weight for s in sources)
    for i, source in enumerate(sources):
        drawn = Counter(uses(mixture, i))
        assert sum(drawn.values()) == mixture.counts[i] <= capacity[i]
        assert max(drawn.values()) - min(drawn.values()) <= 1 or len(drawn) == mixture.counts[i]
        assert max(drawn.values()) <= source.repeat
        assert abs(mixture.counts[i] - total * source.weight / whole) < 1
    # One row more in all would take more from some source than it has.
    assert any((total + 1) * s.weight / whole > c - 1e-9 for s, c in zip(sources, capacity, strict=True))


def test_weights_are_read_as_decimals() -> None:
    assert mix([70, 30], [spec(weight=0.7), spec(weight=0.3)], 0).counts == (70, 30)
    assert mix([1000, 60], [spec(weight=0.9), spec(weight=0.1, repeat=2)], 0).counts == (1000, 111)


@settings(deadline=None)
@given(counted, st.integers(0, 1000))
def test_a_draw_depends_on_seed_and_rows_alone(given_: list[Any], seed: int) -> None:
    alone = mix([25], [spec(limit=10)], seed)
    among = mix([n for n, _ in given_] + [25], [s for _, s in given_] + [spec(limit=10)], seed)
    assert set(uses(alone, 0)) == set(uses(among, len(given_)))
    assert set(uses(alone, 0)) < set(uses(mix([25], [spec(limit=11)], seed), 0))


def test_the_seed_decides_everything() -> None:
    sources = [spec(limit=50), spec(repeat=2)]
    first, again, other = (mix([100, 30], sources, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.rows, again.rows)
    assert np.array_equal(first.sources, again.sources)
    assert not np.array_equal(first.rows, other.rows)
    assert set(uses(first, 0)) != set(uses(other, 0))


def test_permutations_are_pinned() -> None:
    """The same on every version and machine: a change here is a change of DATA_NUMERICS."""
    assert permutation(42, 0, 10).tolist() == [7, 1, 6, 4, 3, 5, 9, 0, 2, 8]
    assert sorted(permutation(0, 3, 1000).tolist()) == list(range(1000))


def test_a_weight_that_gives_no_row_is_an_error() -> None:
    with pytest.raises(DataError, match=r"x.jsonl: weight 0.0001 gives it no row at all"):
        mix([10, 10], [spec(weight=1.0), spec(weight=0.0001)], 0)
