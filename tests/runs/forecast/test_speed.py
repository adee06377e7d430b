"""Seconds from operations: known speeds are found again, ranges are ranges, other machines' figures stay out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statllama.runs.forecast.datasheet import Datasheet, datasheet
from statllama.runs.forecast.figure import Figure
from statllama.runs.forecast.machine import Machine, this_machine
from statllama.runs.forecast.samples import Cost, Sample
from statllama.runs.forecast.speed import FACTORS, Speed, checked, figure, fit, from_datasheet

TRUE = Speed(operations=2e-11, passes=0.02, units=0.01, decoded=0.005, starts=0.8)
COUNTS = st.lists(
    st.tuples(st.integers(1, 400), st.integers(1, 500), st.integers(1, 200), st.integers(0, 900)),
    min_size=12,
    max_size=30,
)


def sample(giga: float, passes: float, units: float, decoded: float, speed: Speed = TRUE, kind: str = "sft") -> Sample:
    cost = Cost(giga * 1e9, passes, units, decoded, 1, tokens=giga * 200)
    return Sample(kind, cost, speed.seconds(cost), "manifest")


@settings(max_examples=25)
@given(COUNTS)
def test_what_is_known_is_found_again(counts: list[tuple[int, int, int, int]]) -> None:
    """Samples made of a speed are explained by the fit: most within 5 %, each within 20 % (where few samples tell a
    factor apart, it is drawn to what it is worth at first sight); and no factor is negative.
    """
    samples = [sample(*one) for one in counts]
    found = fit(samples)
    assert all(getattr(found, name) >= 0 for name in FACTORS)
    errors = sorted(abs(found.seconds(one.cost) / one.seconds - 1) for one in samples)
    assert errors[len(errors) // 2] < 0.05 and errors[-1] < 0.2


def test_factors_that_differ_in_the_samples_are_told_apart() -> None:
    """Two sizes of pass: half the operations in as many passes."""
    speed = Speed(1e-11, 0.05, 0, 0, 0)
    samples = [sample(giga, passes, 0, 0, speed) for giga, passes in ((100, 2), (100, 20), (50, 20), (200, 2))]
    found = fit([replace(one, cost=replace(one.cost, starts=0)) for one in samples])
    assert found.operations == pytest.approx(1e-11, rel=0.05)
    assert found.passes == pytest.approx(0.05, rel=0.05)


def test_one_sample_forecasts_itself_and_its_like() -> None:
    one = sample(100, 50, 30, 0)
    found = fit([one])
    assert found.seconds(one.cost) == pytest.approx(one.seconds, rel=0.01)
    twice = replace(one.cost, operations=2e11, passes=100, units=60, tokens=40_000, starts=2)
    assert found.seconds(twice) == pytest.approx(2 * one.seconds, rel=0.01)


def test_the_error_is_that_of_samples_forecast_from_the_others() -> None:
    """By hand: two samples of like work that took 1 and 2 seconds are 50 % and 100 % off each other."""
    one = Sample("sft", Cost(1e9, tokens=1e3), 1.0, "manifest")
    other = Sample("sft", Cost(1e9, tokens=1e3), 2.0, "manifest")
    assert checked([one]) is None
    assert checked([one, other]) == pytest.approx(((1.0**2 + 0.5**2) / 2) ** 0.5, rel=0.01)


def test_a_figure_names_its_basis_and_its_error() -> None:
    cost = Cost(1e11, 10, 5, 0, 1, 1e5)
    own = [sample(100, 50, 30, 0), sample(120, 40, 30, 0)]
    assert figure("sft", cost, cost, cost, [], None) is None
    assert figure("grpo", cost, cost, cost, own, None) is None, "generation is unlike training on rows"
    assert figure("score:quiz", cost, cost, cost, own, None) is None
    made = figure("sft", cost, cost, cost, own, last=-0.3)
    assert made is not None and made.basis == "2 sft stages here" and made.error == 0.3
    assert made.low == pytest.approx(made.usual / 1.3) and made.high == pytest.approx(made.usual * 1.3)
    like = figure("cpt", cost, cost, cost, own, None)
    assert like is not None and like.basis == "2 other stages here" and like.high / like.usual > made.high / made.usual
    assert made.measured and Figure.from_json(json.loads(json.dumps(made.as_json()))) == made


def test_figures_add_up() -> None:
    total = Figure(1, 0.5, 2, "a", 0.1) + Figure(10, 9, 12, "b") + Figure(100, 90, 120, "a", 0.2)
    assert total == Figure(111, 99.5, 134, "a; b", 0.2)


# ------------------------------------------------------------------ what nobody measured


def test_a_datasheet_leaves_a_range_that_is_marked() -> None:
    """By hand: 7e12 operations at 10, 30 and 70 % of 1e12 a second; no generation."""
    cost = Cost(7e12, 5, 5, 0, 1, 1)  # launches of 5 passes through 4 layers take less than 0.1 s
    made = from_datasheet(cost, cost, cost, Datasheet(1e12, 1e11, "datasheet"), 1e9, layers=4)
    assert made.low == pytest.approx(10) and made.high == pytest.approx(70)
    assert made.usual == pytest.approx(7 / 0.3) and not made.measured
    assert made.basis == "datasheet, not measured"


def test_short_passes_are_bound_by_launches() -> None:
    """1,000 passes through 4 layers, next to no operations: 0.5 to 4 ms a layer."""
    cost = Cost(1e6, 1000, 5, 0, 1, 1)
    made = from_datasheet(cost, cost, cost, Datasheet(1e14, 1e12, "datasheet"), 1e9, layers=4)
    assert made.low == pytest.approx(2) and made.high == pytest.approx(16)


def test_generation_is_bound_by_bandwidth_then_by_launches() -> None:
    sheet = Datasheet(1e12, 1e11, "datasheet")
    cost = Cost(0, 0, 0, 100, 1, 1)
    read = from_datasheet(cost, cost, cost, sheet, 1e10, layers=4)  # 0.1 s a step
    assert read.low == pytest.approx(10) and read.high == pytest.approx(100)
    launched = from_datasheet(cost, cost, cost, sheet, 1e6, layers=4)  # 10 microseconds a step
    assert launched.low == pytest.approx(1e-3) and launched.high == pytest.approx(0.6)


@pytest.mark.parametrize(("name", "tera"), [("NVIDIA GeForce RTX 4090", 165.2), ("NVIDIA H200", 989), ("Tesla T4", 65)])
def test_cards_by_their_drivers_names(name: str, tera: float) -> None:
    sheet = datasheet(Machine(name, None, None))
    assert sheet is not None and sheet.operations == tera * 1e12
    assert datasheet(Machine("Matrox Mystique", None, None)) is None


def test_a_cpu_is_cores_times_clock_times_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    from statllama.runs.forecast import datasheet as sheets

    monkeypatch.setattr(sheets, "_cpuinfo", lambda: "flags : fpu avx avx2")
    sheet = datasheet(Machine("Intel(R) Xeon(R) CPU @ 2.00GHz", 4, None))
    assert sheet is not None and sheet.operations == 4 * 2e9 * 32
    one = datasheet(Machine("Intel(R) Xeon(R) CPU @ 2.00GHz", 4, "1"))
    assert one is not None and one.operations == 2e9 * 32


def test_this_machine_is_itself_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    here = this_machine()
    assert here == this_machine() and here.device
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert here.gpu or here != this_machine()
    assert Path("/proc/cpuinfo").exists() is False or here.device in Path("/proc/cpuinfo").read_text() or here.gpu
