"""What a folder's file system really does, seen from two processes, on one host or on two. Loads no torch.

One process holds a lock (`holding`), the other tries for it (`probe`), and also tries what publishing rests on: that a
rename onto a filled folder is refused, that a file is created once, and that the clock of the file system is this
host's. Both work in `.statllama-probe-<token>/` below the folder.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from statllama.errors import StoreError
from statllama.store.files import read_json, translate_os_errors, write_json
from statllama.store.mounts import mount_of

LOCK, TOLD = "held.lock", "held.json"
ANSWER = 60.0  # seconds for a process of ours to start and answer
FREED = 5.0  # seconds for the lock of a killed process to be free; the kernel of this host needs none
_TICK = 0.05

Lock = Callable[[Path], AbstractContextManager[object]]
"""Takes the lock of a file at once and holds it for the block; Timeout when another has it."""


@dataclass(frozen=True)
class Facts:
    """What one process found in a folder."""

    host: str
    kind: str = ""
    """Type of the file system as the table of mounts names it; empty where there is no such table."""
    source: str = ""
    options: tuple[str, ...] = ()
    sees: bool = False
    """Whether what the holder wrote is here."""
    excluded: bool | None = None
    """Whether the holder's lock kept this process out. None: no holder was seen."""
    locks: bool = False
    """Whether a free lock can be taken."""
    renames: bool = False
    """Whether a folder can be renamed, and a rename onto a filled one is refused."""
    exclusive: bool = False
    """Whether a file that is there cannot be created anew."""
    ahead: float = 0.0
    """Seconds by which the clock of the file system is ahead of this host's."""
    error: str = ""
    """What kept the probe from its end."""

    def as_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Return the facts that another process told."""
        return cls(**{**told, "options": tuple(told["options"])})


def try_lock(path: Path) -> AbstractContextManager[object]:
    """Take a lock as the workspace does, or raise Timeout."""
    return FileLock(path, blocking=False, fallback_to_soft=False).acquire(blocking=False)


@contextmanager
def holding(folder: Path, token: str, lock: Lock = try_lock) -> Iterator[None]:
    """Hold the probe's lock for another process to try. What was written for it is deleted at the end. StoreError when
    the disk refuses, or has no locks.
    """
    place = _place(folder, token)
    try:
        with translate_os_errors(folder):
            place.mkdir(exist_ok=True)
            held = lock(place / LOCK)
        with held:
            write_json(place / TOLD, {"host": socket.gethostname(), "pid": os.getpid()})
            yield
    finally:
        shutil.rmtree(place, ignore_errors=True)


def probe(folder: Path, token: str, lock: Lock = try_lock) -> Facts:
    """Try the folder, and the lock of whoever holds it under this token. Raises nothing: what fails is a fact."""
    place, mount = _place(folder, token), mount_of(folder)
    facts: dict[str, Any] = {"host": socket.gethostname()}
    if mount is not None:
        facts |= {"kind": mount.kind, "source": mount.source, "options": mount.options}
    mine = place / f"{socket.gethostname()}-{os.getpid()}"
    try:
        facts["sees"] = read_json(place / TOLD) is not None
        if facts["sees"]:
            facts["excluded"] = not _taken(lock, place / LOCK)
        mine.mkdir(parents=True)
        facts["ahead"] = _ahead(mine)
        facts["exclusive"] = _exclusive(mine)
        facts["renames"] = _renames(mine)
        facts["locks"] = _taken(lock, mine / "own.lock")
    except (OSError, NotImplementedError, StoreError) as error:
        facts["error"] = str(error).splitlines()[0]
    finally:
        shutil.rmtree(mine, ignore_errors=True)
        if not facts.get("sees"):
            with suppress(OSError):
                place.rmdir()
    return Facts(**facts)


def _place(folder: Path, token: str) -> Path:
    return folder / f".statllama-probe-{token}"


def _taken(lock: Lock, path: Path) -> bool:
    try:
        with lock(path):
            return True
    except Timeout:
        return False


def _ahead(folder: Path) -> float:
    before = time.time()
    (folder / "clock").write_bytes(b"now")
    after, stamped = time.time(), (folder / "clock").stat().st_mtime
    return 0.0 if before - 0.1 <= stamped <= after else stamped - (before + after) / 2  # 0.1: its clock's tick


def _exclusive(folder: Path) -> bool:
    path = folder / "once"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return True
    return False


def _renames(folder: Path) -> bool:
    """Return whether an entry's folder would be put in place, and not onto another's."""
    for name in ("first", "second"):
        (folder / name).mkdir()
        (folder / name / "file").write_text(name, encoding="utf-8")
    os.rename(folder / "first", folder / "final")
    try:
        os.rename(folder / "second", folder / "final")
    except OSError:
        return (folder / "final" / "file").read_text(encoding="utf-8") == "first"
    return False


def ask_another(folder: Path, token: str) -> Facts:
    """Return what a second process of this host finds in the folder. StoreError when it does not answer."""
    code = (
        "import json, pathlib, sys; from statllama.store.disk_probe import probe;"
        "print(json.dumps(probe(pathlib.Path(sys.argv[1]), sys.argv[2]).as_json()))"
    )
    command = [sys.executable, "-c", code, str(folder), token]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER, check=True)
        return Facts.from_json(json.loads(done.stdout.splitlines()[-1]))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        raise StoreError(f"a second process could not look at {folder}: {error}") from None


def freed_by_death(folder: Path, token: str, lock: Lock = try_lock) -> bool:
    """Return whether the lock of a process is free once SIGKILL has ended it. StoreError when that process does not
    come so far.
    """
    code = (
        "import pathlib, sys, time; from statllama.store.disk_probe import holding\n"
        "with holding(pathlib.Path(sys.argv[1]), sys.argv[2]): time.sleep(600)"
    )
    place = _place(folder, token)
    holder = subprocess.Popen([sys.executable, "-c", code, str(folder), token], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + ANSWER
        while read_json(place / TOLD) is None:
            if holder.poll() is not None or time.monotonic() > until:
                raise StoreError(f"a second process could not take a lock in {folder}")
            time.sleep(_TICK)
        holder.kill()
        holder.wait()
        until = time.monotonic() + FREED
        while not _taken(lock, place / LOCK):
            if time.monotonic() > until:
                return False
            time.sleep(_TICK)
        return True
    finally:
        holder.kill()
        holder.wait()
        shutil.rmtree(place, ignore_errors=True)
