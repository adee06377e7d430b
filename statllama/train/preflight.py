"""Checks before a stage trains, so that it does not fail, or train otherwise than asked, hours later.

Loads torch only where it is a build for GPUs and has to say whether there is one.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from statllama.errors import TrainingError
from statllama.model.precision import has_cuda

if TYPE_CHECKING:
    from statllama.config.stage import TrainingSpec


def require_optimizer(spec: TrainingSpec, cuda: bool | None = None) -> None:
    """Raise TrainingError for an optimizer that a machine cannot run. `cuda`: whether it has CUDA; None: this one."""
    if "8bit" in spec.train.optimizer and not (has_cuda() if cuda is None else cuda):
        raise TrainingError(
            f"stage {spec.name}: optimizer {spec.train.optimizer} needs CUDA, and this machine has none",
            remedy=f"--set stages.{spec.name}.train.optimizer=adamw_torch",
        )
    if spec.train.optimizer == "schedule_free_adamw" and getattr(find_spec("schedulefree"), "origin", None) is None:
        raise TrainingError(
            f"stage {spec.name}: optimizer {spec.train.optimizer} needs the package schedulefree, which is missing",
            remedy="pip install 'statllama[schedulefree]'",
        )


def require_length(spec: TrainingSpec, positions: int) -> None:
    """Raise TrainingError when a stage's rows may be longer than the `positions` that the base takes: Unsloth would cut
    them without a word.
    """
    if spec.train.max_length > positions:
        raise TrainingError(
            f"stage {spec.name}: max_length is {spec.train.max_length}, but the base takes {positions} tokens",
            remedy=f"--set stages.{spec.name}.train.max_length={positions}",
        )


def require_layers(spec: TrainingSpec, layers: int) -> None:
    """Raise TrainingError when a stage trains a layer that the base, of so many `layers`, has not."""
    if spec.lora.layers is not None and spec.lora.layers[-1] >= layers:
        raise TrainingError(
            f"stage {spec.name}: lora.layers has layer {spec.lora.layers[-1]}, but the base has {layers} layers, 0 to "
            f"{layers - 1}",
            remedy=f"--set stages.{spec.name}.lora.layers={layers // 2}-{layers - 1}",
        )


def require_init(spec: TrainingSpec, backend: str) -> None:
    """Raise TrainingError where a slice is to start from activations that the backend's kernels do not show."""
    if spec.lora.init == "eva" and backend != "transformers":
        raise TrainingError(
            f"stage {spec.name}: lora.init eva looks at what modules see, which the kernels of {backend} do not show",
            remedy="put STATLLAMA_BACKEND=transformers before the command, or "
            f"--set stages.{spec.name}.lora.init=kaiming",
        )


def require_batch(trainer: Any, batch: int) -> None:
    """Raise TrainingError when several GPUs are visible: each would get a batch of its own, which changes the
    effective batch.
    """
    if (got := trainer.args.train_batch_size) != batch:
        raise TrainingError(
            f"each process trains on one GPU: with all visible GPUs a step of {batch} rows would be one of {got}",
            remedy="show it one: put CUDA_VISIBLE_DEVICES=0 before the command; on several GPUs a stage trains with "
            f"--executor ray --set stages.{trainer.job.spec.name}.train.devices=N",
        )
