"""Who works in a workspace, and what for: so that nothing that a live process needs is cleared away.

A process that plans, trains or imports has a lease: `locks/lease-<random>.lock`, which the kernel frees however the
process ends, and beside it what it needs. That is everything while it plans, since it may find any entry and use it;
then what the record of its run reaches, whatever becomes of that record. Who clears away holds the gate, which a new
lease must pass: so no process can begin to look for entries while some are deleted.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from statllama.errors import StoreError
from statllama.store.files import read_json, translate_os_errors, write_json
from statllama.store.holder import Holder
from statllama.store.store import Store

GATE = "gate.lock"
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
        self._store, self._path, self._holder = store, path, asdict(Holder.here())
        self._write(None)

    def only(self, record: Mapping[str, Any]) -> None:
        """Need what the record of this run reaches, and no more."""
        self._write(record)

    def everything(self) -> None:
        """Need everything again, before other entries are looked for. Waits while something is cleared away."""
        with gate(self._store):
            self._write(None)

    def _write(self, record: Mapping[str, Any] | None) -> None:
        write_json(self._path, {"holder": self._holder, "record": record})


@contextmanager
def gate(store: Store) -> Iterator[None]:
    """Hold the gate: no process begins to work meanwhile. Not reentrant. StoreError when the disk refuses."""
    path = store.writable("locks") / GATE
    with translate_os_errors(path):
        lock = FileLock(path, fallback_to_soft=False)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


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
        _forget(lock, path)


def leases(store: Store) -> list[Lease]:
    """Return the leases of live processes, this one's too. Hold the gate to act on them."""
    found = []
    for path in store.listed("locks"):
        if path.name.startswith(LEASE) and path.suffix == ".lock":
            with translate_os_errors(path):
                lock = FileLock(path, fallback_to_soft=False)
                try:
                    lock.acquire(blocking=False)
                except Timeout:
                    found.append(_read(path.with_suffix(".json")))
                else:
                    lock.release()
    return found


def clear_locks(store: Store, needed: frozenset[str]) -> int:
    """Delete the lock files that no process holds, but for those called `needed` (without ending); how many.

    One that a process waits for is made anew by it: an unlinked lock is no lock to filelock. Hold the gate.
    """
    cleared = 0
    for path in store.listed("locks"):
        if path.suffix == ".lock" and path.name != GATE and path.stem not in needed:
            lock = FileLock(path, fallback_to_soft=False)
            with translate_os_errors(path), suppress(Timeout):
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


def _read(path: Path) -> Lease:
    """Return the lease that a file describes; one that cannot be read needs everything."""
    told = read_json(path)
    record = told.get("record") if isinstance(told, dict) else None
    try:
        return Lease(Holder(**told["holder"]), record if isinstance(record, dict) else None)
    except (KeyError, TypeError):
        return Lease(Holder(), None)


def _forget(lock: FileLock, path: Path) -> None:
    """Delete a lock that this process holds, and what is written beside it."""
    with suppress(OSError):
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    lock.release()
