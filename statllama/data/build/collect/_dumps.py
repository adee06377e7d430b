"""Dumps on the disk: their files and what is in them, and their lines one at a time, sound or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from statllama.data.build.records import Json
from statllama.data.textfiles import PACKED, explained, open_bytes
from statllama.errors import DataError
from statllama.store.canonical import digest
from statllama.store.content import content_hash

LONGEST_LINE = 256 << 20
"""Bytes of a line that is read into memory; of a longer one only its length is told."""


def dump_files(path: str, root: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the files of a dump, sorted: a file, all files of a folder, or of a glob, with these suffixes (each also
    with .gz or .zst). DataError when there is none.
    """
    given = Path(path).expanduser()
    place = given if given.is_absolute() else root / given
    if place.is_file():
        return [place]
    if place.is_dir():
        found = sorted(each for each in place.rglob("*") if each.is_file() and _kind(each) in suffixes)
    else:
        base = Path(place.anchor)
        found = sorted(each for each in base.glob(str(place.relative_to(base))) if each.is_file())
    if not found:
        kinds = ", ".join(suffix or "none" for suffix in suffixes)
        raise DataError(
            f"{place}: no file of a dump (endings: {kinds}; each also with {' or '.join(PACKED)})",
            remedy="correct `path`; a relative one starts at the folder of the build's file",
        )
    return found


def _kind(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def fingerprint(paths: Sequence[Path]) -> str:
    """Return a hash of the files' names and bytes, which is in a step's key in place of where they lie."""
    found: list[Any] = []
    for path in paths:
        with explained(path):
            found.append([path.name, content_hash(path)])
    return digest(found)


def raw_lines(paths: Sequence[Path], limit: int | None) -> Iterator[Json]:
    """Yield {file, line, text} of the first `limit` lines that are not blank, whatever they hold: bytes that are no
    UTF-8 become surrogates, and a line over LONGEST_LINE has `bytes`, its length, in place of `text`.

    DataError for a file that is cut off or damaged as a whole.
    """
    count = 0
    for path in paths:
        with explained(path), open_bytes(path) as file:
            number = 0
            while raw := file.readline(LONGEST_LINE):
                number += 1
                size = len(raw)
                while not raw.endswith(b"\n") and (more := file.readline(LONGEST_LINE)):
                    size, raw = size + len(more), more
                if size <= LONGEST_LINE and not raw.strip():
                    continue
                if limit is not None and count >= limit:
                    return
                count += 1
                yield _line(path.name, number, size, raw)


def _line(name: str, number: int, size: int, raw: bytes) -> Json:
    if size > LONGEST_LINE:
        return {"file": name, "line": number, "bytes": size}
    plain = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
    return {"file": name, "line": number, "text": plain.decode("utf-8", "surrogateescape")}
