r"""A conversation as a list of from/value turns, also with tools.

{"conversations": [{"from": "human", "value": "What is the mean of 1 and 3?"},
                   {"from": "function_call", "value": "{\"name\": \"mean\", \"arguments\": {\"of\": [1, 3]}}"},
                   {"from": "observation", "value": "{\"mean\": 2}"},
                   {"from": "gpt", "value": "The mean is 2."}],
 "tools": "[{\"name\": \"mean\", \"description\": \"Mean of numbers\", \"parameters\": {}}]", "system": "Be brief."}

A `function_call` is an assistant turn that calls a tool, and is learned; an `observation` is a tool's answer. Both
are given to the chat template in the form it gets at inference (`tool_calls`, role `tool`, `tools`), so it decides
how they look: Llama 3 writes the call as {"name": ..., "parameters": ...}, the observation as a JSON text in a turn
of role `ipython`, and the tools before the first question.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.config.source import SourceSpec
from statllama.data.examples import Conversation, Message
from statllama.data.formats._values import (
    as_calls,
    as_text,
    as_tools,
    decoded,
    from_json,
    has_keys,
    is_learned,
    is_list,
    kind_of,
)
from statllama.errors import DataError, near

REQUIRED = ("conversations",)
OPTIONAL = ("system", "tools")
ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "function_response": "tool",
    "tool": "tool",
}


def parse(values: Mapping[str, Any], source: SourceSpec) -> Conversation:
    """Return a Conversation in which every assistant turn is learned that does not say `train: false`."""
    turns = as_turns(values["conversations"], "conversations")
    return Conversation(with_system(turns, values.get("system")), tools=as_tools(values.get("tools")))


def recognises(values: Mapping[str, Any]) -> bool:
    """Return whether the first turn has `from`."""
    return has_keys(values["conversations"], "from")


def as_turns(value: Any, name: str) -> tuple[Message, ...]:
    """Return the messages of one from/value object or of a list of them. DataError names the turn (from 1)."""
    found = decoded(value)
    if not is_list(found) and not isinstance(found, Mapping):
        raise DataError(
            f"{name} is {kind_of(found)}, expected a list of turns",
            remedy='a turn is {"from": "human", "value": "..."}',
        )
    turns = found if is_list(found) else [found]
    return tuple(_turn(item, f"{name}, turn {number}") for number, item in enumerate(turns, start=1))


def with_system(turns: tuple[Message, ...], system: Any) -> tuple[Message, ...]:
    """Return the turns after the column `system`, where it has text. DataError when the turns have another one."""
    text = "" if system is None else as_text(system, "system").strip()
    if not text or turns[:1] == (Message("system", text),):
        return turns
    if turns and turns[0].role == "system":
        raise DataError("the column `system` and the first turn are both system prompts", remedy="keep one of them")
    return (Message("system", text), *turns)


def _turn(item: Any, place: str) -> Message:
    if not isinstance(item, Mapping) or item.get("from") is None or item.get("value") is None:
        got = f"keys {', '.join(map(str, item))}" if isinstance(item, Mapping) else kind_of(item)
        raise DataError(f"{place} has no from and value (got {got})", remedy="a turn has `from` and `value`")
    try:
        speaker, value = as_text(item["from"], "from"), item["value"]
        if speaker not in ROLES:
            raise DataError(f"unknown speaker {speaker!r}; {near(speaker, ROLES)}")
        learned = is_learned(item, ROLES[speaker])
        if speaker == "function_call":
            calls = as_calls(from_json(value, "value") if isinstance(value, str) else value)
            return Message("assistant", "", calls, learned)
        return Message(ROLES[speaker], as_text(value, "value"), learned=learned)
    except DataError as error:
        raise DataError(f"{place}: {error.message}", remedy=error.remedy) from None
