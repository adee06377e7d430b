"""What a score takes: seconds, where some were measured on this machine; and memory, as far as it is certain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from statllama.config.lora import DEFAULT_MODULES
from statllama.config.stage import TrainingSpec
from statllama.errors import StatllamaError
from statllama.runs.forecast.figure import Figure
from statllama.runs.forecast.samples import all_samples
from statllama.runs.subject import StackRef
from statllama.train.fit import CPU, CUDA, WIDTHS
from statllama.train.memory import Setting

if TYPE_CHECKING:
    from statllama.runs.plan import PlannedStage
    from statllama.runs.session import Session


class Scoring:
    """Forecasts of one recipe's scores. Each is made once: what is measured meanwhile does not change the order."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seconds: dict[str, float | None] = {}

    @cached_property
    def _kinds(self) -> frozenset[str]:
        """Return the kinds of score of which some were measured on this machine."""
        timing = self._session.timing
        with suppress(StatllamaError):
            samples = all_samples(self._session.store, timing.place(self._session.recipe.precision))
            return frozenset(sample.kind for sample in samples)
        return frozenset()

    def seconds(self, task: str) -> float | None:
        """Return the seconds of a stack's score on a benchmark; None where no score was ever measured here.

        Only then are its requests counted, which loads the benchmark.
        """
        if task not in self._seconds:
            known = task in self._session.scorer.suite.tasks and any(kind.startswith("score:") for kind in self._kinds)
            self._seconds[task] = _measured(lambda: self._session.timing.benchmark(task)) if known else None
        return self._seconds[task]

    def drift(self, stage: PlannedStage) -> float | None:
        """Return the seconds in which a stage's drift is measured; None where none was ever measured here."""
        return _measured(lambda: self._session.timing.drift(stage)) if "drift" in self._kinds else None

    def least(self, stack: StackRef, planned: Sequence[PlannedStage]) -> float:
        """Return the bytes of a device without which a stack cannot be scored: those of its weights alone."""
        timing, recipe = self._session.timing, self._session.recipe
        width = WIDTHS[timing.place(recipe.precision).dtype]
        specs = {stage.key: stage.spec for stage in planned}
        ranks = [spec.lora.r for key in stack.keys if isinstance(spec := specs.get(key), TrainingSpec)]
        held = Setting(timing.shape, quantization=recipe.base.quantization, width=width)
        slices = width * timing.shape.slice_parameters(sum(ranks), DEFAULT_MODULES)
        over = CUDA if timing.machine.gpu else CPU
        return over.fixed + (held.weights + slices) * (1 + over.usual)


def _measured(make: Callable[[], Figure | None]) -> float | None:
    """Return what a forecast says that rests on measurements; None for one that cannot be made: the work says why."""
    with suppress(StatllamaError):
        made = make()
        return made.usual if made is not None and made.measured else None
    return None
