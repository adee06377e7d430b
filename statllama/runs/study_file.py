"""The file of a study, its recipes, and the pipelines that they make. Loads no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from statllama.config.field_errors import problems_of
from statllama.config.inherit import SOURCE_FILES
from statllama.config.metrics import HOLDOUT
from statllama.config.shipped import find_recipe, located, recipe_beside
from statllama.config.source import SourceSpec
from statllama.config.spec import Name, Spec
from statllama.config.stage import TrainingSpec
from statllama.config.sweep import FrontierSpec, Grid, SearchSpec, combinations_of, corners
from statllama.config.yaml_lines import Path_, line_of, load
from statllama.errors import Problem, RecipeError, UsageError, near
from statllama.recipe import Recipe, load_recipe
from statllama.runs.seeds import RecipeRun, runs_of
from statllama.runs.subject import BASE
from statllama.runs.variants import Settings, combinations, variant

MOST_RUNS = 100  # of a recipe
MANY = 100  # runs of a grid or search, from which on it takes consent
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
    grid: Grid | None = None
    """{field, as `--set` names it: values}: every combination is a recipe of its own, of each recipe of the study."""
    search: SearchSpec | None = None
    """Search for the best values of some fields, instead of a grid; of one recipe."""
    objective: str | None = None
    """Benchmark or hold-out (`holdout:NAME`) whose score the trials of a grid or search are compared by: the higher
    score, or the lower loss, is better. A grid may do without."""
    stage: str | None = None
    """Stage whose stack is scored for `objective`. None: the last one."""
    frontier: FrontierSpec | None = None
    """Compare what pipelines forget at equal gain."""
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

    @model_validator(mode="after")
    def _varied(self) -> Self:
        if self.grid is not None and self.search is not None:
            raise ValueError("give `grid` or `search`, not both")
        if self.search is not None and len(self.recipes) > 1:
            raise ValueError(f"`search` varies one recipe, and `recipes` has {len(self.recipes)}: give each a study")
        if self.search is not None and self.objective is None:
            raise ValueError("`search` needs an `objective`, such as `objective: holdout:sft`")
        if self.objective is not None and self.grid is None and self.search is None:
            raise ValueError("`objective` compares the trials of a `grid` or `search`, and there is neither")
        if self.stage is not None and self.objective is None:
            raise ValueError("`stage` is what `objective` is scored of, and there is none")
        return self


@dataclass(frozen=True)
class Study:
    """The work of a study."""

    spec: StudySpec
    runs: tuple[RecipeRun, ...]
    """Run 1 of every recipe, then the second runs, and so on."""
    variants: Mapping[str, Settings] = field(default_factory=dict)
    """{recipe of a grid or search: its values}"""
    file: Path | None = None
    """The recipe that a search varies, with the study's `overrides`."""
    overrides: tuple[str, ...] = ()
    trust_local_code: bool = False

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """Return the recipes, as they are."""
        return tuple(each.recipe for each in self.runs if each.number == 1)

    @property
    def objective(self) -> str:
        """Return what trials are compared by; empty for nothing."""
        return self.spec.objective or ""

    @property
    def stage(self) -> str:
        """Return the stage whose stack is scored for it."""
        return self.spec.stage or self.runs[0].recipe.stages[-1].name

    def variant(self, settings: Settings, number: int) -> Recipe:
        """Return the recipe of a search with these values. UsageError, which names the values."""
        assert self.file is not None
        return _given(variant(self.file, settings, number, self.overrides), self.trust_local_code)

    def of_variants(self, recipes: Sequence[Recipe], settings: Sequence[Settings]) -> Study:
        """Return the study of some trials of a search."""
        runs = [each for recipe in recipes for each in runs_of(recipe, self.spec.seeds or 1, self.spec.repeat)]
        named = {recipe.name: values for recipe, values in zip(recipes, settings, strict=True)}
        return replace(self, runs=tuple(sorted(runs, key=lambda each: each.number)), variants=named)


def _given(recipe: Recipe, trust_local_code: bool) -> Recipe:
    return recipe.model_copy(update={"trust_local_code": trust_local_code})


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


def load_study(
    targets: Sequence[str],
    overrides: Sequence[str] = (),
    *,
    seeds: int | None = None,
    trust_local_code: bool = False,
    many: bool = True,
) -> Study:
    """Return a study file (it has `recipes`), or several recipes by file or name; `overrides` are for every recipe,
    `seeds` replaces that of the file. `many`: whether a grid or search may make more than `MANY` runs.

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
    if not many:
        _require_few(spec)
    variants: dict[str, Settings] = {}
    recipes = tuple(_recipes(spec, files, overrides, trust_local_code, variants))
    if len(recipes) > 1 or files is not given:  # what deserves a release, the comparison says
        recipes = tuple(recipe.model_copy(update={"release": ()}) for recipe in recipes)
    runs = [each for recipe in recipes for each in runs_of(recipe, spec.seeds or 1, spec.repeat)]
    for name, times in Counter(each.recipe.name for each in runs).items():
        if times > 1:
            raise UsageError(f"{times} recipes of the study are called {name!r}: give each its own `name`")
    of_search = (files[0], tuple(overrides), trust_local_code) if spec.search else (None, (), False)
    study = Study(spec, tuple(sorted(runs, key=lambda each: each.number)), variants, *of_search)
    if problems := _problems(study, lines):
        raise RecipeError(str(given[0]), problems)
    return study


def _require_few(spec: StudySpec) -> None:
    """Raise UsageError for a grid or search of very many runs."""
    trials = combinations_of(spec.grid) * len(spec.recipes) if spec.grid else spec.search.trials if spec.search else 0
    if (count := trials * (spec.seeds or 1)) > MANY:
        raise UsageError(
            f"study {spec.name}: its {'grid' if spec.grid else 'search'} makes {count:,} runs",
            remedy="if you mean that: --yes; `statllama plan` shows what they would take",
        )


def _recipes(
    spec: StudySpec,
    files: Sequence[Path],
    overrides: Sequence[str],
    trust_local_code: bool,
    variants: dict[str, Settings],
) -> Iterator[Recipe]:
    """Yield the study's recipes, of a grid each with all combinations of its values, which `variants` then names."""
    for file in files:
        if spec.grid is None:
            yield _given(load_recipe(file, overrides), trust_local_code)
            continue
        for number, settings in enumerate(combinations(spec.grid), start=1):
            recipe = variant(file, settings, number, overrides)
            variants[recipe.name] = settings
            yield _given(recipe, trust_local_code)


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
    found += _objective_problems(study, lines)
    found += _frontier_problems(study, names, lines)
    stacks = [f"{recipe.name}:{name}" for recipe in study.recipes for name in (BASE, *(s.name for s in recipe.stages))]
    for stack in spec.paper:
        if stack not in stacks:
            message = f"no stack {stack!r}: {near(stack, stacks)}"
            found.append(Problem(f"paper.{stack}", message, line_of(("paper", stack), lines)))
    return found


def _objective_problems(study: Study, lines: Mapping[Path_, int]) -> list[Problem]:
    """Return what is wrong with what a sweep's trials are compared by, and with the fields that a search varies."""
    spec, recipe, found = study.spec, study.runs[0].recipe, []
    if spec.objective is not None and spec.objective not in (scored := recipe.benchmarks):
        message = f"{recipe.name} is not scored on {spec.objective!r}: {near(spec.objective, scored)}"
        found.append(Problem("objective", message, line_of(("objective",), lines)))
    names = [stage.name for stage in recipe.stages]
    if spec.stage is not None and spec.stage not in names:
        message = f"{recipe.name} has no stage {spec.stage!r}: {near(spec.stage, names)}"
        found.append(Problem("stage", message, line_of(("stage",), lines)))
    varied = tuple(spec.grid or ()) or (tuple(spec.search.space) if spec.search is not None else ())
    at = ("grid",) if spec.grid else ("search", "space")
    for name in varied:
        if name.endswith(".holdout") or name.startswith("evaluate.holdouts"):
            message = f"`{name}` would hold other rows out in each trial, and scores on other rows cannot be compared"
            remedy = "set it in the recipe, the same for all"
            found.append(Problem(f"{'.'.join(at)}.{name}", message, line_of((*at, name), lines), remedy))
    trials = list(study.recipes) if spec.grid and len(spec.recipes) == 1 else []
    if spec.search is not None and not found and study.file is not None:
        for settings in corners(spec.search):
            try:
                trials.append(study.variant(settings, 1))
            except UsageError as error:
                found.append(Problem("search.space", error.message, line_of(("search", "space"), lines), error.remedy))
                break
        stage = recipe.stage(study.stage)
        if spec.search.prune and not (isinstance(stage, TrainingSpec) and stage.train.select):
            message = f"stage {stage.name!r} is not validated while it trains: give it `train.select`"
            found.append(Problem("search.prune", message, line_of(("search", "prune"), lines)))
    if not found and len({repr(_held_as(trial)) for trial in trials}) > 1:
        message = "trials would read or cut held-out rows in other ways, and scores on other rows cannot be compared"
        remedy = "vary no filter of a source with a hold-out, and neither `max_length` nor `train_on` of its stage"
        found.append(Problem(".".join(at), message, line_of(at, lines), remedy))
    return found


def _held_as(recipe: Recipe, tasks: Sequence[str] | None = None) -> list[object]:
    """Return how a recipe reads and cuts the rows that it holds out. `tasks`: of these hold-outs; None: of all."""
    kept = [held for held in recipe.held if tasks is None or f"{HOLDOUT}{held.name}" in tasks]
    cut = [held.stage and (held.stage.train.max_length, held.stage.data_options["train_on"]) for held in kept]
    named = recipe.evaluate.max_length if any(held.stage is None for held in kept) else None
    return [[(held.name, _absolute(held.source, recipe), held.share) for held in kept], cut, named]


def _absolute(source: SourceSpec, recipe: Recipe) -> SourceSpec:
    """Return a source with its files where they are: a recipe that extends another may write them in another way."""
    files = {name: value for name in SOURCE_FILES if isinstance(value := getattr(source, name), str)}
    return source.model_copy(update={name: located(value, recipe.root) for name, value in files.items()})


def _frontier_problems(study: Study, names: Sequence[str], lines: Mapping[Path_, int]) -> list[Problem]:
    """Return what a frontier names and no recipe has. `names`: of the pipelines."""
    if (spec := study.spec.frontier) is None:
        return []
    found = []
    for i, name in enumerate(spec.ladder):
        if name not in names or name == BASE:
            message = f"no pipeline {name!r}: {near(name, [each for each in names if each != BASE])}"
            found.append(Problem(f"frontier.ladder[{i}]", message, line_of(("frontier", "ladder", i), lines)))
    for side, task in (("gain", spec.gain), ("kept", spec.kept)):
        without = next((recipe for recipe in study.recipes if task not in recipe.benchmarks), None)
        if without is not None:
            message = f"{without.name} is not scored on {task!r}: {near(task, without.benchmarks)}"
            found.append(Problem(f"frontier.{side}", message, line_of(("frontier", side), lines)))
    if not found and len({repr(_held_as(recipe, (spec.gain, spec.kept))) for recipe in study.recipes}) > 1:
        message = "the recipes hold out other rows under these names, or cut them in other ways, so nothing compares"
        remedy = "give all recipes the same `evaluate.holdouts`, with the same `evaluate.max_length`"
        found.append(Problem("frontier", message, line_of(("frontier",), lines), remedy))
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
