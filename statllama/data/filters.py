"""The filters of a source: which of its rows may be used at all, by their columns and their length."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from statllama.config.source import SourceSpec
from statllama.data.examples import Example
from statllama.data.formats import format_module, parse_row
from statllama.data.sources import rows
from statllama.errors import DataError

_NOT_TEXT = ("role", "from")  # keys of a message whose values are no text


def patterns_of(source: SourceSpec) -> dict[str, re.Pattern[str]]:
    """Return {column: what must be found in it}."""
    return {column: re.compile(pattern) for column, pattern in source.where.items()}


def usable(source: SourceSpec, root: Path) -> Iterator[tuple[int, str, Example]]:
    """Yield (row from 0, where, example) of every row that passes the filters. DataError for one that cannot be read.

    `source`: a settled one.
    """
    patterns = patterns_of(source)
    for number, (where, row) in enumerate(rows(source, root)):
        if filtered(source, patterns, row, where, first=number == 0) is None:
            yield number, where, parse_row(source, row, where)


def filtered(
    source: SourceSpec, patterns: Mapping[str, re.Pattern[str]], row: Mapping[str, Any], where: str, first: bool
) -> str | None:
    """Return the filter that excludes the row; None when none does.

    A column may be missing or null, which matches nothing; but not in the `first` row, where it is a misspelling.
    """
    for column, pattern in patterns.items():
        if column not in row and first:
            raise DataError(
                f"{where}: no column {column!r}, which `where` names; columns found: {', '.join(row) or 'none'}",
                remedy="correct `where` in the recipe",
            )
        value = row.get(column)
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        if value is None or not pattern.search(text):
            return f"`where`: {column} does not match"
    if source.min_chars or source.max_chars:
        module = format_module(source.format)
        names = {source.columns.get(name, name) for name in (*module.REQUIRED, *module.OPTIONAL)}
        whole = getattr(module, "WHOLE_ROW", False)
        size = sum(_characters(value) for name, value in row.items() if whole or name in names)
        if source.min_chars and size < source.min_chars:
            return f"shorter than {source.min_chars} characters"
        if source.max_chars and size > source.max_chars:
            return f"longer than {source.max_chars} characters"
    return None


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value.strip())
    if isinstance(value, Mapping):
        return sum(_characters(item) for key, item in value.items() if key not in _NOT_TEXT)
    return sum(map(_characters, value)) if isinstance(value, Sequence) else 0
