"""Selection of usable rows, before any is drawn: filters, benchmark questions, duplicates.

The first of the two passes over the rows. It reads and parses every row, so that a row that cannot be used is found
before anything is tokenised; memory does not grow with the texts.
"""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from statllama.config.benchmarks import TaskFile, task_fingerprint
from statllama.config.source import SourceSpec
from statllama.data.batches import batches
from statllama.data.contamination import Hit, Question, Questions, explain, plain, read_questions
from statllama.data.duplicates import Duplicates
from statllama.data.examples import texts
from statllama.data.formats import format_module, parse_row
from statllama.data.mixture import Ints
from statllama.data.ngrams import words
from statllama.data.sources import rows, source_name
from statllama.data.survey import Survey, Surveyor
from statllama.data.suspects import Resembling, Suspect, Suspects
from statllama.errors import DataError

Progress = Callable[[str, int, int], None]
"""Called with the task, the amount done and the total."""
Deduplicate = Literal["none", "exact", "near", "semantic"]
Decontaminate = Literal["stop", "drop", "ignore"]

SHOWN = 20  # hits, duplicates and faults that are kept
COPIES = "copies a benchmark question"
REPEATS = "repeats an earlier row"
_NOT_TEXT = ("role", "from")  # keys of a message whose values are no text


@dataclass(frozen=True)
class Repeat:
    """A row left out because it repeats another. Sources and rows are indices, from 0."""

    source: int
    row: int
    of_source: int
    of_row: int
    similarity: float


@dataclass
class SelectedSource:
    """One source: its usable rows, and the reasons against the others."""

    name: str
    read: int
    kept: Ints
    """Indices of the rows that may be used (from 0), ascending."""
    dropped: dict[str, int]
    survey: Survey
    faults: list[str] = field(default_factory=list)
    """Rows that cannot be read or parsed; only collected when asked for, at most `SHOWN`."""
    faulty: int = 0


@dataclass(frozen=True)
class Selection:
    """All sources of a stage. `hits` and `repeats`: the first ones."""

    sources: tuple[SelectedSource, ...]
    hits: tuple[Hit, ...]
    copies: int
    """Rows that copy a benchmark question, dropped or not."""
    repeats: tuple[Repeat, ...]
    looked_for: Mapping[str, int] = field(default_factory=dict)
    """{benchmark: questions that were looked for}."""
    suspects: tuple[Suspects, ...] = ()
    """Questions that rows may ask in other words, the nearest first. They are to be judged: no row is left out."""
    kept_in: str = field(default="", compare=False)
    """Key of the entry of a workspace's cache that holds the choice; empty when it is not kept."""

    @property
    def suspected(self) -> int:
        """Return the rows that may ask a benchmark question in other words."""
        return sum(group.rows for group in self.suspects)

    def contamination(self) -> dict[str, Any]:
        """Return what the search for benchmark questions found, for a manifest."""
        found = {"looked_for": dict(self.looked_for), "copies": self.copies, "suspects": self.suspected}
        return {**found, "nearest": self.suspects[0].nearest[0].similarity if self.suspects else None}

    def as_json(self) -> dict[str, Any]:
        """Return plain values without the row indices."""
        sources = [{**vars(s), "kept": len(s.kept), "survey": s.survey.as_json()} for s in self.sources]
        return {
            "sources": sources,
            "hits": [asdict(h) for h in self.hits],
            "copies": self.copies,
            "repeats": [asdict(r) for r in self.repeats],
            "looked_for": dict(self.looked_for),
            "suspects": [asdict(group) for group in self.suspects],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], kept: Sequence[Ints]) -> Self:
        """Read `as_json`'s value, with the row indices of each source."""
        sources = tuple(
            SelectedSource(**{**s, "kept": rows_, "survey": Survey.from_json(s["survey"])})
            for s, rows_ in zip(value["sources"], kept, strict=True)
        )
        hits = tuple(Hit(**{**h, "question": Question(**h["question"])}) for h in value["hits"])
        suspects = tuple(
            Suspects(Question(**g["question"]), g["rows"], tuple(Suspect(**s) for s in g["nearest"]))
            for g in value["suspects"]
        )
        repeats = tuple(Repeat(**r) for r in value["repeats"])
        return cls(sources, hits, value["copies"], repeats, value["looked_for"], suspects)

    def require_clean(self) -> None:
        """Raise DataError when a row that may be used copies a benchmark question."""
        if self.copies and not any(COPIES in s.dropped for s in self.sources):
            raise explain(self.hits, self.copies)

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the rows that may be used."""
        found = hashlib.sha256()
        for source in self.sources:
            found.update(np.ascontiguousarray(source.kept, dtype="<i8").tobytes() + b"|")
        return found.hexdigest()


@dataclass
class _Pass:
    """The collectors that see all sources while they are read."""

    root: Path
    decontaminate: Decontaminate
    questions: Questions | None
    resembling: Resembling | None
    duplicates: Duplicates | None
    collect_faults: bool
    progress: Progress | None
    hits: list[Hit] = field(default_factory=list)
    copies: int = 0
    of_source: array[int] = field(default_factory=lambda: array("i"))
    """The source of each text that was given to `duplicates`, and in `of_row` its row there."""
    of_row: array[int] = field(default_factory=lambda: array("q"))

    def place(self, index: int) -> tuple[int, int]:
        """Return (source, row) of the text with that index among those given to `duplicates`."""
        return self.of_source[index], self.of_row[index]


@dataclass(frozen=True)
class Guard:
    """The rules for a stage's data. `tasks`: the benchmarks whose questions it must not hold."""

    deduplicate: Deduplicate = "none"
    decontaminate: Decontaminate = "ignore"
    tasks: tuple[TaskFile, ...] = ()

    @cached_property
    def questions(self) -> Questions | None:
        """Return the index of the benchmarks' questions; None when there is nothing to look for. See
        `read_questions`.
        """
        if self.decontaminate == "ignore" or not self.tasks:
            return None
        return Questions(read_questions(self.tasks))

    def as_json(self) -> dict[str, Any]:
        """Return the settings that decide the selection, besides the sources."""
        tasks = [] if self.decontaminate == "ignore" else sorted(map(task_fingerprint, self.tasks))
        return {
            "deduplicate": self.deduplicate,
            "decontaminate": self.decontaminate if tasks else "ignore",
            "tasks": tasks,
        }


def select(
    sources: Sequence[SourceSpec],
    root: Path,
    *,
    guard: Guard,
    scratch: Path,
    collect_faults: bool = False,
    progress: Progress | None = None,
) -> Selection:
    """Read all sources and decide on every row.

    `scratch`: a folder for what does not fit into memory. DataError for a row that cannot be read or parsed, unless
    `collect_faults`, and for a benchmark whose questions cannot be read.
    """
    found = None if guard.deduplicate == "none" else Duplicates(guard.deduplicate, scratch)
    questions = guard.questions
    resembling = None if questions is None else Resembling(questions.questions)
    state = _Pass(root, guard.decontaminate, questions, resembling, found, collect_faults, progress)
    with nullcontext() if found is None else found:
        selected = [_read(source, i, state) for i, source in enumerate(sources)]
    repeats = () if found is None else _leave_repeats_out(selected, state)
    looked_for = {} if questions is None else questions.looked_for
    suspects = () if resembling is None else resembling.found()
    return Selection(tuple(selected), tuple(state.hits), state.copies, repeats, looked_for, suspects)


def _read(source: SourceSpec, index: int, state: _Pass) -> SelectedSource:
    kept = array("q")
    dropped: Counter[str] = Counter()
    surveyor = Surveyor()
    result = SelectedSource(source_name(source), 0, np.empty(0, dtype=np.int64), {}, Survey())
    for batch in batches(_parsed(source, state, result, dropped), lambda item: len(item[2])):
        hits = _hits([(where, text) for _, where, text in batch], state, made=source.problems is not None)
        for (number, where, text), hit in zip(batch, hits, strict=True):
            surveyor.add(text, where)
            if hit is not None:
                state.copies += 1
                if len(state.hits) < SHOWN:
                    state.hits.append(hit)
                if state.decontaminate == "drop":
                    dropped[COPIES] += 1
                    continue
            if state.duplicates is not None:
                state.duplicates.add(text)
                state.of_source.append(index)
                state.of_row.append(number)
            kept.append(number)
        if state.progress is not None:
            state.progress(f"check {result.name}", result.read, result.read)
    result.kept, result.dropped, result.survey = np.array(kept, dtype=np.int64), dict(dropped), surveyor.finish()
    return result


def _parsed(
    source: SourceSpec, state: _Pass, result: SelectedSource, dropped: Counter[str]
) -> Iterator[tuple[int, str, str]]:
    """Yield (row from 0, where, text) of every row that passes the filters. A row that fails to parse is a fault."""
    patterns = {column: re.compile(pattern) for column, pattern in source.where.items()}
    for number, (where, row) in enumerate(rows(source, state.root)):
        result.read += 1
        try:
            reason = _filtered(source, patterns, row, where, first=number == 0)
            if reason is not None:
                dropped[reason] += 1
                continue
            text = "\n".join(texts(parse_row(source, row, where)))
        except DataError as error:
            if not state.collect_faults:
                raise
            result.faulty += 1
            if len(result.faults) < SHOWN:
                result.faults.append(str(error.message))
            continue
        yield number, where, text


def _filtered(
    source: SourceSpec, patterns: Mapping[str, re.Pattern[str]], row: Mapping[str, Any], where: str, first: bool
) -> str | None:
    """Return the filter that excludes the row; None when none does.

    A column may be missing or null, which matches nothing; but not in the `first` row, where it is a misspelling.
    """
    for column, pattern in patterns.items():
        if column not in row and first:
            raise DataError(
                f"{where}: no column {column!r}, which `where` names; columns found: {', '.join(row) or 'none'}",
                remedy="correct `where` in the recipe",
            )
        value = row.get(column)
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        if value is None or not pattern.search(text):
            return f"`where`: {column} does not match"
    if source.min_chars or source.max_chars:
        module = format_module(source.format)
        names = {source.columns.get(name, name) for name in (*module.REQUIRED, *module.OPTIONAL)}
        whole = getattr(module, "WHOLE_ROW", False)
        size = sum(_characters(value) for name, value in row.items() if whole or name in names)
        if source.min_chars and size < source.min_chars:
            return f"shorter than {source.min_chars} characters"
        if source.max_chars and size > source.max_chars:
            return f"longer than {source.max_chars} characters"
    return None


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value.strip())
    if isinstance(value, Mapping):
        return sum(_characters(item) for key, item in value.items() if key not in _NOT_TEXT)
    return sum(map(_characters, value)) if isinstance(value, Sequence) else 0


def _hits(batch: Sequence[tuple[str, str]], state: _Pass, made: bool) -> Sequence[Hit | None]:
    """Return the copy in each (where, text), and collect the suspects among the rest.

    Not of problems `made` by the generator: all of one kind resemble each other, and its test split is kept apart.
    """
    if state.questions is None or state.resembling is None:
        return [None] * len(batch)
    rows_ = [(where, plain(text)) for where, text in batch]
    split = [words(text) for _, text in rows_]
    hits = state.questions.search_words(rows_, split)
    if not made:
        rest = [i for i, hit in enumerate(hits) if hit is None]
        state.resembling.add([rows_[i] for i in rest], [split[i] for i in rest])
    return hits


def _leave_repeats_out(selected: Sequence[SelectedSource], state: _Pass) -> tuple[Repeat, ...]:
    """Take the duplicates out of `kept`, count them, and give the first ones."""
    assert state.duplicates is not None
    found = state.duplicates.find()
    gone: dict[int, list[int]] = {}
    for duplicate in found:
        source, row = state.place(duplicate.row)
        gone.setdefault(source, []).append(row)
    for i, lost in gone.items():
        selected[i].kept = np.setdiff1d(selected[i].kept, np.asarray(lost, dtype=np.int64), assume_unique=True)
        selected[i].dropped[REPEATS] = len(lost)
    return tuple(
        Repeat(*state.place(d.row), *state.place(d.of), similarity=round(d.similarity, 4)) for d in found[:SHOWN]
    )


def texts_at(
    sources: Sequence[SourceSpec], root: Path, wanted: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], str]:
    """Return {(source, row): text} of the wanted rows; each source is read up to the last of them."""
    by_source: dict[int, set[int]] = {}
    for source, number in wanted:
        by_source.setdefault(source, set()).add(number)
    found = {}
    for source, numbers in by_source.items():
        for number, (where, row) in enumerate(rows(sources[source], root)):
            if number in numbers:
                found[source, number] = "\n".join(texts(parse_row(sources[source], row, where)))
            if number >= max(numbers):
                break
    return found
