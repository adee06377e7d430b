"""Copies of benchmark questions in training text are found; what merely resembles them is not."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.config.benchmarks import find_tasks
from statllama.data.contamination import Hit, Question, Questions, explain, read_questions
from statllama.errors import DataError
from tests.conftest import write_jsonl

BAKER = (
    "A baker makes 48 rolls in the morning and 36 rolls in the afternoon. He sells them in bags of 6 for $4 a bag. "
    "How much money does Mr. Ortega earn when he sells all of his rolls?"
)
SHORT = "What is the median of the values 3, 5 and 9?"


@pytest.fixture(scope="module")
def index() -> Questions:
    return Questions([Question("bakery", 1, BAKER), Question("bakery", 2, SHORT)])


def found(index: Questions, text: str) -> Hit | None:
    hit = index.search(text, "row 1")
    assert index.search_batch([("row 0", "Nothing of interest."), ("row 1", text)]) == [None, hit]
    return hit


def test_the_question_itself_inside_other_text(index: Questions) -> None:
    hit = found(index, f"Once upon a time. {BAKER.upper()} The answer is 56.")
    assert hit is not None and hit.question.number == 1 and "13 words" in hit.form


@pytest.mark.parametrize(
    "text",
    [
        BAKER.replace("48", "51").replace("36", "30").replace("6 for $4", "9 for $7"),
        BAKER.replace("48", "forty-eight").replace("36", "thirty-six"),
        BAKER.replace("48", "1,250").replace("Mr. Ortega", "Ms. Lindqvist").replace("in bags", "in boxes"),
        "Here is a problem.\n\n" + BAKER.replace("48", "7").replace("36", "8") + "\n\nFirst add 7 and 8.",
    ],
)
def test_other_numbers_and_names(index: Questions, text: str) -> None:
    hit = found(index, text)
    assert hit is not None and hit.question.number == 1 and hit.share >= 0.5


@pytest.mark.parametrize(
    "text",
    [
        "A farmer picks 48 apples in the morning and 36 pears at night. How many does he pick?",
        "What is the median of the values in a sample, and how is it found?",
        "What is the mean of 3, 5 and 9?",
        "",
        "???",
        "rolls " * 2000,
    ],
)
def test_what_is_no_copy(index: Questions, text: str) -> None:
    assert found(index, text) is None


def test_a_short_question_only_word_for_word(index: Questions) -> None:
    assert found(index, "Tell me: " + SHORT) is not None
    assert found(index, SHORT.replace("9", "11")) is None


def test_the_pieces_must_be_near_each_other(index: Questions) -> None:
    parts = BAKER.replace("48", "50").replace("36", "40").split(" ")
    apart = " ".join(" ".join(parts[i : i + 6]) + " and so on" * 40 for i in range(0, len(parts), 6))
    assert found(index, apart) is None


def gsm8k(folder: Path, split: str) -> list[dict[str, Any]]:
    (file,) = folder.glob(f"gsm8k_{split}_*.jsonl")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_gsm8k_train_is_clear_of_test_and_planted_copies_are_found(shared_data: Path) -> None:
    test, train = gsm8k(shared_data, "test"), gsm8k(shared_data, "train")
    index = Questions([Question("gsm8k", i, row["question"]) for i, row in enumerate(test, start=1)])
    clean = [(f"row {i}", f"{row['question']}\n{row['answer']}") for i, row in enumerate(train, start=1)]
    assert not any(index.search_batch(clean))
    draw = random.Random(0)
    planted = [
        (str(i), "Solve this. " + re.sub(r"\d+", lambda _: str(draw.randint(2, 99)), row["question"]))
        for i, row in enumerate(test, start=1)
    ]
    numbers = [hit.question.number if hit else None for hit in index.search_batch(planted)]
    assert numbers == list(range(1, len(test) + 1))


def test_names_changed_too(shared_data: Path) -> None:
    """Every name replaced: at most one copy in a hundred is missed."""
    test = gsm8k(shared_data, "test")
    index = Questions([Question("gsm8k", i, row["question"]) for i, row in enumerate(test, start=1)])
    missed = 0
    for i, row in enumerate(test, start=1):
        text = re.sub(r"\d+", "17", row["question"])
        for name in set(re.findall(r"(?<=[a-z,] )[A-Z][a-z]+", text)):
            text = re.sub(rf"\b{name}\b", "Zoltan", text)
        hit = index.search(text, "row")
        missed += hit is None or hit.question.number != i
    assert missed <= 2


@given(st.lists(st.text(max_size=80), max_size=6))
def test_a_batch_gives_what_one_by_one_gives(texts: list[str]) -> None:
    index = Questions([Question("bakery", 1, BAKER)])
    rows = [(str(i), text) for i, text in enumerate([*texts, BAKER.replace("48", "3")])]
    assert index.search_batch(rows) == [index.search(text, where) for where, text in rows]


def benchmark(folder: Path, **fields: Any) -> Path:
    """A local benchmark `exam` with a train and a test split."""
    task = folder / "exam"
    write_jsonl(task / "train.jsonl", [{"question": f"train question number {i}", "answer": "a"} for i in range(3)])
    write_jsonl(task / "test.jsonl", [{"question": BAKER, "choices": ["1", "2"], "answer": 0}])
    body = {
        "task": "exam", "dataset_path": "json", "output_type": "multiple_choice", "training_split": "train",
        "dataset_kwargs": {"data_files": {"train": "train.jsonl", "test": "test.jsonl"}}, "test_split": "test",
        "doc_to_text": "question", "doc_to_choice": "choices", "doc_to_target": "answer", **fields,
    }  # fmt: skip
    (task / "exam.yaml").write_text(json.dumps(body), encoding="utf-8")
    return folder


@pytest.mark.parametrize("text", ["question", "Question: {{question.strip()}}\nA. {{choices[0]}}\nAnswer:"])
def test_only_the_test_split_is_kept_out(tmp_path: Path, text: str) -> None:
    """And of its items the questions, not the choices."""
    tasks = find_tasks(["exam"], [benchmark(tmp_path, doc_to_text=text)]).values()
    assert read_questions(tasks) == (Question("exam", 1, BAKER),)


def test_a_question_that_is_put_together(tmp_path: Path) -> None:
    folder = benchmark(tmp_path, doc_to_text="{{context}} {{ask}}")
    row = {"context": "Ten birds sit on each of the four trees.", "ask": "How many?", "choices": ["40"], "answer": 0}
    write_jsonl(folder / "exam" / "test.jsonl", [row])
    (question,) = read_questions(find_tasks(["exam"], [folder]).values())
    assert question.text == "Ten birds sit on each of the four trees. How many?"


def test_a_short_stem_goes_with_its_choices(tmp_path: Path) -> None:
    folder = benchmark(tmp_path)
    row = {"question": "Which is a parameter?", "choices": ["a sample mean", "a population mean"], "answer": 1}
    write_jsonl(folder / "exam" / "test.jsonl", [row])
    (question,) = read_questions(find_tasks(["exam"], [folder]).values())
    assert question.text == "Which is a parameter?\na sample mean\na population mean"


def test_questions_that_cannot_be_read_fail_closed(tmp_path: Path) -> None:
    folder = benchmark(tmp_path)
    (folder / "exam" / "test.jsonl").write_text('{"question": "cut', encoding="utf-8")
    with pytest.raises(DataError, match="exam: its questions cannot be read"):
        read_questions(find_tasks(["exam"], [folder]).values())


def test_the_error_shows_both_texts(index: Questions) -> None:
    hit = found(index, BAKER)
    assert hit is not None
    error = explain([hit], 7)
    assert "7 rows copy a question" in error.message and "row 1 copies question 1 of bakery" in error.message
    assert "and 6 more" in error.message and error.remedy is not None and "decontaminate: drop" in error.remedy
