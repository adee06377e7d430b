"""One file of many: a plain zip without compression, the same bytes for the same files, each of a recorded hash.

The first member, `bundle.json`, names all others with size and SHA-256. Reading refuses whatever a bundle does not
need: compression and encryption (no bomb can hide), links, names that lead elsewhere, members that are listed twice,
not at all, or that overlap.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from statllama.errors import NotFoundError, StoreError, UsageError
from statllama.store.files import Files, sync, translate_os_errors

FORMAT, VERSION = "statllama bundle", 1
MANIFEST_NAME = "bundle.json"
MOST_MEMBERS = 60_000  # beyond 65,535 a zip counts otherwise
LONGEST_MANIFEST = 1 << 26  # bytes
MOST_TEXT = 1 << 26  # bytes of a member that is read into memory
PIECE = 1 << 20
_LEAST_ZIP = 22  # bytes of the record at the end
_NAME = re.compile(r"(?:[A-Za-z0-9_@][A-Za-z0-9_.@ +-]*/)*[A-Za-z0-9_@][A-Za-z0-9_.@ +-]*")
_ANEW = "make the bundle again: statllama export RUN --bundle FILE"
Content = bytes | Path


def is_archive(path: Path) -> bool:
    """Return whether a file begins as a zip does."""
    with suppress(OSError), path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"
    return False


def write_archive(target: Path, about: Mapping[str, Any], members: Mapping[str, Content], hashes: Files) -> None:
    """Write the members, sorted by name, behind `bundle.json` (`about` and `hashes`): whole or not at all.

    `hashes`: size and SHA-256 of each member. StoreError when a file is not as it says, or the disk refuses;
    UsageError when `target` exists.
    """
    if os.path.lexists(target):
        raise UsageError(f"{target} exists already", remedy="name another file, or delete that one first")
    if len(members) > MOST_MEMBERS:
        raise UsageError(f"{len(members):,} files are more than a bundle holds ({MOST_MEMBERS:,})")
    head = {**about, "format": FORMAT, "version": VERSION, "files": {name: hashes[name] for name in sorted(members)}}
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    with translate_os_errors(target):
        try:
            with partial.open("wb") as file, zipfile.ZipFile(file, "w") as archive:
                _add(archive, MANIFEST_NAME, json.dumps(head, sort_keys=True, indent=1).encode())
                for name in sorted(members):
                    content = members[name]
                    if _add(archive, name, content) != hashes[name]:
                        what = content if isinstance(content, Path) else name
                        raise StoreError(f"{what} is damaged", remedy="run the recipe again, which mends it")
            sync(partial)
            if os.path.lexists(target):
                raise UsageError(f"{target} was made meanwhile", remedy="name another file")
            os.rename(partial, target)
            sync(target.parent)
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def _add(archive: zipfile.ZipFile, name: str, content: Content) -> dict[str, Any]:
    """Append a member; its size and hash."""
    info = zipfile.ZipInfo(name)  # of 1980-01-01
    info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    info.file_size = size
    hashed = hashlib.sha256()
    with archive.open(info, "w", force_zip64=size >= zipfile.ZIP64_LIMIT) as out:
        for piece in _pieces(content):
            hashed.update(piece)
            out.write(piece)
    return {"sha256": hashed.hexdigest(), "bytes": size}


def _pieces(content: Content) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


class Archive:
    """An open bundle whose members are as many, as large and as called as `bundle.json` says. Hashes are compared when
    a member is read.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, manifest: Mapping[str, Any]) -> None:
        self.path, self.manifest = path, manifest
        self.files: Files = manifest["files"]
        self._archive = archive

    @property
    def size(self) -> int:
        """Return the bytes of all members."""
        return sum(file["bytes"] for file in self.files.values())

    def read(self, name: str) -> bytes:
        """Return a small member. UsageError when it is missing, altered or too large."""
        if name not in self.files or self.files[name]["bytes"] > MOST_TEXT:
            raise _refused(self.path, f"{name} is {'too large' if name in self.files else 'missing'}")
        return b"".join(self._checked(name))

    def extract(self, name: str, target: Path) -> None:
        """Write a member to a new file. UsageError when it is altered, StoreError when the disk refuses."""
        with translate_os_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as out:
                for piece in self._checked(name):
                    out.write(piece)

    def _checked(self, name: str) -> Iterator[bytes]:
        hashed = hashlib.sha256()
        with _as_refusal(self.path), self._archive.open(name) as member:
            for piece in _read_pieces(member):
                hashed.update(piece)
                yield piece
        if hashed.hexdigest() != self.files[name]["sha256"]:
            raise _refused(self.path, f"{name} was altered")


def _read_pieces(member: IO[bytes]) -> Iterator[bytes]:
    while piece := member.read(PIECE):
        yield piece


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a bundle. UsageError for one that is truncated, altered, of another version, or no bundle at all."""
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}")
    with translate_os_errors(path), path.open("rb") as file:
        _require_end(path, file)
        with _as_refusal(path), zipfile.ZipFile(file) as archive:
            yield Archive(path, archive, _manifest(path, archive))


def _require_end(path: Path, file: IO[bytes]) -> None:
    """Refuse a zip that is cut off or whose list of members is larger than a bundle's can be, before it is read."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LEAST_ZIP))
    end = file.read()
    if len(end) != _LEAST_ZIP or end[:4] != b"PK\x05\x06":
        raise _refused(path, "its end is missing: it is truncated, or no bundle")
    count, listed = struct.unpack("<HL", end[10:16])
    if listed > LONGEST_MANIFEST or count > MOST_MEMBERS + 1:
        raise _refused(path, "it lists more files than a bundle has")
    file.seek(0)


def _manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    members = archive.infolist()
    names = [member.filename for member in members]
    for member in members:
        _require_plain(path, member)
    if len(set(names)) < len(names) or len({name.casefold() for name in names}) < len(names):
        twice = next(name for name in names if [other.casefold() for other in names].count(name.casefold()) > 1)
        raise _refused(path, f"it has {twice!r} twice")
    if names[:1] != [MANIFEST_NAME] or members[0].file_size > LONGEST_MANIFEST:
        raise UsageError(f"{path} is a zip, but no bundle of statllama", remedy=_ANEW)
    head = _json(path, archive.read(MANIFEST_NAME))
    if head.get("format") != FORMAT:
        raise UsageError(f"{path} is a zip, but no bundle of statllama", remedy=_ANEW)
    if head.get("version") != VERSION:
        raise UsageError(
            f"{path} is a bundle of version {head.get('version')!r}, and this statllama reads version {VERSION}",
            remedy="install the statllama that wrote it, or a later one",
        )
    _require_listed(path, head.get("files"), {m.filename: m.file_size for m in members[1:]})
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise _refused(path, "its files are larger than itself")
    return head


def _require_plain(path: Path, member: zipfile.ZipInfo) -> None:
    """Refuse a member that is no plain file below the bundle."""
    name, mode = member.filename, member.external_attr >> 16
    parts = name.split("/")
    if not _NAME.fullmatch(name) or len(name) > 512 or any(part.endswith((".", " ")) for part in parts):
        raise _refused(path, f"{name!r} is no name of a file below it")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise _refused(path, f"{name!r} is no plain file")
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 0x1 or member.compress_size != member.file_size:
        raise _refused(path, f"{name!r} is compressed or encrypted")


def _require_listed(path: Path, files: Any, sizes: Mapping[str, int]) -> None:
    """Refuse members that are not those of the manifest, by name and size."""
    if not isinstance(files, dict) or not all(
        isinstance(file, dict) and isinstance(file.get("bytes"), int) and isinstance(file.get("sha256"), str)
        for file in files.values()
    ):
        raise _refused(path, f"{MANIFEST_NAME} does not list files")
    for name in sorted({*files, *sizes}):
        if name not in sizes:
            raise _refused(path, f"{name} is missing")
        if name not in files:
            raise _refused(path, f"{name} is not listed in {MANIFEST_NAME}")
        if files[name]["bytes"] != sizes[name]:
            raise _refused(path, f"{name} has {sizes[name]:,} bytes instead of {files[name]['bytes']:,}")


def _json(path: Path, text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _refused(path, f"{MANIFEST_NAME} is damaged")
    return found


def _refused(path: Path, why: str) -> UsageError:
    return UsageError(f"{path}: nothing was imported, since {why}", remedy=f"copy it again, or {_ANEW}")


@contextmanager
def _as_refusal(path: Path) -> Iterator[None]:
    """Turn what the zip library says of a broken file into our words."""
    try:
        yield
    except (zipfile.BadZipFile, NotImplementedError, EOFError, struct.error, UnicodeDecodeError) as error:
        raise _refused(path, f"it is damaged ({error})") from None
