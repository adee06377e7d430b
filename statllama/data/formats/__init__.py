"""Dataset formats: one module a format, found by name.

A format module declares

- `REQUIRED`, `OPTIONAL`: tuples of the column names it reads,
- `parse(values, source) -> Example`: `values` holds those columns of one row that are present, `source` how to read
  them (`render`, `layout`),

and where it needs to

- `recognises(values) -> bool`: whether a row with the required columns is of this format, for `format: auto`,
- `LAYOUT`: how it writes reasoning and answer, if it does; formats without refuse `layout`,
- `WHOLE_ROW = True`: `values` holds every column of the row.

Adding a format is adding a file here, with a row in README.md: its name is what a recipe writes under `format:`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, cast

import yaml

from statllama.config.source import SourceSpec
from statllama.data.examples import Example
from statllama.data.formats._guess import guesses
from statllama.data.formats._layout import check_layout
from statllama.errors import DataError, near

AUTO = "auto"


@cache
def format_names() -> tuple[str, ...]:
    """Return the names of all formats, sorted. Modules that start with an underscore are helpers, not formats."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))


@cache
def format_module(name: str) -> ModuleType:
    """Return the module of a format. DataError with the nearest names for an unknown one."""
    if name not in format_names():
        raise DataError(f"unknown format {name!r}; {near(name, (*format_names(), AUTO))}")
    return import_module(f"{__name__}.{name}")


def check_columns(format: str, columns: Mapping[str, str]) -> None:
    """Raise DataError unless every key of `columns` is a column that the format (`auto`: one of them) reads."""
    if format == AUTO:
        if not any(set(columns) <= set(_known(name)) for name in format_names()):
            raise DataError(
                f"no format reads all the columns {', '.join(map(repr, columns))}",
                remedy="`columns` is written {name the format expects: name the file uses}; set `format` too",
            )
        return
    known = _known(format)
    for name in columns:
        if name not in known:
            raise DataError(
                f"format {format} has no column {name!r}; {near(name, known)}",
                remedy="`columns` is written {name the format expects: name the file uses}",
            )


def check_source(source: SourceSpec) -> None:
    """Raise DataError unless the source's format exists, reads the keys of `columns` and takes `layout`, if that is
    set.
    """
    check_columns(source.format, source.columns)
    if source.layout is not None:
        check_layout(source.layout)
        if source.format != AUTO and not hasattr(format_module(source.format), "LAYOUT"):
            able = [name for name in format_names() if hasattr(format_module(name), "LAYOUT")]
            raise DataError(f"format {source.format} takes no `layout`; {', '.join(able)} do", remedy="remove it")


def parse_row(source: SourceSpec, row: Mapping[str, Any], where: str) -> Example:
    """Return one row as an Example, read as `source` says (`format` is not `auto`: see `sources.resolved`).

    `where` (file and row) begins the message of every DataError.
    """
    module = format_module(source.format)
    check_source(source)
    values: dict[str, Any] = _whole(row, source.columns) if hasattr(module, "WHOLE_ROW") else {}
    for name in (*module.REQUIRED, *module.OPTIONAL):
        used = source.columns.get(name, name)
        if row.get(used) is not None:
            values[name] = row[used]
        elif name in module.REQUIRED or (name in source.columns and used not in row):
            raise _missing(name, used, row, source.format, where)
    try:
        return cast(Example, module.parse(values, source))
    except DataError as error:
        remedy = error.remedy or f"fix or remove the row, or check `format` (it is read as {source.format})"
        raise DataError(f"{where}: {error.message}", remedy=remedy) from None


def recognise(row: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    """Return the name of the format that a row is in. `columns`: {name the format expects: name the file uses}.

    A format fits when the row has its required columns, not null, and what they hold is of its kind. Of two that fit,
    one that reads all the other's columns and more is taken: with `chosen` and `rejected` beside it, `conversations`
    is a preference. DataError, with the columns found, when none or more than one is left; where none is, with a guess
    of the columns, as the line to write.
    """
    best = _best(row, columns)
    if len(best) == 1:
        return next(iter(best))
    found = ", ".join(f"{name} (null)" if value is None else name for name, value in row.items()) or "none"
    if best:
        needs = " and ".join(f"{name} ({', '.join(sorted(read))})" for name, read in best.items())
        raise DataError(
            f"more than one format fits: {needs}; columns found: {found}", remedy="set `format` to the one you mean"
        )
    needed = {name: set(format_module(name).REQUIRED) for name in format_names()}
    renamed = {name: {columns.get(column, column) for column in required} for name, required in needed.items()}
    almost = [name for name in needed if renamed[name] and all(row.get(used) is not None for used in renamed[name])]
    hint = f" (those of {' and '.join(almost)} are there, but hold something else)" if almost else ""
    listed = "; ".join(f"{name}: {', '.join(sorted(required))}" for name, required in needed.items() if required)
    expected = "`columns: {name the format expects: name in the file}`"
    if (guess := guess_columns(list(row), [row])) is not None:
        line = guess_line(*guess, row)
        remedy = f"a guess, from the names: write `{line}` in this source ({expected})"
        if not line:
            remedy = f"remove `columns`: by the file's own names it is read as {guess[0]} ({expected})"
        raise DataError(f"no format fits; columns found: {found}{hint}", remedy=remedy)
    raise DataError(
        f"no format fits; columns found: {found}{hint}; columns needed, by format: {listed}",
        remedy=f"set `format`, and {expected}",
    )


def _best(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return {format: the row's columns that it reads} of those that fit and that no other surpasses."""
    read = {name: present for name in format_names() if (present := _fitting(name, row, columns))}
    return {name: mine for name, mine in read.items() if not any(mine < other for other in read.values())}


def guess_columns(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, str]] | None:
    """Return (format, {name the format expects: name the file uses}) of a file's columns: that which `auto` takes, else
    the likeliest by their names and by what stands in them. None where nothing is likely.

    `rows`: some rows of the file, at least half of which can be read so. The mapping has only columns that are called
    otherwise; it may be empty. A guess is for the user to see: nothing may be trained on it unasked.

    >>> guess_columns(["Nr", "Frage", "Antwort"], [{"Nr": "1", "Frage": "1 + 1?", "Antwort": "2"}])
    ('question_answer', {'question': 'Frage', 'answer': 'Antwort'})
    """
    known = [(next(iter(best)), dict[str, str]()) for row in rows[:1] if len(best := _best(row, {})) == 1]
    for format, found in (*known, *guesses(columns, rows)):
        renamed = {name: used for name, used in found.items() if name != used}
        if 0 < len(rows) <= 2 * sum(_reads(format, renamed, row) for row in rows):
            return format, renamed
    return None


def guess_line(format: str, columns: Mapping[str, str], row: Mapping[str, Any]) -> str:
    """Return a guess as YAML to paste into a source: `columns: {question: Frage}`, with `format` where it is needed."""
    fields: dict[str, Any] = {"columns": dict(columns)} if columns else {}
    if list(_best(row, columns)) != [format]:  # `auto` would not take it
        fields = {"format": format, **fields}
    text = yaml.safe_dump(fields, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**6)
    return text.strip().removeprefix("{").removesuffix("}")


def _reads(format: str, columns: Mapping[str, str], row: Mapping[str, Any]) -> bool:
    try:
        parse_row(SourceSpec(path="-", format=format, columns=dict(columns)), row, "")
    except DataError:
        return False
    return True


def _fitting(name: str, row: Mapping[str, Any], columns: Mapping[str, str]) -> frozenset[str]:
    """Return the row's columns that the format reads; empty when it does not fit."""
    module = format_module(name)
    known = _known(name)
    if not set(columns) <= set(known):
        return frozenset()
    values = {key: row[used] for key in known if row.get(used := columns.get(key, key)) is not None}
    seen = _whole(row, columns) if hasattr(module, "WHOLE_ROW") else values
    if not set(module.REQUIRED) <= set(values) or (hasattr(module, "recognises") and not module.recognises(seen)):
        return frozenset()
    return frozenset(columns.get(key, key) for key in values)


def _known(format: str) -> tuple[str, ...]:
    module = format_module(format)
    return (*module.REQUIRED, *module.OPTIONAL)


def _whole(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """Return all columns of the row that are not null, under the format's names."""
    names = {used: name for name, used in columns.items()}
    return {names.get(used, used): value for used, value in row.items() if value is not None}


def _missing(name: str, used: str, row: Mapping[str, Any], format: str, where: str) -> DataError:
    """Return the error for a missing column: its name, the columns there are, the nearest name and the edit that mends
    it.
    """
    if used in row:
        return DataError(
            f"{where}: column {used!r} is null; format {format} needs a value",
            remedy="remove the row, or fill it",
        )
    found = ", ".join(row) or "none"
    hint = near(used, row) if row else ""
    unused = (column for column in row if column not in _known(format))
    suggestion = hint.split("'")[1] if hint.startswith("did you mean") else next(unused, "NAME_IN_THE_FILE")
    return DataError(
        f"{where}: no column {used!r}, which format {format} needs; columns found: {found}"
        + (f"; {hint}" if hint.startswith("did you mean") else ""),
        remedy=f"set `columns: {{{name}: {suggestion}}}` (the format's name: the file's), or `format`",
    )
