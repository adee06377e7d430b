"""A conversation of two to four questions with their answers, each of which follows from those before.

{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}, ...]}
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from statllama.data.build.records import Json
from statllama.data.build.write.kinds._reply import Answer, Grounded, Part, Text

FORMAT = "messages"


class Exchange(Part):
    """A question and its answer."""

    question: Text
    answer: Answer


class Reply(Grounded):
    """What the model says."""

    exchanges: Annotated[list[Exchange], Field(min_length=2, max_length=4)]

    @field_validator("exchanges")
    @classmethod
    def _each_asks_something_else(cls, exchanges: list[Exchange]) -> list[Exchange]:
        if len({each.question.casefold() for each in exchanges}) < len(exchanges):
            raise ValueError("a question that is asked twice")
        return exchanges


def row(reply: Reply, seed: int) -> Json:
    """Return the columns of `messages`."""
    turns = ((role, text) for each in reply.exchanges for role, text in zip(_ROLES, _texts(each), strict=True))
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


_ROLES = ("user", "assistant")


def _texts(exchange: Exchange) -> tuple[str, str]:
    return exchange.question, exchange.answer
