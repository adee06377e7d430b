"""Keeping house in a workspace: take runs away with what only they use, and take away what no run uses.

A record goes before what it reaches, so a kill in between leaves orphans for `gc`, and no record of what is gone. What
a live process holds or needs stays: see `store/leases.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from statllama.errors import NotFoundError, StoreError, near
from statllama.runs.house.history import run_with, split_run
from statllama.runs.house.inventory import Item, Stock, take_stock
from statllama.store import Holder, Store
from statllama.store.hold import Hold
from statllama.store.holder import HeldError
from statllama.store.leases import Lease, clear_locks, gate, leases, require_settled, settle


@dataclass(frozen=True)
class Removal:
    """What goes when runs are removed."""

    runs: tuple[str, ...]
    items: tuple[Item, ...]
    """What only these runs reach."""
    shared: tuple[tuple[Item, tuple[str, ...]], ...]
    """What stays, and the runs that use it too."""
    earlier: tuple[str, ...]
    """Records of the same recipes that stay."""


@dataclass(frozen=True)
class Cleared:
    """What was deleted."""

    items: tuple[Item, ...]
    held: tuple[tuple[Item, Holder], ...]
    """What stays since a process holds it, and which."""
    locks: int = 0
    """Lock files that no process held."""

    @property
    def bytes(self) -> int:
        """Return the bytes that were freed."""
        return sum(item.bytes for item in self.items)


def require_runs(store: Store, names: Sequence[str]) -> None:
    """Raise NotFoundError, with near matches, for a name that is none of the workspace's runs."""
    runs = store.runs()
    for name in names:
        if name not in runs:
            raise NotFoundError(
                f"no run {name!r} in {store.root}: {near(name, runs)}", remedy="`statllama status` lists the runs"
            )


def with_earlier(store: Store, names: Sequence[str]) -> tuple[str, ...]:
    """Return these runs, and the earlier records of those named without a number."""
    return tuple(run for run in store.runs() if run in names or split_run(run)[0] in names)


def at_work(store: Store, live: Sequence[Lease]) -> dict[str, Holder]:
    """Return {run: a process that works on it}, by the names that their records have now."""
    found = {}
    for lease in live:
        if lease.record is not None:
            keys = {name: stage["key"] for name, stage in lease.record["stages"].items()}
            found[run_with(store, str(lease.record.get("name")), keys)] = lease.holder
    return found


def removal(store: Store, names: Sequence[str], live: Sequence[Lease] = ()) -> Removal:
    """Return what removing runs would delete. NotFoundError for a run that is not there, StoreError for one that goes
    on.
    """
    require_runs(store, names)
    stock, runs = take_stock(store, live), store.runs()
    for name, holder in at_work(store, live).items():
        if name in names:
            raise StoreError(f"{name} is at work: {holder}", remedy="wait until it ends, or stop it")
    rest = stock.without(names)
    reached = [item for item in stock.items if any(name in names for name in stock.owners(item))]
    bases = {split_run(name)[0] for name in names}
    return Removal(
        tuple(dict.fromkeys(names)),
        tuple(item for item in reached if not rest.owners(item)),
        tuple((item, rest.owners(item)) for item in reached if rest.owners(item)),
        tuple(run for run in runs if split_run(run)[0] in bases and run not in names),
    )


def remove(
    store: Store, names: Sequence[str], shown: Collection[str], on_wait: Callable[[Holder], None] = lambda holder: None
) -> Cleared:
    """Remove runs, with what only they reach. `shown`: places that the user agreed to lose; no other goes. `on_wait`:
    see `settle`.

    StoreError as `removal`, and while a process may need anything that is here.
    """
    settle(store, on_wait)
    with gate(store) as hold:
        found = leases(store)
        require_settled(found)
        going = removal(store, names, found)
        for name in going.runs:
            store.remove_run(name)
        return _clear(store, [item for item in going.items if item.place in shown], take_stock(store, found), hold)


def stock_of(store: Store) -> tuple[Stock, list[Lease]]:
    """Return what lies in the workspace, and who works there. Changes nothing."""
    writable = os.access(store.root / "locks", os.W_OK)  # a lock is tried, which is a write
    live = leases(store, to_show=True) if writable else []
    return take_stock(store, live), live


def sweep(store: Store, shown: Collection[str], on_wait: Callable[[Holder], None] = lambda holder: None) -> Cleared:
    """Delete what no run reaches, as far as the user agreed to lose it (`shown`: places). `on_wait`: see `settle`.

    StoreError while a process may need anything that is here, or a record cannot be read.
    """
    settle(store, on_wait)
    with gate(store) as hold:
        found = leases(store)
        require_settled(found)
        stock = take_stock(store, found)
        return _clear(store, [item for item in stock.orphans if item.place in shown], stock, hold)


def _clear(store: Store, items: Sequence[Item], stock: Stock, gate: Hold) -> Cleared:
    """Delete items, and the locks of entries that are not there, while the gate is held."""
    gone, held = [], []
    for item in items:
        gate.require()
        try:
            _delete(store, item)
            gone.append(item)
        except HeldError as error:
            held.append((item, error.holder))
    left = {item.place for item in stock.items} - {item.place for item in gone}
    pairs = [pair for item in stock.items if item.place in left for pair in (item.entry, item.work) if pair]
    return Cleared(tuple(gone), tuple(held), clear_locks(store, frozenset(f"{kind}-{key}" for kind, key in pairs)))


def _delete(store: Store, item: Item) -> None:
    if item.entry is not None:
        store.discard(*item.entry)
    elif item.work is not None:
        store.discard_partial(*item.work)
    else:
        store.remove(store.root / item.place)
