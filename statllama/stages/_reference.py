"""Assertions of `dpo` and `kto` on the first batch of a run: reference equals parent stack, first loss known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from statllama.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor


def check_reference(trainer: Any, model: Any, inputs: dict[str, Tensor], reference: Tensor) -> None:
    """Check that the policy without the new slice, which is the parent stack, gives the reference's log-probabilities.

    `inputs`: a collated batch of TRL's, `input_ids`, `attention_mask`, `completion_mask`, each (rows, length).
    `reference`: the trainer's log-probability of each completion, (rows,). TrainingError where they differ.
    """
    import torch

    from statllama.model import stack

    kwargs = {k: v for k, v in inputs.items() if k in ("input_ids", "attention_mask")}
    with torch.no_grad(), torch.random.fork_rng():  # dropout here must not shift the training's own draws
        with stack.without_new_slice(trainer.model):
            logits = model(**kwargs, use_cache=False).logits
        rows = zip(logits, inputs["input_ids"], inputs["completion_mask"], strict=True)
        policy = torch.stack([_log_prob(*row) for row in rows])
    allowed = 1e-3 if trainer.job.base.dtype is torch.float32 else 0.05
    if not torch.allclose(policy, reference.float(), rtol=allowed, atol=allowed):
        gap = float((policy - reference).abs().max())
        raise TrainingError(
            f"stage {trainer.job.spec.name}: on the first batch the reference's log-probabilities differ from the "
            f"parent stack's by up to {gap:.4g}: the reference is not the parent stack",
            remedy="run `statllama doctor`: a version outside the known-good set may build the reference otherwise",
        )


def _log_prob(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Return the log-probability of a row's completion. Row by row, since float32 logits of a whole batch are
    gigabytes.

    Shapes: logits (length, vocabulary), ids (length,), mask (length,) with 1 on the completion.
    """
    picked = logits[:-1].float().log_softmax(-1).gather(-1, ids[1:, None])[:, 0]
    return (picked * mask[1:]).sum()


def check_first_loss(stage: str, kind: str, loss: Tensor, expected: float, dtype: Any) -> None:
    """Raise TrainingError unless the loss of the first batch, before any step, is what equal policies give.

    `stage`: its name; `kind`: the loss's; `dtype`: what the base computes in.
    """
    import torch

    got = float(loss.detach())
    if not math.isclose(got, expected, rel_tol=1e-3 if dtype is torch.float32 else 0.05):
        raise TrainingError(
            f"stage {stage}: the first {kind} loss is {got:.6f} and must be {expected:.6f}: the reference is "
            "not the parent stack",
            remedy="run `statllama doctor`: a version outside the known-good set may compute this loss otherwise",
        )
