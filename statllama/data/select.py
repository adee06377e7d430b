"""Selection of usable rows, before any is drawn: filters, benchmark questions, duplicates.

The first of the two passes over the rows. It reads and parses every row, so that a row that cannot be used is found
before anything is tokenised; memory does not grow with the texts.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from statllama.config.benchmarks import TaskFile, task_fingerprint
from statllama.config.source import SourceSpec
from statllama.data.batches import batches
from statllama.data.contamination import Hit, Questions, plain, read_questions
from statllama.data.duplicates import Duplicates
from statllama.data.examples import texts
from statllama.data.filters import filtered, patterns_of
from statllama.data.formats import parse_row
from statllama.data.held_index import HeldOut
from statllama.data.likeness import Liken, Likeness
from statllama.data.mixture import Ints
from statllama.data.ngrams import words
from statllama.data.selection import (
    COPIES,
    COPIES_HELD,
    HELD_OUT,
    REPEATS,
    SHOWN,
    HeldCopy,
    Repeat,
    SelectedSource,
    Selection,
)
from statllama.data.sources import rows, source_name
from statllama.data.survey import Survey, Surveyor
from statllama.data.suspects import Resembling
from statllama.errors import DataError

Progress = Callable[[str, int, int], None]
"""Called with the task, the amount done and the total."""
Deduplicate = Literal["none", "exact", "near", "semantic"]
Decontaminate = Literal["stop", "drop", "ignore"]


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
    held: HeldOut | None
    own: Mapping[int, Ints]
    """{source: its rows that are held out}."""
    liken: Liken = field(default_factory=Liken)
    hits: list[Hit] = field(default_factory=list)
    copies: int = 0
    held_copies: list[HeldCopy] = field(default_factory=list)
    copied_by: Counter[str] = field(default_factory=Counter)
    of_source: array[int] = field(default_factory=lambda: array("i"))
    """The source of each text that was given to `duplicates`, and in `of_row` its row there."""
    of_row: array[int] = field(default_factory=lambda: array("q"))

    def place(self, index: int) -> tuple[int, int]:
        """Return (source, row) of the text with that index among those given to `duplicates`."""
        return self.of_source[index], self.of_row[index]


@dataclass(frozen=True)
class Guard:
    """The rules for a stage's data.

    `tasks`: the benchmarks whose questions it must not hold. `held`: what the recipe holds out, of which and of whose
    copies no row is used; `stage`: the stage, some of whose own rows may be among them.
    """

    deduplicate: Deduplicate = "none"
    decontaminate: Decontaminate = "ignore"
    tasks: tuple[TaskFile, ...] = ()
    held: HeldOut | None = None
    stage: str = ""

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
            **self._held_out(),
        }

    def _held_out(self) -> dict[str, Any]:
        if self.held is None:
            return {}
        return {"held_out": self.held.descriptions, "own": self.held.shares(self.stage)}


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
    held = guard.held
    if held is not None:
        held.read(progress)
    own = {} if held is None else held.own(guard.stage)
    state = _Pass(root, guard.decontaminate, questions, resembling, found, collect_faults, progress, held, own)
    with nullcontext() if found is None else found:
        selected = [_read(source, i, state) for i, source in enumerate(sources)]
    repeats = () if found is None else _leave_repeats_out(selected, state)
    looked_for = {} if questions is None else questions.looked_for
    suspects = () if resembling is None else resembling.found()
    return Selection(
        tuple(selected), tuple(state.hits), state.copies, repeats, looked_for, suspects,
        tuple(state.held_copies), dict(state.copied_by),
    )  # fmt: skip


def _read(source: SourceSpec, index: int, state: _Pass) -> SelectedSource:
    kept = array("q")
    dropped: Counter[str] = Counter()
    surveyor = Surveyor()
    result = SelectedSource(source_name(source), 0, np.empty(0, dtype=np.int64), {}, Survey())
    for batch in batches(_parsed(source, state, result, dropped), lambda item: len(item[2])):
        hits = _hits([(where, text) for _, where, text, _ in batch], state, made=source.problems is not None)
        held = _held([(number, where, like) for number, where, _, like in batch], index, state)
        for (number, where, text, _), hit, held_out in zip(batch, hits, held, strict=True):
            surveyor.add(text, where)
            if hit is not None:
                state.copies += 1
                if len(state.hits) < SHOWN:
                    state.hits.append(hit)
                if state.decontaminate == "drop":
                    dropped[COPIES] += 1
                    continue
            if held_out is not None:
                dropped[held_out] += 1
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
) -> Iterator[tuple[int, str, str, Likeness | None]]:
    """Yield (row from 0, where, text, likeness) of every row that passes the filters. A row that fails to parse is a
    fault. Without hold-outs there is no likeness.
    """
    patterns = patterns_of(source)
    for number, (where, row) in enumerate(rows(source, state.root)):
        result.read += 1
        try:
            reason = filtered(source, patterns, row, where, first=number == 0)
            if reason is not None:
                dropped[reason] += 1
                continue
            example = parse_row(source, row, where)
        except DataError as error:
            if not state.collect_faults:
                raise
            result.faulty += 1
            if len(result.faults) < SHOWN:
                result.faults.append(str(error.message))
            continue
        yield number, where, "\n".join(texts(example)), None if state.held is None else state.liken(example)


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


def _held(batch: Sequence[tuple[int, str, Likeness | None]], source: int, state: _Pass) -> Sequence[str | None]:
    """Return why each (row, where, likeness) of a source may not be used for the sake of what is held out, and count
    the copies.
    """
    if state.held is None:
        return [None] * len(batch)
    mine = state.own.get(source, np.empty(0, dtype=np.int64))
    own = np.isin(np.array([number for number, _, _ in batch], dtype=np.int64), mine).tolist()
    found = state.held.index.find([like for _, _, like in batch if like is not None])
    reasons: list[str | None] = []
    for (_, where, _), held_out, how in zip(batch, own, found, strict=True):
        reasons.append(HELD_OUT if held_out else None if how is None else COPIES_HELD)
        if how is not None and not held_out:
            state.copied_by[how] += 1
            if len(state.held_copies) < SHOWN:
                state.held_copies.append(HeldCopy(where, how))
    return reasons


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
