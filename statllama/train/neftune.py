"""NEFTune (Jain et al. 2023, arXiv 2310.05914): noise on the embeddings of what a stage trains on.

For an example of L tokens and embeddings of width d each number gets alpha / sqrt(L d) times a draw from the uniform
distribution on [-1, 1]. L is the example's own length, in padded and in packed rows alike.

What is drawn follows from the seed, the optimizer step and the example's tokens. So it does not depend on the token
budget, on the number of devices or on a resume, and no other draw moves. There is none in evaluation, nor where
gradients are off or the new slice is hidden: not in a reference's pass, nor in a parent's.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from statllama.model import stack


@contextmanager
def noise(model: Any, alpha: float | None, seed: int, step: Callable[[], int]) -> Iterator[None]:
    """Add the noise to the stack's embeddings while it trains. `step`: optimizer steps taken. None: no noise."""
    if alpha is None:
        yield
        return
    embedding, seen = model.get_input_embeddings(), dict[str, Any]()

    def read(decoder: Any, args: tuple[Any, ...], options: Mapping[str, Any]) -> None:
        seen.update(mask=options.get("attention_mask"), positions=options.get("position_ids"))

    def add(module: Any, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not (module.training and torch.is_grad_enabled() and stack.shows_new(model)):
            return output
        return output + draws(args[0], examples(args[0], **seen), output.shape[-1], alpha, (seed, step())).to(output)

    decoder = model.get_base_model().get_decoder()
    handles = (decoder.register_forward_pre_hook(read, with_kwargs=True), embedding.register_forward_hook(add))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def examples(ids: Tensor, mask: Any, positions: Any) -> list[tuple[int, slice]]:
    """Return (row, its places) of each example in a pass, by its mask (rows, length) or by positions that start again;
    without either each row is one. Padding is in none, or an example by itself.
    """
    rows, length = ids.shape
    if torch.is_tensor(mask) and mask.ndim == 2:
        kept = [row.nonzero().flatten().tolist() for row in mask.cpu()]
        return [(i, slice(places[0], places[-1] + 1)) for i, places in enumerate(kept) if places]
    if not torch.is_tensor(positions):
        return [(i, slice(0, length)) for i in range(rows)]
    starts = [[0, *(j for j in row.eq(0).nonzero().flatten().tolist() if j)] for row in positions.cpu()]
    return [
        (i, slice(start, stop))
        for i, row in enumerate(starts if len(starts) == rows else starts * rows)
        for start, stop in zip(row, [*row[1:], length], strict=True)
    ]


def draws(ids: Tensor, parts: list[tuple[int, slice]], width: int, alpha: float, key: tuple[int, int]) -> Tensor:
    """Return the noise of a pass, float32 (rows, length, width), on the CPU; 0 outside the examples.

    `key`: seed and step.
    """
    held, generator = ids.cpu(), torch.Generator()
    found = torch.zeros(*ids.shape, width)
    for row, places in parts:
        tokens = held[row, places]
        digest = hashlib.sha256(f"{key[0]}/{key[1]}/".encode() + tokens.numpy().tobytes()).digest()
        generator.manual_seed(int.from_bytes(digest[:8], "little", signed=False) >> 1)
        size = alpha / math.sqrt(len(tokens) * width)
        found[row, places] = (2 * torch.rand(len(tokens), width, generator=generator) - 1) * size
    return found
