"""The records of a run under earlier settings: `gardener@1`, `gardener@2`, ...; the newest is `gardener`.

A recipe that is run again under other settings keeps its earlier record when something was trained for it. Any command
that takes a run takes `gardener@1` too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from statllama.store import Store
from statllama.store.leases import gate, leases

EARLIER = "earlier"
"""Of a record: the highest number that an earlier record of its name has been given; no number is given twice."""
Record = Mapping[str, Any]


def split_run(name: str) -> tuple[str, int | None]:
    """Return `gardener@2` as (`gardener`, 2); the newest record has no number."""
    head, at, number = name.rpartition("@")
    return (head, int(number)) if at and number.isdecimal() else (name, None)


def earlier(store: Store, name: str) -> dict[str, dict[str, Any]]:
    """Return {`name@n`: record} of the earlier records of a run, the latest last. StoreError: see `Store.last_run`."""
    files = [path for path in store.listed("runs") if path.suffix == ".json" and path.name.startswith(f"{name}@")]
    numbered = sorted((number, head) for head, number in (split_run(path.stem) for path in files) if number is not None)
    return {f"{name}@{number}": store.last_run(f"{name}@{number}") for number, head in numbered if head == name}


def stages_before(store: Store, name: str) -> dict[str, Any]:
    """Return {stage: its record} of the newest record of a run, and of the one before where that has no such stage."""
    before = list(earlier(store, name).values())[-1:]
    return {**(before[0]["stages"] if before else {}), **store.last_run(name)["stages"]}


def run_with(store: Store, name: str, keys: Mapping[str, str]) -> str:
    """Return `name`, or the earlier record of it that has more of these {stage: key}: a run of other settings sets the
    record aside of one that still goes on.
    """
    records = {name: store.last_run(name), **dict(reversed(earlier(store, name).items()))}

    def shared(run: str) -> int:
        stages = records[run]["stages"]
        return sum(stage in stages and stages[stage]["key"] == key for stage, key in keys.items())

    return max(records, key=shared)


def same_settings(one: Record, other: Record) -> bool:
    """Return whether two records have the same stages, with the same keys as far as both know them."""
    known = one["stages"].keys() & other["stages"].keys()
    return set(one["order"]) == set(other["order"]) and all(
        one["stages"][name]["key"] == other["stages"][name]["key"] for name in known
    )


def keep(store: Store, record: Record, own: Record | None = None) -> dict[str, Any]:
    """Write the record of a run, and return it as written. An earlier one under other settings is kept beside it.

    `own`: what this run wrote before, which is replaced: the keys of later stages change when a gate leaves one out.
    Stages of the record that was there are taken over where this one does not reach (`--until`) and nothing below them
    has changed. Call it with what `working` needs being everything.
    """
    name = str(record["name"])
    with gate(store):
        place = _place(store, name, own)
        before = store.last_run(place)
        if own is None and not same_settings(before, record):
            before = _set_aside(store, name, before, record)
        written = {**record, "name": place, "stages": {**_still_right(before, record), **_with_cache(before, record)}}
        if EARLIER in before:
            written[EARLIER] = before[EARLIER]
        store.write_run(place, written)
    return written


def _place(store: Store, name: str, own: Record | None) -> str:
    """Return the name under which this run's record is: another one with other settings may have set it aside."""
    if own is None or same_settings(store.last_run(name), own):
        return name
    return next((run for run, record in earlier(store, name).items() if same_settings(record, own)), name)


def _set_aside(store: Store, name: str, before: Record, record: Record) -> dict[str, Any]:
    """Keep the record that is there as an earlier one, unless one has its settings or nothing was trained for it.

    Return what a new record goes on from: no stages but those that stay as they are, and the highest number.
    """
    aside = earlier(store, name)
    highest = max([before.get(EARLIER, 0), *(split_run(run)[1] or 0 for run in aside)])
    if not any(same_settings(other, before) for other in aside.values()) and _worth(store, before, record):
        highest += 1
        store.write_run(f"{name}@{highest}", {**before, "name": f"{name}@{highest}"})
    return {**before, EARLIER: highest} if highest else dict(before)


def _worth(store: Store, before: Record, record: Record) -> bool:
    """Return whether a record has a result or a checkpoint that the new one has not, or is that of a live run."""
    new = set(keys_of(record))
    if set(before["order"]) == set(record["order"]):
        own = [key for key in keys_of(before) if key not in new]
    else:
        own = list(keys_of(before))
    if any(store.find("results", key) is not None or store.unfinished("results", key) for key in own):
        return True
    live = [lease.record for lease in leases(store) if lease.record is not None]
    return any(other.get("name") == before.get("name") and same_settings(other, before) for other in live)


def keys_of(record: Record) -> Iterator[str]:
    """Yield the keys of all results that a record rests on; some twice."""
    for stage in record["stages"].values():
        yield stage["key"]
        yield from needs(stage)


def needs(stage: Record) -> Sequence[str]:
    """Return the keys of the results that a recorded stage stands on or blends."""
    material = stage["material"]
    return [*stage.get("below", ()), *material.get("parents", ()), *(key for key, _ in material.get("of", ()))]


def _still_right(before: Record, record: Record) -> dict[str, Any]:
    """Return the stages of the old record that the new one has not reached, and that rest on nothing that changed."""
    found: dict[str, Any] = {}
    right = {stage["key"] for stage in record["stages"].values()}
    for name in record["order"]:
        stage = before["stages"].get(name)
        if stage is not None and name not in record["stages"] and right.issuperset(needs(stage)):
            found[name] = stage
            right.add(stage["key"])
    return found


def _with_cache(before: Record, record: Record) -> dict[str, Any]:
    """Return the new stages; with the cached data of the old one where the key is the same."""
    found = {}
    for name, stage in record["stages"].items():
        old = before["stages"].get(name, {})
        kept = old.get("cache", []) if old.get("key") == stage["key"] else []
        found[name] = {**stage, "cache": sorted({*kept, *stage.get("cache", [])} - {""})}
    return found
