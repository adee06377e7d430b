"""Checks of the first batch of a `grpo` stage: the reference is the parent stack, and the first KL divergence is 0."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from statllama.errors import TrainingError
from statllama.model import stack
from statllama.stages._reference import require_equal


def check_completions_reference(trainer: Any, model: Any, inputs: dict[str, Tensor]) -> None:
    """Check that the policy without the new slice, which is the parent stack, gives the reference's
    log-probabilities.
    """
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    attention = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    mask, length = inputs["completion_mask"], inputs["completion_ids"].shape[1]
    # Dropout here must not shift the training's own draws. Row by row: the logits of a pass are gigabytes.
    with torch.no_grad(), torch.random.fork_rng(), stack.up_to(trainer.model):
        logits = (
            model(input_ids=row[None], attention_mask=seen[None], use_cache=False).logits[0, -length - 1 : -1]
            for row, seen in zip(ids, attention, strict=True)
        )
        rows = zip(logits, inputs["completion_ids"], mask, strict=True)
        parent = torch.stack([_log_prob(*row, trainer._spec.temperature) for row in rows])
    reference = (of_completions(inputs["ref_per_token_logps"], inputs).float() * mask).sum(1)
    require_equal(trainer, parent, reference, mask.sum(1))


def of_completions(values: Tensor, inputs: dict[str, Tensor]) -> Tensor:
    """Return the per-token `values` of a batch at its completions, (B, C).

    Unsloth moves the prompts' padding to the end of the rows, and its values begin as many tokens before the
    completions as the most padded prompt has padding.
    """
    before, places = values.shape[1] - inputs["completion_ids"].shape[1], inputs["completion_ids"].shape[1]
    if not before:
        return values
    first = before - (inputs["prompt_mask"] == 0).sum(1, keepdim=True)
    return values.gather(1, first + torch.arange(places, device=values.device))


def _log_prob(logits: Tensor, ids: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Return the log-probability of a completion. Shapes: logits (length, vocabulary), ids and mask (length,)."""
    return ((logits.float() / temperature).log_softmax(-1).gather(-1, ids[:, None])[:, 0] * mask).sum()


def check_first_kl(spec: Any, kl: float, dtype: torch.dtype) -> None:
    # What rounding makes of 0: (difference of log-probabilities)^2 / 2, per token.
    if not abs(kl) <= (1e-6 if dtype is torch.float32 else 0.1**2 / 2):
        raise TrainingError(
            f"stage {spec.name}: before the first step the KL divergence from the parent stack is {kl:.3g} and must be "
            "0: the reference is not the parent stack",
            remedy="run `statllama doctor`: a version outside the known-good set may compute this loss otherwise",
        )
