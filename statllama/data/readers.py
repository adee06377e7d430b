"""Reads the rows of a local file one by one: .json (an array), .jsonl, .csv, .parquet, each also with .gz.

Text is UTF-8, with or without a byte order mark, with LF or CRLF. Every failure is a DataError that names the
file and the row (from 1) and says what to do.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from statllama.data.json_array import array_items
from statllama.data.textfiles import explained, lines, open_bytes
from statllama.errors import DataError, near

Row = dict[str, Any]
Numbered = tuple[int, int | None, Row]  # (row from 1, line from 1 where lines mean something, the row)
LONGEST_CELL = 2**31 - 1  # characters; Python's default of 131,072 is less than a long document


def read_file(path: Path) -> Iterator[Numbered]:
    """The rows of a file, in order; not yet checked for characters that no tokenizer takes."""
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    reader = READERS.get(suffix)
    if reader is None:
        raise DataError(
            f"{path}: unknown extension {suffix!r}; {near(suffix, READERS)} (each also with .gz)",
            remedy="convert the file, or rename it after what it holds",
        )
    with explained(path):
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty (0 bytes)", remedy="fetch or write it again")
        yield from reader(path)


def _read_jsonl(path: Path) -> Iterator[Numbered]:
    row = 0
    for line, text in lines(path):
        if not text.strip():
            continue
        row += 1
        if row == 1 and text.lstrip().startswith("["):
            raise DataError(
                f"{path}: a JSON array in a .jsonl file, which has one object a line",
                remedy=f"rename it to {path.name.replace('.jsonl', '.json')}",
            )
        try:
            value = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            detail = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else "too deep"
            cut = "" if text.endswith("\n") else "; the file ends here, so it may be cut off"
            raise DataError(
                f"{path}, row {row} (line {line}): not valid JSON: {detail}{cut}",
                remedy="write each row as one JSON object on one line",
            ) from None
        yield row, line, _object(value, path, row)


def _object(value: Any, path: Path, row: int) -> Row:
    if not isinstance(value, dict):
        got = "null" if value is None else {"str": "a text", "list": "an array"}.get(type(value).__name__, repr(value))
        raise DataError(f"{path}, row {row}: not an object but {got}", remedy='a row is an object: {"text": "..."}')
    return value


def _read_json(path: Path) -> Iterator[Numbered]:
    for row, value in array_items(path):
        yield row, None, _object(value, path, row)


def _read_csv(path: Path) -> Iterator[Numbered]:
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader((text for _, text in lines(path)), strict=True)
    header: list[str] = []
    row = 0
    try:
        for cells in reader:
            if not cells:
                continue
            if not header:
                header = cells
                if twice := sorted({repr(c) for c in cells if cells.count(c) > 1}):
                    raise DataError(f"{path}: the header names {', '.join(twice)} twice", remedy="rename one of them")
                continue
            row += 1
            if len(cells) != len(header):
                raise DataError(
                    f"{path}, row {row} (line {reader.line_num}): {len(cells)} cells, not {len(header)}",
                    remedy='put cells that hold commas or line ends in "double quotes"',
                )
            yield row, reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise DataError(
            f"{path}, row {row + 1} (line {reader.line_num}): not valid CSV: {error}",
            remedy='inside "double quotes" a quote is written twice; lines end in LF or CRLF',
        ) from None


def _read_parquet(path: Path) -> Iterator[Numbered]:
    import pyarrow
    import pyarrow.parquet

    row = 0
    try:
        source: Any = path
        if path.suffix.lower() == ".gz":
            with open_bytes(path) as handle:
                source = io.BytesIO(handle.read())
        with pyarrow.parquet.ParquetFile(source) as file:
            for batch in file.iter_batches(batch_size=1024):
                for value in batch.to_pylist():
                    row += 1
                    yield row, None, value
    except UnicodeDecodeError:
        raise DataError(f"{path}, after row {row}: text that is not UTF-8", remedy="write the file again") from None
    except pyarrow.ArrowException as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{path}: not a sound parquet file, or cut off ({reason})", remedy="fetch or write it again"
        ) from None


READERS: dict[str, Callable[[Path], Iterator[Numbered]]] = {
    ".csv": _read_csv,
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
