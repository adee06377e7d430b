"""The parts of a build: the files that recipes read, in a folder beside the build's YAML.

    papers.built/documents.jsonl    {"text": ..., "title": ..., "provenance": {...}}
    papers.built/qa.jsonl           the columns of the format, and `provenance`
    papers.built/build.json         settings, steps with their keys and counts, rows and hashes of the parts

The folder is made whole beside its place and put there at the end. One that a person has changed is not replaced.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from statllama.config.built import RECORD
from statllama.data.build.records import Json, text_of
from statllama.errors import UsageError
from statllama.store.files import hash_files, mismatch, read_json, sync, translate_os_errors, write_json
from statllama.store.mounts import require_folder
from statllama.store.new_folder import new_folder


def document_row(document: Mapping[str, Any]) -> Json:
    """Return a document as a row of the format `text`."""
    origin = document["origin"]
    known = {name: origin[name] for name in ("title",) if origin.get(name)}
    return {"text": text_of(document), **known, "provenance": {"document": document["id"], **origin}}


def part_row(row: Mapping[str, Any]) -> Json:
    """Return a row as its format reads it, with where it comes from."""
    return {**row["row"], "provenance": row["provenance"]}


def require_ours(target: Path) -> None:
    """Raise UsageError where the folder of a build holds something that no build wrote, or that was changed since."""
    require_folder(target, "the build's folder")
    if not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir())):
        return
    record = read_json(target / RECORD)
    files = record.get("files") if isinstance(record, dict) else None
    if not target.is_dir() or not isinstance(files, dict):
        raise UsageError(
            f"{target} is there, and no build wrote it", remedy="move it away, or give another folder: --out FOLDER"
        )
    with translate_os_errors(target):
        changed = mismatch(target, files)
        extra = sorted({path.name for path in target.iterdir()} - {RECORD, *files})
    if changed is not None or extra:
        what = changed or f"{target / extra[0]} is not of the build"
        raise UsageError(f"{target} has been changed by hand: {what}", remedy="move it away: a build would replace it")


def is_current(target: Path, build: str) -> Json | None:
    """Return the record of the folder, where it holds what the build of this hash makes, unchanged; else None."""
    known = read_json(target / RECORD)
    if not isinstance(known, dict) or known.get("build") != build or not isinstance(known.get("files"), dict):
        return None
    with translate_os_errors(target):
        return known if mismatch(target, known["files"]) is None else None


def write_parts(target: Path, parts: Mapping[str, Iterable[Json]], record: Mapping[str, Any]) -> Json:
    """Write each part's rows and the record, in place of what an earlier build wrote there; the record as written.

    UsageError where the folder is not a build's: see `require_ours`.
    """
    require_ours(target)
    target = Path(os.path.abspath(target))
    made = target.with_name(f".{target.name}.made-{secrets.token_hex(4)}")
    with new_folder(made, "the build's folder") as folder:
        counts = {name: _write(folder / f"{name}.jsonl", rows) for name, rows in parts.items()}
        whole = {**record, "parts": {name: {"rows": count} for name, count in counts.items()}}
        whole["files"] = hash_files(folder)
        write_json(folder / RECORD, whole)
    with translate_os_errors(target):
        aside = target.with_name(f".{target.name}.old-{secrets.token_hex(4)}")
        if os.path.lexists(target):
            os.rename(target, aside)
        os.rename(made, target)
        sync(target.parent)
        shutil.rmtree(aside, ignore_errors=True)
    return whole


def _write(path: Path, rows: Iterable[Json]) -> int:
    count = 0
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            count += 1
    return count


def sweep(target: Path) -> None:
    """Delete what killed builds left beside the folder; put back one that was moved away and never replaced."""
    parent, name = target.absolute().parent, target.name
    with translate_os_errors(parent):
        for old in sorted(parent.glob(f".{name}.old-*")):
            if not os.path.lexists(target):
                os.rename(old, target)
            else:
                shutil.rmtree(old, ignore_errors=True)
        for made in parent.glob(f".{name}.made-*"):
            shutil.rmtree(made, ignore_errors=True)
