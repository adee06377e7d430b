"""The tokens that prompts of a benchmark start with: computed once for a model, then read by every pass.

A system prompt, examples, the head of the chat template. Their keys and values are computed in a row of their own, and
the other rows go on from there at their own positions, so each answer is what it is from a whole row, up to rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from statllama.data.budget import PASS_TOKENS

WORTH = 2 * PASS_TOKENS
"""Tokens that a prefix must save: it is a pass of its own, and splits its prompts' passes from the others'."""


# ------------------------------------------------------------------ which prompts share what


@dataclass(frozen=True)
class Group:
    """Prompts with a common prefix, token ids: empty where none is worth its pass. `numbers`: which prompts."""

    prefix: tuple[int, ...]
    numbers: tuple[int, ...]


def groups(prompts: Sequence[list[int]], worth: int = WORTH) -> list[Group]:
    """Divide prompts by the prefix that they share, where it saves at least `worth` tokens.

    A prefix ends before a prompt's last token, whose logits are asked for. In sorted order k prompts that share n
    tokens save (k - 1) n: a rectangle under the histogram of what neighbours share. The largest one is taken, then the
    largest ones on its left and right.
    """
    order = sorted(range(len(prompts)), key=prompts.__getitem__)
    shared = [_common(prompts[a], prompts[b]) for a, b in pairwise(order)]
    found, alone, waiting = [], [], [(0, len(order))]
    while waiting:
        start, end = waiting.pop()
        area, first, last, height = _largest_rectangle(shared[start : max(start, end - 1)])
        if area < worth:
            alone += order[start:end]
            continue
        members = order[start + first : start + last + 1]
        found.append(Group(tuple(prompts[members[0]][:height]), tuple(sorted(members))))
        waiting += [(start, start + first), (start + last + 1, end)]
    return [*found, Group((), tuple(sorted(alone)))] if alone else found


def _common(one: list[int], other: list[int]) -> int:
    """Return how many tokens two prompts start with alike, their last ones not counted."""
    longest = min(len(one), len(other)) - 1
    return next((i for i, (a, b) in enumerate(zip(one[:longest], other, strict=False)) if a != b), max(longest, 0))


def _largest_rectangle(heights: Sequence[int]) -> tuple[int, int, int, int]:
    """Return (area, first column, column behind the last, height) of the largest rectangle under a histogram."""
    best = (0, 0, 0, 0)
    rising: list[tuple[int, int]] = []  # (first column, height) of rectangles that may still grow
    for column, height in enumerate([*heights, 0]):
        first = column
        while rising and rising[-1][1] >= height:
            first, tall = rising.pop()
            best = max(best, (tall * (column - first), first, column, tall))
        rising.append((first, height))
    return best


# ------------------------------------------------------------------ what a model remembers of it


class Prefix:
    """The keys and values of a prefix in a causal model, computed in one pass over one row."""

    def __init__(self, model: Any, ids: Sequence[int]) -> None:
        """Take the prefix' token ids, at least one."""
        self.ids = list(ids)
        self._cache = DynamicCache(config=model.config)
        row = torch.tensor([self.ids], device=model.device)
        model(row, past_key_values=self._cache, use_cache=True, logits_to_keep=1)

    def __len__(self) -> int:
        return len(self.ids)

    def lend(self) -> Cache:
        """Return a cache for one forward pass of any number of rows, which keeps nothing of the pass."""
        return Cache(layers=[_Lent(layer) for layer in self._cache.layers])

    def copy(self, rows: int) -> DynamicCache:
        """Return a cache in which each of `rows` replies goes on from the prefix."""
        copied = copy.deepcopy(self._cache)
        copied.batch_repeat_interleave(rows)
        return copied


class _Lent(DynamicLayer):
    """One layer of a prefix. The keys and values of a pass stand behind it, and are forgotten with the pass."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.lazy_initialization(layer.keys, layer.values)
        self.keys, self.values = layer.keys, layer.values  # (1, heads, tokens, head size)

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Return the prefix' and the pass' keys and values, (rows, heads, tokens of both, head size)."""
        rows = len(key_states)
        return (
            torch.cat([self.keys.expand(rows, -1, -1, -1), key_states], -2),
            torch.cat([self.values.expand(rows, -1, -1, -1), value_states], -2),
        )
