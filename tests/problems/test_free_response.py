"""Free response: the rubric's numbers follow from the printed question, and statistics alone earns its points."""

from __future__ import annotations

import collections
import importlib
import importlib.util
import itertools
import json
import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from scipy import stats

from statllama.config.benchmarks import find_tasks
from statllama.config.source import ProblemsSpec, SourceSpec
from statllama.data.contamination import Questions, read_questions
from statllama.data.sources import resolved
from statllama.data.sources import rows as source_rows
from statllama.evaluation.rubric import earned, fault, parts, share
from statllama.problems import kinds, make_problem, rows, to_free_response, topics
from statllama.problems._free_response import DIRECTIONS
from tests.conftest import REPO

from .checks import IMPOSSIBLE, Expected, shows
from .test_near_copies import grams

FOLDER = REPO / "eval" / "ap_statistics_frq"
LISTED = " ".join(map(str, range(1, 101)))
# Without options, other answers than the one in mind are as right.
OPEN = {"conditions_for_slope", "conditions_for_t", "confounding", "design_principles", "sampling_advantage",
        "simulation_trial"}  # fmt: skip
STATISTICS = {"one_mean_t", "two_sample_t", "paired_t", "two_proportion_z", "slope_t_statistic"}
# What a complete test or interval asks besides its answer.
COMPLETE = {
    "t_p_value": {"words", "decision", "conclusion"},
    "p_value_from_output": {"decision", "conclusion"},
    "one_proportion_z": {"hypotheses", "words", "decision", "conclusion"},
    "two_proportion_p_value": {"hypotheses", "words", "decision", "conclusion"},
    "slope_p_value": {"decision", "conclusion"},
    "one_sided_slope_test": {"decision", "conclusion"},
    "goodness_of_fit_p_value": {"decision", "conclusion"},
    "chi_square_p_value": {"decision", "conclusion"},
    "one_mean_t": {"hypotheses", "words", "decision", "conclusion"},
    "two_sample_t": {"hypotheses", "decision", "conclusion"},
    "paired_t": {"hypotheses", "decision", "conclusion"},
    "two_proportion_z": {"hypotheses", "words", "decision", "conclusion"},
    "slope_t_statistic": {"hypotheses", "decision", "conclusion"},
    "one_mean_interval": {"words"},
    "two_mean_interval": {"words"},
    "paired_interval": {"words"},
    "one_proportion_interval": {"words"},
    "two_proportion_interval": {"words"},
    "slope_interval": {"words"},
}


@cache
def items() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / "test.jsonl").read_text(encoding="utf-8").splitlines()]


@cache
def everything() -> list[dict[str, Any]]:
    """The items, and a question of every kind of the train split."""
    problems = (make_problem(topic, kind, 3) for topic in topics() for kind in kinds(topic, "train"))
    return [*items(), *map(to_free_response, problems)]


def test_the_script_writes_the_committed_bytes(tmp_path: Any) -> None:
    spec = importlib.util.spec_from_file_location("make_frq_test", FOLDER / "make_test.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path / "test.jsonl")
    assert (tmp_path / "test.jsonl").read_bytes() == (FOLDER / "test.jsonl").read_bytes()


def test_items() -> None:
    """One of each kind that has settled answers, none a near copy of another."""
    settled = {kind for topic in topics() for kind in kinds(topic)} - OPEN
    assert collections.Counter(item["kind"] for item in items()) == dict.fromkeys(settled, 1) and len(settled) == 149
    sets = [grams(item["question"]) for item in items()]
    for i, one in enumerate(sets):
        assert all(len(one & other) <= 0.5 * min(len(one), len(other)) for other in sets[:i]), items()[i]["question"]


def test_the_examiners_answer_earns_every_point() -> None:
    for row in everything():
        assert fault(row["rubric"]) is None
        assert all(earned(row["rubric"], row["answer"])), (row["question"], row["answer"])
        assert set(parts(row["answer"])) == {point["part"] for point in row["rubric"]}


def test_a_siblings_answer_loses_the_point() -> None:
    """In place of a part's answer, another part's answer or a sibling's does not earn its point; nor do two at once."""
    for row in everything():
        by_part = {p["part"]: p for p in row["rubric"] if p["check"] in ("answer", "closest")}
        for part, point in by_part.items():
            right = point["wants"][0]
            others = point["others"] or [p["wants"][0] for p in by_part.values() if p is not point]
            for wrong in (*others, f"{others[0]} or {right}", f"{right} {' '.join(others)}"):
                assert earned([point], f"({part}) Work.\nAnswer: {wrong}") == (False,), (point, wrong)


def test_empty_rambling_and_listed_numbers_earn_nothing() -> None:
    rambling = "Statistics is about variability. We use a model of chance, then we think about what it means."
    for row in everything()[::2]:
        labels = {point["part"] for point in row["rubric"]}
        for text in ("", rambling, LISTED, f"Answer: {LISTED}", "I do not know."):
            labelled = "\n".join(f"({label}) {text}\nAnswer: {text}" for label in labels)
            assert share(row["rubric"], text) == share(row["rubric"], labelled) == 0.0, (text, row["rubric"])


def test_echoes_and_stock_phrases_earn_little() -> None:
    stock = (
        "The sample is random and the population is normal. We are 95% confident. We reject H0 at alpha = 0.05, 0.10 "
        "and 0.01. There is convincing evidence.\nAnswer: 0.5"
    )
    for say in (None, stock):
        shares = []
        for item in items():
            text = say or "{0}\nAnswer: {0}".format(item["question"].replace("\n", " "))
            labels = {point["part"] for point in item["rubric"]}
            shares.append(share(item["rubric"], "\n".join(f"({label}) {text}" for label in labels)))
        assert sum(shares) / len(shares) < 0.05


def test_complete_tests_and_intervals_ask_for_every_step() -> None:
    found: dict[str, set[str]] = collections.defaultdict(set)
    for row in everything():
        found[row["kind"]] |= {point["check"] for point in row["rubric"]}
    for kind, checks in COMPLETE.items():
        assert checks <= found[kind], (kind, checks - found[kind])


def printed(row: dict[str, Any], label: str) -> str:
    """A part as a question of its own, as the readers of the multiple-choice test take it."""
    stem, _, asked = row["question"].partition("(a) ")
    asks = re.split(r"\n\([bc]\) ", asked)
    ask = re.sub(r" In addition, .*\.$", "", asks["abc".index(label)])
    return str(stem.rstrip() + ("\n\n" if "|" in stem else " ") + ask)


def as_reply(expected: Expected, point: dict[str, Any]) -> str:
    """A number or an interval as a student writes it, in the unit of the answer."""
    unit = re.sub(r"^[-\d.(), ]+", "", point["wants"][0])
    shown = [f"{value:.4f}" for value in (expected if isinstance(expected, tuple) else (expected,))]
    return f"({', '.join(shown)}) {unit}" if len(shown) == 2 else f"{shown[0]} {unit}"


def test_rubrics_follow_from_what_is_printed() -> None:
    """Code that shares nothing with the generator reads each part: what it computes earns the point, and nearly all
    parts can be read.
    """
    read: collections.Counter[str] = collections.Counter()
    unread: collections.Counter[str] = collections.Counter()
    for item in items():
        reader = importlib.import_module(f".printed.{item['topic']}", __package__).READ[item["kind"]]
        for point in item["rubric"]:
            if point["check"] not in ("answer", "closest"):
                continue
            try:
                expected = reader(printed(item, point["part"]))
            except AssertionError:  # a question that is asked otherwise without options
                unread[item["kind"]] += 1
                continue
            read[item["kind"]] += 1
            assert shows(point["wants"][0], expected), (printed(item, point["part"]), point, expected)
            if point["check"] == "answer" and not isinstance(expected, str | re.Pattern):
                reply = f"({point['part']}) Answer: {as_reply(expected, point)}"
                assert earned([point], reply) == (True,), (reply, point)
    assert len(read) >= 140 and sum(unread.values()) <= 30, unread


def test_decisions_follow_from_the_p_value() -> None:
    """A level above the p-value of the part rejects, one below does not; the conclusion agrees."""
    decided = 0
    for row in everything():
        for label in {point["part"] for point in row["rubric"]}:
            by_check = {p["check"]: p for p in row["rubric"] if p["part"] == label}
            if "decision" in by_check:
                verdict, alpha = by_check["decision"]["wants"]
                if row["kind"] not in STATISTICS:
                    assert verdict == ("reject" if by_check["answer"]["value"] < float(alpha) else "fail")
                assert by_check["conclusion"]["wants"][0] == {"reject": "yes", "fail": "no"}[verdict]
                assert f"{alpha}" in row["question"]
                decided += 1
    assert decided >= 30


def degrees_of_freedom(kind: str, p: Mapping[str, Any], asked: str) -> tuple[float, ...]:
    """Those that a student may use for the statistic: for two samples the conservative ones, or Welch's."""
    if kind == "two_sample_t":
        a, b = p["sd1"] ** 2 / p["n1"], p["sd2"] ** 2 / p["n2"]
        welch = (a + b) ** 2 / (a**2 / (p["n1"] - 1) + b**2 / (p["n2"] - 1))
        return min(p["n1"], p["n2"]) - 1, welch
    if kind == "slope_t_statistic":
        return (p["sizes"]["AB".index(re.findall(r"(?:row|sample) ([AB])", asked)[-1])] - 2,)
    if kind == "two_proportion_z":
        return (math.inf,)
    return ((p["n"] if kind == "one_mean_t" else len(p["before"])) - 1,)


def test_decisions_follow_from_the_statistic() -> None:
    """By scipy's two-sided p-value, whichever degrees of freedom are taken."""
    decided = collections.Counter[str]()
    for topic, kind in itertools.product(("means", "proportions", "slopes"), sorted(STATISTICS)):
        for seed in range(12 if kind in kinds(topic) else 0):
            problem = make_problem(topic, kind, seed, "test")
            row = to_free_response(problem)
            for label in {point["part"] for point in row["rubric"]}:
                by_check = {p["check"]: p for p in row["rubric"] if p["part"] == label}
                if "decision" not in by_check:
                    continue
                verdict, alpha = by_check["decision"]["wants"]
                for df in degrees_of_freedom(kind, problem.parameters, printed(row, label)):
                    p = 2 * stats.t(df).sf(abs(by_check["answer"]["value"]))
                    assert verdict == ("reject" if p < float(alpha) else "fail"), (row["question"], p)
                decided[kind] += 1
    assert min(decided[kind] for kind in STATISTICS) >= 6, decided


OPTIONS = re.compile(
    r"Choose (?:the|a) |Which of these|Which statement (?:inter|says|is (?:H|corr))|Which (?:sentence|answer|descri)"
)


def test_nothing_refers_to_options() -> None:
    for row in everything():
        asked = row["question"][row["question"].index("(a)") :]
        assert not OPTIONS.search(asked), asked
        assert not IMPOSSIBLE.search(f"{row['question']}\n{row['answer']}"), row["question"]
        assert len(re.findall(r"^\([abc]\) ", asked, re.M)) == len({p["part"] for p in row["rubric"]}) >= 2


def test_the_benchmark_asks_what_a_test_row_asks() -> None:
    from lm_eval.utils import apply_template

    task = find_tasks(["ap_statistics_frq"], [REPO / "eval"])["ap_statistics_frq"]
    row = next(rows("frq", 1, split="test"))
    assert apply_template(task.config["doc_to_text"], row) == row["messages"][0]["content"]
    assert row["messages"][0]["content"].endswith(DIRECTIONS["test"][0])


def test_no_training_row_copies_an_item() -> None:
    index = Questions(read_questions(find_tasks(["ap_statistics_frq"], [REPO / "eval"]).values()))
    for form in ("frq", "sft"):
        texts = [(str(i), json.dumps(row["messages"])) for i, row in enumerate(rows(form, 1000, seed=11))]
        hits = [hit for start in range(0, len(texts), 256) for hit in index.search_batch(texts[start : start + 256])]
        assert not any(hits), next(hit for hit in hits if hit)


def test_as_a_source_of_a_recipe() -> None:
    source = SourceSpec(problems=ProblemsSpec(count=20, form="frq", math="latex", syllabus="ap"))
    assert resolved(source, REPO).format == "messages"
    found = [row for _, row in source_rows(source, REPO)]
    assert len(found) == 20 and all([m["role"] for m in row["messages"]] == ["user", "assistant"] for row in found)
    assert any("$" in row["messages"][1]["content"] for row in found)


@pytest.mark.parametrize("form", ["sft", "frq"])
def test_the_same_arguments_give_the_same_rows(form: str) -> None:
    assert list(rows(form, 12, seed=4)) == list(rows(form, 12, seed=4))[:12] == list(rows(form, 15, seed=4))[:12]
