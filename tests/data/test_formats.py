"""Rows to examples: every form of each format, and what is said about rows that have another."""

from __future__ import annotations

from typing import Any

import pytest

from statllama.config.source import SourceSpec
from statllama.data.examples import Completion, Conversation, Document, Message, Preference
from statllama.data.formats import format_names, parse_row
from statllama.errors import DataError
from tests.data.conftest import turns

USER, ASSISTANT = Message("user", "q"), Message("assistant", "a")


def parse(format: str, row: dict[str, Any], render: Any = "chat", **columns: str) -> Any:
    source = SourceSpec(path="x.jsonl", format=format, columns=columns, render=render)
    return parse_row(source, row, "x.jsonl, row 3")


def test_formats_are_found_by_module_name() -> None:
    assert {"messages", "preference", "prompt_completion", "text"} <= set(format_names())


def test_unknown_format_names_the_nearest() -> None:
    with pytest.raises(DataError, match="unknown format 'message'; did you mean 'messages'"):
        parse("message", {})


@pytest.mark.parametrize(
    ("format", "row", "render", "expected"),
    [
        ("text", {"text": "t", "title": 1}, "chat", Document("t")),
        ("messages", {"messages": turns("q", "a")}, "chat", Conversation((USER, ASSISTANT))),
        ("prompt_completion", {"prompt": "q", "completion": "a"}, "chat", Conversation((USER, ASSISTANT))),
        ("prompt_completion", {"prompt": "q", "completion": "a"}, "plain", Completion("q", "a")),
        (
            "prompt_completion",
            {"prompt": turns("q", "a", "q"), "completion": [{"role": "assistant", "content": "a"}]},
            "plain",
            Conversation((USER, ASSISTANT, USER, ASSISTANT), trained_from=3),
        ),
        (
            "preference",
            {"prompt": "q", "chosen": "a", "rejected": "b"},
            "chat",
            Preference((USER,), "a", "b"),
        ),
        ("preference", {"prompt": "q", "chosen": "a", "rejected": "b"}, "plain", Preference("q", "a", "b")),
        (
            "preference",
            {"prompt": turns("q"), "chosen": turns("q", "a")[1:], "rejected": turns("q", "b")[1:]},
            "chat",
            Preference((USER,), "a", "b"),
        ),
        (
            "preference",
            {"chosen": turns("q", "a", "q", "a"), "rejected": turns("q", "a", "q", "b")},
            "chat",
            Preference((USER, ASSISTANT, USER), "a", "b"),
        ),
        (
            "preference",  # the prompt is not repeated when the answers are whole conversations
            {"prompt": turns("q"), "chosen": turns("q", "a"), "rejected": turns("q", "b")},
            "chat",
            Preference((USER,), "a", "b"),
        ),
    ],
)
def test_row_becomes_example(format: str, row: dict[str, Any], render: str, expected: Any) -> None:
    assert parse(format, row, render) == expected


def test_tool_turns_may_follow_the_assistant() -> None:
    messages = [*turns("q", "call"), {"role": "tool", "content": "4"}, {"role": "assistant", "content": "a"}]
    assert [m.role for m in parse("messages", {"messages": messages}).messages][2] == "tool"


def test_missing_column_names_file_row_column_found_nearest_and_remedy() -> None:
    with pytest.raises(DataError) as caught:
        parse("prompt_completion", {"prompts": "q", "completion": "a"})
    text = str(caught.value)
    assert text.startswith("x.jsonl, row 3: no column 'prompt'")
    assert "columns found: prompts, completion" in text
    assert "did you mean 'prompts'" in text
    assert "columns: {prompt: prompts}" in text
    assert caught.value.exit_code == 2


def test_columns_rename_and_are_checked() -> None:
    row = {"question": "q", "answer": "a"}
    example = parse("prompt_completion", row, "plain", prompt="question", completion="answer")
    assert example == Completion("q", "a")
    with pytest.raises(DataError, match="format prompt_completion has no column 'question'"):
        parse("prompt_completion", row, question="prompt")
    with pytest.raises(DataError, match=r"no column 'problem'.*columns found: question, answer"):
        parse("prompt_completion", row, prompt="problem", completion="answer")


@pytest.mark.parametrize(
    ("format", "row", "message"),
    [
        ("text", {"text": None}, "column 'text' is null"),
        ("text", {"text": " \n"}, "text is empty"),
        ("text", {"text": 3}, "text is a number, expected text"),
        ("messages", {"messages": []}, "the list of messages is empty"),
        ("messages", {"messages": "q"}, "messages is a text, expected a list of messages"),
        ("messages", {"messages": turns("q")}, "no assistant turn"),
        ("messages", {"messages": turns("q", "a", "q")}, "ends with the user's turn"),
        ("messages", {"messages": turns("q", " ")}, "messages, message 2: the assistant turn is empty"),
        (
            "messages",
            {"messages": [*turns("q", "a")] * 2 + turns("q", "a")[1:]},
            "message 5 is assistant after assistant",
        ),
        (
            "messages",
            {"messages": turns("q", "a")[1:]},
            "message 1 is assistant at the start; expected system or user",
        ),
        (
            "messages",
            {"messages": [*turns("q", "a"), *turns("q", "a", system="s")]},
            "message 3 is system after",
        ),
        ("messages", {"messages": [{"from": "human", "value": "q"}]}, "message 1 has no role and content"),
        ("messages", {"messages": [{"role": "human", "content": "q"}]}, "unknown role 'human'"),
        ("messages", {"messages": [{"role": "user", "content": ["q"]}]}, "message 1: content is a list"),
        (
            "messages",
            {"messages": [*turns("q"), {"role": "assistant", "content": "a", "tool_calls": [{}]}]},
            "messages, message 2: not a tool call: '{}'",
        ),
        ("prompt_completion", {"prompt": "q", "completion": turns("q")}, "both must be the same"),
        ("prompt_completion", {"prompt": "q", "completion": ""}, "completion is empty"),
        ("preference", {"prompt": "q", "chosen": "a", "rejected": " a"}, "chosen equals rejected"),
        ("preference", {"chosen": turns("q", "a"), "rejected": turns("q", "a")}, "chosen equals rejected"),
        ("preference", {"chosen": turns("q", "a"), "rejected": turns("p", "b")}, "share no turn"),
        ("preference", {"chosen": "a", "rejected": "b"}, "no column 'prompt'"),
        (
            "preference",
            {"chosen": turns("q", "a", "q", "a"), "rejected": turns("q", "b", "q", "b")},
            "chosen must be one assistant turn after the prompt; it is assistant, user, assistant",
        ),
        (
            "preference",
            {"prompt": turns("q", "a"), "chosen": "a", "rejected": "b"},
            "ends with the assistant's turn",
        ),
    ],
)
def test_bad_row_is_named(format: str, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        parse(format, row)
    assert str(caught.value).startswith("x.jsonl, row 3: ")
    assert message in str(caught.value)
