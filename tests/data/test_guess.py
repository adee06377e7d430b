"""Guessed columns: what a user's own names most likely mean, as a line to paste that then works."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from statllama.config.source import SourceSpec
from statllama.data.formats import guess_columns, guess_line, parse_row, recognise
from statllama.data.formats._guess import FORMS, WORDS, plain_name
from statllama.data.sources import resolved
from statllama.errors import DataError

TURNS = [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}]
SPOKEN = [{"from": "human", "value": "1 + 1?"}, {"from": "gpt", "value": "2"}]
LONG = "The median splits sorted data in half. " * 10


@pytest.mark.parametrize(
    ("row", "format", "columns"),
    [
        ({"Nr": "1", "Frage": "1 + 1?", "Antwort": "2"}, "question_answer", {"question": "Frage", "answer": "Antwort"}),
        ({"Question": "1?", "Answer": "2"}, "question_answer", {"question": "Question", "answer": "Answer"}),
        ({"Aufgabe": "1", "Lösung": "2"}, "question_answer", {"question": "Aufgabe", "answer": "Lösung"}),
        (
            {"user_question": "1?", "gold answer": "2", "Rationale": "so"},
            "question_answer",
            {"question": "user_question", "answer": "gold answer", "reasoning": "Rationale"},
        ),
        ({"pregunta": "¿1?", "respuesta": "2"}, "question_answer", {"question": "pregunta", "answer": "respuesta"}),
        ({"質問": "1?", "回答": "2", "id": "7"}, "question_answer", {"question": "質問", "answer": "回答"}),
        ({"front": "SD?", "back": "spread"}, "question_answer", {"question": "front", "answer": "back"}),
        ({"q": "1?", "a": "2"}, "question_answer", {"question": "q", "answer": "a"}),
        ({"prompt": "1", "response": "2", "n": "5"}, "question_answer", {"question": "prompt", "answer": "response"}),
        (
            {"prompt": "1?", "good_answer": "2", "bad_answer": "3"},
            "preference",
            {"chosen": "good_answer", "rejected": "bad_answer"},
        ),
        (
            {"Frage": "1?", "besser": "2", "schlechter": "3"},
            "preference",
            {"prompt": "Frage", "chosen": "besser", "rejected": "schlechter"},
        ),
        (
            {"question": "1?", "response": "2", "thumbs_up": "true"},
            "judged",
            {"prompt": "question", "completion": "response", "label": "thumbs_up"},
        ),
        ({"Begriff": "Median", "Definition": "mitte"}, "definitions", {"term": "Begriff", "description": "Definition"}),
        ({"dialog": TURNS}, "messages", {"messages": "dialog"}),
        ({"dialog": json.dumps(TURNS)}, "messages", {"messages": "dialog"}),
        ({"chat": SPOKEN}, "sharegpt", {"conversations": "chat"}),
        ({"Aufgabe": "1 + 1", "Schritte": ["a", "b"]}, "problem_steps", {"problem": "Aufgabe", "steps": "Schritte"}),
        ({"title": "Medians", "content": LONG}, "text", {"text": "content"}),
        ({"spalte1": "What is a median?", "spalte2": "the middle"}, "question_answer",
         {"question": "spalte1", "answer": "spalte2"}),
        ({"spalte1": LONG}, "text", {"text": "spalte1"}),
    ],
)  # fmt: skip
def test_a_guess_names_the_columns_and_the_line_works(
    row: dict[str, Any], format: str, columns: dict[str, str]
) -> None:
    assert guess_columns(list(row), [row]) == (format, columns)
    with pytest.raises(DataError, match="no format fits") as error:
        recognise(row, {})
    line = guess_line(format, columns, row)
    assert f"write `{line}` in this source" in (error.value.remedy or "")
    source = SourceSpec.model_validate({"path": "-", **yaml.safe_load(f"{{{line}}}")})
    taken = source.format if source.format != "auto" else recognise(row, source.columns)
    assert taken == format
    parse_row(source.model_copy(update={"format": taken}), row, "row 1")


@pytest.mark.parametrize(
    "row",
    [
        {"a": "1", "b": "2"},
        {"id": "1", "date": "2020-01-01"},
        {"question": "Which?", "A": "1", "B": "2", "C": "3", "answer key": "B"},
        {"question": "Which?", "choice_a": "1", "choice_b": "2", "choice_c": "3", "solution": "B"},
        {"frage": "Which?", "Optionen": "1; 2", "antwort": "B"},
        {"frage": None, "antwort": None},
        {"chat": "hello"},
        {},
    ],
)
def test_nothing_is_guessed_of_what_is_not_clear(row: dict[str, Any]) -> None:
    assert guess_columns(list(row), [row]) is None


def test_what_auto_takes_needs_no_guess() -> None:
    row = {"instruction": "Add.", "context": "1, 3", "response": "4"}
    assert guess_columns(list(row), [row]) == (recognise(row, {}), {})


def test_a_guess_needs_half_of_the_rows() -> None:
    good, bad = {"Frage": "1?", "Antwort": "2"}, {"Frage": "1?", "Antwort": None}
    assert guess_columns(["Frage", "Antwort"], [bad, good]) is not None
    assert guess_columns(["Frage", "Antwort"], [good, bad, bad]) is None
    assert guess_columns(["Frage", "Antwort"], []) is None


def test_names_that_yaml_would_read_otherwise_are_quoted(tmp_path: Path) -> None:
    file = tmp_path / "quiz.csv"
    file.write_text('"no","Frage: (kurz)","Antwort, #1"\n1,1 + 1?,2\n', encoding="utf-8")
    source = SourceSpec(path="quiz.csv")
    with pytest.raises(DataError) as error:
        resolved(source, tmp_path)
    line = (error.value.remedy or "").split("`")[1]
    again = SourceSpec.model_validate({"path": "quiz.csv", **yaml.safe_load(f"{{{line}}}")})
    assert resolved(again, tmp_path).format == "question_answer"


names = st.one_of(st.sampled_from([word for words in WORDS.values() for word in words]), st.text(max_size=12))
values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=30), st.just(TURNS), st.just(SPOKEN), st.just(["a", "b"])
)


@given(st.lists(st.dictionaries(names, values, max_size=6), max_size=4))
def test_any_rows_give_a_guess_that_reads_them_or_none(rows: list[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    rows = [{name: row.get(name) for name in columns} for row in rows]
    guess = guess_columns(columns, rows)
    if guess is None:
        return
    format, renamed = guess
    assert all(used in columns and used != name for name, used in renamed.items())
    assert len(set(renamed.values())) == len(renamed)
    read = 0
    for row in rows:
        try:
            parse_row(SourceSpec(path="-", format=format, columns=renamed), row, "")
            read += 1
        except DataError:
            pass
    assert 2 * read >= len(rows) > 0
    line = guess_line(format, renamed, rows[0])
    assert yaml.safe_load(f"{{{line}}}") == ({"columns": renamed} if renamed else {}) | (
        {"format": format} if "format" in line[:6] else {}
    )


def test_words_are_in_the_form_that_names_are_compared_in() -> None:
    for what, words in WORDS.items():
        assert [plain_name(word) for word in words] == list(words), what
        assert len(set(words)) == len(words), what
    assert {what for _, needed, optional in FORMS for what in (*needed.values(), *optional.values())} == set(WORDS)
    assert plain_name("userQuestion") == plain_name("User_QUESTION ") == "user question"
