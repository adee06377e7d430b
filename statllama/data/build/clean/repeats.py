"""The step `clean:duplicates`: documents, sections and rows that repeat an earlier one.

The comparison is that of a stage's own data (`data/duplicates.py`), with its memory: half a kilobyte a text while they
are compared. Documents and rows are compared first; then the sections of those that stay, with each other, so a
preface that a book's chapters share stays once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from statllama.data.build.clean.sections import body, place, strings, without
from statllama.data.build.records import Json, Kept, LeftOut, Outcome, text_of
from statllama.data.duplicates import Duplicate, Duplicates

NUMERICS = 1


@dataclass(frozen=True)
class Repeats:
    """The step."""

    mode: Literal["exact", "near"]
    name: str = "clean:duplicates"
    block: int = 256
    threads: bool = True
    """It only leaves out what the plan names: other processes would have the whole plan copied to them for nothing."""

    def material(self) -> Mapping[str, Any]:
        """Return what decides the result; the signatures are datasketch's."""
        return {"step": "duplicates", "numerics": NUMERICS, "mode": self.mode, "datasketch": version("datasketch")}

    def plan(self, inputs: Callable[[], Iterator[Json]]) -> Json:
        """Return which records repeat an earlier one, and which sections of the others do.

        {"records": {id: [earlier id, similarity]}, "sections": {id: {number from 0: [earlier place, similarity]}}}
        """
        records = self._repeats(_whole(record) for record in inputs())
        names = _named({each.of for each in records.values()}, (place(record) for record in inputs()))
        gone: dict[str, list[Any]] = {}
        for number, record in enumerate(inputs()):
            if (found := records.get(number)) is not None:
                gone[record["id"]] = [names[found.of], round(found.similarity, 3)]
        return {"records": gone, "sections": self._sections(inputs, gone)}

    def _sections(self, inputs: Callable[[], Iterator[Json]], gone: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        def all_sections() -> Iterator[tuple[Json, int]]:
            for record in inputs():
                if record["id"] not in gone:
                    for i, section in enumerate(record.get("sections", ())):
                        if section["text"].strip():
                            yield record, i

        repeats = self._repeats(record["sections"][i]["text"] for record, i in all_sections())
        names = _named({each.of for each in repeats.values()}, (place(record, i) for record, i in all_sections()))
        found: dict[str, dict[str, Any]] = {}
        for number, (record, i) in enumerate(all_sections() if repeats else ()):
            if (repeat := repeats.get(number)) is not None:
                found.setdefault(record["id"], {})[str(i)] = [names[repeat.of], round(repeat.similarity, 3)]
        return found

    def _repeats(self, texts: Iterable[str]) -> dict[int, Duplicate]:
        with tempfile.TemporaryDirectory(prefix="statllama-") as folder:
            with Duplicates(self.mode, Path(folder)) as duplicates:
                for text in texts:
                    duplicates.add(text)
            return {found.row: found for found in duplicates.find()}

    def apply(self, records: Sequence[Json], plan: Any, files: Path) -> Iterator[Outcome]:
        """Yield the records that repeat none, without the sections that do."""
        for record in records:
            unit = "document" if "sections" in record else "row"
            if (found := plan["records"].get(record["id"])) is not None:
                yield LeftOut(f"{unit}: {_kind(found)}", place(record), _detail(found))
                continue
            repeats = {int(i): found for i, found in plan["sections"].get(record["id"], {}).items()}
            for i, found in sorted(repeats.items()):
                yield LeftOut(f"section: {_kind(found)}", place(record, i), _detail(found))
            if not repeats:
                yield Kept(record)
            elif body(document := {**record, "sections": without(record["sections"], repeats.keys())}):
                yield Kept(document)
            else:
                yield LeftOut("document: no text stays", place(record))


def _whole(record: Mapping[str, Any]) -> str:
    return text_of(record) if "sections" in record else "\n".join(strings(record["row"]))


def _named(numbers: set[int], names: Iterable[str]) -> dict[int, str]:
    """Return the names of these numbers, of all names in order."""
    return {number: name for number, name in enumerate(names if numbers else ()) if number in numbers}


def _kind(found: Sequence[Any]) -> str:
    return "repeats an earlier one" if found[1] == 1 else "nearly repeats an earlier one"


def _detail(found: Sequence[Any]) -> str:
    return f"{found[0]}, similarity {found[1]:g}"
