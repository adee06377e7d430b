"""Replies into rows, or into the reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from statllama.data.build.server.asking import Ended, Reply
from statllama.data.build.server.parsing import parsed

SHOWN = 300  # characters of a reply
_ENDED: Mapping[Ended, str] = {
    "length": "a reply cut at max_tokens",
    "filtered": "a reply held back by the server's filter",
    "refused": "a refusal",
    "unread": "a reply that the server could not read",
    "too long": "a prompt too long for the model",
}
_INVALID = {
    "missing": "a key missing in the reply",
    "string_too_short": "a text too short in the reply",
    "string_too_long": "a text too long in the reply",
    "too_short": "a list too short in the reply",
    "too_long": "a list too long in the reply",
}


@dataclass(frozen=True)
class Fault:
    """Why a reply is of no use. `reason`: the same for all of its kind; `detail`: where, and how the reply begins."""

    reason: str
    detail: str


def read_reply(kind: ModuleType, reply: Reply) -> Any | Fault:
    """Return what a reply says, as the kind's `Reply`, or what is wrong with it."""
    said = " ".join(reply.text.split())[:SHOWN]
    if reply.ended != "stop":
        return Fault(_ENDED[reply.ended], said)
    if not said:
        return Fault("an empty reply", "")
    found = parsed(reply.text)
    if found is None:
        return Fault("no JSON object in the reply", said)
    try:
        return kind.Reply.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        if first["type"] == "value_error":
            reason = str(first["ctx"]["error"])
        else:
            reason = _INVALID.get(first["type"], "a value of another type in the reply")
        return Fault(reason, f"{place}: {said}" if place else said)
