"""What a stage will compute, from the lengths of its prepared rows, split into passes as training will split them.

The order in which an epoch draws its rows is another one than here; over an epoch that makes no difference that counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from statllama.config.protect import GenerationsSpec
from statllama.config.stage import TrainingSpec
from statllama.data.budget import split, split_joined
from statllama.data.generated import ROWS
from statllama.data.lengths import Lengths, Numbers
from statllama.data.replay import drawn
from statllama.data.work import Work
from statllama.stages import stage_module
from statllama.train.steps import rows_come_again

SAMPLED = 64  # optimizer steps whose passes are worked out; the others are as these are on average
WINDOW = 256  # rows of which a known reference makes passes together


@dataclass(frozen=True)
class StageWork:
    """A stage's counts: forward and backward, and forward alone."""

    trained: Work
    read: Work
    steps: int

    def __add__(self, other: StageWork) -> StageWork:
        """Return the sum."""
        return StageWork(self.trained + other.trained, self.read + other.read, self.steps + other.steps)

    def after(self, step: int) -> StageWork:
        """Return the counts of the steps after this one."""
        left = self.steps - step
        return StageWork(self.trained * (left / self.steps), self.read * (left / self.steps), left) if step else self

    def __mul__(self, factor: float) -> StageWork:
        """Return the counts of so many times the work, in as many steps."""
        return StageWork(self.trained * factor, self.read * factor, self.steps)


def expected(
    spec: TrainingSpec,
    rows: Lengths,
    steps: int,
    *,
    joined: bool,
    written: float = 1.0,
    replay: Lengths | None = None,
) -> StageWork:
    """Return what `steps` optimizer steps over prepared rows compute. `replay`: of the rows that are replayed.

    `joined`: whether passes hold rows without padding (`packed_attention.joins_rows`). `written`: of a grpo stage, the
    mean length of completions as a share of the longest that is allowed; some reach it, so generation goes on to it.
    """
    if spec.type == "grpo":
        return _rollouts(spec, rows, steps, written)
    known = bool(_reads(spec, known=False)) and rows_come_again(spec.train, len(rows))
    sampled = list(_batches(spec, rows, steps))
    trained = Work()
    for batch in sampled:
        trained += _passes(rows, batch, spec.train.micro_tokens, joined)
    trained = trained * (steps / len(sampled))
    read = trained * _reads(spec, known=known)
    if known:
        read += _reference(rows, spec.train.micro_tokens) * (_reads(spec, known=False) - _reads(spec, known=True))
    beside = _beside(spec, rows, sampled, steps, replay, joined)
    return StageWork(trained, read, steps) + beside * (steps / len(sampled))


def _beside(
    spec: TrainingSpec,
    rows: Lengths,
    sampled: Sequence[Sequence[int]],
    steps: int,
    replay: Lengths | None,
    joined: bool,
) -> StageWork:
    """Return what replay and anchor compute in the sampled steps; the anchor's parent reads what the policy trains
    on.
    """
    budget, found = spec.train.micro_tokens, StageWork(Work(), Work(), 0)
    for step, batch in zip(_sampled(steps), sampled, strict=True):
        if replay is not None and spec.replayed:
            items = drawn(spec.train.seed, len(replay), step, spec.replayed)
            work = _passes(replay, items, budget, joined)
            found += StageWork(work, work * (spec.anchored_on == "replay"), 0)
        if spec.anchored_on == "own":  # of a pair the chosen answer: about half of the logits
            work = _passes(Lengths(rows.tokens, rows.logits // rows.rows), batch, budget, joined)
            found += StageWork(work, work, 0)
    return found


def written(spec: GenerationsSpec, prompt: int, share: float, tries: float) -> Work:
    """Return what it takes to write the rows that a stage replays: so many `tries` for each, in batches of `ROWS`.

    `prompt`: tokens that an answer, or a user's text, follows; `share`: mean length of what is written, as one of the
    longest that is allowed.
    """
    length, batches = max(1, round(share * spec.max_tokens)), math.ceil(spec.count * tries / ROWS)
    found = Work.of_replies([length] * ROWS, prompt)
    if not spec.prompts:
        found += Work.of_replies([length] * ROWS, prompt + length)
    return found * batches


def _reads(spec: TrainingSpec, *, known: bool) -> int:
    """Return how many passes without gradients come with each one; `known`: where the reference is in the rows."""
    count = getattr(stage_module(spec.type), "reads", None)
    return int(count(spec, known)) if count else 0


def _sampled(steps: int) -> list[int]:
    """Return the numbers of at most `SAMPLED` of so many steps."""
    found: list[int] = np.unique(np.linspace(0, steps - 1, min(steps, SAMPLED)).astype(int)).tolist()
    return found


def _batches(spec: TrainingSpec, rows: Lengths, steps: int) -> Iterator[Sequence[int]]:
    """Yield the items of at most `SAMPLED` of a stage's steps, from all of its epochs."""
    count, size = len(rows), spec.train.batch_size
    per_epoch = max(1, -(-count // size))
    draw = np.random.default_rng(spec.train.seed)
    in_order = getattr(stage_module(spec.type), "IN_ORDER", False)

    def shuffled() -> Numbers:
        return np.arange(count) if in_order else draw.permutation(count)

    order, epoch = shuffled(), 0
    for step in _sampled(steps):
        while step // per_epoch > epoch:
            order, epoch = shuffled(), epoch + 1
        start = step % per_epoch * size
        yield order[start : start + size].tolist()


def _passes(rows: Lengths, items: Sequence[int], budget: int, joined: bool = False) -> Work:
    """Return the work of the passes over some items."""
    lengths = rows.tokens[items].tolist()
    found = Work()
    for group in split_joined(lengths, budget) if joined else split(lengths, budget, rows.rows):
        sizes, logits = [lengths[i] for i in group], float(rows.logits[[items[i] for i in group]].sum())
        if joined:
            found += Work(1, sum(sizes), sum(size**2 for size in sizes), logits)
        else:
            found += Work.of_rows(len(group) * rows.rows, max(sizes), logits)
    return found


def _reference(rows: Lengths, budget: int) -> Work:
    """Return one forward pass over all items, a window at a time."""
    starts = range(0, len(rows), WINDOW)
    chosen = starts if len(starts) <= SAMPLED else starts[:: len(starts) // SAMPLED]
    found = Work()
    for start in chosen:
        found += _passes(rows, list(range(start, min(start + WINDOW, len(rows)))), budget)
    return found * (len(starts) / len(chosen))


def _rollouts(spec: Any, rows: Lengths, steps: int, written: float) -> StageWork:
    """Return the work of a grpo stage: completions generated, read by the reference, and trained on."""
    limit, budget = spec.max_completion_length, spec.train.micro_tokens
    mean = max(1, round(written * limit))
    draw = np.random.default_rng(spec.train.seed)
    batches = min(max(1, steps // spec.iterations), SAMPLED)
    reads = (spec.beta > 0) + (spec.iterations > 1)
    trained, read = Work(), Work()
    for _ in range(batches):
        prompts = np.repeat(draw.choice(rows.tokens, spec.prompts_per_step), spec.generations)
        widest = int(prompts.max())
        for group in split((prompts + limit).tolist(), budget):
            read += Work.of_replies([limit] * len(group), int(prompts[group].max()))
        whole = max(1, budget // (widest + limit))
        for start in range(0, len(prompts), whole):
            count = len(prompts[start : start + whole])
            read += Work.of_rows(count, widest + limit, count * limit) * reads
        for group in split([widest + mean] * len(prompts), budget):
            trained += Work.of_rows(len(group), int(prompts[group].max()) + mean, len(group) * mean)
    return StageWork(trained * (steps / batches), read * (steps / spec.iterations / batches), steps)
