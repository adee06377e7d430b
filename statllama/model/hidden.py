"""Last hidden states of the stack, and logits of some of them: at a vocabulary of 128,256 all logits are too many."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

HIDDEN = "UNSLOTH_RETURN_HIDDEN_STATES"
"""With it, Unsloth's forward gives hidden states in place of logits: its GRPO uses it."""
_FED = ("input_ids", "attention_mask", "position_ids", "packed_seq_lengths")


def hidden_states(model: Any, batch: Mapping[str, Any], backend: str) -> Tensor:
    """Return what the head would be applied to, (B, L, hidden size), of a batch of `RowCollator`'s.

    The embeddings' output is as in evaluation: noise on it (NEFTune) is for a stage's own loss.
    """
    fed = {name: batch[name] for name in _FED if name in batch}
    with _without_noise(model):
        if backend == "unsloth":
            with _given(HIDDEN, "1"):
                found: Tensor = model(**fed, use_cache=False).logits
        else:  # not by the model's own forward, which TRL's trainers replace
            found = model.get_base_model().base_model(**fed, use_cache=False).last_hidden_state
    return found


def project(model: Any, hidden: Tensor) -> Tensor:
    """Return the logits of hidden states, (..., V). No supported architecture scales or caps them."""
    head = model.get_base_model().get_output_embeddings()
    logits: Tensor = head(hidden)
    return logits


@contextmanager
def _without_noise(model: Any) -> Iterator[None]:
    embeddings = model.get_base_model().get_input_embeddings()
    before: bool = embeddings.training
    embeddings.train(False)
    try:
        yield
    finally:
        embeddings.train(before)


@contextmanager
def _given(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def supervised(batch: Mapping[str, Any], ignored: int) -> tuple[Tensor, Tensor]:
    """Return the positions of a batch whose next token carries loss, a mask (B, L), and those tokens, (N,)."""
    following = torch.full_like(batch["labels"], ignored)
    following[:, :-1] = batch["labels"][:, 1:]
    mask = following != ignored
    return mask, following[mask]
