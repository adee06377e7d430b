"""Copies of benchmark questions in training text are found; what merely resembles them is not."""

from __future__ import annotations

import json
import random
import re
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.config.benchmarks import find_tasks
from statllama.data.contamination import Hit, Question, Questions, explain, read_questions, stands_alone
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


CYRILLIC = str.maketrans("aceopxyACEHKMOPTX", "асеорхуАСЕНКМОРТХ")
GREEK = str.maketrans("oivABEHIKMNOPTXYZ", "οινΑΒΕΗΙΚΜΝΟΡΤΧΥΖ")
SPOTS = re.compile(r"(?<=[a-z])(?=[a-z])")


def shifted(first: int, *, digits: int = 0) -> Callable[[str], str]:
    """Letters (from `A` at `first`) and digits (from `digits`) of another block of Unicode."""
    table = {ord(c): chr(first + i) for i, c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")}
    table |= {ord("0") + i: chr(digits + i) for i in range(10)} if digits else {}
    return lambda text: "".join(c if unicodedata.category(d := c.translate(table)) == "Cn" else d for c in text)


def full_width(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


DISGUISES: dict[str, Callable[[str], str]] = {
    "full width": full_width,
    "full-width digits and an ideographic space": lambda t: re.sub(r"\d", lambda d: full_width(d[0]), t).replace(
        " ", "　"
    ),
    "mathematical bold": shifted(0x1D400, digits=0x1D7CE),
    "mathematical sans-serif": shifted(0x1D5A0, digits=0x1D7E2),
    "mathematical monospace": shifted(0x1D670, digits=0x1D7F6),
    "circled": lambda t: "".join(chr(0x24D0 + ord(c) - 97) if "a" <= c <= "z" else c for c in t),
    "ligatures": lambda t: (
        t.replace("fi", "ﬁ").replace("ff", "ﬀ").replace("fl", "ﬂ").replace("st", "ﬆ").replace("e", "ｅ")
    ),
    "zero-width spaces": lambda t: SPOTS.sub("\u200b", t),
    "zero-width joiners": lambda t: SPOTS.sub("\u200d", t),
    "word joiners": lambda t: SPOTS.sub("\u2060", t),
    "byte order marks": lambda t: SPOTS.sub("\ufeff", t),
    "soft hyphens": lambda t: SPOTS.sub("\u00ad", t),
    "variation selectors": lambda t: SPOTS.sub("\ufe0f", t),
    "tags": lambda t: SPOTS.sub("\U000e0061", t),
    "directions": lambda t: re.sub(r"[a-z]+", "\u202a\\g<0>\u202c", t),
    "Cyrillic": lambda t: t.translate(CYRILLIC),
    "Greek": lambda t: t.translate(GREEK),
    "accents": lambda t: re.sub(r"[aeiou]", "\\g<0>\u0301", t),
    "marks over marks": lambda t: re.sub(r"[a-z]", "\\g<0>\u0336\u0489", t),
    "no-break spaces and smart quotes": lambda t: f"“{t}”".replace(" ", "\u00a0").replace("'", "’"),
}
PROBLEMS = [json.loads(line) for line in (Path(__file__).parent / "rewordings.jsonl").read_text("utf-8").splitlines()]


def test_there_are_twenty_disguises() -> None:
    assert len(DISGUISES) == 20 and all(disguise(BAKER) != BAKER for disguise in DISGUISES.values())


@pytest.mark.parametrize("name", DISGUISES)
def test_a_disguised_question_is_found(name: str) -> None:
    """Of every length, and each as itself: a disguise that ends words makes none of these the same."""
    texts = [SHORT, "What is 7 times 8?", *(problem["question"] for problem in PROBLEMS)]
    index = Questions([Question("exam", i, text) for i, text in enumerate(texts)])
    rows = [(f"row {i}", f"Solve this.\n{DISGUISES[name](text)}\nThink first.") for i, text in enumerate(texts)]
    hits = index.search_batch(rows)
    assert [hit and hit.question.number for hit in hits] == list(range(len(texts)))
    disguised = Questions([Question("exam", i, DISGUISES[name](text)) for i, text in enumerate(texts)])
    assert all(disguised.search_batch([("row", text) for text in texts]))


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("What is 7 times 8?", "Solve this. what is 7 times 8"),
        ("What is 2 + 3?", "What is 2+3? It is 5."),
        ("Name the capital of Peru.", "Q: Name the capital of Peru\nA: Lima"),
        ("Why?", "She asked: why? Nobody knew."),
        ("Two-sample or paired?", "Two sample or paired?"),
        ("Is x > 3 or x < 3?", "(Is x > 3 or x < 3?)"),
        ("2 - 3 = ?", "2 − 3 = ?"),
        ("Define p-value.\nA. a probability\nB. a statistic", "Define p-value.\n(a) A probability\n(b) A statistic"),
    ],
)
def test_a_short_question_by_itself(question: str, text: str) -> None:
    index = Questions([Question("exam", 1, question)])
    assert found(index, text) is not None and stands_alone(question, text)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("What is 7 times 8?", "What is 7 times 8 times 9?"),
        ("What is 7 times 8?", "Say what is 7 times 8, then add 1."),
        ("What is 2 + 3?", "What is 2 * 3?"),
        ("What is 2 + 3?", "What is 2 + 3.5?"),
        ("What is 2 - 3?", "What is 2 3?"),
        ("Why?", "Why is the mean larger?"),
        ("What is the mean?", "What is the median?"),
    ],
)
def test_another_short_question(question: str, text: str) -> None:
    assert found(Questions([Question("exam", 1, question)]), text) is None


@pytest.mark.parametrize("filler", [".", "\n", "-", " . "])
def test_a_flood_of_signs_takes_no_time(filler: str) -> None:
    start = time.process_time()
    assert not stands_alone("What is 2 + 3?", f"so what is{filler * 20_000}x, what is 2 + 4")
    assert stands_alone("What is 2 + 3?", f"so.{filler * 20_000}What is 2 + 3?{filler * 20_000}")
    assert time.process_time() - start < 1.0


def test_what_is_looked_for_is_counted() -> None:
    texts = [BAKER, "Why?", "???", ""]
    questions = [Question("exam", i, text) for i, text in enumerate(texts)] + [Question("quiz", 1, SHORT)]
    assert Questions(questions).looked_for == {"exam": 2, "quiz": 1}


def test_a_near_copy_between_the_splits_of_gsm8k() -> None:
    """Of its train split and its test split (MIT): 13 words in a row."""
    asked = "miles in 3 hours. At the same rate, how many additional hours would it take to travel an additional"
    index = Questions([Question("gsm8k", 603, f"A plane travels 1200 {asked} 2000 miles?")])
    assert found(index, f"A train travels 360 {asked} 240 miles?") is not None


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
