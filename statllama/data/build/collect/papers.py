"""Papers of a dump: S2ORC in each of its layouts, or any file of JSON lines, plain, .gz or .zst.

    collect:
      - type: papers
        path: s2orc/*.gz
        fields: [Mathematics, Economics]
        title: (?i)bayes|regression
        licences: [CC-BY, CC-BY-4.0, CC0-1.0]

The dump is streamed. A line that is no sound record is left out and counted; a file that is cut off stops the build,
since nobody knows what is missing of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from statllama.config.keyed import Unkeyed, keyed
from statllama.config.spec import Count
from statllama.data.build.chain import Step
from statllama.data.build.collect._columns import at, check_columns, origin_of, sections_of
from statllama.data.build.collect._dumps import dump_files, fingerprint, raw_lines
from statllama.data.build.collect._s2orc import BrokenLayout, is_s2orc, paper_of
from statllama.data.build.collect.spec import CollectorSpec, Names, Pattern, Year
from statllama.data.build.licences import refusal
from statllama.data.build.records import Json, Kept, LeftOut, Outcome

NUMERICS = 1
SUFFIXES = (".jsonl", ".json", ".ndjson", "")


class Spec(CollectorSpec):
    """Which papers of a dump."""

    type: Literal["papers"]
    path: Annotated[str, Unkeyed()]
    """File, folder or glob of JSON lines, each also with .gz or .zst. Not in the key: the files' bytes are."""
    columns: dict[str, str] = Field(default_factory=dict)
    """{what a document has: its path in a row, such as `metadata.title`}, for dumps other than S2ORC's: id, title,
    text, sections, abstract, authors, year, licence, arxiv, doi, fields, place."""
    fields: Annotated[Names, Field(min_length=1)] | None = None
    """Fields of study, one of which a paper is of; upper and lower case are the same. None: all."""
    title: Pattern | None = None
    """Regular expression that is found in the title. It heeds case unless it begins with `(?i)`."""
    title_without: Pattern | None = None
    """Regular expression that is not found in the title."""
    upper_case_titles: bool = True
    """Let in titles all in capitals, which are often not those of papers."""
    year_from: Year | None = None
    """First year. A paper without a year is left out when this or the next is set."""
    year_to: Year | None = None
    """Last year."""
    on_arxiv: bool = False
    """Only papers with an arXiv identifier."""
    limit: Count | None = None
    """Number of lines that are read. None: all."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        check_columns(self.columns)
        if self.year_from and self.year_to and self.year_from > self.year_to:
            raise ValueError(f"`year_from` {self.year_from} is after `year_to` {self.year_to}")
        return self


def steps(spec: Spec, root: Path, name: str) -> tuple[Step, ...]:
    """Return the step that reads the dump. DataError when there is no such file."""
    files = dump_files(spec.path, root, SUFFIXES)
    return (Reading(spec, tuple(map(str, files)), fingerprint(files), name),)


@dataclass(frozen=True)
class Reading:
    """Reads a dump line by line; a record in is a line."""

    spec: Spec
    files: tuple[str, ...]
    fingerprint: str
    name: str
    block: int = 100
    threads: bool = False

    def material(self) -> Mapping[str, Any]:
        """Return what decides the papers: settings and the files' bytes."""
        return {"step": "papers", "numerics": NUMERICS, "spec": keyed(self.spec), "files": self.fingerprint}

    def plan(self, inputs: Callable[[], Iterator[Json]]) -> Any:
        """Return None."""

    def listed(self, plan: Any) -> Iterator[Json]:
        """Yield the lines. DataError for a file that is cut off."""
        return raw_lines([Path(path) for path in self.files], self.spec.limit)

    def apply(self, records: Sequence[Json], plan: Any, files: Path) -> Iterator[Outcome]:
        """Yield each line's paper."""
        return (_outcome(record, self.spec) for record in records)


def _outcome(line: Json, spec: Spec) -> Outcome:
    where = f"{line['file']}, line {line['line']}"
    if "text" not in line:
        return LeftOut("a line that is too long", where, f"{line['bytes']:,} bytes")
    try:
        line["text"].encode("utf-8")
    except UnicodeEncodeError as error:
        return LeftOut("a line that is not UTF-8", where, f"at character {error.start + 1}")
    try:
        row = json.loads(line["text"])
    except (ValueError, RecursionError) as error:
        return LeftOut("a line that is not JSON", where, str(error) or type(error).__name__)
    if not isinstance(row, dict):
        return LeftOut("a line that is no object", where, line["text"].strip()[:60])
    try:
        json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except ValueError as error:  # a lone surrogate, written as \\ud800, or NaN
        return LeftOut("a line with what is no text or number", where, str(error)[:200])
    try:
        record = _record(row, where, spec)
    except BrokenLayout as error:
        return LeftOut("a paper whose parts do not fit each other", where, str(error))
    reason = None if record["sections"] else "no text"
    reason = reason or refused(record["origin"], spec)
    return LeftOut(reason, f"{record['id']} ({where})", _detail(record["origin"])) if reason else Kept(record)


def _record(row: Json, where: str, spec: Spec) -> Json:
    if not spec.columns and is_s2orc(row):
        origin, sections = paper_of(row)
        name = f"s2orc:{origin['ids']['s2orc']}" if "s2orc" in origin.get("ids", {}) else ""
    else:
        origin, sections = origin_of(row, spec.columns, "papers", where), sections_of(row, spec.columns)
        given = at(row, spec.columns.get("id", "id"))
        name = f"paper:{given}" if isinstance(given, str | int) and str(given).strip() else ""
    text = json.dumps([origin, sections], sort_keys=True)
    origin["place"] = origin["place"] or where
    return {"id": name or f"paper:{sha256(text.encode()).hexdigest()[:16]}", "origin": origin, "sections": sections}


def refused(origin: Mapping[str, Any], spec: Spec) -> str | None:
    """Return the reason why a paper is left out, the same for all of its kind; None when it is welcome."""
    title, year = origin.get("title", ""), origin.get("year")
    if spec.on_arxiv and "arxiv" not in origin.get("ids", {}):
        return "not on arXiv"
    if spec.fields is not None:
        wanted = {field.casefold() for field in spec.fields}
        if not wanted & {field.casefold() for field in origin.get("fields", [])}:
            return f"of no field among {', '.join(spec.fields)}"
    if spec.year_from is not None or spec.year_to is not None:
        if year is None:
            return "no year"
        if not (spec.year_from or year) <= year <= (spec.year_to or year):
            return f"not of the years {spec.year_from or '...'} to {spec.year_to or '...'}"
    if spec.title is not None and not re.search(spec.title, title):
        return f"a title without {spec.title}"
    if spec.title_without is not None and re.search(spec.title_without, title):
        return f"a title with {spec.title_without}"
    if not spec.upper_case_titles and title.isupper():
        return "a title all in capitals"
    return refusal(origin.get("licence"), spec.licences)


def _detail(origin: Mapping[str, Any]) -> str:
    return ", ".join(str(origin[name]) for name in ("title", "year") if name in origin)
