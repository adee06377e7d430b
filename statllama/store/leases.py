"""Who works in a workspace, and what for: so that nothing that a live process needs is cleared away.

A process that plans, trains or imports has a lease: `locks/lease-<random>.lock`, which the kernel frees however the
process ends, and beside it what it needs, in a file that beats (see `beats.py`). That is everything while it plans,
since it may find any entry and use it; then what the record of its run reaches, whatever becomes of that record. Who
clears away holds the gate, which a new lease must pass: so no process can begin to look for entries while some are
deleted.

A process on another host may live although its lock can be had here, where locks do not reach so far, and be gone
although it cannot: its beat tells.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from statllama.errors import StoreError
from statllama.store import beats
from statllama.store.files import read_json, translate_os_errors, write_text
from statllama.store.hold import CLAIMS, Hold, claims
from statllama.store.holder import Holder
from statllama.store.store import Store

GATE = "gate"
LEASE = "lease-"


@dataclass(frozen=True)
class Lease:
    """What a live process needs."""

    holder: Holder
    record: Mapping[str, Any] | None
    """The record of its run (see `Store.write_run`); None: it may need everything."""


class Working:
    """This process's own lease. It needs everything until `only` says what."""

    def __init__(self, store: Store, path: Path) -> None:
        self._store, self._path, self._holder = store, path, asdict(Holder.here(secrets.token_hex(8)))
        self._pid = os.getpid()
        self._record: Mapping[str, Any] | None = None
        # Where another host took it for gone, as after a while without the disk, it is there again.
        self._pulse = beats.Pulse(path, self._again)
        self._ended = False
        self._write(None)
        self._pulse.start()

    def only(self, record: Mapping[str, Any]) -> None:
        """Need what the record of this run reaches, and no more."""
        self._write(record)

    def everything(self) -> None:
        """Need everything again, before other entries are looked for. Waits while something is cleared away."""
        with gate(self._store):
            self._write(None)

    def _write(self, record: Mapping[str, Any] | None) -> None:
        self._record = record
        write_text(self._path, [beats.beating({"holder": self._holder, "record": record}, self._pulse.count)])

    def _again(self) -> None:
        if not self._ended:
            self._write(self._record)
        if self._ended:  # meanwhile
            self._path.unlink(missing_ok=True)

    def _end(self, lock: FileLock, path: Path) -> None:
        if os.getpid() == self._pid:  # in a child that was forked meanwhile it is its parent's
            self._ended = True
            self._pulse.stop()
            _forget(lock, path)


@contextmanager
def gate(store: Store) -> Iterator[Hold]:
    """Hold the gate: no process begins to work meanwhile. Not reentrant. StoreError when the disk refuses."""
    hold = Hold(store.writable("locks"), GATE, "the workspace's gate")
    with hold.taken(named=False):
        yield hold


@contextmanager
def working(store: Store) -> Iterator[Working]:
    """Work in the workspace: enclose whatever finds entries and relies on them. Waits at the gate."""
    with gate(store):
        path = store.writable("locks") / f"{LEASE}{secrets.token_hex(8)}.lock"
        with translate_os_errors(path):
            lock = FileLock(path, fallback_to_soft=False)
            lock.acquire()
        who = path.with_suffix(".json")
        try:
            lease = Working(store, who)
        except BaseException:
            _forget(lock, path)
            raise
    try:
        yield lease
    finally:
        lease._end(lock, path)


def leases(store: Store, *, to_show: bool = False) -> list[Lease]:
    """Return the leases of live processes, this one's too. Hold the gate to act on them.

    One of another host counts as live until its beat has been seen to stand still: see `settle`. `to_show`: unless its
    file is old by the clock of the file system, which will do for a table.
    """
    now = _clock(store) if to_show else None
    stems = {path.stem for path in store.listed("locks") if path.suffix in (".lock", ".json")}
    paths = [store.root / "locks" / f"{stem}.lock" for stem in sorted(stems) if stem.startswith(LEASE)]
    return [lease for path in paths if (lease := _live(path, now)) is not None]


def settle(store: Store, on_wait: Callable[[Holder], None] = lambda holder: None) -> None:
    """Watch who works on other hosts, or holds something there, until it is known which of them live: as long as a beat
    takes, or an expiry. `on_wait` is called once for each.

    Only those whose lock can be had, or whose file is old: usually there are none, and this returns at once.
    """
    now, watched = _clock(store), dict[Path, str]()
    for holder, path, lock, beat in _of_other_hosts(store):
        if not _locked(lock) or _old(path, now):
            watched[path] = beat
            on_wait(holder)
    while watched:
        beats_now = {path: beat for _, path, _, beat in _of_other_hosts(store)}
        watched = {
            path: beat
            for path, beat in watched.items()
            if beats_now.get(path) == beat and beats.silence(path, beat) < beats.EXPIRY
        }
        if watched:
            time.sleep(beats.EVERY / 20)


def _of_other_hosts(store: Store) -> Iterator[tuple[Holder, Path, Path, str]]:
    """Yield what has a beat and is of another host: its holder, file, lock and beat."""
    for path in store.listed("locks"):
        if path.name.startswith(LEASE) and path.suffix == ".json":
            lease, beat = _read(path)
            if beat and not lease.holder.is_here():
                yield lease.holder, path, path.with_suffix(".lock"), beat
        elif path.suffix == CLAIMS:
            for claim in claims(path.parent, path.stem):
                if not claim.holder.is_here():
                    yield claim.holder, claim.path, path.with_suffix(".lock"), claim.beat


def clear_locks(store: Store, needed: frozenset[str]) -> int:
    """Delete the lock files that no process holds, but for those called `needed` (without ending); how many.

    One that a process waits for is made anew by it: an unlinked lock is no lock to filelock. Hold the gate.
    """
    cleared = 0
    for path in store.listed("locks"):
        with translate_os_errors(path):
            if path.suffix == CLAIMS and path.stem != GATE:
                for claim in claims(path.parent, path.stem):
                    if claim.gone():
                        claim.evict()
                with suppress(OSError):
                    path.rmdir()
            elif path.name.startswith(".") and path.is_dir():  # who prepares a claim there does it again
                shutil.rmtree(path, ignore_errors=True)
            elif path.name.startswith(LEASE) and path.exists():
                if _live(path.with_suffix(".lock")) is None:
                    _delete(path.with_suffix(".lock"))
                    cleared += 1
            elif path.suffix == ".lock" and path.stem not in (GATE, *needed) and not claims(path.parent, path.stem):
                lock = FileLock(path, fallback_to_soft=False)
                with suppress(Timeout):
                    lock.acquire(blocking=False)
                    _forget(lock, path)
                    cleared += 1
    return cleared


def require_settled(found: list[Lease]) -> None:
    """Raise StoreError when a live process may need any entry."""
    if busy := [lease for lease in found if lease.record is None]:
        raise StoreError(
            f"{busy[0].holder} is planning a run, preparing data or importing, and may need anything that is here",
            remedy="wait until it trains or ends, or stop it",
        )


def _live(path: Path, now: float | None = None) -> Lease | None:
    """Return the lease with this lock; None when its process is gone. `now`: see `leases`."""
    locked, who = _locked(path), path.with_suffix(".json")
    lease, beat = _read(who)
    if lease.holder.is_here():
        return lease if locked or lease.holder.alive() else None
    if not beat:  # of an earlier version, or the file is gone
        return lease if locked else None
    if beats.silence(who, beat) >= beats.EXPIRY:
        return None
    return None if _old(who, now) else lease


def _old(path: Path, now: float | None) -> bool:
    """Return whether a file was not written to for an expiry, by the clock of its file system; `now`: see `_clock`."""
    try:
        return now is not None and now - path.stat().st_mtime > beats.EXPIRY
    except OSError:
        return False


def _locked(path: Path) -> bool:
    """Return whether a process has the lock, as far as locks reach."""
    with translate_os_errors(path):
        if not path.exists():
            return False
        lock = FileLock(path, fallback_to_soft=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return True
        lock.release()
        return False


def _clock(store: Store) -> float | None:
    """Return the time by the clock of the workspace's file system, None where that refuses."""
    try:
        with tempfile.TemporaryFile(dir=store.root / "locks") as file:
            file.write(b"\0")
            file.flush()
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return None


def _read(path: Path) -> tuple[Lease, str]:
    """Return the lease that a file describes, and its beat; one that cannot be read needs everything."""
    told = read_json(path)
    record = told.get("record") if isinstance(told, dict) else None
    try:
        return Lease(Holder(**told["holder"]), record if isinstance(record, dict) else None), str(told.get("beat", ""))
    except (KeyError, TypeError):
        return Lease(Holder(), None), ""


def _forget(lock: FileLock, path: Path) -> None:
    """Delete a lock that this process holds, and what is written beside it."""
    with suppress(OSError):
        _delete(path)
    lock.release()


def _delete(path: Path) -> None:
    path.with_suffix(".json").unlink(missing_ok=True)
    path.unlink(missing_ok=True)
