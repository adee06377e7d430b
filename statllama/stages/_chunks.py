"""Losses without the logits of a whole pass: at a vocabulary of 128,256 they are 0.5 MB a token in float32.

TRL projects hidden states to logits in small tiles, forward and backward, and keeps none of them. Unsloth's rewritten
trainers have their own way, so this is for Transformers alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from statllama.stages._reference import require_equal

if TYPE_CHECKING:
    from torch import Tensor


def in_chunks(trainer: Any, backend: str) -> None:
    """Make a DPO, KTO or GRPO trainer of TRL take log-probabilities in tiles, with the values that it takes at once.

    Its own switch for that is named after Liger, whose kernels are not used; in the trainer's arguments it would ask
    for them. What TRL then leaves out of its log are the means of the logits and the accuracy.
    """
    if backend == "transformers":
        trainer.use_liger_kernel = True


def by_rows(
    check: Callable[..., None],
    trainer: Any,
    model: Any,
    inputs: Mapping[str, Tensor],
    log_probs: Callable[[Mapping[str, Tensor]], Tensor],
    known: Tensor | None,
) -> None:
    """Run `check_reference` on each row of a batch, since it computes the logits of what it gets.

    `log_probs`: the trainer's reference of a batch, (rows,); `known`: what is trained with in its place, if anything,
    (rows,). TrainingError where that is not what the trainer's reference gives.
    """
    import torch

    count = len(inputs["input_ids"])
    of_rows = {name: value for name, value in inputs.items() if len(value) == count}
    rows = [{name: value[i : i + 1] for name, value in of_rows.items()} for i in range(count)]
    for row in rows:
        check(trainer, model, row, partial(log_probs, row))
    if known is not None:
        tokens = inputs["completion_mask"][:, 1:].sum(1)
        require_equal(trainer, torch.cat([log_probs(row) for row in rows]), known, tokens)
