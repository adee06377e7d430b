"""Lines to blocks: paragraphs by the space between lines and by indents, over columns and pages; headings; captions and
tables apart from the text that they interrupt; footnotes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from statllama.data.build.extract.characters import plain
from statllama.data.build.extract.hyphens import joined, words_of
from statllama.data.build.extract.layout.columns import Column
from statllama.data.build.extract.layout.styles import (
    BIGGER,
    CAPTION,
    LONGEST,
    Body,
    Placed,
    body_of,
    depth_of,
    is_heading,
    levels_of,
    look_of,
    place,
)
from statllama.data.build.extract.layout.tables import row_text
from statllama.data.build.extract.outline import Block
from statllama.data.build.headings import kind_of_heading

_BULLET = re.compile(r"[•◦▪‣●■]\s*|[–—*-]\s+(?=\S)")
_ITEM = re.compile(r"[(\[]?(\d{1,3}|[a-z]|[ivx]{1,4})[)\].]+\s+(?=\S)")
_ENTRY = re.compile(r"\[[\w+-]{1,12}\]\s*(?=\S)")  # of a list of references
_NOTE = re.compile(r"(\d{1,2}|[*∗†‡§¶]{1,2})\s?(?=[^\d\s.,)])")
_ENDED = re.compile(r"[.!?:;]['\"”’)\]]*\d{0,2}$")
_NOTE_SIZE = 0.94  # of the text's
_TITLE_SIZE = 1.4  # of the text's
_INDENT = (0.7, 4.0)  # of a first line, in font sizes; what stands further in is a formula


@dataclass
class _Part:
    """Lines that make a block."""

    kind: str
    """`heading`, `text`, `caption`, `table`, `listing` or `note`."""
    lines: list[Placed] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return _ENDED.search(self.lines[-1].text) is not None


@dataclass(frozen=True)
class _Shape:
    """Where the lines of a run of text begin."""

    margin: float
    hanging: bool
    """Whether the first line of a paragraph stands out, as in a list of references."""


def blocks_of(columns: Sequence[tuple[int, Column]]) -> tuple[list[Block], str]:
    """Return the blocks of a document's columns, (page, column) in reading order; and its title, empty if unknown."""
    placed = [place(column, page) for page, column in columns]
    lines = [one for column in placed for one in column]
    if not lines:
        return [], ""
    body = body_of(lines)
    parts = list[_Part]()
    for column in placed:
        _add_column(parts, column, body)
    words = words_of(one.text for one in lines)
    parts = _with_whole_title(parts, body)
    title = _title(parts, body)
    _authors_are_text(parts, title)
    headings = [part for part in parts if part.kind == "heading"]
    levels = levels_of([(_text(part, words), look_of(part.lines[0])) for part in headings if part is not title])
    level_of = dict(zip((id(part) for part in headings if part is not title), levels, strict=True))
    blocks = [
        Block(
            _text(part, words),
            1 if part is title else level_of.get(id(part), 0),
            part.lines[0].page,
            part.lines[-1].page,
            note=part.kind == "note",
        )
        for part in parts
    ]
    return blocks, _text(title, words) if title is not None else ""


def _with_whole_title(parts: Sequence[_Part], body: Body) -> list[_Part]:
    """Return the parts with lines joined that follow each other in the large letters of a title."""
    joined_parts = list[_Part]()
    for part in parts:
        before = joined_parts[-1] if joined_parts else None
        if (
            before is not None
            and before.kind == part.kind == "heading"
            and (look := look_of(part.lines[0])) == look_of(before.lines[0])
            and look.size >= _TITLE_SIZE * body.size
            and not depth_of(part.lines[0].text)
        ):
            before.lines += part.lines
        else:
            joined_parts.append(part)
    return joined_parts


def _title(parts: Sequence[_Part], body: Body) -> _Part | None:
    """Return which heading is the title: the one in the largest letters of the first page, and of all."""
    headings = [part for part in parts if part.kind == "heading"]
    first = min((part.lines[0].page for part in headings), default=0)
    here = [part for part in headings if part.lines[0].page == first][:4]
    sizes = {id(part): look_of(part.lines[0]).size for part in headings}
    largest = max(here, key=lambda part: sizes[id(part)], default=None)
    if largest is None or first > 2 or sizes[id(largest)] < 1.15 * body.size:
        return None
    others = [size for key, size in sizes.items() if key != id(largest)]
    return largest if not others or max(others) < sizes[id(largest)] else None


def _authors_are_text(parts: Sequence[_Part], title: _Part | None) -> None:
    """Call text what looks like headings between the title and the first heading of its page that has a number or names
    a kind of section: names and addresses are often set large.
    """
    if title is None:
        return
    start = next(i for i, part in enumerate(parts) if part is title) + 1
    page = title.lines[0].page
    between = list[_Part]()
    for part in parts[start:]:
        if part.lines[0].page != page:
            return
        if part.kind == "heading" and (depth_of(part.lines[0].text) or kind_of_heading(part.lines[0].text) != "other"):
            break
        between.append(part)
    else:
        return
    for part in between:
        part.kind = "text" if part.kind == "heading" else part.kind


def _text(part: _Part, words: frozenset[str]) -> str:
    if part.kind == "table":
        return "\n".join(plain(row_text(one.line)) for one in part.lines)
    if part.kind == "listing":
        return "\n".join(one.text for one in part.lines)
    text = part.lines[0].text
    for one in part.lines[1:]:
        text = joined(text, one.text, words)
    return text


def _add_column(parts: list[_Part], column: Sequence[Placed], body: Body) -> None:
    """Add a column's parts to those of the columns before."""
    notes = _first_note(column, body)
    kinds = ["note" if i >= notes else _kind(one, body) for i, one in enumerate(column)]
    kinds = _without_long_headings(column, _with_second_lines(column, kinds, body))
    at = 0
    for kind, group in groupby(kinds):
        lines = column[at : at + len(list(group))]
        first = at == 0
        at += len(lines)
        if kind == "heading":
            parts += _headings(lines, body)
        elif kind in ("table", "listing"):
            parts.append(_Part(kind, list(lines)))
        elif kind == "note":
            parts += _notes(lines)
        else:
            _add_text(parts, lines, body, first)


def _kind(one: Placed, body: Body) -> str:
    if not body.fixed and all(piece.font.fixed for piece in one.line.pieces):
        return "listing"
    return "table" if one.row else "heading" if is_heading(one, body) else "text"


def _with_second_lines(column: Sequence[Placed], kinds: Sequence[str], body: Body) -> list[str]:
    """Call a heading what goes on below one in the same look, where that is not the text's."""
    result = list[str]()
    for i, kind in enumerate(kinds):
        after_heading = kind == "text" and i > 0 and result[i - 1] == "heading"
        look = look_of(column[i])
        apart = (look.bold and not body.bold) or look.size >= BIGGER * body.size
        result.append("heading" if after_heading and apart and look == look_of(column[i - 1]) else kind)
    return result


def _without_long_headings(column: Sequence[Placed], kinds: list[str]) -> list[str]:
    """Call text what looks like a heading but is longer than one: a paragraph in bold."""
    result = list[str]()
    for kind, group in groupby(range(len(kinds)), key=lambda i: (kinds[i], look_of(column[i]))):
        lines = [column[i] for i in group]
        tight = kind[0] == "heading" and sum(len(one.text) for one in lines) > 1.5 * LONGEST and len(lines) > 3
        result += ["text" if tight else kind[0]] * len(lines)
    return result


def _headings(lines: Sequence[Placed], body: Body) -> Iterator[_Part]:
    """Yield headings; lines of one look with no more space between them than text has are one."""
    part = _Part("heading")
    for one in lines:
        before = part.lines[-1] if part.lines else None
        if before and (
            look_of(before) != look_of(one)
            or one.above > max(1.5, 1.25 * body.leading) * one.line.size
            or _numbered(one)
        ):
            yield part
            part = _Part("heading")
        part.lines.append(one)
    yield part


def _numbered(one: Placed) -> bool:
    return one.text[0].isdigit()


def _first_note(column: Sequence[Placed], body: Body) -> int:
    """Return where the footnotes of a column begin: small lines below text, the first with a mark; else its length."""
    at = len(column)
    while at > 0 and column[at - 1].line.size <= _NOTE_SIZE * body.size and not column[at - 1].row:
        at -= 1
    marked = (i for i in range(at, len(column)) if _NOTE.match(column[i].text) and not CAPTION.match(column[i].text))
    first = next(marked, len(column))
    return first if at > 0 and first == at and len(column) - first <= len(column) / 2 else len(column)


def _notes(lines: Sequence[Placed]) -> Iterator[_Part]:
    part = _Part("note")
    for one in lines:
        if part.lines and _NOTE.match(one.text):
            yield part
            part = _Part("note")
        part.lines.append(one)
    yield part


def _add_text(parts: list[_Part], lines: Sequence[Placed], body: Body, at_top: bool) -> None:
    """Add paragraphs and captions. The first goes on with the text before a column's end, a table or a caption where
    that has not ended.
    """
    shape = _shape(lines)
    current: _Part | None = None
    for i, one in enumerate(lines):
        if current is None or _begins(current, lines[i - 1] if i else None, one, shape, body):
            open_part = _open(parts, current, one, shape, at_top and i == 0)
            if open_part is not None:
                current = open_part
            else:
                current = _Part("caption" if CAPTION.match(one.text) else "text")
                parts.append(current)
        current.lines.append(one)


def _open(parts: Sequence[_Part], current: _Part | None, one: Placed, shape: _Shape, at_top: bool) -> _Part | None:
    """Return the text before that goes on with this line; None where it is a paragraph of its own."""
    if CAPTION.match(one.text) or (current is not None and current.kind != "caption"):
        return None
    before = next((part for part in reversed(parts) if part.kind in ("text", "heading")), None)
    if before is None or before.kind == "heading" or before.ended or (before is parts[-1] and not at_top):
        return None
    lower = one.text[:1].islower()
    indented = one.line.left - shape.margin > _INDENT[0] * one.line.size
    if abs(before.lines[-1].line.size - one.line.size) > 1.5 or _ENTRY.match(one.text) or _BULLET.match(one.text):
        return None
    full = before.lines[-1].filled > 0.85
    return before if lower or (at_top and full and (not indented or shape.hanging)) else None


def _begins(part: _Part, before: Placed | None, one: Placed, shape: _Shape, body: Body) -> bool:
    """Return whether a line begins a paragraph."""
    if before is None:
        return True
    size = max(one.line.size, before.line.size)
    if one.above > 1.32 * body.leading * size or abs(one.line.size - before.line.size) > 1.5:
        return True
    if CAPTION.match(one.text) and (before.filled < 0.9 or part.ended):
        return True
    if _BULLET.match(one.text) or (_ENTRY.match(one.text) and (part.ended or shape.hanging)):
        return True
    ended = _ENDED.search(before.text) is not None
    if _ITEM.match(one.text) and (ended or before.filled < 0.7):
        return True
    step, was = (one.line.left - shape.margin) / size, (before.line.left - shape.margin) / size
    labelled = _BULLET.match(before.text) or _ITEM.match(before.text) or _ENTRY.match(before.text)
    if labelled and one.line.left - before.line.left <= _INDENT[1] * size and one.line.left > before.line.left:
        return False  # below the words of an item
    if shape.hanging:
        return step < _INDENT[0] and was >= _INDENT[0] if len(part.lines) > 1 else step < _INDENT[0] and ended
    if step >= _INDENT[0] and step - was >= _INDENT[0]:
        return True  # a first line, or a formula
    if step < _INDENT[0] and was >= _INDENT[0] and (len(part.lines) > 1 or was > _INDENT[1]):
        return True  # back from a quotation, a list or a formula
    return (
        part.kind == "text"
        and not one.text[:1].islower()
        and (before.filled < 0.6 or (ended and _had_room(before, one)))
    )


def _had_room(before: Placed, one: Placed) -> bool:
    """Return whether the first word of a line would have stood on the line before: the break is the author's."""
    word = len(one.text.split(" ", 1)[0]) + 2
    return before.line.right + word * (one.line.right - one.line.left) / max(1, len(one.text)) < before.column.right


def _shape(lines: Sequence[Placed]) -> _Shape:
    """Return where most lines begin, and whether first lines stand out: lines at the margin whose sentence goes on in
    an indented one tell so, and indented lines that end one before a line at the margin.
    """
    column = lines[0].column
    lefts = Counter(round(one.line.left) for one in lines)
    low = min((left for left in lefts if sum(lefts[left + d] for d in (-1, 0, 1)) >= 2), default=round(column.left))
    if len(lines) < 4:
        low = min(low, round(column.left)) if low - column.left < _INDENT[1] * lines[0].line.size else low
    votes = 0
    for before, one in pairwise(lines):
        steps = [(line.line.left - low) / one.line.size for line in (before, one)]
        indented = [_INDENT[0] <= step <= _INDENT[1] for step in steps]
        if indented[0] != indented[1] and all(step <= _INDENT[1] for step in steps):
            votes += 1 if indented[0] == (_ENDED.search(before.text) is not None) else -1
    return _Shape(low, votes >= 2)
