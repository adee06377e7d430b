"""One optimizer step as several forward passes: whatever the passes, its loss is the mean over its rows or tokens.

Transformers sees the effective batch as one batch, with accumulation 1. `training_step` gets all of its rows, splits
them by the token budget, and weighs each pass by its share. A step that runs out of memory is taken again as a whole,
in smaller passes: gradients, random numbers and figures are put back first, so that nothing of the failed try remains.

On several ranks each has the whole step's rows too, takes its share of them, and gets the sum of all gradients: what is
counted, and so each pass's share of the loss, is counted over all ranks.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from statllama.data.budget import deal, out_of_memory, split, split_joined
from statllama.data.collate import real_tokens
from statllama.data.replay import language_row
from statllama.data.work import Work
from statllama.errors import TrainingError
from statllama.train.ranks import Ranks, ShortOfMemory

Batch = dict[str, Any]
Row = Mapping[str, Any]
Seen = tuple[dict[str, float], dict[str, float]]
"""Figures of a pass, and what each is a mean over: see `averaged`."""


def free_memory() -> None:
    """Give back what a try that ran out of memory held. Call it outside the `except`: its traceback holds the graph."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@dataclass(frozen=True)
class StepRows:
    """The dataset's rows of one optimizer step. No tensor and no container, so that accelerate passes it on as it is.

    Used as the trainer's collator: `data_collator=StepRows`.
    """

    rows: Sequence[Row]


@dataclass(frozen=True)
class Pass:
    """What one forward pass gets: its collated rows, and how many rows or pairs they are."""

    batch: Batch
    items: int
    tokens: int
    """Tokens computed, padding included."""
    pairs: int
    """Over its rows, the square of the tokens that attend to each other."""


@dataclass(frozen=True)
class _Before:
    """What a step changes besides gradients: random states, TRL's figures, token counts."""

    cpu: torch.Tensor
    cuda: list[torch.Tensor]
    figures: dict[str, int]
    counted: Any
    tokens: Any


class Beside(Protocol):
    """What a step does beside its own rows: see `sides.Sides`."""

    def take(self, trainer: Any, model: Any, own: Sequence[Row]) -> None:
        """Add the gradients of further losses."""


class StepTrainer:
    """Mixed into TRL's trainers, before them. A stage type says how rows are measured, collated and counted."""

    micro_tokens: int
    """The budget: tokens of a forward pass at most, padding included. Halved when memory runs out."""
    share = 1.0
    """Of the step's items, those of the pass under way: `compute_loss` multiplies a mean over the pass by it."""
    tokens: Any = 0
    trained: Work = Work()
    """What has been computed forward and backward so far, and `read`: forward alone, as a reference is."""
    read: Work = Work()
    reads = 0
    """Forward passes without gradients that each pass comes with, such as the reference's."""
    rows_per_item = 1
    """Rows that stay together: 2 for a preference pair."""
    sides: Beside | None = None
    """Passes over rows beside the step's own; None: there are none."""
    _held = Pass({}, 1, 0, 0)
    """The pass under way."""
    _agreed = (Work(), Work())
    """`trained` and `read` when the ranks last told each other of theirs."""

    # ------------------------------------------------------------------ what a stage type gives

    def passes(self, step: Any) -> list[Pass]:
        """Split a step into forward passes under the budget. `step`: what `step_of` returns."""
        raise NotImplementedError

    def step_of(self, inputs: Any) -> Any:
        """Return what the step trains on, from what the data loader gives."""
        return inputs.rows

    def lengths(self, step: Any) -> list[int]:
        """Return the tokens of the longest row of each of a step's items."""
        raise NotImplementedError

    def part(self, step: Any, items: Sequence[int]) -> Any:
        """Return some items of a step, as a step."""
        return [step[i] for i in items]

    def supervised(self, passes: Sequence[Pass]) -> torch.Tensor | None:
        """Return the number of tokens that the loss is the mean over; None where it is a mean over items."""
        return None

    def counts(self, one: Pass) -> dict[str, float]:
        """Return what TRL's figures of a pass are means over: at least `items` and `tokens` that carry loss."""
        raise NotImplementedError

    def before_step(self, model: Any, step: Any) -> None:
        """Act before each step's gradients are computed. `step`: what `step_of` returned."""

    def own_rows(self, step: Any) -> Sequence[Row]:
        """Return the step's rows as rows with labels: what an anchor on a stage's own tokens is taken on."""
        return [language_row(row) for row in step if row.get("label", True)]

    def floating_point_ops(self, inputs: Any) -> int:
        """Return 0: Transformers' estimate takes tensors, and nothing reads it."""
        return 0

    # ------------------------------------------------------------------ the step

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, *_: Any) -> tuple[list[Any], None]:
        """Return the next steps' rows. What the loss is divided by is counted in `training_step`, after collating."""
        found = []
        for _one in range(num_batches):
            try:
                found.append(next(epoch_iterator))
            except StopIteration:
                break
        return found, None

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Compute the gradients of one optimizer step, pass by pass, and return its loss, ()."""
        model.train()
        step = self.step_of(inputs)
        self.before_step(model, step)
        while True:
            before, passes = self._before(), self._own_passes(step)
            try:
                with self.own_draws():
                    loss = self._take(model, passes)
                    if self.sides is not None:
                        self.sides.take(self, model, self.own_rows(step))
                return self._summed(model, loss)
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                held = error.held if isinstance(error, ShortOfMemory) else None
            # Outside the `except`: its traceback holds the graph.
            self._put_back(model, before)
            self._shrink(held or self._tell_short())

    def _own_passes(self, step: Any) -> list[Pass]:
        """Return the passes over this rank's share of a step; none where there are fewer items than ranks."""
        ranks = self._ranks
        if ranks.size == 1:
            return self.passes(step)
        items = deal(self.lengths(step), self.micro_tokens, ranks.size, self.rows_per_item)[ranks.rank]
        return self.passes(self.part(step, items)) if items else []

    def _take(self, model: Any, passes: Sequence[Pass]) -> torch.Tensor:
        counted, items = self._counted(passes)
        figures: Any = self._metrics["train"]  # type: ignore[attr-defined]
        total = torch.zeros((), device=model.device)
        seen: list[Seen] = []
        tokens, in_all = self.tokens, getattr(self, "_total_train_tokens", None)
        for one in passes:
            self.share, self._held = one.items / items, one
            lengths = {name: len(values) for name, values in figures.items()}
            self.tokens = self.tokens + self.real_tokens(one)
            total = total + self.pass_step(model, one.batch, counted)
            fresh = [n for n in figures if n != "num_tokens" and len(figures[n]) > lengths.get(n, 0)]
            added, counts = {name: figures[name].pop() for name in fresh}, self.counts(one)
            seen.append((added, counts))
            self._count(Work(1, one.tokens, one.pairs, counts["tokens"]))
        if self._ranks.size > 1:
            seen = self._of_all(seen, tokens, in_all)
        for name, value in averaged(seen).items():
            figures[name].append(value)
        return total

    def count_from(self, trained: Work, read: Work) -> None:
        """Go on from what a checkpoint had counted, of all ranks."""
        self.trained, self.read = self._agreed = trained, read

    def _count(self, done: Work) -> None:
        self.trained, self.read = self.trained + done, self.read + done * self.reads

    # ------------------------------------------------------------------ over all ranks

    @property
    def _ranks(self) -> Ranks:
        ranks: Ranks = self.job.ranks  # type: ignore[attr-defined]
        return ranks

    @contextmanager
    def own_draws(self) -> Iterator[None]:
        """Give each of several ranks random numbers of its own for this step's dropout, and leave the stream that all
        share, which is in the checkpoint, as it is.
        """
        ranks: Ranks = self._ranks
        if ranks.size == 1:
            yield
            return
        key = [self.job.spec.train.seed, self.state.global_step, ranks.rank]  # type: ignore[attr-defined]
        with torch.random.fork_rng():
            torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
            yield

    def _counted(self, passes: Sequence[Pass]) -> tuple[torch.Tensor | None, int]:
        """Return what the step's loss is divided by: tokens that carry loss, where they count, and items."""
        counted, items = self.supervised(passes), sum(one.items for one in passes)
        if self._ranks.size == 1:
            return counted, items
        if not passes and (scaler := getattr(self.accelerator, "scaler", None)):  # type: ignore[attr-defined]
            scaler.scale(torch.zeros((), device=self.args.device))  # type: ignore[attr-defined]  # else it refuses to step
        found = self._ranks.gather((None if counted is None else int(counted), items))
        tokens = [part for part, _ in found if part is not None]
        return (torch.tensor(sum(tokens)) if tokens else None), sum(part for _, part in found)

    def _of_all(self, seen: list[Seen], tokens: Any, in_all: int | None) -> list[Seen]:
        """Return the figures of all ranks' passes, and take over what they counted. `tokens`, `in_all`: our count and
        TRL's, as the step began.
        """
        figures: Any = self._metrics["train"]  # type: ignore[attr-defined]
        added = 0 if in_all is None else getattr(self, "_total_train_tokens", in_all) - in_all
        trained, read = self._agreed
        work = (self.trained - trained).as_json(), (self.read - read).as_json()
        found = self._ranks.gather((seen, int(self.tokens) - int(tokens), added, *work))
        self.tokens = int(tokens) + sum(part[1] for part in found)
        if in_all is not None and (added := sum(part[2] for part in found)):
            self._total_train_tokens = in_all + added
            figures["num_tokens"] = [self._total_train_tokens]
        for part in found:
            trained, read = trained + Work.from_json(part[3]), read + Work.from_json(part[4])
        self.trained, self.read, self._agreed = trained, read, (trained, read)
        return [(added, counts) for part in found for added, counts in part[0]]

    def _summed(self, model: Any, loss: torch.Tensor) -> torch.Tensor:
        """Give every rank the sum of all ranks' gradients, and return the sum of their losses, ()."""
        ranks = self._ranks
        if ranks.size == 1:
            return loss
        parameters = [p for p in model.parameters() if p.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        present = torch.tensor([float(p.grad is not None) for p in parameters], device=loss.device)
        ranks.add([*gradients, present, loss])
        for parameter, gradient, there in zip(parameters, gradients, present.tolist(), strict=True):
            parameter.grad = gradient if there else None  # one that no rank used stays as it is, decay and all
        return loss

    def _tell_short(self) -> list[tuple[int, int]]:
        """Tell the others that memory ran out; (items, tokens) of the pass that failed, of each rank where one did."""
        return self._ranks.short((self._held.items, self._held.tokens))

    # ------------------------------------------------------------------ one pass

    def pass_step(self, model: Any, batch: Batch, counted: torch.Tensor | None) -> torch.Tensor:
        """Run forward and backward of one pass, as TRL does."""
        loss: torch.Tensor = super().training_step(model, batch, counted)  # type: ignore[misc]
        return loss

    def real_tokens(self, one: Pass) -> torch.Tensor:
        """Count the tokens of a pass that are not padding, ()."""
        return real_tokens(one.batch)

    def _before(self) -> _Before:
        figures: Any = self._metrics["train"]  # type: ignore[attr-defined]
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        counted = getattr(self, "_total_train_tokens", None)
        lengths = {name: len(values) for name, values in figures.items()}
        return _Before(torch.get_rng_state(), cuda, lengths, counted, self.tokens)

    def _put_back(self, model: Any, before: _Before) -> None:
        model.zero_grad()  # a backward that failed half-way has left parts of its gradients; before a step all are 0
        torch.set_rng_state(before.cpu)
        if before.cuda:
            torch.cuda.set_rng_state_all(before.cuda)
        figures: Any = self._metrics["train"]  # type: ignore[attr-defined]
        for name in list(figures):
            del figures[name][before.figures.get(name, 0) :]
            if name not in before.figures:
                del figures[name]
        if before.counted is not None:
            self._total_train_tokens = before.counted
        self.tokens = before.tokens
        free_memory()

    def _shrink(self, held: Sequence[tuple[int, int]]) -> None:
        """Halve the smallest of the passes that failed, (items, tokens) each. TrainingError when it held a single row
        or pair.
        """
        job: Any = self.job  # type: ignore[attr-defined]
        spec = job.spec
        tokens, items = min((tokens, items) for items, tokens in held)
        if items == 1:
            raise TrainingError(
                f"stage {spec.name}: out of memory in a forward pass of {tokens:,} tokens, a single row or pair",
                remedy=f"shorten the rows: --set stages.{spec.name}.train.max_length={spec.train.max_length // 2}, "
                "or use a smaller rank or base",
            )
        self.micro_tokens = min(tokens, self.micro_tokens) // 2
        job.on_note(
            f"out of memory in a forward pass of {tokens:,} tokens: this step is taken again, and the stage goes "
            f"on, with at most {self.micro_tokens:,}"
        )


def row_passes(
    rows: Sequence[Row],
    lengths: Sequence[int],
    budget: int,
    collate: Callable[[Sequence[Row]], Batch],
    rows_per_item: int = 1,
) -> list[Pass]:
    """Split rows into padded passes. `lengths`: tokens of each row, of a pair those of its longer row."""
    found = []
    for group in split(lengths, budget, rows_per_item):
        width, batch = max(lengths[i] for i in group), collate([rows[i] for i in group])
        tokens = len(group) * rows_per_item * width
        found.append(Pass(batch, len(group), tokens, tokens * width))
    return found


def joined_passes(
    rows: Sequence[Row], lengths: Sequence[int], budget: int, collate: Callable[[Sequence[Row]], Batch]
) -> list[Pass]:
    """Split rows into passes that hold them one after the other, without padding."""
    return [
        Pass(
            collate([rows[i] for i in group]),
            len(group),
            sum(lengths[i] for i in group),
            sum(lengths[i] ** 2 for i in group),
        )
        for group in split_joined(lengths, budget)
    ]


def averaged(passes: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]) -> dict[str, float]:
    """Return the step's figures from those of its passes, (figures, what each is a mean over) each.

    TRL logs one value a forward pass: means over its rows or tokens. The step's is the mean over all rows or tokens,
    as one pass would log it. A margin of means is the difference of the step's means.
    """
    if len(passes) == 1:
        return dict(passes[0][0])
    found: dict[str, float] = {}
    for name in dict.fromkeys(name for figures, _ in passes for name in figures):
        parts = [(figures[name], counts[_counted_by(name, counts)]) for figures, counts in passes if name in figures]
        whole = sum(count for _, count in parts)
        found[name] = sum(value * count for value, count in parts if count) / whole if whole else parts[0][0]
    if {"rewards/chosen", "rewards/rejected"} <= found.keys():
        found["rewards/margins"] = found["rewards/chosen"] - found["rewards/rejected"]
    return found


def _counted_by(name: str, counts: Mapping[str, float]) -> str:
    """Return what a figure of TRL's is a mean over: the answers or tokens of one kind, or all."""
    family, _, kind = name.partition("/")
    if family in counts:
        return family
    if name == "mean_token_accuracy" and "chosen tokens" in counts:
        return "chosen tokens"
    if family in ("rewards", "logps"):
        return kind if kind in counts else "items"
    if family == "logits" and f"{kind} tokens" in counts:
        return f"{kind} tokens"
    return "tokens"
