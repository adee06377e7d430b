"""Checks that several formats share: is this value a text, is this one a list of messages?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from statllama.data.examples import Message
from statllama.errors import DataError

# Keys of a message that would change how it is rendered, so they must not be dropped in silence.
UNSUPPORTED = ("tool_calls", "function_call", "tools")


def as_text(value: Any, name: str) -> str:
    """The value when it is a string. DataError otherwise."""
    if not isinstance(value, str):
        raise DataError(f"{name} is {_kind(value)}, expected text")
    return value


def is_messages(value: Any) -> bool:
    """Whether the value is a list (of what should be messages) and not a text."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def as_messages(value: Any, name: str) -> tuple[Message, ...]:
    """The messages of a list of {role, content} objects. DataError names the message (from 1)."""
    if not is_messages(value):
        raise DataError(
            f"{name} is {_kind(value)}, expected a list of messages",
            remedy='a message is {"role": "user", "content": "..."}',
        )
    return tuple(_message(item, f"{name}, message {number}") for number, item in enumerate(value, start=1))


def _message(item: Any, place: str) -> Message:
    if not isinstance(item, Mapping) or item.get("role") is None or item.get("content") is None:
        got = f"keys {', '.join(map(str, item))}" if isinstance(item, Mapping) else _kind(item)
        raise DataError(f"{place} has no role and content (got {got})", remedy="a message has `role` and `content`")
    for key in UNSUPPORTED:
        if item.get(key):
            raise DataError(f"{place} has {key!r}, which is not supported", remedy="write the call into `content`")
    try:
        return Message(as_text(item["role"], "role"), as_text(item["content"], "content"))
    except DataError as error:
        raise DataError(f"{place}: {error.message}", remedy=error.remedy) from None


def _kind(value: Any) -> str:
    names = {str: "a text", bool: "true/false", int: "a number", float: "a number", dict: "an object"}
    return "null" if value is None else names.get(type(value), "a list" if is_messages(value) else "no text")
