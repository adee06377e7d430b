"""The process that holds a lock, as it wrote itself down beside the lock."""

from __future__ import annotations

import errno
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from statllama.errors import StoreError
from statllama.store.files import read_json

_POLL_SECONDS = 0.1
_HOLDER_GRACE_SECONDS = 1.0
_SHOWN = 100  # characters of a command: each `--set` is in it


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock. `pid` is None when it is not known."""

    pid: int | None = None
    host: str = ""
    since: str = ""
    """When it took the lock: ISO 8601, UTC."""
    command: str = ""
    ticks: int | None = None
    """When the process started (Linux clock ticks since boot): tells it from a later one of that pid."""

    def __str__(self) -> str:
        if self.pid is None:
            return "another process"
        command = self.command if len(self.command) <= _SHOWN else f"{self.command[:_SHOWN]}..."
        return f"process {self.pid} on {self.host} since {self.since} (`{command}`)"

    @classmethod
    def here(cls) -> Self:
        """Return this process, from now on."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(os.getpid(), socket.gethostname(), now, shlex.join(sys.argv), _start_ticks(os.getpid()))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the holder a file names; the unknown holder when the file is unreadable or names a dead process."""
        try:
            holder = cls(**read_json(path))
            return holder if holder.alive() else cls()
        except (TypeError, OverflowError):
            return cls()

    def alive(self) -> bool:
        """Return whether the process still runs. One on another host is taken to: it cannot be looked up from here."""
        if self.pid is None or self.host != socket.gethostname():
            return self.pid is not None
        if self.ticks is not None:
            return _start_ticks(self.pid) == self.ticks
        try:
            os.kill(self.pid, 0)
        except OSError as exc:
            return exc.errno == errno.EPERM
        return True


class HeldError(StoreError):
    """A process, `holder`, has what another was not to wait for."""

    def __init__(self, message: str, *, remedy: str | None = None, holder: Holder | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.holder = holder or Holder()


def attempts(lock: FileLock, who: Path) -> Iterator[Holder]:
    """Try for a lock until it is ours; yields its holder once, when it is another's.

    A new holder takes the lock a moment before it has written who it is: an unknown one is given that moment.
    """
    told, deadline = False, time.monotonic() + _HOLDER_GRACE_SECONDS
    while True:
        try:
            lock.acquire(blocking=False)
            return
        except Timeout:
            holder = Holder.read(who)
        if not told and (holder.pid is not None or time.monotonic() > deadline):
            yield holder
            told = True
        time.sleep(_POLL_SECONDS)


def _start_ticks(pid: int) -> int | None:
    """Start time of a live process (field 22 of /proc/<pid>/stat); None for a dead one or without /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
