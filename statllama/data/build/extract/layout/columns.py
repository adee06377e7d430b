"""Reading order: the columns of a page, and what spans them.

A gutter is a place that few pieces of the page cross while prose stands on both sides of it. What crosses it (a title,
an abstract, a wide figure's caption, a wide table) cuts the page into bands; each band is read down its left column,
then down its right one. A column may have columns itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from statllama.data.build.extract.layout.piece import Piece

CELL_GAP = 1.2
"""Least gap between the cells of a table, in font sizes."""
_LEAST_LINES = 4  # of each column: fewer say nothing
_LEAST_WORDS = 3.5  # of the middle line of a column of prose
_STRETCHED = 2.0  # font sizes between words of a line that has few and long ones
_FILLED = 0.6  # of a column's width, by the longer half of its lines
_DEEPEST = 2  # columns within columns: three beside each other are two, one of which is two


@dataclass(frozen=True)
class Line:
    """Pieces beside each other, from the left."""

    pieces: tuple[Piece, ...]

    @cached_property
    def main(self) -> Piece:
        """The piece with most letters."""
        return max(self.pieces, key=lambda piece: (len(piece.text), -piece.left))

    @property
    def left(self) -> float:
        """Left end, in points."""
        return self.pieces[0].left

    @cached_property
    def right(self) -> float:
        """Right end, in points."""
        return max(piece.right for piece in self.pieces)

    @property
    def base(self) -> float:
        """What its letters stand on, in points."""
        return self.main.base

    @property
    def size(self) -> float:
        """Of its letters, in points."""
        return self.main.size

    @cached_property
    def cells(self) -> tuple[tuple[Piece, ...], ...]:
        """Pieces with no wide gap between them, together."""
        cells: list[list[Piece]] = []
        for piece in self.pieces:
            if cells and piece.left - cells[-1][-1].right < CELL_GAP * self.size:
                cells[-1].append(piece)
            else:
                cells.append([piece])
        return tuple(tuple(cell) for cell in cells)

    @cached_property
    def text(self) -> str:
        """Its text, with single spaces."""
        return " ".join(piece.text for piece in self.pieces)


@dataclass(frozen=True)
class Column:
    """Lines below each other."""

    lines: tuple[Line, ...]
    left: float
    right: float


def columns_of(pieces: Sequence[Piece]) -> list[Column]:
    """Return the columns of a page in reading order."""
    return _read(list(pieces), 0) if pieces else []


def lines_of(pieces: Sequence[Piece]) -> list[Line]:
    """Return pieces as lines, from the top: those beside each other in one line."""
    lines: list[list[Piece]] = []
    tall: list[Piece] = []  # the piece of each line that decides what is beside it
    for piece in sorted(pieces, key=lambda piece: (-piece.base, piece.left)):
        near = next((i for i in range(len(lines) - 1, max(-1, len(lines) - 4), -1) if tall[i].beside(piece)), None)
        if near is None:
            lines.append([piece])
            tall.append(piece)
            continue
        lines[near].append(piece)
        tall[near] = max(tall[near], piece, key=lambda p: (p.size, len(p.text)))
    return [Line(tuple(sorted(line, key=lambda piece: (piece.left, -piece.base)))) for line in lines]


def _read(pieces: list[Piece], depth: int) -> list[Column]:
    gutter = _gutter(pieces) if depth < _DEEPEST else None
    if gutter is None:
        return [_column(lines_of(pieces), pieces)]
    columns: list[Column] = []
    for wide, lines in _bands(pieces, gutter):
        if wide:
            columns.append(_column(lines, pieces))
            continue
        for side in (_side(lines, gutter, left=True), _side(lines, gutter, left=False)):
            columns += _read(side, depth + 1) if side else []
    return columns


def _column(lines: Sequence[Line], within: Sequence[Piece]) -> Column:
    """Return lines as a column as wide as `within`."""
    return Column(tuple(lines), min(piece.left for piece in within), max(piece.right for piece in within))


def _side(lines: Sequence[Line], gutter: float, *, left: bool) -> list[Piece]:
    return [piece for line in lines for piece in line.pieces if (piece.right <= gutter + 1) == left]


def _gutter(pieces: Sequence[Piece]) -> float | None:
    """Return x of a gutter, or None where there is one column."""
    left, right = min(piece.left for piece in pieces), max(piece.right for piece in pieces)
    width = right - left
    first, last = left + 0.28 * width, left + 0.72 * width
    if width < 150 or len(pieces) < 2 * _LEAST_LINES:
        return None
    steps = max(2, int((last - first) / 2))
    crossing = [0] * (steps + 2)
    for piece in pieces:
        start, end = (int((x - first) / 2) for x in (piece.left, piece.right))
        if end >= 0 and start < steps:
            crossing[max(0, start)] += 1
            crossing[min(steps, end + 1)] -= 1
    for i in range(1, steps + 1):
        crossing[i] += crossing[i - 1]
    runs, at = [], 0
    for count, group in groupby(crossing[:steps]):
        length = len(list(group))
        middle = first + 2 * (at + length / 2)
        runs.append((count, abs(middle - (left + right) / 2) - 2 * length, middle))
        at += length
    least = min(runs)[0]
    for _, _, middle in sorted(run for run in runs if run[0] <= least + 1):
        if _are_columns(pieces, middle, left, right):
            return middle
    return None


def _are_columns(pieces: Sequence[Piece], gutter: float, left: float, right: float) -> bool:
    """Return whether prose stands on both sides of the gutter, side by side."""
    sides = ([p for p in pieces if p.right <= gutter + 1], [p for p in pieces if p.left >= gutter - 1])
    for side, width in zip(sides, (gutter - left, right - gutter), strict=True):
        if len(side) < _LEAST_LINES:
            return False
        lines = lines_of(side)
        words = sorted(map(_longest, lines))
        widths = sorted(sum(piece.right - piece.left for piece in line.pieces) for line in lines)
        if words[len(words) // 2] < _LEAST_WORDS or widths[len(widths) * 3 // 4] < _FILLED * width:
            return False
    size = max(piece.size for piece in pieces)
    tops, bottoms = [max(p.base for p in side) for side in sides], [min(p.base for p in side) for side in sides]
    return min(tops) - max(bottoms) > (_LEAST_LINES - 2) * min(size, 12.0)


def _longest(line: Line) -> int:
    """Return the words of the longest stretch of a line without a gap as wide as between columns."""
    longest = words = 0
    for i, piece in enumerate(line.pieces):
        apart = i > 0 and piece.left - line.pieces[i - 1].right > _STRETCHED * line.size
        words = (0 if apart else words) + piece.text.count(" ") + 1
        longest = max(longest, words)
    return longest


def _bands(pieces: Sequence[Piece], gutter: float) -> list[tuple[bool, list[Line]]]:
    """Return the page's lines from the top in runs of lines that span the columns (True) and of others (False)."""
    wide = [piece for piece in pieces if piece.left < gutter - 1 and piece.right > gutter + 1]
    narrow = [piece for piece in pieces if not (piece.left < gutter - 1 and piece.right > gutter + 1)]
    spanning: list[list[Piece]] = [[piece] for piece in sorted(wide, key=lambda piece: -piece.base)]
    rest: list[Piece] = []
    for piece in narrow:
        line = next((line for line in spanning if line[0].beside(piece) and abs(line[0].base - piece.base) < 2), None)
        (line if line is not None else rest).append(piece)
    lines = [(False, line) for line in lines_of(rest)]
    lines = _with_wide_tables(lines, gutter)
    lines += [(True, Line(tuple(sorted(line, key=lambda piece: piece.left)))) for line in spanning]
    lines.sort(key=lambda pair: (-pair[1].base, pair[1].left))
    bands = [(wide, [line for _, line in group]) for wide, group in groupby(lines, key=lambda pair: pair[0])]
    return _with_last_lines(bands, gutter)


def _with_wide_tables(lines: Sequence[tuple[bool, Line]], gutter: float) -> list[tuple[bool, Line]]:
    """Mark rows of a table that spans the columns though none of its cells does: three rows at least, each of which has
    two cells on one side, one on the other, and no prose.
    """
    rows = [_is_wide_row(line, gutter) for _, line in lines]
    marked: list[tuple[bool, Line]] = []
    at = 0
    for is_row, group in groupby(rows):
        length = len(list(group))
        marked += [(is_row and length >= 3, line) for _, line in lines[at : at + length]]
        at += length
    return marked


def _is_wide_row(line: Line, gutter: float) -> bool:
    cells = [(cell[0].left, sum(piece.text.count(" ") + 1 for piece in cell)) for cell in line.cells]
    left = sum(x < gutter for x, _ in cells)
    return len(cells) >= 3 and 0 < left < len(cells) and all(words <= 4 for _, words in cells)


def _with_last_lines(bands: list[tuple[bool, list[Line]]], gutter: float) -> list[tuple[bool, list[Line]]]:
    """Give a line or two on one side alone to the spanning lines that they stand between: the last line of a wide
    paragraph need not reach the gutter.
    """
    joined: list[tuple[bool, list[Line]]] = []
    for i, (wide, lines) in enumerate(bands):
        between = i > 0 and i + 1 < len(bands) and not wide
        if between and len(lines) <= 2 and not (_side(lines, gutter, left=True) and _side(lines, gutter, left=False)):
            wide = True
        if joined and joined[-1][0] and wide:
            joined[-1][1].extend(lines)
        else:
            joined.append((wide, list(lines)))
    return joined
