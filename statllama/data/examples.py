"""The form of a row before tokenising: a document, a conversation, a completion, a preference, ...

Each of these checks itself when it is made. The DataErrors raised here do not know the file and the row:
`formats.parse_row` puts them in front.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from statllama.errors import DataError, near

ROLES = ("system", "user", "assistant", "tool")
# Which role may come after which; None is the start of a conversation.
FOLLOWS: dict[str | None, tuple[str, ...]] = {
    None: ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("tool", "assistant"),
}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool by the assistant. `arguments`: JSON values by name."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `content` is plain text, without any token of a chat template; it may be empty beside `calls`.

    `learned`: whether an assistant's turn carries loss, where it does at all; turns are equal whatever it is.
    """

    role: str
    content: str
    calls: tuple[ToolCall, ...] = ()
    learned: bool = field(default=True, compare=False)

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise DataError(f"unknown role {self.role!r}; {near(self.role, ROLES)}")
        if self.calls and self.role != "assistant":
            raise DataError(f"the {self.role} turn calls a tool; only the assistant can")
        if not self.content.strip() and not self.calls:
            raise DataError(f"the {self.role} turn is empty", remedy="remove the row, or give the turn some text")

    @property
    def text(self) -> str:
        """Return all that the turn says: its content, and each call as JSON on a line."""
        return "\n".join([self.content, *(as_json([call.name, call.arguments]) for call in self.calls)])


@dataclass(frozen=True, slots=True)
class Document:
    """Running text, for next-token loss on all of it."""

    text: str

    def __post_init__(self) -> None:
        _not_empty("text", self.text)


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns that end with the assistant's. Assistant turns from index `trained_from` on are learned, unless they say
    that they are not (`Message.learned`).

    `tools`: what the assistant may call, each as {"type": "function", "function": {"name": ..., ...}}.
    `columns`: what rewards check answers against, when the row is used as a question (see `questions.py`).
    """

    messages: tuple[Message, ...]
    trained_from: int = 0
    tools: tuple[Mapping[str, Any], ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_turns(self.messages)
        last = self.messages[-1].role
        if all(m.role != "assistant" for m in self.messages):
            raise DataError("the conversation has no assistant turn, so it teaches nothing")
        if last != "assistant":
            raise DataError(f"the conversation ends with the {last}'s turn; the last turn must be the assistant's")
        if not any(m.role == "assistant" and m.learned for m in self.messages[self.trained_from :]):
            raise DataError(
                "the conversation has no assistant turn to learn, so it teaches nothing: all say `train: false` or "
                "`weight: 0`",
                remedy="remove the row, or leave it to one of its turns to be learned",
            )

    @property
    def left_out(self) -> int:
        """Return the number of assistant turns that say that they are not learned."""
        return sum(m.role == "assistant" and not m.learned for m in self.messages[self.trained_from :])


@dataclass(frozen=True, slots=True)
class Completion:
    """Plain strings without a chat template: loss is taken on `completion` alone."""

    prompt: str
    completion: str

    def __post_init__(self) -> None:
        _not_empty("prompt", self.prompt)
        _not_empty("completion", self.completion)


@dataclass(frozen=True, slots=True)
class Preference:
    """A prompt (turns that end with the user's, or a plain string) and two answers to it, best first.

    The answers do not repeat the prompt. `tools`: as in a Conversation.
    """

    prompt: tuple[Message, ...] | str
    chosen: str
    rejected: str
    tools: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        _check_prompt(self.prompt)
        _not_empty("chosen", self.chosen)
        _not_empty("rejected", self.rejected)
        if self.chosen.strip() == self.rejected.strip():
            raise DataError("chosen equals rejected, so the pair states no preference", remedy="remove the row")


@dataclass(frozen=True, slots=True)
class Judgement:
    """A prompt (as of a Preference), one answer to it, and whether it is a good one. `tools`: as in a Conversation."""

    prompt: tuple[Message, ...] | str
    completion: str
    label: bool
    tools: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        _check_prompt(self.prompt)
        _not_empty("completion", self.completion)


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt (turns that end with the user's, or a plain string) that the model is to answer by itself.

    `columns`: what rewards check its answers against, JSON values by name. `tools`: as in a Conversation.
    """

    prompt: tuple[Message, ...] | str
    columns: Mapping[str, Any]
    tools: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        _check_prompt(self.prompt)


Example = Document | Conversation | Completion | Preference | Judgement | Question


def texts(example: Example) -> list[str]:
    """Return everything that an example says, part by part."""
    if isinstance(example, Document):
        return [example.text]
    if isinstance(example, Completion):
        return [example.prompt, example.completion]
    if isinstance(example, Conversation):
        return [m.text for m in example.messages]
    prompt = [example.prompt] if isinstance(example.prompt, str) else [m.text for m in example.prompt]
    if isinstance(example, Question):
        return [*prompt, str(example.columns.get("answer", ""))]
    if isinstance(example, Judgement):
        return [*prompt, example.completion]
    return [*prompt, example.chosen, example.rejected]


def check_turns(messages: Sequence[Message]) -> None:
    """Raise DataError unless the roles come in order: system (optional), then user and assistant in turn.

    After an assistant turn, tool turns may come before the assistant's next one.
    """
    if not messages:
        raise DataError("the list of messages is empty")
    before: str | None = None
    for number, message in enumerate(messages, start=1):
        if message.role not in FOLLOWS[before]:
            place = "at the start" if before is None else f"after {before}"
            allowed = " or ".join(FOLLOWS[before])
            raise DataError(f"wrong order of roles: message {number} is {message.role} {place}; expected {allowed}")
        before = message.role


def as_json(value: Any) -> str:
    """Return JSON as chat templates write it, with all characters as they are."""
    return json.dumps(value, ensure_ascii=False)


def _check_prompt(prompt: tuple[Message, ...] | str) -> None:
    if isinstance(prompt, str):
        _not_empty("prompt", prompt)
        return
    check_turns(prompt)
    if prompt[-1].role not in ("user", "tool"):
        raise DataError(f"the prompt ends with the {prompt[-1].role}'s turn; it must be the user's")


def _not_empty(name: str, text: str) -> None:
    if not text.strip():
        raise DataError(f"{name} is empty", remedy="remove the row, or give it some text")
