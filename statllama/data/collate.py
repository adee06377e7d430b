"""Batches of rows: padded when each row holds one example, packed when a row holds several.

In a packed batch nothing may let examples see each other, and what prevents it differs between libraries:

- Transformers recognises packed rows by position ids that restart, and only when there is neither an
  attention mask (even one of ones) nor a cache. So the batch has `use_cache=False` and no mask.
- Unsloth reads `packed_seq_lengths` and ignores position ids for attention. Its SDPA and xFormers paths take
  the lengths for those of a single row, so the rows of a batch are joined into one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from statllama.data.fit import IGNORED

Backend = Literal["transformers", "unsloth"]
Row = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class RowCollator:
    """Makes a batch from dataset rows {input_ids, labels, seq_lengths}, each a list of int.

    A Trainer needs `remove_unused_columns=False`, or it drops `seq_lengths` before this sees it.

    With `joined`, rows of one example each are joined into one as well, as for `unsloth` packed ones are.

    Unpacked: `input_ids`, `labels`, `attention_mask`, int64 (B, L), padded on the right to the longest row.
    Packed: `input_ids`, `labels`, `position_ids`, int64, and `use_cache` False; the shape is (B, L) for
    `transformers`, where padding counts as one more example, and (1, all tokens) for `unsloth`, which also
    gets `packed_seq_lengths`, int32 (examples,). The first label of every example is -100, so packed and
    unpacked losses agree.
    """

    pad_id: int
    backend: Backend
    joined: bool = False

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        if self.joined:
            return self._joined(rows)
        if all(len(row["seq_lengths"]) == 1 for row in rows):
            return self._padded(rows)
        return self._joined(rows) if self.backend == "unsloth" else self._packed(rows)

    def _padded(self, rows: Sequence[Row]) -> dict[str, Any]:
        width = max(len(row["input_ids"]) for row in rows)
        return {
            "input_ids": _stack((row["input_ids"] for row in rows), width, self.pad_id),
            "labels": _stack((_labels(row) for row in rows), width, IGNORED),
            "attention_mask": _stack(([1] * len(row["input_ids"]) for row in rows), width, 0),
        }

    def _packed(self, rows: Sequence[Row]) -> dict[str, Any]:
        width = max(len(row["input_ids"]) for row in rows)
        positions = [_positions([*row["seq_lengths"], width - len(row["input_ids"])]) for row in rows]
        return {
            "input_ids": _stack((row["input_ids"] for row in rows), width, self.pad_id),
            "labels": _stack((_labels(row) for row in rows), width, IGNORED),
            "position_ids": torch.tensor(positions, dtype=torch.int64),
            "use_cache": False,
        }

    def _joined(self, rows: Sequence[Row]) -> dict[str, Any]:
        lengths = [n for row in rows for n in row["seq_lengths"]]
        return {
            "input_ids": torch.tensor([[i for row in rows for i in row["input_ids"]]], dtype=torch.int64),
            "labels": torch.tensor([[i for row in rows for i in _labels(row)]], dtype=torch.int64),
            "position_ids": torch.tensor([_positions(lengths)], dtype=torch.int64),
            "packed_seq_lengths": torch.tensor(lengths, dtype=torch.int32),
            "use_cache": False,
        }


def real_tokens(batch: Mapping[str, Any]) -> torch.Tensor:
    """Count the tokens of a batch that are not padding, () int64, of `RowCollator`'s batches or of any with a mask.

    Ids do not tell: where the pad token is also the end-of-text token, that one is not padding.
    """
    if batch.get("attention_mask") is not None:
        return torch.as_tensor(batch["attention_mask"]).sum()
    example = (
        torch.as_tensor(batch["position_ids"]).eq(0).cumsum(-1)
    )  # (B, L): the number of the example that a place belongs to
    if "packed_seq_lengths" in batch:  # joined rows: nothing is padded
        return torch.tensor(example.numel())
    last = example == example[:, -1:]
    learned = (torch.as_tensor(batch["labels"]).ne(IGNORED) & last).any(-1, keepdim=True)  # as in every example
    return (~last | learned).sum()


def _positions(lengths: Sequence[int]) -> list[int]:
    return [position for n in lengths for position in range(n)]


def _labels(row: Row) -> list[int]:
    labels = list(row["labels"])
    start = 0
    for length in row["seq_lengths"]:
        labels[start] = IGNORED
        start += length
    return labels


def _stack(rows: Iterator[Sequence[int]], width: int, fill: int) -> torch.Tensor:
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows], dtype=torch.int64)
