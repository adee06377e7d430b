"""Brings a bundle into a workspace. All of it is verified before any of it is where it could be found.

Verified: every file's size and hash; that an entry's files are those of its manifest; that its key is the hash of what
it was made of; that records name their own keys; and that each entry is reached by a record of the bundle. The files
are unpacked into `partial/import-*`, which `gc` deletes when a kill left it, and renamed into place; records come last.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statllama.config.base_model import BaseModelSpec
from statllama.config.shipped import shipped_root
from statllama.config.spec import NAME_PATTERN
from statllama.errors import StatllamaError, StoreError, UsageError
from statllama.model.identity import base_identity
from statllama.runs.house.bundle import RECIPE, RECORDS
from statllama.runs.house.history import same_settings, split_run
from statllama.runs.house.inventory import needs_of_score, reach_of
from statllama.runs.keys import stage_key
from statllama.runs.subject import subject_of
from statllama.store import Store
from statllama.store.archive import Archive, open_archive
from statllama.store.canonical import digest
from statllama.store.leases import gate, working
from statllama.store.store import MANIFEST, SCHEMA_VERSION
from statllama.store.workspace import KEY, Kind, is_run

KINDS: tuple[Kind, ...] = ("results", "scores")
Record = dict[str, Any]


@dataclass(frozen=True)
class Wishes:
    """What a user says of a bundle that is imported."""

    name: str | None = None
    """Name of the run here; None: its own."""
    base: Path | None = None
    """Folder of its base on this machine."""
    recipe: Path | None = None
    """Its recipe on this machine, beside which the benchmarks of its own lie."""


@dataclass(frozen=True)
class Imported:
    """A bundle that was imported."""

    runs: tuple[str, ...]
    new: int
    """Adapters and scores that the workspace had not."""
    known: int
    """Those that it had."""
    base: str
    base_here: bool
    """Whether the base is a hub id or a folder that is here."""
    root: str
    root_here: bool
    """Whether the folder of the recipe is here."""


def import_bundle(path: Path, store: Store, wishes: Wishes) -> Imported:
    """Import a bundle. Nothing that is here is changed, and nothing enters when any part is refused.

    UsageError for a bundle that is damaged, of another version or contradicts itself, for a run of that name with other
    settings, and for a base that is another one; StoreError when the disk refuses.
    """
    with open_archive(path) as archive:
        entries = _entries(archive)
        records = _renamed(_records(archive, store), wishes)
        _require_free(store, records)
        with working(store):
            records = {name: _at_home(record, wishes, store) for name, record in records.items()}
            store.require_space(archive.size)
            staging = store.writable("partial") / f"import-{secrets.token_hex(4)}"
            try:
                for name in archive.files:
                    if name.partition("/")[0] in KINDS:
                        archive.extract(name, staging / name)
                    else:
                        archive.read(name)
                _require_sound(archive, entries, records, staging)
                added = sum(store.adopt(kind, key, staging / kind / key) for kind, key in entries)
                _write(store, records, wishes)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    newest = next(iter(records.values()))
    base, root = newest["base"]["model"], newest["root"]
    here = not Path(base).is_absolute() or Path(base).is_dir()
    return Imported(tuple(records), added, len(entries) - added, base, here, root, Path(root).is_dir())


def _refused(archive: Archive, why: str) -> UsageError:
    return UsageError(f"{archive.path}: nothing was imported, since {why}", remedy="make the bundle again")


def _entries(archive: Archive) -> list[tuple[Kind, str]]:
    """Return kind and key of the entries. UsageError for a file that belongs to none, and is no record."""
    found: dict[tuple[Kind, str], None] = {}
    for name in archive.files:
        top, _, rest = name.partition("/")
        key, _, file = rest.partition("/")
        if top in KINDS and KEY.fullmatch(key) and file:
            found[top, key] = None  # type: ignore[index]
        elif not (name == RECIPE or (top == RECORDS and rest.endswith(".json") and "/" not in rest)):
            raise _refused(archive, f"{name} is no part of a bundle")
    return list(found)


def _records(archive: Archive, store: Store) -> dict[str, Record]:
    """Return {run: record}, the bundle's run first."""
    records: dict[str, Record] = {}
    for member in archive.files:
        if not member.startswith(f"{RECORDS}/"):
            continue
        name = member.removeprefix(f"{RECORDS}/").removesuffix(".json")
        record = _json(archive.read(member))
        head, number = split_run(name)
        if not re.fullmatch(NAME_PATTERN, head) or (number is not None and number < 1) or not is_run(record):
            raise _refused(archive, f"{member} is no record of a run")
        if any(stage_key(stage["material"]) != stage["key"] for stage in record["stages"].values()):
            raise _refused(archive, f"a key in {member} is not that of its stage")
        records[name] = {**record, "name": name}
        try:
            subject_of(records[name], store)
            reach_of(records[name])
        except (StoreError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise _refused(archive, f"{member} cannot be read: {error}") from None
    first = str(archive.manifest.get("run"))
    if first not in records or len({split_run(name)[0] for name in records}) > 1:
        raise _refused(archive, "its records are not those of one run")
    return {first: records[first], **records}


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _renamed(records: dict[str, Record], wishes: Wishes) -> dict[str, Record]:
    """Return the records under the name that they get here. One that was an earlier record alone loses its number."""
    names = {name: name for name in records}
    if len(records) == 1:
        names = {name: split_run(name)[0] for name in records}
    if wishes.name is not None:
        if not re.fullmatch(NAME_PATTERN, wishes.name):
            raise UsageError(f"--name {wishes.name!r}: letters, digits, `.`, `_` and `-`, at most 64")
        names = {
            old: wishes.name + "".join(f"@{n}" for n in [split_run(new)[1]] if n is not None)
            for old, new in names.items()
        }
    return {names[old]: {**record, "name": names[old]} for old, record in records.items()}


def _require_free(store: Store, records: Mapping[str, Record]) -> None:
    """Raise UsageError when another run has the name of one here. The same run is no other."""
    here = store.runs()
    for name, record in records.items():
        if name in here and not same_settings(here[name], record):
            raise UsageError(
                f"a run {name!r} with other settings is in {store.root}, and nothing was imported",
                remedy="import it under another name: --name NAME",
            )


def _at_home(record: Record, wishes: Wishes, store: Store) -> Record:
    """Return the record with the places of base and recipe on this machine, where they are known."""
    base, root, recipe = dict(record["base"]), record.get("root"), record.get("recipe")
    if wishes.base is not None:
        base["model"] = str(wishes.base.expanduser().absolute())
        _require_base(base, record["identity"], store)
    elif (shipped := _shipped(base.get("model"))) is not None:
        with_shipped = {**base, "model": str(shipped)}
        try:
            _require_base(with_shipped, record["identity"], store)
            base = with_shipped
        except StatllamaError:
            pass  # another version's: the record keeps the place that it names
    if wishes.recipe is not None:
        recipe = str(wishes.recipe.expanduser().absolute())
        root = str(Path(recipe).parent)
    elif (folder := _shipped(root)) is not None:
        root, recipe = str(folder), str(_shipped(recipe) or recipe)
    return {**record, "base": base, "root": root, "recipe": recipe}


def _shipped(place: Any) -> Path | None:
    """Return where this installation has a shipped file or folder of another one; None where that place is here."""
    if not isinstance(place, str) or not Path(place).is_absolute() or Path(place).exists():
        return None
    parts = Path(place).parts
    if "recipes" not in parts:
        return None
    at = len(parts) - 1 - parts[::-1].index("recipes")
    found = shipped_root().joinpath(*parts[at:])
    return found if found.exists() else None


def _require_base(base: Mapping[str, Any], identity: Any, store: Store) -> None:
    spec = BaseModelSpec.model_validate(base)
    if not Path(spec.model).is_dir():
        raise UsageError(f"--base {spec.model}: there is no such folder")
    try:
        found = base_identity(spec, store.memory)
    except FileNotFoundError as error:  # a chat template of its own, which lies elsewhere
        raise UsageError(f"--base {spec.model}: {error.filename} is not here") from None
    if found != identity:
        raise UsageError(
            f"--base {spec.model}: it is not the base that the run was trained on",
            remedy="give the very folder: its files are compared by hash, tokenizer and chat template too",
        )


def _require_sound(
    archive: Archive, entries: list[tuple[Kind, str]], records: Mapping[str, Record], staging: Path
) -> None:
    """Raise UsageError for an entry that is not what it says, or that no record reaches."""
    reach = [reach_of(record) for record in records.values()]
    for kind, key in entries:
        place, path = f"{kind}/{key}", staging / kind / key / MANIFEST
        manifest = _json(path.read_bytes() if path.is_file() else b"")
        listed = {
            name.removeprefix(f"{place}/"): file for name, file in archive.files.items() if name.startswith(f"{place}/")
        }
        listed.pop(MANIFEST, None)
        if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA_VERSION or manifest.get("key") != key:
            raise _refused(archive, f"{place} has no manifest of this version")
        if manifest.get("files") != listed:
            raise _refused(archive, f"the files of {place} are not those of its manifest")
        made_of = manifest.get("material" if kind == "results" else "protocol")
        if not isinstance(made_of, dict) or digest(made_of) != key:
            raise _refused(archive, f"the key of {place} is not that of what it was made of")
        needs = frozenset({place}) if kind == "results" else needs_of_score(manifest)
        if not needs or not any(needs <= reached for reached in reach):
            raise _refused(archive, f"{place} is of no run in it")


def _write(store: Store, records: Mapping[str, Record], wishes: Wishes) -> None:
    """Write the records; one that is here stays, but for the places that the user has given."""
    with gate(store):
        _require_free(store, records)
        for name, record in reversed(list(records.items())):
            here = store.last_run(name)
            if not here["order"]:
                store.write_run(name, record)
            else:
                given = {"base": wishes.base, "root": wishes.recipe, "recipe": wishes.recipe}
                places = {key: record[key] for key, wish in given.items() if wish is not None}
                store.write_run(name, {**here, **places, "stages": {**record["stages"], **here["stages"]}})
