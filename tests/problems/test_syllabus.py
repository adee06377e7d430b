"""What the AP Statistics course covers: every mark is one of its topics, and `syllabus` leaves out the rest."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from statllama.cli.app import app
from statllama.problems import ap_topics, generate, make_problem, topics
from statllama.problems._registry import kinds_of
from tests.conftest import REPO

# Topics of each unit in the Course and Exam Description, effective Fall 2020.
UNITS = {1: 10, 2: 9, 3: 7, 4: 12, 5: 8, 6: 11, 7: 10, 8: 7, 9: 6}
# What the problems' topics are called, and the units that most of their kinds belong to.
HOME = {
    "one_variable": {1, 4}, "two_variable": {2, 3}, "study_design": {3, 4, 7, 8, 9}, "probability": {4, 5},
    "sampling_distributions": {4, 5}, "proportions": {6}, "means": {6, 7, 9}, "categorical": {2, 8},
    "slopes": {2, 9},
}  # fmt: skip
OFF = {"sample_size_for_mean", "finite_population_spread", "normal_approximation_of_count"}


def test_every_mark_is_a_topic_of_the_course() -> None:
    marks = {(topic, kind): mark for topic in topics() for kind, mark in ap_topics(topic).items()}
    assert {kind for (_, kind), mark in marks.items() if not mark} == OFF
    for (topic, kind), mark in marks.items():
        found = [tuple(map(int, one.split("."))) for one in mark.split(", ") if one]
        assert found == sorted(set(found)), (kind, mark)
        for unit, number in found:
            assert unit in HOME[topic] and 1 <= number <= UNITS[unit], (kind, mark)


def test_siblings_beyond_the_course() -> None:
    """z for a mean with a known sigma, the intercept, an unpooled statistic; never all four of a kind."""
    beyond = {
        (kind, sibling.asked.split(",")[0])
        for topic in topics()
        for kind, of in kinds_of(topic).items()
        if of.beyond
        for problem in [make_problem(topic, kind, 1)]
        for sibling, covered in zip(problem.siblings, problem.covered, strict=True)
        if not covered
    }
    assert beyond == {
        ("one_mean_interval", "z interval"), ("one_mean_t", "z statistic"), ("t_p_value", "Z"),
        ("slope_interval", "intercept"), ("slope_p_value", "intercept"),
        ("two_proportion_z", "first minus second"), ("two_proportion_z", "second minus first"),
    }  # fmt: skip


def test_a_syllabus_leaves_out_what_it_does_not_cover() -> None:
    drawn = list(
        generate(600, topics=["means", "sampling_distributions", "slopes"], seed=2, split="test", syllabus="ap")
    )
    assert all(problem.ap for problem in drawn)
    assert not OFF & {problem.kind for problem in drawn}
    assert any(not problem.ap for problem in generate(600, topics=["means"], seed=2, split="test"))
    with pytest.raises(ValueError, match=r"unknown syllabus 'ib'; allowed: ap"):
        generate(5, syllabus="ib")


def test_the_page_of_the_benchmark_counts_the_items_off_the_syllabus() -> None:
    folder = REPO / "eval" / "ap_statistics"
    items = [json.loads(line) for line in (folder / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    off = [item for item in items if not kinds_of(item["topic"])[item["kind"]].ap_of(item["asked"])]
    page = " ".join((folder / "README.md").read_text(encoding="utf-8").split())
    assert f"{len(off)} of the {len(items)} items" in page
    for kind in {item["kind"] for item in off}:
        assert f"`{kind}`" in page


def test_the_list_shows_the_topics_of_the_course() -> None:
    shown = CliRunner().invoke(app, ["data", "problems", "--list"], env={"COLUMNS": "200"}).output
    text = re.sub(r"\s+", " ", shown)
    assert "t_p_value (7.5)" in text and "finite_population_spread (off the syllabus)" in text
