"""A piece of a line: what stands together on one line with no gap wider than between words."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Font(NamedTuple):
    """How letters look."""

    bold: bool = False
    italic: bool = False
    """Or small capitals: both set words apart from the text."""
    fixed: bool = False
    """All letters equally wide, as in listings."""


class Piece(NamedTuple):
    """Text in a box: a word, or words beside each other. Lengths are in points; y grows upward, and the page is turned
    so that its text is upright.
    """

    left: float
    right: float
    base: float
    """The line that its letters stand on."""
    size: float
    """Of the font that most of its letters have."""
    font: Font
    text: str

    @property
    def top(self) -> float:
        """Height of its capitals, about."""
        return self.base + 0.7 * self.size

    @property
    def bottom(self) -> float:
        """Where its descenders end, about."""
        return self.base - 0.2 * self.size

    def beside(self, other: Piece) -> bool:
        """Return whether both are on one line, as far as their heights say: half of the lower one is shared."""
        shared = min(self.top, other.top) - max(self.bottom, other.bottom)
        return shared >= 0.5 * 0.9 * min(self.size, other.size)


@dataclass(frozen=True)
class Page:
    """What stands on a page."""

    number: int
    """From 1."""
    width: float
    height: float
    pieces: Sequence[Piece]
    sideways: str = ""
    """Text that runs in another direction than most of the page, such as a stamp in the margin."""
    bottom: float = 0.0
    """Lowest y of the page."""


GAP = 0.9
"""Widest gap within a piece, in font sizes. Words of justified text rarely stand further apart; columns do."""


def pieces_of(words: Sequence[Piece]) -> list[Piece]:
    """Return words in the order of the file as pieces of lines."""
    pieces: list[Piece] = []
    run: list[Piece] = []
    for word in words:
        if run and not _continues(run, word):
            pieces.append(_piece(run))
            run = []
        run.append(word)
    return _mended([*pieces, _piece(run)] if run else pieces)


def _continues(run: Sequence[Piece], word: Piece) -> bool:
    last = run[-1]
    size = max(last.size, word.size)
    gap = word.left - last.right
    return -0.5 * size < gap < GAP * size and any(before.beside(word) for before in run[-3:])


def _piece(run: Sequence[Piece]) -> Piece:
    """Return the piece of a run of words, with the size, base and weight that most of its letters have."""
    sizes: dict[tuple[float, float], int] = {}
    for word in run:
        key = (round(word.size, 1), round(word.base, 1))
        sizes[key] = sizes.get(key, 0) + len(word.text)
    (size, base), _ = max(sizes.items(), key=lambda pair: (pair[1], pair[0]))
    letters = sum(len(word.text) for word in run)
    font = Font(*(sum(len(w.text) for w in run if w.font[k]) > 0.8 * letters for k in range(len(Font._fields))))
    text = run[0].text
    for before, word in itertools.pairwise(run):
        text += ("" if word.left - before.right < 0.08 * size else " ") + word.text
    return Piece(min(w.left for w in run), max(w.right for w in run), base, size, font, text)


def _mended(pieces: list[Piece]) -> list[Piece]:
    """Return the pieces with those joined that stand beside each other but not in the file's order."""
    pieces = sorted(pieces, key=lambda piece: (-round(piece.base), piece.left))
    mended: list[Piece] = []
    for piece in pieces:
        last = mended[-1] if mended else None
        if (
            last
            and last.beside(piece)
            and -0.3 * piece.size < piece.left - last.right < GAP * max(last.size, piece.size)
        ):
            mended[-1] = _piece([last, piece])
        else:
            mended.append(piece)
    return mended
