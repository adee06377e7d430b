"""Dataset formats: one module a format, found by name.

A format module declares

- `REQUIRED`, `OPTIONAL`: tuples of the column names it reads,
- `parse(values, render) -> Example`: `values` holds those columns of one row that are present.

Adding a format is adding a file here: its name is what a recipe writes under `format:`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, cast

from statllama.data.examples import Example
from statllama.errors import DataError, near


@cache
def format_names() -> tuple[str, ...]:
    """Names of all formats, sorted. Modules that start with an underscore are helpers, not formats."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))


@cache
def format_module(name: str) -> ModuleType:
    """The module of a format. DataError with the nearest names for an unknown one."""
    if name not in format_names():
        raise DataError(f"unknown format {name!r}; {near(name, format_names())}")
    return import_module(f"{__name__}.{name}")


def check_columns(format: str, columns: Mapping[str, str]) -> None:
    """DataError unless every key of `columns` is a column that the format reads."""
    module = format_module(format)
    known = (*module.REQUIRED, *module.OPTIONAL)
    for name in columns:
        if name not in known:
            raise DataError(
                f"format {format} has no column {name!r}; {near(name, known)}",
                remedy="`columns` is written {name the format expects: name the file uses}",
            )


def parse_row(format: str, row: Mapping[str, Any], columns: Mapping[str, str], render: str, where: str) -> Example:
    """One row as an Example.

    `columns` maps the format's names to the file's, `render` is `chat` or `plain` (for strings, not
    messages), and `where` (file and row) begins the message of every DataError.
    """
    module = format_module(format)
    check_columns(format, columns)
    values: dict[str, Any] = {}
    for name in (*module.REQUIRED, *module.OPTIONAL):
        used = columns.get(name, name)
        if row.get(used) is not None:
            values[name] = row[used]
        elif name in module.REQUIRED or (name in columns and used not in row):
            raise _missing(name, used, row, format, where)
    try:
        return cast(Example, module.parse(values, render))
    except DataError as error:
        raise DataError(f"{where}: {error.message}", remedy=error.remedy) from None


def _missing(name: str, used: str, row: Mapping[str, Any], format: str, where: str) -> DataError:
    """The row lacks a column: name it, what there is, the nearest name and the edit that mends it."""
    if used in row:
        return DataError(
            f"{where}: column {used!r} is null; format {format} needs a value",
            remedy="remove the row, or fill it",
        )
    found = ", ".join(row) or "none"
    hint = near(used, row) if row else ""
    suggestion = hint.split("'")[1] if hint.startswith("did you mean") else (next(iter(row), "name_in_the_file"))
    return DataError(
        f"{where}: no column {used!r}, which format {format} needs; columns found: {found}"
        + (f"; {hint}" if hint.startswith("did you mean") else ""),
        remedy=f"set `columns: {{{name}: {suggestion}}}` (the format's name: the file's), or `format`",
    )
