"""The number of a stage's optimizer steps, known before anything is loaded. Loads no torch."""

from __future__ import annotations

import math

from statllama.config.stage import TrainingSpec
from statllama.config.train import TrainSpec
from statllama.errors import UsageError


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
    if spec.drift and spec.drift.every > steps:
        raise UsageError(
            f"stage {spec.name}: `drift.every` {spec.drift.every:,} is above its {steps:,} steps, so drift would be "
            "measured at the end alone",
            remedy=f"--set stages.{spec.name}.drift.every={max(1, steps // 10)}",
        )
    select, tenth = spec.train.select, max(1, steps // 10)
    if select and select.every is not None and select.every > steps:
        raise UsageError(
            f"stage {spec.name}: `train.select.every` {select.every:,} is above its {steps:,} steps, so only the last "
            "step would be validated",
            remedy=f"--set stages.{spec.name}.train.select.every={tenth}",
        )
    return steps


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
