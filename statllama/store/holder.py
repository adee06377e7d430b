"""The process that holds something in a workspace, as it wrote itself down there; and whether it is on this host."""

from __future__ import annotations

import errno
import os
import shlex
import socket
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Self

from statllama.errors import StoreError
from statllama.store.files import read_json

_SHOWN = 100  # characters of a command: each `--set` is in it


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock. `pid` is None when it is not known."""

    pid: int | None = None
    host: str = ""
    since: str = ""
    """When it took the lock: ISO 8601, UTC, by the clock of its host."""
    command: str = ""
    ticks: int | None = None
    """When the process started (Linux clock ticks since boot): tells it from a later one of that pid."""
    machine: str = ""
    """What tells hosts of one name apart: see `machine`. Empty where an earlier version wrote it."""
    token: str = ""
    """What tells this hold from every other, for ever. Empty where an earlier version wrote it."""
    freed_by: str = ""
    """How to free what it holds if its host is gone, where that cannot be told from here."""

    def __str__(self) -> str:
        if self.pid is None:
            return f"another process{self.freed_by}"
        command = self.command if len(self.command) <= _SHOWN else f"{self.command[:_SHOWN]}..."
        return f"process {self.pid} on {self.host} since {self.since} (`{command}`){self.freed_by}"

    @classmethod
    def here(cls, token: str = "") -> Self:
        """Return this process, from now on."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        pid, host = os.getpid(), socket.gethostname()
        return cls(pid, host, now, shlex.join(sys.argv), _start_ticks(pid), machine(), token)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the holder a file names; the unknown holder when the file is unreadable or names a dead process."""
        try:
            holder = cls(**read_json(path))
            return holder if holder.alive() else cls()
        except (TypeError, OverflowError):
            return cls()

    def is_here(self) -> bool:
        """Return whether it is on this host, so that its process can be looked up."""
        return self.pid is not None and self.host == socket.gethostname() and self.machine in ("", machine())

    def alive(self) -> bool:
        """Return whether the process still runs. One on another host is taken to: it cannot be looked up from here."""
        if self.pid is None or not self.is_here():
            return self.pid is not None
        if self.ticks is not None and not self.hidden():
            return _start_ticks(self.pid) == self.ticks
        return _exists(self.pid)

    def hidden(self) -> bool:
        """Return whether a process of this host has its number and cannot be looked at: another user's, where `/proc`
        shows each user only his own (`hidepid`). It may be another process by now.
        """
        return self.is_here() and self.ticks is not None and not _in_proc(self.pid) and _exists(self.pid)


class HeldError(StoreError):
    """A process, `holder`, has what another was not to wait for."""

    def __init__(self, message: str, *, remedy: str | None = None, holder: Holder | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.holder = holder or Holder()


class LostError(StoreError):
    """Another process took over what this one held, since it had not been heard of for a while."""


@cache
def machine() -> str:
    """Return what tells this host from others of its name: its boot, and the namespace in which its process ids count.

    Containers of one name on one machine differ in the second, machines of one name in the first.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{os.stat('/proc/self/ns/pid').st_ino:x}"
    except OSError:
        return ""  # no Linux: the name of the host must do


def _in_proc(pid: int | None) -> bool:
    return os.path.lexists(f"/proc/{pid}")


def _exists(pid: int | None) -> bool:
    """Return whether a process of this host has this number, whoever's it is."""
    try:
        os.kill(pid or 0, 0)
    except OSError as exc:
        return exc.errno == errno.EPERM
    except OverflowError:
        return False
    return True


def _start_ticks(pid: int) -> int | None:
    """Start time of a live process (field 22 of /proc/<pid>/stat); None for a dead one or without /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
