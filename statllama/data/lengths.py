"""The lengths of prepared rows, read from Arrow's offsets without the tokens. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statllama.data.fit import IGNORED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datasets import Dataset

Numbers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Lengths:
    """Of each item of a stage's data: a row, or a preference pair."""

    tokens: Numbers
    """Of the item's longest row, (items,). Of a question, those of the prompt."""
    logits: Numbers
    """Positions of the item that carry loss, (items,). Of a question none: its answers are not written yet."""
    rows: int = 1
    """Rows that an item has: 2 for a pair."""

    def __len__(self) -> int:
        return len(self.tokens)

    def heaviest(self, budget: int, batch: int) -> list[list[int]]:
        """Return the items of the passes that need the most memory: most tokens, and most pairs of attention.

        Of all padded passes of at most `batch` items and `budget` tokens, those of the next shorter neighbours of each
        item. One list where both are the same pass; an item above the budget is a pass by itself.
        """
        order = np.argsort(-self.tokens, kind="stable")
        widths = self.tokens[order] * self.rows
        counts = np.minimum(np.clip(budget // np.maximum(widths, 1), 1, batch), len(order) - np.arange(len(order)))
        sizes = counts * widths
        starts = dict.fromkeys(int(np.argmax(size)) for size in (sizes, sizes * self.tokens[order]))
        return [order[start : start + int(counts[start])].tolist() for start in starts]


def lengths(rows: Dataset, kind: str) -> Lengths:
    """Return the lengths of prepared rows of a kind of data: documents, conversations, preferences, judgements or
    questions.
    """
    if kind in ("documents", "conversations"):
        return Lengths(sizes(rows, "input_ids"), _with_loss(rows))
    prompts = sizes(rows, "prompt_ids")
    if kind == "questions":
        return Lengths(prompts, np.zeros(len(prompts), dtype=np.int64))
    if kind == "preferences":
        chosen, rejected = (sizes(rows, f"{name}_ids") for name in ("chosen", "rejected"))
        return Lengths(prompts + np.maximum(chosen, rejected), chosen + rejected, 2)
    answers = sizes(rows, "completion_ids")
    return Lengths(prompts + np.maximum(answers, np.roll(answers, 1)), answers)  # also with another row's answer


def _arrays(rows: Dataset, column: str) -> Sequence[Any]:
    table = rows.select_columns(column).with_format("arrow")[:]
    return list(table.column(column).chunks)


def sizes(rows: Dataset, column: str) -> Numbers:
    """Return the number of entries of each list of a column, (rows,)."""
    found = [np.diff(chunk.offsets.to_numpy()) for chunk in _arrays(rows, column)]
    return np.concatenate([np.zeros(0), *found]).astype(np.int64)


def _with_loss(rows: Dataset) -> Numbers:
    """Return the number of labels that count, (rows,). The first position of a row is predicted by nothing."""
    found = []
    for chunk in _arrays(rows, "labels"):
        offsets = chunk.offsets.to_numpy()
        seen = np.concatenate([[0], np.cumsum(chunk.values.to_numpy(zero_copy_only=False) != IGNORED)])
        found.append(seen[offsets[1:]] - seen[offsets[:-1]])
    return np.concatenate([np.zeros(0), *found]).astype(np.int64)
