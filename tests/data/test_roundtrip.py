"""Any well-formed conversation, in every format that can hold it, through template and mask.

What carries loss is exactly what the assistant wrote, each turn with its end-of-turn token, and nothing else.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statllama.config.source import SourceSpec
from statllama.data.examples import Preference
from statllama.data.formats import parse_row
from statllama.data.masking import Tokens
from statllama.data.tokenise import Pair, Tokeniser

Turn = dict[str, Any]
END = "<|eot_id|>"
# All that a text may hold but surrogates and NUL, which `rows` refuses, and what could become a control token's text.
letters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00|")
contents = st.text(letters, min_size=1, max_size=40).filter(str.strip)
names = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(letters, max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(letters, max_size=6), inner, max_size=3),
    max_leaves=5,
)
calls = st.tuples(names, st.dictionaries(names, values, max_size=3))


@st.composite
def plain(draw: st.DrawFn) -> list[Turn]:
    """System (or none), then user and assistant in turn."""
    turns = [{"role": "system", "content": text} for text in draw(st.lists(contents, max_size=1))]
    for question, answer in draw(st.lists(st.tuples(contents, contents), min_size=1, max_size=4)):
        turns += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return turns


@st.composite
def with_tools(draw: st.DrawFn) -> list[Turn]:
    """As `plain`, but before an answer the assistant may call tools, one at a time, each with its answer."""
    turns = []
    for turn in draw(plain()):
        if turn["role"] == "assistant":
            for name, arguments in draw(st.lists(calls, max_size=2)):
                call = {"type": "function", "function": {"name": name, "arguments": arguments}}
                turns.append({"role": "assistant", "content": "", "tool_calls": [call]})
                turns.append({"role": "tool", "content": draw(contents)})
        turns.append(turn)
    return turns


def as_openai(turns: list[Turn]) -> list[Turn]:
    """As the API gives them: content null beside calls, arguments as JSON text."""
    found = []
    for turn in turns:
        if "tool_calls" in turn:
            function = turn["tool_calls"][0]["function"]
            call = {"id": "call_1", "function": {**function, "arguments": json.dumps(function["arguments"])}}
            found.append({"role": "assistant", "content": None, "tool_calls": [call]})
        else:
            found.append(turn)
    return found


def as_sharegpt(turns: list[Turn]) -> list[Turn]:
    speakers = {"system": "system", "user": "human", "assistant": "gpt", "tool": "observation"}
    return [
        {"from": "function_call", "value": json.dumps(turn["tool_calls"][0]["function"])}
        if "tool_calls" in turn
        else {"from": speakers[turn["role"]], "value": turn["content"]}
        for turn in turns
    ]


def in_csv(row: Mapping[str, Any]) -> dict[str, str]:
    """The row as it comes back from a CSV file, with values that are no texts as JSON."""
    cells = {name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()}
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(cells))
    writer.writeheader()
    writer.writerow(cells)
    return next(iter(csv.DictReader(io.StringIO(file.getvalue(), newline=""))))


CONVERSATIONAL: dict[str, Callable[[list[Turn]], dict[str, Any]]] = {
    "messages": lambda turns: {"messages": as_openai(turns)},
    "sharegpt": lambda turns: {"conversations": as_sharegpt(turns)},
    "turns": lambda turns: {str(i): turn for i, turn in enumerate(as_openai([*turns]))} | {str(len(turns)): None},
}


def example(format: str, row: Mapping[str, Any]) -> Any:
    return parse_row(SourceSpec(path="x.jsonl", format=format), row, "x.jsonl, row 1")


def runs(tokenizer: Any, tokens: Tokens) -> list[str]:
    """The texts of the runs of tokens that carry loss."""
    found: list[list[int]] = [[]]
    for token, learned in zip(tokens.ids, tokens.learned, strict=True):
        if learned:
            found[-1].append(token)
        elif found[-1]:
            found.append([])
    return [tokenizer.decode(ids, clean_up_tokenization_spaces=False) for ids in found if ids]


def check(tokenizer: Any, format: str, row: Mapping[str, Any], turns: list[Turn], said: list[str]) -> None:
    tokeniser = Tokeniser(tokenizer, train_on="responses", max_length=1 << 20)
    (tokens,) = tokeniser.encode([("x.jsonl, row 1", example(format, row))])[0]
    assert isinstance(tokens, Tokens)
    assert runs(tokenizer, tokens) == said
    assert tokens.ids == tokenizer.apply_chat_template(turns, date_string="26 Jul 2024", return_dict=False)
    assert tokens.ids.count(tokenizer.bos_token_id) == 1


slow_fixture = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("format", CONVERSATIONAL)
@slow_fixture
@given(plain(), st.booleans())
def test_conversations_survive(tokenizer: Any, format: str, turns: list[Turn], from_csv: bool) -> None:
    row = CONVERSATIONAL[format](turns)
    said = [turn["content"].strip() + END for turn in turns if turn["role"] == "assistant"]
    if from_csv and format == "turns":
        row.popitem()  # the empty column: in a CSV it is an empty cell
    check(tokenizer, format, in_csv(row) if from_csv else row, turns, said)


@pytest.mark.parametrize("format", CONVERSATIONAL)
@settings(slow_fixture, max_examples=12)  # Llama 3's template takes a second for some
@given(with_tools(), st.booleans())
def test_tool_calls_survive(llama3: Any, format: str, turns: list[Turn], from_csv: bool) -> None:
    row = CONVERSATIONAL[format](turns)
    said = []
    for turn in turns:
        if turn["role"] == "assistant" and "tool_calls" in turn:
            call = turn["tool_calls"][0]["function"]
            arguments = json.dumps(call["arguments"], ensure_ascii=False)
            said.append(f'{{"name": "{call["name"]}", "parameters": {arguments}}}{END}')
        elif turn["role"] == "assistant":
            said.append(turn["content"].strip() + END)
    if from_csv and format == "turns":
        row.popitem()
    check(llama3, format, in_csv(row) if from_csv else row, turns, said)


@slow_fixture
@given(contents, contents, contents, st.sampled_from(["preference", "conversations", "messages"]))
def test_preferences_survive(tokenizer: Any, question: str, chosen: str, other: str, form: str) -> None:
    rejected = other if other.strip() != chosen.strip() else other + "."
    asked = {"role": "user", "content": question}
    answers = {"chosen": chosen, "rejected": rejected}
    said = {name: {"role": "assistant", "content": text} for name, text in answers.items()}
    row: dict[str, Any] = {
        "preference": {"prompt": question, **answers},
        "conversations": {
            "conversations": as_sharegpt([asked]),
            **{name: {"from": "gpt", "value": text} for name, text in answers.items()},
        },
        "messages": {name: [asked, turn] for name, turn in said.items()},
    }[form]
    made = example("preference", row)
    assert isinstance(made, Preference)
    tokeniser = Tokeniser(tokenizer, train_on="responses", max_length=1 << 20)
    (pair,) = tokeniser.encode([("x.jsonl, row 1", made)])[0]
    assert isinstance(pair, Pair)
    for ids, turn in ((pair.chosen, said["chosen"]), (pair.rejected, said["rejected"])):
        assert pair.prompt + ids == tokenizer.apply_chat_template([asked, turn], return_dict=False)
        assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == turn["content"].strip() + END


@slow_fixture
@given(contents, contents, contents, st.sampled_from(["alpaca", "dolly", "question_answer", "problem_steps"]))
def test_questions_and_answers_survive(tokenizer: Any, question: str, more: str, answer: str, format: str) -> None:
    joined = f"{question.strip()}\n\n{more.strip()}"
    row, asked = {
        "alpaca": ({"instruction": question, "input": more, "output": answer}, joined),
        "dolly": ({"instruction": question, "context": more, "response": answer}, joined),
        "question_answer": ({"question": question, "answer": answer}, question),
        "problem_steps": ({"problem": question, "steps": answer}, question),
    }[format]
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    check(tokenizer, format, row, turns, [answer.strip() + END])
