"""The only place that prints, with the other console modules: tables, errors, texts that are safe to show."""

from __future__ import annotations

import os
import re
import shlex
import sys
from contextlib import suppress
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Column, Table

from statllama.errors import Interrupted, StatllamaError

UNBOUNDED = 1000  # columns: wider than any table
LOG_WIDTH = 100  # columns of a log file, whatever the terminal beside it
_live = sys.stdout.isatty()
Out = Console(
    highlight=False, emoji=False, soft_wrap=not _live, width=None if _live or "COLUMNS" in os.environ else LOG_WIDTH
)
Err = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
# Characters that a terminal obeys instead of showing (escapes, overwriting, writing from right to left), and those that
# no encoding has. Names of files and texts of recipes may hold them.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """Return the text with control characters written out: `\\x1b` for an escape. Line ends and tabs stay."""
    return _OBEYED.sub(lambda found: repr(found[0])[1:-1], text)


def plain(text: object) -> str:
    """Escape foreign text for use among rich's markup: no part of it is markup, or obeyed by the terminal."""
    return escape(visible(str(text)))


def print_error(error: StatllamaError) -> None:
    """Print an error and its remedy on stderr, if that is still open."""
    head = "[bold yellow]stopped:[/]" if isinstance(error, Interrupted) else "[bold red]error:[/]"
    with suppress(OSError):  # a terminal that was closed
        Err.print(f"{head} {plain(shortened(error.message))}")
        if error.remedy:
            Err.print(f"[bold]  ->[/] {plain(shortened(error.remedy))}")


def new_table(*columns: str | Column) -> Table:
    """Return an empty table in the one style of all commands: names of columns of text, and `figure` columns."""
    return Table(*columns, box=SIMPLE_HEAD, padding=(0, 1))


def figure(name: str) -> Column:
    """Return a column of figures: to the right, and on one line."""
    return Column(name, justify="right", no_wrap=True)


def width(table: Table) -> int:
    """Return the columns that the table takes when nothing in it is broken into lines."""
    return Measurement.get(Out, Out.options.update(max_width=UNBOUNDED), table).maximum


def print_table(table: Table) -> None:
    """Print a table; on a narrow terminal with its columns closer together, then with texts on several lines, figures
    too where there is no other way, so that nothing is lost.
    """
    if width(table) > Out.width:
        table.padding = 0
        for column in table.columns:
            column.overflow = "fold"
        if Measurement.get(Out, Out.options.update(max_width=UNBOUNDED), table).minimum > Out.width:
            for column in table.columns:
                column.no_wrap = False
    Out.print(table)


def counted(number: int, word: str) -> str:
    """Return `1 score`, `2,000 scores`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def short(path: Path | str) -> str:
    """Return a path as short as it can be pasted into the shell that it is printed in: relative to the current folder
    or to `~` where it lies below one of them, quoted where the shell needs it.
    """
    whole = os.path.abspath(path)
    forms = [shlex.quote(whole)]
    for start, sign in ((os.getcwd(), ""), (os.path.expanduser("~"), "~/")):
        if whole.startswith(start.rstrip("/") + "/"):
            inside = shlex.quote(os.path.relpath(whole, start))
            forms.append(sign + (f"./{inside}" if not sign and inside.startswith(("~", "-")) else inside))
    return min(forms, key=len)


def shortened(text: str) -> str:
    """Return a text with each path below the current folder relative to it, and each below the home folder from `~`.

    Within quotes `~` means nothing to a shell: there the path stays.
    """
    for start, sign, before in ((os.getcwd(), "", r"\w/~"), (os.path.expanduser("~"), "~/", r"\w/~'\"")):
        if len(start) > 1:
            text = re.sub(rf"(?<![{before}]){re.escape(start.rstrip('/'))}/(?=[^\s/'\"])", sign, text)
    return text


def print_path(before: str, path: Path | str, after: str = "") -> None:
    """Print a path between two texts of markup, whole: the terminal may break the line, which copies as one."""
    Out.print(f"{before}{plain(short(path))}{after}", soft_wrap=True)


def readable_bytes(count: float) -> str:
    """Return 1.5 KiB, 20.3 MiB, ..."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError
