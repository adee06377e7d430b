"""What is in a file: its hash, read again only when the file has changed, and whether files are as recorded."""

from __future__ import annotations

import os
import time
from pathlib import Path

from statllama.store.files import Files, file_sha256, translate_os_errors
from statllama.store.memory import recall, remember

SETTLED = 2_000_000_000
"""Nanoseconds after a change before a hash is remembered: an edit within one tick of the clock leaves no other mark,
and a tick is up to 2 s (FAT)."""
_known: dict[str, str] = {}


def content_hash(path: Path, memory: Path | None = None) -> str:
    """Return the SHA-256 of a file's bytes, 64 hex digits. Raises OSError.

    The file is read again when its size, its inode, or the time of its last write or change of status is another than
    when it was read last, by this process or (`memory`: see `memory.py`) by an earlier one.
    """
    mark, changed = _mark(path)
    if (known := _known.get(mark)) is not None:
        return known
    known = recall(memory).get(mark) or file_sha256(path)
    if time.time_ns() - changed > SETTLED and _mark(path)[0] == mark:
        _known[mark] = known
        remember(memory, mark, known)
    return known


def _mark(path: Path) -> tuple[str, int]:
    """Return what tells this state of a file from another, and when it came about (ns since 1970)."""
    stat = os.stat(path)
    marks = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_dev, stat.st_ino)
    return "|".join(map(str, (path, *marks))), stat.st_ctime_ns


def flaw(folder: Path, files: Files, *, contents: bool) -> str | None:
    """Say in words which file is not as recorded, such as `adapter.safetensors is damaged`; None when all are.

    `contents`: compare hashes too, not sizes alone. StoreError for a file that may not be read.
    """
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        with translate_os_errors(path):
            if path.stat().st_size != expected["bytes"]:
                return f"{name} is damaged"
            if contents and content_hash(path) != expected["sha256"]:
                return f"{name} is damaged"
    return None
