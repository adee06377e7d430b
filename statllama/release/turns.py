"""A chat template's text around each turn, found by rendering conversations of marked words. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from statllama.data.chat import Chat
from statllama.data.examples import Message

_MARKS = ("Quokka", "Wombat", "Numbat", "Bilby", "Dingo")  # words that no template writes by itself


@dataclass(frozen=True)
class Turns:
    """A conversation is `start`, the turns, and `generation` where the assistant is to speak.

    A turn is `before[role]`, its text, `after[role]`. `default` stands where the system's turn would be when there is
    none.
    """

    start: str
    """The beginning-of-sequence token, if the template writes it."""
    before: dict[str, str]
    after: dict[str, str]
    default: str
    generation: str

    def render(self, messages: Sequence[Message], generation_prompt: bool = False) -> str:
        """Return the conversation as text. Only the first turn may be the system's."""
        head = self.start + ("" if messages[0].role == "system" else self.default)
        turns = (self.before[m.role] + m.content.strip() + self.after[m.role] for m in messages)
        return head + "".join(turns) + (self.generation if generation_prompt else "")


def turns_of(chat: Chat, bos: str | None) -> Turns | None:
    """Return the template's turns for system, user and assistant; None when it has another shape than this.

    Whatever comes of probing is held against the template on other conversations: what is returned is what it writes.
    """
    try:
        found = _probe(chat, bos or "")
        return found if found is not None and all(_agrees(found, chat, talk) for talk in _TALKS) else None
    except Exception:  # a template is a program of somebody else's; it may refuse a system turn, or fail in any way
        return None


def _probe(chat: Chat, bos: str) -> Turns | None:
    system, first, reply, second, last = _MARKS
    talk = [Message("user", first), Message("assistant", reply), Message("user", second), Message("assistant", last)]
    pieces = _split(chat.render([Message("system", system), *talk]), _MARKS)
    alone = _split(chat.render(talk[:1]), (first,))
    if pieces is None or alone is None:
        return None
    head, system_user, user_assistant, assistant_user, _, end = pieces
    prompted = chat.render(talk[:1], generation_prompt=True)
    user_end, assistant_end = alone[1], end
    user = assistant_user.removeprefix(assistant_end)
    assistant = user_assistant.removeprefix(user_end)
    start = bos if bos and head.startswith(bos) else ""
    if not (system_user.endswith(user) and alone[0].endswith(user)):
        return None
    return Turns(
        start=start,
        before={"system": head.removeprefix(start), "user": user, "assistant": assistant},
        after={"system": system_user.removesuffix(user), "user": user_end, "assistant": assistant_end},
        default=alone[0].removeprefix(start).removesuffix(user),
        generation=prompted[len(alone[0]) + len(first) + len(user_end) :],
    )


def _split(text: str, marks: Sequence[str]) -> list[str] | None:
    """Return the texts before, between and after the marks; None unless each is there once, in this order."""
    pieces = []
    for mark in marks:
        before, found, text = text.partition(mark)
        if not found or mark in text:
            return None
        pieces.append(before)
    return [*pieces, text]


def _agrees(turns: Turns, chat: Chat, talk: Sequence[Message]) -> bool:
    return all(turns.render(talk, prompt) == chat.render(talk, generation_prompt=prompt) for prompt in (False, True))


_SYSTEM, _ASK = Message("system", "You are terse."), Message("user", "What is a mean?\n\nSay it in one line: 1 + 1.")
_ANSWER, _THANKS = Message("assistant", "The sum over n."), Message("user", "thanks { } | <b>")
_TALKS = (
    (_ASK,),
    (_SYSTEM, _ASK),
    (_ASK, _ANSWER),
    (_SYSTEM, _ASK, _ANSWER),
    (_ASK, _ANSWER, _THANKS),
    (_SYSTEM, _ASK, _ANSWER, _THANKS),
    (_SYSTEM, _ASK, _ANSWER, _THANKS, _ANSWER, _ASK),
)
