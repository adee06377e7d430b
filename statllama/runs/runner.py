"""The only loop over stages: plan, then skip what the store holds and execute the rest, scoring after each stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from statllama.config.stage import TrainingSpec
from statllama.data.verdicts import judge
from statllama.errors import GateBroken
from statllama.evaluation.gates import GateAnswer
from statllama.evaluation.scorecard import Scorecard, scorecard
from statllama.evaluation.scores import Drift, TaskScore
from statllama.recipe import Recipe
from statllama.runs.advice import limits, warnings
from statllama.runs.cluster.agenda import Course
from statllama.runs.cluster.fill import RayExecutor, raise_first
from statllama.runs.family import Family, card_sizes
from statllama.runs.forecast.device import found_device
from statllama.runs.forecast.forecast import forecast
from statllama.runs.forecast.timing import below_of
from statllama.runs.foresight import foresee
from statllama.runs.held import words
from statllama.runs.house.history import keep
from statllama.runs.loaded import Loaded, require_one_process
from statllama.runs.plan import PlannedStage, plan, rearranged, record_of
from statllama.runs.releasing import Maker, Releases
from statllama.runs.replayed import replay_note
from statllama.runs.reporting import Reporter
from statllama.runs.selecting import require_items
from statllama.runs.session import Session
from statllama.runs.signals import StopSignal
from statllama.runs.subject import BASE, StackRef, subject_of
from statllama.stages import stage_module
from statllama.store import Store
from statllama.store.content import content_hash
from statllama.store.leases import Working, working
from statllama.store.mirrored import offer
from statllama.train.preflight import require_layers, require_length, require_optimizer
from statllama.train.steps import steps_of
from statllama.train.trackers import require_trackers, ways_to_look

ScoredRow = tuple[str, str | None, tuple[TaskScore, ...]]
"""A stack's name, its parent's, its scores."""


@dataclass(frozen=True)
class RunResult:
    """A run's results: the result folder of each stage by name, the scorecard (None without anything to score), and the
    folders of its releases, {`out` as in the recipe: folder}.
    """

    results: dict[str, Path]
    scorecard: Scorecard | None
    releases: dict[str, Path] = field(default_factory=dict)


def run(
    recipe: Recipe,
    store: Store,
    reporter: Reporter,
    *,
    until: str | None = None,
    wait: bool = True,
    loaded: Loaded | None = None,
    whole: Recipe | None = None,
    executor: RayExecutor | None = None,
    maker: Maker | None = None,
) -> RunResult:
    """Train every stage that the store does not hold, score the base and each stack, and return the scorecard.

    Raises a StatllamaError; the store is then as before, plus a checkpoint to resume from. GateBroken when a stage
    broke a gate that stops the run: its result and scores are kept. `loaded`: the recipe's base, where it is loaded.
    `whole`: the recipe that this one is a part of (`Recipe.down_to`), of which the record is. `executor`: has workers
    train and score; None: this process does. `maker`: makes the recipe's releases, each once its stage is trained and
    scored; None: none is made. An error of a release is raised once all else is done.
    """
    try:
        require_one_process()
        if until is not None:
            recipe.stage(until)  # a wrong one leaves no workspace
        with working(store) as lease:
            recorder = _Recorder(whole or recipe, store, lease)
            releases = Releases(recipe, store, reporter, maker)
            return _run(recipe, store, reporter, until, wait, loaded, recorder, executor, releases)
    except BaseException as error:
        reporter.failed(error)
        raise


def _run(
    recipe: Recipe,
    store: Store,
    reporter: Reporter,
    until: str | None,
    wait: bool,
    loaded: Loaded | None,
    recorder: _Recorder,
    executor: RayExecutor | None,
    releases: Releases,
) -> RunResult:
    planned = plan(recipe, store, until, contents=True)
    releases.check(planned)
    edited = _Edited(recipe, reporter)
    store.prune_partial()  # a run that was killed right after it published left its checkpoints
    reporter.planned(recipe, planned)
    _note_weak_gates(recipe, store, planned, reporter)
    if executor is not None:
        executor.require(planned)
    with StopSignal() as stop:
        session = Session(recipe, store, reporter, stop, wait=wait, base=planned[0].material["base"], loaded=loaded)
        course = prepared_course(recipe.name, session, planned, releases)
        recorder.write(planned, session)
        if executor is not None:
            raise_first(executor.fill([course], store, reporter, stop))
            recorder.lease.everything()
            planned = rearranged(recipe, store, planned, session.tasks, session.scorer.held)
            recorder.write(planned, session)
        else:
            _write_ahead(session, planned)
        rows, asked = list[ScoredRow](), tuple(session.scorer.fingerprints)
        if asked:
            rows.append((BASE, None, session.scorer.score(StackRef(BASE, None))))
        if recipe.evaluate.prompts:
            session.scorer.answers(StackRef(BASE, None))
        results, drifts = dict[str, Path](), dict[str, Drift]()
        while len(results) < len(planned):
            stage = planned[len(results)]
            entry = stage.entry or session.train(stage)
            edited.tell()
            results[stage.spec.name] = entry.path
            offer(store, "results", [stage.key])
            if stage.cached:
                reporter.stage_cached(stage.spec.name, entry)
            drifts[stage.spec.name] = session.scorer.drift(stage.stack)
            rows += _scored(session, stage, [row[0] for row in rows])
            if recipe.evaluate.gates:  # what follows stands on other stages when this one is left out
                recorder.lease.everything()
                planned = rearranged(recipe, store, planned, session.tasks, session.scorer.held)
                recorder.write(planned, session)
                if _stopped(planned[len(results) - 1], reporter):
                    break
            releases.make(planned[len(results) - 1], planned, session.loaded)
    card = _card(asked, store, rows, drifts, planned, recorder.record) if rows else None
    reporter.finished(recipe, results, card)
    _require_held(planned[: len(results)])
    releases.end()
    return RunResult(results, card, releases.made)


def _require_held(planned: Sequence[PlannedStage]) -> None:
    """Raise GateBroken for the first stage with a gate that stops the run."""
    for stage in planned:
        if stops := [answer for answer in stage.answers if answer.stops]:
            raise GateBroken("; ".join(map(str, stops)), remedy=_remedy(stops[0]))


def _write_ahead(session: Session, planned: Sequence[PlannedStage]) -> None:
    """Have the rows written that stages are to replay and that nothing is to be trained for: what is wrong with them
    shows before the first stage trains. The others are written once their stack is trained.
    """
    trained = {stage.key for stage in planned if stage.cached}
    for stage in planned:
        written = stage.spec.generated if isinstance(stage.spec, TrainingSpec) and not stage.cached else None
        if written is not None and (written.by == "base" or trained.issuperset(stage.below)):
            session.write_rows(stage)


def _scored(session: Session, stage: PlannedStage, known: Sequence[str]) -> list[ScoredRow]:
    """Score a trained stage, and have it answer the user's prompts. `known`: names of the stacks that have rows."""
    rows: list[ScoredRow] = []
    if session.scorer.fingerprints:
        if stage.joined and stage.parent.name not in known:
            rows.append((stage.parent.name, BASE, session.scorer.score(stage.parent)))
        rows.append((stage.spec.name, stage.stack.parent, session.scorer.score(stage.stack)))
    if session.recipe.evaluate.prompts:
        session.scorer.answers(stage.stack)
    return rows


def _note_weak_gates(recipe: Recipe, store: Store, planned: Sequence[PlannedStage], reporter: Reporter) -> None:
    """Note each gate that is likely to stay undecided."""
    if recipe.evaluate.gates:
        for gate in (sight.gate for sight in foresee(recipe, store, planned)):
            if gate is not None and gate.weak:
                reporter.note(str(gate))


def _card(
    asked: Sequence[str],
    store: Store,
    rows: Sequence[ScoredRow],
    drifts: Mapping[str, Drift],
    planned: Sequence[PlannedStage],
    record: Mapping[str, Any],
) -> Scorecard:
    """Return the scorecard of the run, whose changes are judged with all of those that the recipe asks about."""
    subject = subject_of(record, store)
    stacks = {stack.name: stack for stage in planned for stack in (stage.parent, stage.stack)}
    pairs = [(name, parent) for name, parent, _ in rows]
    sizes = card_sizes(Family.of(subject), stacks, pairs, asked)
    return scorecard(rows, drifts, sizes, subject.selected(stacks.values()))


class _Edited:
    """Whether the recipe's file was edited since the run began, which changes nothing about the run."""

    def __init__(self, recipe: Recipe, reporter: Reporter) -> None:
        self._file, self._reporter = recipe.source, reporter
        self._before, self._told = self._hash(), False

    def tell(self) -> None:
        """Note it, once."""
        if not self._told and self._hash() != self._before:
            self._told = True
            self._reporter.note(
                f"{self._file} changed or was deleted since the run began: this run goes on as it was read then; run "
                "again for what it says now"
            )

    def _hash(self) -> str | None:
        return content_hash(self._file) if self._file.is_file() else None


def _stopped(stage: PlannedStage, reporter: Reporter) -> bool:
    """Say what the stage's gates answer; whether one of them stops the run."""
    for answer in stage.answers:
        if answer.stops:
            what = ": the run stops"
        else:
            what = ": left out; later stages train on its parent" if answer.leaves_out else ""
        reporter.note(f"{answer}{what}")
    return any(answer.stops for answer in stage.answers)


def _remedy(answer: GateAnswer) -> str:
    if answer.answer == "undecided":
        return f"score more items, or raise the `budget`, or --set evaluate.gates.{answer.task}.on_undecided=continue"
    return (
        f"the stage is kept: change its training, continue from its parent with "
        f"--set evaluate.gates.{answer.task}.on_break=parent, or raise the `budget`"
    )


def prepared_course(
    name: str, session: Session, planned: Sequence[PlannedStage], releases: Releases | None = None
) -> Course:
    """Return a planned run once nothing would stop a stage of it later, with what its stages will need and take."""
    _check(session, planned)
    if releases is not None:
        releases.held = session.scorer.held
    session.needs = forecast(session.recipe, planned, session.prepare, found_device())
    seconds = _expected(session, planned)
    session.reporter.forecast(seconds)
    return Course(name, session, planned, seconds, releases)


def _check(session: Session, planned: Sequence[PlannedStage]) -> None:
    """Stop the run before a model is loaded for anything that would stop a stage later, such as a bad row."""
    waiting = [stage.spec for stage in planned if not stage.cached and isinstance(stage.spec, TrainingSpec)]
    positions, width, layers = limits(session.recipe, session.identity) if waiting else (None, None, None)
    if waiting:
        require_trackers(session.recipe.report_to)
        for way in ways_to_look(session.recipe.report_to, session.store.root / "trackers"):
            session.reporter.note(way)
        for training in waiting:
            require_optimizer(training)
            if positions is not None:
                require_length(training, positions)
            if layers is not None:
                require_layers(training, layers)
    session.holdouts()
    for stage, spec in ((stage, stage.spec) for stage in planned):
        if not isinstance(spec, TrainingSpec):
            continue
        session.settle(stage)
        if stage.cached:
            session.choose(spec)  # what it learned long ago may be in a benchmark that was added since
        else:
            with session.unchanged(stage):
                prepared = session.prepare(spec)
                steps = steps_of(spec, len(prepared.dataset))
                session.reporter.sized(spec, prepared.report, steps)
                if spec.train.select and spec.train.select.holdout is None:
                    count = len(session.scorer.suite.load(spec.train.select.on).eval_docs)
                    limit = session.recipe.evaluate.limit
                    require_items(spec, spec.train.select.on, min(count, limit or count), limit)
                if require := getattr(stage_module(spec.type), "require", None):
                    require(spec, session.recipe.root, session.recipe.trust_local_code)
            findings = [v for v in judge(spec, prepared.selection, prepared.report) if v.level == "warning"]
            session.reporter.data_ready(spec, prepared.report, findings)
            if prepared.replay is not None:
                session.reporter.note(replay_note(spec, prepared.replay))
            if said := words(prepared.selection):
                session.reporter.note(f"{spec.name}: {said}")
            for advice in warnings(spec, len(prepared.dataset), steps, width):
                session.reporter.note(str(advice))


class _Recorder:
    """Remembers which key each stage of a recipe has: what `status` shows and `plan` compares with."""

    def __init__(self, recipe: Recipe, store: Store, lease: Working) -> None:
        self.recipe, self.store, self.lease = recipe, store, lease
        self.record: dict[str, Any] = {}

    def write(self, planned: Sequence[PlannedStage], session: Session) -> None:
        """Write the record, and need no more than what it reaches."""
        record = record_of(self.recipe, planned, session.scorer.held, session.cache)
        self.record = keep(self.store, record, self.record or None)
        self.lease.only(self.record)


def _expected(session: Session, planned: Sequence[PlannedStage]) -> dict[str, float]:
    """Return the seconds that the training of stages will take, where that was measured on this machine."""
    made = {
        stage.spec.name: session.timing.training(
            stage.spec, below_of(stage, planned), stage.begins.step if stage.begins else 0
        )
        for stage in planned
        if not stage.cached
    }
    return {name: one.usual for name, one in made.items() if one is not None and one.measured}


@dataclass(frozen=True)
class Measure:
    """Size of a stage for `plan`: examples and tokens of one pass over its data, optimizer steps in all."""

    examples: int
    tokens: int
    steps: int
    rows: int = field(default=0, compare=False)
    """Rows of the prepared data, which may hold several examples; 0 for a cached stage."""
    held_out: str = field(default="", compare=False)
    """How many rows are not trained on for the sake of hold-outs, in words; empty for a cached stage."""


def measure(recipe: Recipe, store: Store, stages: Sequence[PlannedStage], reporter: Reporter) -> dict[str, Measure]:
    """Return the exact sizes of planned stages: from the manifest of a cached one, by tokenising the data of the
    others. TrainingError for one that is too short for its warm-up or its cap on drift, as in `run`.
    """
    return sizes(Session(recipe, store, reporter, StopSignal(), base=stages[0].material["base"]), stages)


def sizes(session: Session, stages: Sequence[PlannedStage]) -> dict[str, Measure]:
    """Return what `measure` does, with the session that holds the prepared data."""
    found = {}
    for stage in stages:
        spec = stage.spec
        if not isinstance(spec, TrainingSpec):
            found[spec.name] = Measure(0, 0, 0)
        elif stage.entry is not None:
            data, steps = stage.entry.manifest["data"], stage.entry.manifest["metrics"]["steps"]
            found[spec.name] = Measure(data["examples"], data["tokens"], steps)
        else:
            session.settle(stage)
            with working(session.store):
                prepared = session.prepare(spec)
            steps = steps_of(spec, len(prepared.dataset))
            rows = len(prepared.dataset)
            said = words(prepared.selection)
            found[spec.name] = Measure(prepared.report.examples, prepared.report.tokens, steps, rows, said)
    return found
