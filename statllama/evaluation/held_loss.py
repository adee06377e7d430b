"""Losses of held-out rows: how well a model predicts the supervised tokens of rows that no stage trained on.

A row's loss is the sum over its supervised tokens t of -ln p(t | all tokens before it), in nats; that of a set of rows
is their sum over the number of supervised tokens in all of them, as a trainer's evaluation loss over one batch. Of a
preference pair both completions count, each behind the prompt. Used by the scores of stacks and while a stage trains.
"""

from __future__ import annotations

import gc
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from statllama.data.budget import out_of_memory, split
from statllama.data.encode import Kind
from statllama.data.fit import IGNORED
from statllama.data.work import Work
from statllama.errors import EvaluationError

CELLS = 2**25  # logits in float32 at once, 128 MB: 261 positions at a vocabulary of 128,256
CPU_PASS = 1024  # tokens that a CPU takes at once: with more, its caches are too small

Row = Mapping[str, Sequence[int]]
"""A row of a prepared dataset: `input_ids` and `labels`, or `prompt_ids`, `chosen_ids` and `rejected_ids`."""


@dataclass(frozen=True)
class RowLoss:
    """The loss of one row, or of one completion of a pair."""

    loss: float
    """Sum over the supervised tokens, nats. Not a number where a logit is none."""
    tokens: int
    """Supervised tokens; the first of a row is never among them."""

    @property
    def mean(self) -> float:
        """Return the loss per supervised token; 0 without any."""
        return self.loss / self.tokens if self.tokens else 0.0


Loss = RowLoss | tuple[RowLoss, RowLoss]
"""Of a row, or of a pair the chosen completion's and the rejected one's."""


def per_token(losses: Sequence[RowLoss]) -> float:
    """Return the loss of a set of rows: nats per supervised token, over all of them.

    >>> per_token([RowLoss(3.0, 2), RowLoss(1.0, 2)])
    1.0
    """
    return math.fsum(row.loss for row in losses) / sum(row.tokens for row in losses)


def prefers(pair: tuple[RowLoss, RowLoss]) -> bool:
    """Return whether the chosen completion is likelier than the rejected one, by the mean of its tokens."""
    return pair[0].mean < pair[1].mean


def row_losses(
    model: nn.Module,
    rows: Sequence[Row],
    kind: Kind,
    *,
    micro_tokens: int,
    pad: int,
    on_row: Callable[[int, Loss], None] = lambda number, loss: None,
    on_pass: Callable[[Work], None] = lambda work: None,
    on_short: Callable[[int], None] = lambda tokens: None,
) -> list[Any]:
    """Return the losses of rows in their order: RowLoss, or for `preferences` (chosen, rejected) of each.

    `model`: a causal model, with or without a stack on it; its modes, weights and the random state are as before when
    this returns or raises. `micro_tokens`: tokens of a forward pass, padding included; halved when memory runs out,
    which `on_short` is told. `pad`: a token id. `on_row` gets (number of the row, its loss) as soon as it is known,
    `on_pass` the work of each pass. EvaluationError where a single row does not fit into memory.
    """
    sequences = _sequences(rows, kind)
    each = len(sequences) // len(rows) if rows else 1
    known: dict[int, RowLoss] = {}
    found: dict[int, Loss] = {}
    with torch.no_grad(), evaluating(model):
        for done in _passes(model, sequences, micro_tokens, pad, on_pass, on_short):
            known |= done
            for row in sorted({number // each for number in done}):
                parts = [known[number] for number in range(row * each, (row + 1) * each) if number in known]
                if len(parts) == each:
                    found[row] = (parts[0], parts[1]) if each == 2 else parts[0]
                    on_row(row, found[row])
    return [found[number] for number in range(len(rows))]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model into evaluation mode; each module then gets back its mode."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


Sequenced = tuple[list[int], list[int]]
"""Token ids of a sequence, and its labels: IGNORED without loss."""


def planned_work(rows: Sequence[Row], kind: Kind, micro_tokens: int, *, on_cpu: bool) -> Work:
    """Return what `row_losses` computes where memory suffices."""
    chosen = [row for row in _sequences(rows, kind) if _supervised(row)]
    lengths, total = [len(ids) for ids, _ in chosen], Work()
    for one in split(lengths, min(micro_tokens, CPU_PASS) if on_cpu else micro_tokens):
        asked = sum(label != IGNORED for row in one for label in chosen[row][1][1:])
        total += Work.of_rows(len(one), max(lengths[row] for row in one), asked)
    return total


def _sequences(rows: Sequence[Row], kind: Kind) -> list[Sequenced]:
    """Return what is put into passes: a row each, of a pair two, the chosen completion first."""
    if kind == "preferences":
        sides = ("chosen_ids", "rejected_ids")
        return [_completion(row["prompt_ids"], row[side]) for row in rows for side in sides]
    return [(list(row["input_ids"]), list(row["labels"])) for row in rows]


def _completion(prompt: Sequence[int], completion: Sequence[int]) -> Sequenced:
    return [*prompt, *completion], [*[IGNORED] * len(prompt), *completion]


def _passes(
    model: nn.Module,
    sequences: Sequence[Sequenced],
    micro_tokens: int,
    pad: int,
    on_pass: Callable[[Work], None],
    on_short: Callable[[int], None],
) -> Iterator[dict[int, RowLoss]]:
    """Yield {number: loss} of the sequences of each forward pass, the longest first."""
    device = next(model.parameters()).device
    budget = min(micro_tokens, CPU_PASS) if device.type == "cpu" else micro_tokens
    waiting = set(range(len(sequences)))
    if alone := {number for number in waiting if not _supervised(sequences[number])}:
        yield dict.fromkeys(sorted(alone), RowLoss(0.0, 0))
        waiting -= alone
    while waiting:
        numbers = sorted(waiting)
        lengths = [len(sequences[number][0]) for number in numbers]
        for one in sorted(split(lengths, budget), key=lambda rows: -max(lengths[row] for row in rows)):
            group, width = [numbers[row] for row in one], max(lengths[row] for row in one)
            try:
                losses = _of_pass(model, [sequences[number] for number in group], width, pad, device)
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                losses = None
            if losses is None:  # outside the `except`: its traceback holds the pass
                budget = _less(len(group), width, budget)
                on_short(budget)
                break
            on_pass(Work.of_rows(len(group), width, sum(loss.tokens for loss in losses)))
            waiting -= set(group)
            yield dict(zip(group, losses, strict=True))


def _supervised(sequence: Sequenced) -> bool:
    return any(label != IGNORED for label in sequence[1][1:])


def _less(rows: int, width: int, budget: int) -> int:
    """Return half the budget of a pass of so many rows. EvaluationError when it was one."""
    if rows == 1:
        raise EvaluationError(
            f"out of memory in a forward pass of a single held-out row of {width:,} tokens",
            remedy="lower `train.max_length` of its stage, or use a smaller base",
        )
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return max(1, min(rows * width, budget) // 2)


def _of_pass(model: nn.Module, batch: Sequence[Sequenced], width: int, pad: int, device: torch.device) -> list[RowLoss]:
    """Return the losses of some sequences by one forward pass."""
    # Padded on the right and without a mask: no position sees what comes after it.
    ids = torch.tensor([row + [pad] * (width - len(row)) for row, _ in batch], device=device)
    labels = torch.tensor([row + [IGNORED] * (width - len(row)) for _, row in batch], device=device)[:, 1:]
    hidden, head = _hidden(model, ids)
    rows, places = (labels != IGNORED).nonzero(as_tuple=True)
    wanted = labels[rows, places]
    step = max(1, CELLS // int(head.weight.shape[0]))
    sums, counts = defaultdict[int, list[float]](list), labels.ne(IGNORED).sum(1).tolist()
    for start in range(0, len(rows), step):
        piece = slice(start, start + step)
        logits = head(hidden[rows[piece], places[piece]]).float()  # (positions, vocabulary)
        nats = nn.functional.cross_entropy(logits, wanted[piece], reduction="none")
        for row, value in zip(rows[piece].tolist(), nats.tolist(), strict=True):
            sums[row].append(value)
    return [RowLoss(math.fsum(sums[row]), int(counts[row])) for row in range(len(batch))]


def _hidden(model: Any, ids: Tensor) -> tuple[Tensor, Any]:
    """Return the last hidden states, (rows, width, size), and the head that makes logits of them.

    The head is let see one position alone: logits of all of them would take rows x width x vocabulary numbers. So the
    model is called as a whole, whatever library has rewritten its parts.
    """
    head = model.get_output_embeddings()
    seen: list[Tensor] = []

    def first(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        seen.append(inputs[0])
        return (inputs[0][:, :1],)

    handle = head.register_forward_pre_hook(first)
    try:
        model(input_ids=ids, use_cache=False)
    finally:
        handle.remove()
    return seen[0], head
