"""One LaTeX file out of the source that authors gave to arXiv: a tarball, one packed file, or plain text.

Nothing is unpacked to the disk, so no name in a tarball leads anywhere; what is read of it is bounded. The main file is
the one that arXiv's own note names, else the one with `\\documentclass` that no other takes in, the longest of several.
`\\input`, `\\include`, `\\subfile` and `\\import` are put in place, and `\\bibliography` is where there is a .bbl.
"""

from __future__ import annotations

import gzip
import io
import json
import posixpath
import re
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

MOST_UNPACKED = 1 << 30
"""Bytes that are unpacked of one source, figures too."""
MOST_TEXT = 32 << 20
"""Bytes of its text files together, and characters of the one file that is made."""
MOST_MEMBERS = 20_000
MOST_CANDIDATES = 20
DEEPEST = 20
"""Files within files."""

_TEXT = (".tex", ".ltx", ".latex", ".bbl", ".tikz", ".pgf")
_NOTES = ("00readme.json", "00readme.xxx", "00readme")
_CLASS = re.compile(r"^[^%\n]*?\\document(?:class|style)\b", re.MULTILINE)
_BEGIN = re.compile(r"^[^%\n]*?\\begin\s*\{document\}", re.MULTILINE)
_COMMENT = re.compile(r"(?<!\\)(?:\\\\)*%")
_TAKE_IN = re.compile(
    r"\\(?:(?P<two>import|subimport|includefrom|inputfrom)\*?\s*\{(?P<folder>[^{}]*)\}\s*\{(?P<name>[^{}]*)\}"
    r"|(?P<one>input|include|subfile)\s*(?:\{(?P<braced>[^{}]*)\}|(?P<bare>(?<=input)\s*[\w./-]+))"
    r"|(?P<cited>bibliography)\s*\{[^{}]*\})"
)


class NoSource(Exception):
    """A source of which no one LaTeX file can be made. `reason`: the same for all of its kind."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def one_file(path: Path) -> str:
    """Return the paper as one LaTeX text. NoSource, or OSError for a file that cannot be read."""
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not packed:
                return _of_one(file.read(MOST_TEXT + 1), file)
            with gzip.open(file) as unpacked:
                start = unpacked.read(512)
            file.seek(0)
            with gzip.open(file) as unpacked:
                bounded = _Bounded(unpacked)
                if start[257:262] == b"ustar" or _is_old_tar(start):
                    return _joined(_members(bounded))
                return _of_one(bounded.read(MOST_TEXT + 1), None)
    except (gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError) as error:
        raise NoSource("a source that cannot be unpacked", str(error) or type(error).__name__) from None


def _of_one(data: bytes, file: IO[bytes] | None) -> str:
    if file is not None and (data[257:262] == b"ustar" or _is_old_tar(data[:512])):
        file.seek(0)
        return _joined(_members(_Bounded(file)))
    if len(data) > MOST_TEXT:
        raise NoSource(f"a source of more than {MOST_TEXT >> 20} MiB of text")
    text = _decoded(data)
    if not _CLASS.search(text) and "\\begin" not in text and "\\bye" not in text:
        raise NoSource("a source that is no LaTeX", repr(data[:60]))
    return _joined({"main.tex": text}) if _CLASS.search(text) else text


def _is_old_tar(start: bytes) -> bool:
    """Return whether 512 bytes are the head of a tar file older than `ustar`, by its checksum."""
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


class _Bounded(io.RawIOBase):
    """A file that ends in NoSource after MOST_UNPACKED bytes."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile) -> None:
        self._file, self._left = file, MOST_UNPACKED

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise NoSource(f"a source that unpacks to more than {MOST_UNPACKED >> 20} MiB")
        return data


def _members(file: _Bounded) -> dict[str, str]:
    """Return the text files of a tarball, {name: text}, but no links, devices, or names that lead out of it."""
    texts: dict[str, str] = {}
    size = 0
    with tarfile.open(fileobj=file, mode="r|") as archive:
        for number, member in enumerate(archive):
            if number >= MOST_MEMBERS:
                raise NoSource(f"a source of more than {MOST_MEMBERS:,} files")
            name = posixpath.normpath(member.name)
            wanted = name.lower().endswith(_TEXT) or name.lower() in _NOTES
            if not member.isreg() or not wanted or name.startswith(("/", "..")):
                continue
            size += member.size
            content = archive.extractfile(member) if size <= MOST_TEXT else None
            if content is None:
                raise NoSource(f"a source of more than {MOST_TEXT >> 20} MiB of text", name)
            texts[name] = _decoded(content.read())
    return texts


def _decoded(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _joined(texts: Mapping[str, str]) -> str:
    main = _main(texts)
    return _Joining(texts, main).text(main, ())


def _main(texts: Mapping[str, str]) -> str:
    if (named := _named(texts)) is not None:
        return named
    whole = [name for name, text in texts.items() if _CLASS.search(text)]
    begun = [name for name in whole if _BEGIN.search(texts[name])] or whole
    begun = sorted(begun, key=lambda name: (-len(texts[name]), name))[:MOST_CANDIDATES]
    if not begun:
        raise NoSource("a source without a LaTeX main file", ", ".join(sorted(texts)[:5]))
    lengths = {}
    for name in begun:
        joining = _Joining(texts, name)
        lengths[name] = (len(joining.text(name, ())), joining.taken)
    inner = {taken for name in begun for taken in lengths[name][1] if taken != name}
    tops = [name for name in begun if name not in inner] or begun
    return min(tops, key=lambda name: (-lengths[name][0], name.count("/"), name))


def _named(texts: Mapping[str, str]) -> str | None:
    """Return the main file that arXiv's note in the tarball names."""
    for note, text in texts.items():
        if note.lower() == "00readme.json":
            try:
                sources = json.loads(text)["sources"]
                names = [each["filename"] for each in sources if each.get("usage") == "toplevel"]
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue
        elif note.lower() in _NOTES:
            names = [line.split()[0] for line in text.splitlines() if line.rstrip().endswith("toplevelfile")]
        else:
            continue
        for name in names:
            if isinstance(name, str) and _CLASS.search(texts.get(posixpath.normpath(name), "")):
                return posixpath.normpath(name)
    return None


class _Joining:
    """Puts files in place of the commands that take them in."""

    def __init__(self, texts: Mapping[str, str], main: str) -> None:
        self._texts, self._main, self._size = texts, main, 0
        self.taken: set[str] = set()

    def text(self, name: str, above: tuple[str, ...]) -> str:
        """Return a file with what it takes in; `above`: the files that it is in, none of which is taken in again."""
        self.taken.add(name)
        lines = []
        for line in self._texts[name].split("\n"):
            self._size += len(line) + 1
            if self._size > MOST_TEXT:
                raise NoSource(f"a source of more than {MOST_TEXT >> 20} MiB of text", name)
            comment = _COMMENT.search(line)
            end = len(line) if comment is None else comment.end() - 1
            lines.append(_TAKE_IN.sub(lambda match: self._in_place(match, (*above, name)), line[:end]) + line[end:])
        return "\n".join(lines)

    def _in_place(self, match: re.Match[str], above: tuple[str, ...]) -> str:
        """Return the text of the file that a command names; the command itself where there is none."""
        if match["cited"]:
            names = [posixpath.splitext(self._main)[0] + ".bbl"]
            names += sorted(name for name in self._texts if name.endswith(".bbl"))
        else:
            asked = (match["name"] or match["braced"] or match["bare"] or "").strip().strip('"')
            folder = (match["folder"] or "").strip()
            here = posixpath.dirname(above[-1])
            places = ("", posixpath.dirname(self._main), here)
            paths = [posixpath.normpath(posixpath.join(place, folder, asked)) for place in places]
            names = [candidate for path in paths for candidate in (path, f"{path}.tex", f"{path}.ltx")]
        name = next((name for name in names if name in self._texts), None)
        if name is None or name in above or len(above) >= DEEPEST:
            return match[0]
        text = self.text(name, above)
        inner = re.search(r"\\begin\s*\{document\}(.*?)\\end\s*\{document\}", text, re.DOTALL)  # a subfile of its own
        return inner[1] if inner and match["one"] == "subfile" else text
