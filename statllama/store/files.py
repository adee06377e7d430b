"""Files that survive a kill: hashes, syncing, atomic JSON, and disk errors in words."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from statllama.errors import StoreError, UsageError
from statllama.store.mounts import require_folder

Files = dict[str, dict[str, Any]]
"""{name relative to the folder, with forward slashes: {"sha256": hex, "bytes": size}}"""


_ELSEWHERE = "use a workspace on another disk"
_FREE_SPACE = "free space there, or {elsewhere}, and run again"
_PERMISSION = "give your user read and write permission, or {permitted}"
_OS_ERRORS = {  # errno: (reason, remedy)
    errno.ENOSPC: ("no space is left on the disk", _FREE_SPACE),
    errno.EDQUOT: ("the disk quota is used up", _FREE_SPACE),
    errno.EFBIG: ("a file is larger than the limit", "raise `ulimit -f`, or {elsewhere}, and run again"),
    errno.EROFS: ("the filesystem is read-only", "remount it writable, or {elsewhere}"),
    errno.EACCES: ("permission is denied", _PERMISSION),
    errno.EPERM: ("permission is denied", _PERMISSION),
    errno.EXDEV: ("it is on another filesystem", "keep the whole workspace on one filesystem"),
    errno.ENOSYS: ("the filesystem has no file locks", "{elsewhere}"),
    errno.EIO: ("the disk reports an input/output error", "check the disk, or {elsewhere}"),
}


_TEMPORARY = (".tmp", ".partial")  # ends of names of which a user knows nothing


@contextmanager
def translate_os_errors(path: Path, elsewhere: str = _ELSEWHERE) -> Iterator[None]:
    """Turn a full disk, a quota, a size limit, a read-only disk or a missing permission into a StoreError.

    It says what could not be used, why, how many bytes are free there, and the remedy; `elsewhere` is the way to
    another disk. Writers in Rust (safetensors, tokenizers) and torch.save raise no OSError: their failures are known by
    the text. Other exceptions pass unchanged.
    """
    try:
        yield
    except Exception as exc:
        found = None if isinstance(exc, StoreError) else _os_error(exc)
        if found is None:
            raise
        name = exc.filename if isinstance(exc, OSError) and isinstance(exc.filename, str) else None
        place = path if name is None or name.endswith(_TEMPORARY) else Path(name)
        message = f"cannot use {place}: {found[0]} ({free_bytes(path):,} bytes are free on that disk)"
        permitted = "use another workspace" if elsewhere == _ELSEWHERE else elsewhere
        raise StoreError(message, remedy=found[1].format(elsewhere=elsewhere, permitted=permitted)) from exc


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield an empty folder that is gone after the block. StoreError, which names TMPDIR, when its disk refuses."""
    place = Path(tempfile.gettempdir())
    with (
        translate_os_errors(place, "set TMPDIR to a folder on another disk"),
        tempfile.TemporaryDirectory(prefix="statllama-", dir=place) as folder,
    ):
        yield Path(folder)


def _os_error(exc: Exception) -> tuple[str, str] | None:
    if isinstance(exc, OSError):
        return _OS_ERRORS.get(exc.errno or 0)
    text = str(exc)
    if rust := re.search(r"\(os error (\d+)\)", text):  # how Rust's std::io::Error prints itself
        return _OS_ERRORS.get(int(rust[1]))
    if type(exc).__name__ == "SafetensorError":
        code = {"No space left": errno.ENOSPC, "File too large": errno.EFBIG}
        return next((_OS_ERRORS[code[phrase]] for phrase in code if phrase in text), None)
    # torch.save drops the cause: a short write is told only by the position it did not reach.
    if isinstance(exc, RuntimeError) and re.search(r"PytorchStreamWriter failed|\] \. unexpected pos ", text):
        return "a file could not be written completely (full disk, quota or size limit)", _FREE_SPACE
    return None


def free_bytes(path: Path) -> int:
    """Return the bytes the user may still write to the disk that holds a path, which need not exist yet."""
    return shutil.disk_usage(next(p for p in (path, *path.absolute().parents) if p.exists())).free


def require_bytes(path: Path, needed: int) -> None:
    """Raises StoreError when the disk that holds `path` has less than `needed` bytes left."""
    if (free := free_bytes(path)) < needed:
        problem = f"{path} needs {needed:,} bytes, and {free:,} are free on that disk"
        raise StoreError(problem, remedy=_FREE_SPACE.format(elsewhere=_ELSEWHERE))


def write_json(path: Path, value: object) -> None:
    """Write JSON (sorted keys, indent 2, newline at the end): at any instant the file is whole, old or new.

    Raises ValueError for NaN and infinity, TypeError for what is not JSON, StoreError when the disk refuses.
    """
    write_text(path, [json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False), "\n"])


def write_text(path: Path, parts: Iterable[str]) -> None:
    """Write UTF-8 text piece by piece: at any instant the file is whole, old or new. StoreError as `write_json`."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with translate_os_errors(path):
        try:
            with temporary.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(parts)
            sync(temporary)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync(path.parent)


def require_place(path: Path | None, option: str = "--out") -> None:
    """Raise UsageError, before the work, when the output file of an option is a folder, or its folder does not
    exist.
    """
    if path is None:
        return
    require_folder(path, option)
    if path.is_dir():
        raise UsageError(f"{path} is a folder", remedy=f"name a file: {option} {path / 'result'}")
    if not path.absolute().parent.is_dir():
        raise UsageError(
            f"the folder {path.absolute().parent} does not exist", remedy="create it, or name another file"
        )


def read_json(path: Path) -> Any:
    """Return the value in a JSON file; None when it is missing or not JSON. StoreError when it may not be read."""
    with translate_os_errors(path):
        try:
            return json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RecursionError):
            return None


def read_files_record(path: Path, schema: int) -> dict[str, Any] | None:
    """Return a manifest or seal: a JSON object of this `schema` whose `files` are `Files`. None for all else."""
    record = read_json(path)
    if not isinstance(record, dict) or record.get("schema") != schema:
        return None
    files = record.get("files")
    if not isinstance(files, dict):
        return None
    sound = all(isinstance(item, dict) and {"sha256", "bytes"} <= item.keys() for item in files.values())
    return record if sound else None


def link_files(source: Path, target: Path, names: Iterable[str]) -> None:
    """Give files of a folder second names in another one, in this order; copy them where the disk has no such links.

    `target` is made. Nobody may write into such a file: it would change under both names. Raises OSError.
    """
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source / name, target / name)
        except OSError as exc:
            if exc.errno not in (errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS):
                raise
            shutil.copyfile(source / name, target / name)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hex digits, read in small pieces. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_files(folder: Path) -> list[str]:
    """Return the names, relative to a folder, of every file below it, sorted. Follows symbolic links. Raises
    OSError.
    """
    return sorted(path.relative_to(folder).as_posix() for path in walk(folder) if not path.is_dir())


def hash_files(folder: Path) -> Files:
    """Return the size and SHA-256 of every file below a folder. Raises OSError."""
    paths = {name: folder / name for name in list_files(folder)}
    return {name: {"sha256": file_sha256(path), "bytes": path.stat().st_size} for name, path in paths.items()}


def mismatch(folder: Path, files: Files) -> str | None:
    """Describe the first file that differs from its record, with the expected and the actual hash; None
    without one.

    Sizes are compared first, since that is cheap, then contents. Files without a record are not looked at.
    """
    for by_size in (True, False):
        for name, expected in files.items():
            path, want = folder / name, f"expected sha256 {expected['sha256']} ({expected['bytes']} bytes)"
            if not path.is_file():
                return f"{path} is missing: {want}"
            size = path.stat().st_size
            if (size != expected["bytes"]) if by_size else (file_sha256(path) != expected["sha256"]):
                return f"{path} is damaged: {want}, got {file_sha256(path)} ({size} bytes)"
    return None


def walk(folder: Path) -> Iterator[Path]:
    """Yield the folder and everything below it. Raises OSError for what cannot be read; os.walk would skip it."""

    def fail(exc: OSError) -> None:
        raise exc

    for parent, _, names in os.walk(folder, followlinks=True, onerror=fail):
        yield Path(parent)
        yield from (Path(parent, name) for name in names)


def sync(*paths: Path) -> None:
    """Put files and folders (a folder's names, not what is below) on the disk: they survive a power cut."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
