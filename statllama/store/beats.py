"""Signs of life in a workspace that several hosts share: who holds something there changes a file now and then.

A process on this host is looked up. One on another host cannot be: it counts as alive while its beat changes. Beats are
compared with earlier ones on the watcher's own clock, never with the time of another host, and only time in which the
watcher did look counts: one that was stopped, or that hung with the file server, has seen nothing meanwhile.

A beat overwrites twelve digits at a known place of a file whose name holds the token of one hold. So it needs no room
on a full disk, and a process that wakes up late can write into no other's file.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EVERY = 10.0
"""Seconds from a beat to the next."""
EXPIRY = 60.0
"""Seconds without a beat after which a holder on another host is gone."""

_DIGITS = 12
_OPENING = '{"beat": "'  # of every file that beats
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)


def beating(body: Mapping[str, Any], count: int = 0) -> str:
    """Return the text of a file that beats: JSON that opens with the beat."""
    return f'{_OPENING}{count:0{_DIGITS}}", {json.dumps(body, ensure_ascii=False)[1:]}\n'


class Pulse:
    """Keeps a file beating while this process lives, from `start` to `stop`."""

    def __init__(self, path: Path, on_lost: Callable[[], None]) -> None:
        """Take `on_lost`, called in the thread of the beats when the file is gone."""
        self.path, self.on_lost, self.count = path, on_lost, 0

    def beat(self) -> None:
        """Change the file once."""
        self.count += 1
        try:
            with open(self.path, "r+b", buffering=0) as file:
                file.seek(len(_OPENING))
                file.write(f"{self.count % 10**_DIGITS:0{_DIGITS}}".encode())
        except OSError as exc:
            if exc.errno in _VANISHED:
                self.on_lost()  # any other error may pass until the next beat

    def start(self) -> None:
        """Beat from now on, in the one thread that this process has for it."""
        _heart.add(self)

    def stop(self) -> None:
        """Beat no more. The thread ends with the last pulse."""
        _heart.remove(self)


class _Heart:
    """The pulses of this process, and the thread that keeps them."""

    def __init__(self) -> None:
        self.pulses: list[Pulse] = []
        self.changed = threading.Condition()
        self.thread: threading.Thread | None = None

    def add(self, pulse: Pulse) -> None:
        with self.changed:
            self.pulses.append(pulse)
            if self.thread is None or not self.thread.is_alive():  # a signal may have come before its start
                self.thread = threading.Thread(target=self.run, name="statllama-beats", daemon=True)
                self.thread.start()

    def remove(self, pulse: Pulse) -> None:
        with self.changed:
            if pulse in self.pulses:
                self.pulses.remove(pulse)
            if not self.pulses:
                self.changed.notify_all()

    def run(self) -> None:
        while True:
            with self.changed:
                self.changed.wait(EVERY)
                if not self.pulses:
                    self.thread = None
                    return
                pulses = list(self.pulses)
            for pulse in pulses:
                with suppress(Exception):  # one file's trouble must not end the beats of the others
                    pulse.beat()


_heart = _Heart()


def _forked() -> None:
    """Begin anew in a child: it has no such thread, and holds nothing of what its parent does."""
    global _heart
    _heart = _Heart()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forked)


# --- the watcher's side


@dataclass
class _Watched:
    beat: str
    looked: float
    silent: float = 0.0


_watched: dict[Path, _Watched] = {}


def silence(path: Path, beat: str) -> float:
    """Return the seconds for which this process has seen a file's beat stand still. Ask again and again."""
    now, known = time.monotonic(), _watched.get(path)
    if known is None or known.beat != beat:
        _watched[path] = _Watched(beat, now)
        return 0.0
    known.silent += min(now - known.looked, EVERY / 2)
    known.looked = now
    return known.silent


def forget(path: Path) -> None:
    """Watch a file no more: it is gone."""
    _watched.pop(path, None)
