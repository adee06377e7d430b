"""Which lines are headings, and of what level: by size, weight, numbers and the space around them."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from statllama.data.build.extract.characters import plain
from statllama.data.build.extract.layout.columns import Column, Line
from statllama.data.build.extract.layout.tables import table_rows
from statllama.data.build.headings import kind_of_heading

CAPTION = re.compile(r"(Fig(ure|\.)?|Table|Tab\.|Algorithm|Listing|Scheme|Box)\s*\.?\s*([A-Z]\.?)?\d+", re.IGNORECASE)
_LEADER = re.compile(r"(\. ?){4,}")  # of a table of contents
LONGEST = 160
"""Characters of the longest heading."""
_DECIMAL = re.compile(r"(?:chapter\s+)?(\d{1,2}(?:\.\d{1,2}){0,4})[.):]?\s+(?=\S)", re.IGNORECASE)
_ROMAN = re.compile(r"[IVX]{1,5}[.)]?\s+(?=[A-Z])")
_LETTER = re.compile(r"([A-Z])((?:\.\d{1,2})*)([.):]?)\s+(?=\S)")
BIGGER = 1.09
"""Size of a heading, in that of the text, from which on its size alone tells it."""
_SMALLER = 0.85
_AT_THE_TOP = ("introduction", "references", "conclusion", "acknowledgements")


@dataclass(frozen=True)
class Placed:
    """A line in its column."""

    line: Line
    page: int
    column: Column
    above: float
    """Points to the line above in the column; infinite for the first."""
    below: float
    row: bool
    """Of a table."""

    @cached_property
    def text(self) -> str:
        """Its text in plain characters."""
        return plain(self.line.text).strip()

    @property
    def filled(self) -> float:
        """Where it ends, as a share of its column's width."""
        return (self.line.right - self.column.left) / max(1.0, self.column.right - self.column.left)


@dataclass(frozen=True)
class Body:
    """How the document's running text looks."""

    size: float
    leading: float
    """Distance between lines, in font sizes."""
    bold: bool
    fixed: bool


@dataclass(frozen=True)
class Look:
    """How a heading looks."""

    size: float
    bold: bool
    capitals: bool
    italic: bool

    @property
    def rank(self) -> tuple[float, bool, bool, bool]:
        """Ordered from the most prominent look."""
        return -self.size, not self.capitals, not self.bold, self.italic


def place(column: Column, page: int) -> list[Placed]:
    """Return a column's lines with what is around them."""
    lines, rows = column.lines, table_rows(column)
    gaps = [math.inf, *(a.base - b.base for a, b in itertools.pairwise(lines)), math.inf]
    return [Placed(line, page, column, gaps[i], gaps[i + 1], rows[i]) for i, line in enumerate(lines)]


def body_of(placed: Sequence[Placed]) -> Body:
    """Return the look of most letters of a document."""
    letters = Counter[float]()
    bold = fixed = 0
    for one in placed:
        letters[_half(one.line.size)] += len(one.line.text)
        bold += len(one.line.text) * one.line.main.font.bold
        fixed += len(one.line.text) * one.line.main.font.fixed
    size = letters.most_common(1)[0][0]
    gaps = [p.above / p.line.size for p in placed if _half(p.line.size) == size and 0.8 < p.above / p.line.size < 2.6]
    gaps.sort()  # where paragraphs are short, most lines have more space above than those of a paragraph
    return Body(
        size, gaps[len(gaps) // 4] if gaps else 1.2, bold > 0.6 * letters.total(), fixed > 0.6 * letters.total()
    )


def _half(size: float) -> float:
    return round(size * 2) / 2


def look_of(one: Placed) -> Look:
    """Return how a line looks."""
    pieces = one.line.pieces
    return Look(
        _half(one.line.size),
        all(p.font.bold for p in pieces),
        _is_capitals(one.text),
        all(p.font.italic for p in pieces),
    )


def _is_capitals(text: str) -> bool:
    letters = [char for char in text if char.isalpha()]
    return len(letters) >= 4 and sum(char.isupper() for char in letters) >= 0.9 * len(letters)


def is_heading(one: Placed, body: Body) -> bool:
    """Return whether a line, or the part of one that it is, is a heading."""
    text = one.text
    shown = sum(not char.isspace() for char in text)
    letters = sum(char.isalpha() for char in text)
    if (
        one.row
        or len(text) > LONGEST
        or letters < 3
        or letters < 0.6 * shown
        or CAPTION.match(text)
        or _LEADER.search(text)
    ):
        return False
    spaced = one.above > 1.12 * body.leading * body.size
    known = kind_of_heading(text) != "other" and len(text.split()) <= 6 and text[0].isalnum() and not text[0].islower()
    ratio = one.line.size / body.size
    first = one.page == 1 and math.isinf(one.above)
    look, number = look_of(one), depth_of(text)
    if ratio < _SMALLER:
        return known and look.bold and spaced
    if ratio >= BIGGER:
        return spaced or look.bold or bool(number)
    ended = text.endswith((".", ",", ";", ":", "-")) and not (known and text.endswith((".", ":")))
    if look.bold and not body.bold:
        return not ended and (spaced or bool(number))
    if look.capitals:
        return not ended and (known or first or (spaced and one.filled < 0.95 and bool(number)))
    if ended or not spaced or one.filled > 0.8:
        return False
    return known or (bool(number) and (look.italic or "." in text.split()[0].rstrip(".")) and _begins(text))


def _begins(text: str) -> bool:
    """Return whether the words after a number begin with a capital."""
    words = text.split()
    return len(words) > 1 and words[1][0].isupper()


def depth_of(text: str) -> int:
    """Return how deep a heading's number is: 1 for `2 Methods` and `A Proofs`, 2 for `2.1 Data`; 0: it has none. A
    single letter counts where it has a dot, or the words say that it is an appendix.
    """
    if match := _DECIMAL.match(text):
        return match[1].count(".") + 1
    if _ROMAN.match(text):
        return 1
    if (match := _LETTER.match(text)) and (match[2] or match[3] or kind_of_heading(text) == "appendix"):
        return 1 + match[2].count(".")
    return 0


def levels_of(headings: Sequence[tuple[str, Look]]) -> list[int]:
    """Return the level of each heading: its number's depth; without a number, that of numbered headings of the same
    look, else one below the next more prominent look.
    """
    roman = any(_ROMAN.match(text) and not _LETTER.match(text) for text, _ in headings)
    depths = [_depth(text, roman) for text, _ in headings]
    known: dict[Look, Counter[int]] = {}
    for (text, look), depth in zip(headings, depths, strict=True):
        if depth and kind_of_heading(text) != "abstract":  # which is often set small
            known.setdefault(look, Counter())[depth] += 1
    by_look = _by_look({look for _, look in headings}, {look: c.most_common(1)[0][0] for look, c in known.items()})
    return [depth or by_look[look] for (_, look), depth in zip(headings, depths, strict=True)]


def _depth(text: str, roman: bool) -> int:
    if kind_of_heading(text) == "abstract":
        return 1
    depth = depth_of(text)
    if depth == 0:
        return int(kind_of_heading(text) in _AT_THE_TOP and len(text.split()) <= 3)
    match = _LETTER.match(text)
    lettered = bool(match) and not _ROMAN.match(text) and not _DECIMAL.match(text)
    return depth + 1 if roman and lettered and kind_of_heading(text) != "appendix" else depth


def _by_look(looks: set[Look], known: Mapping[Look, int]) -> dict[Look, int]:
    levels: dict[Look, int] = {}
    above = 0  # level of the look before, which is more prominent
    for look in sorted(looks, key=lambda look: look.rank):
        levels[look] = known.get(look, above + 1 if above else 1)
        above = max(above, levels[look])
    return levels
