"""Recipe: load a YAML file, apply overrides, validate everything at once, resolve open fields.

Resolving means: `defaults` are merged into the stages, parents are stage names, files are absolute. Nothing here
loads torch or touches the network.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from statllama.config import overrides as command_line
from statllama.config.base_model import BaseModelSpec
from statllama.config.benchmarks import TaskFile, chosen_tasks
from statllama.config.evaluate import EvaluateSpec
from statllama.config.field_errors import problems_of
from statllama.config.gate_problems import blended_gates, gate_problems, held_gates
from statllama.config.holdout import Held, held_sources, holdout_problems, holds_out
from statllama.config.inherit import DEFAULTED, EXTENDS, SOURCE_FILES, Whole, anchored, load_whole, with_defaults
from statllama.config.metrics import HOLDOUT
from statllama.config.missing_files import missing_data, neighbours
from statllama.config.order import order
from statllama.config.release import ReleaseSpec, filled_in, release_problems
from statllama.config.replayed import replay_problems, sources_in
from statllama.config.selection_problems import selection_problems
from statllama.config.shipped import (
    BASE_FIELDS,
    SHIPPED,
    find_recipe,
    located,
    located_base,
    portable,
    shipped_bases,
)
from statllama.config.spec import Name, Spec
from statllama.config.stage import StageSpec, Tracker, TrainingSpec
from statllama.config.synonyms import meant
from statllama.config.yaml_lines import Path_, dotted, line_of
from statllama.errors import ModelError, Problem, RecipeError, UsageError, near
from statllama.model.architectures import architecture_of
from statllama.stages import EXPERIMENTAL, NOT_OFFERED, stage_module, stage_types
from statllama.store.files import read_json

# Fields of Recipe that do not stand in the file.
GIVEN = ("source", "overrides", "trust_local_code", "comparisons", "elsewhere")


class Recipe(Spec):
    """A validated, resolved recipe. Stages are in an order in which parents come first."""

    name: Name
    """Names the run in reports and in `status`."""
    description: str = ""
    """One or two sentences for readers."""
    base: BaseModelSpec
    stages: Annotated[tuple[StageSpec, ...], Field(strict=False)]
    evaluate: EvaluateSpec = EvaluateSpec()
    report_to: Annotated[tuple[Tracker, ...], Field(strict=False)] = ()
    """Trackers of Transformers that also get every logged number. Not in the key."""
    release: Annotated[tuple[ReleaseSpec, ...], Field(strict=False)] = ()
    """Releases that `run` makes, each once its stage is trained. Not in the key."""
    source: Path
    """The YAML file."""
    overrides: tuple[str, ...] = ()
    """The `--set` arguments, as given."""
    trust_local_code: bool = False
    """Whether code in the recipe's folder may run (`--trust-local-code`): a user's own rewards."""
    comparisons: int = 0
    """Comparisons on a benchmark that the whole recipe makes: each stack with the base and with what it is trained on,
    the stack of several parents together too. They are judged together, whichever of its stages run (`down_to`)."""
    elsewhere: tuple[StageSpec, ...] = ()
    """Stages of the whole recipe that are not among `stages` (`down_to`) and hold rows out."""

    @property
    def trained(self) -> tuple[TrainingSpec, ...]:
        """Return the stages that train on data."""
        return tuple(stage for stage in self.stages if isinstance(stage, TrainingSpec))

    @property
    def held(self) -> tuple[Held, ...]:
        """Return all that the whole recipe holds out, for stages that `down_to` left out too: there is one split."""
        return held_sources((*self.stages, *self.elsewhere), self.evaluate)

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Return the names of all that its stacks are scored on: `evaluate.tasks`, then hold-outs."""
        return tuple(dict.fromkeys((*self.evaluate.tasks, *(f"{HOLDOUT}{held.name}" for held in self.held))))

    @property
    def precision(self) -> str:
        """Compute type that its stacks are scored in: that of the first stage."""
        return self.trained[0].train.precision

    @property
    def root(self) -> Path:
        """Return the folder that relative files of the recipe refer to."""
        return self.source.parent

    @property
    def longest_row(self) -> int:
        """Return the tokens of the longest row that the base gets in a run."""
        stages = (*self.trained, *(held.stage for held in self.held if held.stage))
        asked = self.evaluate.tasks or self.evaluate.prompts or self.evaluate.holdouts
        return max([stage.train.max_length for stage in stages] + ([self.evaluate.max_length] if asked else []))

    def tasks(self) -> tuple[TaskFile, ...]:
        """Read the benchmarks that it scores. BenchmarkError for one that is missing or wrong."""
        return chosen_tasks(self.evaluate, self.root)

    def stage(self, name: str) -> StageSpec:
        """Return the stage of that name. UsageError for an unknown one."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise UsageError(f"no stage {name!r} in recipe {self.name!r}: {near(name, [s.name for s in self.stages])}")

    def training_stage(self, name: str) -> TrainingSpec:
        """Return the stage of that name, which has data. UsageError for an unknown one and for one that trains
        nothing.
        """
        stage = self.stage(name)
        if not isinstance(stage, TrainingSpec):
            raise UsageError(f"stage {name!r} is a {stage.type}: it reads no data")
        return stage

    def parents(self, stage: StageSpec) -> tuple[StageSpec, ...]:
        """Return the direct parents, in stack order (resolved: never None)."""
        return () if stage.parents == "base" else tuple(self.stage(name) for name in stage.parents or ())

    def stack(self, stage: StageSpec) -> tuple[StageSpec, ...]:
        """Return all stages below `stage`, in the order in which they are stacked: each once, parents before
        children.
        """
        return self._stacks[stage.name]

    @cached_property
    def _stacks(self) -> dict[str, tuple[StageSpec, ...]]:
        """Return {stage: its stack}, in one pass: parents come first in `stages`."""
        stacks: dict[str, tuple[StageSpec, ...]] = {}
        for stage in self.stages:
            below = {s.name: s for parent in self.parents(stage) for s in (*stacks[parent.name], parent)}
            stacks[stage.name] = tuple(below.values())
        return stacks

    def down_to(self, name: str) -> Recipe:
        """Return the recipe with only the stages that the stage of that name needs, and it."""
        wanted, waiting = set[str](), [self.stage(name).name]
        while waiting:
            wanted.add(found := waiting.pop())
            waiting += [each for each in self.stage(found).needs if each not in wanted]
        left_out = (stage for stage in self.stages if stage.name not in wanted and holds_out(stage))
        stages = tuple(stage for stage in self.stages if stage.name in wanted)
        release = tuple(one for one in self.release if one.stage in wanted)
        elsewhere = (*self.elsewhere, *left_out)
        return self.model_copy(update={"stages": stages, "elsewhere": elsewhere, "release": release})

    @property
    def base_record(self) -> dict[str, Any]:
        """Return `base` as plain JSON data; what ships is `shipped:...`, so that it is found on another machine too."""
        body = self.base.model_dump(mode="json")
        return body | {field: portable(body[field]) for field in BASE_FIELDS if body[field] is not None}

    def to_yaml(self) -> str:
        """Return the resolved recipe as YAML: every field with its value, files absolute, what ships as
        `shipped:...`.
        """
        body = self.model_dump(mode="json", exclude=set(GIVEN))
        body["base"] = self.base_record
        body["stages"] = [stage.model_dump(mode="json") for stage in self.stages]
        of_stages = (source for stage in body["stages"] for source in sources_in(stage))
        for source in (*of_stages, *body["evaluate"]["holdouts"].values()):
            for field in SOURCE_FILES:
                source[field] = anchored(source[field], self.root)
        body["evaluate"]["data"] = anchored(body["evaluate"]["data"], self.root)
        return yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=110)


def load_recipe(recipe: str | Path, overrides: Sequence[str] = (), *, check_files: bool = True) -> Recipe:
    """Load a recipe by path or by the name of a shipped one, with `key.path=value` overrides.

    `check_files=False` accepts local files that are not there, to look at a recipe before its data is at hand.
    Raises RecipeError with all problems at once, or UsageError when there is no such recipe.
    """
    source = find_recipe(str(recipe))
    whole = load_whole(source)
    data, lines = whole.data, whole.lines
    if not isinstance(data, dict):
        problem = Problem("file", "a recipe is a mapping with `name`, `base` and `stages`", 1)
        raise RecipeError(str(source), [problem])
    if "recipes" in data and "stages" not in data:
        raise UsageError(f"{source} is a study of several recipes, not a recipe", remedy=f"statllama study {recipe}")
    for override in overrides:
        command_line.apply(data, override, lines)
    command_line.spread(data, lines)
    return _build(whole, source, tuple(overrides), check_files)


def _build(whole: Whole, source: Path, overrides: tuple[str, ...], check_files: bool) -> Recipe:
    data, lines = whole.data, whole.lines
    problems: list[Problem] = []
    stages = _stages(whole, problems)
    fields = {k: v for k, v in data.items() if k not in ("stages", "defaults", *GIVEN)}
    allowed = [*(k for k in Recipe.model_fields if k not in GIVEN), "defaults", EXTENDS]
    for key in set(data) & set(GIVEN):
        problems.append(Problem(key, f"unknown key: {near(key, allowed)}", line_of((key,), lines)))
    recipe = None
    try:
        recipe = Recipe.model_validate({**fields, "stages": (), "source": source, "overrides": overrides})
    except ValidationError as error:
        problems += problems_of(error, (), lines, {k: Recipe.model_fields.get(k) for k in allowed})
    if recipe is not None:
        problems += gate_problems(recipe.evaluate, _stage_names(data), lines)
        problems += held_gates(recipe.evaluate, [stage for _, stage in stages], lines)
        problems += blended_gates(recipe.evaluate, [stage for _, stage in stages], lines)
    problems += holdout_problems(recipe.evaluate if recipe else None, stages, lines)
    if recipe is not None:
        problems += selection_problems(recipe.evaluate, stages, lines)
    problems += _blended_rows(stages, lines)
    if recipe is not None and check_files:
        problems += _file_problems(recipe, stages, lines)
    ordered = order(stages, _stage_names(data), lines, problems)
    problems += replay_problems(ordered, stages, _stage_names(data), lines)
    if problems or recipe is None:
        raise RecipeError(str(source), list(dict.fromkeys(problems)))
    given = {field: getattr(recipe.base, field) for field in BASE_FIELDS}
    places = {field: located_base(value, recipe.root) for field, value in given.items() if value is not None}
    base = recipe.base.model_copy(update=places)
    resolved = recipe.model_copy(update={"stages": tuple(ordered), "base": base})
    stacks = {stage.name: [*(s.name for s in resolved.stack(stage)), stage.name] for stage in ordered}
    if wrong := release_problems(recipe.release, recipe.name, stacks, lines):
        raise RecipeError(str(source), wrong)
    release = filled_in(recipe.release, recipe.name, ordered[-1].name)
    return resolved.model_copy(update={"comparisons": _comparisons(resolved), "release": release})


def recipe_error(recipe: Recipe, found: Sequence[tuple[Path_, str, str | None]]) -> RecipeError:
    """Return the error of fields that only those above know to be wrong: (path in the file, message, remedy)."""
    whole = load_whole(recipe.source)
    for override in recipe.overrides:
        command_line.apply(whole.data, override, whole.lines)
    return RecipeError(
        str(recipe.source),
        [Problem(dotted(path), message, line_of(path, whole.lines), remedy) for path, message, remedy in found],
    )


def _comparisons(recipe: Recipe) -> int:
    below = [frozenset(s.name for s in recipe.stack(stage)) for stage in recipe.stages]
    stacks = {parents | {stage.name} for parents, stage in zip(below, recipe.stages, strict=True)}
    return len(stacks | {parents for parents in below if parents}) + sum(map(bool, below))


def _stages(whole: Whole, problems: list[Problem]) -> list[tuple[int, StageSpec]]:
    """Validate each stage by its type's own Spec, with `defaults` merged in: (position in the recipe, spec)."""
    data, lines = whole.data, whole.lines
    defaults = _defaults(data, lines, problems)
    raw = data.get("stages")
    if not isinstance(raw, list) or not raw:
        problems.append(Problem("stages", "a recipe needs a list of at least one stage", line_of(("stages",), lines)))
        return []
    stages = []
    for i, item in enumerate(raw):
        path: Path_ = ("stages", i)
        if not isinstance(item, dict):
            problems.append(Problem(dotted(path), "a stage is a mapping", line_of(path, lines)))
            continue
        kind = item.get("type")
        if kind not in stage_types():
            said = f"unknown stage type {kind!r}" if "type" in item else "is missing"
            message = f"{said}: {NOT_OFFERED if kind in EXPERIMENTAL else near(str(kind), stage_types())}"
            problems.append(Problem(f"{dotted(path)}.type", message, line_of((*path, "type"), lines)))
            continue
        spec: type[StageSpec] = stage_module(kind).Spec
        try:
            fields = with_defaults(item, defaults if i >= whole.inherited else {})
            stages.append((i, spec.model_validate(spec.fitting(fields))))
        except ValidationError as error:
            problems += problems_of(error, path, lines, spec.model_fields, item.get("name"))
    return stages


def _stage_names(data: Mapping[str, Any]) -> list[str]:
    """Return the names of all stages in the file, also of those with errors."""
    raw = data.get("stages")
    return [str(item.get("name")) for item in raw if isinstance(item, dict)] if isinstance(raw, list) else []


def _blended_rows(stages: Sequence[tuple[int, StageSpec]], lines: Mapping[Path_, int]) -> list[Problem]:
    """Return the stages with rows of tokens that another one blends: an average of rows is not what each stands for."""
    blended = {name: stage.name for _, stage in stages for name in stage.siblings}
    return [
        Problem(
            f"stages.{i}.lora.token_rows",
            f"stage {stage.name!r} trains rows of tokens, and {blended[stage.name]!r} blends it, which it cannot",
            line_of(("stages", i, "lora", "token_rows"), lines),
            remedy="train the tokens in a stage below those that are blended",
        )
        for i, stage in stages
        if stage.name in blended and isinstance(stage, TrainingSpec) and stage.lora.token_rows
    ]


def _defaults(data: Mapping[str, Any], lines: Mapping[Path_, int], problems: list[Problem]) -> dict[str, Any]:
    """Return the groups of fields under `defaults`; what else stands there is a problem."""
    defaults = data.get("defaults", {})
    if not isinstance(defaults, dict):
        message = f"should be a mapping with {' or '.join(f'`{group}`' for group in DEFAULTED)}"
        problems.append(Problem("defaults", message, line_of(("defaults",), lines)))
        return {}
    for name, group in defaults.items():
        path: Path_ = ("defaults", str(name))
        if name not in DEFAULTED:
            other = meant(path, group, on_command_line=not (line := line_of(path, lines)))
            message = f"unknown key: {near(str(name), DEFAULTED)}" if other is None else other.message
            problems.append(Problem(dotted(path), message, line, other.remedy if other else None))
        elif not isinstance(group, dict):
            problems.append(Problem(dotted(path), "should be a mapping of fields", line_of(path, lines)))
    return {name: group for name, group in defaults.items() if name in DEFAULTED and isinstance(group, dict)}


def _file_problems(recipe: Recipe, stages: list[tuple[int, StageSpec]], lines: dict[Path_, int]) -> list[Problem]:
    """Return the local files that are missing: known now, before anything is loaded."""
    problems = []
    for field in BASE_FIELDS:
        value = getattr(recipe.base, field)
        if value is None:
            continue
        local = Path(place := located_base(value, recipe.root))
        template, at = field == "chat_template", line_of(("base", field), lines)
        looks_local = template or value.startswith((".", "/", "~", SHIPPED)) or value.count("/") != 1
        if looks_local and not (local.is_file() if template else value and os.path.isabs(place) and local.exists()):
            missing = located(value, recipe.root)
            message = f"no such file{'' if template else ' or folder'}: {missing}{neighbours(Path(missing))}"
            ships = f", or what ships: {', '.join(shipped_bases())}"
            remedy = None if template else f"give a folder, or a hub id `owner/name`{ships}"
            problems.append(Problem(f"base.{field}", message, at, remedy))
        if field == "model" and os.path.isabs(place) and local.is_dir():
            problems += _architecture_problems(local, at)
    return problems + list(missing_data(recipe.evaluate, recipe.root, stages, lines))


def _architecture_problems(base: Path, line: int) -> list[Problem]:
    """Return the problem of a base in a folder with an unsupported architecture; one on the hub is checked later."""
    config = read_json(base / "config.json")
    try:
        if isinstance(config, dict):
            architecture_of(config, str(base))
    except ModelError as error:
        return [Problem("base.model", error.message, line, error.remedy)]
    return []
