"""Checks that several formats share: texts, lists of messages, lists of tools."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from statllama.data.examples import Conversation, Message, ToolCall
from statllama.errors import DataError

# Keys of a message that would change how it is rendered, so they must not be dropped in silence.
UNSUPPORTED = ("function_call", "tools", "reasoning_content", "refusal", "audio")
# A turn in single quotes: what a program writes that turns a list into text without making JSON of it.
NOT_JSON = re.compile(r"\s*\[?\s*\{\s*'(role|content|from|value)'\s*:")
TURN_KEYS = ({"role", "content"}, {"from", "value"})


def as_text(value: Any, name: str) -> str:
    """Return the value when it is a string. DataError otherwise."""
    if not isinstance(value, str):
        raise DataError(f"{name} is {kind_of(value)}, expected text")
    return value


def one_turn(question: str, answer: str, columns: Mapping[str, Any] | None = None) -> Conversation:
    """Return the question as the user's turn and the answer as the assistant's. `columns`: see `Conversation`."""
    return Conversation((Message("user", question), Message("assistant", answer)), columns=columns or {})


def with_context(instruction: Any, context: Any, name: str) -> str:
    """Return an instruction and what it is about, with a blank line between them; `name`: the context's column."""
    asked, about = as_text(instruction, "instruction").strip(), as_text(context, name).strip()
    return f"{asked}\n\n{about}" if about else asked


def is_list(value: Any) -> bool:
    """Return whether the value is a list and not a text."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def decoded(value: Any) -> Any:
    """Return a turn, or a list of turns, that is written as JSON text (as in CSV, whose cells are texts), as what it
    is.

    Other values stay as they are. DataError for turns in Python's notation, which is no JSON.
    """
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    if NOT_JSON.match(value):
        raise DataError(
            f"turns that are neither JSON nor a list: {value.strip()[:40]!r}",
            remedy="write them with json.dumps, or keep the rows in .jsonl or .parquet",
        )
    try:
        found = json.loads(value)
    except (json.JSONDecodeError, RecursionError):
        return value
    turns = found if isinstance(found, list) else [found]
    return found if turns and all(_is_turn(turn) for turn in turns) else value


def _is_turn(value: Any) -> bool:
    return isinstance(value, Mapping) and any(keys <= set(value) for keys in TURN_KEYS)


def has_keys(value: Any, *keys: str) -> bool:
    """Return whether the value is a list of turns whose first has these keys: how `auto` tells formats apart."""
    turns = decoded(value)
    return is_list(turns) and len(turns) > 0 and isinstance(turns[0], Mapping) and set(keys) <= set(turns[0])


def as_messages(value: Any, name: str) -> tuple[Message, ...]:
    """Return the messages of a list of {role, content} objects, as OpenAI writes them. DataError names the message
    (from 1).

    An assistant's message may have `tool_calls` in place of content, and `train: false` or `weight: 0`; a tool's
    `tool_call_id` is not read, because the answers come in the order of the calls.
    """
    found = decoded(value)
    if not is_list(found):
        raise DataError(
            f"{name} is {kind_of(found)}, expected a list of messages",
            remedy='a message is {"role": "user", "content": "..."}',
        )
    return tuple(_message(item, f"{name}, message {number}") for number, item in enumerate(found, start=1))


def _message(item: Any, place: str) -> Message:
    calls = item.get("tool_calls") if isinstance(item, Mapping) else None
    if not isinstance(item, Mapping) or item.get("role") is None or (item.get("content") is None and not calls):
        got = f"keys {', '.join(map(str, item))}" if isinstance(item, Mapping) else kind_of(item)
        raise DataError(f"{place} has no role and content (got {got})", remedy="a message has `role` and `content`")
    for key in UNSUPPORTED:
        if item.get(key):
            raise DataError(f"{place} has {key!r}, which is not supported", remedy="write it into `content`")
    try:
        content = "" if item.get("content") is None else as_text(item["content"], "content")
        role = as_text(item["role"], "role")
        return Message(role, content, as_calls(calls) if calls else (), is_learned(item, role))
    except DataError as error:
        raise DataError(f"{place}: {error.message}", remedy=error.remedy) from None


def is_learned(item: Mapping[str, Any], role: str) -> bool:
    """Return whether a message is learned, by its `train` (true or false) or `weight` (0 or 1, as OpenAI has it).

    DataError for other values, for the two at odds, and for a turn to learn that is not the assistant's.
    """
    said = {name: item[name] for name in ("train", "weight") if item.get(name) is not None}
    for name, value in said.items():
        kinds = (bool,) if name == "train" else (int, float)
        if not isinstance(value, kinds) or value not in (0, 1):
            raise DataError(f"`{name}` is {value!r}, expected {'true or false' if name == 'train' else '0 or 1'}")
    if len({bool(value) for value in said.values()}) == 2:
        raise DataError(f"`train: {str(said['train']).lower()}` and `weight: {said['weight']:g}` contradict each other")
    if said.get("train") and role != "assistant":
        raise DataError(f"`train: true` on the {role} turn; only the assistant's turns are learned")
    return all(said.values())


def as_calls(value: Any) -> tuple[ToolCall, ...]:
    """Return one tool call or a list of them: {name, arguments}, or OpenAI's {function: {name, arguments}}.

    Arguments are an object, or one written as JSON text.
    """
    return tuple(_call(item) for item in (value if is_list(value) else [value]))


def _call(item: Any) -> ToolCall:
    call = item.get("function", item) if isinstance(item, Mapping) else item
    arguments = call.get("arguments") if isinstance(call, Mapping) else None
    if isinstance(arguments, str):
        arguments = from_json(arguments, "arguments")
    if not isinstance(call, Mapping) or not isinstance(call.get("name"), str) or not isinstance(arguments, Mapping):
        raise DataError(
            f"not a tool call: {str(item)[:60]!r}",
            remedy='a tool call is {"name": "mean", "arguments": {"of": [1, 3]}}',
        )
    return ToolCall(call["name"], arguments)


def as_tools(value: Any) -> tuple[Mapping[str, Any], ...]:
    """Return the tools of a row: a list of {name, description, parameters}, as it is or as JSON text; none for an empty
    one.

    Each becomes {"type": "function", "function": {...}}, the form in which chat templates get tools at inference.
    """
    found = from_json(value, "tools") if isinstance(value, str) and value.strip() else value
    if not found:
        return ()
    tools = []
    for number, item in enumerate(found if is_list(found) else [found], start=1):
        function = item.get("function", item) if isinstance(item, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise DataError(
                f"tools, entry {number} is not a tool: {str(item)[:60]!r}",
                remedy='a tool is {"name": "mean", "description": "...", "parameters": {...}}',
            )
        tools.append({"type": "function", "function": dict(function)})
    return tuple(tools)


def from_json(text: str, name: str) -> Any:
    """Return the value of a JSON text. DataError for what is none."""
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        raise DataError(f"{name} is a text that is not JSON: {text[:60]!r}") from None


def kind_of(value: Any) -> str:
    """Name the kind of a value."""
    names = {str: "a text", bool: "true/false", int: "a number", float: "a number", dict: "an object"}
    return "null" if value is None else names.get(type(value), "a list" if is_list(value) else "no text")
