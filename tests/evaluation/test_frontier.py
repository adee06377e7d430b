"""Gain against forgetting: worked arithmetic, invariance, and the coverage of the interval on simulated studies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.evaluation.frontier import Stack, interval, saved

RNG = np.random.default_rng(0)


def stack(name: str, gain: float, forgotten: float, runs: int = 2, rows: int = 3) -> Stack:
    """Rows that differ, with these means exactly."""
    wave = np.linspace(-0.1, 0.1, rows)
    return Stack(name, [list(gain + wave)] * runs, [list(forgotten - wave)] * runs)


LADDER = [stack("gentle", 0.2, 0.01), stack("strong", 0.6, 0.09)]


@pytest.mark.parametrize(
    ("gain", "forgotten", "expected", "between"),
    [
        (0.4, 0.00, 0.05, ("gentle", "strong")),
        (0.1, 0.02, 0.005 - 0.02, ("base", "gentle")),
        (0.6, 0.03, 0.09 - 0.03, ("gentle", "strong")),
    ],
)
def test_what_is_saved_is_the_ladders_line_less_the_stack(
    gain: float, forgotten: float, expected: float, between: tuple[str, str]
) -> None:
    found = saved(LADDER, stack("anchor", gain, forgotten))
    assert found is not None
    assert found.saved == pytest.approx(expected, abs=1e-12)
    assert found.between == between
    assert found.low <= found.saved <= found.high


def test_a_gain_that_the_ladder_does_not_reach_has_no_comparison() -> None:
    assert saved(LADDER, stack("anchor", 0.7, 0.0)) is None
    assert saved(LADDER, stack("worse", -0.1, 0.0)) is None


def test_a_rung_of_the_ladder_itself_saves_nothing() -> None:
    found = saved(LADDER, LADDER[0])
    assert found is not None and found.saved == pytest.approx(0, abs=1e-12)
    assert found.high - found.low == pytest.approx(0, abs=1e-9)


@given(st.floats(0.05, 0.95), st.floats(0.1, 10))
def test_a_mixture_of_two_rungs_saves_nothing_in_any_unit(share: float, unit: float) -> None:
    low, high = (
        RNG.normal(size=(2, 3, 7)) * 0.05 + np.array(mean)[:, None, None] for mean in ((0.2, 0.01), (0.6, 0.09))
    )
    mixed = (1 - share) * low + share * high
    one, other, between = (
        Stack(name, *(part.tolist() for part in unit * values))
        for name, values in (("a", low), ("b", high), ("mixed", mixed))
    )
    found = saved([one, other], between)
    assert found is not None and found.saved == pytest.approx(0, abs=1e-9 * unit)


def test_other_runs_or_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="same runs of the same rows"):
        saved(LADDER, stack("anchor", 0.4, 0.0, rows=4))
    with pytest.raises(ValueError, match="at least two rows"):
        saved([stack("a", 0.5, 0.0, rows=1)], stack("anchor", 0.4, 0.0, rows=1))


def test_one_run_has_the_interval_of_its_rows_alone() -> None:
    values = [0.1, 0.3, 0.2, 0.6]
    low, high = interval([values])
    half = 3.182446305 * np.std(values, ddof=1) / 2  # Student's t with 3 degrees of freedom
    assert (low, high) == pytest.approx((np.mean(values) - half, np.mean(values) + half))


def test_tokens_count_where_rows_have_some() -> None:
    """A row of three tokens counts as three rows of one, for the means; its tokens are no rows for the error."""
    rows, tokens = [[0.1, 0.4, 0.2], [0.2, 0.3, 0.1]], (3, 1, 2)
    spread_out = [[value for value, count in zip(run, tokens, strict=True) for _ in range(count)] for run in rows]
    one = Stack("a", rows, rows, tokens, tokens)
    assert one.gain == pytest.approx(np.mean(spread_out)) == one.forgotten
    low, high = interval(rows, tokens)
    narrow = interval(spread_out)
    assert low < narrow[0] < narrow[1] < high


def simulated(rng: np.random.Generator, true: Sequence[tuple[float, float]], runs: int, rows: int) -> list[Stack]:
    """Stacks with these true gains and losses: effects of rows (shared by all), of runs, and of both."""
    found = []
    shared = [rng.normal(size=rows) * 0.15 for _ in range(2)]
    for i, means in enumerate(true):
        parts = []
        for mean, common in zip(means, shared, strict=True):
            own = rng.normal(size=rows) * 0.1
            run = rng.normal(size=(runs, 1)) * 0.01
            parts.append((mean + common * mean + own * 0.3 + run + rng.normal(size=(runs, rows)) * 0.03).tolist())
        found.append(Stack(str(i), *parts))
    return found


@pytest.mark.parametrize("runs", [2, 3])
def test_the_interval_holds_what_is_true_as_often_as_it_says(runs: int) -> None:
    rng, held, studies = np.random.default_rng(runs), 0, 400
    for _ in range(studies):
        low, high, one = simulated(rng, ((0.2, 0.02), (0.6, 0.10), (0.4, 0.01)), runs, 30)
        found = saved([low, high], one)
        assert found is not None
        held += found.low <= 0.05 <= found.high
    assert 0.93 < held / studies <= 1.0
