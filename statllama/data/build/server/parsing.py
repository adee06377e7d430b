"""A JSON object out of what a model said, with its usual slips mended.

Models put JSON into fences, say something before it, think first, leave commas at ends, and write LaTeX with one
backslash, which in JSON is another character: `\\frac` is a form feed and `rac`.
"""

from __future__ import annotations

import json
import re
from typing import Any

_THOUGHT = re.compile(r"\A.*</think>|<think>.*\Z", re.DOTALL)
_ESCAPE = re.compile(r'\\(\\|["/]|u[0-9a-fA-F]{4}|[A-Za-z]+|.)', re.DOTALL)
# Commands that begin like an escape of JSON. No text has a backspace, a form feed or a lone carriage return in it, so
# after `\b`, `\f` and `\r` any letters make a command; a tab and a new line may well have letters after them.
_TAB = re.compile(
    "tan|tanh|tau|text(?:bf|it|rm|sf|tt)?|tfrac|theta|therefore|thickapprox|thinspace|tilde|times|to|top|triangle"
)
_NEWLINE = re.compile("nabla|neg?|neq|nolimits|nonumber|not|notin|nu")
_COMMA = re.compile(r",\s*([}\]])")
MOST_STARTS = 50  # braces in what is said before the object


def parsed(text: str) -> dict[str, Any] | None:
    r"""Return the first JSON object in a reply; None when there is none.

    >>> parsed('Here it is:\n```json\n{"answer": "$\\frac{1}{2}$",}\n```')
    {'answer': '$\\frac{1}{2}$'}
    """
    said = _ESCAPE.sub(_doubled, _THOUGHT.sub("", text))
    return _first_object(said) or _first_object(_COMMA.sub(r"\1", said))


def _first_object(said: str) -> dict[str, Any] | None:
    decoder = json.JSONDecoder(strict=False, parse_constant=_no_number)  # lines may break inside a text
    start = said.find("{")
    for _ in range(MOST_STARTS):
        if start < 0:
            return None
        try:
            found = decoder.raw_decode(said, start)[0]
            return found if isinstance(found, dict) and found else None
        except (ValueError, RecursionError):
            start = said.find("{", start + 1)
    return None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _doubled(escape: re.Match[str]) -> str:
    """Return an escape as it is meant: one that begins a command of LaTeX, or that JSON does not have, is doubled."""
    letters = escape[1]
    first, several = letters[0], len(letters) > 1
    if first in '\\"/' or (first == "u" and re.fullmatch(r"u[0-9a-fA-F]{4}", letters)):
        return escape[0]
    command = (
        (first in "bfr" and several)
        or (first == "t" and _TAB.fullmatch(letters))
        or (first == "n" and _NEWLINE.fullmatch(letters))
    )
    return f"\\{escape[0]}" if command or first not in "bfnrt" else escape[0]
