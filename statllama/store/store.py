"""Content-addressed results in a workspace folder: keys, manifests, locks, atomic publishing.

A result is built in `partial/<kind>-<key>/` and renamed into `<kind>/<key>/` once all its files and then its
`manifest.json` are on the disk. So a folder under `<kind>/` is complete, and a process killed at any instant
leaves either nothing there or a whole entry. The store does not interpret its entries:

    results/<key>/  scores/<key>/  cache/<key>/   published entries, each with manifest.json
    partial/<kind>-<key>/                         work under way: out/ (to be published), checkpoints/, about.json, ...
    locks/<kind>-<key>.lock and .json             the lock, and who holds it
    locks/lease-*.lock and .json, gate.lock       who works here, and what for: see `leases.py`
    runs/<recipe name>.json                       which stage has which key; `<recipe name>@1.json`: an earlier record
    trackers/<recipe name>/<stage>/               what a tracker of losses keeps
    live/<recipe name>.json                       how far a run is that goes on
    memory.json                                   see `memory.py`
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from filelock import FileLock, Timeout

from statllama.errors import StoreError, UsageError
from statllama.store.content import flaw
from statllama.store.files import (
    hash_files,
    mismatch,
    read_files_record,
    read_json,
    require_bytes,
    sync,
    translate_os_errors,
    walk,
    write_json,
)
from statllama.store.holder import HeldError, Holder, attempts
from statllama.store.mounts import require_folder

SCHEMA_VERSION = 1
"""Version of the manifest's layout; entries of another version are not found."""

Kind = Literal["results", "scores", "cache"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MANIFEST = "manifest.json"
ABOUT = "about.json"
"""File of a working folder that says what is being made there."""
CHECKPOINTS, SEAL = "checkpoints", "sealed.json"
"""Folder of a working folder's checkpoints, and the file in each that says that it is complete."""
SCRATCH = "scratch"
KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """A published, complete folder and what its manifest says."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Return the 64 hex digits that name the entry."""
        return self.path.name


class Store:
    """A workspace folder. The first write creates it: an absent workspace reads as an empty one."""

    def __init__(self, root: Path) -> None:
        """Raises UsageError when `root`, or what it is to be created in, is not a folder, or is an object store."""
        require_folder(Path(root), "the workspace")
        self.root = Path(root).absolute()
        nearest = next(path for path in (self.root, *self.root.parents) if os.path.lexists(path))
        if not nearest.is_dir():
            problem = f"cannot use the workspace {self.root}: {nearest} is not a folder"
            raise UsageError(problem, remedy="use another workspace folder, or move that file away")

    @property
    def memory(self) -> Path:
        """Return the file that remembers facts found once, such as the hash of a large file: see `memory.py`."""
        return self.root / "memory.json"

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
        if entry is None or (wrong := self.flaw(entry, contents=True)) is None:
            return entry
        self.remove(entry.path)
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
    ) -> Iterator[None]:
        """Hold an entry's lock across processes (flock: the kernel frees it when its holder dies, however).

        When another process has it, `on_wait` is called once with that holder, and this waits; a signal
        handler that raises ends the wait. With `wait=False` StoreError says who holds it. Not reentrant: a
        second hold in the same process waits for the first. `named=False` writes nothing, so that a full disk can be
        freed.
        """
        name = self._entry_path(kind, key).relative_to(self.root)
        path = self.writable("locks") / f"{kind}-{key}.lock"
        who = path.with_suffix(".json")
        with translate_os_errors(path):
            lock = FileLock(path, fallback_to_soft=False)  # a soft lock would outlive a killed holder
            for holder in attempts(lock, who):
                if not wait:
                    raise HeldError(
                        f"{name} is held by {holder}", remedy="wait until it ends, or stop it", holder=holder
                    )
                if on_wait is not None:
                    on_wait(holder)
        try:
            if named:
                write_json(who, asdict(Holder.here()))
            yield
        finally:
            with suppress(OSError):
                who.unlink(missing_ok=True)
            lock.release()

    def partial(self, kind: Kind, key: str, about: Mapping[str, Any] | None = None) -> Path:
        """Return the working folder of an entry, created. It survives a kill. Hold the entry's lock to use it.

        `about`: says what is being made, as its manifest will: `kind`, `name`, and a score's `protocol`.
        """
        self._entry_path(kind, key)
        folder = self.writable(f"partial/{kind}-{key}")
        if about is not None and read_json(folder / ABOUT) != about:
            write_json(folder / ABOUT, about)
        return folder

    def unfinished(self, kind: Kind, key: str) -> bool:
        """Return whether work on an entry that is not published goes on from a complete checkpoint."""
        self._entry_path(kind, key)
        return self.find(kind, key) is None and any(
            (self.root / "partial" / f"{kind}-{key}" / CHECKPOINTS).glob(f"*/{SEAL}")
        )

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Lend an empty folder that is deleted afterwards; after a kill, by the next `prune_partial`."""
        folder = self.writable("partial") / f"{SCRATCH}-{secrets.token_hex(4)}"
        lock = FileLock(self.writable("locks") / f"{folder.name}.lock", fallback_to_soft=False)
        with translate_os_errors(folder):
            lock.acquire()
            folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()

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
            try:
                os.rename(out, final)  # atomic; refuses to replace a folder that holds files
                sync(final.parent)
                return
            except OSError as exc:
                if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
            if self.find(kind, key) is not None:
                return
            # A folder without a sound manifest, such as one whose deletion by hand was cut short.
            os.rename(final, self.root / "partial" / f"trash-{secrets.token_hex(4)}")

    def discard(self, kind: Kind, key: str) -> None:
        """Delete a published entry, which vanishes at once. StoreError when a process holds it."""
        path = self._entry_path(kind, key)
        with self.hold(kind, key, wait=False, named=False):
            self.remove(path)

    def discard_partial(self, kind: Kind, key: str) -> None:
        """Delete the working folder of an entry. StoreError when a process holds it."""
        self._entry_path(kind, key)
        with self.hold(kind, key, wait=False, named=False):
            self.remove(self.root / "partial" / f"{kind}-{key}")

    def remove(self, path: Path) -> None:
        """Delete a file or folder of the workspace, which vanishes at once. One that is gone already is no error."""
        if not os.path.lexists(path):
            return
        with translate_os_errors(path):
            if path.is_symlink() or not path.is_dir():
                path.unlink()
                return
            trash = self.writable("partial") / f"trash-{secrets.token_hex(4)}"
            os.rename(path, trash)
            shutil.rmtree(trash, ignore_errors=True)

    def prune_partial(self) -> list[Path]:
        """Delete, and return, the working folders that nothing holds: of published entries, and scratch."""
        pruned = []
        for folder in self.listed("partial"):
            kind, _, key = folder.name.partition("-")
            with suppress(StoreError, Timeout), translate_os_errors(folder):
                if kind == "trash":
                    shutil.rmtree(folder)
                    pruned.append(folder)
                elif kind == SCRATCH:
                    with FileLock(self.root / "locks" / f"{folder.name}.lock", blocking=False, fallback_to_soft=False):
                        shutil.rmtree(folder)
                    pruned.append(folder)
                elif kind in KINDS and KEY.fullmatch(key) and self.find(kind, key) is not None:
                    with self.hold(kind, key, wait=False):
                        shutil.rmtree(folder)
                    pruned.append(folder)
        return pruned

    def write_run(self, name: str, record: object) -> None:
        """Write `runs/<name>.json` atomically. `name` is one path component."""
        if name != Path(name).name or name.startswith("."):
            raise StoreError(f"{name!r} cannot name a run", remedy="use no slash and no leading dot")
        write_json(self.writable("runs") / f"{name}.json", record)

    def remove_run(self, name: str) -> None:
        """Delete `runs/<name>.json`, if it is there."""
        path = self.root / "runs" / f"{name}.json"
        with translate_os_errors(path):
            if os.path.lexists(path):
                path.unlink()
                sync(path.parent)

    def last_run(self, name: str) -> dict[str, Any]:
        """Return the record that `write_run` kept: at least `order` (names of stages) and `stages` ({name: {key,
        material}}).

        Both are empty when nothing was kept. StoreError when the file is something else.
        """
        path = self.root / "runs" / f"{name}.json"
        record = read_json(path) if os.path.lexists(path) else {"order": [], "stages": {}}
        if not is_run(record):
            remedy = "if statllama wrote it, delete it: the next run writes it anew; otherwise use another workspace"
            raise StoreError(f"{path} is not a record of a run", remedy=remedy)
        return dict(record)

    def runs(self) -> dict[str, dict[str, Any]]:
        """Return {name: record} of all runs, earlier ones (`NAME@1`) too, sorted by name. StoreError: see
        `last_run`.
        """
        names = [path.stem for path in self.listed("runs") if path.suffix == ".json" and not path.name.startswith(".")]
        return {name: self.last_run(name) for name in names}

    def require_space(self, needed: int) -> None:
        """Raises StoreError when the workspace is not writable or its disk has less than `needed` bytes."""
        self.writable("partial")
        require_bytes(self.root, needed)

    def _entry_path(self, kind: Kind, key: str) -> Path:
        if kind not in KINDS or not KEY.fullmatch(key):
            raise ValueError(f"not a kind ({', '.join(KINDS)}) and a key of 64 hex digits: {kind!r}, {key!r}")
        return self.root / kind / key

    def writable(self, name: str) -> Path:
        """Return the folder below the root, created, after a trial write: permission bits do not tell all."""
        folder = self.root / name
        with translate_os_errors(folder):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder):
                    return folder
            except (FileExistsError, FileNotFoundError, NotADirectoryError) as exc:
                problem = f"cannot create the folder {folder}: {exc.strerror}"
                raise StoreError(problem, remedy="use another workspace folder") from exc

    def listed(self, name: str) -> list[Path]:
        """Return what lies in a folder below the root, sorted; nothing when there is no such folder."""
        folder = self.root / name
        with translate_os_errors(folder):
            return sorted(folder.iterdir()) if folder.is_dir() else []


def is_run(record: Any) -> bool:
    """Return whether a value is a record of a run: see `Store.last_run`."""
    try:
        stages = record["stages"].values()
        return all(isinstance(name, str) for name in record["order"]) and all(
            KEY.fullmatch(stage["key"]) and isinstance(stage["material"], dict) for stage in stages
        )
    except (AttributeError, KeyError, TypeError):
        return False
