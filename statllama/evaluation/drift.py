"""Drift as a number: how far a stack of adapters has moved a model's predictions from its parent's and the base's.

    KL(p || q) = sum over the vocabulary of p(v) (ln p(v) - ln q(v)),    in nats,

with p the stack's next-token distribution and q the reference's, averaged over all counted positions of the fixed probe
texts (`evaluate.probe`). Exact over the full vocabulary, no samples. See eval/probe/README.md for the protocol.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import TrainerState

from statllama.config.protect import DriftSpec
from statllama.config.stage import TrainingSpec
from statllama.errors import EvaluationError, TrainingError
from statllama.evaluation.held_loss import evaluating
from statllama.evaluation.measuring import Measuring, Once
from statllama.evaluation.probe import LONGEST, Row, batches, probe_rows
from statllama.evaluation.scores import Drift
from statllama.model import stack
from statllama.model.base_model import Base, scoring

if TYPE_CHECKING:
    from statllama.model.adapter import Adapter

PIECE = 32  # positions whose distributions are in memory in float64 at once


def drift(base: Base, adapters: Sequence[Adapter]) -> Drift:
    """Attach `adapters` (in order, the stage's own last) to the base, measure, and take them off. See `measure`."""
    with scoring(base, adapters) as model:
        return measure(model, adapters, rows_for(base))


def rows_for(base: Base) -> tuple[Row, ...]:
    """Return the probe texts for this base. They do not depend on the rows that it was loaded for, which are in no
    key.
    """
    positions = getattr(base.model.config, "max_position_embeddings", None) or LONGEST
    rows = probe_rows(base.tokenizer, positions)
    longest = max(len(row.ids) for row in rows)
    if longest > base.max_length:  # Unsloth would cut them
        raise ValueError(f"the base is loaded for rows of {base.max_length} tokens, but a probe text has {longest}")
    return rows


def measure(model: Any, adapters: Sequence[Adapter], rows: Sequence[Row]) -> Drift:
    """Return the drift of a model that carries `adapters`, as `model.scoring(base, adapters)` yields it. `rows`:
    `rows_for`.

    Weights, modes, configuration and random state are as before when it returns or raises. EvaluationError when a
    prediction is not a number.
    """
    tokens = sum(len(row.positions) for row in rows)
    if not adapters:
        return Drift(0.0, 0.0, tokens)
    counts = sorted({len(adapters) - 1, 0}, reverse=True)  # parent, base: the same for one adapter
    references = [partial(stack.up_to, model, count) for count in counts]
    found = divergences(model, rows, references)
    if not all(value < float("inf") for value in found):
        raise EvaluationError(
            "the stack's predictions on the probe texts are not numbers, so its drift is undefined",
            remedy="score in `precision: float32`, or train the stage again with a lower learning rate",
        )
    return Drift(found[0], found[-1], tokens)


def divergences(
    model: nn.Module, rows: Sequence[Row], references: Sequence[Callable[[], AbstractContextManager[None]]]
) -> list[float]:
    """Return the mean KL(model || model within the context) over the rows' positions, for each of `references`, in
    nats.

    Exactly 0 where the context changes nothing, and what rounding leaves where it takes an adapter without effect away;
    not a number where a logit is none.
    """
    device = next(model.parameters()).device
    totals = [0.0] * len(references)
    with torch.no_grad(), evaluating(model):
        for batch in batches(rows):
            width = max(len(row.ids) for row in batch)
            # Padded on the right and without a mask: no position sees what comes after it.
            ids = torch.tensor([row.ids + [0] * (width - len(row.ids)) for row in batch], device=device)
            logits = model(input_ids=ids, use_cache=False).logits
            for i, reference in enumerate(references):
                with reference():
                    other = model(input_ids=ids, use_cache=False).logits
                totals[i] += _sum(logits, other, batch)
                del other
    return [total / sum(len(row.positions) for row in rows) for total in totals]


def _sum(logits: Tensor, other: Tensor, batch: Sequence[Row]) -> float:
    """Return the sum of the divergences at the counted positions of a batch. Logits: (rows, width, vocabulary)."""
    total = 0.0
    for row, ours, theirs in zip(batch, logits, other, strict=True):
        for piece in torch.tensor(row.positions, device=logits.device).split(PIECE):
            total += float(kl(ours[piece], theirs[piece]).sum())
    return total


def kl(logits: Tensor, reference: Tensor) -> Tensor:
    """Return the KL of the distributions that two sets of logits mean, (positions, vocabulary) -> (positions,), in
    nats.

    In float64: its rounding (1e-15) lies below that of float32 logits (1e-12), in float32 it would hide small drifts.
    """
    log_p, log_q = logits.double().log_softmax(-1), reference.double().log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1).clamp_min(0)


# ------------------------------------------------------------------ the cap


class DriftCap(Measuring):
    """Measures KL(policy || parent) every so many steps and after the last one; keeps the last slice within the cap.

    The stage ends after the first measurement above the cap, and `restore` puts the kept slice back for publishing. The
    losses are those without a cap, bit for bit.
    """

    FILE = "within_cap.safetensors"

    def __init__(
        self,
        spec: TrainingSpec,
        model: nn.Module,
        base: Base,
        once: Once[float] = lambda measure: measure(),
        also: Callable[[int, int], bool] = lambda step, steps: False,
    ) -> None:
        """Take `model`, the stack that trains (`model.adapt`), and `spec`, whose `drift` is set.

        `also`: whether it is measured after (a step, of so many) too.
        """
        assert spec.drift is not None
        super().__init__(model)
        self._once, self._also = once, also
        self.spec, self.cap, self.rows = spec, spec.drift, rows_for(base)
        self.exceeded = False
        """Whether a measurement was above the cap, which ends the stage."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure drift when due; Transformers calls this after every optimizer step, before it logs and saves.

        TrainingError when the first measurement is above the cap: the adapter within it is the one that learned
        nothing.
        """
        step = state.global_step
        if step % self.cap.every and step < state.max_steps and not self._also(step, state.max_steps):
            return
        value = self._once(lambda: divergences(self.model, self.rows, [partial(stack.up_to, self.model)])[0])
        self._measured = {"drift": value}
        if value <= self.cap.max:
            self.keep()
        elif self.keeps and math.isfinite(value):
            self.exceeded = control.should_training_stop = True
        else:
            self._refuse(step, value)

    def _refuse(self, step: int, value: float) -> None:
        name, slower = self.spec.name, f"train.learning_rate={self.spec.train.learning_rate / 4:g}"
        if not math.isfinite(value):
            raise TrainingError(
                f"stage {name}: after step {step} its predictions on the probe texts are not numbers",
                remedy=f"lower the learning rate: --set stages.{name}.{slower}",
            )
        sooner = f"measure sooner (--set stages.{name}.drift.every={max(1, step // 4)}) or " if step > 1 else ""
        raise TrainingError(
            f"stage {name}: at its first measurement, after step {step}, it has drifted {value:.3g} nats per token "
            f"from what it started from, above `drift.max` {self.cap.max:g}: the adapter within the cap has learned "
            "nothing",
            remedy=f"{sooner}lower the learning rate (--set stages.{name}.{slower})",
        )


def ended_at(cap: DriftSpec | None, state: TrainerState) -> float | None:
    """Return the drift above the cap that ends the stage at this state of its trainer; None if nothing does.

    It is read from the log, which is in every checkpoint: so is the end of a stage that was killed right after it.
    """
    if cap is None:
        return None
    measured = next((entry.get("drift", 0.0) for entry in reversed(state.log_history) if "loss" in entry), 0.0)
    return None if measured <= cap.max else measured
