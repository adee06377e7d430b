"""Replies of each kind: those that are rows, read by the format that they name, and those that are not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from statllama.config.source import SourceSpec
from statllama.data.build.server.asking import Reply
from statllama.data.build.write.kinds import kind_module, kind_names
from statllama.data.build.write.replies import Fault, read_reply
from statllama.data.examples import Conversation, Preference
from statllama.data.formats import format_module, parse_row
from statllama.errors import DataError
from statllama.rewards.completions import final_answer
from statllama.rewards.correctness import judge

QUOTE = "The mean moves with every value."
GOOD: dict[str, dict[str, Any]] = {
    "question_answer": {"question": "Which centre is robust?", "answer": "The median."},
    "worked_answer": {
        "question": "What is the mean of 1, 3 and 8?",
        "steps": ["Step 1: The sum is 1 + 3 + 8 = 12.", "2. 12 / 3 = 4, which is the answer: 4."],
        "answer": "Answer: 4",
    },
    "cloze": {"sentence": "The __ splits a sorted sample in half.", "answer": "median"},
    "conversation": {
        "exchanges": [
            {"question": "Which centre is robust?", "answer": "The median."},
            {"question": "And why is that so?", "answer": "It counts ranks alone."},
        ]
    },
    "preference": {
        "prompt": "Which centre is robust?",
        "chosen": "The median.",
        "flaw": "takes the mean for robust",
        "rejected": "The mean.",
    },
    "multiple_choice": {"question": "Which is robust?", "right": "median", "wrong": ["mean", "range", "variance"]},
}


def read(kind: str, **changed: Any) -> Any:
    said = {"quote": QUOTE, **GOOD[kind], **changed}
    return read_reply(kind_module(kind), Reply(json.dumps({k: v for k, v in said.items() if v is not None})))


def row(kind: str, seed: int = 0, **changed: Any) -> dict[str, Any]:
    made: dict[str, Any] = kind_module(kind).row(read(kind, **changed), seed)
    return made


@pytest.mark.parametrize("kind", kind_names())
def test_rows_have_exactly_the_columns_of_their_format(kind: str) -> None:
    module = kind_module(kind)
    found = row(kind)
    columns = format_module(module.FORMAT)
    assert set(columns.REQUIRED) <= set(found) <= {*columns.REQUIRED, *columns.OPTIONAL}
    example = parse_row(SourceSpec(path="-", format=module.FORMAT), found, "row 1")
    assert isinstance(example, Preference if kind == "preference" else Conversation)
    assert set(GOOD[kind]) | {"quote"} == set(module.Reply.model_fields)


def test_a_final_answer_is_where_rewards_look_for_it() -> None:
    found = row("worked_answer")
    assert found["answer"] == "4" and found["reasoning"].startswith("The sum is 1 + 3 + 8 = 12.\n12 / 3")
    for layout in (None, "{reasoning}\n\nAnswer: {answer}"):
        source = SourceSpec(path="-", format="question_answer", layout=layout)
        example = parse_row(source, found, "row 1")
        assert isinstance(example, Conversation)
        assert final_answer(example.messages[-1].content) == "4" and example.columns["answer"] == "4"


@pytest.mark.parametrize(
    ("said", "answer"),
    [("Final answer: $\\frac{1}{2}$", "$\\frac{1}{2}$"), ("The answer is 4.", "4."), ("-2.5 kg", "-2.5 kg"),
     ("**Answer:** -3", "-3"), ("12\nunits", "12 units"), ("answer = 0.5", "0.5"), ("p < 0.05", "p < 0.05")],
)  # fmt: skip
def test_marks_before_a_final_answer_are_taken_off(said: str, answer: str) -> None:
    found = row("worked_answer", answer=said)
    assert found["answer"] == answer
    assert judge(final_answer(f"Answer: {found['answer']}"), answer) == "correct"


def test_the_right_option_is_at_every_place() -> None:
    rows = [row("multiple_choice", seed) for seed in range(4)]
    assert [found["answer"] for found in rows] == ["A. median", "B. median", "C. median", "D. median"]
    assert rows[1]["question"] == "Which is robust?\nA. mean\nB. median\nC. range\nD. variance\nAnswer:"


def test_a_blank_is_written_in_one_way() -> None:
    for blank in ("__", "______", "\\_\\_\\_", "[blank]", "<BLANK>"):
        found = row("cloze", sentence=f"The {blank} splits a sorted sample in half.")
        assert found["question"] == "Fill in the blank.\n\nThe _____ splits a sorted sample in half."


@pytest.mark.parametrize(
    ("kind", "changed", "reason"),
    [
        ("question_answer", {"answer": None}, "a key missing in the reply"),
        ("question_answer", {"quote": None}, "a key missing in the reply"),
        ("question_answer", {"answer": ["The median."]}, "a value of another type in the reply"),
        ("question_answer", {"answer": 4}, "a value of another type in the reply"),
        ("question_answer", {"question": "  Why?  "}, "a text too short in the reply"),
        ("question_answer", {"answer": "x" * 6001}, "a text too long in the reply"),
        ("question_answer", {"answer": "..."}, "a placeholder in the reply"),
        ("question_answer", {"answer": "<answer>"}, "a placeholder in the reply"),
        ("question_answer", {"answer": "a\u0000b"}, "control characters in the reply"),
        ("worked_answer", {"steps": ["Only one."]}, "a list too short in the reply"),
        ("worked_answer", {"answer": "4. Answer: 5"}, "more than one final answer"),
        ("cloze", {"sentence": "The median splits a sample."}, "a sentence without exactly one blank"),
        ("cloze", {"sentence": "The ___ splits a ___ in half."}, "a sentence without exactly one blank"),
        ("cloze", {"answer": "one two three four five six seven"}, "more than 6 words for a blank"),
        ("cloze", {"sentence": "The ___ is the Median of all."}, "a sentence that says what its blank asks for"),
        ("conversation", {"exchanges": GOOD["conversation"]["exchanges"][:1]}, "a list too short in the reply"),
        ("conversation", {"exchanges": GOOD["conversation"]["exchanges"] * 2}, "a question that is asked twice"),
        ("conversation", {"exchanges": GOOD["conversation"]["exchanges"] * 3}, "a list too long in the reply"),
        ("preference", {"rejected": "the  median."}, "the same answer twice"),
        ("multiple_choice", {"wrong": ["mean", "Median.", "range"]}, "two options that are the same"),
        ("multiple_choice", {"wrong": ["mean", "range"]}, "a list too short in the reply"),
    ],
)
def test_replies_of_no_use(kind: str, changed: dict[str, Any], reason: str) -> None:
    found = read(kind, **changed)
    assert isinstance(found, Fault) and found.reason == reason and '{"' in found.detail


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("{", "length"), "a reply cut at max_tokens"),
        (Reply("", "filtered"), "a reply held back by the server's filter"),
        (Reply("I cannot.", "refused"), "a refusal"),
        (Reply("peg-native", "unread"), "a reply that the server could not read"),
        (Reply("2048 tokens", "too long"), "a prompt too long for the model"),
        (Reply(" \n"), "an empty reply"),
        (Reply("The median."), "no JSON object in the reply"),
    ],
)
def test_replies_that_say_nothing(reply: Reply, reason: str) -> None:
    found = read_reply(kind_module("cloze"), reply)
    assert isinstance(found, Fault) and found.reason == reason


def test_keys_that_nobody_asked_for_are_no_fault() -> None:
    assert row("question_answer", difficulty="easy") == GOOD["question_answer"]


def test_an_unknown_kind() -> None:
    with pytest.raises(DataError, match="did you mean 'cloze'"):
        kind_module("close")
