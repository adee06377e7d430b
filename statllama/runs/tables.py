"""A result as a table: for people as text and HTML, for programs as a pandas frame. Prints nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statllama.evaluation.unit import Unit

if TYPE_CHECKING:
    import pandas

    from statllama.evaluation.paired import Change

Shown = Sequence[Mapping[str, str]]
"""Rows of a table for people: {column: text}, each row with the same columns."""

NARROW = 10.0
"""Points below which the ends of an interval have a decimal."""
_CELL = "text-align:left;padding:2px 10px 2px 0;white-space:nowrap"


class Table(ABC):
    """What a function of the front door returns: `repr` and a notebook show it, `to_pandas` has all of its figures."""

    @property
    @abstractmethod
    def title(self) -> str:
        """Return the line above the table."""

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """Return all figures, a dict of plain values a row, each row with the same keys."""

    @abstractmethod
    def shown(self) -> Shown:
        """Return the rows as people read them."""

    def notes(self) -> Sequence[str]:
        """Return the lines below the table."""
        return ()

    def to_pandas(self) -> pandas.DataFrame:
        """Return `rows` as a frame. pandas comes with `datasets`."""
        import pandas

        return pandas.DataFrame(self.rows())

    def __repr__(self) -> str:
        return "\n".join((_visible(self.title), *_lines(self.shown()), *map(_visible, self.notes())))

    def _repr_html_(self) -> str:
        """Return the table as HTML for a notebook: no script, no style sheet, all text escaped."""
        shown = self.shown()
        head = "".join(f'<th style="{_CELL}">{_html(name)}</th>' for name in (shown[0] if shown else ()))
        body = "".join(
            "<tr>" + "".join(f'<td style="{_CELL}">{_html(text)}</td>' for text in row.values()) + "</tr>"
            for row in shown
        )
        notes = "".join(f"<p>{_html(note)}</p>" for note in self.notes())
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if shown else ""
        return f"<div><p><b>{_html(self.title)}</b></p>{table}{notes}</div>"


def place(path: Path) -> str:
    """Return a path for people: from the current folder on where it lies below that, else whole."""
    here = Path.cwd()
    return str(path.relative_to(here)) if here in path.parents else str(path)


def change(found: Change, unit: Unit) -> str:
    """Return a change in points with its interval: `+21.3 [+13, +29]`, and `+1.0 [+0.6, +1.4]` of a narrow one; of a
    loss in nats: `-0.213 [-0.290, -0.130]`.
    """
    low, high = unit.bounds(found.low, found.high)
    if unit.loss:
        return f"{unit.spoken_change(found.difference)} [{low:+.3f}, {high:+.3f}]"
    narrow = high - low < NARROW
    return f"{found.difference:+.1f} [{_end(low, narrow)}, {_end(high, narrow)}]"


def _end(points: float, narrow: bool) -> str:
    """Return the end of an interval in whole points; with a decimal where it is narrow, and near 0, so that its side of
    0 is seen.
    """
    if not narrow and abs(points) >= 0.5:
        return f"{points:+.0f}"
    return f"{points:+.1f}" if round(points, 1) else "0"


def p_value(p: float) -> str:
    """Return a p-value with three digits, or `<0.001`."""
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def _lines(shown: Shown) -> list[str]:
    """Return the table as lines of text, its columns aligned; numbers stand to the right."""
    if not shown:
        return []
    columns = []
    for name in shown[0]:
        texts = [_visible(row[name]) for row in shown]
        size = max(map(len, (name, *texts)))
        right = all(text[:1] in "+-0123456789<" for text in texts)  # the empty text too
        columns.append([f"{text:>{size}}" if right else f"{text:<{size}}" for text in (name, *texts)])
    return ["  " + "  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]


def _visible(text: str) -> str:
    """Return the text with characters that a terminal obeys written out: names may hold them."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _html(text: str) -> str:
    return escape(_visible(text))
