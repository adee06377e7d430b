"""From sources to a dataset of token ids: read, select, mix, tokenise, cut, pack, and keep the result.

Rows are read twice: once to select (`select.py`: every unreadable row is found before anything is tokenised), once to
tokenise those that the mixture uses, each once however often it is repeated. Ids go to a scratch file, so memory stays
small. Both results are kept in the workspace, so neither is computed twice.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from statllama.config.holdout import Held
from statllama.config.source import SourceSpec
from statllama.data.arrange import language_rows, packed, plain_rows, training_order
from statllama.data.cache import DATA_FILE, REPORT_FILE, cache_key, read_rows, selection_key, write_rows
from statllama.data.encode import EncodedSource, Kind, encode_source
from statllama.data.mixture import mix
from statllama.data.packing import utilisation
from statllama.data.questions import QuestionRules
from statllama.data.report import MixtureReport
from statllama.data.scratch import Ids, Scratch
from statllama.data.select import Guard, Progress, select
from statllama.data.selection import Selection
from statllama.data.sources import pinned, resolved, source_name
from statllama.data.tokenise import Tokeniser, TrainOn
from statllama.errors import DataError
from statllama.store import Store
from statllama.store.files import read_json, write_json

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from statllama.data.replay import ReplayRows

LANGUAGE = ("input_ids", "labels")
PREFERENCE = ("prompt_ids", "chosen_ids", "rejected_ids")
QUESTION = ("prompt_ids", "question")
JUDGEMENT = ("prompt_ids", "completion_ids", "label")
COLUMNS: dict[Kind, tuple[str, ...]] = {  # of all others: LANGUAGE
    "preferences": PREFERENCE,
    "judgements": JUDGEMENT,
    "questions": QUESTION,
}
SCRATCH = "scratch"
UNGUARDED = Guard()
Note = Callable[[str], None]
SELECTION_FILE = "selection.json"
KEPT_FILE = "kept-{}.npy"


def ignored(text: str) -> None:
    """Take a note that nobody reads."""


@dataclass(frozen=True)
class Prepared:
    """A dataset in training order, with a report of its contents.

    Columns, all lists of int32: `input_ids`, `labels` (-100 without loss) and `seq_lengths` (tokens of each
    example in the row), or for preferences `prompt_ids`, `chosen_ids` and `rejected_ids`, or for judgements
    `prompt_ids`, `completion_ids` and `label` ([1] or [0]), or for questions `prompt_ids` and `question` (see
    `questions.unpacked_question`).
    """

    dataset: Dataset
    report: MixtureReport
    selection: Selection
    kept_in: str = ""
    """Key of the entry of a workspace's cache that holds the rows; empty when they are not kept."""
    replay: ReplayRows | None = None
    """The rows that the stage replays beside these."""

    def as_json(self, replayed: int) -> dict[str, Any]:
        """Return what a manifest says of the rows. `replayed`: how many each step replays."""
        data = {**self.report.as_json(), "examples": self.report.examples, "tokens": self.report.tokens}
        data["contamination"] = self.selection.contamination()
        return data if self.replay is None else {**data, "replayed": self.replay.as_json(replayed)}


@dataclass(frozen=True)
class _Job:
    kind: Kind
    sources: tuple[SourceSpec, ...]
    root: Path
    tokenizer: PreTrainedTokenizerBase
    chat_template: str | None
    train_on: TrainOn
    max_length: int
    packing: bool
    seed: int
    progress: Progress | None
    questions: QuestionRules | None


def prepare(
    kind: Kind,
    sources: Sequence[SourceSpec],
    *,
    root: Path,
    tokenizer: PreTrainedTokenizerBase,
    train_on: TrainOn,
    max_length: int,
    packing: bool,
    seed: int,
    cache: Path | None,
    guard: Guard = UNGUARDED,
    chat_template: str | None = None,
    progress: Progress | None = None,
    note: Note = ignored,
    questions: QuestionRules | None = None,
) -> Prepared:
    """Return the mixture of `sources`, tokenised, in the order of training.

    `kind`: `documents` takes running text, `conversations` also prompt-completion pairs (and running text
    when `train_on` is `all`), `preferences` takes pairs, `judgements` judged completions (and pairs, as two of
    them), `questions` what `as_question` takes, by its rules.
    `root`: folder that relative paths refer to. `max_length`: tokens of a row, of questions those of a prompt.
    `cache`: a workspace, which keeps the results under `cache/<key>/`; None keeps nothing. `guard`: which rows may not
    be used. `chat_template`: Jinja text in place of the tokenizer's own. `note`: told of a kept result that is damaged
    and made again.
    DataError for every fault of the data, with file and row.
    """
    if packing and kind in COLUMNS:
        what = "preference pairs" if kind == "preferences" else kind
        raise DataError(f"{what} cannot be packed", remedy="set `packing: false`")
    if kind == "questions":
        questions = questions or QuestionRules()
    read = settled(sources, root, None if cache is None else Store(cache).memory)
    job = _Job(
        kind=kind, sources=read, root=root, tokenizer=tokenizer, chat_template=chat_template,
        train_on=train_on, max_length=max_length, packing=packing, seed=seed, progress=progress,
        questions=questions,
    )  # fmt: skip
    selection = choose_rows(read, root=root, guard=guard, cache=cache, progress=progress, note=note)
    selection.require_clean()
    if cache is None:
        with tempfile.TemporaryDirectory(prefix="statllama-") as folder:
            _build(job, selection, Path(folder), Path(folder) / SCRATCH)
            return _load(job, selection, Path(folder))
    ruled = {} if questions is None else {"questions": questions.as_json()}
    key = cache_key(
        read, root, tokenizer, chat_template, kind=kind, train_on=train_on, max_length=max_length,
        packing=packing, seed=seed, selected=selection.digest(), **ruled,
    )  # fmt: skip
    store = Store(cache)

    def make() -> dict[str, Any]:
        _build(job, selection, store.fresh_out("cache", key), store.partial("cache", key) / SCRATCH)
        return {"what": "tokenised data", "data": kind, "sources": [source_name(source) for source in read]}

    entry = store.obtain("cache", key, make, _damaged("prepared data", note))
    return replace(_load(job, selection, entry.path), kept_in=key)


def _damaged(what: str, note: Note) -> Note:
    return lambda wrong: note(f"{what} in the workspace: {wrong}, so they are made again")


def settled(sources: Sequence[SourceSpec], root: Path, memory: Path | None) -> tuple[SourceSpec, ...]:
    """Return the sources with nothing left open: formats in place of `auto`, hub commits in place of branches.

    `memory`: a workspace's (`Store.memory`), which keeps what the hub says for when it cannot be reached.
    """
    return tuple(resolved(pinned(source, memory), root, memory) for source in sources)


def settled_held(held: Sequence[Held], root: Path, memory: Path | None) -> tuple[Held, ...]:
    """Return what a recipe holds out with settled sources: see `settled`."""
    return tuple(one.settled(*settled([one.source], root, memory)) for one in held)


def choose_rows(
    sources: Sequence[SourceSpec],
    *,
    root: Path,
    guard: Guard,
    cache: Path | None,
    progress: Progress | None = None,
    note: Note = ignored,
) -> Selection:
    """Choose the usable rows (see `select`) and keep the choice in the workspace `cache`. `sources`: settled
    ones. `note`: see `prepare`.
    """
    if not sources:
        raise DataError("the stage has no sources", remedy="list at least one under `data`")
    if cache is None:
        with tempfile.TemporaryDirectory(prefix="statllama-") as folder:
            return select(sources, root, guard=guard, scratch=Path(folder), progress=progress)
    store, key = Store(cache), selection_key(sources, root, guard.as_json())

    def make() -> dict[str, Any]:
        scratch, out = store.partial("cache", key) / SCRATCH, store.fresh_out("cache", key)
        _write_selection(select(sources, root, guard=guard, scratch=scratch, progress=progress), out)
        return {"what": "chosen rows", "sources": [source_name(source) for source in sources]}

    entry = store.obtain("cache", key, make, _damaged("chosen rows", note))
    return replace(_read_selection(entry.path, sources), kept_in=key)


def _write_selection(selection: Selection, out: Path) -> None:
    for i, source in enumerate(selection.sources):
        np.save(out / KEPT_FILE.format(i), source.kept, allow_pickle=False)
    write_json(out / SELECTION_FILE, selection.as_json())


def _read_selection(folder: Path, sources: Sequence[SourceSpec]) -> Selection:
    saved = read_json(folder / SELECTION_FILE)
    try:
        if saved is None:
            raise ValueError("no selection")
        kept = [np.load(folder / KEPT_FILE.format(i), allow_pickle=False) for i in range(len(sources))]
        found = Selection.from_json(saved, kept)
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{folder}: damaged record of chosen rows", remedy=f"delete {folder} and run again") from None
    # The key does not hold where the files lie, so the names are those of this call.
    return replace(
        found, sources=tuple(replace(s, name=source_name(o)) for s, o in zip(found.sources, sources, strict=True))
    )


def _load(job: _Job, selection: Selection, folder: Path) -> Prepared:
    saved = read_json(folder / REPORT_FILE)
    dataset = read_rows(folder / DATA_FILE)
    if saved is None or len(dataset) != saved["rows"]:
        raise DataError(f"{folder}: damaged prepared data", remedy=f"delete {folder} and run again")
    report = MixtureReport.from_json(saved)
    named = (replace(r, name=source_name(s)) for r, s in zip(report.sources, job.sources, strict=True))
    return Prepared(dataset, replace(report, sources=tuple(named)), selection)


def _build(job: _Job, selection: Selection, out: Path, scratch_folder: Path) -> None:
    """Write `DATA_FILE` and `REPORT_FILE` into `out`."""
    selection.require_rows()
    drawn = mix([len(source.kept) for source in selection.sources], job.sources, job.seed)
    mixture = drawn.placed([source.kept for source in selection.sources])
    uses = [mixture.rows[mixture.sources == i] for i in range(len(job.sources))]
    columns = COLUMNS.get(job.kind, LANGUAGE)
    tokeniser = Tokeniser(
        job.tokenizer, train_on=job.train_on, max_length=job.max_length, chat_template=job.chat_template
    )
    encoded = [
        EncodedSource(source, chosen.read, np.unique(used))
        for source, chosen, used in zip(job.sources, selection.sources, uses, strict=True)
    ]
    with Scratch(scratch_folder, columns) as scratch:
        for part in encoded:
            encode_source(part, job.root, job.kind, tokeniser, scratch, job.progress, job.questions)
    if job.kind == "judgements":
        _require_both_labels(scratch.whole("label"))
    order = training_order(mixture, encoded, job.seed)
    if job.kind in COLUMNS:
        written = write_rows(out / DATA_FILE, plain_rows(order, scratch, columns), columns)
    else:
        lengths = scratch.lengths("input_ids")[order]
        grouped = packed(order, lengths, job.max_length, job.seed) if job.packing else ([i] for i in order.tolist())
        rows_ = language_rows(grouped, scratch, columns)
        written = write_rows(out / DATA_FILE, rows_, (*columns, "seq_lengths"))
    reports = tuple(e.report(used) for e, used in zip(encoded, uses, strict=True))
    places = 2 * written if job.kind == "preferences" else written
    filled = utilisation([r.tokens for r in reports], places, job.max_length)
    report = MixtureReport(reports, written, filled)
    write_json(out / REPORT_FILE, report.as_json())


def _require_both_labels(labels: Ids) -> None:
    """Raise DataError when all completions are judged alike. `labels`: 1 or 0 of each."""
    if not 0 < labels.sum() < len(labels):
        one, other = ("true", "false") if labels.all() else ("false", "true")
        raise DataError(
            f"all {len(labels):,} completions have the label {one}: the stage compares good ones with bad ones, so "
            "it needs both",
            remedy=f"add completions with the label {other}, or preference pairs (each gives one of both)",
        )
