"""`format: auto`, layouts, and the page of all formats."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import statllama.data.formats as formats
from statllama.config.source import ProblemsSpec, SourceSpec
from statllama.data.examples import Conversation, Document
from statllama.data.formats import check_columns, check_source, format_names, parse_row, recognise
from statllama.data.sources import resolved
from statllama.errors import DataError
from tests.data.conftest import turns

PAGE = (Path(formats.__file__).parent / "README.md").read_text(encoding="utf-8")
EXAMPLES = {name: json.loads(row) for name, row in re.findall(r"^\| `(\w+)` \| `(\{.*?\})` \|", PAGE, re.MULTILINE)}
PAIR = {"chosen": "a", "rejected": "b"}


def qa(layout: str | None, format: str = "question_answer", **row: str) -> str:
    source = SourceSpec(path="x.jsonl", format=format, layout=layout)
    example = parse_row(source, {"question": "q", "answer": "2", **row}, "x.jsonl, row 1")
    assert isinstance(example, Conversation)
    return example.messages[-1].content


def test_the_page_lists_every_format() -> None:
    assert sorted(EXAMPLES) == sorted(format_names())


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_row_parses_and_is_recognised(name: str) -> None:
    parse_row(SourceSpec(path="x.jsonl", format=name), EXAMPLES[name], "x.jsonl, row 1")
    assert recognise(EXAMPLES[name], {}) == name


@pytest.mark.parametrize(
    ("row", "columns", "expected"),
    [
        ({"question": "q", "answer": "a"}, {}, "question_answer"),
        ({"question": "q", "answer": "a"}, {"prompt": "question", "completion": "answer"}, "prompt_completion"),
        ({"question": "q", "answer": "a", "reasoning": None}, {}, "question_answer"),
        ({"conversations": [{"from": "human", "value": "q"}], **PAIR}, {}, "preference"),
        ({"chosen": turns("q", "a"), "rejected": turns("q", "b")}, {}, "preference"),
        ({"msgs": turns("q", "a")}, {"messages": "msgs"}, "messages"),
        ({"messages": json.dumps(turns("q", "a"))}, {}, "messages"),
        ({"dialog": json.dumps([{"from": "human", "value": "q"}])}, {"conversations": "dialog"}, "sharegpt"),
        ({"instruction": "i", "output": "o"}, {}, "alpaca"),
        ({"text": "t", "source": "s"}, {}, "text"),
    ],
)
def test_recognised_by_columns(row: dict[str, Any], columns: dict[str, str], expected: str) -> None:
    assert recognise(row, columns) == expected


@pytest.mark.parametrize(
    ("row", "columns", "expected"),
    [
        (
            {"a": 1, "b": None},
            {},
            ["no format fits; columns found: a, b (null)", "alpaca: instruction, output", "set `format`"],
        ),
        ({}, {}, ["columns found: none"]),
        ({"messages": [{"from": "human", "value": "q"}]}, {}, ["those of messages are there, but hold something else"]),
        ({"question": "q", "answer": 2}, {}, ["those of gsm8k and question_answer are there, but hold something else"]),
        (
            {"text": "t", "instruction": "i", "output": "o"},
            {},
            ["more than one format fits: alpaca (instruction, output) and text (text)"],
        ),
        (
            {"prompt": "q", "completion": "a", **PAIR},
            {},
            ["preference (chosen, prompt, rejected) and prompt_completion"],
        ),
        (PAIR, {}, ["those of preference are there"]),
        ({"text": "t"}, {"text": "body"}, ["no format fits; columns found: text", "remove `columns`", "read as text"]),
    ],
)
def test_what_is_not_recognised_is_explained(row: dict[str, Any], columns: dict[str, str], expected: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        recognise(row, columns)
    for part in expected:
        assert part in str(caught.value)


def test_resolved_takes_the_first_rows_format(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"q": "1", "a": "2"}\n{"text": "t"}\n')
    source = SourceSpec(path="x.jsonl", columns={"question": "q", "answer": "a"})
    assert source.format == "auto"
    assert resolved(source, tmp_path) == source.model_copy(update={"format": "question_answer"})
    with pytest.raises(DataError, match=r"x\.jsonl, row 1: no format fits"):
        resolved(SourceSpec(path="x.jsonl"), tmp_path)
    text = SourceSpec(path="absent.jsonl", format="text")
    assert resolved(text, tmp_path) is text  # a format that is named is taken at its word


@pytest.mark.parametrize(("form", "format"), [("sft", "messages"), ("dpo", "preference"), ("grpo", "prompt_answer")])
def test_problems_have_a_format(form: Any, format: str) -> None:
    assert resolved(SourceSpec(problems=ProblemsSpec(count=1, form=form)), Path()).format == format


def test_renamed_columns_are_known_to_some_format() -> None:
    check_columns("auto", {"prompt": "q", "completion": "a"})
    with pytest.raises(DataError, match="no format reads all the columns 'prompt', 'steps'"):
        check_columns("auto", {"prompt": "q", "steps": "a"})


@pytest.mark.parametrize(
    ("layout", "reasoning", "expected"),
    [
        (None, "r", "Reasoning:\nr\n\nAnswer:\n2"),
        (None, "", "2"),
        ("{reasoning}\n\nAnswer: {answer}", " r\n", "r\n\nAnswer: 2"),
        ("{reasoning}\n\nAnswer: {answer}", "", "Answer: 2"),
        ("{reasoning} So {answer}.", "", "2"),
        ("So {answer}.", "", "So 2."),
        ("{reasoning}\n\n\\boxed{{{answer}}}", "{r}", "{r}\n\n\\boxed{2}"),
    ],
)
def test_layout(layout: str | None, reasoning: str, expected: str) -> None:
    assert qa(layout, reasoning=reasoning) == expected


def test_gsm8k_marks_are_taken_out_and_the_answer_laid_out() -> None:
    answer = "48/2 = <<48/2=24>>24.\nIt is < 50 << 100.\n#### 1,024\n"
    assert qa(None, "gsm8k", answer=answer) == "48/2 = 24.\nIt is < 50 << 100.\n#### 1,024"
    laid_out = qa("{reasoning}\n\nAnswer: {answer}", "gsm8k", answer=answer)
    assert laid_out == "48/2 = 24.\nIt is < 50 << 100.\n\nAnswer: 1,024"
    with pytest.raises(DataError, match=r"row 1: the answer does not end with a line `#### 72`"):
        qa(None, "gsm8k", answer="24")


@pytest.mark.parametrize(
    ("layout", "format", "expected"),
    [
        ("{answr}", "question_answer", "unknown placeholder {answr}; allowed: {reasoning} and {answer}"),
        ("{answer:>9}", "question_answer", "unknown placeholder {answer}"),
        ("{}", "question_answer", "unknown placeholder {}"),
        ("{answer", "question_answer", "layout '{answer'"),
        ("{reasoning}", "gsm8k", "has no {answer}"),
        ("{answer}", "messages", "format messages takes no `layout`; gsm8k, question_answer do"),
    ],
)
def test_wrong_layout_is_refused(layout: str, format: str, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        check_source(SourceSpec(path="x.jsonl", format=format, layout=layout))
    assert expected in str(caught.value)


def test_sections_with_and_without_their_column() -> None:
    sections = {"Introduction": " Samples vary. ", "Empty": " ", "None": None, "Methods": "We drew 100."}
    expected = Document("# Introduction\n\nSamples vary.\n\n# Methods\n\nWe drew 100.")
    source = SourceSpec(path="x.jsonl", format="sections")
    for row in ({"sections": sections}, {"sections": json.dumps(sections)}, sections, {**sections, "sections": None}):
        assert parse_row(source, row, "x.jsonl, row 1") == expected
    renamed = SourceSpec(path="x.jsonl", format="sections", columns={"sections": "paper"})
    assert parse_row(renamed, {"paper": sections, "id": 1}, "x.jsonl, row 1") == expected
    for bad, message in (
        ({"a": ["b"]}, "section 'a' is a list"),
        ({"sections": ["b"]}, "sections is a list"),
        ({}, "empty"),
    ):
        with pytest.raises(DataError, match=f"row 1: .*{message}"):
            parse_row(source, bad, "x.jsonl, row 1")
