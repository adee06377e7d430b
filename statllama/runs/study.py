"""A study: several recipes over shared stages, each distinct stage trained once, all pipelines compared at the end.

A pipeline is a recipe down to one of its leaves, the stages that no other stage needs. Pipelines run one after the
other on one loaded base; what an earlier one trained is in the workspace. One that fails does not stop the others.
Loads no torch itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, ValidationError

from statllama.config.benchmarks import chosen_tasks
from statllama.config.field_errors import problems_of
from statllama.config.shipped import find_recipe
from statllama.config.specs import Name, Spec
from statllama.config.yaml_lines import line_of, load
from statllama.errors import Interrupted, Problem, RecipeError, StatllamaError, UsageError, near
from statllama.evaluation.compare import Comparison
from statllama.evaluation.scores import TaskScore
from statllama.model.identity import base_identity
from statllama.recipe import Recipe, load_recipe
from statllama.runs.family import compare_scored
from statllama.runs.loaded import Loaded
from statllama.runs.plan import plan, record_of
from statllama.runs.reporting import Reporter
from statllama.runs.runner import run
from statllama.runs.scorebook import ScoreBook
from statllama.runs.subject import BASE, Subject, subject_of
from statllama.store import Store

Figures = dict[str, Annotated[float, Field(ge=0, le=100)]]


class StudySpec(Spec):
    """The file of a study: its recipes, and the paper's figures beside their scores."""

    name: Name
    description: str = ""
    recipes: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    """Files relative to this one, or names of shipped recipes."""
    reference: str | None = None
    """Pipeline to compare the others with (`RECIPE` or `RECIPE:STAGE`). None: the first."""
    paper: dict[str, Figures] = Field(default_factory=dict)
    """{`RECIPE:STAGE` or `RECIPE:base`: {benchmark: score in per cent}} of the paper, shown beside ours."""


@dataclass(frozen=True)
class Study:
    """The work of a study."""

    spec: StudySpec
    recipes: tuple[Recipe, ...]


@dataclass(frozen=True)
class Pipeline:
    """A recipe down to one stage."""

    name: str
    """The recipe's name; with several leaves, `RECIPE:STAGE`."""
    recipe: Recipe
    """The recipe with only the stages that the last one needs."""
    last: str


@dataclass(frozen=True)
class StudyResult:
    """The outcome of a study."""

    study: Study
    subjects: Mapping[str, Subject]
    """{recipe: its trained stages}."""
    scores: Mapping[str, Mapping[str, Mapping[str, TaskScore]]]
    """{recipe: {`base` or stage: {benchmark: score}}}, as far as scored."""
    pipelines: tuple[Pipeline, ...]
    failed: Mapping[str, StatllamaError]
    """{pipeline: the error that ended it}."""
    comparison: Comparison | None
    """Every finished pipeline against the reference; None when there are not two."""

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
                for recipe, stacks in self.scores.items()
            },
            "failed": {name: error.message for name, error in self.failed.items()},
            "comparison": self.comparison.to_json() if self.comparison else None,
        }


def load_study(targets: Sequence[str], overrides: Sequence[str] = (), *, trust_local_code: bool = False) -> Study:
    """Return a study file (it has `recipes`), or several recipes by file or name; `overrides` are for every recipe.

    RecipeError for a file that is wrong, UsageError for two recipes of one name.
    """
    given = [find_recipe(target, studies=len(targets) == 1) for target in targets]
    data, lines = load(given[0]) if len(given) == 1 else (None, {})
    if isinstance(data, dict) and "recipes" in data:
        try:
            spec = StudySpec.model_validate(data)
        except ValidationError as error:
            raise RecipeError(str(given[0]), problems_of(error, (), lines, StudySpec.model_fields)) from None
        beside = [given[0].parent / name for name in spec.recipes]
        files = [path if path.is_file() else find_recipe(name) for path, name in zip(beside, spec.recipes, strict=True)]
    else:
        spec, files = StudySpec(name="study", recipes=tuple(targets)), given
    given_along = {"trust_local_code": trust_local_code}
    recipes = tuple(load_recipe(file, overrides).model_copy(update=given_along) for file in files)
    for name, times in Counter(recipe.name for recipe in recipes).items():
        if times > 1:
            raise UsageError(f"{times} recipes of the study are called {name!r}: give each its own `name`")
    study = Study(spec, recipes)
    names = [p.name for p in pipelines(study)]
    problems = []
    if spec.reference is not None and spec.reference not in names:
        message = f"no pipeline {spec.reference!r}: {near(spec.reference, names)}"
        problems.append(Problem("reference", message, line_of(("reference",), lines)))
    stacks = [f"{recipe.name}:{name}" for recipe in recipes for name in (BASE, *(s.name for s in recipe.stages))]
    for stack in spec.paper:
        if stack not in stacks:
            message = f"no stack {stack!r}: {near(stack, stacks)}"
            problems.append(Problem(f"paper.{stack}", message, line_of(("paper", stack), lines)))
    if problems:
        raise RecipeError(str(given[0]), problems)
    return study


def pipelines(study: Study, only: Sequence[str] = (), until: str | None = None) -> tuple[Pipeline, ...]:
    """Return the study's pipelines, recipe by recipe; recipes of one base stand together, so that it is loaded once.

    `only`: recipes or pipelines by name. `until`: a stage at which the recipes that have it end; the others are left
    out. UsageError for one that is not there.
    """
    bases: dict[str, list[Recipe]] = {}
    for recipe in study.recipes:
        bases.setdefault(recipe.base.model_dump_json(), []).append(recipe)
    found = [p for recipes in bases.values() for recipe in recipes for p in _of_recipe(recipe, until)]
    if until is not None and not found:
        names = [stage.name for recipe in study.recipes for stage in recipe.stages]
        raise UsageError(f"--until {until}: no recipe of the study has that stage; {near(until, names)}")
    for name in only:
        known = [each for p in found for each in (p.name, p.recipe.name)]
        if name not in known:
            raise UsageError(f"--only {name}: no such pipeline or recipe; {near(name, known)}")
    return tuple(p for p in found if not only or p.name in only or p.recipe.name in only)


def _of_recipe(recipe: Recipe, until: str | None) -> list[Pipeline]:
    needed = {name for stage in recipe.stages for name in stage.needs}
    leaves = [stage.name for stage in recipe.stages if stage.name not in needed]
    if until is not None:
        leaves = [stage.name for stage in recipe.stages if stage.name == until]
    return [
        Pipeline(recipe.name if len(leaves) == 1 else f"{recipe.name}:{leaf}", recipe.down_to(leaf), leaf)
        for leaf in leaves
    ]


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
    whole = {recipe.name: recipe for recipe in study.recipes}
    failed: dict[str, StatllamaError] = {}
    subjects: dict[str, Subject] = {}
    loaded: Loaded | None = None
    for number, pipeline in enumerate(chosen, start=1):
        reporter.pipeline(pipeline.name, number, len(chosen))
        name = pipeline.recipe.name
        try:
            loaded = _loaded(loaded, pipeline.recipe, chosen, store, reporter)
            run(pipeline.recipe, store, reporter, wait=wait, loaded=loaded)
        except Interrupted:
            with suppress(StatllamaError):
                _recorded(whole[name], store)
            raise
        except StatllamaError as error:
            failed[pipeline.name] = error
            reporter.pipeline_failed(pipeline.name, error)
        with suppress(StatllamaError):  # what cannot even be planned is told above, and has no scores
            subjects[name] = _recorded(whole[name], store)
    ended = [p for p in chosen if p.name not in failed]
    return StudyResult(
        study,
        subjects,
        {name: _scores(subject, store) for name, subject in subjects.items()},
        chosen,
        failed,
        _compared(study, ended, subjects, store),
    )


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
    record = record_of(recipe, plan(recipe, store))
    before = store.last_run(recipe.name)
    store.write_run(recipe.name, record | ({"started": before["started"]} if "started" in before else {}))
    return subject_of(record, store)


def _scores(subject: Subject, store: Store) -> dict[str, dict[str, TaskScore]]:
    tasks = chosen_tasks(subject.evaluate, subject.root)
    book = ScoreBook(store, subject.identity, tasks, subject.evaluate, subject.compute)
    return {stack.name: known for stack in subject.stacks() if (known := book.known(stack))}


def _compared(
    study: Study, ended: Sequence[Pipeline], subjects: Mapping[str, Subject], store: Store
) -> Comparison | None:
    """Return each pipeline that ended against the reference, on the benchmarks that all have."""
    order = sorted(ended, key=lambda p: p.name != study.spec.reference)  # the reference first, else as they come
    wanted = []
    for p in order:
        subject = subjects[p.recipe.name]
        last = next((s for s in (p.last, *reversed(_names(p))) if not _left_out(subject, s)), BASE)
        wanted.append((p.name, subject, subject.stack(last)))
    if len(wanted) < 2 or not all(subject.evaluate.tasks for _, subject, _ in wanted):
        return None
    return compare_scored(store, wanted)


def _names(pipeline: Pipeline) -> list[str]:
    return [stage.name for stage in pipeline.recipe.stages]


def _left_out(subject: Subject, stage: str) -> bool:
    return any(s.name == stage and s.left_out for s in subject.stages)
