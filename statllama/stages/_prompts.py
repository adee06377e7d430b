"""The prompts of a step of grpo: rows of the dataset, and the order in which they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from statllama.data.questions import unpacked_question


def as_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows as GRPOTrainer takes them: `prompt` (messages), `prompt_ids` (list of int), and the rewards'
    columns.

    Every row gets the columns of all, None where it has none. A plain prompt is a user's turn to the rewards.
    """
    found = [{**unpacked_question(row["question"]), "prompt_ids": list(row["prompt_ids"])} for row in rows]
    names = dict.fromkeys(name for row in found for name in row)
    for row in found:
        if isinstance(row["prompt"], str):
            row["prompt"] = [{"role": "user", "content": row["prompt"]}]
    return [{name: row.get(name) for name in names} for row in found]


class PromptSampler(Sampler[int]):
    """Indices of prompts, in another order in each epoch, drawn from the seed and the epoch's number alone.

    `per_step` prompts at a time, each `generations` times in a row, and that `steps` times over: once for each
    optimizer step on the completions. The last prompts that fill no step are left out.
    """

    def __init__(self, rows: int, per_step: int, generations: int, steps: int, seed: int) -> None:
        self.rows, self.per_step, self.generations, self.steps, self.seed = rows, per_step, generations, steps, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch, also the one that a resumed run begins in; accelerate calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.rows // self.per_step * self.per_step * self.generations * self.steps

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.rows).tolist()
        for start in range(0, self.rows - self.per_step + 1, self.per_step):
            for _ in range(self.steps):
                for index in order[start : start + self.per_step]:
                    yield from [index] * self.generations
