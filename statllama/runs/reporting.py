"""Events of a run for its surroundings. The base class is silent; `console_run.ConsoleReporter` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statllama.train.job import StepEvent

if TYPE_CHECKING:
    from statllama.config.specs import TrainingSpec
    from statllama.data.report import MixtureReport
    from statllama.data.verdicts import Verdict
    from statllama.errors import StatllamaError
    from statllama.evaluation.scorecard import Scorecard
    from statllama.evaluation.scores import Drift, TaskScore
    from statllama.recipe import Recipe
    from statllama.store import Entry, Holder


class Reporter:
    """Reports nothing. Override the events to report."""

    def planned(self, recipe: Recipe, stages: Sequence[Any]) -> None:
        """Show the plan, before anything runs."""

    def forecast(self, seconds: Mapping[str, float]) -> None:
        """Note the seconds that the training of stages is forecast to take, {stage: seconds}."""

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Enclose work that takes seconds without progress of its own."""
        yield

    def waiting(self, what: str) -> Callable[[Holder], None]:
        """Return a callback for when another process holds `what`."""
        return lambda holder: None

    @contextmanager
    def preparing(self, stage: str) -> Iterator[Callable[[str, int, int], None] | None]:
        """Enclose the tokenising of a stage's data; yield a callback (source, rows done, rows in all)."""
        yield None

    def data_ready(self, spec: TrainingSpec, report: MixtureReport, findings: Sequence[Verdict]) -> None:
        """Note that a stage's data has passed its checks; `findings` are warnings."""

    @contextmanager
    def training(self, spec: TrainingSpec, report: MixtureReport, steps: int) -> Iterator[None]:
        """Enclose the training of a stage; `step` is called within."""
        yield

    def step(self, event: StepEvent) -> None:
        """Note a finished optimizer step."""

    def note(self, text: str) -> None:
        """Tell the user something, such as a smaller token budget."""

    def stage_finished(self, name: str, entry: Entry) -> None:
        """Note a published stage."""

    def stage_cached(self, name: str, entry: Entry) -> None:
        """Note a stage whose result was in the store."""

    @contextmanager
    def scoring(self, name: str, task: str) -> Iterator[Callable[[int, int, str], None] | None]:
        """Enclose the scoring of one stack on one benchmark; yield a callback (done, total, task)."""
        yield None

    def scored(self, name: str, score: TaskScore) -> None:
        """Note a stack's score on a benchmark."""

    def drifted(self, name: str, drift: Drift) -> None:
        """Note a stack's drift on the probe texts."""

    @contextmanager
    def exporting(self, what: str) -> Iterator[Callable[[int, int], None] | None]:
        """Enclose the writing of one form of a release; yield a callback (bytes done, bytes in all)."""
        yield None

    def verifying(self, what: str) -> None:
        """Show the next step of a release's verification."""

    def pipeline(self, name: str, number: int, total: int) -> None:
        """Note the start of a study's pipeline."""

    def pipeline_failed(self, name: str, error: StatllamaError) -> None:
        """Note a study's pipeline that ended early; the others go on."""

    def finished(self, recipe: Recipe, results: Mapping[str, Path], card: Scorecard | None) -> None:
        """Note the end of the run."""
