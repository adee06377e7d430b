"""definitions, problem_steps, question_answer and turns: what one row becomes."""

from __future__ import annotations

from typing import Any

import pytest

from statllama.config.source import SourceSpec
from statllama.data.formats import definitions, parse_row
from statllama.errors import DataError


def texts(format: str, row: dict[str, Any], layout: str | None = None) -> list[tuple[str, str]]:
    """(role, content) of the row's turns."""
    example: Any = parse_row(SourceSpec(path="x.json", format=format, layout=layout), row, "x.json, row 1")
    return [(m.role, m.content) for m in example.messages]


def test_definition_without_and_with_formula() -> None:
    row = {"term": "median", "description": "The middle value.", "formula": "", "code": "unused"}
    (_, question), (role, answer) = texts("definitions", row)
    assert "median" in question
    assert (role, answer.endswith("The middle value.")) == ("assistant", True)
    with_formula = texts("definitions", {**row, "formula": "x_(n/2)"})
    assert with_formula[0] == ("user", question)
    assert with_formula[1][1].startswith(answer + "\n\n")
    assert with_formula[1][1].endswith(": x_(n/2)")


def test_definitions_are_worded_in_every_way_and_always_the_same() -> None:
    rows = [{"term": f"term{i}", "description": f"What {i} is.", "formula": f"x = {i}"} for i in range(400)]
    first = [texts("definitions", row) for row in rows]
    assert first == [texts("definitions", row) for row in rows]
    plain = [(q.replace(f"term{i}", "T"), a.replace(f"term{i}", "T")) for i, ((_, q), (_, a)) in enumerate(first)]
    answers = [answer.split("\n\n") for _, answer in plain]
    assert len({question for question, _ in plain}) == len(definitions.QUESTIONS)
    assert len({text.replace(f"What {i} is.", "D") for i, (text, _) in enumerate(answers)}) == len(definitions.ANSWERS)
    assert len({formula.split("x =")[0] for _, formula in answers}) == len(definitions.FORMULAS)


def test_definition_without_description_is_refused() -> None:
    with pytest.raises(DataError, match="the assistant turn is empty"):
        texts("definitions", {"term": "median", "description": " "})


def test_steps_as_text_or_list() -> None:
    expected = [("user", "p"), ("assistant", "a\nb")]
    assert texts("problem_steps", {"problem": "p", "steps": "a\nb"}) == expected
    assert texts("problem_steps", {"problem": "p", "steps": ["a", "b"]}) == expected


def test_answer_with_and_without_reasoning() -> None:
    assert texts("question_answer", {"question": "q", "answer": "2"}) == [("user", "q"), ("assistant", "2")]
    reasoned = texts("question_answer", {"question": "q", "reasoning": "1+1", "answer": "2"})
    assert reasoned[1] == ("assistant", "Reasoning:\n1+1\n\nAnswer:\n2")


def test_turns_end_where_columns_are_empty() -> None:
    user, assistant = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
    row = {"0": user, "1": assistant, "2": None, "3": None}
    assert texts("turns", row) == [("user", "q"), ("assistant", "a")]


def test_turns_refuse_a_gap() -> None:
    user, assistant = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
    with pytest.raises(DataError, match=r"x\.json, row 1: column '2' is empty, but a later one is not"):
        texts("turns", {"0": user, "1": assistant, "2": None, "3": user})
