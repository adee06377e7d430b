"""The key of prepared data, and the arrow file in which it is kept."""

from __future__ import annotations

import errno
import hashlib
import json
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from statllama.config.keyed import keyed
from statllama.config.shipped import located
from statllama.config.source import SourceSpec
from statllama.config.spec import shares_of
from statllama.data.files import LocalFile, local_files
from statllama.data.fit import IGNORED
from statllama.data.readers import data_kind
from statllama.data.sources import fingerprint
from statllama.errors import DataError, StoreError
from statllama.store import Entry, Store
from statllama.store.canonical import digest
from statllama.store.leases import gate, leases, require_settled, settle
from statllama.store.store import MANIFEST

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

DATA_NUMERICS = 3
"""Raised when the same sources would become other tokens, another order or another report."""
SELECTION_NUMERICS = 1
"""Raised when other rows of the same sources would be chosen by filters or as duplicates."""
SEARCH_NUMERICS = 2
"""Raised when other rows would be found to copy or to resemble benchmark questions, or the record of them would look
different: in the keys of stages that drop copies."""
COMPRESSION = 3  # of zstd: a byte for a token of English text
DATA_FILE = "data.arrow"
REPORT_FILE = "report.json"
DRAWING = ("repeat", "limit", "weight")  # fields of a source that bear on which usable rows are drawn
BATCH = 256  # rows per record batch

Ids = np.ndarray  # int32 (n,)


def tokenizer_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the SHA-256 (hex) of all that decides which ids a text gets: vocabulary, merges, rules, special tokens."""
    serialised = str(tokenizer.backend_tokenizer.to_str())  # type: ignore[attr-defined]
    # What comes before the tokens (truncation, padding) is the state of the last call, not of the tokenizer.
    lasting = serialised[serialised.index('"added_tokens"') :]
    special = json.dumps({k: str(v) for k, v in tokenizer.special_tokens_map.items()}, sort_keys=True)
    return hashlib.sha256(f"{lasting}{special}".encode()).hexdigest()


def cache_key(
    sources: Sequence[SourceSpec],
    root: Path,
    tokenizer: PreTrainedTokenizerBase,
    chat_template: str | None,
    **options: Any,
) -> str:
    """Return the SHA-256 (hex) of everything that decides the prepared data.

    Of a source that is its bytes (or hub commit) and how they are read, but not where the file lies.
    """
    return digest(
        {
            "numerics": DATA_NUMERICS,
            "sources": described(sources, root),
            "tokenizer": tokenizer_hash(tokenizer),
            "chat_template": chat_template or tokenizer.chat_template,
            **options,
        }
    )


def selection_key(sources: Sequence[SourceSpec], root: Path, guard: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of everything that decides which rows may be used. `guard`: what they are held to.

    And of where the files lie, since the record names them.
    """
    read = [{k: v for k, v in source.items() if k not in DRAWING} for source in described(sources, root)]
    places = [located(source.file, root) if source.file else None for source in sources]
    numerics = [SELECTION_NUMERICS, SEARCH_NUMERICS]
    return digest({"selection": numerics, "sources": read, "places": places, "guard": dict(guard)})


def described(sources: Sequence[SourceSpec], root: Path) -> list[dict[str, Any]]:
    """Return the sources' rows, how they are read and mixed, as plain data, without their place."""
    given = [source.weight for source in sources if source.weight is not None]
    weighted = len(given) == len(sources) > 1  # a source by itself is all of the mixture, whatever its weight
    shares = shares_of(given) if weighted else (None,) * len(sources)
    return [
        {
            **keyed(source),
            "weight": share,
            "bytes": fingerprint(source, root),
            "kinds": sorted({data_kind(file.path) for file in files_of(source, root)}),  # .jsonl named .txt: other rows
        }
        for source, share in zip(sources, shares, strict=True)
    ]


def files_of(source: SourceSpec, root: Path) -> list[LocalFile]:
    """Return the local files of a source; none of one on the hub or of generated problems."""
    return [] if source.file is None else local_files(source, root)


@dataclass(frozen=True)
class Kept:
    """Prepared data in a workspace. `size`: bytes; `age`: seconds since it was made."""

    entry: Entry
    size: int
    age: float


def kept(store: Store) -> list[Kept]:
    """Return all prepared data of a workspace, the oldest first."""
    found = []
    for entry in store.entries("cache"):
        size = sum(record["bytes"] for record in entry.manifest["files"].values())
        found.append(Kept(entry, size, time.time() - (entry.path / MANIFEST).stat().st_mtime))
    return sorted(found, key=lambda k: -k.age)


def prune(store: Store, older_than: float) -> list[Kept]:
    """Delete, and return, the prepared data that is at least `older_than` seconds old and that nothing holds.

    StoreError while a process may be about to read it.
    """
    gone = []
    settle(store)
    with gate(store) as hold:
        require_settled(leases(store))
        for item in kept(store):
            if item.age >= older_than:
                hold.require()
                with suppress(StoreError):
                    store.discard("cache", item.entry.key)
                    gone.append(item)
    return gone


def write_rows(path: Path, rows: Iterable[Mapping[str, Ids]], columns: Sequence[str]) -> int:
    """Write rows of int32 lists as a compressed arrow stream, a batch at a time; returns their number.

    `labels` are the ids or -100, so only the lengths of their runs are kept: without loss, with, without, ...
    """
    schema = pa.schema([(name, pa.list_(pa.int32())) for name in columns])
    options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=COMPRESSION))
    written = 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema, options=options) as writer:
        rows = iter(rows)
        while batch := list(islice(rows, BATCH)):
            kept = [[_runs(row[name]) if name == "labels" else row[name] for row in batch] for name in columns]
            writer.write_batch(pa.record_batch([_lists(values) for values in kept], schema))
            written += len(batch)
    return written


def read_rows(path: Path) -> Dataset:
    """Return the rows that `write_rows` wrote. They are unpacked into a file without a name, mapped into memory."""
    from datasets import Dataset

    try:
        with tempfile.NamedTemporaryFile(prefix="statllama-", suffix=".arrow") as unpacked:
            with (
                pa.OSFile(str(path), "rb") as source,
                pa.ipc.open_stream(source) as reader,
                pa.ipc.new_stream(unpacked, reader.schema) as writer,
            ):
                for batch in reader:
                    writer.write_batch(_unpacked(batch))
            unpacked.flush()
            return Dataset.from_file(unpacked.name)  # the mapping outlives the name
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DataError(
                f"{tempfile.gettempdir()} has no room to unpack the prepared data ({error.strerror})",
                remedy="set TMPDIR to a folder on a disk with more room, and run again",
            ) from None
        raise DataError(
            f"{path}: prepared data that cannot be read ({error})",
            remedy=f"delete {path.parent} and run again",
        ) from None


def _lists(values: Sequence[Ids]) -> pa.ListArray:
    offsets = np.cumsum([0, *map(len, values)], dtype=np.int64).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(values).astype(np.int32)))


def _runs(labels: Ids) -> Ids:
    """Return the lengths of the runs of labels without and with loss, in turn, int32; the first (without) may be 0."""
    learned = labels != IGNORED
    ends = np.flatnonzero(np.diff(learned, prepend=False, append=not learned[-1]))
    return np.diff(ends, prepend=0).astype(np.int32)


def _unpacked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch with labels in place of their runs."""
    if "labels" not in batch.schema.names:
        return batch
    ids, runs = batch.column("input_ids"), batch.column("labels")
    lengths = runs.values.to_numpy()
    odd = np.arange(len(lengths)) - np.repeat(runs.offsets.to_numpy()[:-1], np.diff(runs.offsets.to_numpy()))
    learned = np.repeat(odd % 2 == 1, lengths)
    labels = np.where(learned, ids.values.to_numpy(), IGNORED).astype(np.int32)
    place = batch.schema.names.index("labels")
    return batch.set_column(place, "labels", pa.ListArray.from_arrays(ids.offsets, pa.array(labels)))
