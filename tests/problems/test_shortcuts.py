"""The classifier of keywords: it finds a planted tell, it cannot calculate, and the benchmark gives it little."""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from statllama.problems import make_problem, rows
from tests.conftest import REPO

from .shortcuts import RULES, Row, design, hits, learn, looks, thumb, tokens


def intervals(count: int, seed: int) -> list[Row]:
    """Intervals about two centers at two levels; the level is asked, and 99% is always the wider one."""
    draw, found = random.Random(seed), []
    for _ in range(count):
        center, level = draw.uniform(5, 9), draw.choice((90, 99))
        others = [(center + shift, wide) for shift, wide in ((0, 1), (0, 2), (draw.choice((-4, 4)), 1.5), (4, 1.4))]
        answer = level == 99
        order = draw.sample(range(4), 4)
        choices = [f"({others[i][0] - others[i][1]:.2f}, {others[i][0] + others[i][1]:.2f})" for i in order]
        widths = {i: others[i][1] for i in order}
        right = max(widths, key=widths.__getitem__) if answer else min(widths, key=widths.__getitem__)
        question = f"The mean of {draw.randint(20, 90)} values is {center:.2f}. Find the {level}% confidence interval."
        found.append({"question": question, "choices": choices, "answer": order.index(right)})
    return found


def test_a_planted_tell_is_found() -> None:
    weights = learn(intervals(200, 1), words=False)
    assert hits(weights, intervals(100, 2), words=False).mean() > 0.95
    assert set(thumb("99% asked: a widest interval", intervals(60, 3))) == {1.0}
    assert set(thumb("90% asked: a narrowest interval", intervals(60, 3))) == {1.0}


def test_other_numbers_of_the_same_order_are_the_same_to_it() -> None:
    """It sees no value: what it knows of an item stays when all numbers are half as large again."""
    item = {"question": "Of 40 cups, 12 leak. What is 40 - 12?", "choices": ["28", "52", "12", "-28"], "answer": 0}
    other = {"question": "Of 60 cups, 18 leak. What is 60 - 18?", "choices": ["42", "78", "18", "-42"], "answer": 0}
    assert (design([item]) != design([other])).nnz == 0
    assert tokens("At the 95% level, 0.05, H0: mu = 12.5") == [
        "at",
        "the",
        "95%",
        "level",
        "0.05",
        "h",
        "#",
        "mu",
        "=",
        "#",
    ]
    assert "value12" in looks(item["choices"], "")[2] and "negative True" in looks(item["choices"], "")[3]


def shipped() -> list[Row]:
    lines = (REPO / "eval" / "ap_statistics" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_no_rule_of_thumb_solves_the_benchmark() -> None:
    """Where a rule tells options apart it is right in half of the problems: "99% is wide" leaves two of four."""
    items = list(rows("mc", 1200, seed=12, split="test"))
    for rule in RULES:
        points = thumb(rule, items)
        assert np.mean(points) <= 0.6 or len(points) < 15, (rule, np.mean(points), len(points))


@pytest.mark.slow
def test_the_benchmark_is_not_solved_by_keywords() -> None:
    """Chance is 25 %. Kinds whose options are sentences are left in: a word may truly say which one is meant."""
    for words in (False, True):
        weights = learn(list(rows("mc", 3000, seed=9)), words)
        assert hits(weights, shipped(), words).mean() <= 0.40


@pytest.mark.parametrize(
    ("topic", "kind"), [("one_variable", "histogram_quartiles"), ("probability", "distribution_event")]
)
def test_what_is_asked_does_not_tell_the_rank_of_the_answer(topic: str, kind: str) -> None:
    """The 90th percentile was always in the highest class, and P(X >= k) always more than P(X = k)."""
    ranks: dict[str, Counter[int]] = defaultdict(Counter)
    for seed in range(150):
        problem = make_problem(topic, kind, seed, "test")
        first = [float(text.split()[0]) for text in (problem.answer, *(text for text, _ in problem.distractors))]
        ranks[re.sub(r"\d+(?:th)?", "#", problem.asked)][sum(x < first[0] for x in first)] += 1
    for asked, counts in ranks.items():
        assert max(counts.values()) <= 0.8 * counts.total() or counts.total() < 15, (asked, counts)
