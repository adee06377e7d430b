"""A run as one file: its record, recipe, adapters and scores, to take to another workspace or machine.

Not in it: the base (named with its identity) and the user's data (their fingerprints are in the record). Records and
entries are byte for byte those of the workspace; absolute paths of the machine are among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from statllama.errors import StoreError, UsageError
from statllama.runs.house.clearing import require_runs
from statllama.runs.house.inventory import Item, take_stock
from statllama.runs.subject import subject_of
from statllama.store import Store
from statllama.store.archive import Content, write_archive
from statllama.store.files import Files, file_sha256, require_place, translate_os_errors
from statllama.store.store import MANIFEST
from statllama.store.versions import __version__

RECORDS, RECIPE = "records", "recipe.yaml"


@dataclass(frozen=True)
class Bundled:
    """A bundle that was written."""

    file: Path
    runs: tuple[str, ...]
    adapters: int
    scores: int
    missing: tuple[str, ...]
    """Stages of the run that have no result yet."""
    base: str


def write_bundle(store: Store, run: str, target: Path, history: tuple[str, ...] = ()) -> Bundled:
    """Write a run, and `history`, earlier records of it, to a new file: the same bytes for the same run.

    NotFoundError for a run that is not there, UsageError for one of which nothing is trained or a file that exists,
    StoreError for a damaged result.
    """
    names = (run, *(name for name in history if name != run))
    require_runs(store, names)
    require_place(target)
    record = store.last_run(run)
    subject = subject_of(record, store)  # a record of another version is refused here, not on the other machine
    stock = take_stock(store)
    wanted = [item for item in stock.items if _of(item) and any(name in stock.owners(item) for name in names)]
    adapters = sum(_of(item) == "results" for item in wanted)
    if not adapters:
        raise UsageError(f"nothing of {run!r} is trained yet", remedy=f"run it first: {subject.again}")
    members, hashes = _records(store, names, record)
    for item in wanted:
        _add_entry(store, item, members, hashes)
    about = {
        "statllama": __version__,
        "run": run,
        "runs": sorted(names),
        "base": {"model": record["base"]["model"], "identity": record["identity"]},
    }
    write_archive(target, about, members, hashes)
    missing = tuple(name for name in record["order"] if name not in {stage.name for stage in subject.trained})
    return Bundled(target, names, adapters, len(wanted) - adapters, missing, str(record["base"]["model"]))


def _of(item: Item) -> str | None:
    """Return the kind of an entry that goes into a bundle; None for all else."""
    kind = item.entry[0] if item.entry else None
    return kind if kind in ("results", "scores") and item.what != "damaged entry" else None


def _records(store: Store, names: tuple[str, ...], record: Mapping[str, Any]) -> tuple[dict[str, Content], Files]:
    members: dict[str, Content] = {f"{RECORDS}/{name}.json": store.root / "runs" / f"{name}.json" for name in names}
    members[RECIPE] = str(record.get("resolved", "")).encode()
    hashes: Files = {}
    for name, content in members.items():
        raw = content if isinstance(content, bytes) else content.read_bytes()
        members[name] = raw  # as it was now, should it be written again meanwhile
        hashes[name] = {"sha256": sha256(raw).hexdigest(), "bytes": len(raw)}
    return members, hashes


def _add_entry(store: Store, item: Item, members: dict[str, Content], hashes: Files) -> None:
    assert item.entry is not None
    entry = store.find(*item.entry)
    if entry is None:
        raise StoreError(f"{item.place} was deleted meanwhile", remedy="run again")
    with translate_os_errors(entry.path):
        path = entry.path / MANIFEST
        members[f"{item.place}/{MANIFEST}"] = path
        hashes[f"{item.place}/{MANIFEST}"] = {"sha256": file_sha256(path), "bytes": path.stat().st_size}
    for name, file in entry.manifest["files"].items():
        members[f"{item.place}/{name}"] = entry.path / name
        hashes[f"{item.place}/{name}"] = {"sha256": file["sha256"], "bytes": file["bytes"]}
