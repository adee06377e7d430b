"""A workspace with a mirror of its published results: what it lacks is brought from there, what is new goes there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from statllama.store.holder import HeldError
from statllama.store.mirror import MIRRORED, DamagedError, Mirror, MirrorError
from statllama.store.pushing import Name, Pusher, named
from statllama.store.store import Entry, Store
from statllama.store.workspace import Kind

SILENCE = 600.0
"""Seconds in which a mirror that has failed is asked for nothing more: each question may wait for a minute."""


class MirroredStore(Store):
    """A workspace folder as any, and the mirror of its results and scores. `pusher.finish` at the end."""

    def __init__(self, root: Path, mirror: Mirror, note: Callable[[str], None], *, preview: bool = False) -> None:
        """Take a connected mirror and `note`, which tells the user. `preview`: fetch and push nothing, and take an
        entry of the mirror by its manifest, to plan with.
        """
        super().__init__(root)
        self.mirror, self.preview, self.note = mirror, preview, note
        self.pusher = Pusher(self, mirror)
        self.brought: set[Name] = set()
        """Entries that came from the mirror."""
        self._unfit: set[Name] = set()
        """Entries of the mirror that are damaged."""
        self._silent_until = 0.0
        self._offered: set[Name] = set()

    def bring(self, kind: Kind, key: str, *, fresh: bool = False) -> Entry | None:
        """Return the entry, sound, fetched from the mirror where the workspace lacks it. None when neither has it, or
        another process makes it. `fresh`: ask the mirror even if it was not there when it was listed.
        """
        entry, name = self.find(kind, key), (kind, key)
        if entry is not None and self.flaw(entry, contents=True) is None:
            return entry
        if name in self._unfit or time.monotonic() < self._silent_until:
            return None
        if not (self.mirror.has(kind, key) or (fresh and not self.preview)):
            return None
        try:
            if self.preview:
                manifest = self.mirror.manifest(kind, key)
                return None if manifest is None else Entry(self.root / kind / key, manifest)
            with self.scratch() as folder:
                if not self.mirror.fetch(kind, key, folder / key):
                    return None
                self.adopt(kind, key, folder / key, wait=False)
        except HeldError:
            return None
        except DamagedError as error:
            self._unfit.add(name)
            self.note(f"{named(name)} of the mirror is damaged ({error}), so it is made here")
            return None
        except MirrorError as error:
            self._silent_until = time.monotonic() + SILENCE
            self.note(
                f"{named(name)} could not be fetched ({error.message}): this goes on without the mirror, and asks it "
                f"again in {SILENCE / 60:.0f} minutes"
            )
            return None
        self.brought.add(name)
        return self.find(kind, key)

    def offer(self, kind: Kind, keys: Iterable[str]) -> None:
        """Have entries of the workspace pushed that the mirror lacks or has damaged. Waits for nothing."""
        for text in self.pusher.news():
            self.note(text)
        for name in ((kind, key) for key in keys):
            if self.preview or name in self._offered or kind not in MIRRORED:
                continue
            self._offered.add(name)
            if name in self._unfit or not self.mirror.has(*name):
                self.pusher.add(*name, anew=name in self._unfit)


def bring(store: Store, kind: Kind, key: str, *, fresh: bool = False) -> Entry | None:
    """Return what `MirroredStore.bring` does; None for a workspace without a mirror."""
    return store.bring(kind, key, fresh=fresh) if isinstance(store, MirroredStore) else None


def offer(store: Store, kind: Kind, keys: Iterable[str]) -> None:
    """Have entries pushed that the workspace's mirror lacks, if it has one."""
    if isinstance(store, MirroredStore):
        store.offer(kind, keys)
