"""Rows kept out of training, tokenised: what every stack is scored on, and what a stage may select its best step on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datasets import Dataset

HeldKind = Literal["documents", "conversations", "preferences"]
"""What a hold-out's rows are scored as. Of judged completions (kto) the good ones are `conversations`."""


@dataclass(frozen=True)
class Holdout:
    """Rows that no stage of the recipe trains on, in the order of their source, never packed."""

    name: str
    """A stage's name, of its own hold-out; else that of the set in `evaluate.holdouts`. Unique in the recipe."""
    kind: HeldKind
    dataset: Dataset
    """Lists of int32: `input_ids` and `labels` (-100 without loss) and `seq_lengths` ([tokens]), or of preferences
    `prompt_ids`, `chosen_ids` and `rejected_ids`. A document longer than `max_length` is several rows."""
    ids: tuple[str, ...]
    """Of each row of `dataset` 16 hex digits of the SHA-256 of its text; each once."""
    fingerprint: str
    """SHA-256 (hex) over kind, ids and token ids."""
    kept_in: str = ""
    """Key of the entry of a workspace's cache that holds the rows; empty when they are not kept."""
