"""Recipe: load a YAML file, apply overrides, validate all of it at once, resolve what it leaves open.

Resolving means: `defaults` are merged into the stages, parents are stage names, files are absolute. Nothing here
loads torch or touches the network.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from statllama.errors import Problem, RecipeError, UsageError, near
from statllama.shipped import find_recipe
from statllama.specs import BaseModelSpec, EvaluateSpec, Spec, StageSpec, Tracker
from statllama.stages import stage_module, stage_types
from statllama.yaml_lines import Path_, dotted, line_of, load, parse_value

# Fields that hold a file or folder: relative to the recipe, or on the command line to the current folder.
PATH_FIELDS = frozenset({"path", "model", "tokenizer", "chat_template"})
DEFAULTED = ("lora", "train")


class Recipe(Spec):
    """A validated, resolved recipe. Stages are in an order in which parents come first."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    """Names the run in reports and in `status`."""
    description: str = ""
    """One or two sentences for people."""
    base: BaseModelSpec
    stages: Annotated[tuple[StageSpec, ...], Field(strict=False)]
    evaluate: EvaluateSpec = EvaluateSpec()
    report_to: Annotated[tuple[Tracker, ...], Field(strict=False)] = ()
    """Trackers of Transformers that also get every logged number. Not in the key."""
    source: Path
    """The YAML file."""
    overrides: tuple[str, ...] = ()
    """The `--set` arguments, as given."""

    @property
    def root(self) -> Path:
        """Folder that relative files of the recipe refer to."""
        return self.source.parent

    def stage(self, name: str) -> StageSpec:
        """The stage of that name. UsageError for an unknown one."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise UsageError(f"no stage {name!r} in recipe {self.name!r}: {near(name, [s.name for s in self.stages])}")

    def parents(self, stage: StageSpec) -> tuple[StageSpec, ...]:
        """Direct parents, in stack order (resolved: never None)."""
        return () if stage.parents == "base" else tuple(self.stage(name) for name in stage.parents or ())

    def stack(self, stage: StageSpec) -> tuple[StageSpec, ...]:
        """All stages below `stage`, in the order in which they are stacked: each once, parents before children."""
        below: list[StageSpec] = []
        for parent in self.parents(stage):
            for member in (*self.stack(parent), parent):
                if member not in below:
                    below.append(member)
        return tuple(below)

    def to_yaml(self) -> str:
        """The resolved recipe as YAML: every field with its value, files absolute."""
        body = self.model_dump(mode="json", exclude={"source", "overrides"})
        body["stages"] = [stage.model_dump(mode="json") for stage in self.stages]
        for source in (source for stage in body["stages"] for source in stage["data"]):
            if source["path"] is not None:
                source["path"] = os.path.abspath(self.root / Path(source["path"]).expanduser())
        return yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=110)


def load_recipe(recipe: str | Path, overrides: Sequence[str] = (), *, check_files: bool = True) -> Recipe:
    """Load a recipe by path or by the name of a shipped one, with `key.path=value` overrides.

    `check_files=False` accepts local files that are not there, to look at a recipe before its data is at hand.
    Raises RecipeError with all problems at once, or UsageError when there is no such recipe.
    """
    source = find_recipe(str(recipe))
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        problem = Problem("file", f"is not UTF-8 (byte {error.start})", remedy="save it as UTF-8")
        raise RecipeError(str(source), [problem]) from None
    except OSError as error:
        raise UsageError(f"{source}: cannot be read: {error.strerror}") from None
    data, lines = load(text, str(source))
    if not isinstance(data, dict):
        problem = Problem("file", "a recipe is a mapping with `name`, `base` and `stages`", 1)
        raise RecipeError(str(source), [problem])
    for override in overrides:
        _apply(data, override, lines)
    return _build(data, lines, source, tuple(overrides), check_files)


def _apply(data: dict[str, Any], override: str, lines: dict[Path_, int]) -> None:
    """Set one `a.b.c=value`; stages may be addressed by name or number. Overridden fields lose their line."""
    key, sign, text = override.partition("=")
    if not sign or not key.strip():
        raise UsageError(f"--set {override!r}: expected key=value, as in --set stages.sft.train.steps=20")
    value = _anchor(parse_value(text), key.rpartition(".")[2])
    parts: list[str | int] = []
    target: Any = data
    *front, last = key.strip().split(".")
    for name in (*front, last):
        index = _index(target, name, override)
        parts.append(index)
        if len(parts) == len(front) + 1:
            target[index] = value
            break
        if isinstance(target, dict) and not isinstance(target.get(index), (dict, list)):
            target[index] = {}
        target = target[index]
    for path in [p for p in lines if p[: len(parts)] == tuple(parts)]:
        del lines[path]


def _index(target: Any, name: str, override: str) -> str | int:
    """Key or list position that `name` means in `target`."""
    if isinstance(target, dict):
        return name
    if name.isdigit() and int(name) < len(target):
        return int(name)
    names = [item.get("name") for item in target if isinstance(item, dict)]
    if name in names:
        return names.index(name)
    known = [str(n) for n in names if n is not None] or [str(i) for i in range(len(target))]
    raise UsageError(f"--set {override!r}: no entry {name!r}: {near(name, known)}")


def _anchor(value: Any, field: str) -> Any:
    """Files named on the command line that exist below the current folder become absolute."""
    if isinstance(value, dict):
        return {k: _anchor(v, str(k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_anchor(v, field) for v in value]
    if field in PATH_FIELDS and isinstance(value, str) and Path(value).expanduser().exists():
        return os.path.abspath(Path(value).expanduser())
    return value


def _build(
    data: dict[str, Any], lines: dict[Path_, int], source: Path, overrides: tuple[str, ...], check_files: bool
) -> Recipe:
    problems: list[Problem] = []
    stages = _stages(data, lines, problems)
    fields = {k: v for k, v in data.items() if k not in ("stages", "defaults")}
    recipe = None
    try:
        recipe = Recipe.model_validate({**fields, "stages": (), "source": source, "overrides": overrides})
    except ValidationError as error:
        known = {k: v for k, v in Recipe.model_fields.items() if k not in ("source", "overrides")}
        problems += _problems(error, (), lines, {**known, "defaults": known["stages"]})
    if recipe is not None and check_files:
        problems += _file_problems(recipe, stages, lines)
    ordered = _order(stages, lines, problems)
    if problems or recipe is None:
        raise RecipeError(str(source), problems)
    base = recipe.base.model_copy(
        update={k: _absolute(getattr(recipe.base, k), recipe.root) for k in ("model", "tokenizer", "chat_template")}
    )
    return recipe.model_copy(update={"stages": tuple(ordered), "base": base})


def _stages(data: dict[str, Any], lines: dict[Path_, int], problems: list[Problem]) -> list[tuple[int, StageSpec]]:
    """Validate each stage by its type's own Spec, with `defaults` merged in: (position in the file, spec)."""
    defaults = data.get("defaults", {})
    if not isinstance(defaults, dict) or set(defaults) - set(DEFAULTED):
        names = set(defaults) - set(DEFAULTED) if isinstance(defaults, dict) else {str(defaults)}
        for name in sorted(names):
            at = line_of(("defaults", name), lines)
            problems.append(Problem(f"defaults.{name}", f"unknown key: {near(name, DEFAULTED)}", at))
        defaults = {}
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
            message = f"{said}: {near(str(kind), stage_types())}"
            problems.append(Problem(f"{dotted(path)}.type", message, line_of((*path, "type"), lines)))
            continue
        spec: type[StageSpec] = stage_module(kind).Spec
        try:
            stages.append((i, spec.model_validate(_merged(item, defaults))))
        except ValidationError as error:
            problems += _problems(error, path, lines, spec.model_fields, item.get("name"))
    return stages


def _merged(item: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The stage with `defaults` under it. Giving `steps` overrides a default `epochs`, and the reverse."""
    merged = dict(item)
    for group in DEFAULTED:
        below, own = defaults.get(group), item.get(group, {})
        if isinstance(below, dict) and isinstance(own, dict):
            rivals = {"epochs": "steps", "steps": "epochs"}
            kept = {k: v for k, v in below.items() if not (group == "train" and own.get(rivals.get(k, "")) is not None)}
            merged[group] = {**kept, **own}
    return merged


def _problems(
    error: ValidationError, prefix: Path_, lines: dict[Path_, int], known: Any, stage: object = None
) -> list[Problem]:
    """pydantic's errors in the recipe's own words."""
    found = []
    errors = error.errors(include_url=False)
    places = [item["loc"] for item in errors]
    for item in errors:
        if item["type"] == "too_short" and any(
            p != item["loc"] and p[: len(item["loc"])] == item["loc"] for p in places
        ):
            continue  # it is short only because its items are wrong, which is said already
        path: Path_ = (*prefix, *(p for p in item["loc"] if p not in ("tuple[constrained-str, ...]",)))
        path = tuple(p for p in path if not (isinstance(p, str) and ("[" in p or p.startswith("literal"))))
        message = str(item["msg"])
        if item["type"] == "extra_forbidden":
            message = f"unknown key: {near(str(path[-1]), _allowed(item['loc'], known))}"
        elif item["type"] == "missing":
            message = "is missing"
        elif item["type"] == "value_error":
            message = message.removeprefix("Value error, ")
        else:
            message = f"{message[0].lower()}{message[1:]}; got {item['input']!r}"
        where = dotted(path) + (f" (stage {stage})" if stage else "")
        found.append(Problem(where or "recipe", message, line_of(path, lines)))
    return list(dict.fromkeys(found))


def _allowed(loc: tuple[str | int, ...], known: Any) -> list[str]:
    """Field names allowed where the unknown key stands."""
    fields = known
    for part in loc[:-1]:
        if isinstance(part, int) or not isinstance(fields, Mapping) or part not in fields:
            continue
        fields = _model_fields(fields[part].annotation)
    return list(fields)


def _model_fields(annotation: Any) -> Mapping[str, Any]:
    """Fields of the Spec inside an annotation such as `tuple[SourceSpec, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return annotation.model_fields
    for part in getattr(annotation, "__args__", ()):
        if fields := _model_fields(part):
            return fields
    return {}


def _order(stages: list[tuple[int, StageSpec]], lines: dict[Path_, int], problems: list[Problem]) -> list[StageSpec]:
    """Resolve `parents` and sort so that parents come first. Unknown, repeated and cyclic parents are problems."""
    names = [s.name for _, s in stages]
    resolved: dict[str, StageSpec] = {}
    at: dict[str, int] = {}
    previous: str | None = None
    for i, stage in stages:
        line = line_of(("stages", i, "parents"), lines)
        where = f"stages[{i}].parents (stage {stage.name})"
        parents: Literal["base"] | tuple[str, ...]
        parents = stage.parents if stage.parents is not None else ("base" if previous is None else (previous,))
        previous = stage.name
        if stage.name in resolved:
            line = line_of(("stages", i, "name"), lines)
            problems.append(Problem(f"stages[{i}].name", f"a stage named {stage.name!r} exists already", line))
            continue
        for name in () if parents == "base" else parents:
            if name not in names:
                problems.append(Problem(where, f"unknown stage {name!r}: {near(name, [*names, 'base'])}", line))
            elif parents.count(name) > 1:
                problems.append(Problem(where, f"{name!r} is listed twice", line))
        resolved[stage.name], at[stage.name] = stage.model_copy(update={"parents": parents}), line
    if problems:
        return []
    ordered: list[StageSpec] = []
    waiting = dict(resolved)
    while waiting:
        done = {s.name for s in ordered}
        ready = [s for s in waiting.values() if s.parents == "base" or set(s.parents or ()) <= done]
        if not ready:
            names = sorted(waiting)
            message = f"these stages are each other's ancestors: {', '.join(names)}"
            problems.append(Problem("stages", message, at[names[0]], remedy="break the cycle in their `parents`"))
            return []
        ordered.append(ready[0])
        del waiting[ready[0].name]
    return ordered


def _absolute(value: str | None, root: Path) -> str | None:
    """An existing local file or folder as an absolute path; a hub id as it is."""
    if value is None:
        return None
    local = root / Path(value).expanduser()
    return os.path.abspath(local) if local.exists() else value


def _file_problems(recipe: Recipe, stages: list[tuple[int, StageSpec]], lines: dict[Path_, int]) -> list[Problem]:
    """Local files that are missing: known now, before anything is loaded."""
    problems = []
    for field in ("model", "tokenizer", "chat_template"):
        value = getattr(recipe.base, field)
        looks_local = value is not None and (
            field == "chat_template" or value.startswith((".", "/", "~")) or value.count("/") != 1
        )
        if looks_local and not (recipe.root / Path(value).expanduser()).exists():
            message = f"no such file or folder: {value} (looked in {recipe.root})"
            at = line_of(("base", field), lines)
            remedy = "give a folder, or a hub id `owner/name`" if field != "chat_template" else None
            problems.append(Problem(f"base.{field}", message, at, remedy))
    for i, stage in stages:
        for j, source in enumerate(stage.data):
            if source.path is None or (recipe.root / Path(source.path).expanduser()).is_file():
                continue
            path = recipe.root / Path(source.path).expanduser()
            siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            hint = f"; {near(path.name, siblings)}" if siblings else ""
            message = f"no such file: {path}{hint}"
            columns = ", ".join(f"{v!r}" for v in source.columns.values())
            remedy = f"put a {source.format} file there" + (f" with the columns {columns}" if columns else "")
            remedy += f", or point elsewhere: --set stages.{stage.name}.data.{j}.path=FILE"
            at = line_of(("stages", i, "data", j, "path"), lines)
            problems.append(Problem(f"stages[{i}].data[{j}].path (stage {stage.name})", message, at, remedy))
    return problems
