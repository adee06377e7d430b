"""From sources to a dataset of token ids: read, mix, tokenise, cut, pack, and keep the result.

Rows are read twice: once to count them (so that every unreadable row is found before anything is tokenised),
once to tokenise those that the mixture uses, each once however often it is repeated. Ids go to a scratch
file, so memory stays small.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from statllama.checkpoints import read_json
from statllama.data.cache import DATA_FILE, REPORT_FILE, cache_key, read_rows, write_rows
from statllama.data.encode import EncodedSource, Kind, Progress, encode_source
from statllama.data.formats import check_columns
from statllama.data.mixture import PIECES, ROWS, Ints, Mixture, mix, permutation
from statllama.data.packing import pack, utilisation
from statllama.data.report import MixtureReport
from statllama.data.scratch import Ids, Scratch
from statllama.data.sources import rows, source_name
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
    job = _Job(
        kind, tuple(sources), root, tokenizer, chat_template, train_on, max_length, packing, seed, progress
    )  # fmt: skip
    _check(job)
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


def _check(job: _Job) -> None:
    if not job.sources:
        raise DataError("there are no sources", remedy="list at least one under `data`")
    if job.packing and job.kind == "preferences":
        raise DataError("preference pairs cannot be packed", remedy="set `packing: false`")
    for source in job.sources:
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
    with Scratch(scratch_folder, columns) as scratch:
        encoded = [
            encode_source(
                source, job.root, job.kind, tokeniser, np.unique(mixture.rows[mixture.sources == i]), counts[i],
                scratch, job.progress,
            )
            for i, source in enumerate(job.sources)
        ]  # fmt: skip
    sequences = _sequences(mixture, encoded, job.seed)
    lengths = np.sum([scratch.lengths(name)[sequences] for name in columns if name != "labels"], axis=0)
    grouped = _rows(job, sequences, lengths)
    names = PREFERENCE if job.kind == "preferences" else (*LANGUAGE, "seq_lengths")
    written = write_rows(out / DATA_FILE, _columns(grouped, scratch, columns), names)
    reports = tuple(e.report(mixture.rows[mixture.sources == i]) for i, e in enumerate(encoded))
    report = MixtureReport(reports, written, utilisation(lengths.tolist(), written, job.max_length))
    write_json(out / REPORT_FILE, report.as_json())


def _count(source: SourceSpec, job: _Job) -> int:
    count = 0
    for count, _ in enumerate(rows(source, job.root), start=1):
        if job.progress is not None and count % 1000 == 0:
            job.progress(f"read {source_name(source)}", count, count)
    return count


def _sequences(mixture: Mixture, encoded: Sequence[EncodedSource], seed: int) -> Ints:
    """Indices into the scratch file in training order; when rows gave several sequences (pieces) these are
    shuffled.
    """
    first = np.empty(len(mixture), dtype=np.int64)
    count = np.empty(len(mixture), dtype=np.int64)
    for i, source in enumerate(encoded):
        mine = mixture.sources == i
        at = source.positions(mixture.rows[mine])
        first[mine], count[mine] = np.asarray(source.first)[at], np.asarray(source.count)[at]
    within: Ints = np.arange(count.sum(), dtype=np.int64) - np.repeat(np.cumsum(count) - count, count)
    sequences: Ints = np.repeat(first, count) + within
    return sequences[permutation(seed, PIECES, len(sequences))] if count.max() > 1 else sequences


def _rows(job: _Job, sequences: Ints, lengths: Ints) -> Iterator[list[int]]:
    """The sequences of each row of the dataset."""
    if not job.packing:
        return ([i] for i in sequences.tolist())
    packed = pack(lengths.tolist(), job.max_length)
    order = permutation(job.seed, ROWS, len(packed))
    return ([int(sequences[i]) for i in packed[k]] for k in order.tolist())


def _columns(
    grouped: Iterator[list[int]], scratch: Scratch, columns: Sequence[str]
) -> Iterator[Mapping[str, Ids]]:
    for members in grouped:
        row = {name: np.concatenate([scratch.column(name, i) for i in members]) for name in columns}
        if columns == LANGUAGE:
            lengths = [len(scratch.column("input_ids", i)) for i in members]
            row["seq_lengths"] = np.asarray(lengths, dtype=np.int32)
        yield row
