"""The paired comparison against scipy, textbook figures and exact enumeration."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from statllama.paired import mcnemar_p, paired_change, verdict
from statllama.scores import standard_error

binary_pairs = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_equals_the_binomial_test(gained: int, lost: int) -> None:
    expected = stats.binomtest(gained, gained + lost, 0.5).pvalue if gained + lost else 1.0
    assert mcnemar_p(gained, lost) == pytest.approx(expected, rel=1e-9)
    assert mcnemar_p(lost, gained) == mcnemar_p(gained, lost)


def test_mcnemar_with_many_changed_items() -> None:
    assert mcnemar_p(3500, 3700) == pytest.approx(stats.binomtest(3500, 7200, 0.5).pvalue, rel=1e-9)
    assert mcnemar_p(0, 3000) == 0.0 or mcnemar_p(0, 3000) < 1e-300


@given(binary_pairs)
def test_paired_change_of_binary_scores(pairs: list[tuple[int, int]]) -> None:
    before, after = [a for a, _ in pairs], [b for _, b in pairs]
    change = paired_change(before, after)
    deltas = [b - a for a, b in pairs]
    assert change.n == len(pairs)
    assert change.difference == pytest.approx(100 * sum(deltas) / len(deltas))
    assert (change.gained, change.lost) == (deltas.count(1), deltas.count(-1))
    if len(pairs) == 1:
        assert change.stderr is None
    else:
        assert change.stderr == pytest.approx(100 * stats.sem(deltas), abs=1e-9)
    assert -100 <= change.low <= change.high <= 100
    assert change.low < change.high


@given(binary_pairs)
def test_swapping_the_sides_turns_the_change_around(pairs: list[tuple[int, int]]) -> None:
    there = paired_change([a for a, _ in pairs], [b for _, b in pairs])
    back = paired_change([b for _, b in pairs], [a for a, _ in pairs])
    assert back.difference == -there.difference
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
    assert (back.gained, back.lost, back.p) == (there.lost, there.gained, there.p)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=40))
def test_graded_scores_use_the_normal_interval(pairs: list[tuple[float, float]]) -> None:
    pairs = [*pairs, (0.25, 0.5)]
    change = paired_change([a for a, _ in pairs], [b for _, b in pairs])
    deltas = [b - a for a, b in pairs]
    mean, error = 100 * math.fsum(deltas) / len(deltas), 100 * float(stats.sem(deltas))
    low, high = (mean + z * error for z in stats.norm.ppf([0.025, 0.975]))
    assert (change.low, change.high) == pytest.approx((max(-100, low), min(100, high)), abs=1e-6)


def test_prime_minister_approval() -> None:
    # Agresti, Categorical Data Analysis, matched pairs: of 1600 people 794 approve twice, 150 only at first,
    # 86 only later; the difference is -0.04, its standard error about 0.0095.
    before = [1] * 794 + [1] * 150 + [0] * 86 + [0] * 570
    after = [1] * 794 + [0] * 150 + [1] * 86 + [0] * 570
    change = paired_change(before, after)
    assert change.difference == pytest.approx(-4.0)
    assert change.stderr == pytest.approx(0.955, abs=0.001)
    assert (change.low, change.high) == pytest.approx((-5.9, -2.1), abs=0.05)
    assert verdict(change) == "worse"


@pytest.mark.parametrize(("gain", "loss"), [(0.05, 0.05), (0.3, 0.1), (0.02, 0.1), (0.25, 0.25), (0.5, 0.02)])
def test_interval_covers_the_truth_about_as_often_as_it_says(gain: float, loss: float) -> None:
    n, covered = 40, 0.0
    for gained in range(n + 1):
        for lost in range(n + 1 - gained):
            change = paired_change(
                [0] * gained + [1] * lost + [1] * (n - gained - lost),
                [1] * gained + [0] * lost + [1] * (n - gained - lost),
            )
            if change.low <= 100 * (gain - loss) <= change.high:
                chance = stats.multinomial.pmf([gained, lost, n - gained - lost], n, [gain, loss, 1 - gain - loss])
                covered += float(chance)
    assert 0.94 <= covered <= 1.0


def test_nothing_changed_still_has_an_honest_interval() -> None:
    change = paired_change([1, 0, 1, 1, 0], [1, 0, 1, 1, 0])
    assert (change.difference, change.stderr, change.p) == (0, 0, 1)
    assert change.low < -10 and change.high > 10


@pytest.mark.parametrize(("before", "after"), [([], []), ([1.0], [1.0, 0.0])])
def test_unequal_or_no_items_are_refused(before: list[float], after: list[float]) -> None:
    with pytest.raises(ValueError, match="same items"):
        paired_change(before, after)


@settings(max_examples=200)
@given(binary_pairs)
def test_verdict_follows_the_exact_test(pairs: list[tuple[int, int]]) -> None:
    change = paired_change([a for a, _ in pairs], [b for _, b in pairs])
    words = verdict(change)
    if change.p >= 0.05:
        assert words == "no evidence of a difference"
    else:
        assert words == ("better" if change.difference > 0 else "worse")


def test_graded_scores_whose_mean_goes_the_other_way_are_no_evidence() -> None:
    change = paired_change([0.5] * 12, [0.51] * 11 + [0.0])
    assert change.p < 0.05 and change.gained > change.lost and change.difference < 0
    assert verdict(change) == "no evidence of a difference"
    assert verdict(paired_change([0.5] * 12, [0.51] * 12)) == "better"


def test_verdict_needs_six_changed_items() -> None:
    assert verdict(paired_change([0] * 5, [1] * 5)) == "no evidence of a difference"
    assert verdict(paired_change([0] * 6, [1] * 6)) == "better"
    assert verdict(paired_change([1] * 6, [0] * 6)) == "worse"


@given(st.lists(st.integers(0, 1), min_size=2, max_size=80))
def test_standard_error_of_a_share(items: list[int]) -> None:
    p, n = sum(items) / len(items), len(items)
    assert standard_error(items) == pytest.approx(math.sqrt(p * (1 - p) / (n - 1)), abs=1e-12)
