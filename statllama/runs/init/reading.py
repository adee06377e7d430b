"""A user's files as they come: any encoding, any delimiter. They are read, and never touched.

What `data/readers.py` cannot read (it takes UTF-8 and commas) is rewritten as a scratch copy that it can; its errors
then name the user's file all the same.
"""

from __future__ import annotations

import codecs
import csv
import glob
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from statllama.data.readers import KINDS, LONGEST_CELL, Row, data_kind, read_file
from statllama.data.textfiles import explained, open_bytes
from statllama.errors import DataError, NotFoundError, UsageError

LARGEST = 2 * 2**30  # bytes of a file: its rows are held in memory
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with BOM"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
ELSEWHERE = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "save the sheet as CSV"),
    **dict.fromkeys((".docx", ".odt", ".html", ".htm", ".rtf", ".epub"), "convert it: pandoc {name} -o {stem}.md"),
    ".pdf": "convert it: pdftotext {name} {stem}.txt",
}  # fmt: skip
"""What to do with files that hold text in a form that is not read."""
DOCUMENTS = (".md", ".txt")
TABS = ".tsv"


@dataclass(frozen=True)
class Named:
    """Files that one argument named: a file, or all of a folder or glob. `skipped`: those of no known kind."""

    argument: str
    files: tuple[Path, ...]
    skipped: tuple[Path, ...] = ()


Broken = tuple[int, DataError, Row]
"""A row that cannot be read: its number from 1, why, and what it holds as it stands."""


@dataclass(frozen=True)
class Contents:
    """All rows of a file."""

    path: Path
    rows: tuple[tuple[int, Row], ...]
    """(row from 1, its columns)"""
    encoding: str
    """In words: `UTF-8`, `Latin-1`, ...; empty for parquet."""
    delimiter: str = ""
    """In words, where it is not a comma: `semicolons`."""
    broken: tuple[Broken, ...] = ()


def named_files(arguments: Sequence[str]) -> tuple[list[Named], list[str]]:
    """Return the files of each argument, and notes on those named twice, which are read once.

    NotFoundError for what is not there, with near names; UsageError for a folder or glob without a data file.
    """
    seen: set[Path] = set()
    notes: list[str] = []
    groups = []
    for argument in arguments:
        found = _expanded(argument)
        if again := [path for path in found if path.resolve() in seen]:
            notes.append(
                f"{argument}: named twice, read once"
                if len(found) == 1
                else f"{argument}: {len(again)} of its files are named twice, and read once"
            )
        files = [path for path in found if path.resolve() not in seen]
        seen.update(path.resolve() for path in files)
        known = tuple(path for path in files if is_data(path))
        skipped = tuple(path for path in files if not is_data(path))
        if found and not known and not again:
            raise _unknown(skipped)
        if known or skipped:
            groups.append(Named(argument, known, skipped))
    return groups, notes


def is_data(path: Path) -> bool:
    """Return whether a file's name says that it holds data."""
    return data_kind(path) in (*KINDS, TABS)


def _expanded(argument: str) -> list[Path]:
    path = Path(os.path.expanduser(argument))
    if path.is_file():
        return [path]
    if path.is_dir():
        below = sorted(p for p in path.rglob("*") if p.is_file() and not _hidden(p.relative_to(path)))
        if not below:
            raise UsageError(f"{argument}: an empty folder", remedy="give a folder or file with data")
        return below
    matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
    if files := [match for match in matches if match.is_file()]:
        return files
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    close = get_close_matches(path.name, beside, n=3)
    hint = f"; did you mean {' or '.join(repr(str(path.with_name(name))) for name in close)}?" if close else ""
    raise NotFoundError(f"--data {argument}: no such file or folder{hint}")


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _unknown(files: Iterable[Path]) -> DataError:
    first = next(iter(files))
    remedy = ELSEWHERE.get(
        first.suffix.lower(), f"data are {', '.join((*KINDS, TABS))} (each also .gz or .zst): convert or rename it"
    )
    return DataError(
        f"{first}: unknown kind of file {first.suffix!r}", remedy=remedy.format(name=first.name, stem=first.stem)
    )


def skipped_note(path: Path) -> str:
    """Return what is said of a file that is not read."""
    how = ELSEWHERE.get(path.suffix.lower(), "no kind of data").format(name=path.name, stem=path.stem)
    return f"{path}: not read ({how})"


def read(path: Path, scratch: Path) -> Contents:
    """Return a file's rows. `scratch`: an empty folder for a copy. DataError that names the file and the row."""
    if path.stat().st_size > LARGEST:
        raise DataError(
            f"{path}: {path.stat().st_size / 2**30:.1f} GiB; `init` holds all rows in memory, at most 2 GiB a file",
            remedy="take a part of it, or write the recipe by hand: recipes/README.md",
        )
    kind = data_kind(path)
    if kind == ".parquet":
        return _contents(path, path, "")
    with explained(path), open_bytes(path) as stream:
        data = stream.read()
    if not data.strip():
        raise DataError(f"{path}: the file is empty ({len(data)} bytes)", remedy="leave it out, or write it again")
    codec, encoding = guess_encoding(data)
    table = kind in (".csv", TABS)
    if codec is None:
        return _contents(path, path, encoding)  # raises: the reader names the byte
    text = data.decode(codec)
    delimiter = guess_delimiter(text, "\t" if kind == TABS else ",") if table else ","
    said = "" if delimiter == "," else DELIMITERS[delimiter]
    if codec.startswith("utf-8") and kind != TABS and delimiter == ",":
        return _contents(path, path, encoding)
    copy = scratch / f"copy{'.csv' if table else kind}"
    copy.write_text(_with_commas(path, text, delimiter) if table else text, encoding="utf-8", newline="")
    try:
        return _contents(copy, path, encoding, said)
    finally:
        copy.unlink()


def _contents(readable: Path, path: Path, encoding: str, delimiter: str = "") -> Contents:
    broken: list[Broken] = []

    def named(error: DataError) -> DataError:
        return DataError(error.message.replace(str(readable), str(path)), remedy=error.remedy)

    def aside(number: int, error: DataError, row: Row) -> None:
        broken.append((number, named(error), row))

    try:
        found = tuple((number, row) for number, _, row in read_file(readable, aside))
    except DataError as error:
        raise named(error) from None
    if not found and broken:
        raise broken[0][1]
    if not found:
        raise DataError(f"{path}: no rows", remedy="leave it out, or write it again")
    return Contents(path, found, encoding, delimiter, tuple(broken))


def guess_encoding(data: bytes) -> tuple[str | None, str]:
    """Return (codec, its name in words) of a text's bytes; codec None for UTF-8 that is broken.

    >>> guess_encoding("naïve".encode("latin-1")), guess_encoding("naïve".encode())
    (('cp1252', 'Latin-1'), ('utf-8', 'UTF-8'))
    """
    for mark, codec, name in BOMS:
        if data.startswith(mark):
            return codec, name
    start = data[:4000]
    if start.count(0) > 0.2 * len(start):
        big = start[::2].count(0) > start[1::2].count(0)
        return ("utf-16-be" if big else "utf-16-le"), "UTF-16"
    try:
        data.decode("utf-8")
        return "utf-8", "UTF-8"
    except UnicodeDecodeError:
        pass
    whole = data.decode("utf-8", errors="replace")
    broken = whole.count("\ufffd")
    if sum(character > "\x7f" for character in whole) - broken > broken:
        return None, "UTF-8"
    try:
        data.decode("cp1252")
        return "cp1252", "Windows-1252" if any(0x80 <= byte <= 0x9F for byte in data) else "Latin-1"
    except UnicodeDecodeError:
        return "latin-1", "Latin-1"


def guess_delimiter(text: str, usual: str) -> str:
    """Return the delimiter that cuts the first rows of a table into most cells, most of them into as many as the first;
    else `usual`.
    """
    best = (1, usual)
    for delimiter in (usual, *(d for d in DELIMITERS if d != usual)):
        csv.field_size_limit(LONGEST_CELL)
        cells = []
        try:
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
                if row:
                    cells.append(len(row))
                if len(cells) == 20:
                    break
        except csv.Error:
            continue
        if cells and cells[0] > best[0] and 2 * cells.count(cells[0]) > len(cells):
            best = (cells[0], delimiter)
    return best[1]


def _with_commas(path: Path, text: str, delimiter: str) -> str:
    if delimiter == ",":
        return text
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            writer.writerow(row)
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: not valid CSV with {DELIMITERS[delimiter]}: {error}",
            remedy='inside "double quotes" a quote is written twice',
        ) from None
    return out.getvalue()
