"""Replies of a model to prompts of token ids, greedily or drawn, in one batch that shrinks as they end.

lm-eval goes on with a reply that has said a stop string until all replies of its batch have, so how long it computes,
and what it reports of a reply that said a special token, depends on what else is in the batch. Here each reply ends
with the token that completes a stop string, as in lm-eval with a batch of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from statllama.evaluation.sampling import Drawn
from statllama.evaluation.shared_prefix import Prefix

# Options of generation that count from where a call of `generate` starts: with one of them it is called once.
ONE_GO = ("begin_suppress_tokens", "exponential_decay_length_penalty", "min_new_tokens", "num_beams")


@dataclass(frozen=True)
class Manner:
    """How to reply: until which strings, by at most how many tokens, and Transformers' other options."""

    stops: tuple[str, ...]
    longest: int
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn. `numbers`: what they are picked by (`uniforms`), (prompts, places), in [0, 1)."""

    numbers: Tensor
    temperature: float
    top_p: float

    def behind(self, start: int) -> Drawn:
        """Return what draws, behind prompts that are padded to so many tokens."""
        return Drawn(self.numbers, start, self.temperature, self.top_p)

    def of(self, rows: slice) -> Sampling:
        """Return the same for some of the prompts."""
        return replace(self, numbers=self.numbers[rows])


@dataclass(frozen=True)
class Reply:
    """Token ids of a reply with what ended it, if it `ended` by itself. `number`: which prompt it is to."""

    number: int
    ids: list[int]
    ended: bool


class _Ends(StoppingCriteria):  # type: ignore[misc, unused-ignore]
    """Notes how many tokens each reply has when it ends.

    With `shrinks` it stops the whole batch once half of it has ended, for the other half to go on by itself.
    """

    def __init__(self, model: Any, tokenizer: Any, stops: Sequence[str], start: int, shrinks: bool) -> None:
        ends = model.generation_config.eos_token_id
        self.eos = {ends} if isinstance(ends, int) else set(ends or ())
        self.tokenizer, self.stops, self.start, self.shrinks = tokenizer, stops, start, shrinks
        # A stop string may come in other tokens than the tokenizer's own: lm-eval looks two further back.
        spelled = [tokenizer.encode(stop, add_special_tokens=False) for stop in stops]
        self.back = 2 + max(map(len, spelled), default=0)
        self.lengths: list[int | None] = []
        self.halted = False

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        """Return which rows have ended, bool (rows,)."""
        if not self.lengths:
            self.lengths = [None] * len(input_ids)
        if not self.halted:
            self._look(input_ids[:, self.start :])
            ended = len(self.lengths) - self.lengths.count(None)
            self.halted = ended == len(self.lengths) or (self.shrinks and 2 * ended >= len(self.lengths))
        done = [self.halted or length is not None for length in self.lengths]
        return torch.tensor(done, device=input_ids.device)

    def _look(self, replies: Tensor) -> None:
        tails = replies[:, -self.back :].tolist()
        going = [row for row, length in enumerate(self.lengths) if length is None]
        texts = self.tokenizer.batch_decode([tails[row] for row in going])
        for row, text in zip(going, texts, strict=True):
            if tails[row][-1] in self.eos or any(stop in text for stop in self.stops):
                self.lengths[row] = replies.shape[1]


def replies(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[list[int]],
    manner: Manner,
    prefix: Prefix | None = None,
    caches: bool = False,
    sampling: Sampling | None = None,
) -> Iterator[Reply]:
    """Yield the replies to a batch of prompts as they end.

    `prefix`: what all prompts start with, computed before; each is longer. `caches`: whether the model goes on from a
    cache that it is given (`takes_prefix`); without it the batch stays whole to its end. `sampling`: draws tokens;
    None: as `manner` has it.
    """
    ids, seen = padded(prompts, tokenizer.pad_token_id, prefix)
    ids, seen = ids.to(model.device), seen.to(model.device)
    start, numbers = ids.shape[1], list(range(len(prompts)))
    drawn = None if sampling is None else sampling.behind(start)
    shrinks = caches and _starts_anywhere(model, manner)
    cache = prefix.copy(len(prompts)) if prefix is not None else None
    if cache is None and shrinks:
        cache = DynamicCache(config=model.config)
    while numbers:
        ends = _Ends(model, tokenizer, manner.stops, start, shrinks)
        rows = model.generate(
            input_ids=ids,
            attention_mask=seen,
            max_length=start + manner.longest,
            stopping_criteria=StoppingCriteriaList([ends]),
            pad_token_id=tokenizer.pad_token_id,
            use_cache=True,
            **({"past_key_values": cache} if cache is not None else {}),
            **({"logits_processor": LogitsProcessorList([drawn])} if drawn is not None else {}),
            **manner.options,
        )
        full = rows.shape[1] == start + manner.longest
        lengths = ends.lengths if len(ends.lengths) == len(rows) else [None] * len(rows)  # beams are more than rows
        going = []
        for row, (number, length) in enumerate(zip(numbers, lengths, strict=True)):
            if length is None and shrinks and not full:
                going.append(row)
            else:
                yield Reply(number, rows[row, start:][:length].tolist(), length is not None or not full)
        numbers = [numbers[row] for row in going]
        if numbers and cache is not None:
            kept = torch.tensor(going, device=ids.device)
            ids = rows[kept]
            seen = torch.cat([seen[kept], seen.new_ones(len(going), rows.shape[1] - seen.shape[1])], -1)
            cache.batch_select_indices(kept)
            drawn = None if drawn is None else drawn.of(going)


def padded(prompts: Sequence[list[int]], pad_id: int, prefix: Prefix | None) -> tuple[Tensor, Tensor]:
    """Return prompts of one width, and what of it they are: int64, (rows, width) each.

    Padding stands on the left, behind the prefix: that is where its keys and values are.
    """
    known = len(prefix) if prefix is not None else 0
    width = max(map(len, prompts))
    ids, seen = torch.full((len(prompts), width), pad_id), torch.ones(len(prompts), width, dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        start = known + width - len(prompt)
        ids[row, :known] = torch.tensor(prompt[:known], dtype=torch.int64)
        ids[row, start:] = torch.tensor(prompt[known:], dtype=torch.int64)
        seen[row, known:start] = 0
    return ids, seen


def _starts_anywhere(model: Any, manner: Manner) -> bool:
    """Return whether generation that is taken up again says what it would have said in one go."""
    given = {name: getattr(model.generation_config, name, None) for name in ONE_GO} | dict(manner.options)
    return all(given.get(name) in (None, 1) for name in ONE_GO)
