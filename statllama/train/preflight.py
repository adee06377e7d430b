"""Checks before a stage trains, so that it does not fail, or train otherwise than asked, hours later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from statllama.errors import TrainingError

if TYPE_CHECKING:
    from statllama.config.specs import TrainingSpec
    from statllama.model.base_model import Base


def require_optimizer(spec: TrainingSpec) -> None:
    """Raise TrainingError for an optimizer that this machine cannot run."""
    if "8bit" in spec.train.optimizer and not torch.cuda.is_available():
        raise TrainingError(
            f"stage {spec.name}: optimizer {spec.train.optimizer} needs CUDA, and this machine has none",
            remedy=f"--set stages.{spec.name}.train.optimizer=adamw_torch",
        )


def require_length(spec: TrainingSpec, base: Base) -> None:
    """Raise TrainingError when a stage's rows may be longer than the base takes: Unsloth would cut them without a
    word.
    """
    if spec.train.max_length > base.max_length:
        raise TrainingError(
            f"stage {spec.name}: max_length is {spec.train.max_length}, but the base takes {base.max_length} tokens",
            remedy=f"--set stages.{spec.name}.train.max_length={base.max_length}",
        )


def require_batch(trainer: Any, batch: int) -> None:
    """Raise TrainingError when several GPUs are visible: each would get a batch of its own, which changes the
    effective batch.
    """
    if (got := trainer.args.train_batch_size) != batch:
        raise TrainingError(
            f"a stage trains on one GPU: with all visible GPUs a step of {batch} rows would be one of {got}",
            remedy="show it one: put CUDA_VISIBLE_DEVICES=0 before the command",
        )
