"""Paired statistics against scipy, textbook figures, exact enumeration and simulation."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from statllama.evaluation import paired
from statllama.evaluation.paired import (
    Change,
    bootstrap_interval,
    breaks,
    holm,
    judge,
    mcnemar_p,
    paired_change,
    sign_flip_p,
)
from statllama.evaluation.scores import standard_error

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


def binary_items(n: int, gained: int, lost: int) -> tuple[list[int], list[int]]:
    """n items before and after, of which the rest is right both times."""
    same = [1] * (n - gained - lost)
    return [0] * gained + [1] * lost + same, [1] * gained + [0] * lost + same


def test_interval_covers_the_truth_about_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "DRAWS", 10)  # the bootstrap has no part in this
    n = 40
    cells = [(gained, lost) for gained in range(n + 1) for lost in range(n + 1 - gained)]
    changes = [paired_change(*binary_items(n, *cell)) for cell in cells]
    for gain, loss in [(0.05, 0.05), (0.3, 0.1), (0.02, 0.1), (0.25, 0.25), (0.5, 0.02)]:
        inside = [
            [gained, lost, n - gained - lost]
            for (gained, lost), change in zip(cells, changes, strict=True)
            if change.low <= 100 * (gain - loss) <= change.high
        ]
        covered = stats.multinomial.pmf(inside, n, [gain, loss, 1 - gain - loss]).sum()
        assert 0.94 <= covered <= 1.0


def test_nothing_changed_still_has_an_honest_interval() -> None:
    change = paired_change([1, 0, 1, 1, 0], [1, 0, 1, 1, 0])
    assert (change.difference, change.stderr, change.p) == (0, 0, 1)
    assert change.low < -10 and change.high > 10


@pytest.mark.parametrize(("before", "after"), [([], []), ([1.0], [1.0, 0.0])])
def test_unequal_or_no_items_are_refused(before: list[float], after: list[float]) -> None:
    with pytest.raises(ValueError, match="same items"):
        paired_change(before, after)


def verdict(change: Change, level: float = 0.05) -> str:
    return judge({"alone": change}, level)["alone"].verdict


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
    assert change.gained > change.lost and change.difference < 0
    assert change.p == 1  # whatever the signs of the small ones, the large one is as far from 0
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


def test_changes_are_judged_as_one_family() -> None:
    change = paired_change([0] * 6, [1] * 6)
    assert change.p == 0.03125
    assert verdict(change) == "better" and verdict(change, level=0.01) == "no evidence of a difference"
    both = judge({"one": change, "two": paired_change([1, 0], [1, 0])})
    assert both["one"].p_holm == 0.0625 and both["one"].change is change
    assert [judged.verdict for judged in both.values()] == ["no evidence of a difference"] * 2
    assert judge({"one": change, "two": change}, level=0.1)["two"].verdict == "better"
    assert judge({}) == {}


# The bootstrap.


def binomial_graded(n: int, seed: int) -> tuple[list[float], list[float]]:
    """Scores in quarters, with many ties."""
    draw = numpy.random.default_rng(seed)
    return (draw.binomial(4, 0.5, n) / 4).tolist(), (draw.binomial(4, 0.6, n) / 4).tolist()


def uniform_graded(n: int, seed: int) -> tuple[list[float], list[float]]:
    draw = numpy.random.default_rng(seed)
    before = draw.random(n)
    return before.tolist(), numpy.clip(before + draw.normal(0.05, 0.2, n), 0, 1).tolist()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        binary_items(200, 40, 25),
        binary_items(60, 3, 9),
        binomial_graded(80, 1),
        binomial_graded(300, 2),
        uniform_graded(50, 3),
    ],
)
def test_bootstrap_equals_scipys(before: list[float], after: list[float]) -> None:
    change = paired_change(before, after)
    theirs = stats.bootstrap(
        (after, before),
        lambda x, y, axis: numpy.mean(x, axis) - numpy.mean(y, axis),
        paired=True,
        method="percentile",
        n_resamples=10_000,
        rng=numpy.random.default_rng(7),
    ).confidence_interval
    # The 2.5 % point of 10,000 draws of a normal variable has a standard error of 0.027 standard deviations. Means
    # of n items that differ by steps come in steps of 1/n or a part of it.
    assert change.stderr is not None
    step = 100 / len(before)
    allowed = 4 * math.sqrt(2) * 0.027 * change.stderr + (step if {*before, *after} <= {0, 1} else step / 4)
    assert change.bootstrap == pytest.approx((100 * theirs.low, 100 * theirs.high), abs=allowed)


def test_bootstrap_worked_example() -> None:
    # 4 of 10 items gained, none lost: a resample gains B(10, 0.4) items. P(X <= 0) = 0.006, P(X <= 1) = 0.046,
    # P(X <= 6) = 0.945 and P(X <= 7) = 0.988, so the 2.5 % and 97.5 % points are 1 and 7 items of 10.
    assert bootstrap_interval([1.0] * 4 + [0.0] * 6) == (0.1, 0.7)
    assert paired_change(*binary_items(10, 4, 0)).bootstrap == pytest.approx((10, 70))


def test_bootstrap_of_few_graded_items_equals_all_resamples() -> None:
    deltas = [0.31, -0.12, 0.05, 0.44, 0.0]
    means = sorted(sum(drawn) / 5 for drawn in itertools.product(deltas, repeat=5))
    low, high = bootstrap_interval(deltas)
    assert low == pytest.approx(numpy.quantile(means, 0.025), abs=0.01)
    assert high == pytest.approx(numpy.quantile(means, 0.975), abs=0.01)


@given(st.lists(st.tuples(st.sampled_from([0, 0.25, 0.5, 1]), st.floats(0, 1)), min_size=2, max_size=40))
def test_graded_scores_use_the_bootstrap_interval(pairs: list[tuple[float, float]]) -> None:
    pairs = [*pairs, (0.25, 0.5)]
    change = paired_change([a for a, _ in pairs], [b for _, b in pairs])
    assert (change.low, change.high) == change.bootstrap
    assert -100 <= change.low <= change.high <= 100
    assert change == paired_change([a for a, _ in pairs], [b for _, b in pairs])


def test_one_graded_item_says_nothing() -> None:
    change = paired_change([0.25], [0.75])
    assert (change.low, change.high, change.p) == (-100, 100, 1)


# The sign-flip test.


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=12).filter(any))
def test_sign_flip_equals_the_enumeration_of_all_signs(quarters: list[int]) -> None:
    sums = [sum(s * abs(q) for s, q in zip(signs, quarters, strict=True))
            for signs in itertools.product((-1, 1), repeat=len(quarters))]  # fmt: skip
    exact = sum(abs(s) >= abs(sum(quarters)) for s in sums) / len(sums)
    lower = sum(s <= sum(quarters) for s in sums) / len(sums)
    deltas = [q / 4 for q in quarters]
    assert sign_flip_p(deltas) == pytest.approx(exact, abs=0.022)  # 4 standard errors of a share of 10,000
    assert sign_flip_p(deltas, lower=True) == pytest.approx(lower, abs=0.022)


@pytest.mark.parametrize(("before", "after"), [binomial_graded(80, 1), uniform_graded(60, 5)])
def test_sign_flip_equals_scipys_permutation_test(before: list[float], after: list[float]) -> None:
    theirs = stats.permutation_test(
        (after, before),
        lambda x, y, axis: numpy.mean(x, axis) - numpy.mean(y, axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=10_000,
        rng=numpy.random.default_rng(8),
    )
    p = paired_change(before, after).p
    assert p == pytest.approx(theirs.pvalue, abs=4 * math.sqrt(2 * 0.25 / 10_000))
    assert 0.001 < p < 0.5


@pytest.mark.parametrize(("gained", "lost"), [(12, 5), (30, 31), (3, 14), (1, 0)])
def test_sign_flip_of_binary_scores_is_mcnemar(gained: int, lost: int) -> None:
    deltas = [1.0] * gained + [-1.0] * lost + [0.0] * 20
    assert sign_flip_p(deltas) == pytest.approx(mcnemar_p(gained, lost), abs=0.02)


# Holm.


def test_holm_worked_example() -> None:
    # 0.005 x 4 = 0.02; 0.01 x 3 = 0.03; 0.03 x 2 = 0.06; 0.04 x 1 = 0.04, but not less than the 0.06 before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    # 0.02 x 3 = 0.06; 0.4 x 2 = 0.8; 0.9 stays.
    assert holm([0.9, 0.02, 0.4]) == pytest.approx([0.9, 0.06, 0.8])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03] and holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.999), st.randoms())
def test_holm_rejects_what_the_step_down_procedure_does(ps: list[float], level: float, random: object) -> None:
    adjusted, m = holm(ps), len(ps)
    rejected = set()
    for rank, i in enumerate(sorted(range(m), key=lambda i: ps[i])):
        if (m - rank) * ps[i] >= level:
            break
        rejected.add(i)
    assert {i for i in range(m) if adjusted[i] < level} == rejected
    assert all(p <= a <= min(1, m * p) for p, a in zip(ps, adjusted, strict=True))
    ordered = [a for _, a in sorted(zip(ps, adjusted, strict=True))]
    assert ordered == sorted(ordered)
    mixed = list(range(m))
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert holm([ps[i] for i in mixed]) == [adjusted[i] for i in mixed]


# Budgets.


def false_breaks(n: int, budget: float, changed: float, level: float = 0.05, change: float | None = None) -> float:
    """Exact chance that `budget` (points) is called broken when `changed` of the items change in truth and the mean by
    `change` points, by default just the budget: over all tables of gained and lost items that are not too rare."""
    shift = (budget if change is None else change) / 100
    gain, loss = (changed + shift) / 2, (changed - shift) / 2
    gained, lost = (grid.ravel() for grid in numpy.mgrid[: n + 1, : n + 1])
    gained, lost = gained[gained + lost <= n], lost[gained + lost <= n]
    chance = stats.multinomial.pmf(numpy.stack([gained, lost, n - gained - lost], 1), n, [gain, loss, 1 - changed])
    return sum(
        p
        for up, down, p in zip(gained.tolist(), lost.tolist(), chance.tolist(), strict=True)
        if p > 1e-6 and breaks(*binary_items(n, up, down), budget, level)
    )


@pytest.mark.parametrize("n", [50, 100, 287])
@pytest.mark.parametrize("budget", [0.0, -0.5, -2.0, -5.0])
def test_a_budget_is_falsely_called_broken_about_as_often_as_the_level_says(n: int, budget: float) -> None:
    rates = [false_breaks(n, budget, changed) for changed in (0.01, 0.05, 0.15, 0.3) if changed >= -budget / 100]
    assert max(rates) <= 0.055
    assert false_breaks(n, budget, 0.2, change=budget + 2) < false_breaks(n, budget, 0.2)  # better still: less often


def test_a_real_loss_is_found() -> None:
    # Normal approximation: the mean of 287 items of which a fifth changes has a standard error of
    # sqrt(0.2 - 0.08^2) / sqrt(287) = 2.6 points; 6 points beyond the budget are 2.31 of them, 1.645 are needed.
    expected = stats.norm.cdf(2.31 - 1.645)
    assert false_breaks(287, -2, 0.2, change=-8) == pytest.approx(expected, abs=0.02)
    assert false_breaks(120, -2, 0.2, change=-8) < 0.5
    assert false_breaks(287, 0, 0.2, change=-8) > 0.85


@pytest.mark.parametrize("spread", ["quarters", "normal", "rare losses"])
def test_budgets_of_graded_scores(spread: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the budget itself, over 1,000 draws of 120 items: at most level + 2.6 Monte-Carlo standard errors."""
    monkeypatch.setattr(paired, "DRAWS", 999)
    draw, mean = numpy.random.default_rng(11), -0.03
    rows = {
        "quarters": draw.choice([-0.5, -0.25, 0, 0.25, 0.5], (1000, 120), p=[0.13, 0.1, 0.6, 0.1, 0.07]),
        "normal": draw.normal(mean, 0.2, (1000, 120)).clip(-1, 1),
        "rare losses": draw.choice([-1, 0.1], (1000, 120), p=[0.13 / 1.1, 0.97 / 1.1]),
    }[spread]
    broken = sum(bool(breaks(*graded_pair(row.tolist()), 100 * mean)) for row in rows)
    assert broken / 1000 <= 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / 1000)


def graded_pair(deltas: list[float]) -> tuple[list[float], list[float]]:
    """Scores between 0 and 1 with these differences."""
    before = [min(0.5, 1 - d) if d > 0 else max(0.5, -d) for d in deltas]
    return before, [b + d for b, d in zip(before, deltas, strict=True)]


def test_budget_of_zero_is_mcnemars_one_sided_test() -> None:
    for gained, lost in [(0, 4), (0, 5), (3, 12), (10, 20), (9, 20), (5, 1)]:
        test = breaks(*binary_items(100, gained, lost), budget=0)
        assert test.broken == (stats.binomtest(gained, gained + lost, 0.5, alternative="less").pvalue < 0.05)


def test_what_a_budget_test_says() -> None:
    # Agresti and Min: 98 + 2 items, (2.5 - 12.5) / 100 = -0.1, variance (15 - 10^2 / 100) / 100^2 = 0.0374^2.
    test = breaks(*binary_items(98, 2, 12), budget=-5)
    assert test.difference == pytest.approx(-100 * 10 / 98)
    assert test.upper == pytest.approx(-10 + 1.6449 * 3.7417, abs=0.001)
    assert test.p == pytest.approx(stats.norm.sf(5 / 3.7417), abs=1e-4)
    assert (test.budget, test.broken, bool(test)) == (-5, False, False)
    assert breaks(*binary_items(98, 2, 12), budget=-3)
    assert not breaks(*binary_items(98, 2, 12), budget=-3, level=0.01)


@given(binary_pairs, st.floats(-100, 0), st.floats(0.001, 0.5))
def test_a_broken_budget_has_its_bound_below_it(pairs: list[tuple[int, int]], budget: float, level: float) -> None:
    before, after = [a for a, _ in pairs], [b for _, b in pairs]
    test = breaks(before, after, budget, level)
    assert test.broken == (test.p < level)
    if test:
        assert test.upper < budget and test.difference < budget
        assert breaks(before, after, budget / 2, level)
    assert not breaks(before, before, budget, level)


@pytest.mark.parametrize(("budget", "level"), [(1.0, 0.05), (-101, 0.05), (-1, 0), (-1, 1), (math.nan, 0.05)])
def test_a_budget_is_a_loss_and_a_level_a_share(budget: float, level: float) -> None:
    with pytest.raises(ValueError, match="-100 to 0 points"):
        breaks([1], [0], budget, level)


def test_the_module_is_light() -> None:
    code = "import statllama.evaluation.paired, sys; assert not {'numpy', 'torch'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
