"""A conversation in numbered columns, each holding one message, with empty ones at the end.

{"0": {"role": "user", "content": "What is 1 + 1?"}, "1": {"role": "assistant", "content": "2"}, "2": null}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.config.source import SourceSpec
from statllama.data.examples import Conversation
from statllama.data.formats._values import as_messages, decoded
from statllama.errors import DataError

REQUIRED = ("0", "1")
OPTIONAL = tuple(str(number) for number in range(2, 200))


def parse(values: Mapping[str, Any], source: SourceSpec) -> Conversation:
    """Return a Conversation in which every assistant turn is learned."""
    columns = [name for name in (*REQUIRED, *OPTIONAL) if values.get(name)]
    if columns != [str(number) for number in range(len(columns))]:
        gap = next(str(number) for number, name in enumerate(columns) if name != str(number))
        raise DataError(f"column {gap!r} is empty, but a later one is not", remedy="only the last turns may be empty")
    return Conversation(as_messages([decoded(values[name]) for name in columns], "turns"))


def recognises(values: Mapping[str, Any]) -> bool:
    """Return whether the first column holds a message."""
    first = decoded(values["0"])
    return isinstance(first, Mapping) and "role" in first
