"""Who is at work in a workspace, on this host and on others: what `status` shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from statllama.runs.watch.live import Live, read_all
from statllama.runs.watch.run_state import RunState
from statllama.store import Holder, Store
from statllama.store.leases import Lease


@dataclass(frozen=True)
class AtWork:
    """A process and what it does, or a worker of it."""

    runs: tuple[str, ...]
    """Those it is at work for; none where that is not known, as while it plans."""
    holder: Holder
    host: str
    device: str
    """Of a worker; empty for a process that does its work itself."""
    doing: str
    """In words; empty where nothing is known."""
    done: int = 0
    total: int | None = None
    began: float | None = None
    """When it began to do that: seconds since 1970, by the clock of its host."""
    wrote: float | None = None
    """When it last told of itself."""
    lost: bool = False
    """Whether its process is gone without a word."""


def at_work(store: Store, working: Sequence[Lease]) -> list[AtWork]:
    """Return what goes on, the works of workers one by one; then runs whose process is gone. `working`: live leases."""
    lives, found = read_all(store, working), dict[tuple[object, ...], AtWork]()
    for live in sorted(lives, key=lambda live: not live.going):
        for one in _of(live):
            mark = (_process(one.holder), one.host, one.device, one.doing, one.began)
            before = found.get(mark)
            found[mark] = one if before is None else replace(before, runs=(*before.runs, *one.runs))
    known = {_process(live.holder) for live in lives if live.going}
    for lease in working:
        if _process(lease.holder) not in known:
            runs = (str(lease.record["name"]),) if lease.record is not None and "name" in lease.record else ()
            doing = "" if runs else "plans, or prepares data"
            one = AtWork(runs, lease.holder, lease.holder.host, "", doing, began=_moment(lease.holder.since))
            found[_process(lease.holder)] = one
    return list(found.values())


def _process(holder: Holder) -> tuple[object, ...]:
    return holder.host, holder.pid


def _of(live: Live) -> list[AtWork]:
    """Return what a run's process does: what each of its workers does, if it has some."""
    state, holder = live.state, live.holder
    about = ((state.name,), holder)
    if not live.going:
        return [AtWork(*about, holder.host, "", "", wrote=state.updated, lost=True)]
    if state.workers is not None and state.workers.works:
        return [
            AtWork(*about, work.host, work.device, work.what, work.done, work.total, work.began, state.updated)
            for work in state.workers.works.values()
        ]
    doing, done, total, began = _itself(state)
    return [AtWork(*about, holder.host, "", doing, done, total, began, state.updated)]


def _itself(state: RunState) -> tuple[str, int, int | None, float]:
    """Return what a process does itself: in words, how much of how much, since when."""
    if state.workers is not None:
        return f"waits for {state.workers.waiting} works", 0, None, state.workers.began
    now = state.activity
    if now is None:
        return "between two tasks", 0, None, state.updated
    words = {"preparing": f"{now.what} data", "waiting": f"waits for {now.what}", "writing": f"writes {now.what}"}
    words |= {"validating": f"validates {now.what}", "generating": f"writes {now.what}"}
    return words.get(now.kind, now.what), now.done, now.total, now.began


def _moment(iso: str) -> float | None:
    try:
        return datetime.fromisoformat(iso).timestamp()
    except ValueError:
        return None
