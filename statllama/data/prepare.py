"""From sources to a dataset of token ids: read, mix, tokenise, cut, pack, and keep the result.

Rows are read twice: once to count them (so that every unreadable row is found before anything is tokenised),
once to tokenise those that the mixture uses, each once however often it is repeated. Ids go to a scratch
file, so memory stays small.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from statllama.checkpoints import read_json
from statllama.data.arrange import language_rows, packed, pair_rows, training_order
from statllama.data.cache import DATA_FILE, REPORT_FILE, cache_key, read_rows, write_rows
from statllama.data.encode import EncodedSource, Kind, Progress, encode_source
from statllama.data.formats import check_columns
from statllama.data.mixture import mix
from statllama.data.packing import utilisation
from statllama.data.report import MixtureReport
from statllama.data.scratch import Scratch
from statllama.data.sources import pinned, rows, source_name
from statllama.data.tokenise import Tokeniser, TrainOn
from statllama.errors import DataError
from statllama.specs import SourceSpec
from statllama.store import Store, write_json

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

LANGUAGE = ("input_ids", "labels")
PREFERENCE = ("prompt_ids", "chosen_ids", "rejected_ids")
SCRATCH = "scratch"


@dataclass(frozen=True)
class Prepared:
    """A dataset in training order, and what is in it.

    Columns, all lists of int32: `input_ids`, `labels` (-100 without loss) and `seq_lengths` (tokens of each
    example in the row), or for preferences `prompt_ids`, `chosen_ids` and `rejected_ids`.
    """

    dataset: Dataset
    report: MixtureReport


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
    chat_template: str | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """The mixture of `sources`, tokenised, in the order of training.

    `kind`: `documents` takes running text, `conversations` also prompt-completion pairs (and running text
    when `train_on` is `all`), `preferences` takes pairs. `root`: folder that relative paths refer to.
    `max_length`: tokens of a row. `cache`: a workspace, which keeps the result under `cache/<key>/`; None
    keeps nothing. `chat_template`: Jinja text in place of the tokenizer's own. DataError for every fault of
    the data, with file and row.
    """
    _check(kind, sources, packing)
    job = _Job(
        kind=kind, sources=tuple(map(pinned, sources)), root=root, tokenizer=tokenizer, chat_template=chat_template,
        train_on=train_on, max_length=max_length, packing=packing, seed=seed, progress=progress,
    )  # fmt: skip
    if cache is None:
        with tempfile.TemporaryDirectory(prefix="statllama-") as folder:
            _build(job, Path(folder), Path(folder) / SCRATCH)
            return _load(job, Path(folder), in_memory=True)
    key = cache_key(
        job.sources, root, tokenizer, chat_template, kind=kind, train_on=train_on, max_length=max_length,
        packing=packing, seed=seed,
    )  # fmt: skip
    store = Store(cache)
    entry = store.find("cache", key)
    if entry is None:
        with store.hold("cache", key):
            entry = store.find("cache", key)
            if entry is None:
                _build(job, store.fresh_out("cache", key), store.partial("cache", key) / SCRATCH)
                entry = store.publish("cache", key, {"what": "prepared data", "data": kind})
    return _load(job, entry.path, in_memory=False)


def _check(kind: Kind, sources: Sequence[SourceSpec], packing: bool) -> None:
    if not sources:
        raise DataError("there are no sources", remedy="list at least one under `data`")
    if packing and kind == "preferences":
        raise DataError("preference pairs cannot be packed", remedy="set `packing: false`")
    for source in sources:
        check_columns(source.format, source.columns)


def _load(job: _Job, folder: Path, *, in_memory: bool) -> Prepared:
    saved = read_json(folder / REPORT_FILE)
    dataset = read_rows(folder / DATA_FILE, in_memory=in_memory)
    if saved is None or len(dataset) != saved["rows"]:
        raise DataError(f"{folder}: prepared data that is damaged", remedy=f"delete {folder} and run again")
    report = MixtureReport.from_json(saved)
    # The key does not hold where the files lie, so the names are those of this call.
    named = (replace(r, name=source_name(s)) for r, s in zip(report.sources, job.sources, strict=True))
    return Prepared(dataset, replace(report, sources=tuple(named)))


def _build(job: _Job, out: Path, scratch_folder: Path) -> None:
    """Write `DATA_FILE` and `REPORT_FILE` into `out`."""
    counts = [_count(source, job) for source in job.sources]
    mixture = mix(counts, job.sources, job.seed)
    columns = PREFERENCE if job.kind == "preferences" else LANGUAGE
    tokeniser = Tokeniser(
        job.tokenizer, train_on=job.train_on, max_length=job.max_length, chat_template=job.chat_template
    )
    encoded = [
        EncodedSource(source, counts[i], np.unique(mixture.rows[mixture.sources == i]))
        for i, source in enumerate(job.sources)
    ]
    with Scratch(scratch_folder, columns) as scratch:
        for part in encoded:
            encode_source(part, job.root, job.kind, tokeniser, scratch, job.progress)
    order = training_order(mixture, encoded, job.seed)
    if job.kind == "preferences":
        written = write_rows(out / DATA_FILE, pair_rows(order, scratch, columns), columns)
    else:
        lengths = scratch.lengths("input_ids")[order]
        grouped = packed(order, lengths, job.max_length, job.seed) if job.packing else ([i] for i in order.tolist())
        rows_ = language_rows(grouped, scratch, columns)
        written = write_rows(out / DATA_FILE, rows_, (*columns, "seq_lengths"))
    reports = tuple(e.report(mixture.rows[mixture.sources == i]) for i, e in enumerate(encoded))
    places = 2 * written if job.kind == "preferences" else written
    filled = utilisation([r.tokens for r in reports], places, job.max_length)
    report = MixtureReport(reports, written, filled)
    write_json(out / REPORT_FILE, report.as_json())


def _count(source: SourceSpec, job: _Job) -> int:
    count = 0
    for count, _ in enumerate(rows(source, job.root), start=1):
        if job.progress is not None and count % 1000 == 0:
            job.progress(f"read {source_name(source)}", count, count)
    return count
