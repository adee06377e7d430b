"""A paper as title -> text of its sections, for continual pre-training.

{"sections": {"Introduction": "Samples vary.", "Methods": "We drew 100 samples."}}

Without a column `sections` the row itself is that object: {"Introduction": "Samples vary.", "Methods": "..."}, which
`auto` does not recognise. Sections that are null or empty are left out, with their title.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.config.source import SourceSpec
from statllama.data.examples import Document
from statllama.data.formats._values import as_text, from_json, kind_of
from statllama.errors import DataError

REQUIRED = ()
OPTIONAL = ("sections",)
WHOLE_ROW = True


def parse(values: Mapping[str, Any], source: SourceSpec) -> Document:
    """Return a Document: each section's title as a Markdown heading, and its text."""
    found = values.get("sections", values)
    sections = from_json(found, "sections") if isinstance(found, str) else found
    if not isinstance(sections, Mapping):
        raise DataError(
            f"sections is {kind_of(sections)}, expected an object of titles and texts",
            remedy='it is written {"Introduction": "...", "Methods": "..."}',
        )
    parts = []
    for title, text in sections.items():
        body = "" if text is None else as_text(text, f"section {title!r}").strip()
        if body:
            parts.append(f"# {title.strip()}\n\n{body}")
    return Document("\n\n".join(parts))


def recognises(values: Mapping[str, Any]) -> bool:
    """Return whether the column `sections` holds an object."""
    return isinstance(values.get("sections"), Mapping)
