"""Tables without lines: rows whose cells stand below each other."""

from __future__ import annotations

import re
from itertools import pairwise

from statllama.data.build.extract.layout.columns import CELL_GAP, Column, Line

_LABEL = re.compile(
    r"[\[(]?(\d{1,3}|[a-z]|[ivx]+)[\]).:]*|[•◦▪–*-]|\d+(\.\d+)+\.?"
)  # of a list, a reference, a heading
_EQUATION_NUMBER = re.compile(r"\(([A-Z]\.?)?\d+([.-]\d+)*[a-z]?\)")


def table_rows(column: Column) -> list[bool]:
    """Return for each line of a column whether it is a row of a table: two rows or more, one below the other, with a
    gap at the same place.
    """
    lines = column.lines
    rows = [False] * len(lines)
    celled = [_has_cells(line) and not _is_stretched(line, column) for line in lines]
    for i in range(len(lines) - 1):
        above, below = lines[i], lines[i + 1]
        size = max(above.size, below.size)
        near = 0.95 * size < above.base - below.base < 3 * size  # the parts of a fraction are nearer
        if near and celled[i] and celled[i + 1] and _share_a_gap(above, below):
            rows[i] = rows[i + 1] = True
    return rows


def row_text(line: Line) -> str:
    """Return a row with ` | ` between its cells."""
    return " | ".join(" ".join(piece.text for piece in cell) for cell in line.cells)


def _has_cells(line: Line) -> bool:
    """Return whether a line has cells, rather than a label before its text or a number behind its formula."""
    texts = [" ".join(piece.text for piece in cell) for cell in line.cells]
    if len(texts) == 2 and (_LABEL.fullmatch(texts[0]) or _EQUATION_NUMBER.fullmatch(texts[1])):
        return not _is_words(texts[1]) and not _EQUATION_NUMBER.fullmatch(texts[1])
    return len(texts) >= 2


def _is_stretched(line: Line, column: Column) -> bool:
    """Return whether a line is one of justified text whose few words stand far apart: from edge to edge, mostly
    letters, with the same gap everywhere.
    """
    gaps = [b.left - a.right for a, b in pairwise(line.pieces)]
    edges = abs(line.left - column.left) < 3 * line.size and abs(line.right - column.right) < 0.3 * line.size
    letters = sum(char.isalpha() for char in line.text)
    return edges and max(gaps) - min(gaps) < 0.2 * max(gaps) and letters > 0.7 * len(line.text.replace(" ", ""))


def _is_words(text: str) -> bool:
    return sum(char.isalpha() for char in text) > 0.5 * len(text) and " " in text


def _gaps(line: Line) -> list[tuple[float, float]]:
    cells = line.cells
    return [(a[-1].right, b[0].left) for a, b in pairwise(cells)]


def _share_a_gap(above: Line, below: Line) -> bool:
    least = 0.5 * CELL_GAP * min(above.size, below.size)
    return any(min(b, d) - max(a, c) >= least for a, b in _gaps(above) for c, d in _gaps(below))
