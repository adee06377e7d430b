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
from statllama.evaluation.clusters import clustered_error, sums_of
from statllama.evaluation.paired import Change, judge, judge_budget, mid_p, paired_change, sign_flip_p
from statllama.evaluation.student import t_cdf

binary_pairs = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mid_p_is_the_binomial_test_less_half_of_the_outcomes_chance(gained: int, lost: int) -> None:
    changed = gained + lost
    exact = stats.binomtest(gained, changed, 0.5).pvalue if changed else 1.0
    own = stats.binom.pmf(gained, changed, 0.5)
    expected = exact - own if gained != lost else 1.0  # both tails hold the outcome; a middle one is counted once
    assert mid_p(gained, lost) == pytest.approx(expected if changed else 1.0, rel=1e-9)
    assert mid_p(lost, gained) == mid_p(gained, lost)


def test_mid_p_with_many_changed_items() -> None:
    exact, own = stats.binomtest(3500, 7200, 0.5).pvalue, stats.binom.pmf(3500, 7200, 0.5)
    assert mid_p(3500, 3700) == pytest.approx(exact - own, rel=1e-6)
    assert mid_p(0, 3000) < 1e-300


@given(st.integers(1, 1500), st.floats(-40, 40))
def test_students_t_equals_scipys(degrees: int, t: float) -> None:
    assert t_cdf(t, degrees) == pytest.approx(stats.t.cdf(t, degrees), abs=1e-13)


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


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
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


def verdict(change: Change) -> str:
    return judge(change).verdict


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
    assert change.p > 0.5
    assert verdict(change) == "no evidence of a difference"
    assert verdict(paired_change([0.5] * 12, [0.51] * 12)) == "no evidence of a difference"  # scores go from 0 to 1
    assert verdict(paired_change([0.5] * 80, [0.56] * 80)) == "better"


def test_verdict_needs_five_changed_items() -> None:
    """0.5^5 is the two-sided mid-p of five that all go one way."""
    assert verdict(paired_change([0] * 4 + [1] * 40, [1] * 44)) == "no evidence of a difference"
    assert verdict(paired_change([0] * 5 + [1] * 40, [1] * 45)) == "better"
    assert verdict(paired_change([1] * 45, [0] * 5 + [1] * 40)) == "worse"


@given(st.lists(st.integers(0, 1), min_size=2, max_size=80))
def test_standard_error_of_a_share(items: list[int]) -> None:
    p, n = sum(items) / len(items), len(items)
    assert clustered_error(items, sums_of(items, None)) == pytest.approx(math.sqrt(p * (1 - p) / (n - 1)), abs=1e-12)


def test_changes_are_judged_as_one_family() -> None:
    """Five of 45 that all go one way are shown alone, not among two."""
    alone, of_two = (paired_change([0] * 5 + [1] * 40, [1] * 45, tests=tests) for tests in (1, 2))
    assert mid_p(5, 0) == 0.03125 <= alone.p < 0.05
    assert of_two.p == alone.p and of_two.p_adjusted == 2 * alone.p
    assert verdict(alone) == "better" and verdict(of_two) == "no evidence of a difference"
    assert of_two.low < 0 < alone.low and of_two.high > alone.high


@settings(max_examples=60)
@given(binary_pairs, st.integers(1, 40))
def test_bonferroni(pairs: list[tuple[int, int]], tests: int) -> None:
    before, after = [a for a, _ in pairs], [b for _, b in pairs]
    alone, change = paired_change(before, after), paired_change(before, after, tests=tests)
    assert change.p == alone.p and change.p_adjusted == min(1, tests * alone.p)
    assert change.low <= alone.low and alone.high <= change.high
    assert (verdict(change) == "no evidence of a difference") == (change.low <= 0 <= change.high)


def test_the_interval_of_a_family_is_that_of_students_t_at_its_level() -> None:
    """Graded scores, so that no other test bears on it: mean 0.2 of two more items, 7 degrees, six changes."""
    change = paired_change([0.25] * 8, [0.75] * 4 + [0.25] * 4, tests=6)
    half = 100 * stats.t.ppf(1 - 0.05 / 12, 7) * math.sqrt(2.6) / 10
    assert (change.low, change.high) == pytest.approx((20 - half, 20 + half))


def test_all_intervals_of_a_family_hold_together_with_95_percent() -> None:
    """Five changes on 100 items, three of them real: all true values are inside in 95 % of samples or more."""
    draw, samples, held = numpy.random.default_rng(11), 400, 0
    for _ in range(samples):
        inside = []
        for true in (0.0, 0.0, 0.05, 0.1, -0.1):
            up, down = numpy.split(draw.random((2, 100)) < [[0.1 + max(true, 0)], [0.1 + max(-true, 0)]], 2)
            deltas = up[0].astype(int) - down[0]
            change = paired_change([0.5 - d / 2 for d in deltas], [0.5 + d / 2 for d in deltas], tests=5)
            inside.append(change.low <= 100 * true <= change.high)
        held += all(inside)
    assert held / samples >= 0.95 - 2.33 * math.sqrt(0.05 * 0.95 / samples)


# Interval and p-value.


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 9)), min_size=1, max_size=80),
    st.booleans(),
    st.booleans(),
    st.integers(1, 20),
)
def test_p_and_interval_never_contradict_each_other(
    items: list[tuple[int, int, int]], clustered: bool, graded: bool, tests: int
) -> None:
    before, after, clusters = ([item[i] for item in items] for i in range(3))
    if graded:
        before = [0.3 + 0.4 * b for b in before]  # type: ignore[misc]
    change = paired_change(before, after, clusters if clustered else None, tests)
    assert (change.p_adjusted < 0.05) == (not change.low <= 0 <= change.high)
    assert -100 <= change.low <= change.difference + 1e-9 and change.difference - 1e-9 <= change.high <= 100


def test_graded_worked_example() -> None:
    """Two whole items at the ends, -1 and 1: mean 2 / 10, variance (4 x 0.25 + 2 - 2^2 / 10) / 10^2, 7 degrees."""
    change = paired_change([0.25] * 8, [0.75] * 4 + [0.25] * 4)
    unit = math.sqrt(2.6) / 10
    assert change.p == pytest.approx(2 * stats.t.sf(0.2 / unit, 7))
    assert (change.low, change.high) == pytest.approx([100 * (0.2 + s * stats.t.ppf(0.975, 7) * unit) for s in (-1, 1)])


# Clusters.


def drawn(
    draw: numpy.random.Generator, groups: int, size: int, effect: float
) -> tuple[list[int], list[int], list[int]]:
    """Items of `groups` clusters before and after, a fifth changed, without a change in truth: each cluster has a
    leaning of its own."""
    before, after, clusters = [], [], []
    for cluster in range(groups):
        leaning = draw.choice([-effect, effect])
        for _ in range(size):
            changed, up = draw.random() < 0.2, draw.random() < (1 + leaning) / 2
            before.append(not up if changed else 1)
            after.append(int(up if changed else 1))
            clusters.append(cluster)
    return before, after, clusters


def test_standard_errors_of_clusters_by_hand() -> None:
    """Sums 2, 0 and -1 of 2, 2 and 1 items, mean 0.2: squares of 1.6, 0.4 and 1.2 add up to 4.16."""
    before, after = [0, 0, 0, 1, 1], [1, 1, 1, 0, 0]
    change = paired_change(before, after, list("aabbc"))
    assert change.clusters == 3
    assert change.stderr == pytest.approx(100 * math.sqrt(4.16 * 3 / 2) / 5)
    naive = stats.sem([1, 1, 1, -1, -1])
    assert change.effective == pytest.approx(5 / max(1, (change.stderr / 100 / naive) ** 2))
    alone = paired_change(before, after, list("abcde"))
    assert alone == paired_change(before, after)
    with pytest.raises(ValueError, match="5 items have 2 clusters"):
        paired_change(before, after, list("ab"))


def test_one_cluster_says_nothing() -> None:
    change = paired_change([0] * 30, [1] * 30, ["one"] * 30)
    assert change.effective == 1
    assert (change.low, change.high, change.p, change.stderr) == (-100, 100, 1, None)


def test_items_that_go_together_say_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """40 clusters of 6, leaning their own way: McNemar finds a change far too often, the test of clusters does not."""
    monkeypatch.setattr(paired, "DRAWS", 999)
    draw = numpy.random.default_rng(3)
    found = [(paired_change(b, a).p < 0.05, paired_change(b, a, c).p < 0.05) for b, a, c in
             (drawn(draw, 40, 6, 1.0) for _ in range(300))]  # fmt: skip
    alone, together = (sum(column) / 300 for column in zip(*found, strict=True))
    assert alone > 0.1
    assert together <= 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / 300)


def test_one_graded_item_says_nothing() -> None:
    change = paired_change([0.25], [0.75])
    assert (change.low, change.high, change.p) == (-100, 100, 1)


# The sign-flip test.


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=12).filter(any))
def test_sign_flip_equals_the_enumeration_of_all_signs(quarters: list[int]) -> None:
    sums = [sum(s * abs(q) for s, q in zip(signs, quarters, strict=True))
            for signs in itertools.product((-1, 1), repeat=len(quarters))]  # fmt: skip
    own = sum(quarters)
    mid = sum((abs(s) > abs(own)) + (abs(s) == abs(own)) / 2 for s in sums) / len(sums)
    lower = sum((s < own) + (s == own) / 2 for s in sums) / len(sums)
    assert sign_flip_p([q / 4 for q in quarters]) == pytest.approx(mid, abs=0.022)  # 4 standard errors of 10,000 draws
    assert sign_flip_p([q / 4 for q in quarters], lower=True) == pytest.approx(lower, abs=0.022)


@pytest.mark.parametrize(("gained", "lost"), [(12, 5), (30, 31), (3, 14), (1, 0)])
def test_sign_flip_of_binary_scores_is_mcnemar(gained: int, lost: int) -> None:
    deltas = [1.0] * gained + [-1.0] * lost + [0.0] * 20
    assert sign_flip_p(deltas) == pytest.approx(mid_p(gained, lost), abs=0.02)


# Budgets.


def answers(n: int, budget: float, changed: float, change: float, level: float = 0.05) -> dict[str, float]:
    """Exact chance of each answer when `changed` of the items change in truth and the mean by `change` points: over all
    tables of gained and lost items that are not too rare."""
    gain, loss = (changed + change / 100) / 2, (changed - change / 100) / 2
    gained, lost = (grid.ravel() for grid in numpy.mgrid[: n + 1, : n + 1])
    gained, lost = gained[gained + lost <= n], lost[gained + lost <= n]
    chance = stats.multinomial.pmf(numpy.stack([gained, lost, n - gained - lost], 1), n, [gain, loss, 1 - changed])
    found = {"held": 0.0, "broken": 0.0, "undecided": 0.0}
    for up, down, p in zip(gained.tolist(), lost.tolist(), chance.tolist(), strict=True):
        if p > 1e-6:
            found[judge_budget(*binary_items(n, up, down), budget, level).answer] += p
    return found


@pytest.mark.parametrize("n", [50, 216])
@pytest.mark.parametrize("budget", [0.0, -2.0, -5.0])
def test_a_budget_is_wrongly_judged_about_as_often_as_the_level_says(
    n: int, budget: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the budget itself neither `broken` nor `held` is true, and each is said in at most about 5 percent."""
    monkeypatch.setattr(paired, "DRAWS", 500)
    for changed in (0.05, 0.15, 0.3):
        if changed >= -budget / 100:
            found = answers(n, budget, changed, budget)
            assert found["broken"] <= 0.058 and found["held"] <= 0.058, (changed, found)


def test_a_real_loss_is_found_and_too_few_items_are_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    # Normal approximation: the mean of 287 items of which a fifth changes has a standard error of
    # sqrt(0.2 - 0.08^2) / sqrt(287) = 2.6 points; 6 points beyond the budget are 2.31 of them, 1.645 are needed.
    monkeypatch.setattr(paired, "DRAWS", 500)
    expected = stats.norm.cdf(2.31 - 1.645)
    assert answers(287, -2, 0.2, -8)["broken"] == pytest.approx(expected, abs=0.03)
    # A true loss of 4 points where 2 are allowed: 216 items can mostly not tell, and must not say that it is held.
    few = answers(216, -2, 0.15, -4)
    assert few["held"] < 0.02 and few["undecided"] > 0.7


@pytest.mark.parametrize("spread", ["quarters", "normal", "rare losses", "rare gains"])
def test_budgets_of_graded_scores(spread: str) -> None:
    """At the budget itself, over 1,000 draws of 120 items: at most level + 2.6 Monte-Carlo standard errors each."""
    draw, mean = numpy.random.default_rng(11), -0.03
    rows = {
        "quarters": draw.choice([-0.5, -0.25, 0, 0.25, 0.5], (1000, 120), p=[0.13, 0.1, 0.6, 0.1, 0.07]),
        "normal": draw.normal(mean, 0.2, (1000, 120)).clip(-1, 1),
        "rare losses": draw.choice([-1, 0.1], (1000, 120), p=[0.13 / 1.1, 0.97 / 1.1]),
        "rare gains": draw.choice([1, -0.1], (1000, 120), p=[0.07 / 1.1, 1.03 / 1.1]),
    }[spread]
    found = [judge_budget(*graded_pair(row.tolist()), 100 * mean).answer for row in rows]
    for answer in ("broken", "held"):
        assert found.count(answer) / 1000 <= 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / 1000), answer


def graded_pair(deltas: list[float]) -> tuple[list[float], list[float]]:
    """Scores between 0 and 1 with these differences."""
    before = [min(0.5, 1 - d) if d > 0 else max(0.5, -d) for d in deltas]
    return before, [b + d for b, d in zip(before, deltas, strict=True)]


def test_what_a_budget_test_says() -> None:
    # Agresti and Min: 98 + 2 items, (2.5 - 12.5) / 100 = -0.1, variance (15 - 10^2 / 100) / 100^2 = 0.0374^2.
    test = judge_budget(*binary_items(98, 2, 12), budget=-5)
    assert test.difference == pytest.approx(-100 * 10 / 98)
    assert test.upper == pytest.approx(-10 + stats.t.ppf(0.95, 97) * 3.7417, abs=0.001)
    assert test.lower == pytest.approx(-10 - stats.t.ppf(0.95, 97) * 3.7417, abs=0.001)
    assert test.p_broken == pytest.approx(stats.t.sf(5 / 3.7417, 97), abs=1e-4)
    assert test.p_held == pytest.approx(stats.t.cdf(5 / 3.7417, 97), abs=1e-4)
    assert (test.budget, test.answer) == (-5, "undecided")
    assert judge_budget(*binary_items(98, 2, 12), budget=-3).answer == "broken"
    assert judge_budget(*binary_items(98, 2, 12), budget=-3, level=0.01).answer == "undecided"
    assert judge_budget(*binary_items(98, 2, 12), budget=-30).answer == "held"


@given(binary_pairs, st.floats(-100, 0), st.floats(0.001, 0.5))
def test_an_answer_has_its_bound_on_its_side(pairs: list[tuple[int, int]], budget: float, level: float) -> None:
    before, after = [a for a, _ in pairs], [b for _, b in pairs]
    test = judge_budget(before, after, budget, level)
    if test.answer == "broken":
        assert test.upper < budget and test.difference < budget
    if test.answer == "held":
        assert test.lower > budget
    assert judge_budget(before, before, budget, level).answer != "broken"


@pytest.mark.parametrize(("budget", "level"), [(1.0, 0.05), (-101, 0.05), (-1, 0), (-1, 1), (math.nan, 0.05)])
def test_a_budget_is_a_loss_and_a_level_a_share(budget: float, level: float) -> None:
    with pytest.raises(ValueError, match="-100 to 0 points"):
        judge_budget([1], [0], budget, level)


def test_the_module_is_light() -> None:
    code = "import statllama.evaluation.paired, sys; assert not {'numpy', 'torch'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_missing_evidence(wrong: float) -> None:
    for before, after in (([0.0, wrong, 1.0], [1.0, 1.0, 1.0]), ([1.0, 1.0, 1.0], [0.0, wrong, 1.0])):
        with pytest.raises(ValueError, match=f"no numbers cannot be compared: .*{wrong}"):
            paired_change(before, after)


# ------------------------------------------------------------------ items that are means over tokens


@pytest.mark.parametrize("seed", range(4))
def test_losses_are_a_ratio_of_sums_over_rows(seed: int) -> None:
    """Cochran's ratio estimator, and Student's t of it; as if each token were an item and each row a cluster."""
    draw = numpy.random.default_rng(seed)
    tokens = draw.integers(1, 30, 25)
    before = -draw.gamma(4, 0.5, 25)
    after = before + draw.normal(0.1, 0.3, 25)
    change = paired_change(before.tolist(), after.tolist(), smooth=True, weights=tokens.tolist(), tests=3)
    deltas = after - before
    ratio = (deltas * tokens).sum() / tokens.sum()
    error = math.sqrt(25 * (25 / 24) * ((deltas - ratio) ** 2 * tokens**2).mean()) / tokens.sum()
    assert change.difference == pytest.approx(100 * ratio) and change.stderr == pytest.approx(100 * error)
    p = 2 * stats.t.sf(abs(ratio / error), 24)
    assert change.p == pytest.approx(max(p, sign_flip_p((deltas * tokens).tolist())), rel=1e-6)
    half = 100 * error * stats.t.ppf(1 - 0.05 / 6, 24)
    if change.p_adjusted < 0.05:
        assert (change.low, change.high) == pytest.approx((100 * ratio - half, 100 * ratio + half), rel=1e-6)
    else:
        assert change.low <= 0 <= change.high
    of_tokens = [numpy.repeat(values, tokens).tolist() for values in (before, after)]
    rows = numpy.repeat(numpy.arange(25), tokens).tolist()
    by_clusters = paired_change(*of_tokens, clusters=rows, smooth=True, tests=3)
    assert (change.difference, change.stderr) == pytest.approx((by_clusters.difference, by_clusters.stderr))


def test_a_change_of_losses_may_exceed_a_nat_and_a_single_row_says_nothing() -> None:
    before, weights = [-5.0, -5.2, -4.9, -5.1, -5.3, -4.8, -5.0, -5.1], [3, 4, 5, 6, 3, 4, 5, 6]
    after = [x + 2.5 + 0.01 * i for i, x in enumerate(before)]
    change = paired_change(before, after, smooth=True, weights=weights)
    assert judge(change).verdict == "better" and 250 < change.low < change.difference < change.high < 260
    assert judge(paired_change(after, before, smooth=True, weights=weights)).verdict == "worse"
    alone = paired_change([-1.0], [-2.0], smooth=True, weights=[7])
    assert alone.difference == -100 and alone.p == 1.0 and alone.stderr is None
    assert (alone.low, alone.high) == (-10_000, 10_000)
    assert judge_budget(before, after, budget=-2.0, smooth=True, weights=weights).answer == "held"
    assert judge_budget(after, before, budget=-2.0, smooth=True, weights=weights).answer == "broken"
