"""Power: against the real tests by simulation, and worked figures."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

import numpy
import pytest

from statllama.evaluation import paired
from statllama.evaluation.paired import judge_budget, paired_change
from statllama.evaluation.power import Design, assumed, measured, of_base, smallest_change
from tests.evaluation.test_paired import binary_items
from tests.evaluation.test_paired import drawn as drawn_clusters
from tests.evaluation.test_scorecard import task_score


@cache
def p_of(n: int, gained: int, lost: int) -> float:
    return paired_change(*binary_items(n, gained, lost)).p


@cache
def answer(n: int, gained: int, lost: int, budget: float) -> str:
    return judge_budget(*binary_items(n, gained, lost), budget).answer


def cells(n: int, discordance: float, change: float, samples: int) -> list[list[int]]:
    discordance = max(discordance, change / 100)
    up = (discordance + change / 100) / 2
    draw = numpy.random.default_rng(5)
    drawn: list[list[int]] = draw.multinomial(n, [up, discordance - up, 1 - discordance], samples).tolist()
    return drawn


@pytest.mark.parametrize(("n", "discordance"), [(216, 0.2), (400, 0.1), (50, 0.01)])
@pytest.mark.parametrize("tests", [1, 6])
def test_the_smallest_change_is_found_with_the_power_it_says(n: int, discordance: float, tests: int) -> None:
    change = smallest_change(n, discordance, 0.05 / tests)
    found = [tests * p_of(n, gained, lost) < 0.05 for gained, lost, _ in cells(n, discordance, change, 500)]
    assert 0.75 <= numpy.mean(found) <= 0.95


def test_what_makes_a_change_harder_to_show() -> None:
    change = smallest_change(600, 0.1)
    assert smallest_change(600, 0.1, design_effect=2) == pytest.approx(math.sqrt(2) * change, rel=0.06)
    assert smallest_change(600, 0.1, level=0.05 / 6) > change
    assert smallest_change(4, 0.2) == 100.0  # a handful of items can show nothing
    design = Design(600, 600, 0.5, 0.1, 1.0, "measured")
    assert design.smallest_change() == change and design.smallest_change(6) == smallest_change(600, 0.1, 0.05 / 6)


@pytest.mark.parametrize("groups", [6, 10])
def test_few_clusters_show_only_what_student_t_lets_them(groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By simulation, of items that do not lean together: 6 clusters of 20 want more than 120 items by themselves."""
    monkeypatch.setattr(paired, "DRAWS", 500)
    draw, n, names = numpy.random.default_rng(11), 20 * groups, [f"{i % groups}" for i in range(20 * groups)]
    change = Design(n, groups, 0.5, 0.2, 1.0, "measured").smallest_change()
    assert change > 1.05 * smallest_change(n, 0.2)
    up = (0.2 + change / 100) / 2
    found = []
    for _ in range(200):
        steps = draw.choice([1, -1, 0], n, p=[up, 0.2 - up, 0.8])
        found.append(paired_change([int(s < 0) for s in steps], [int(s > 0) for s in steps], names).p < 0.05)
    assert 0.68 <= numpy.mean(found) <= 0.95


@pytest.mark.parametrize(("clusters", "tests"), [(1, 1), (4, 1), (7, 6)])
def test_too_few_clusters_show_no_change(clusters: int, tests: int) -> None:
    """The least mid-p of their sign-flip test is 1 / 2^clusters: 0.0625 of 4, 6 x 0.0078 of 7."""
    design = Design(40 * clusters, clusters, 0.5, 0.2, 1.0, "measured")
    names = [f"{i % clusters}" for i in range(40 * clusters)]
    assert paired_change([0] * len(names), [1] * len(names), names, tests).p_adjusted > 0.045
    assert (design.smallest_change(tests) == 100.0) == (2.0**-clusters > 0.05 / tests)


@pytest.mark.parametrize(("n", "discordance", "budget"), [(216, 0.1, -5), (662, 0.02, -2), (500, 0.3, -6)])
def test_a_gate_is_held_as_often_as_it_says(
    n: int, discordance: float, budget: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a true change of zero."""
    monkeypatch.setattr(paired, "DRAWS", 100)  # `held` takes no random signs
    said = Design(n, n, 0.5, discordance, 1.0, "measured").held(budget)
    real = [answer(n, up, down, budget) == "held" for up, down, _ in cells(n, discordance, 0, 400)]
    assert said == pytest.approx(numpy.mean(real), abs=0.06)


def test_the_items_that_would_do() -> None:
    """Normal approximation: n = D (z_0.95 + z_0.8)^2 / budget^2 of items that 10 % of the stacks' answers differ on."""
    design = Design(400, 400, 0.5, 0.1, 1.0, "measured")
    items = design.items_to_hold(-5.0)
    z = NormalDist().inv_cdf
    assert items == pytest.approx(0.1 * (z(0.95) + z(0.8)) ** 2 / 0.05**2, rel=0.03)
    assert items is not None
    assert design.of(items).held(-5.0) >= 0.8 > design.of(items - 1).held(-5.0)
    real = [answer(items, up, down, -5.0) == "held" for up, down, _ in cells(items, 0.1, 0, 400)]
    assert numpy.mean(real) == pytest.approx(0.8, abs=0.05)


def test_clusters_make_a_gate_harder_to_hold() -> None:
    alone, together = (
        Design(1200, clusters, 0.5, 0.1, effect, "measured") for clusters, effect in ((1200, 1), (60, 2))
    )
    assert together.effective == 600
    assert together.held(-3) < Design(600, 600, 0.5, 0.1, 1.0, "measured").held(-3) < alone.held(-3)
    assert together.items_to_hold(-3) == pytest.approx(2 * (alone.items_to_hold(-3) or 0), rel=0.03)


def test_gates_that_no_items_can_hold() -> None:
    design = Design(400, 400, 0.5, 0.1, 1.0, "measured")
    assert design.held(0.0) == 0 and design.items_to_hold(0.0) is None
    assert Design(400, 1, 0.5, 0.1, 1.0, "measured").held(-5) == 0
    same = Design(100, 100, 0.5, 0.0, 1.0, "measured")  # no answer ever differs
    assert (same.held(-2.0), same.of(200).held(-2.0)) == (0.0, 1.0)


def test_measured_on_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "DRAWS", 100)
    changes = [paired_change(*binary_items(98, 9, 0)), paired_change(*binary_items(98, 10, 19))]
    design = measured(0.6, changes)
    assert design == Design(98, 98, 0.6, pytest.approx(0.2), 1.0, "measured")  # type: ignore[arg-type]
    before, after, clusters = drawn_clusters(numpy.random.default_rng(3), 40, 6, 1.0)
    change = paired_change(before, after, clusters)
    design = measured(0.5, [change])
    assert (design.items, design.clusters) == (240, 40) and design.effective == pytest.approx(change.effective)


def test_a_scored_base_and_nothing_scored() -> None:
    """a (1 - a): two models of accuracy a whose answers correlate by 0.5 differ on 2 a (1 - a) x 0.5 of the items."""
    base = of_base(task_score([1.0] * 30 + [0.0] * 70))
    assert (base.accuracy, base.design_effect) == (0.3, 1.0) and base.discordance == pytest.approx(0.21)
    design = assumed([1] * 100)
    assert (design.items, design.discordance, design.design_effect) == (100, 0.25, 1.0)
    design = assumed([4] * 10 + [8] * 5)  # the mean item's cluster has (10 x 16 + 5 x 64) / 80 = 6 items
    assert (design.items, design.clusters) == (80, 15) and design.design_effect == pytest.approx(1.5)
    draw = numpy.random.default_rng(7)
    both = draw.random(200_000) < 0.5  # correlation 0.5 by taking the same answer in half of the items
    first = draw.random(200_000) < 0.3
    second = numpy.where(both, first, draw.random(200_000) < 0.3)
    assert numpy.mean(first != second) == pytest.approx(base.discordance, abs=0.005)
    assert of_base(task_score([1.0] * 50)).discordance == pytest.approx(1 / 52)
