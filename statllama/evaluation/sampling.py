"""How tokens are drawn: each by a number of its own, so that no draw depends on its batch.

The number of a token comes from the seed, what it is drawn for (of `grpo` the optimizer step that generates), the row
in that and the token's place. It picks from the distribution by its inverse, after temperature and top_p: whichever
rows are generated together, a row's completion is the same up to rounding, and a resumed run draws what the unbroken
one drew.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper


def uniforms(seed: int, step: int, rows: Sequence[int], places: int) -> Tensor:
    """Return the numbers in [0, 1) that tokens are picked by, (rows, places), float64.

    `step`: what they are drawn for; `rows`: indices of completions in that. A row's numbers depend on no other row, and
    the first ones not on how many there are.
    """
    drawn = [np.random.default_rng([seed, step, row]).random(places) for row in rows]
    return torch.from_numpy(np.stack(drawn))


def pick(scores: Tensor, numbers: Tensor) -> Tensor:
    """Return the token that each number stands for: the first whose cumulative probability exceeds it, (rows,).

    `scores`: logits, (rows, vocabulary), -inf for what cannot be drawn; `numbers`: in [0, 1), (rows,), float64. A token
    of probability 0 is never picked.
    """
    cumulative = scores.double().softmax(-1).cumsum(-1)
    places: Tensor = torch.searchsorted(cumulative, numbers[:, None] * cumulative[:, -1:], right=True)[:, 0]
    return places


class Drawn(LogitsProcessor):
    """Leaves a single possible token to each row of a greedy `generate`: the one that its number picks."""

    def __init__(self, numbers: Tensor, prompt: int, temperature: float, top_p: float) -> None:
        """Take `numbers`, (rows, places), and `prompt`, the length of the padded prompts."""
        self.numbers, self.prompt = numbers, prompt
        self.warpers = LogitsProcessorList([TemperatureLogitsWarper(temperature)])
        if top_p < 1:
            self.warpers.append(TopPLogitsWarper(top_p))

    def of(self, rows: Sequence[int]) -> Drawn:
        """Return the same for some of the rows, where the others have ended."""
        found = copy.copy(self)
        found.numbers = self.numbers[list(rows)]
        return found

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return 0 at the picked token and -inf elsewhere, (rows, vocabulary)."""
        numbers = self.numbers[:, input_ids.shape[1] - self.prompt].to(scores.device)
        picked = pick(self.warpers(input_ids, scores.float()), numbers)
        return torch.full_like(scores, -torch.inf).scatter_(1, picked[:, None], 0.0)


@contextmanager
def drawing(model: Any, drawn: Drawn) -> Iterator[None]:
    """Make `model.generate` use `drawn`: TRL and Unsloth call it without a way to pass a processor."""
    own, plain = "generate" in vars(model), model.generate
    model.generate = partial(plain, logits_processor=LogitsProcessorList([drawn]))
    try:
        yield
    finally:
        if own:
            model.generate = plain
        else:
            del model.generate
