"""What lies in a workspace, how many bytes it is, and which runs reach it. Hashes nothing, loads no torch.

A run reaches what its record names: the results of its stages and of those below them, every score of stacks that are
made of these, scores of its base, the prepared data that its stages were given, the latest state kept of each of its
stages, and what bears its name. What no run reaches is an orphan.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from statllama.runs.house.history import keys_of, split_run
from statllama.runs.keys import trunk_of
from statllama.store import Entry, Store
from statllama.store.canonical import digest
from statllama.store.files import read_json, translate_os_errors
from statllama.store.leases import Lease
from statllama.store.store import ABOUT, MANIFEST, SCHEMA_VERSION
from statllama.store.working_folder import made_in
from statllama.store.workspace import KEY, KINDS, Kind

Needs = frozenset[str]
"""Names of things: `results/<key>`, `cache/<key>`, `base/<hash of its identity>`, `trunk/<hash of a stage without its
length>`, `run/<name of a recipe>`."""
NOTHING: Needs = frozenset()
TRACKERS, LIVE = "trackers", "live"


@dataclass(frozen=True)
class Item:
    """A file or folder of a workspace that can go by itself."""

    place: str
    """Relative to the workspace, with forward slashes."""
    what: str
    """In words: `adapter sft of gardener`."""
    bytes: int
    needs: Needs
    """A record that reaches all of these reaches the item. Empty: none does."""

    @property
    def entry(self) -> tuple[Kind, str] | None:
        """Return kind and key of a published entry; None for all else."""
        kind, _, key = self.place.partition("/")
        return (kind, key) if kind in KINDS else None  # type: ignore[return-value]

    @property
    def work(self) -> tuple[Kind, str] | None:
        """Return kind and key of the entry whose working folder it is; None for all else."""
        top, _, name = self.place.partition("/")
        return made_in(name) if top == "partial" else None


@dataclass(frozen=True)
class Stock:
    """The items of a workspace, and what each of its runs reaches."""

    items: tuple[Item, ...]
    runs: Mapping[str, Needs]
    """{run, or the live process that goes on with one: what it reaches}."""

    @cached_property
    def _owners(self) -> dict[str, tuple[str, ...]]:
        return {
            item.place: tuple(name for name, reach in self.runs.items() if item.needs and item.needs <= reach)
            for item in self.items
        }

    def owners(self, item: Item) -> tuple[str, ...]:
        """Return the runs that reach an item."""
        return self._owners[item.place]

    @property
    def orphans(self) -> tuple[Item, ...]:
        """Return the items that no run reaches, the largest first."""
        return tuple(sorted((i for i in self.items if not self.owners(i)), key=lambda i: (-i.bytes, i.place)))

    @property
    def unfinished(self) -> tuple[Item, ...]:
        """Return the work that runs have begun and not ended."""
        return tuple(item for item in self.items if item.work is not None and self.owners(item))

    def of_run(self, name: str) -> tuple[int, int]:
        """Return the bytes that a run alone reaches, and those that it shares with others."""
        reached = [item for item in self.items if name in self.owners(item)]
        own = sum(item.bytes for item in reached if len(self.owners(item)) == 1)
        return own, sum(item.bytes for item in reached) - own

    def without(self, names: Sequence[str]) -> Stock:
        """Return the stock as it is when these runs are gone."""
        return replace(self, runs={name: reach for name, reach in self.runs.items() if name not in names})


def take_stock(store: Store, leases: Sequence[Lease] = ()) -> Stock:
    """Return what lies in the workspace. `leases`: of live processes, which reach what their runs do.

    StoreError for a file in `runs/` that is no record: what it reaches cannot be told.
    """
    runs = {name: reach_of({**record, "name": name}) for name, record in store.runs().items()}
    live = {str(lease.holder): reach_of(lease.record) for lease in leases if lease.record is not None}
    steps = {name: frozenset(f"steps/{key}" for key in keys) for name, keys in store.builds().items()}
    builds = {f"data build {name}": reach for name, reach in steps.items()}
    with translate_os_errors(store.root):
        return Stock(tuple(_items(store)), {**runs, **live, **builds})


def reach_of(record: Mapping[str, Any]) -> Needs:
    """Return all that the record of a run reaches."""
    stages = record["stages"].values()
    bases = [record.get("identity"), *(stage["material"].get("base") for stage in stages)]
    return frozenset(
        {
            *(f"results/{key}" for key in keys_of(record)),
            *(f"cache/{key}" for stage in stages for key in stage.get("cache", ())),
            *(f"cache/{held['kept_in']}" for held in record.get("holdouts", ()) if held["kept_in"]),
            *(_base(base) for base in bases if base is not None),
            *(f"trunk/{trunk}" for stage in stages if (trunk := _trunk(stage["material"])) is not None),
            f"run/{split_run(str(record.get('name')))[0]}",
        }
    )


def _trunk(material: Mapping[str, Any]) -> str | None:
    return trunk_of(material) if isinstance(material.get("stage"), Mapping) else None


def _base(identity: Any) -> str:
    return f"base/{digest(identity)}"


def _items(store: Store) -> Iterator[Item]:
    latest = _latest_states(store)
    for kind in KINDS:
        for path in store.listed(kind):
            if KEY.fullmatch(path.name):
                entry = store.find(kind, path.name)
                if entry is not None or not _of_another_version(path):
                    item = _entry(kind, path, entry)
                    yield item if kind != "states" or path.name in latest else replace(item, needs=NOTHING)
    for path in store.listed("partial"):
        yield _work(store, path)
    for path in store.listed(TRACKERS):
        yield Item(f"{TRACKERS}/{path.name}", f"trackers of {path.name}", size(path), frozenset({f"run/{path.name}"}))
    for path in store.listed(LIVE):
        if path.suffix == ".json":
            name = split_run(path.stem)[0]
            yield Item(f"{LIVE}/{path.name}", f"progress of {path.stem}", size(path), frozenset({f"run/{name}"}))
    for path in (path for folder in ("runs", LIVE) for path in store.listed(folder) if path.suffix == ".tmp"):
        yield Item(f"{path.parent.name}/{path.name}", "left by a kill", size(path), NOTHING)


def _latest_states(store: Store) -> frozenset[str]:
    """Return the keys of the kept states that have the most steps of their trunk: a longer run goes on from these."""
    latest: dict[Any, tuple[int, str]] = {}
    for entry in store.entries("states"):
        about = entry.manifest
        trunk = (about["trunk"], about["known_reference"])
        latest[trunk] = max(latest.get(trunk, (0, "")), (about["step"], entry.key))
    return frozenset(key for _, key in latest.values())


def _of_another_version(path: Path) -> bool:
    """Return whether an entry is one of a later version of statllama, which knows what it is for."""
    manifest = read_json(path / MANIFEST)
    return isinstance(manifest, dict) and manifest.get("schema") != SCHEMA_VERSION


def _entry(kind: Kind, path: Path, entry: Entry | None) -> Item:
    place = f"{kind}/{path.name}"
    if entry is None:
        return Item(place, "damaged entry", size(path), frozenset({place}) if kind == "results" else NOTHING)
    manifest, files = entry.manifest, entry.manifest["files"]
    count = sum(file["bytes"] for file in files.values()) + (path / MANIFEST).stat().st_size
    if kind == "scores":
        return Item(place, _score(manifest), count, needs_of_score(manifest))
    if kind == "releases":
        return Item(place, f"verified release of {manifest.get('name')}", count, needs_of_score(manifest))
    if kind == "states":
        what = f"state of {manifest['name']} at step {manifest['step']:,}, of {manifest['recipe']}"
        return Item(place, what, count, frozenset({f"trunk/{manifest['trunk']}"}))
    if kind == "steps":
        return Item(place, f"records of {manifest['name']}", count, frozenset({place}))
    if kind == "results":
        return Item(place, f"adapter {manifest.get('name')} of {manifest.get('recipe')}", count, frozenset({place}))
    sources = ", ".join(map(str, manifest.get("sources", ())))
    return Item(place, f"{manifest.get('what', 'prepared data')}: {sources}", count, frozenset({place}))


def _score(manifest: Mapping[str, Any]) -> str:
    if (kind := manifest.get("kind", "score")) != "score":
        return f"{kind} of {manifest.get('name')}"
    task = manifest.get("task") or manifest.get("score", {}).get("task")
    return f"score of {manifest.get('name')} on {task}"


def needs_of_score(manifest: Mapping[str, Any]) -> Needs:
    """Return what a score, or work on one, is of: the adapters of its stack, else its base."""
    try:
        protocol = manifest["protocol"]
        stack = [part if isinstance(part, str) else part[0] for part in protocol["stack"]]
        return frozenset(f"results/{key}" for key in stack) or frozenset({_base(protocol["base"])})
    except (KeyError, TypeError, IndexError, ValueError):
        return NOTHING


def _work(store: Store, path: Path) -> Item:
    """Return a working folder: what made it goes on from it, unless what it was for is there, or it cannot be used."""
    item = Item(f"partial/{path.name}", "left by a kill", size(path), NOTHING)
    if item.work is None or store.find(*item.work) is not None:
        return item
    kind, key = item.work
    about = read_json(path / ABOUT)
    told = about if isinstance(about, dict) else {}
    if kind == "results":
        what = f"unfinished adapter {told['name']} of {told['recipe']}" if {"name", "recipe"} <= told.keys() else ""
        return replace(item, what=what or "unfinished adapter", needs=frozenset({f"results/{key}"}))
    if kind == "scores":
        return replace(
            item, what=f"unfinished {_score(told)}" if told else "unfinished score", needs=needs_of_score(told)
        )
    if kind == "steps":
        what = f"unfinished records of {told['name']}" if "name" in told else "unfinished records"
        return replace(item, what=what, needs=frozenset({f"steps/{key}"}))
    if kind == "releases":
        what = f"unfinished release of {told['name']}" if "name" in told else "unfinished release"
        return replace(item, what=what, needs=needs_of_score(told))
    return replace(item, what="unfinished state" if kind == "states" else "unfinished data")


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder. What vanishes meanwhile counts nothing."""
    try:
        if path.is_symlink() or not path.is_dir():
            return path.lstat().st_size
        with os.scandir(path) as entries:
            return sum(_size(entry) for entry in entries)
    except FileNotFoundError:
        return 0


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return size(Path(entry)) if entry.is_dir(follow_symlinks=False) else entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0
