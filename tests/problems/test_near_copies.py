"""No test question is a near copy of a train question, also when numbers and names are masked.

The rule: of the word 5-grams of a test question of at least 12 words, at most half may occur in any one train
question. Words are compared in lower case, a number or a number word is `#`, and a capitalized name inside a
sentence is `@`. An inverted index from 5-gram to test item makes this linear in the train text.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable, Iterator

import pytest

from statllama.problems import Problem, generate, kinds, make_problem, topics

SHORTEST, LARGEST_SHARE, SIZE = 12, 0.5, 5
_TOKEN = re.compile(r"\d[\d,.]*\d|\d|[^\W\d_]+(?:['’-][^\W\d_]+)*|[.!?:]")
_WORDS = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million
"""
_NUMBER_WORDS = frozenset(_WORDS.split())


def masked(text: str) -> list[str]:
    """The words of a text with numbers as `#` and names as `@`; runs of numbers are one."""
    out: list[str] = []
    starts = True
    for token in _TOKEN.findall(text):
        if token in ".!?:":
            starts = True
            continue
        if token[0].isdigit() or token.lower() in _NUMBER_WORDS:
            word = "#"
        else:
            word = "@" if token[0].isupper() and not starts else token.lower()
        starts = False
        if word != "#" or out[-1:] != ["#"]:
            out.append(word)
    return out


def grams(text: str) -> set[tuple[str, ...]]:
    words = masked(text)
    return {tuple(words[i : i + SIZE]) for i in range(len(words) - SIZE + 1)}


def near_copies(train: Iterable[Problem], tested: list[Problem]) -> Iterator[tuple[float, Problem, Problem]]:
    """(share of 5-grams, test problem, train problem) for every pair that breaks the rule."""
    sets = [grams(problem.question) if len(masked(problem.question)) >= SHORTEST else set() for problem in tested]
    index: dict[tuple[str, ...], list[int]] = collections.defaultdict(list)
    for item, found in enumerate(sets):
        for gram in found:
            index[gram].append(item)
    for problem in train:
        shared = collections.Counter(item for gram in grams(problem.question) for item in index.get(gram, ()))
        for item, count in shared.items():
            if count > LARGEST_SHARE * len(sets[item]):
                yield count / len(sets[item]), tested[item], problem


def test_masking() -> None:
    assert masked("Ana has 12.5 and twenty one. Her friend Ben-Ami has P(X > 3).") == (
        ["ana", "has", "#", "and", "#", "her", "friend", "@", "has", "@", "@", "#"]
    )


def test_a_reworded_number_is_found() -> None:
    train = make_problem("slopes", "slope_interval", 1)
    copy = re.sub(r"\d+", "7", train.question)
    assert copy != train.question
    forged = type(train)(**{**vars(train), "question": copy, "split": "test"})
    assert [share for share, _, _ in near_copies([train], [forged])] == [1.0]


def test_no_near_copies() -> None:
    tested = list(generate(600, seed=11, split="test"))
    bad = [(share, a.question, b.question) for share, a, b in near_copies(generate(5000, seed=12), tested)]
    assert not bad, bad[:3]


@pytest.mark.parametrize("topic", topics())
def test_no_near_copies_within_a_topic(topic: str) -> None:
    """Every kind, often enough that every wording comes up in both splits."""
    train = [make_problem(topic, kind, seed) for kind in kinds(topic, "train") for seed in range(40)]
    tested = [make_problem(topic, kind, seed, "test") for kind in kinds(topic) for seed in range(40)]
    bad = [(share, a.question, b.question) for share, a, b in near_copies(train, tested)]
    assert not bad, bad[:3]
