"""Running text.

{"text": "The median is the value that splits a sorted sample in half."}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.data.examples import Document
from statllama.data.formats._values import as_text

REQUIRED = ("text",)
OPTIONAL = ()


def parse(values: Mapping[str, Any], render: str) -> Document:
    """A Document; `render` does not matter."""
    return Document(as_text(values["text"], "text"))
