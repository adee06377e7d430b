"""Reads the rows of a local file one by one: .json, .jsonl, .csv, .parquet, .txt and .md, each also with .gz and .zst.

A .json file is an array of objects, or one object, which is one row. A .txt or .md file is one document: a row with
`text` and, as `source`, the file's name. Text is UTF-8, with or without a byte order mark, with LF or CRLF. Every
failure is a DataError that names the file and the row (from 1) and says what to do.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from statllama.data.json_array import array_items
from statllama.data.textfiles import PACKED, blocks, explained, lines, open_bytes
from statllama.errors import DataError, near

Row = dict[str, Any]
Numbered = tuple[int, int | None, Row]  # (row from 1, line from 1 where lines mean something, the row)
Aside = Callable[[int, DataError, Row], None]
"""Takes a row that cannot be read: its number from 1, why, and what it holds as it stands."""
BATCH = 256  # rows of a parquet file that are in memory as Python values
LONGEST_CELL = 2**31 - 1  # characters; Python's default of 131,072 is less than a long document


def data_kind(path: Path) -> str:
    """Return the extension that says what a file holds, in lower case: `.jsonl` for x.JSONL and for x.jsonl.gz."""
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def read_file(path: Path, aside: Aside | None = None) -> Iterator[Numbered]:
    """Yield the rows of a file, in order; not yet checked for characters that no tokenizer takes.

    `aside`: takes the rows of .jsonl and .csv that alone cannot be read; without it they are errors.
    """
    kind = data_kind(path)
    reader = READERS.get(kind)
    if reader is None:
        raise DataError(
            f"{path}: unknown extension {kind!r}; {near(kind, READERS)} (each also with .gz or .zst)",
            remedy="convert the file, or rename it after its format",
        )
    with explained(path):
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty (0 bytes)", remedy="download or write it again")
        yield from BY_LINE[kind](path, aside) if kind in BY_LINE else reader(path)


def _read_jsonl(path: Path, aside: Aside | None = None) -> Iterator[Numbered]:
    row = 0
    for line, text in lines(path):
        if not text.strip():
            continue
        row += 1
        if row == 1 and text.lstrip().startswith("["):
            raise DataError(
                f"{path}: a JSON array in a .jsonl file, which holds one object per line",
                remedy=f"rename it to {path.name.replace('.jsonl', '.json')}",
            )
        try:
            yield row, line, _object(_parsed(text, f"{path}, row {row} (line {line})"), path, row)
        except DataError as error:
            if aside is None:
                raise
            aside(row, error, {"line": text.rstrip("\r\n")})


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        detail = "too deep"
        if isinstance(error, json.JSONDecodeError):
            detail = f"{error.msg.removesuffix(' at')} at column {error.colno}"
        cut = "" if text.endswith("\n") else "; the file ends here, so it may be cut off"
        raise DataError(
            f"{where}: not valid JSON: {detail}{cut}", remedy="write each row as one JSON object on one line"
        ) from None


def _object(value: Any, path: Path, row: int) -> Row:
    if not isinstance(value, dict):
        got = "null" if value is None else {"str": "a text", "list": "an array"}.get(type(value).__name__, repr(value))
        raise DataError(f"{path}, row {row}: not an object but {got}", remedy='a row is an object: {"text": "..."}')
    return value


def _read_json(path: Path) -> Iterator[Numbered]:
    for row, value in array_items(path):
        # An array of texts is one of documents.
        yield row, None, {"text": value} if isinstance(value, str) else _object(value, path, row)


def _read_csv(path: Path, aside: Aside | None = None) -> Iterator[Numbered]:
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
                count = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
                ragged = DataError(
                    f"{path}, row {row} (line {reader.line_num}): {count}, not {len(header)}",
                    remedy='put cells that hold commas or line ends in "double quotes"',
                )
                if aside is None:
                    raise ragged
                aside(row, ragged, {"cells": cells})
                continue
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
        if path.suffix.lower() in PACKED:  # parquet is read from its end, so it must be unpacked first
            with open_bytes(path) as handle:
                source = pyarrow.BufferReader(handle.read())
        with pyarrow.parquet.ParquetFile(source) as file:
            # A reader of the whole file keeps what it has read, so memory would grow with the file.
            groups = (file.iter_batches(BATCH, row_groups=[group]) for group in range(file.num_row_groups))
            for batch in chain.from_iterable(groups):
                for value in batch.to_pylist():
                    row += 1
                    yield row, None, value
    except UnicodeDecodeError:
        raise DataError(f"{path}, after row {row}: text that is not UTF-8", remedy="write the file again") from None
    except pyarrow.ArrowException as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{path}: not a sound parquet file, or cut off ({reason})", remedy="download or write it again"
        ) from None


def _read_document(path: Path) -> Iterator[Numbered]:
    text = "".join(blocks(path)).replace("\r\n", "\n")
    yield 1, None, {"text": text, "source": path.name}


READERS: dict[str, Callable[[Path], Iterator[Numbered]]] = {
    ".csv": _read_csv,
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".md": _read_document,
    ".parquet": _read_parquet,
    ".txt": _read_document,
}
BY_LINE = {".csv": _read_csv, ".jsonl": _read_jsonl}
KINDS = tuple(READERS)
TABLES = (".csv", ".parquet")  # all rows of such a file have the same columns
