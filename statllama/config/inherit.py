"""`extends`: a recipe that takes stages and settings from another file and states only the differences. Loads no torch.

Works on what YAML gives, before anything is validated, so that `--set` and every check see one whole recipe. What is
inherited means what it means in its own file: its `defaults` are in its stages already, the stage before it is its
parent, and its files are relative to that file. So a stage that two recipes share has one key, and is trained once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statllama.config.precedence import over, under_stage
from statllama.config.shipped import BASE_FIELDS, located, located_base, portable, recipe_beside, shipped_recipes
from statllama.config.yaml_lines import Path_, line_of, load
from statllama.errors import Problem, RecipeError, near

EXTENDS, KEEP, BASE, BLENDED = "extends", "keep", "base", "of"
DEFAULTED = ("lora", "train")
"""Groups of fields that `defaults` may hold."""
SOURCE_FILES = ("path", "built", "holdout")
"""Fields of a source that may name a file or folder."""
MOST_FILES = 8
_OWN = ("name", "description", "release", EXTENDS, KEEP)  # a recipe's own, never inherited


@dataclass(frozen=True)
class Whole:
    """A recipe's file with all that it extends merged in."""

    data: Any
    lines: dict[Path_, int]
    """Lines of the fields in the file itself; inherited fields have none."""
    inherited: int = 0
    """The first so many stages are inherited: `defaults` are not for them."""


def load_whole(path: Path, above: Sequence[Path] = ()) -> Whole:
    """Read a recipe's file and the files that it extends.

    RecipeError for a file that is not YAML, extends itself or a file that is not there, or keeps an unknown stage.
    """
    data, lines = load(path)
    if not isinstance(data, dict) or EXTENDS not in data:
        return Whole(data, lines)
    target = _target(data, lines, path, above)
    whole = load_whole(target, (*above, path))
    if not isinstance(whole.data, dict):
        raise _problem(path, lines, EXTENDS, f"{target} is no recipe")
    stages = _kept(_resolved_stages(whole), data, lines, path)
    return _merge(_anchored(whole.data, stages, target.parent), data, lines)


def with_defaults(item: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stage with `defaults` under it; a default that cannot stand with what the stage sets gives way.

    A blend trains nothing, and has neither group.
    """
    merged = dict(item)
    for group in DEFAULTED if BLENDED not in item else ():
        below, own = defaults.get(group), item.get(group, {})
        if isinstance(below, dict) and isinstance(own, dict):
            merged[group] = over(under_stage(below, item) if group == "train" else below, own)
    return merged


def _target(data: Mapping[str, Any], lines: Mapping[Path_, int], path: Path, above: Sequence[Path]) -> Path:
    value = data[EXTENDS]
    if not isinstance(value, str) or not value:
        message = "should be the file of a recipe, relative to this one, or the name of a shipped recipe"
        raise _problem(path, lines, EXTENDS, message)
    target = recipe_beside(value, path)
    if target in (*above, path):
        raise _problem(path, lines, EXTENDS, f"is a circle: {target} extends this file")
    if len(above) >= MOST_FILES:
        raise _problem(path, lines, EXTENDS, f"more than {MOST_FILES} files extend one another")
    if not target.is_file():
        names = [p.name for p in target.parent.glob("*.yaml")] if target.parent.is_dir() else []
        known = near(value, [*names, *shipped_recipes()])
        raise _problem(path, lines, EXTENDS, f"no such file: {target}, and no shipped recipe {value!r}: {known}")
    return target


def _problem(path: Path, lines: Mapping[Path_, int], field: str, message: str) -> RecipeError:
    return RecipeError(str(path), [Problem(field, message, line_of((field,), lines))])


def _resolved_stages(whole: Whole) -> list[Any]:
    """Return the stages of a whole recipe with `defaults` and `parents` in them; errors are left for the checks."""
    raw, defaults = whole.data.get("stages"), whole.data.get("defaults")
    found: list[Any] = []
    before = BASE
    for i, item in enumerate(raw if isinstance(raw, list) else []):
        if isinstance(item, dict):
            merged = with_defaults(item, defaults if isinstance(defaults, dict) and i >= whole.inherited else {})
            if merged.get("parents") is None and BLENDED not in merged:
                merged["parents"] = BASE if before == BASE else [before]
            before = str(item.get("name"))
            item = merged
        found.append(item)
    return found


def _kept(stages: list[Any], data: Mapping[str, Any], lines: Mapping[Path_, int], path: Path) -> list[Any]:
    """Return the stages that `keep` names, with all that they stand on; all of them without it."""
    if KEEP not in data:
        return stages
    named = {str(item.get("name")): item for item in stages if isinstance(item, dict)}
    keep = data[KEEP]
    if not isinstance(keep, list) or not all(isinstance(name, str) for name in keep):
        raise _problem(path, lines, KEEP, "should be a list of stages of the recipe that is extended")
    wanted, waiting = set[str](), list(keep)
    while waiting:
        name = waiting.pop()
        if name not in named:
            raise _problem(path, lines, KEEP, f"unknown stage {name!r}: {near(name, named)}")
        if name not in wanted:
            wanted.add(name)
            waiting += _below(named[name])
    return [item for item in stages if isinstance(item, dict) and str(item.get("name")) in wanted]


def _below(item: Mapping[str, Any]) -> list[str]:
    """Return the names of the stages that a stage stands on, or blends."""
    parents, blended = item.get("parents"), item.get(BLENDED)
    names = [*(parents if isinstance(parents, list) else ()), *(blended if isinstance(blended, dict) else ())]
    return [name for name in names if isinstance(name, str)]


def _anchored(data: Mapping[str, Any], stages: list[Any], root: Path) -> dict[str, Any]:
    """Return the inherited fields, with absolute files."""
    found = {key: value for key, value in data.items() if key not in _OWN}
    found["stages"] = [_stage_from(item, root) for item in stages]
    if isinstance(base := data.get("base"), dict):
        found["base"] = {
            k: located_base(v, root) if k in BASE_FIELDS and isinstance(v, str) else v for k, v in base.items()
        }
    if isinstance(evaluate := data.get("evaluate"), dict):
        held = evaluate.get("holdouts")
        found["evaluate"] = dict(evaluate)
        if isinstance(evaluate.get("data"), dict):
            found["evaluate"]["data"] = anchored(evaluate["data"], root)
        if isinstance(held, dict):
            found["evaluate"]["holdouts"] = {name: _source_from(source, root) for name, source in held.items()}
    return found


def _stage_from(item: Any, root: Path) -> Any:
    if not isinstance(item, dict):
        return item
    found = _sources_from(item, root)
    if isinstance(replay := item.get("replay"), dict):
        replay = _sources_from(replay, root)
        if isinstance(written := replay.get("generations"), dict):
            replay = {**replay, "generations": _sources_from(written, root, "prompts")}
        found = {**found, "replay": replay}
    return found


def _sources_from(holder: dict[str, Any], root: Path, field: str = "data") -> dict[str, Any]:
    sources = holder.get(field)
    if not isinstance(sources, list):
        return holder
    return {**holder, field: [_source_from(source, root) for source in sources]}


def _source_from(source: Any, root: Path) -> Any:
    if not isinstance(source, dict):
        return source
    return {**source, **{name: anchored(source[name], root) for name in SOURCE_FILES if name in source}}


def anchored(value: Any, root: Path) -> Any:
    """Return a file of a recipe in `root`, or all those in a mapping, as an absolute path, or as `shipped:...`."""
    if isinstance(value, dict):
        return {key: anchored(file, root) for key, file in value.items()}
    return portable(located(value, root)) if isinstance(value, str) and value else value


def _merge(inherited: dict[str, Any], own: Mapping[str, Any], lines: Mapping[Path_, int]) -> Whole:
    """Return the recipe's own fields over the inherited ones, and the lines of what is its own.

    A stage of an inherited name changes that stage, field by field; others come after the inherited ones.
    """
    merged = {**inherited, **{k: v for k, v in own.items() if k not in (EXTENDS, KEEP, "stages")}}
    for key in ("base", "defaults", "evaluate"):
        if isinstance(inherited.get(key), dict) and isinstance(own.get(key), dict):
            merged[key] = over(inherited[key], own[key])
    stages = list(inherited["stages"])
    count, places = len(stages), {item.get("name"): i for i, item in enumerate(stages) if isinstance(item, dict)}
    ours = {path: line for path, line in lines.items() if path[:1] not in (("stages",), (EXTENDS,), (KEEP,))}
    added = own.get("stages", [])
    for i, item in enumerate(added if isinstance(added, list) else []):
        name = item.get("name") if isinstance(item, dict) else None
        place = places.get(name, len(stages)) if isinstance(name, str) else len(stages)
        if place < count:
            stages[place] = over(stages[place], item)
        else:
            stages.append(item)
        ours |= {("stages", place, *path[2:]): line for path, line in lines.items() if path[:2] == ("stages", i)}
    if not isinstance(added, list):  # told by the checks
        return Whole({**merged, "stages": added}, dict(lines), 0)
    return Whole({**merged, "stages": stages}, ours, count)
