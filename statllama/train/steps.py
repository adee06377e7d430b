"""The number of a stage's optimizer steps, known before anything is loaded. Loads no torch."""

from __future__ import annotations

import math

from statllama.config.stage import TrainingSpec
from statllama.config.train import TrainSpec
from statllama.errors import UsageError

COSINE_LEAST, WSD_DECAY = 0.1, 0.1
"""What `train.min_rate` of `cosine_with_min` and `train.decay` of `wsd` mean where they are None."""


def steps_of(spec: TrainingSpec, rows: int) -> int:
    """Return the optimizer steps of a stage over `rows` prepared rows.

    UsageError when they are too few for its warm-up, its cap on drift or its selection; where `train.steps` is set, the
    spec has refused that already.
    """
    steps = count_steps(spec.rows_per_epoch(rows), spec.train)
    if spec.train.warmup > steps:
        raise UsageError(
            f"stage {spec.name}: `train.warmup` {spec.train.warmup:g} is above its {steps:,} steps, so it would never "
            "reach its learning rate",
            remedy=f"give a share of the steps: --set stages.{spec.name}.train.warmup=0.1",
        )
    after = steps - warmup_steps(spec.train, steps)
    if spec.train.decay is not None and spec.train.decay >= 1 and spec.train.decay > after:
        raise UsageError(
            f"stage {spec.name}: `train.decay` {spec.train.decay:g} is above the {after:,} steps after its warm-up",
            remedy=f"give a share of the steps: --set stages.{spec.name}.train.decay=0.1",
        )
    if spec.drift and spec.drift.every > steps:
        raise UsageError(
            f"stage {spec.name}: `drift.every` {spec.drift.every:,} is above its {steps:,} steps, so drift would be "
            "measured at the end alone",
            remedy=f"--set stages.{spec.name}.drift.every={max(1, steps // 10)}",
        )
    if spec.train.keep_state:
        _require_kept(spec, steps)
    select, tenth = spec.train.select, max(1, steps // 10)
    if select and select.every is not None and select.every > steps:
        raise UsageError(
            f"stage {spec.name}: `train.select.every` {select.every:,} is above its {steps:,} steps, so only the last "
            "step would be validated",
            remedy=f"--set stages.{spec.name}.train.select.every={tenth}",
        )
    return steps


def warmup_steps(train: TrainSpec, steps: int) -> int:
    """Return the warm-up's steps, as Transformers' Trainer counts."""
    return math.ceil(train.warmup * steps) if train.warmup < 1 else int(train.warmup)


def decay_steps(train: TrainSpec, steps: int) -> int:
    """Return the steps over which the rate of `wsd` falls: at most those after warm-up."""
    decay = WSD_DECAY if train.decay is None else train.decay
    wanted = math.ceil(decay * steps) if decay < 1 else int(decay)
    return min(wanted, steps - warmup_steps(train, steps))


def trunk_steps(train: TrainSpec, steps: int) -> int:
    """Return how many of a stage's first steps are those of the same stage with more steps, by their rates: with `wsd`
    those before the decay (arXiv 2404.06395, section 4), with `constant` all.
    """
    return steps - decay_steps(train, steps) if train.schedule == "wsd" else steps


def kept_step(spec: TrainingSpec, rows: int) -> int | None:
    """Return the step whose state a stage over `rows` prepared rows keeps; None where it keeps none."""
    if not spec.train.keep_state:
        return None
    return trunk_steps(spec.train, count_steps(spec.rows_per_epoch(rows), spec.train))


def _require_kept(spec: TrainingSpec, steps: int) -> None:
    """Raise UsageError where a stage has no state to keep, or a longer one would not have measured at its last step."""
    name, train = spec.name, spec.train
    if not trunk_steps(train, steps):
        raise UsageError(
            f"stage {name}: `train.keep_state` keeps the state of the last step before the decay, and the decay takes "
            f"all {steps:,} steps",
            remedy=f"--set stages.{name}.train.decay=0.1, or --set stages.{name}.train.keep_state=false",
        )
    if train.schedule == "wsd":  # its state is of a step like any other
        return
    every = train.select.every if train.select else spec.drift.every if spec.drift else None
    if every and steps % every:
        field, what = ("train.select.every", "validated") if train.select else ("drift.every", "measured")
        raise UsageError(
            f"stage {name}: `train.keep_state`, and the last of its {steps:,} steps is {what} though it is no multiple "
            f"of `{field}` {every:,}: a longer run would not do that, so it could not go on from the state",
            remedy=f"--set stages.{name}.train.steps={-(-steps // every) * every}",
        )


def count_steps(rows: int, train: TrainSpec) -> int:
    """Return the optimizer steps over `rows` rows an epoch (packed ones if rows are packed), as Transformers' Trainer
    counts.
    """
    if train.steps is not None:
        return train.steps
    per_epoch = max(1, math.ceil(rows / train.batch_size))
    return math.ceil((train.epochs or 1.0) * per_epoch)


def rows_come_again(train: TrainSpec, rows: int) -> bool:
    """Return whether a stage over `rows` rows sees some of them more than once."""
    return (train.epochs or 1.0) > 1 if train.steps is None else train.steps * train.batch_size > rows
