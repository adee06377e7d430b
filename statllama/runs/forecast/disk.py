"""What a stage writes to disk: while it trains, and what stays. Loads no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from statllama.config.stage import StageSpec, TrainingSpec
from statllama.model.shape import Shape
from statllama.train.memory import state_bytes

HEADERS = 64 * 1024  # bytes beside the weights: configuration, manifest, history


@dataclass(frozen=True)
class Disk:
    """Bytes of a stage in the workspace."""

    adapter: float
    """What stays: the slice in float32."""
    checkpoints: float = 0.0
    """What is there while it trains, and is deleted once it is published."""
    rows: float = 0.0
    """Prepared data in the workspace's cache."""
    state: float = 0.0
    """What stays beside the adapter where `train.keep_state` is set: one checkpoint."""

    @property
    def most(self) -> float:
        """Return the most that is there at once."""
        return self.adapter + self.checkpoints + self.rows + self.state


def disk(shape: Shape, spec: StageSpec, steps: int, rows: float = 0.0, rank: int = 0) -> Disk:
    """Return what a stage of so many optimizer steps writes.

    `rows`: bytes of its prepared data. `rank`: of a blend's adapter; a stage that trains has its own. A checkpoint is
    the slice and its optimizer's state; one more than `keep_checkpoints` is there while a new one is written, and with
    a cap on drift or a selection each also holds the slice that it would publish.
    """
    if not isinstance(spec, TrainingSpec):
        return Disk(4 * shape.slice_parameters(rank, list(shape.matrices)) + HEADERS)
    train = spec.train
    modules = [name for name in spec.lora.target_modules if name in shape.matrices]
    slice_ = shape.slice_parameters(spec.lora.r, modules, spec.lora.layers)
    state = state_bytes(train.optimizer, spec.lora.r)
    one = slice_ * (4 + state + 4 * spec.kept_slices) + HEADERS
    there = min(train.keep_checkpoints + 1, math.ceil(steps / train.checkpoint_every)) if steps else 0
    return Disk(4 * slice_ + HEADERS, there * one, rows, one * train.keep_state)
