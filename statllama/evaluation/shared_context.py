"""The log-likelihoods of several continuations of one context, from one row: the context is computed once.

Multiple choice asks for the likelihood of every choice after the same question, and lm-eval computes the question anew
for each choice, but for choices that differ in their last token alone. Here a row holds the context, the tokens that
all its continuations begin with (its stem), and what each goes on with (its tails). The positions of a tail go on from
the stem, and it sees the context, the stem and itself alone, so its likelihood is what it is in a row of its own, up to
rounding.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from statllama.evaluation.shared_prefix import Prefix
from statllama.model.architectures import architecture, supported
from statllama.model.layout import window_of

Answer = tuple[float, bool]
"""Log-likelihood of a continuation in nats, and whether greedy decoding would say it."""
Pair = tuple[list[int], list[int]]
"""A context and a continuation of it, token ids, at least one each."""


@dataclass(frozen=True)
class Fork:
    """A row: a trunk, which is the context and its stem, and tails. `numbers`: which request each continuation is.

    The last token of a continuation predicts nothing that is asked, so it is in no row.
    """

    trunk: list[int]
    start: int
    """Tokens of the context."""
    continuations: tuple[list[int], ...]
    numbers: tuple[int, ...]

    @property
    def stem(self) -> int:
        """Return how many tokens all continuations begin with."""
        return len(self.trunk) - self.start

    @property
    def tails(self) -> list[list[int]]:
        """Return each continuation behind the stem, without its last token."""
        return [continuation[self.stem : -1] for continuation in self.continuations]

    @property
    def length(self) -> int:
        """Return the tokens of the row."""
        return len(self.trunk) + sum(map(len, self.tails))

    @property
    def branches(self) -> bool:
        """Return whether the row holds tails that must not see each other."""
        return sum(map(bool, self.tails)) > 1


def takes_forks(model: Any) -> bool:
    """Return whether a model sees what a mask of (batch, 1, queries, keys) says.

    Not with flash-attention. Nor with a sliding window: Unsloth counts it by places in the row, and continuations do
    not stand beside what they go on from.
    """
    config = model.config
    known = config.model_type in supported() and architecture(config.model_type).shared_rows
    attends = getattr(config, "_attn_implementation", None) in ("sdpa", "eager")
    return known and attends and window_of(config) is None


def takes_prefix(model: Any) -> bool:
    """Return whether a model goes on, by many tokens at once, from keys and values that it is given.

    As `takes_forks`, and with Transformers alone: Unsloth's forward pass over a cache takes one token.
    """
    return takes_forks(model) and "unsloth" not in sys.modules


def forks(pairs: Sequence[Pair], longest: int, branching: bool = True) -> list[Fork]:
    """Return the (context, continuation) pairs in rows, those of one context together.

    A row is of at most `longest` tokens, unless a pair alone is longer. Without `branching` pairs share a row only if
    they differ in their last token alone, as in lm-eval.
    """
    same: dict[tuple[tuple[int, ...], ...], list[int]] = defaultdict(list)
    for number, (context, continuation) in enumerate(pairs):
        same[tuple(context), () if branching else tuple(continuation[:-1])].append(number)
    found = []
    for numbers in same.values():
        row = fork_of(pairs, numbers[:1])
        for number in numbers[1:]:
            wider = fork_of(pairs, [*row.numbers, number])
            if wider.length > longest:
                found.append(row)
                wider = fork_of(pairs, [number])
            row = wider
        found.append(row)
    return found


def fork_of(pairs: Sequence[Pair], numbers: Sequence[int]) -> Fork:
    """Return the row of these pairs, all of which have the same context."""
    context, continuations = pairs[numbers[0]][0], tuple(pairs[number][1] for number in numbers)
    stem = 0
    for tokens in zip(*(continuation[:-1] for continuation in continuations), strict=False):
        if len(set(tokens)) > 1:
            break
        stem += 1
    return Fork([*context, *continuations[0][:stem]], len(context), continuations, tuple(numbers))


# ------------------------------------------------------------------ a batch of rows


@dataclass(frozen=True)
class Layout:
    """A batch of B rows of L tokens behind a prefix of P."""

    ids: Tensor
    """Int64, (B, L)."""
    positions: Tensor
    """Int64, (B, L)."""
    seen: Tensor | None
    """Who sees whom, bool (B, L, P + L); None where each token sees all before it."""
    ends: list[int]
    """The place behind each row's trunk."""
    tails: list[list[int]]
    """The place where each tail of each row begins."""


def layout(batch: Sequence[Fork], pad_id: int, known: int = 0) -> Layout:
    """Lay the rows out without their first `known` tokens, which are a prefix computed before.

    Rows that do not branch are padded on the right. Otherwise all rows end together, padded on the left, and padding is
    seen by padding alone. No batch is wider than its longest row: Unsloth cuts it at the model's maximum length.
    """
    branching = any(fork.branches for fork in batch)
    width = max(fork.length for fork in batch) - known
    ids, positions = torch.full((len(batch), width), pad_id), torch.zeros(len(batch), width, dtype=torch.int64)
    part = torch.full((len(batch), width), -1)  # padding; 0 is the trunk, 1 and on its tails
    ends: list[int] = []
    tails: list[list[int]] = []
    for row, fork in enumerate(batch):
        trunk = len(fork.trunk) - known
        ends.append(width - sum(map(len, fork.tails)) if branching else trunk)
        pieces, at = [(ends[-1] - trunk, known, fork.trunk[known:])], ends[-1]
        tails.append([])
        for tail in fork.tails:
            tails[-1].append(at)
            pieces.append((at, len(fork.trunk), tail))
            at += len(tail)
        for number, (start, position, tokens) in enumerate(pieces):
            place = slice(start, start + len(tokens))
            ids[row, place] = torch.tensor(tokens, dtype=torch.int64)
            positions[row, place] = torch.arange(position, position + len(tokens))
            part[row, place] = number
    return Layout(ids, positions, _seen(part, known) if branching else None, ends, tails)


def _seen(part: Tensor, known: int) -> Tensor:
    keys, queries = part[:, None, :], part[:, :, None]
    width = part.shape[1]
    before = torch.ones(width, width, dtype=torch.bool).tril()
    inside = before & ((keys == queries) | ((keys == 0) & (queries >= 0)))
    prefix = torch.ones(len(part), width, known, dtype=torch.bool)
    return torch.cat([prefix, inside], -1)


def likelihoods(model: Any, batch: Sequence[Fork], pad_id: int, prefix: Prefix | None = None) -> list[list[Answer]]:
    """Return the answers of each fork's continuations, by one forward pass of a causal model.

    `prefix`: what all trunks start with, computed before; each context is longer.
    """
    known = len(prefix) if prefix is not None else 0
    rows = layout(batch, pad_id, known)
    options: dict[str, Any] = {"use_cache": False}
    if prefix is not None:
        options["past_key_values"] = prefix.lend()
    if rows.seen is not None:
        dtype = model.get_input_embeddings().weight.dtype
        mask = torch.zeros(rows.seen.shape, dtype=dtype).masked_fill(~rows.seen, torch.finfo(dtype).min)
        options |= {"attention_mask": mask[:, None].to(model.device), "position_ids": rows.positions.to(model.device)}
    width = rows.ids.shape[1]
    # Logits of all positions would take rows x width x vocabulary floats: keep the last, those that are asked for.
    first = min(end - fork.stem - 1 for fork, end in zip(batch, rows.ends, strict=True))
    logits = model(rows.ids.to(model.device), logits_to_keep=width - first, **options).logits
    found: list[tuple[Tensor, Tensor]] = []  # (rows, width - first, vocabulary) to scalars
    for row, fork, end, tails in zip(logits, batch, rows.ends, rows.tails, strict=True):
        found += _answers(row, fork, end - first, [tail - first for tail in tails])
    sums, greedy = (torch.stack(values).tolist() for values in zip(*found, strict=True))
    answers = zip(sums, greedy, strict=True)
    return [[next(answers) for _ in fork.continuations] for fork in batch]


def _answers(logits: Tensor, fork: Fork, end: int, tails: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each continuation's log-likelihood and whether it is greedy. `logits`: (places, vocabulary) of a row."""
    for continuation, at in zip(fork.continuations, tails, strict=True):
        behind = len(continuation) - 1 - fork.stem
        places = [*range(end - fork.stem - 1, end), *range(at, at + behind)]
        wanted = torch.tensor(continuation, device=logits.device)
        chances = logits[places].log_softmax(-1, dtype=torch.float32)
        yield chances.gather(1, wanted[:, None]).sum(), (chances.argmax(-1) == wanted).all()
