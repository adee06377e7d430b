"""The log-likelihoods of several continuations of one context, from one row: the context is computed once.

Multiple choice asks for the likelihood of every choice after the same question, and lm-eval computes the question anew
for each. Here a row holds the context and all its continuations. The positions of each go on from the context, and it
sees the context and itself alone, so its likelihood is what it is in a row of its own, up to rounding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from statllama.model.architectures import architecture, supported
from statllama.model.layout import window_of

Answer = tuple[float, bool]
"""Log-likelihood of a continuation in nats, and whether greedy decoding would say it."""


@dataclass(frozen=True)
class Fork:
    """A context and continuations of it, token ids. `numbers`: which request each continuation is."""

    context: Sequence[int]
    continuations: tuple[Sequence[int], ...]
    numbers: tuple[int, ...]

    @property
    def length(self) -> int:
        """Return the tokens of its row: the last one of a continuation predicts nothing that is asked."""
        return len(self.context) + sum(len(c) - 1 for c in self.continuations)


def takes_forks(model: Any) -> bool:
    """Return whether a model sees what a mask of (batch, 1, queries, keys) says.

    Not with flash-attention. Nor with a sliding window: Unsloth counts it by places in the row, and continuations do
    not stand beside what they go on from.
    """
    config = model.config
    known = config.model_type in supported() and architecture(config.model_type).shared_rows
    attends = getattr(config, "_attn_implementation", None) in ("sdpa", "eager")
    return known and attends and window_of(config) is None


def forks(pairs: Sequence[tuple[Sequence[int], Sequence[int]]], longest: int) -> list[Fork]:
    """Return the (context, continuation) pairs that share a context with others, in rows of at most `longest` tokens.

    A pair that shares with none, or does not fit beside another, is in no fork. Nor are continuations of one token
    each: lm-eval reads them all from the context's last logits, without a mask.
    """
    same: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, (context, _) in enumerate(pairs):
        same[tuple(context)].append(number)
    found = []
    for context, numbers in same.items():
        row: list[int] = []
        for number in numbers:
            wider = fork_of(context, pairs, [*row, number])
            if wider.length > longest:
                found.append(fork_of(context, pairs, row))
                row = []
            row.append(number)
        found.append(fork_of(context, pairs, row))
    return [fork for fork in found if len(fork.numbers) > 1 and fork.length > len(fork.context)]


def fork_of(
    context: Sequence[int], pairs: Sequence[tuple[Sequence[int], Sequence[int]]], numbers: Sequence[int]
) -> Fork:
    """Return the fork of these pairs, all of which have this context."""
    return Fork(context, tuple(pairs[number][1] for number in numbers), tuple(numbers))


def batches(found: Sequence[Fork], size: int) -> Iterator[list[Fork]]:
    """Yield the forks of like length together, the longest first.

    A batch takes no more places than `size` rows of the longest context with its longest continuation would.
    """
    batch: list[Fork] = []
    room = 0
    for fork in sorted(found, key=lambda f: -f.length):
        if batch and (len(batch) + 1) * sum(_widths([*batch, fork])) > room:
            yield batch
            batch = []
        if not batch:
            room = size * max(len(fork.context) + len(c) - 1 for c in fork.continuations)
        batch.append(fork)
    if batch:
        yield batch


def _widths(batch: Sequence[Fork]) -> tuple[int, int]:
    """Return the most tokens of a context, and of a fork's continuations."""
    return max(len(f.context) for f in batch), max(f.length - len(f.context) for f in batch)


def layout(batch: Sequence[Fork], pad_id: int) -> tuple[Tensor, Tensor, Tensor, int]:
    """Return the ids and positions, int64 (B, L); who sees whom, bool (B, L, L); and the place where all contexts end.

    Contexts are padded on the left, continuations on the right. Padding is seen by padding alone.
    """
    end, after = _widths(batch)
    width = end + after
    ids = torch.full((len(batch), width), pad_id)
    positions = torch.zeros(len(batch), width, dtype=torch.int64)
    part = torch.full((len(batch), width), -1)  # padding; 0 is the context, 1 and on its continuations
    for row, fork in enumerate(batch):
        length = len(fork.context)
        pieces = [(end - length, 0, fork.context)]
        at = end
        for continuation in fork.continuations:
            pieces.append((at, length, continuation[:-1]))
            at += len(continuation) - 1
        for number, (start, position, tokens) in enumerate(pieces):
            place = slice(start, start + len(tokens))
            ids[row, place] = torch.tensor(tokens, dtype=torch.int64)
            positions[row, place] = torch.arange(position, position + len(tokens))
            part[row, place] = number
    keys, queries = part[:, None, :], part[:, :, None]
    before = torch.ones(width, width, dtype=torch.bool).tril()
    return ids, positions, before & ((keys == queries) | ((keys == 0) & (queries >= 0))), end


def likelihoods(model: Any, batch: Sequence[Fork], pad_id: int) -> list[list[Answer]]:
    """Return the answers of each fork's continuations, by one forward pass of a causal model."""
    ids, positions, seen, end = layout(batch, pad_id)
    dtype = model.get_input_embeddings().weight.dtype
    mask = torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)
    device = model.device
    logits = model(
        ids.to(device),
        attention_mask=mask[:, None].to(device),
        position_ids=positions.to(device),
        use_cache=False,
        logits_to_keep=ids.shape[1] - end + 1,
    ).logits  # (B, 1 + tokens of the continuations, vocabulary): the first is of the context's last token
    return [list(_answers(fork, row)) for fork, row in zip(batch, logits, strict=True)]


def _answers(fork: Fork, logits: Tensor) -> Iterator[Answer]:
    at = 1
    for continuation in fork.continuations:
        places = [0, *range(at, at + len(continuation) - 1)]
        at += len(continuation) - 1
        wanted = torch.tensor(continuation, device=logits.device)
        chances = logits[places].log_softmax(-1, dtype=torch.float32)
        likelihood = chances.gather(1, wanted[:, None]).sum()
        yield float(likelihood), bool((chances.argmax(-1) == wanted).all())
