"""Assertions of `dpo`, `kto` and `grpo` on the first batch: the reference is the parent stack, the first loss known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from statllama.errors import ModelError, TrainingError

if TYPE_CHECKING:
    from torch import Tensor


REMEDY = "run `statllama doctor`: a version outside the known-good set may build the reference otherwise"
ROUNDING = (
    1e-4,
    0.0625,
)  # nats per token, in float32 and in 16 bits, where a log-probability of -8 has a last digit of 1/32


def check_reference(trainer: Any, model: Any, inputs: dict[str, Tensor], log_probs: Callable[[], Tensor]) -> None:
    """Check that the reference of `dpo` or `kto` is the parent stack: what it reads, and what comes out.

    `inputs`: a collated batch of TRL's, `input_ids`, `attention_mask`, `completion_mask`, each (rows, length).
    `log_probs`: runs the trainer's reference on it and returns the log-probability of each completion, (rows,).
    """
    import torch

    from statllama.model import stack

    kwargs = {k: v for k, v in inputs.items() if k in ("input_ids", "attention_mask")}
    with torch.random.fork_rng():  # dropout here must not shift the training's own draws
        with stack.watched(trainer.model) as seen:
            reference = log_probs()
        require_parents(trainer, seen)
        with torch.no_grad(), stack.up_to(trainer.model):
            logits = model(**kwargs, use_cache=False).logits
    rows = zip(logits, inputs["input_ids"], inputs["completion_mask"], strict=True)
    parent = torch.stack([_log_prob(*row) for row in rows])
    require_equal(trainer, parent, reference, inputs["completion_mask"][:, 1:].sum(1))


def require_parents(trainer: Any, seen: set[range] | None) -> None:
    """Raise TrainingError unless the reference's tensors are those of the parents' adapters, bit for bit.

    `seen`: what the stack showed while the trainer's reference ran (`stack.watched`); None where it ran earlier.
    """
    from statllama.model import stack

    parents, name = trainer.job.parents, trainer.job.spec.name
    if seen is not None and range(len(parents)) not in seen:
        raise TrainingError(
            f"stage {name}: on the first batch the reference's forward pass did not read the {len(parents)} adapters "
            "below the new one: the reference is not the parent stack",
            remedy=REMEDY,
        )
    try:
        with trainer.model.disable_adapter():
            stack.require_parents(trainer.model, parents)
    except ModelError as error:
        raise TrainingError(f"stage {name}: the reference is not the parent stack: {error}", remedy=REMEDY) from None


def require_equal(trainer: Any, parent: Tensor, reference: Tensor, tokens: Tensor) -> None:
    """Raise TrainingError where log-probabilities of completions differ by more than rounding, per token.

    `parent`, `reference`, `tokens` (counted in each completion): (rows,).
    """
    import torch

    allowed = ROUNDING[trainer.job.base.dtype is not torch.float32]
    gaps = (parent - reference.float()).abs() / tokens.clamp_min(1)
    if not bool((gaps <= allowed).all()):
        raise TrainingError(
            f"stage {trainer.job.spec.name}: on the first batch the reference's log-probabilities differ from the "
            f"parent stack's by up to {float(gaps.max()):.4g} nats per token: the reference is not the parent stack",
            remedy=REMEDY,
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
