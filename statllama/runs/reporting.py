"""What a run tells its surroundings while it works. The base class is silent; `console_run.ConsoleReporter` prints."""

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
    """Says nothing. Override what should be said."""

    def planned(self, recipe: Recipe, stages: Sequence[Any]) -> None:
        """The plan, before anything runs."""

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Around something that takes seconds without progress of its own."""
        yield

    def waiting(self, what: str) -> Callable[[Holder], None]:
        """A callback for when another process holds `what`."""
        return lambda holder: None

    @contextmanager
    def preparing(self, stage: str) -> Iterator[Callable[[str, int, int], None] | None]:
        """Around the tokenising of a stage's data; yields a callback (source, rows done, rows in all)."""
        yield None

    def data_ready(self, spec: TrainingSpec, report: MixtureReport, findings: Sequence[Verdict]) -> None:
        """A stage's data has passed its checks; `findings` are warnings."""

    @contextmanager
    def training(self, spec: TrainingSpec, report: MixtureReport, steps: int) -> Iterator[None]:
        """Around the training of a stage; `step` is called within."""
        yield

    def step(self, event: StepEvent) -> None:
        """One optimizer step is done."""

    def note(self, text: str) -> None:
        """Something the user should know, such as a smaller micro-batch."""

    def stage_finished(self, name: str, entry: Entry) -> None:
        """A stage is published."""

    def stage_cached(self, name: str, entry: Entry) -> None:
        """A stage's result was in the store."""

    @contextmanager
    def scoring(self, name: str, task: str) -> Iterator[Callable[[int, int, str], None] | None]:
        """Around the scoring of one stack on one benchmark; yields a callback (done, total, task)."""
        yield None

    def scored(self, name: str, score: TaskScore) -> None:
        """A stack has a score on a benchmark."""

    def drifted(self, name: str, drift: Drift) -> None:
        """A stack's drift on the probe texts is known."""

    @contextmanager
    def exporting(self, what: str) -> Iterator[Callable[[int, int], None] | None]:
        """Around the writing of one form of a release; yields a callback (bytes done, bytes in all)."""
        yield None

    def verifying(self, what: str) -> None:
        """What the verification of a release does next."""

    def pipeline(self, name: str, number: int, total: int) -> None:
        """A pipeline of a study begins."""

    def pipeline_failed(self, name: str, error: StatllamaError) -> None:
        """A pipeline of a study ended early; the others go on."""

    def finished(self, recipe: Recipe, results: Mapping[str, Path], card: Scorecard | None) -> None:
        """The whole run is done."""
