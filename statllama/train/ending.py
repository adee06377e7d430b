"""How a stage's training ends: after its last step, for having drifted too far, or for no longer getting better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from transformers import TrainerState

from statllama.config.protect import DriftSpec
from statllama.evaluation.chosen import Chosen
from statllama.evaluation.drift import ended_at
from statllama.train.job import Job
from statllama.train.selection import choice, out_of_patience


@dataclass(frozen=True)
class End:
    """How a stage ended, or would end if this is its last step."""

    by: Literal["steps", "drift", "patience"]
    adapter_step: int
    """The step whose adapter is published."""
    chosen: Chosen | None
    note: str
    """What the user is told of a stage that ended early."""

    @classmethod
    def of(cls, job: Job, state: TrainerState) -> End:
        """Read it from the log, which is in every checkpoint: so is the end of a stage that was killed after it."""
        spec, log, steps = job.spec, state.log_history, state.global_step
        cap, select, at = spec.drift, spec.train.select, f"ended at step {steps} of {state.max_steps}: "
        best = None if select is None or job.validation is None else choice(job.validation, log)
        adapter_step = best.step if best else _within(cap, log, steps)
        if (drift := ended_at(cap, state)) is not None:
            which = "the best one validated before" if best else "the last one measured within it"
            note = (
                f"{at}it has drifted {drift:.3g} nats per token from what it started from, above `drift.max`; its "
                f"adapter is that of step {adapter_step}, {which}"
            )
            return cls("drift", adapter_step, best, note)
        if best and select and steps < state.max_steps and out_of_patience(select, best, log):
            times = "validation" if best.without_better == 1 else "validations in a row"
            return cls("patience", adapter_step, best, f"{at}{best.without_better} {times} without a better one")
        return cls("steps", adapter_step, best, "")


def _within(cap: DriftSpec | None, log: list[dict[str, Any]], steps: int) -> int:
    """Return the last step, or with a cap the last one measured within it."""
    if cap is None:
        return steps
    return int(max((e["step"] for e in log if "loss" in e and e.get("drift", math.inf) <= cap.max), default=steps))
