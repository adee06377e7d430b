"""Pushes entries into a mirror beside the work: one thread, and no failure of it ends anything."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from statllama.errors import StoreError
from statllama.store.mirror import Mirror, MirrorError
from statllama.store.store import Store
from statllama.store.workspace import Kind

PAUSES = (2.0, 15.0, 60.0)
"""Seconds before each further attempt at one entry; nothing is waited for once the work has ended."""
_LOOK = 0.1  # seconds between two looks at how far it is
Name = tuple[Kind, str]


@dataclass
class Tally:
    """What has been pushed, and what has not."""

    pushed: list[Name] = field(default_factory=list)
    sent: int = 0
    """Bytes, of files that were there already too."""
    wanted: int = 0
    """Bytes of all that is to be pushed."""
    left: dict[Name, str] = field(default_factory=dict)
    """{entry: why it is not in the mirror}."""


class Pusher:
    """The thread and its queue. The thread ends with the process: a push that is cut off leaves no entry."""

    def __init__(self, store: Store, mirror: Mirror) -> None:
        self.tally = Tally()
        self._store, self._mirror = store, mirror
        self._queue: queue.SimpleQueue[tuple[Name, bool] | None] = queue.SimpleQueue()
        self._hurry, self._refused = threading.Event(), 0
        self._current: Name | None = None
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="mirror", daemon=True)

    @property
    def began(self) -> bool:
        """Return whether there was anything to push."""
        return self._thread.ident is not None

    def add(self, kind: Kind, key: str, *, anew: bool) -> None:
        """Push an entry as soon as those before it are done. `anew`: see `Mirror.push`."""
        if not self.began:
            self._thread.start()
        entry = self._store.find(kind, key)
        self.tally.wanted += sum(file["bytes"] for file in entry.manifest["files"].values()) if entry else 0
        self._queue.put(((kind, key), anew))

    def news(self) -> list[str]:
        """Return what there is to tell since the last call, for the thread that may print."""
        found = []
        while not self._news.empty():
            found.append(self._news.get())
        return found

    def finish(self, progress: Callable[[int, int], None], patience: float | None = None) -> Tally:
        """Wait until all is pushed or has failed, `patience` seconds at most; what became of it."""
        self._hurry.set()
        self._queue.put(None)
        waited = 0.0
        while self._thread.is_alive() and (patience is None or waited < patience):
            self._thread.join(_LOOK)
            waited += _LOOK
            progress(self.tally.sent, self.tally.wanted)
        if self._thread.is_alive():
            waiting = [self._current]
            while not self._queue.empty():
                waiting.append(item[0] if (item := self._queue.get()) is not None else None)
            self._queue.put(None)
            self.tally.left |= {name: "it was not waited for" for name in waiting if name is not None}
        return self.tally

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            self._current, anew = item
            try:
                self._push(self._current, anew)
            except Exception as error:
                self.tally.left[self._current] = error.message if isinstance(error, StoreError) else repr(error)
            self._current = None

    def _push(self, name: Name, anew: bool) -> None:
        for attempt, pause in enumerate((*PAUSES, None)):
            if self._hurry.is_set() and self._refused > 1:
                raise MirrorError(f"the mirror {self._mirror.url} has failed before")
            before = self.tally.sent
            try:
                self._once(name, anew)
                self._refused = 0
                return
            except MirrorError as error:
                self.tally.sent, self._refused = before, self._refused + 1
                if pause is None or self._hurry.is_set():
                    raise
                if attempt == 0:
                    self._news.put(f"{named(name)} is not in the mirror yet, tried again: {error.message}")
                self._hurry.wait(pause)

    def _once(self, name: Name, anew: bool) -> None:
        entry = self._store.find(*name)
        if entry is None:
            raise StoreError("it was deleted meanwhile")
        if wrong := self._store.flaw(entry, contents=True):
            raise StoreError(f"its {wrong}")
        self._mirror.push(name[0], entry, self._sent, anew=anew)
        self.tally.pushed.append(name)

    def _sent(self, size: int) -> None:
        self.tally.sent += size


def named(name: Name) -> str:
    """Return an entry in words: its kind and the beginning of its key."""
    kind, key = name
    return f"{kind.removesuffix('s')} {key[:12]}"
