"""The best checkpoint: a stage is validated while it trains, and publishes the adapter of its best step.

    step          20     40     60     80    100
    held-out    1.31   1.23   1.24   1.26      .     patience 2 ends it at 80; the adapter is that of step 40

All that is decided follows from the log, which is in every checkpoint, and the slice of the best step lies beside it:
so a stage that was killed anywhere goes on to the same choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from statllama.config.selection import PREFIX, SelectSpec
from statllama.data.holdout import Holdout
from statllama.data.work import Work
from statllama.errors import TrainingError
from statllama.evaluation.answers import Progress
from statllama.evaluation.chosen import WORDS, Chosen, Figure, chosen, is_better
from statllama.evaluation.held_loss import Loss, RowLoss, per_token, prefers, row_losses
from statllama.evaluation.measuring import Measuring, Once

if TYPE_CHECKING:
    from torch import nn

    from statllama.config.stage import TrainingSpec
    from statllama.evaluation.drift import DriftCap
    from statllama.evaluation.suite import Suite

Log = Sequence[Mapping[str, Any]]
"""A trainer's log: a record of each step, and others."""
Found = tuple[float, Work]
"""A figure, and what was computed for it."""
Shown = Callable[[str], AbstractContextManager[Progress | None]]
"""Encloses a validation on what is named, and shows how far it is."""


@dataclass(frozen=True)
class Validation:
    """What a stage's steps are compared on."""

    on: str
    """`holdout:NAME`, or the benchmark: as in the scorecard."""
    figure: Figure
    ask: Callable[[Any], Found]
    """Measures the model as it stands, and leaves it, and all random states, as they were."""


def unseen(on: str) -> AbstractContextManager[None]:
    """Show nothing of a validation."""
    return nullcontext()


def on_holdout(
    held: Holdout,
    micro_tokens: int,
    pad: int,
    shown: Shown = unseen,
    note: Callable[[str], None] = lambda text: None,
) -> Validation:
    """Return the validation on held-out rows: their loss, of pairs the share that is ranked right.

    `micro_tokens`: tokens of a forward pass; when memory runs out, later validations keep to the smaller passes, too.
    """
    on, pairs, budget = PREFIX + held.name, held.kind == "preferences", micro_tokens

    def short(tokens: int) -> None:
        nonlocal budget
        budget = tokens
        note(f"out of memory in a validation on {on}: it goes on with at most {tokens:,} tokens a pass")

    def ask(model: Any) -> Found:
        read, losses = [Work()], list[RowLoss]()
        with shown(on) as progress:

            def tell(number: int, loss: Loss) -> None:
                losses.extend(loss if isinstance(loss, tuple) else (loss,))
                if progress is not None:
                    progress(len(losses) // (1 + pairs), len(held.ids), on)

            rows: Any = held.dataset
            told = partial(row_losses, on_row=tell, on_pass=read.append, on_short=short)
            found = told(model, rows, held.kind, micro_tokens=budget, pad=pad)
        if not all(math.isfinite(one.loss) for one in losses):  # of pairs it would rank one wrong
            value = math.nan
        else:
            value = sum(map(prefers, found)) / len(found) if pairs else per_token(found)
        return value, sum(read, Work())

    return Validation(on, "holdout_accuracy" if pairs else "holdout_loss", ask)


def on_benchmark(suite: Suite, task: str, tokenizer: Any, shown: Shown = unseen) -> Validation:
    """Return the validation on a benchmark: its score, as every stack is scored."""

    def ask(model: Any) -> Found:
        with shown(task) as progress:
            value = suite.score(task, model, tokenizer, on_progress=progress).value
        return value, suite.spent.read

    return Validation(task, "task_score", ask)


class Selection(Measuring):
    """Validates when due, keeps the slice of the best step so far, and ends the stage when its patience is over."""

    FILE = "best.safetensors"

    def __init__(
        self,
        spec: TrainingSpec,
        model: nn.Module,
        validation: Validation,
        once: Once[float],
        cap: DriftCap | None = None,
        on_work: Callable[[Work], None] = lambda work: None,
    ) -> None:
        """Take `spec`, whose `train.select` is set, and `model`, the stack that trains.

        `cap`: has judged each step before this does; no step above it is validated. `on_work` gets what is computed.
        """
        assert spec.train.select is not None
        super().__init__(model)
        self.spec, self.select, self.validation = spec, spec.train.select, validation
        self._once, self._cap, self._on_work = once, cap, on_work

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Validate when due; Transformers calls this after every optimizer step, before it logs and saves."""
        if not self.select.due(state.global_step, state.max_steps) or (self._cap and self._cap.exceeded):
            return
        value = self._once(self._ask)
        if not math.isfinite(value):
            self._refuse(state.global_step)
        figure = self.validation.figure
        self._measured = {figure: value}
        before = self.chosen([*state.log_history])
        if before is None or is_better(figure, value, before.value):
            self.keep()
        elif _over(self.select, before.without_better + 1):
            control.should_training_stop = True

    def _ask(self) -> float:
        value, read = self.validation.ask(self.model)
        self._on_work(read)
        return value

    def chosen(self, log: Log) -> Chosen | None:
        """Return the best of the steps that the log has a validation of; None without any."""
        return choice(self.validation, log)

    def _refuse(self, step: int) -> None:
        name, train = self.spec.name, self.spec.train
        raise TrainingError(
            f"stage {name}: after step {step}, its {WORDS[self.validation.figure]} on {self.validation.on} is not a "
            "number",
            remedy=f"lower the learning rate: --set stages.{name}.train.learning_rate={train.learning_rate / 4:g}",
        )


def choice(validation: Validation, log: Log) -> Chosen | None:
    """Return the best step by a trainer's log; None where none was validated."""
    steps = [entry for entry in log if "loss" in entry]
    validated = {int(e["step"]): float(e[validation.figure]) for e in steps if validation.figure in e}
    return chosen(validation.on, validation.figure, validated, int(steps[-1]["step"])) if validated else None


def out_of_patience(select: SelectSpec, best: Chosen, log: Log) -> bool:
    """Return whether the stage ends after the last step of the log for want of a validation better than the best."""
    last = next(entry for entry in reversed(log) if "loss" in entry)
    return best.figure in last and _over(select, best.without_better)


def _over(select: SelectSpec, without_better: int) -> bool:
    return select.patience is not None and without_better >= select.patience
