"""What measures a stage while it trains: it keeps the slice of one of the steps, also in every checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback

from statllama.model import stack

T = TypeVar("T")
Once = Callable[[Callable[[], T]], T]
"""Calls what it is given, or has another process call it, which trains the same; returns what that returned."""


class Measuring(TrainerCallback):
    """A callback that measures after some steps, and keeps the slice as it was after one of them.

    Measuring draws no random number and changes no weight. What it found goes into the step's log, and the kept slice
    into each checkpoint, so that a resumed stage knows both.
    """

    FILE: str
    """Name of the kept slice in a checkpoint."""

    def __init__(self, model: nn.Module) -> None:
        """Take the stack that trains."""
        self.model = model
        self._kept: dict[str, Tensor] = {}
        self._measured: dict[str, float] = {}

    @property
    def keeps(self) -> bool:
        """Return whether a slice is kept."""
        return bool(self._kept)

    def keep(self) -> None:
        """Keep the slice as it is now, in place of an earlier one."""
        self._kept = {name: p.detach().cpu().clone() for name, p in stack.trainable(self.model).items()}

    def take(self) -> dict[str, float]:
        """Return the figures for this step's log, if it was measured, else nothing."""
        measured, self._measured = self._measured, {}
        return measured

    def save(self, checkpoint: Path) -> None:
        """Write the kept slice into a checkpoint, if there is one yet."""
        if self._kept:
            save_file(self._kept, checkpoint / self.FILE)

    def load(self, checkpoint: Path) -> None:
        """Take the kept slice from a checkpoint."""
        self._kept = load_file(checkpoint / self.FILE) if (checkpoint / self.FILE).exists() else {}

    def restore(self) -> None:
        """Put the kept slice into the model: after the last step, the adapter to publish."""
        with torch.no_grad():
            for name, parameter in stack.trainable(self.model).items():
                parameter.copy_(self._kept[name])
