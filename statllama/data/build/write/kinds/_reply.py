"""What replies of all kinds share: a quote that supports them, and texts of a sensible length."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_PLACEHOLDER = re.compile(r"[\W_]*(?:(?:string|text|question|answer|quote|sentence)[\W_]*)?", re.IGNORECASE)
_LINES = re.compile(r"\s*\n\s*")


def _said(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("control characters in the reply")
    if _PLACEHOLDER.fullmatch(text):
        raise ValueError("a placeholder in the reply")  # `...`: the prompt's own example
    return text


def _one_line(text: str) -> str:
    return _LINES.sub(" ", text)


Quote = Annotated[str, StringConstraints(min_length=10, max_length=2000), AfterValidator(_said)]
Text = Annotated[str, StringConstraints(min_length=10, max_length=6000), AfterValidator(_said)]
"""A question, an explanation, an answer in sentences."""
Short = Annotated[
    str, StringConstraints(min_length=1, max_length=300), AfterValidator(_one_line), AfterValidator(_said)
]
"""A result, a word, an option: on one line."""
Answer = Annotated[str, StringConstraints(min_length=1, max_length=6000), AfterValidator(_said)]
"""An answer, which may be as short as a number."""


class Part(BaseModel):
    """A part of a reply. Keys that nobody asked for are no fault; blanks around texts are cut."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, str_strip_whitespace=True)


class Grounded(Part):
    """A reply. The quote comes first, so that what follows is written from it."""

    quote: Annotated[Quote, Field(description="A sentence of the text, word for word, that supports the answer.")]
