"""From tokenised sources to the rows of the dataset: their order, and which sequences share one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from statllama.data.encode import EncodedSource
from statllama.data.mixture import PIECES, ROWS, Ints, Mixture, permutation
from statllama.data.packing import pack
from statllama.data.scratch import Ids, Scratch


def training_order(mixture: Mixture, encoded: Sequence[EncodedSource], seed: int) -> Ints:
    """Return the indices into the scratch file, in the mixture's order; pieces of documents are shuffled once more.

    The scratch file holds each used row once, as `count` consecutive sequences from `first`; the mixture names rows, in
    any order and maybe several times. So each use is looked up in its source (`positions`), and then spread over its
    row's sequences: `within` counts 0, 1, ... inside each use, a running index less the start of the use.
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


def packed(sequences: Ints, lengths: Ints, max_length: int, seed: int) -> Iterator[list[int]]:
    """Yield the sequences of each row; `lengths` (tokens) belong to `sequences`. Rows come in a random order."""
    rows = pack(lengths.tolist(), max_length)
    for k in permutation(seed, ROWS, len(rows)).tolist():
        yield [int(sequences[i]) for i in rows[k]]


def plain_rows(sequences: Ints, scratch: Scratch, columns: Sequence[str]) -> Iterator[Mapping[str, Ids]]:
    """Yield one row a sequence (a preference pair, a question): its columns as they are."""
    for i in sequences.tolist():
        yield {name: scratch.column(name, i) for name in columns}


def language_rows(
    grouped: Iterator[list[int]], scratch: Scratch, columns: Sequence[str]
) -> Iterator[Mapping[str, Ids]]:
    """Yield one row a group of sequences: their columns joined, and `seq_lengths` (tokens of each)."""
    for members in grouped:
        row = {name: np.concatenate([scratch.column(name, i) for i in members]) for name in columns}
        lengths = [len(scratch.column(columns[0], i)) for i in members]
        yield {**row, "seq_lengths": np.asarray(lengths, dtype=np.int32)}
