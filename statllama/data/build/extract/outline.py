"""Sections out of blocks: what every form of file ends in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from statllama.data.build.extract.characters import tidy
from statllama.data.build.headings import kind_of_heading
from statllama.data.build.records import Section


@dataclass(frozen=True)
class Block:
    """A heading or a paragraph, in reading order."""

    text: str
    """Lines of a table or a listing keep their line ends."""
    level: int = 0
    """Of a heading, from 1; 0: a paragraph."""
    page: int = 0
    """Page that it begins on, from 1; 0: the form has no pages."""
    last_page: int = 0
    """Page that it ends on, where that is another one."""
    note: bool = False
    """A footnote: it goes to the end of its section."""


@dataclass(frozen=True)
class Extracted:
    """What a form read from a file."""

    blocks: Sequence[Block]
    title: str = ""
    """As the file or its first page says; empty: unknown."""
    about: dict[str, object] = field(default_factory=dict)
    """For `Document.extraction`: `tool`, `pages`, `ocr_pages`."""
    left_out: Sequence[tuple[str, str, str]] = ()
    """(reason, place within the file, what was found) of the parts that are not in the blocks."""


_RUN_IN = re.compile(r"(abstract|summary)\s*[.:—–-]+\s*(?=\S)", re.IGNORECASE)
_RUN_IN_WITHIN = 12  # blocks of a document in which an abstract may begin
_LETTERED = re.compile(r"[A-Z](\.\d+)*[.:)]?\s+\S")
_NOT_INHERITED = ("other", "references", "abstract")


def sections_of(blocks: Iterable[Block], title: str = "") -> list[Section]:
    """Return the sections: each heading with the text below it. A section below another of a known kind is of that
    kind unless its heading says otherwise; nothing is inherited from references or an abstract. Behind the references a
    heading with a letter is an appendix. The heading that is the `title` has no kind: it is what all of the text is
    about.
    """
    sections: list[Section] = []
    parents: list[tuple[int, str]] = []  # (level, kind) of the headings that the text stands under
    behind_references = False
    for heading, body in _grouped(_with_abstract(list(blocks))):
        level = heading.level if heading else 1
        while parents and parents[-1][0] >= level:
            parents.pop()
        kind = kind_of_heading(heading.text) if heading and heading.text != title else "other"
        if kind == "other" and behind_references and heading and _LETTERED.match(heading.text):
            kind = "appendix"
        behind_references = behind_references or kind == "references"
        if kind == "other" and parents and parents[-1][1] not in _NOT_INHERITED:
            kind = parents[-1][1]
        if heading:
            parents.append((level, kind))
        text = "\n\n".join(tidy(block.text) for block in [*_notes_last(body)])
        section: Section = {
            "heading": tidy(heading.text) if heading else "",
            "level": level,
            "kind": kind,
            "text": text,
        }
        pages = [
            page for block in ([heading] if heading else []) + body for page in (block.page, block.last_page) if page
        ]
        if pages:
            section["pages"] = [min(pages), max(pages)]
        sections.append(section)
    return sections


def _grouped(blocks: Sequence[Block]) -> Iterable[tuple[Block | None, list[Block]]]:
    """Yield each heading with its paragraphs; None with those above the first heading."""
    heading, body = None, list[Block]()
    for block in blocks:
        if not tidy(block.text):
            continue
        if block.level:
            if heading or body:
                yield heading, body
            heading, body = block, []
        else:
            body.append(block)
    if heading or body:
        yield heading, body


def _notes_last(body: Sequence[Block]) -> list[Block]:
    return [block for block in body if not block.note] + [block for block in body if block.note]


def _with_abstract(blocks: list[Block]) -> list[Block]:
    """Return the blocks with a heading of its own for `Abstract. We show ...`."""
    early = blocks[:_RUN_IN_WITHIN]
    if any(block.level and kind_of_heading(block.text) == "abstract" for block in early):
        return blocks
    for i, block in enumerate(early):
        if not block.level and (match := _RUN_IN.match(block.text)):
            level = next((later.level for later in blocks[i:] if later.level), 1)
            heading = Block(match[1].capitalize(), level, block.page)
            rest = Block(block.text[match.end() :], 0, block.page, block.last_page)
            return [*blocks[:i], heading, rest, *blocks[i + 1 :]]
    return blocks
