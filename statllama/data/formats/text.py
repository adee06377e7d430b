"""Running text.

{"text": "The median is the value that splits a sorted sample in half."}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.config.source import SourceSpec
from statllama.data.examples import Document
from statllama.data.formats._values import as_text

REQUIRED = ("text",)
OPTIONAL = ()


def parse(values: Mapping[str, Any], source: SourceSpec) -> Document:
    """Return a Document."""
    return Document(as_text(values["text"], "text"))


def recognises(values: Mapping[str, Any]) -> bool:
    """Return whether the text is a string."""
    return isinstance(values["text"], str)
