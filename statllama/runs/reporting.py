"""Events of a run for its surroundings. The base class is silent; `cli.console.run.ConsoleReporter` prints,
`progress.RunProgress` keeps the state of the run; `Reporters` hands events to several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statllama.train.job import StepEvent

if TYPE_CHECKING:
    from statllama.config.stage import TrainingSpec
    from statllama.data.report import MixtureReport
    from statllama.data.verdicts import Verdict
    from statllama.errors import StatllamaError
    from statllama.evaluation.scorecard import Scorecard
    from statllama.evaluation.scores import Drift, TaskScore
    from statllama.recipe import Recipe
    from statllama.runs.cluster.work import Where, Work
    from statllama.runs.watch.run_state import PromptAnswer
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

    def sized(self, spec: TrainingSpec, report: MixtureReport, steps: int) -> None:
        """Note the size of a stage that is to be trained: its mixture, and its optimizer steps in all."""

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

    @contextmanager
    def validating(self, stage: str, on: str) -> Iterator[Callable[[int, int, str], None] | None]:
        """Enclose a validation of a stage that trains, on a benchmark or hold-out; yield a callback as `scoring`."""
        yield None

    @contextmanager
    def generating(self, what: str) -> Iterator[Callable[[int, int], None] | None]:
        """Enclose the writing of rows by the model; yield a callback (rows done, rows in all)."""
        yield None

    def scored(self, name: str, score: TaskScore) -> None:
        """Note a stack's score on a benchmark."""

    def drifted(self, name: str, drift: Drift) -> None:
        """Note a stack's drift on the probe texts."""

    def answered(self, name: str, answers: Sequence[PromptAnswer]) -> None:
        """Note a stack's answers to the user's own prompts."""

    @contextmanager
    def exporting(self, what: str) -> Iterator[Callable[[int, int], None] | None]:
        """Enclose the writing of one form of a release; yield a callback (bytes done, bytes in all)."""
        yield None

    def verifying(self, what: str) -> None:
        """Show the next step of a release's verification."""

    def releasing(self, stage: str, out: Path) -> None:
        """Note that a release of a stage is begun, which goes to `out`."""

    def released(self, stage: str, out: Path, how: str) -> None:
        """Note that a release of a stage lies in `out`: what it holds and how it was verified, or `cached`."""

    def pipeline(self, name: str, number: int, total: int) -> None:
        """Note the start of a study's pipeline."""

    def pipeline_failed(self, name: str, error: StatllamaError) -> None:
        """Note a study's pipeline that ended early; the others go on."""

    def course(self, name: str, recipe: Recipe, stages: Sequence[Any]) -> None:
        """Note a run, or a study's pipeline, whose works workers elsewhere are about to do: `stages` as planned."""

    def agenda(
        self, works: Mapping[str, Work], needs: Mapping[str, Iterable[str]], of: Mapping[str, Sequence[str]]
    ) -> None:
        """Note all works that are still to be done, begun or not, by id; {work: those before it}, {work: courses}."""

    def began(self, work: Work, where: Where) -> None:
        """Note that a worker elsewhere has begun something."""

    def told(self, work: Work, where: Where, event: str, arguments: tuple[Any, ...]) -> None:
        """Note an event of such a worker: `event` is the name of one of these methods, such as `step`."""

    def ended(self, work: Work, where: Where, seconds: float, error: StatllamaError | None) -> None:
        """Note that a worker has published its work, or failed. Interrupted: it saved it, as it was asked to."""

    def lost(self, work: Work, where: Where, why: str) -> None:
        """Note that a worker is gone; its work is begun again, unless that happened too often."""

    def filled(self) -> None:
        """Note that the workers have ended, however they did."""

    def finished(self, recipe: Recipe, results: Mapping[str, Path], card: Scorecard | None) -> None:
        """Note the end of the run."""

    def failed(self, error: BaseException) -> None:
        """Note the end of the run by an error or a signal, which goes on to whoever began the run."""


class Reporters(Reporter):
    """Hands each event to several reporters, in their order."""

    def __init__(self, *reporters: Reporter) -> None:
        self._all = reporters

    def planned(self, recipe: Recipe, stages: Sequence[Any]) -> None:
        for each in self._all:
            each.planned(recipe, stages)

    def forecast(self, seconds: Mapping[str, float]) -> None:
        for each in self._all:
            each.forecast(seconds)

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        with ExitStack() as open_:
            for each in self._all:
                open_.enter_context(each.busy(what))
            yield

    def waiting(self, what: str) -> Callable[[Holder], None]:
        return _to_all([each.waiting(what) for each in self._all]) or super().waiting(what)

    @contextmanager
    def preparing(self, stage: str) -> Iterator[Callable[[str, int, int], None] | None]:
        with ExitStack() as open_:
            calls = [open_.enter_context(each.preparing(stage)) for each in self._all]
            yield _to_all(calls)

    def data_ready(self, spec: TrainingSpec, report: MixtureReport, findings: Sequence[Verdict]) -> None:
        for each in self._all:
            each.data_ready(spec, report, findings)

    def sized(self, spec: TrainingSpec, report: MixtureReport, steps: int) -> None:
        for each in self._all:
            each.sized(spec, report, steps)

    @contextmanager
    def training(self, spec: TrainingSpec, report: MixtureReport, steps: int) -> Iterator[None]:
        with ExitStack() as open_:
            for each in self._all:
                open_.enter_context(each.training(spec, report, steps))
            yield

    def step(self, event: StepEvent) -> None:
        for each in self._all:
            each.step(event)

    def note(self, text: str) -> None:
        for each in self._all:
            each.note(text)

    def stage_finished(self, name: str, entry: Entry) -> None:
        for each in self._all:
            each.stage_finished(name, entry)

    def stage_cached(self, name: str, entry: Entry) -> None:
        for each in self._all:
            each.stage_cached(name, entry)

    @contextmanager
    def scoring(self, name: str, task: str) -> Iterator[Callable[[int, int, str], None] | None]:
        with ExitStack() as open_:
            calls = [open_.enter_context(each.scoring(name, task)) for each in self._all]
            yield _to_all(calls)

    @contextmanager
    def validating(self, stage: str, on: str) -> Iterator[Callable[[int, int, str], None] | None]:
        with ExitStack() as open_:
            calls = [open_.enter_context(each.validating(stage, on)) for each in self._all]
            yield _to_all(calls)

    @contextmanager
    def generating(self, what: str) -> Iterator[Callable[[int, int], None] | None]:
        with ExitStack() as open_:
            calls = [open_.enter_context(each.generating(what)) for each in self._all]
            yield _to_all(calls)

    def scored(self, name: str, score: TaskScore) -> None:
        for each in self._all:
            each.scored(name, score)

    def drifted(self, name: str, drift: Drift) -> None:
        for each in self._all:
            each.drifted(name, drift)

    def answered(self, name: str, answers: Sequence[PromptAnswer]) -> None:
        for each in self._all:
            each.answered(name, answers)

    @contextmanager
    def exporting(self, what: str) -> Iterator[Callable[[int, int], None] | None]:
        with ExitStack() as open_:
            calls = [open_.enter_context(each.exporting(what)) for each in self._all]
            yield _to_all(calls)

    def verifying(self, what: str) -> None:
        for each in self._all:
            each.verifying(what)

    def releasing(self, stage: str, out: Path) -> None:
        for each in self._all:
            each.releasing(stage, out)

    def released(self, stage: str, out: Path, how: str) -> None:
        for each in self._all:
            each.released(stage, out, how)

    def pipeline(self, name: str, number: int, total: int) -> None:
        for each in self._all:
            each.pipeline(name, number, total)

    def pipeline_failed(self, name: str, error: StatllamaError) -> None:
        for each in self._all:
            each.pipeline_failed(name, error)

    def course(self, name: str, recipe: Recipe, stages: Sequence[Any]) -> None:
        for each in self._all:
            each.course(name, recipe, stages)

    def agenda(
        self, works: Mapping[str, Work], needs: Mapping[str, Iterable[str]], of: Mapping[str, Sequence[str]]
    ) -> None:
        for each in self._all:
            each.agenda(works, needs, of)

    def began(self, work: Work, where: Where) -> None:
        for each in self._all:
            each.began(work, where)

    def told(self, work: Work, where: Where, event: str, arguments: tuple[Any, ...]) -> None:
        for each in self._all:
            each.told(work, where, event, arguments)

    def ended(self, work: Work, where: Where, seconds: float, error: StatllamaError | None) -> None:
        for each in self._all:
            each.ended(work, where, seconds, error)

    def lost(self, work: Work, where: Where, why: str) -> None:
        for each in self._all:
            each.lost(work, where, why)

    def filled(self) -> None:
        for each in self._all:
            each.filled()

    def finished(self, recipe: Recipe, results: Mapping[str, Path], card: Scorecard | None) -> None:
        for each in self._all:
            each.finished(recipe, results, card)

    def failed(self, error: BaseException) -> None:
        for each in self._all:
            each.failed(error)


def _to_all(calls: Sequence[Callable[..., None] | None]) -> Callable[..., None] | None:
    """Return a callback that calls all of these that are one. None where none is."""
    wanted = [call for call in calls if call is not None]

    def call(*arguments: Any) -> None:
        for each in wanted:
            each(*arguments)

    return call if wanted else None
