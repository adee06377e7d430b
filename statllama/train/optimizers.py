"""What an optimizer needs of a trainer: LoRA+'s two rates, and the two sets of weights of a schedule-free one.

Schedule-free AdamW (Defazio et al. 2024, arXiv 2405.15682) takes gradients at weights y, between a fast sequence z and
its average x; x is the result. While it trains the model holds y, and so does a checkpoint, so that a resumed run goes
on from the same bits. Whatever measures the model between steps, and what is published, sees x.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from statllama.model import stack

NAMES = {"lion": "lion_32bit"}
"""Transformers' names of our optimizers, where they differ."""


class OptimizedTrainer:
    """Mixed into TRL's trainers, before them."""

    job: Any
    model: Any
    optimizer: Any
    state: Any

    def create_optimizer(self, *args: Any, **options: Any) -> Any:
        """Return Transformers' optimizer, with B's rate where `lora.plus_ratio` is set.

        A schedule-free one would warm up by itself too: that of the schedule is the one there is.
        """
        made: Any = super().create_optimizer(*args, **options)  # type: ignore[misc]
        if self.averages:
            for group in made.param_groups:
                group["warmup_steps"] = 0
        if (ratio := self.job.spec.lora.plus_ratio) is not None:
            split_rates(made, {id(p) for name, p in stack.trainable(self.model).items() if ".lora_B." in name}, ratio)
        return made

    @property
    def averages(self) -> bool:
        """Return whether the result is an average of the weights that train."""
        return bool(self.job.spec.train.optimizer == "schedule_free_adamw")

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the averaged weights into the model; afterwards those that train, bit for bit."""
        if not self.averages:
            yield
            return
        trained = {name: p.detach().clone() for name, p in stack.trainable(self.model).items()}
        self.optimizer.eval()
        try:
            yield
        finally:
            self.optimizer.train()
            with torch.no_grad():
                for name, parameter in stack.trainable(self.model).items():
                    parameter.copy_(trained[name])

    def keep_average(self, checkpoint: Path | None = None) -> None:
        """Leave the averaged weights in the model, once training has ended: here, or in the run of a checkpoint."""
        if not self.averages:
            return
        if checkpoint is not None:
            made: Any = self
            made.create_optimizer_and_scheduler(self.state.max_steps)
            made._load_optimizer_and_scheduler(str(checkpoint))
        self.optimizer.eval()


class ShowAverage(TrainerCallback):
    """Shows the averaged weights to the callbacks between `first` and `last`, when a step ends."""

    def __init__(self, trainer: OptimizedTrainer) -> None:
        self._trainer = trainer
        self.first, self.last = _At(self._show), _At(self._hide)

    def _show(self) -> None:
        self._within = self._trainer.averaged()
        self._within.__enter__()

    def _hide(self) -> None:
        self._within.__exit__(None, None, None)


class _At(TrainerCallback):
    def __init__(self, act: Any) -> None:
        self._act = act

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._act()


def split_rates(optimizer: Any, faster: set[int], ratio: float) -> None:
    """Give the parameters with these ids `ratio` times the rate of the others, in groups of their own.

    LoRA+ (Hayou, Ghosh and Yu 2024, arXiv 2402.12354). Call it before a schedule is made for the optimizer.
    """
    for group in list(optimizer.param_groups):
        moved = [p for p in group["params"] if id(p) in faster]
        if moved:
            group["params"] = [p for p in group["params"] if id(p) not in faster]
            settings = {name: value for name, value in group.items() if name != "params"}
            optimizer.add_param_group({**settings, "params": moved, "lr": ratio * group["lr"]})
