"""Completions of `grpo` that were cut at their limit, where a stage learns nothing from them.

Their mask is 0 all along, so they are left out of the forward passes. Their rewards count in their siblings'
advantages, and the loss stays the mean over all completions of the step, as TRL has both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from statllama.stages._completions import of_rows


def that_count(step: dict[str, Any]) -> tuple[dict[str, Any], float]:
    """Return the completions of a step that carry loss, as a step, and their share of all."""
    counts = step["completion_mask"].any(1)
    rows = counts.nonzero().flatten().tolist()
    return (step, 1.0) if len(rows) == len(counts) else (of_rows(step, rows, trim=False), len(rows) / len(counts))


@dataclass
class CutPrompts:
    """Counts prompts of which every completion was cut, and says so: at once, then ever more rarely."""

    cut: int = 0
    seen: int = 0
    _note_at: int = 1

    def look(
        self, spec: Any, ids: Sequence[Sequence[int]], ends: Collection[int | None], on_note: Callable[[str], None]
    ) -> list[int]:
        """Count a batch, tell of it where that is due, and return the completions of prompts that may teach.

        `ends`: last tokens of a completion that was not cut, by TRL's own rule: pad tokens too.
        """
        every = range(len(ids))
        if not spec.mask_truncated_completions:
            return list(every)
        groups = [every[i : i + spec.generations] for i in every[:: spec.generations]]
        teach = [group for group in groups if any(ids[i][-1] in ends for i in group)]
        self.seen += len(groups)
        self.cut += len(groups) - len(teach)
        found = [i for group in teach for i in group]
        if self.cut < self._note_at:
            return found
        self._note_at = 4 * self.cut
        on_note(
            f"stage {spec.name}: all {spec.generations} completions of a prompt were cut at `max_completion_length` "
            f"{spec.max_completion_length} and are masked, so it teaches nothing ({self.cut} of {self.seen} prompts so "
            "far): raise `max_completion_length`, or reward brevity (`length`)"
        )
        return found


def zero_gradients(trainer: Any, model: Any) -> Tensor:
    """Give a step without a completion that counts a gradient of 0, as a loss of 0 has; return that loss, ()."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    loss = torch.zeros((), device=model.device)
    if scaler := getattr(trainer.accelerator, "scaler", None):
        scaler.scale(loss)  # else it refuses to step
    return loss
