"""The folders in which entries are made: `partial/<kind>-<key>.<token>`, of one hold each.

The token of the hold is in the name, so the writes of a process that another took over from do not land in the other's
folder. Whoever holds the lock next moves the folder away, before it does anything else: from then on what the earlier
process writes, or publishes, finds no such path. Then it takes over what can be gone on from: sealed checkpoints, which
nobody writes to any more, and copies of the other files, which the earlier process may have open.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from statllama.store.files import sync
from statllama.store.workspace import KINDS, TRASH, Kind

CHECKPOINTS, SEAL = "checkpoints", "sealed.json"
"""Folder of a working folder's checkpoints, and the file in each that says that it is complete."""

_NAME = re.compile(rf"({'|'.join(KINDS)})-([0-9a-f]{{64}})(?:\.[0-9a-f]+(?:-\d+)?)?")


def made_in(name: str) -> tuple[Kind, str] | None:
    """Return kind and key of the entry that is made in a folder of this name; None for another folder."""
    match = _NAME.fullmatch(name)
    return (match[1], match[2]) if match else None  # type: ignore[return-value]


def folders_of(partial: Path, entry: str) -> list[Path]:
    """Return all working folders of an entry (`<kind>-<key>`), the one that was written to last first."""
    try:
        names = os.listdir(partial)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = []
    for name in names:
        if name.startswith(entry) and made_in(name) is not None:
            with suppress(FileNotFoundError):
                found.append(((partial / name).stat().st_mtime_ns, partial / name))
    return [path for _, path in sorted(found, reverse=True)]


def unfinished(partial: Path, entry: str) -> bool:
    """Return whether there is a complete checkpoint of an entry."""
    return any(any((folder / CHECKPOINTS).glob(f"*/{SEAL}")) for folder in folders_of(partial, entry))


def take_over(partial: Path, entry: str, token: str) -> None:
    """Take what earlier holders of an entry's lock have left into the folder of this token. Hold the lock.

    A kill at any instant leaves all of it, here or there.
    """
    own = partial / f"{entry}.{token}"
    aside = []
    for number, folder in enumerate(folders_of(partial, entry)):
        with suppress(FileNotFoundError):  # its process may be clearing it away
            os.rename(folder, moved := partial / f"{own.name}-{number}")
            aside.append(moved)
    for folder in aside:
        _take(folder, own)
        discard(folder)


def discard(folder: Path) -> None:
    """Delete a folder of `partial/`; it vanishes at once."""
    with suppress(FileNotFoundError):
        os.rename(folder, trash := folder.with_name(f"{TRASH}{secrets.token_hex(4)}"))
        shutil.rmtree(trash, ignore_errors=True)


def _take(folder: Path, own: Path) -> None:
    own.mkdir(exist_ok=True)
    with suppress(FileNotFoundError):  # so that a publish under way on another host finds nothing at its end
        os.rename(folder / "out", folder / "unpublished")
    for path in [path for path in folder.iterdir() if path.is_file() and not path.is_symlink()]:
        if not path.name.startswith(".") and not (own / path.name).exists():
            copy = own / f".{path.name}.partial"
            shutil.copyfile(path, copy)
            sync(copy)
            os.replace(copy, own / path.name)
    for seal in (folder / CHECKPOINTS).glob(f"*/{SEAL}"):
        target = own / CHECKPOINTS / seal.parent.name
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            os.rename(seal.parent, target)
