"""Rows that ask a benchmark question in other words are suspects; unrelated rows of the same domain are not."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from statllama.data.contamination import Question, plain
from statllama.data.ngrams import is_number, words
from statllama.data.suspects import _COMMON, NEAREST, SUSPECT, Resembling, Suspects
from statllama.problems import rows as problem_rows

PAIRS = [json.loads(line) for line in (Path(__file__).parent / "rewordings.jsonl").read_text("utf-8").splitlines()]
ASKED = [pair["question"] for pair in PAIRS]
AROUND = " ".join(turn["content"] for row in problem_rows("sft", 3, seed=5) for turn in row["messages"]).split()


def search(questions: Sequence[str], texts: Sequence[str]) -> tuple[Suspects, ...]:
    index = Resembling([Question("exam", i, text) for i, text in enumerate(questions)])
    rows = [(str(i), plain(text)) for i, text in enumerate(texts)]
    for start in range(0, len(rows), 7):
        index.add(rows[start : start + 7], [words(text) for _, text in rows[start : start + 7]])
    return index.found()


def pairs_found(found: Sequence[Suspects]) -> set[int]:
    """Rows whose number is that of the question which they resemble."""
    return {int(s.where) for group in found for s in group.nearest if int(s.where) == group.question.number}


@pytest.mark.parametrize("hidden", [False, True], ids=["by itself", "in a long document"])
def test_light_rewordings(hidden: bool) -> None:
    """Synonyms, other numbers, clauses in another order, written by hand: 23 of 24 are found wherever they stand."""
    texts = [pair["reworded"] for pair in PAIRS]
    if hidden:
        texts = [" ".join([*AROUND[: 40 + 11 * i], text, *AROUND[60:260]]) for i, text in enumerate(texts)]
    assert len(PAIRS) == 24
    assert len(pairs_found(search(ASKED, texts))) >= 23


def test_the_passage_is_the_stretch() -> None:
    text = " ".join([*AROUND[:200], PAIRS[3]["reworded"], *AROUND[200:400]])
    (group,) = search(ASKED, [text])
    passage = group.nearest[0].passage
    assert group.question.number == 3 and group.rows == 1
    assert PAIRS[3]["reworded"] in passage and len(passage) < 3 * len(PAIRS[3]["reworded"])


def gsm8k(folder: Path, split: str) -> list[dict[str, Any]]:
    (file,) = folder.glob(f"gsm8k_{split}_*.jsonl")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_unrelated_rows(shared_data: Path) -> None:
    """Of the train split of GSM8K against its test split, at most 1 row in 200; of textbook questions none."""
    asked = [*ASKED, *(row["question"] for row in gsm8k(shared_data, "test"))]
    train = [f"{row['question']}\n{row['answer']}" for row in gsm8k(shared_data, "train")]
    assert sum(group.rows for group in search(asked, train)) <= 5
    books = [json.loads(line)["question"] for line in (shared_data / "stats_mc_openstax.jsonl").open(encoding="utf-8")]
    assert search(asked, books) == ()


def test_the_nearest_rows_of_a_question_are_kept_and_all_are_counted() -> None:
    texts = [PAIRS[4]["reworded"], PAIRS[4]["question"], "Nothing of the kind.", *[PAIRS[4]["reworded"]] * 4]
    (group,) = search(ASKED, texts)
    assert group.rows == 6 and len(group.nearest) == NEAREST
    assert group.nearest[0].where == "1" and [s.where for s in group.nearest[1:]] == ["0", "3"]


@pytest.mark.parametrize("questions", [[], ["???"], ["Why?"], ["The of and it."]])
def test_questions_that_say_nothing(questions: list[str]) -> None:
    assert search(questions, ["Why is it so?", "", "???", "1 2 3"]) == ()


def test_questions_longer_than_a_block() -> None:
    """A long passage with its question is found in a longer document, and a short one beside it too."""
    long = " ".join(pair["question"] for pair in PAIRS[:12])
    hidden = " ".join([*AROUND * 2, *(pair["reworded"] for pair in PAIRS[:12]), *AROUND * 2])
    found = search([long, ASKED[20]], [hidden, PAIRS[20]["reworded"]])
    assert {(group.question.number, group.nearest[0].where) for group in found} == {(0, "0"), (1, "1")}


def plain_similarity(questions: Sequence[str], number: int, text: str) -> float:
    """The formula of the module, word by word: log TF times IDF of five-letter stems, no numbers, every stretch."""

    def stems(text: str) -> list[str | None]:
        return [None if is_number(word) else word.lower()[:5] for word in words(plain(text))]

    common = {word[:5] for word in _COMMON.split()}
    sets = [set(stems(question)) for question in questions]

    def idf(stem: str) -> float:
        frequency = sum(stem in found for found in sets) + (70 if stem in common else 0)
        return math.log((1 + len(questions) + 100) / (1 + frequency))

    def vector(found: Sequence[str | None]) -> dict[str, float]:
        return {stem: (1 + math.log(n)) * idf(stem) for stem, n in Counter(s for s in found if s).items()}

    asked, row = stems(questions[number]), stems(text)
    known, one, best = set().union(*sets) | common, vector(asked), 0.0
    for width in (0.8, 1.0, 1.25):
        length = min(len(row), round(width * len(asked)))
        for start in range(len(row) - length + 1):
            stretch = row[start : start + length]
            other = vector([s for s in stretch if s in one])
            rest = sum(idf(s) ** 2 if s in known else math.log(1 + len(questions) + 100) ** 2
                       for s in stretch if s and s not in one)  # fmt: skip
            norm = math.sqrt(sum(v**2 for v in one.values())) * math.sqrt(sum(v**2 for v in other.values()) + rest)
            shared = len(set(other) - common)
            dot = sum(one[s] * other[s] for s in other)
            best = max(best, dot / norm * shared / (shared + 8) if norm else 0.0)
    return best


@pytest.mark.parametrize("number", [0, 2, 9, 13, 17, 23])
def test_the_similarity_is_that_of_a_plain_computation(number: int) -> None:
    text = " ".join([*AROUND[:20], PAIRS[number]["reworded"], *AROUND[20:30]])
    (group,) = search(ASKED, [text])
    assert group.question.number == number
    expected = plain_similarity(ASKED, number, text)
    assert expected >= SUSPECT
    np.testing.assert_allclose(group.nearest[0].similarity, expected, atol=6e-4)


def test_a_batch_without_a_row_adds_none() -> None:
    """All rows of a batch may be copies, which are no suspects."""
    index = Resembling([Question("t", 1, "A farmer sells 40 baskets of pears at the market. How much does he earn?")])
    index.add([], [])
    assert index.found() == ()
