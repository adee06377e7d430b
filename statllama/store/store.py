"""Content-addressed results in a workspace folder: keys, manifests, locks, atomic publishing.

A result is built in `partial/<kind>-<key>.<token>/` and renamed into `<kind>/<key>/` once all its files and then its
`manifest.json` are on the disk. So a folder under `<kind>/` is complete, and a process killed at any instant
leaves either nothing there or a whole entry. The store does not interpret its entries:

    results/<key>/  scores/<key>/  cache/<key>/   published entries, each with manifest.json
    releases/<key>/                               verified by a worker, until the driver moves it to where it goes
    states/<key>/                                 a sealed checkpoint that longer runs of its stage go on from
    steps/<key>/                                  records that a step of a `data build` made
    partial/<kind>-<key>.<token>/                 work under way: out/ (to be published), checkpoints/, about.json, ...
    locks/<kind>-<key>.held/ and .lock            the lock, and who holds it: see `hold.py`
    locks/lease-*.lock and .json, gate.held/      who works here, and what for: see `leases.py`
    runs/<recipe name>.json                       which stage has which key; `<recipe name>@1.json`: an earlier record
    builds/<build name>.json                      which step of a `data build` has which key
    trackers/<recipe name>/<stage>/               what a tracker of losses keeps
    live/<recipe name>.json                       how far a run is that goes on
    memory.json                                   see `memory.py`
"""

from __future__ import annotations

import errno
import os
import secrets
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statllama.errors import StoreError
from statllama.store.content import flaw
from statllama.store.files import (
    hash_files,
    mismatch,
    read_files_record,
    read_json,
    sync,
    translate_os_errors,
    walk,
    write_json,
)
from statllama.store.hold import Hold, held
from statllama.store.holder import Holder
from statllama.store.working_folder import discard, folders_of, made_in, take_over, unfinished
from statllama.store.workspace import KEY, KINDS, TRASH, Kind, Workspace

SCHEMA_VERSION = 1
"""Version of the manifest's layout; entries of another version are not found."""

MANIFEST = "manifest.json"
ABOUT = "about.json"
"""File of a working folder that says what is being made there."""
SCRATCH = "scratch"


@dataclass(frozen=True)
class Entry:
    """A published, complete folder and what its manifest says."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Return the 64 hex digits that name the entry."""
        return self.path.name


class Store(Workspace):
    """A workspace with its entries."""

    def find(self, kind: Kind, key: str) -> Entry | None:
        """Return the published entry, or None. Only its manifest has been read; `verify` checks the files."""
        path = self._entry_path(kind, key)
        manifest = read_files_record(path / MANIFEST, SCHEMA_VERSION)
        return Entry(path, manifest) if manifest is not None and manifest.get("key") == key else None

    def entries(self, kind: Kind) -> list[Entry]:
        """Return all published entries of a kind, sorted by key."""
        keys = [path.name for path in self.listed(kind) if KEY.fullmatch(path.name)]
        return [entry for key in keys if (entry := self.find(kind, key)) is not None]

    def verify(self, kind: Kind, key: str) -> Entry:
        """Return the entry, if every file has the recorded size and SHA-256; StoreError names one that has not."""
        path, entry = self._entry_path(kind, key), self.find(kind, key)
        remedy = f"run the recipe again, which makes it anew; or delete it: rm -r {shlex.quote(str(path))}"
        if entry is None:
            if os.path.lexists(path):
                raise StoreError(f"{path / MANIFEST} is missing or damaged", remedy=remedy)
            raise StoreError(f"{path} does not exist", remedy="run the recipe that produces it")
        with translate_os_errors(path):
            if difference := mismatch(path, entry.manifest["files"]):
                raise StoreError(difference, remedy=remedy)
        return entry

    def flaw(self, entry: Entry, *, contents: bool) -> str | None:
        """Say which of the entry's files is missing or damaged; None when all are sound. Cheap without `contents`:
        sizes alone are compared, no hashes.
        """
        return flaw(entry.path, entry.manifest["files"], contents=contents)

    def sound(self, kind: Kind, key: str, on_damage: Callable[[str], None]) -> Entry | None:
        """Return the published entry if all its files are whole. Hold its lock: one that is not is deleted, and
        `on_damage` told what was wrong with it.
        """
        entry = self.find(kind, key)
        if entry is None:
            return None
        seen = entry.path.stat()
        if (wrong := self.flaw(entry, contents=True)) is None:
            return entry
        hold = self._require_held(kind, key)
        self.remove(entry.path, seen)
        if hold is not None:
            self._take_over(hold)
        on_damage(wrong)
        return None

    def obtain(
        self, kind: Kind, key: str, make: Callable[[], Mapping[str, Any]], on_damage: Callable[[str], None]
    ) -> Entry:
        """Return the published entry with sound files, made anew where it is missing or damaged.

        `make` fills `fresh_out` and returns the manifest, while the lock is held. `on_damage`: see `sound`.
        """
        entry = self.find(kind, key)
        if entry is not None and self.flaw(entry, contents=True) is None:
            return entry
        with self.hold(kind, key):
            return self.sound(kind, key, on_damage) or self.publish(kind, key, make())

    @contextmanager
    def hold(
        self,
        kind: Kind,
        key: str,
        *,
        on_wait: Callable[[Holder], None] | None = None,
        wait: bool = True,
        named: bool = True,
    ) -> Iterator[Hold]:
        """Hold an entry's lock across the processes of all hosts (see `hold.py`); it is free when its holder dies,
        however.

        When another process has it, `on_wait` is called once with that holder, and this waits; a signal handler that
        raises ends the wait. With `wait=False` HeldError says who holds it. Not reentrant: a second hold in the same
        process waits for the first. `named=False` writes nothing where the disk is full, so that it can be freed.

        LostError, here or from what is called meanwhile, when a process on another host has taken over.
        """
        name = self._entry_path(kind, key).relative_to(self.root)
        hold = Hold(self.writable("locks"), f"{kind}-{key}", str(name))
        with hold.taken(on_wait, wait=wait, named=named):
            if named and self.find(kind, key) is None:
                self._take_over(hold)
            yield hold

    def _take_over(self, hold: Hold) -> None:
        partial = self.root / "partial"
        with translate_os_errors(partial):
            take_over(partial, hold.name, hold.token)

    def _require_held(self, kind: Kind, key: str) -> Hold | None:
        """Return this process's hold of an entry, if it has one. LostError when it has been taken over."""
        hold = held(self.root / "locks", f"{kind}-{key}")
        if hold is not None:
            with translate_os_errors(hold.path):
                hold.require()
        return hold

    def _working(self, kind: Kind, key: str, hold: Hold | None) -> Path:
        return self.root / "partial" / f"{kind}-{key}{f'.{hold.token}' if hold else ''}"

    def partial(self, kind: Kind, key: str, about: Mapping[str, Any] | None = None) -> Path:
        """Return the working folder of an entry, created; what a killed process left is in it. Hold the entry's lock
        to use it.

        `about`: says what is being made, as its manifest will: `kind`, `name`, and a score's `protocol`.
        """
        self._entry_path(kind, key)
        folder = self._working(kind, key, self._require_held(kind, key))
        self.writable(f"partial/{folder.name}")
        if about is not None and read_json(folder / ABOUT) != about:
            write_json(folder / ABOUT, about)
        return folder

    def unfinished(self, kind: Kind, key: str) -> bool:
        """Return whether work on an entry that is not published goes on from a complete checkpoint."""
        self._entry_path(kind, key)
        return self.find(kind, key) is None and unfinished(self.root / "partial", f"{kind}-{key}")

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Lend an empty folder that is deleted afterwards; after a kill, by the next `prune_partial`."""
        folder = self.writable("partial") / f"{SCRATCH}-{secrets.token_hex(4)}"
        hold = Hold(self.writable("locks"), folder.name)
        with hold.taken():
            with translate_os_errors(folder):
                folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                hold.forget()

    def fresh_out(self, kind: Kind, key: str) -> Path:
        """Return `out/` of the working folder, emptied of what a killed run left; files to publish go here."""
        out = self.partial(kind, key) / "out"
        with translate_os_errors(out):
            if out.exists():
                shutil.rmtree(out)
            out.mkdir()
        return out

    def publish(self, kind: Kind, key: str, manifest: Mapping[str, Any]) -> Entry:
        """Publish `out/` of the working folder with its manifest, which gains `schema`, `key` and `files`.

        The rest of the working folder (checkpoints) is deleted afterwards. An entry that exists already is
        kept and returned. Hold the entry's lock. Raises StoreError when the disk refuses or `out/` has
        symbolic links, ValueError or TypeError for a manifest that is not JSON; the working folder stays.
        """
        work = self.partial(kind, key)
        out = work / "out"
        with translate_os_errors(work):
            if self.find(kind, key) is None:
                out.mkdir(exist_ok=True)
                if links := [path for path in walk(out) if path.is_symlink()]:
                    raise StoreError(f"{links[0]} is a symbolic link", remedy="publish a copy of it instead")
                # A publish that was killed before its last step has left a manifest.
                files = {name: record for name, record in hash_files(out).items() if name != MANIFEST}
                sync(*walk(out))
                added = {"schema": SCHEMA_VERSION, "key": key, "files": files}
                # Made outside out/, so that a kill leaves no temporary file among those to be published.
                write_json(work / MANIFEST, {**manifest, **added})
                os.replace(work / MANIFEST, out / MANIFEST)
                sync(out)
                self._move_into_place(out, kind, key)
        shutil.rmtree(work, ignore_errors=True)
        if (entry := self.find(kind, key)) is None:
            raise StoreError(f"{kind}/{key} was deleted during publishing", remedy="run again")
        return entry

    def adopt(self, kind: Kind, key: str, folder: Path, *, wait: bool = True) -> bool:
        """Publish a folder that has its manifest and lies here; whether it was missing. `wait`: see `hold`.

        A sound entry that is there is kept, and `folder` with it. Its files must be as its manifest says.
        """
        with self.hold(kind, key, wait=wait), translate_os_errors(folder):
            if self.sound(kind, key, lambda _: None) is not None:
                return False
            sync(*walk(folder))
            self._move_into_place(folder, kind, key)
            return True

    def _move_into_place(self, out: Path, kind: Kind, key: str) -> None:
        final = self.writable(kind) / key
        while True:
            hold = self._require_held(kind, key)
            try:
                os.rename(out, final)  # atomic; refuses to replace a folder that holds files
                if hold is not None:
                    hold.done = True
                sync(final.parent)
                return
            except OSError as exc:
                if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
            if self.find(kind, key) is not None:
                return
            # A folder without a sound manifest, such as one whose deletion by hand was cut short.
            with suppress(FileNotFoundError):
                self.remove(final, final.stat())

    def discard(self, kind: Kind, key: str) -> None:
        """Delete a published entry, which vanishes at once. StoreError when a process holds it."""
        path = self._entry_path(kind, key)
        with self.hold(kind, key, wait=False, named=False) as hold:
            hold.require()
            self.remove(path)
            hold.done = True

    def discard_partial(self, kind: Kind, key: str) -> None:
        """Delete the working folders of an entry. StoreError when a process holds it."""
        self._entry_path(kind, key)
        with self.hold(kind, key, wait=False, named=False):
            for folder in folders_of(self.root / "partial", f"{kind}-{key}"):
                self.remove(folder)

    def prune_partial(self) -> list[Path]:
        """Delete, and return, the working folders that nothing holds: of published entries, and scratch."""
        pruned = []
        for folder in self.listed("partial"):
            made = made_in(folder.name)
            with suppress(StoreError, FileNotFoundError), translate_os_errors(folder):
                if folder.name.startswith(TRASH):
                    shutil.rmtree(folder)
                    pruned.append(folder)
                elif folder.name.startswith(f"{SCRATCH}-"):
                    hold = Hold(self.writable("locks"), folder.name)
                    with hold.taken(wait=False):
                        shutil.rmtree(folder)
                        hold.forget()
                    pruned.append(folder)
                elif made is not None and self.find(made[0], made[1]) is not None:
                    with self.hold(made[0], made[1], wait=False, named=False):
                        discard(folder)
                    pruned.append(folder)
        return pruned

    def _entry_path(self, kind: Kind, key: str) -> Path:
        if kind not in KINDS or not KEY.fullmatch(key):
            raise ValueError(f"not a kind ({', '.join(KINDS)}) and a key of 64 hex digits: {kind!r}, {key!r}")
        return self.root / kind / key
