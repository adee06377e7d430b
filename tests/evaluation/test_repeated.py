"""Verdicts on recipes over several runs, against a two-way analysis of variance and scipy's Student distribution."""

from __future__ import annotations

import math

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from statllama.evaluation.compare import Record, Scored, compare
from statllama.evaluation.paired import paired_change
from statllama.evaluation.repeated import Repeated, Spread, compare_recipes, recipe_change
from statllama.evaluation.scorecard import IncomparableError
from statllama.evaluation.scores import TaskScore
from statllama.evaluation.student import t_quantile


@pytest.mark.parametrize("degrees", [1, 2, 7, 400])
@pytest.mark.parametrize("tail", [0.5, 0.3, 0.025, 1e-6])
def test_the_quantile_is_scipys(degrees: int, tail: float) -> None:
    assert t_quantile(tail, degrees) == pytest.approx(stats.t.isf(tail, degrees), rel=1e-7, abs=1e-12)


def scores(seed: int, runs: int, n: int, shift: float = 0.0, of_run: float = 0.0) -> list[list[float]]:
    """Graded scores of `runs` runs that share what is easy."""
    random = numpy.random.default_rng(seed)
    ease = numpy.random.default_rng(99).uniform(0.2, 0.8, n)
    luck = of_run * random.normal(size=(runs, 1)) + 0.1 * random.normal(size=(runs, n))
    clipped: list[list[float]] = numpy.clip(ease + shift + luck, 0, 1).tolist()
    return clipped


def anova(differences: numpy.ndarray) -> tuple[float, float, float]:
    """Squared standard errors of the grand mean from items, runs, and both together, by sums of squares."""
    runs, n = differences.shape
    grand, items, of_run = differences.mean(), differences.mean(0), differences.mean(1)
    between_items = runs * ((items - grand) ** 2).sum() / (n - 1)
    between_runs = n * ((of_run - grand) ** 2).sum() / (runs - 1)
    rest = ((differences - items - of_run[:, None] + grand) ** 2).sum() / ((n - 1) * (runs - 1))
    return between_items / (n * runs), between_runs / (n * runs), rest / (n * runs)


@pytest.mark.parametrize("of_run", [0.0, 0.05])
def test_the_parts_are_those_of_an_analysis_of_variance(of_run: float) -> None:
    before, after = scores(1, 4, 400, of_run=of_run), scores(2, 4, 400, 0.05, of_run)
    found = recipe_change(before, after)
    items, runs, both = anova(numpy.array(after) - numpy.array(before))
    assert found.spread is not None and (found.spread.clusters, found.spread.runs) == (400, 4)
    assert found.spread.of_runs == pytest.approx(100 * math.sqrt(runs), rel=1e-9)
    imagined = 2 / 402**2  # an item at either end of the range, beside those that there are
    wanted = max(items * 399 / 400 * (400 / 402) ** 2 + imagined - both, both - runs, 0)
    assert found.spread.of_items == pytest.approx(100 * math.sqrt(wanted), rel=0.01)
    assert found.change.difference == pytest.approx(100 * (numpy.mean(after) - numpy.mean(before)))


def test_clusters_count_as_items_of_their_own() -> None:
    """Each item four times over, in one cluster, says as much as once."""
    before, after = (numpy.random.default_rng(k).integers(2, size=(3, 60)) for k in (1, 2))
    before, after = before.tolist(), (after | before).tolist()  # the base's right answers and more
    once = recipe_change(before, after)
    old, new = ([[x for x in run for _ in range(4)] for run in side] for side in (before, after))
    found = recipe_change(old, new, [i // 4 for i in range(240)])
    assert found.spread is not None and once.spread is not None
    assert found.spread.clusters == found.change.clusters == 60
    assert found.spread.of_runs == pytest.approx(once.spread.of_runs)
    assert found.spread.of_items == pytest.approx(once.spread.of_items, rel=0.05)  # fewer imagined items in proportion


@pytest.mark.parametrize(
    "spread", [Spread(2, 1, 50, 2), Spread(2, 0, 50, 3), Spread(0, 1.5, 50, 2), Spread(1, 2, 9, 4)]
)
@pytest.mark.parametrize("difference", [-7.0, 0.0, 0.5, 4.0])
def test_the_widths_of_the_parts_add_up_as_squares(spread: Spread, difference: float) -> None:
    """Howe: the whole interval is the root of the summed squares of those of the items and of the runs."""

    def width(tail: float) -> float:
        parts = [(spread.of_items, spread.clusters - 1), (spread.of_runs, spread.runs - 1)]
        return math.hypot(*(error * float(stats.t.isf(tail, degrees)) for error, degrees in parts))

    assert spread.half_width() == pytest.approx(width(0.025), rel=1e-6)
    assert width(spread.p(difference) / 2) == pytest.approx(abs(difference), rel=1e-6, abs=1e-9)


def test_more_runs_narrow_the_part_of_the_runs_alone() -> None:
    assert Spread(2, 3, 50, 2).after(8) == Spread(2, 1.5, 50, 8)


def test_runs_that_are_alike_leave_the_items_alone() -> None:
    """Without any luck in training the recipe's interval is the checkpoint's."""
    random = numpy.random.default_rng(5)
    before, after = random.integers(2, size=(2, 80)).tolist()
    found, alone = recipe_change([before] * 3, [after] * 3), paired_change(before, after)
    assert found.spread is not None and found.spread.of_runs == 0
    assert (found.change.gained, found.change.lost) == (alone.gained, alone.lost)
    for part in ("difference", "low", "high", "p"):
        assert getattr(found.change, part) == pytest.approx(getattr(alone, part), rel=1e-9)


def test_a_difference_of_seeds_is_not_one_of_recipes() -> None:
    """The first checkpoints differ by 10 points, since one recipe's runs do."""
    n = 400
    before = [[1.0] * 200 + [0.0] * 200] * 3
    after = [[1.0] * count + [0.0] * (n - count) for count in (240, 160, 215)]
    assert paired_change(before[0], after[0]).p < 1e-6
    found = recipe_change(before, after).change
    assert found.p > 0.5 and found.low < 0 < found.high


@pytest.mark.parametrize("runs", [2, 3, 5])
@pytest.mark.parametrize("level", [0.05, 0.005])
def test_the_level_holds_whatever_share_the_runs_have(runs: int, level: float) -> None:
    """By integration over the estimate of the runs' variance, a chi-squared one; that of the items is known."""
    for share in (1.0, 40.0):
        drawn = numpy.sqrt(share * stats.chi2.ppf((numpy.arange(200) + 0.5) / 200, runs - 1) / (runs - 1))
        wide = [Spread(1.0, of_runs, 61, runs).half_width(level) for of_runs in drawn]
        assert 2 * stats.norm.sf(numpy.array(wide) / math.sqrt(share + 1)).mean() <= 1.01 * level


bits = st.integers(2, 4).flatmap(
    lambda runs: st.integers(1, 12).flatmap(
        lambda n: st.tuples(
            *[st.lists(st.lists(st.integers(0, 1), min_size=n, max_size=n), min_size=runs, max_size=runs)] * 2
        )
    )
)


@settings(max_examples=60)
@given(bits, st.integers(1, 5))
def test_p_and_interval_never_contradict_each_other(
    sides: tuple[list[list[float]], list[list[float]]], tests: int
) -> None:
    change = recipe_change(*sides, tests=tests).change
    assert 0 <= change.p <= 1 and -100 <= change.low <= change.high <= 100
    assert (change.p_adjusted < 0.05) == (not change.low <= 0 <= change.high)
    mirrored = recipe_change(sides[1], sides[0]).change
    assert mirrored.p == pytest.approx(change.p) and mirrored.difference == pytest.approx(-change.difference)


@pytest.mark.parametrize(
    "sides", [([[1]], [[1]]), ([[1], [0]], [[1]]), ([[1], [0]], [[1], [0, 1]]), ([[], []], [[], []])]
)
def test_what_cannot_be_compared_is_refused(sides: tuple[list[list[float]], list[list[float]]]) -> None:
    with pytest.raises(ValueError, match="runs"):
        recipe_change(*sides)


def test_one_item_shows_nothing() -> None:
    found = recipe_change([[0], [0]], [[1], [1]])
    assert found.spread is None and (found.change.p, found.change.low, found.change.high) == (1.0, -100.0, 100.0)


def scored(name: str, items: list[float], ids: str = "x") -> Scored:
    n = len(items)
    score = TaskScore(
        "t", "1", "acc", sum(items) / n, None, tuple(items), tuple(f"{ids}{i}" for i in range(n)), n, n, 0, 0
    )
    return Scored(name, {"t": Record(score, {})})


def test_recipes_are_judged_as_one_family_beside_their_checkpoints() -> None:
    sides = {
        name: scores(i, 3, 50, shift, 0.02) for i, (name, shift) in enumerate([("a", 0.0), ("b", 0.2), ("c", 0.02)])
    }
    runs = {name: {k: scored(name, side[k - 1]) for k in (1, 2, 3)} for name, side in sides.items()}
    comparison = compare([runs[name][1] for name in "abc"])
    found = compare_recipes(comparison, [Repeated(name, runs[name]) for name in "abc"])
    ps = [recipe_change(sides["a"], sides[name]).change.p for name in "bc"]
    assert [c.recipe.p_adjusted for c in found] == [min(1.0, 2 * p) for p in ps]
    assert [c.checkpoint.p_adjusted for c in found] == [c.overall.p_adjusted for c in comparison.contrasts]
    assert found[0].recipe.verdict == "better" and found[0].runs == 3
    assert found[0].before_sd == pytest.approx(100 * numpy.std([numpy.mean(run) for run in sides["a"]], ddof=1))


def test_only_runs_of_both_sides_count_and_the_base_is_the_same_in_all() -> None:
    sides = {name: scores(i, 3, 30, 0.0, 0.02) for i, name in enumerate("ab")}
    a = {k: scored("a", sides["a"][k - 1]) for k in (1, 2)}
    b = {k: scored("b", sides["b"][k - 1]) for k in (1, 2, 3)}
    comparison = compare([a[1], b[1]])
    (found,) = compare_recipes(comparison, [Repeated("a", a), Repeated("b", b)])
    assert found.runs == 2 and found.recipe.change == recipe_change(sides["a"][:2], sides["b"][:2]).change
    (found,) = compare_recipes(comparison, [Repeated("a", {1: a[1]}, trained_once=True), Repeated("b", b)])
    assert found.runs == 3 and found.before_sd is None and found.after_sd is not None
    assert found.recipe.change == recipe_change([sides["a"][0]] * 3, sides["b"]).change
    assert compare_recipes(comparison, [Repeated("a", {1: a[1]}), Repeated("b", b)]) == ()
    unscored = b | {2: Scored("b", {})}  # on this benchmark
    assert compare_recipes(comparison, [Repeated("a", a), Repeated("b", unscored)]) == ()
    (found,) = compare_recipes(comparison, [Repeated("a", {1: a[1]}, trained_once=True), Repeated("b", unscored)])
    assert found.recipe.change == recipe_change([sides["a"][0]] * 2, sides["b"][::2]).change
    with pytest.raises(IncomparableError, match="item 1 is a different question"):
        compare_recipes(comparison, [Repeated("a", a), Repeated("b", b | {2: scored("b", sides["b"][1], "other")})])
