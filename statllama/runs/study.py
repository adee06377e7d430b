"""A study: several recipes over shared stages, each distinct stage trained once, all pipelines compared at the end.

A pipeline is a recipe down to one of its leaves, the stages that no other stage needs. Pipelines run one after the
other on one loaded base; what an earlier one trained is in the workspace. One that fails does not stop the others. With
`seeds` every pipeline runs several times, and what is true of the recipe is told from what is true of one checkpoint.
Loads no torch itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from statllama.errors import Interrupted, StatllamaError
from statllama.evaluation.compare import Comparison, Scored
from statllama.evaluation.repeated import RecipeContrast, Repeated, compare_recipes
from statllama.evaluation.scores import TaskScore
from statllama.model.identity import base_identity
from statllama.recipe import Recipe
from statllama.runs.cluster.agenda import Course
from statllama.runs.cluster.fill import RayExecutor
from statllama.runs.family import compare_scored
from statllama.runs.frontier import Frontier, frontier
from statllama.runs.house.history import keep
from statllama.runs.loaded import Loaded
from statllama.runs.plan import PlannedStage, held_before, plan, record_of
from statllama.runs.reporting import Reporter
from statllama.runs.runner import prepared_course, run
from statllama.runs.scorebook import ScoreBook, scored
from statllama.runs.session import Session
from statllama.runs.signals import StopSignal
from statllama.runs.study_file import Pipeline, Study, pipelines
from statllama.runs.subject import BASE, StackRef, Subject, subject_of
from statllama.runs.sweep import Sweep, main_effects, trials_of
from statllama.runs.variants import spoken
from statllama.store import Store
from statllama.store.leases import working


@dataclass(frozen=True)
class StudyResult:
    """The outcome of a study."""

    study: Study
    subjects: Mapping[str, Subject]
    """{recipe: its trained stages}; a further run's recipe is called `NAME.run2`."""
    every_score: Mapping[str, Mapping[str, Mapping[str, TaskScore]]]
    """{recipe: {`base` or stage: {benchmark: score}}}, as far as scored, of all runs."""
    every_pipeline: tuple[Pipeline, ...]
    """Of all runs."""
    failed: Mapping[str, StatllamaError]
    """{pipeline: the error that ended it}."""
    comparison: Comparison | None
    """Every finished pipeline, as its first run left it, against the reference; None with nothing to compare, such as
    pipelines that share no benchmark."""
    contrasts: tuple[RecipeContrast, ...] = ()
    """The same over all runs: verdicts on the recipes beside those on the checkpoints."""
    sweep: Sweep | None = None
    """The trials of a grid or search that has an objective."""
    frontier: Frontier | None = None
    """What pipelines gained and forgot, where the study asks for it."""

    @property
    def scores(self) -> Mapping[str, Mapping[str, Mapping[str, TaskScore]]]:
        """Return the scores of the recipes under their own seeds."""
        own = {recipe.name for recipe in self.study.recipes}
        return {name: scores for name, scores in self.every_score.items() if name in own}

    @property
    def pipelines(self) -> tuple[Pipeline, ...]:
        """Return the pipelines under their own seeds."""
        return tuple(p for p in self.every_pipeline if p.run == 1)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Return the benchmarks of all recipes, in their order."""
        found = (task for stacks in self.scores.values() for scores in stacks.values() for task in scores)
        return tuple(dict.fromkeys(found))

    @property
    def in_paper(self) -> frozenset[str]:
        """Return the benchmarks that the paper gives figures of."""
        return frozenset(task for figures in self.study.spec.paper.values() for task in figures)

    def paper(self, recipe: str, stack: str, task: str) -> float | None:
        """Return the paper's score of a stack, in per cent; None where the study's file gives none."""
        return self.study.spec.paper.get(f"{recipe}:{stack}", {}).get(task)

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain JSON values: means instead of all items."""
        return {
            "study": self.study.spec.model_dump(mode="json"),
            "scores": {
                recipe: {
                    stack: {t: {"value": s.value, "stderr": s.stderr, "n": s.n} for t, s in found.items()}
                    for stack, found in stacks.items()
                }
                for recipe, stacks in self.every_score.items()
            },
            "failed": {name: error.message for name, error in self.failed.items()},
            "comparison": self.comparison.to_json() if self.comparison else None,
            "recipes": [contrast.to_json() for contrast in self.contrasts],
            "sweep": self.sweep.to_json() if self.sweep else None,
            "frontier": self.frontier.to_json() if self.frontier else None,
        }


def run_study(
    study: Study,
    store: Store,
    reporter: Reporter,
    *,
    only: Sequence[str] = (),
    until: str | None = None,
    wait: bool = True,
    executor: RayExecutor | None = None,
) -> StudyResult:
    """Run every pipeline, whatever becomes of the others, and compare those that ended.

    Interrupted when the user stops it: the same command goes on. What else goes wrong with a pipeline is in the result.
    `executor`: has workers train and score what all pipelines lack, at the same time; None: this process does, one
    pipeline after the other.
    """
    chosen = pipelines(study, only, until)
    whole = {each.recipe.name: each.recipe for each in study.runs}
    ended_early = {} if executor is None else filled(chosen, store, reporter, executor, wait=wait)
    failed: dict[str, StatllamaError] = {}
    subjects: dict[str, Subject] = {}
    loaded: Loaded | None = None
    for number, pipeline in enumerate(chosen, start=1):
        reporter.pipeline(_titled(pipeline, study), number, len(chosen))
        name = pipeline.recipe.name
        try:
            if pipeline.label in ended_early:
                raise ended_early[pipeline.label]
            loaded = _loaded(loaded, pipeline.recipe, chosen, store, reporter)
            run(pipeline.recipe, store, reporter, wait=wait, loaded=loaded, whole=whole[name])
        except Interrupted:
            with suppress(StatllamaError):
                _recorded(whole[name], store)
            raise
        except StatllamaError as error:
            failed[pipeline.label] = error
            reporter.pipeline_failed(pipeline.label, error)
        with suppress(StatllamaError):  # what cannot even be planned is told above, and has no scores
            subjects[name] = _recorded(whole[name], store)
    ended = [p for p in chosen if p.label not in failed]
    scores = {name: _scores(subject, store) for name, subject in subjects.items()}
    sweep = _sweep(study, scores, subjects, chosen, failed, store)
    across = frontier(study.spec.frontier, ended, scores) if study.spec.frontier else None
    compared = _compared(study, ended, subjects, store)
    return StudyResult(study, subjects, scores, chosen, failed, *compared, sweep, across)


def _sweep(
    study: Study,
    scores: Mapping[str, Mapping[str, Mapping[str, TaskScore]]],
    subjects: Mapping[str, Subject],
    chosen: Sequence[Pipeline],
    failed: Mapping[str, StatllamaError],
    store: Store,
) -> Sweep | None:
    """Return the trials of a grid or of a search's part, with what mattered by their main effects."""
    if not study.objective or not study.variants:
        return None
    why = {p.recipe.name: failed[p.label].message for p in chosen if p.label in failed}
    trials = trials_of(study, scores, subjects, why, store)
    known = (stacks.get(study.stage, {}).get(study.objective) for stacks in scores.values())
    metric = next((score.metric for score in known if score is not None), "")
    return Sweep(study.objective, study.stage, metric, trials, main_effects(trials), "main effects, eta squared")


def filled(
    chosen: Sequence[Pipeline], store: Store, reporter: Reporter, executor: RayExecutor, *, wait: bool = True
) -> dict[str, StatllamaError]:
    """Have workers publish what all pipelines lack; {pipeline: the error that ended it}."""
    courses: list[Course] = []
    failed: dict[str, StatllamaError] = {}
    loaded: Loaded | None = None
    with working(store), StopSignal() as stop:
        store.prune_partial()
        for pipeline in chosen:
            try:
                planned = plan(pipeline.recipe, store, contents=True)
            except Interrupted:
                raise
            except StatllamaError as error:
                failed[pipeline.label] = error
                continue
            _require(executor, planned, reporter)
            try:
                loaded = _loaded(loaded, pipeline.recipe, chosen, store, reporter)
                base = planned[0].material["base"]
                session = Session(pipeline.recipe, store, reporter, stop, wait=wait, base=base, loaded=loaded)
                courses.append(prepared_course(pipeline.label, session, planned))
            except Interrupted:
                raise
            except StatllamaError as error:
                failed[pipeline.label] = error
        try:
            return failed | executor.fill(courses, store, reporter, stop)
        except BaseException as error:
            reporter.failed(error)
            raise


def _titled(pipeline: Pipeline, study: Study) -> str:
    """Return a pipeline's label, of a sweep's with its values."""
    settings = study.variants.get(pipeline.name.partition(":")[0])
    return f"{pipeline.label}: {spoken(settings)}" if settings else pipeline.label


def _require(executor: RayExecutor, planned: Sequence[PlannedStage], reporter: Reporter) -> None:
    try:
        executor.require(planned)
    except StatllamaError as error:
        reporter.failed(error)
        raise


def _loaded(
    before: Loaded | None, recipe: Recipe, chosen: Sequence[Pipeline], store: Store, reporter: Reporter
) -> Loaded:
    """Return the loaded base when it is this recipe's, with room for all pipelines on it."""
    identity = base_identity(recipe.base, store.memory)
    if before is not None and before.spec == recipe.base and before.identity == identity:
        return before
    rows = [p.recipe.longest_row for p in chosen if p.recipe.base == recipe.base]
    return Loaded(recipe.base, identity, store, reporter, max(rows))


def _recorded(recipe: Recipe, store: Store) -> Subject:
    """Return the whole recipe as `eval` and `report` find it: a run of one pipeline records that pipeline's stages
    alone.
    """
    with working(store):
        record = record_of(recipe, plan(recipe, store), held_before(store, recipe.name))
        before = store.last_run(recipe.name)
        started = {"started": before["started"]} if "started" in before else {}
        return subject_of(keep(store, record | started), store)


def _scores(subject: Subject, store: Store) -> dict[str, dict[str, TaskScore]]:
    book = ScoreBook.of(subject, store)
    return {stack.name: known for stack in subject.stacks() if (known := book.known(stack))}


def _compared(
    study: Study, ended: Sequence[Pipeline], subjects: Mapping[str, Subject], store: Store
) -> tuple[Comparison | None, tuple[RecipeContrast, ...]]:
    """Return each pipeline that ended against the reference, on the benchmarks that all have: first runs, all runs.

    Benchmarks that no recipe names stay out, so that what else a workspace holds changes no p-value.
    """
    reference = study.spec.reference
    firsts = sorted((p for p in ended if p.run == 1), key=lambda p: p.name != reference)  # else as they come
    wanted = [_wanted(p, subjects[p.recipe.name]) for p in firsts]
    if firsts and BASE not in [p.name for p in firsts] and (reference == BASE or len(firsts) == 1):
        wanted.insert(0, (BASE, wanted[0][1], StackRef(BASE, None)))
    if len(wanted) < 2 or not all(subject.benchmarks for _, subject, _ in wanted):
        return None, ()
    names = [label for label, *_ in wanted]
    later = [p for p in ended if p.run > 1 and p.name in names]
    found = scored(store, [*wanted, *(_wanted(p, subjects[p.recipe.name]) for p in later)])
    asked = {task for _, subject, _ in wanted for task in subject.benchmarks}
    if not asked.intersection(*(first.records for first in found[: len(wanted)])):
        return None, ()
    comparison = compare_scored(store, wanted, asked)
    runs: dict[str, dict[int, Scored]] = {name: {1: first} for name, first in zip(names, found, strict=False)}
    for p, other in zip(later, found[len(wanted) :], strict=True):
        runs[p.name][p.run] = other
    repeated = {p.name for p in firsts if p.repeated and study.spec.seeds is not None}
    return comparison, compare_recipes(comparison, [Repeated(n, runs[n], n not in repeated) for n in names])


def _wanted(pipeline: Pipeline, subject: Subject) -> tuple[str, Subject, StackRef]:
    last = next((s for s in (pipeline.last, *reversed(_names(pipeline))) if not _left_out(subject, s)), BASE)
    return pipeline.label, subject, subject.stack(last)


def _names(pipeline: Pipeline) -> list[str]:
    return [stage.name for stage in pipeline.recipe.stages]


def _left_out(subject: Subject, stage: str) -> bool:
    return any(s.name == stage and s.left_out for s in subject.stages)
