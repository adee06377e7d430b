"""Headers, footers and page numbers: lines that come again at the same place of other pages."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from statllama.data.build.extract.layout.piece import Page, Piece

MARGIN = 0.15
"""Share of a page's height, at its top and at its bottom, in which such lines stand."""
DEEP = 3  # lines of a header or footer
_SAME_PLACE = 4.0  # points
_DENSE = 1 / 3  # of the pages: odd and even ones have lines of their own, and a chapter's first page has none
_NUMBER = re.compile(r"[0-9]+")
_ROMAN = re.compile(r"[ivxlc]+", re.IGNORECASE)


class Running(NamedTuple):
    """A line that was taken off the pages."""

    text: str
    pages: tuple[int, ...]


class _Edge(NamedTuple):
    """A line at the top or the bottom of a page."""

    page: int
    pieces: tuple[Piece, ...]
    base: float
    text: str


def without_running(pages: Sequence[Page]) -> tuple[list[Page], list[Running]]:
    """Return the pages without running lines, and those lines, by their first page.

    A line is a running one when the same text stands at the same place of three pages (of two, where there are no more
    than three), or the same text with a number in it that counts the pages; and of a third of the pages from the first
    of them to the last. `Exercise 1`, `Exercise 2` at the top of every other page are none.
    """
    needed = 3 if len(pages) > 3 else 2
    kept, offsets = list(pages), set[int]()
    taken: dict[str, list[int]] = defaultdict(list)
    for sign in (1, -1):
        for _ in range(DEEP):
            edges = [edge for page in kept if (edge := _edge(page, sign))]
            running = _running(edges, needed, offsets)
            if not running:
                break
            for i, page in enumerate(kept):
                if edge := running.get(page.number):
                    gone = set(map(id, edge.pieces))
                    kept[i] = replace(page, pieces=[piece for piece in page.pieces if id(piece) not in gone])
                    taken[_pattern(edge.text)].append(page.number)
    found = [Running(text, tuple(sorted(numbers))) for text, numbers in taken.items()]
    return kept, sorted(found, key=lambda line: (line.pages, line.text))


def _edge(page: Page, sign: int) -> _Edge | None:
    """Return the outermost line of the top (sign 1) or the bottom (-1), where it stands in the margin."""
    if not page.pieces:
        return None
    outermost = max(page.pieces, key=lambda piece: sign * piece.base)
    middle = page.bottom + page.height / 2
    if sign * (outermost.base - middle) < page.height * (0.5 - MARGIN):
        return None
    line = sorted((p for p in page.pieces if abs(p.base - outermost.base) < 3), key=lambda piece: piece.left)
    return _Edge(page.number, tuple(line), outermost.base, " ".join(piece.text for piece in line))


def _pattern(text: str) -> str:
    """Return the text with a number sign for each number: what the lines of all pages share."""
    return "#" if _ROMAN.fullmatch(text.strip()) else _NUMBER.sub("#", text)


def _running(edges: Sequence[_Edge], needed: int, offsets: set[int]) -> dict[int, _Edge]:
    """Return the running lines among the outermost ones: {page: line}.

    `offsets`: how much the pages' numbers differ from their places in the file, as far as it is known; added to.
    """
    alike: dict[str, list[_Edge]] = defaultdict(list)
    for edge in edges:
        alike[_pattern(edge.text)].append(edge)
    running: dict[int, _Edge] = {}
    for pattern, lines in alike.items():
        for place in _places(lines):
            same: dict[str, list[_Edge]] = defaultdict(list)
            for edge in place:
                same[edge.text].append(edge)
            roman = pattern == "#" and all(_ROMAN.fullmatch(edge.text.strip()) for edge in place)
            for group in [*same.values(), *([place] if roman else [])]:
                if _is_dense(group, needed):
                    running |= {edge.page: edge for edge in group}
            for offset, group in _counted(place):
                if _is_dense(group, needed):
                    running |= {edge.page: edge for edge in group}
                    offsets.add(offset)
    bare = (edge for edge in edges if edge.text.strip().isdecimal() and len(edge.text) < 6)
    return running | {edge.page: edge for edge in bare if int(edge.text) - edge.page in offsets}


def _is_dense(lines: Sequence[_Edge], needed: int) -> bool:
    """Return whether lines are on enough pages, and on enough of those from the first to the last."""
    numbers = [edge.page for edge in lines]
    return len(lines) >= needed and len(lines) >= _DENSE * (max(numbers) - min(numbers) + 1)


def _places(lines: Sequence[_Edge]) -> Iterable[list[_Edge]]:
    """Yield lines of about one height together."""
    group: list[_Edge] = []
    for edge in sorted(lines, key=lambda edge: (edge.base, edge.page)):
        if group and edge.base - group[0].base > _SAME_PLACE:
            yield group
            group = []
        group.append(edge)
    if group:
        yield group


def _counted(lines: Sequence[_Edge]) -> Iterable[tuple[int, list[_Edge]]]:
    """Yield the lines one of whose numbers is the page's, but for a constant, with that constant."""
    numbers = [[int(number[-9:]) for number in _NUMBER.findall(edge.text)] for edge in lines]
    for k in range(max(map(len, numbers), default=0)):
        offsets: dict[int, list[_Edge]] = defaultdict(list)
        for edge, found in zip(lines, numbers, strict=True):
            if len(found) > k:
                offsets[found[k] - edge.page].append(edge)
        yield from offsets.items()
