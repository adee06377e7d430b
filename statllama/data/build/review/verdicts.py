"""A person's verdicts on rows: lines of JSON that are only ever added to.

    {"id": "qa:3f2a", "row": "<digest>", "verdict": "drop", "by": "Ada", "at": "2026-12-01T10:00:00Z", "note": "wrong"}

A later verdict of the same person on the same row counts in place of the earlier one, which stays in the file. `row` is
the digest of what was judged: when the row of that id says something else now, the verdict does not count for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from statllama.errors import DataError, NotFoundError, near
from statllama.store.files import translate_os_errors

Decision = Literal["keep", "drop", "unsure"]
VERDICTS: tuple[Decision, ...] = get_args(Decision)
_MOST_CHARACTERS = 10_000  # of a field


@dataclass(frozen=True)
class Verdict:
    """What a person says of a row. `at`: UTC, ISO 8601, to the second or finer; `note`: why, in the person's words."""

    id: str
    row: str
    verdict: Decision
    by: str = ""
    at: str = ""
    note: str = ""

    def line(self) -> str:
        """Return the line of the file."""
        return json.dumps(asdict(self), ensure_ascii=True, sort_keys=True) + "\n"


def read_verdicts(path: Path) -> list[Verdict]:
    """Return all verdicts of a file, in order; a last line that a killed process left half-written is none.

    DataError for a line that is no verdict, NotFoundError where there is no file, StoreError when it cannot be read.
    """
    if not path.is_file():
        raise NotFoundError(f"no file {path}", remedy="give the file that the page downloaded")
    with translate_os_errors(path):
        text = path.read_bytes()
    whole = text[: _sound_end(text)]
    found = []
    for number, line in enumerate(whole.splitlines(), start=1):
        if line.strip():
            found.append(_verdict(line, f"{path}, line {number}"))
    return found


def append(path: Path, verdicts: Iterable[Verdict]) -> None:
    """Add verdicts to the file, on the disk when this returns. What stands there stays, but for a half-written last
    line.

    StoreError when the disk refuses.
    """
    added = "".join(verdict.line() for verdict in verdicts).encode()
    with translate_os_errors(path), open(path, "a+b") as file:
        file.seek(0)
        there = file.read()
        end = _sound_end(there)
        if end < len(there):
            file.truncate(end)
        file.seek(0, os.SEEK_END)
        file.write((b"" if there[:end].endswith(b"\n") or not end else b"\n") + added)
        file.flush()
        os.fsync(file.fileno())


def taken_in(path: Path, verdicts: Sequence[Verdict]) -> int:
    """Add those of the verdicts that the file does not have yet, such as a page's download. Return how many."""
    there = set(read_verdicts(path)) if path.exists() else set()
    new = [verdict for verdict in dict.fromkeys(verdicts) if verdict not in there]
    if new:
        append(path, new)
    return len(new)


def decided(verdicts: Iterable[Verdict], rows: Mapping[str, str]) -> tuple[dict[str, Decision], int]:
    """Return {id: what was decided} of rows ({id: digest}), and how many verdicts are of rows that say something else
    now.

    Of one person's the last counts, by the file's order. Where persons decided otherwise, the row is `unsure`.
    """
    last: dict[tuple[str, str], Decision] = {}
    other = 0
    for verdict in verdicts:
        if rows.get(verdict.id) == verdict.row:
            last[verdict.id, verdict.by] = verdict.verdict
        elif verdict.id in rows:
            other += 1
    found: dict[str, Decision] = {}
    for (name, _), decision in last.items():
        found[name] = decision if found.get(name, decision) == decision else "unsure"
    return found, other


def _sound_end(text: bytes) -> int:
    """Return the length up to the end of the last line that is whole."""
    if not text or text.endswith(b"\n"):
        return len(text)
    start = text.rfind(b"\n") + 1
    try:
        json.loads(text[start:])
    except ValueError:
        return start
    return len(text)


def _verdict(line: bytes, where: str) -> Verdict:
    remedy = "give the file that `statllama data review` or its page wrote"
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise DataError(f"{where}: no JSON: {line[:60]!r}", remedy=remedy) from None
    names = ("id", "row", "verdict", "by", "at", "note")
    if not isinstance(value, dict) or not {"id", "row", "verdict"} <= value.keys():
        raise DataError(f"{where}: no verdict: {line[:60]!r}; it has `id`, `row` and `verdict`", remedy=remedy)
    fields = {name: value.get(name, "") for name in names}
    if odd := [name for name, text in fields.items() if not isinstance(text, str) or len(text) > _MOST_CHARACTERS]:
        raise DataError(f"{where}: `{odd[0]}` is {fields[odd[0]]!r:.60}; it is a text", remedy=remedy)
    if fields["verdict"] not in VERDICTS:
        raise DataError(
            f"{where}: `verdict` is {fields['verdict']!r}; {near(fields['verdict'], VERDICTS)}", remedy=remedy
        )
    return Verdict(**fields)
