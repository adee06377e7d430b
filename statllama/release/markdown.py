"""Pieces of Markdown in which a text stands for itself, whatever is in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_MARKS = re.compile(r"[\\`*{}\[\]#|~$!]|(?<![^\W_])_|_(?![^\W_])")  # an underscore within a word marks nothing
_START = re.compile(r"^([-+=:])|^(\d+)([.)])")  # of a list, a rule, a definition


def plain(text: object) -> str:
    """Return a text on one line that Markdown shows as it is within a line: no emphasis, HTML or cell comes of it.

    >>> plain("a*b* <i> | c_d")
    'a\\\\*b\\\\* &lt;i&gt; \\\\| c_d'
    """
    line = _MARKS.sub(lambda mark: f"\\{mark[0]}", " ".join(str(text).split()))
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def paragraph(text: object) -> str:
    """Return `plain` where a line begins: no list, rule or heading comes of it either."""
    return _START.sub(lambda found: f"\\{found[1]}" if found[1] else f"{found[2]}\\{found[3]}", plain(text))


def code(text: object) -> str:
    """Return a text as a code span, on one line.

    >>> code("a`b")
    '`` a`b ``'
    """
    line = " ".join(str(text).split())
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    inner = f" {line} " if longest or not line else line
    return f"{fence}{inner}{fence}"


def block(text: str, language: str = "") -> str:
    """Return the lines as a code block."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.strip()}\n{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """Return a table of cells that are Markdown already; `numbers`: columns that are set to the right."""
    right = set(numbers)
    rule = ["---:" if i in right else "---" for i in range(len(head))]
    lines = ([re.sub(r"(?<!\\)\|", r"\\|", cell) for cell in cells] for cells in (head, rule, *rows))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
