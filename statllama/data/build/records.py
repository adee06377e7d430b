"""The records that steps hand on: plain JSON objects, and what became of each.

Every record says where it comes from. `Found` is what a collector yields: a file to extract, or text that needs none.
`Document` is what is read and learned from; `Row` is one example of a stage's data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

Json = dict[str, Any]


class Origin(TypedDict):
    """Where a document comes from."""

    collector: str
    """Name of the module in `collect/`."""
    place: str
    """Address, or the file's name below the folder that was collected."""
    title: NotRequired[str]
    authors: NotRequired[list[str]]
    year: NotRequired[int]
    licence: NotRequired[str]
    """An SPDX identifier where one is known, such as CC-BY-4.0, else as the source writes it; absent: unknown."""
    ids: NotRequired[dict[str, str]]
    """{kind: identifier}: `arxiv`, `doi`, `s2orc`, `stack_exchange`."""
    fields: NotRequired[list[str]]
    """Categories or tags, as the source has them."""


class Section(TypedDict):
    """A part of a document under one heading."""

    heading: str
    """Empty for text above the first heading."""
    level: int
    """1 for the document's chapters, 2 for what is below them."""
    kind: str
    """`abstract`, `introduction`, `background`, `methods`, `results`, `discussion`, `conclusion`, `references`,
    `appendix`, `acknowledgements` or `other`."""
    text: str
    """Paragraphs with an empty line between them."""
    pages: NotRequired[list[int]]
    """First and last page, from 1."""


class Found(TypedDict):
    """A document that a collector found: `file` and `form` to extract, or `sections` that need no extraction."""

    id: str
    """Unique and the same in every run: `arxiv:2601.09718v1`, `file:chapter/one.pdf`."""
    origin: Origin
    file: NotRequired[str]
    """Absolute, or below the folder of the entry that the record is in."""
    sha256: NotRequired[str]
    form: NotRequired[str]
    """Extension that says what the file is, without its dot: `pdf`, `docx`, `html`, `md`, `tex`, `txt`."""
    sections: NotRequired[list[Section]]


class Document(TypedDict):
    """Text to learn from, in reading order."""

    id: str
    origin: Origin
    sections: list[Section]
    extraction: NotRequired[Json]
    """How the text was read: `tool`, `pages`, `ocr_pages`."""
    topics: NotRequired[list[str]]
    """Topics of statistics that it is about, by the glossary."""


class Row(TypedDict):
    """One example. The format's own columns (`messages`, `prompt`, `chosen`, ...) are in `row`."""

    id: str
    part: str
    """Part of the build that it belongs to."""
    format: str
    """Name of the module in `data/formats` that reads it."""
    row: Json
    provenance: Json
    """`document` (id), `place`, `licence`, `section` (heading), `pages`, and of a written row `prompt`, `model`,
    `response` (their hashes and names); each check adds its finding under `checks`."""
    context: NotRequired[str]
    """Text that it was written from, for the checks; no stage trains on it."""


@dataclass(frozen=True)
class Kept:
    """A record that goes on to the next step."""

    record: Mapping[str, Any]


@dataclass(frozen=True)
class LeftOut:
    """A record, or a part of one, that goes no further."""

    reason: str
    """A few words, the same for all of its kind, such as `fewer than 50 words`: what is left out is counted by it."""
    where: str
    """Id of the record, and the place in it."""
    detail: str = ""
    """What was found: the offending text, a figure, an error."""
    record: Mapping[str, Any] | None = None
    """The record itself where a person will want to judge it, such as a written row."""

    def as_json(self) -> Json:
        """Return plain JSON values."""
        found: Json = {"reason": self.reason, "where": self.where}
        if self.detail:
            found["detail"] = self.detail
        return found if self.record is None else found | {"record": dict(self.record)}


Outcome = Kept | LeftOut


def text_of(document: Mapping[str, Any]) -> str:
    """Return a document's whole text: headings on lines of their own, paragraphs apart."""
    parts = (part for section in document["sections"] for part in (section["heading"], section["text"]))
    return "\n\n".join(part.strip() for part in parts if part.strip())
