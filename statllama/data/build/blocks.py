"""Blocks: what a step made of a few records, complete on the disk.

    partial/steps-<key>.<token>/checkpoints/000012/kept.jsonl        records that go on
                                                   left_out.jsonl    what does not, with reasons
                                                   files/            files that the step fetched
                                                   sealed.json       sizes and hashes: the block is whole
    steps/<key>/kept.jsonl, left_out.jsonl, files/, manifest.json    all blocks, in order: the step's result

A step that is killed goes on with the first block without a sound seal.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statllama.data.build.records import Json, Kept, Outcome
from statllama.errors import DataError
from statllama.store import Entry
from statllama.store.files import hash_files, list_files, mismatch, read_files_record, sync, translate_os_errors, walk
from statllama.store.files import write_json as write_seal
from statllama.store.working_folder import CHECKPOINTS, SEAL

KEPT, LEFT_OUT, FILES = "kept.jsonl", "left_out.jsonl", "files"
_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Tally:
    """Counts of a block, or of several."""

    records: int = 0
    """Records that went in."""
    kept: int = 0
    left_out: tuple[tuple[str, int], ...] = ()
    """(reason, how many), the most frequent first."""
    seconds: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        """Return the counts of both."""
        reasons = Counter(dict(self.left_out)) + Counter(dict(other.left_out))
        ordered = tuple(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])))
        return Tally(self.records + other.records, self.kept + other.kept, ordered, self.seconds + other.seconds)

    def as_json(self) -> Json:
        """Return plain JSON values."""
        return {
            "records": self.records,
            "kept": self.kept,
            "left_out": dict(self.left_out),
            "seconds": round(self.seconds, 3),
        }

    @staticmethod
    def of_json(value: Any) -> Tally:
        """Return what `as_json` has given."""
        left_out = tuple(value["left_out"].items())
        return Tally(value["records"], value["kept"], left_out, value["seconds"])


def block_folder(working: Path, number: int) -> Path:
    """Return the folder of a block in a step's working folder."""
    return working / CHECKPOINTS / f"{number:06d}"


def fresh_block(folder: Path) -> Path:
    """Return the folder, empty: what a killed run left in it is deleted."""
    with translate_os_errors(folder):
        (folder / SEAL).unlink(missing_ok=True)
        if folder.exists():
            shutil.rmtree(folder)
        (folder / FILES).mkdir(parents=True)
    return folder


def write_block(folder: Path, records: int, outcomes: Iterable[Outcome]) -> Tally:
    """Write what came of `records` records into a fresh folder, and seal it. StoreError when the disk refuses."""
    started, kept, reasons = time.monotonic(), 0, Counter[str]()
    with (
        translate_os_errors(folder),
        open(folder / KEPT, "w", encoding="utf-8", newline="\n") as goes_on,
        open(folder / LEFT_OUT, "w", encoding="utf-8", newline="\n") as stays,
    ):
        for outcome in outcomes:
            if isinstance(outcome, Kept):
                kept += 1
                goes_on.write(_line(outcome.record))
            else:
                reasons[outcome.reason] += 1
                stays.write(_line(outcome.as_json()))
    tally = Tally(records, kept, (), time.monotonic() - started) + Tally(left_out=tuple(reasons.items()))
    with translate_os_errors(folder):
        files = hash_files(folder)
        sync(*walk(folder))
        write_seal(folder / SEAL, {"schema": _SCHEMA_VERSION, "files": files, "tally": tally.as_json()})
    return tally


def sealed(folder: Path) -> Tally | None:
    """Return the counts of a block whose files are exactly those of its seal; None for any other folder."""
    with translate_os_errors(folder):
        record = read_files_record(folder / SEAL, _SCHEMA_VERSION)
        if record is None or sorted([*record["files"], SEAL]) != list_files(folder):
            return None
        return Tally.of_json(record["tally"]) if mismatch(folder, record["files"]) is None else None


def gather(blocks: Sequence[Path], out: Path) -> None:
    """Write all blocks, in order, into the folder that is to be published; with their files."""
    with translate_os_errors(out):
        for name in (KEPT, LEFT_OUT):
            with open(out / name, "wb") as whole:
                for block in blocks:
                    with open(block / name, "rb") as part:
                        shutil.copyfileobj(part, whole, 1 << 20)
        (out / FILES).mkdir(exist_ok=True)
        for block in blocks:
            for path in sorted((block / FILES).iterdir()):
                _place(path, out / FILES / path.name)
        if not any((out / FILES).iterdir()):
            (out / FILES).rmdir()


def _place(path: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the disk has no hard links."""
    try:
        os.link(path, target)
    except FileExistsError:
        raise
    except OSError:
        shutil.copyfile(path, target)


def records_of(entry: Entry) -> Iterator[Json]:
    """Yield the records of a step's result, one at a time, with `file` as an absolute path."""
    for record in _lines(entry.path / KEPT):
        if "file" in record:
            record["file"] = os.path.join(entry.path, record["file"])
        yield record


def left_out_of(entry: Entry) -> Iterator[Json]:
    """Yield what a step left out, one at a time."""
    return _lines(entry.path / LEFT_OUT)


def _lines(path: Path) -> Iterator[Json]:
    with translate_os_errors(path), open(path, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _line(record: object) -> str:
    """Return a record as one line. DataError for what is no JSON, such as a lone surrogate from a damaged file."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, sort_keys=True)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"a record with characters that are no text: {text[error.start : error.start + 20]!r}"
        ) from None
    return text + "\n"
