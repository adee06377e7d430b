"""A study: several recipes over shared stages, each distinct stage trained once, all pipelines compared at the end.

A pipeline is a recipe down to one of its leaves, the stages that no other stage needs. Pipelines run one after the
other on one loaded base; what an earlier one trained is in the workspace. One that fails does not stop the others. With
`seeds` every pipeline runs several times, and what is true of the recipe is told from what is true of one checkpoint.
Loads no torch itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from statllama.config.benchmarks import chosen_tasks
from statllama.config.field_errors import problems_of
from statllama.config.shipped import find_recipe, recipe_beside
from statllama.config.specs import Name, Spec
from statllama.config.yaml_lines import Path_, line_of, load
from statllama.errors import Interrupted, Problem, RecipeError, StatllamaError, UsageError, near
from statllama.evaluation.compare import Comparison, Scored
from statllama.evaluation.repeated import RecipeContrast, Repeated, compare_recipes
from statllama.evaluation.scores import TaskScore
from statllama.model.identity import base_identity
from statllama.recipe import Recipe, load_recipe
from statllama.runs.family import compare_scored
from statllama.runs.house.history import keep
from statllama.runs.loaded import Loaded
from statllama.runs.plan import plan, record_of
from statllama.runs.reporting import Reporter
from statllama.runs.runner import run
from statllama.runs.scorebook import ScoreBook, scored
from statllama.runs.seeds import RecipeRun, runs_of
from statllama.runs.subject import BASE, StackRef, Subject, subject_of
from statllama.store import Store
from statllama.store.leases import working

MOST_RUNS = 100  # of a recipe
Figures = dict[str, Annotated[float, Field(ge=0, le=100)]]


class StudySpec(Spec):
    """The file of a study: its recipes, and the paper's figures beside their scores."""

    name: Name
    description: str = ""
    recipes: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    """Files relative to this one, or names of shipped recipes."""
    reference: str | None = None
    """Pipeline to compare the others with (`RECIPE` or `RECIPE:STAGE`), or `base`. None: the first; the base where
    there is one pipeline."""
    seeds: int | None = None
    """Runs of each recipe, 2 to 100. The first has the recipe's own seeds, each further one seeds that are higher by
    one. None: one run."""
    repeat: Annotated[tuple[str, ...], Field(min_length=1, strict=False)] | None = None
    """Stages that have other seeds in each run, in every recipe that has them; what stands on them is trained anew,
    what stands below once. None: all stages."""
    paper: dict[str, Figures] = Field(default_factory=dict)
    """{`RECIPE:STAGE` or `RECIPE:base`: {benchmark: score in per cent}} of the paper, shown beside ours."""

    @field_validator("seeds", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and 2 <= value <= MOST_RUNS):
            return value
        raise ValueError(
            f"should be a number of runs from 2 (one cannot show how much runs differ) to {MOST_RUNS}; got {value!r}"
        )

    @model_validator(mode="after")
    def _repeated(self) -> Self:
        if self.repeat is not None and self.seeds is None:
            raise ValueError("`repeat` names stages to train under several seeds: say how many, as in `seeds: 3`")
        return self


@dataclass(frozen=True)
class Study:
    """The work of a study."""

    spec: StudySpec
    runs: tuple[RecipeRun, ...]
    """Run 1 of every recipe, then the second runs, and so on."""

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """Return the recipes, as they are."""
        return tuple(each.recipe for each in self.runs if each.number == 1)


@dataclass(frozen=True)
class Pipeline:
    """A recipe down to one stage."""

    name: str
    """The recipe's name; with several leaves, `RECIPE:STAGE`."""
    recipe: Recipe
    """The recipe with only the stages that the last one needs."""
    last: str
    run: int = 1
    repeated: bool = False
    """Whether other runs of it have other seeds."""

    @property
    def label(self) -> str:
        """Return its name, with the number of the run from the second on."""
        return self.name if self.run == 1 else f"{self.name}, run {self.run}"


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
        }


def load_study(
    targets: Sequence[str], overrides: Sequence[str] = (), *, seeds: int | None = None, trust_local_code: bool = False
) -> Study:
    """Return a study file (it has `recipes`), or several recipes by file or name; `overrides` are for every recipe,
    `seeds` replaces that of the file.

    RecipeError for a file that is wrong, UsageError for two recipes of one name.
    """
    given = [find_recipe(target, studies=len(targets) == 1) for target in targets]
    data, lines = load(given[0]) if len(given) == 1 else (None, {})
    if isinstance(data, dict) and "recipes" in data:
        try:
            spec = StudySpec.model_validate(data | ({} if seeds is None else {"seeds": seeds}))
        except ValidationError as error:
            raise RecipeError(str(given[0]), problems_of(error, (), lines, StudySpec.model_fields)) from None
        beside = [recipe_beside(name, given[0]) for name in spec.recipes]
        files = [path if path.is_file() else find_recipe(name) for path, name in zip(beside, spec.recipes, strict=True)]
    else:
        spec, files = StudySpec(name="study", recipes=tuple(targets), seeds=seeds), given
    given_along = {"trust_local_code": trust_local_code}
    recipes = tuple(load_recipe(file, overrides).model_copy(update=given_along) for file in files)
    runs = [each for recipe in recipes for each in runs_of(recipe, spec.seeds or 1, spec.repeat)]
    for name, times in Counter(each.recipe.name for each in runs).items():
        if times > 1:
            raise UsageError(f"{times} recipes of the study are called {name!r}: give each its own `name`")
    study = Study(spec, tuple(sorted(runs, key=lambda each: each.number)))
    if problems := _problems(study, lines):
        raise RecipeError(str(given[0]), problems)
    return study


def _problems(study: Study, lines: Mapping[Path_, int]) -> list[Problem]:
    """Return what the file names and no recipe has."""
    spec, names = study.spec, [*(p.name for p in pipelines(study)), BASE]
    found = []
    if spec.reference is not None and spec.reference not in names:
        message = f"no pipeline {spec.reference!r}: {near(spec.reference, names)}"
        found.append(Problem("reference", message, line_of(("reference",), lines)))
    if spec.reference == BASE and len({recipe.base for recipe in study.recipes}) > 1:
        message = f"the recipes have several bases: name a pipeline ({', '.join(names[:-1])})"
        found.append(Problem("reference", message, line_of(("reference",), lines)))
    stages = list(dict.fromkeys(stage.name for recipe in study.recipes for stage in recipe.stages))
    for i, name in enumerate(spec.repeat or ()):
        if name not in stages:
            message = f"no recipe of the study has a stage {name!r}: {near(name, stages)}"
            found.append(Problem(f"repeat[{i}]", message, line_of(("repeat", i), lines)))
    if spec.seeds is not None and not found and not any(each.repeated for each in study.runs):
        message = "no stage that they would be given to draws numbers"
        found.append(Problem("seeds", message, line_of(("seeds",), lines)))
    stacks = [f"{recipe.name}:{name}" for recipe in study.recipes for name in (BASE, *(s.name for s in recipe.stages))]
    for stack in spec.paper:
        if stack not in stacks:
            message = f"no stack {stack!r}: {near(stack, stacks)}"
            found.append(Problem(f"paper.{stack}", message, line_of(("paper", stack), lines)))
    return found


def pipelines(study: Study, only: Sequence[str] = (), until: str | None = None) -> tuple[Pipeline, ...]:
    """Return the study's pipelines, recipe by recipe, run by run; recipes of one base stand together, so that it is
    loaded once.

    `only`: recipes or pipelines by name. `until`: a stage at which the recipes that have it end; the others are left
    out. UsageError for one that is not there.
    """
    bases: dict[str, list[RecipeRun]] = {}
    for each in study.runs:
        bases.setdefault(each.recipe.base.model_dump_json(), []).append(each)
    found = [p for runs in bases.values() for each in runs for p in _of_run(each, until)]
    if until is not None and not found:
        names = [stage.name for recipe in study.recipes for stage in recipe.stages]
        raise UsageError(f"--until {until}: no recipe of the study has that stage; {near(until, names)}")
    for name in only:
        known = [each for p in found if p.run == 1 for each in (p.name, p.recipe.name)]
        if name not in known:
            raise UsageError(f"--only {name}: no such pipeline or recipe; {near(name, known)}")
    return tuple(p for p in found if not only or p.name in only or p.name.partition(":")[0] in only)


def with_stage(study: Study, until: str | None) -> tuple[RecipeRun, ...]:
    """Return the runs of recipes that have the stage `until`; all with None. UsageError when none has it."""
    runs = [run for run in study.runs if until in (None, *(stage.name for stage in run.recipe.stages))]
    if not runs:
        names = [stage.name for recipe in study.recipes for stage in recipe.stages]
        raise UsageError(f"--until {until}: no stage {until!r}; {near(str(until), names)}")
    return tuple(runs)


def _of_run(run: RecipeRun, until: str | None) -> list[Pipeline]:
    """Return the pipelines of a run; of a later one those that differ from the first run's."""
    needed = {name for stage in run.recipe.stages for name in stage.needs}
    leaves = [stage.name for stage in run.recipe.stages if stage.name not in needed]
    if until is not None:
        leaves = [stage.name for stage in run.recipe.stages if stage.name == until]
    found = []
    for leaf in leaves:
        part = run.recipe.down_to(leaf)
        if run.number == 1 or run.repeats(part):
            name = run.of if len(leaves) == 1 else f"{run.of}:{leaf}"
            found.append(Pipeline(name, part, leaf, run.number, run.repeats(part)))
    return found


def run_study(
    study: Study,
    store: Store,
    reporter: Reporter,
    *,
    only: Sequence[str] = (),
    until: str | None = None,
    wait: bool = True,
) -> StudyResult:
    """Run every pipeline, whatever becomes of the others, and compare those that ended.

    Interrupted when the user stops it: the same command goes on. What else goes wrong with a pipeline is in the result.
    """
    chosen = pipelines(study, only, until)
    whole = {each.recipe.name: each.recipe for each in study.runs}
    failed: dict[str, StatllamaError] = {}
    subjects: dict[str, Subject] = {}
    loaded: Loaded | None = None
    for number, pipeline in enumerate(chosen, start=1):
        reporter.pipeline(pipeline.label, number, len(chosen))
        name = pipeline.recipe.name
        try:
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
    return StudyResult(study, subjects, scores, chosen, failed, *_compared(study, ended, subjects, store))


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
        record = record_of(recipe, plan(recipe, store))
        before = store.last_run(recipe.name)
        started = {"started": before["started"]} if "started" in before else {}
        return subject_of(keep(store, record | started), store)


def _scores(subject: Subject, store: Store) -> dict[str, dict[str, TaskScore]]:
    tasks = chosen_tasks(subject.evaluate, subject.root)
    book = ScoreBook(store, subject.identity, tasks, subject.evaluate, subject.compute)
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
    if len(wanted) < 2 or not all(subject.evaluate.tasks for _, subject, _ in wanted):
        return None, ()
    names = [label for label, *_ in wanted]
    later = [p for p in ended if p.run > 1 and p.name in names]
    found = scored(store, [*wanted, *(_wanted(p, subjects[p.recipe.name]) for p in later)])
    asked = {task for _, subject, _ in wanted for task in subject.evaluate.tasks}
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
