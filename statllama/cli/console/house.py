"""Prints what lies in a workspace, what `rm` and `gc` would delete, and what they deleted."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from rich.table import Table

from statllama.cli.console.fleet import place
from statllama.cli.console.next_commands import command_line
from statllama.cli.console.terminal import Out, counted, figure, new_table, plain, print_table, readable_bytes
from statllama.cli.console.timing import clock
from statllama.errors import UsageError
from statllama.evaluation.chosen import Chosen
from statllama.runs.house.clearing import at_work, stock_of
from statllama.runs.house.inventory import size
from statllama.runs.watch.at_work import at_work as who_works
from statllama.store import Holder

if TYPE_CHECKING:
    from statllama.runs.house.clearing import Cleared, Removal
    from statllama.runs.house.inventory import Item, Stock
    from statllama.runs.watch.at_work import AtWork
    from statllama.store import Holder, Store
    from statllama.store.leases import Lease

MOST = 12  # orphans that `status` names, and of other lists
AT_WORK = 20  # processes and workers that it shows
SHORT = 12  # hex digits of a key that are shown


def print_status(store: Store) -> None:
    """Print the runs here, the state of their stages, bytes, unfinished work, and what no run uses."""
    records, (stock, live) = store.runs(), stock_of(store)
    print_at_work(found_at_work := who_works(store, live), time.time())
    _print_lost([name for one in found_at_work if one.lost for name in one.runs], store)
    if not records:
        Out.print(f"{plain(store.root)} holds no run yet; start with: statllama run quickstart")
    for name, record in records.items():
        if "@" not in name:
            _print_stages(store, name, record)
    if records:
        print_table(_bytes(store, stock, live, list(records)))
    for item in stock.unfinished:
        Out.print(f"unfinished: {plain(item.what.removeprefix('unfinished '))}, {readable_bytes(item.bytes)}")
    found = stock.orphans
    total = readable_bytes(sum(item.bytes for item in found))
    if found and any(lease.record is None for lease in live):
        Out.print(f"no record names {counted(len(found), 'item')}, {total}, which who is at work may need")
    elif found:
        Out.print(f"no run uses {counted(len(found), 'item')}, {total}; `statllama gc` deletes them:")
        _list(found, MOST, "statllama gc --dry-run")
    kinds = [item.what.partition(" ")[0] for item in stock.items if item.entry is not None]
    kept = ", ".join(counted(kinds.count(word), word) for word in ("adapter", "score"))
    if states := [item.bytes for item in stock.items if item.entry is not None and item.entry[0] == "states"]:
        kept += f", {counted(len(states), 'kept state')} ({readable_bytes(sum(states))})"
    if records or found:
        Out.print(f"{plain(store.root)}: {kept}, {readable_bytes(size(store.root))}")


def print_at_work(found: Sequence[AtWork], now: float) -> None:
    """Print what the processes and workers of all hosts do in the workspace, and which of them are gone."""
    if not found:
        return
    table = new_table("at work", "where", "doing", *map(figure, ("step", "since", "told")))
    for one in found[:AT_WORK]:
        step = f"{one.done:,}/{one.total:,}" if one.total else ""
        since, told = (None if moment is None else max(0.0, now - moment) for moment in (one.began, one.wrote))
        table.add_row(
            plain(_several(one.runs, 2)) if one.runs else "?",
            place(one.host, one.device).strip(),
            "[red]lost: its process is gone[/]" if one.lost else plain(one.doing),
            step,
            "" if since is None else clock(since),
            "" if told is None else f"{clock(told)} ago",
        )
    print_table(table)
    if len(found) > AT_WORK:
        Out.print(f"  and {len(found) - AT_WORK:,} more")


def _print_lost(names: Sequence[str], store: Store) -> None:
    if names:
        record = store.last_run(names[0])
        options = [part for override in record.get("overrides", ()) for part in ("--set", str(override))]
        again = "start the same command again"
        if recipe := record.get("recipe"):
            again = command_line(["run", str(recipe), *options], store.root)
        Out.print(f"[dim]Lost runs go on from their checkpoints: {plain(again)}[/]", soft_wrap=True)


def print_runs(store: Store, names: Sequence[str]) -> None:
    """Print the state and the bytes of some runs, and where each came from."""
    records = store.runs()
    for name in names:
        record = records[name]
        _print_stages(store, name, record)
        given = "".join(f" --set {override}" for override in record.get("overrides", ()))
        Out.print(f"  {plain(record.get('recipe', 'no recipe is known'))}{plain(given)}")
    stock, live = stock_of(store)
    print_table(_bytes(store, stock, live, names))


def _print_stages(store: Store, name: str, record: Mapping[str, Any]) -> None:
    Out.print(f"[bold]{plain(name)}[/]")
    table = new_table("stage", "state", figure("steps"), figure("loss"), "trained on", "result")
    for stage in record["order"]:
        table.add_row(plain(stage), *_state(store, record["stages"].get(stage)))
    print_table(table)


def _state(store: Store, record: Mapping[str, Any] | None) -> tuple[str, ...]:
    if record is None:
        return ("not reached", "", "", "", "")
    entry = store.find("results", record["key"])
    if entry is None:
        return ("unfinished" if store.unfinished("results", record["key"]) else "to run", "", "", "", "")
    if wrong := store.flaw(entry, contents=False):
        return (f"to run: {wrong}", "", "", "", entry.key[:SHORT])
    m = entry.manifest["metrics"]
    steps = str(m["steps"] or "")
    if (chosen := Chosen.of_metrics(m)) is not None:
        steps = f"{chosen.step} of {chosen.of}, selected on {chosen.on}"
    loss = f"reward {m['reward']:.3f}" if "reward" in m else f"{m['loss']:.4f}" if "loss" in m else ""
    return ("done", steps, loss, entry.manifest["created"][:16], entry.key[:SHORT])


def _bytes(store: Store, stock: Stock, live: Sequence[Lease], names: Sequence[str]) -> Table:
    """Return a line for each run: when it was last run, its bytes, and those that it shares."""
    table = new_table("run", "last run", figure("its own"), figure("shared"), "")
    working, records = at_work(store, live), store.runs()
    for name in names:
        own, shared = stock.of_run(name)
        note = _at_work(working[name]) if name in working else ""
        started = str(records[name].get("started", ""))[:16]
        table.add_row(plain(name), started, readable_bytes(own), readable_bytes(shared), note)
    return table


def _at_work(holder: Holder) -> str:
    place = "" if holder.is_here() else f" on {plain(holder.host)}"
    return f"at work: process {holder.pid}{place}"


def print_removal(going: Removal, *, whole: bool) -> None:
    """Print what goes with the runs, and what stays; `whole`: each item, however many."""
    total = readable_bytes(sum(item.bytes for item in going.items))
    Out.print(f"{plain(', '.join(going.runs))}: {counted(len(going.items), 'item')} that no other run uses, {total}")
    _list(sorted(going.items, key=lambda item: -item.bytes), None if whole else 2 * MOST, "--dry-run lists all")
    if going.shared:
        users = dict.fromkeys(user for _, owners in going.shared for user in owners)
        count = readable_bytes(sum(item.bytes for item, _ in going.shared))
        adapters = [item.what for item, _ in going.shared if item.what.startswith("adapter")]
        others = counted(len(going.shared) - len(adapters), "other item")
        Out.print(f"stays, {count}, used by {plain(_several(list(users)))}:")
        Out.print(f"  {plain(_several([*adapters, f'{others} (scores, prepared data)']))}")
    if going.earlier:
        Out.print(f"stays too: {plain(_several(going.earlier))}")


def print_orphans(store: Store, found: Sequence[Item], *, whole: bool) -> None:
    """Print what no run uses; `whole`: each item, however many."""
    if not found:
        Out.print(f"{plain(store.root)} holds nothing that no run uses")
        return
    total = readable_bytes(sum(item.bytes for item in found))
    Out.print(f"no run uses {counted(len(found), 'item')}, {total}")
    _list(found, None if whole else 2 * MOST, "--dry-run lists all")


def print_watching(holder: Holder) -> None:
    """Print that it takes a while to find out whether a process of another host lives."""
    Out.print(f"  looking for at most a minute whether it still works here: {plain(holder)}")


def print_cleared(done: Cleared) -> None:
    """Print what was deleted, and what stays since a process holds it."""
    for item, holder in done.held:
        Out.print(f"  stays: {plain(item.what)}, which {plain(holder)} holds")
    if done.items or done.held:
        Out.print(f"deleted: {counted(len(done.items), 'item')}, {readable_bytes(done.bytes)}")


def agreed(what: str, yes: bool, command: str) -> bool:
    """Ask whether to go on. UsageError where nobody can answer, which names `command`."""
    if yes:
        return True
    if not (sys.stdin is not None and sys.stdin.isatty() and Out.is_terminal):
        raise UsageError(f"nobody can be asked here whether to {what} it", remedy=f"agree beforehand: {command}")
    try:
        answer = Out.input(f"{what} it? \\[y/N] ").strip().lower()
    except EOFError:
        answer = ""
    if answer in ("y", "yes"):
        return True
    Out.print(f"nothing was {what}d")
    return False


def _list(items: Sequence[Item], most: int | None, hint: str) -> None:
    """Print items, the first `most` of them, and where the others are told."""
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold", style="dim")
    for item in islice(items, most):
        table.add_row(f"  {readable_bytes(item.bytes)}", plain(item.what), plain(_short(item)))
    if items:
        Out.print(table)
    if most is not None and len(items) > most:
        rest = readable_bytes(sum(item.bytes for item in items[most:]))
        Out.print(f"  and {len(items) - most:,} more, {rest}: {hint}")


def _short(item: Item) -> str:
    """Return the place of an item, its key cut."""
    pair = item.entry or item.work
    return item.place.replace(pair[1], pair[1][:SHORT]) if pair else item.place


def _several(names: Sequence[str], most: int = MOST) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
