"""`--set key=value`: puts one value into a recipe before validation. Loads no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from statllama.config.inherit import BLENDED, DEFAULTED
from statllama.config.precedence import over, remaining, under_stage
from statllama.config.yaml_lines import Path_, parse_value
from statllama.errors import UsageError, near

# Fields that hold a file or folder: relative to the recipe, or on the command line to the current folder.
PATH_FIELDS = frozenset({"path", "model", "tokenizer", "chat_template"})
EXAMPLE = "expected key=value, as in --set stages.sft.train.steps=20"


def apply(data: dict[str, Any], override: str, lines: dict[Path_, int]) -> None:
    """Set one `a.b.c=value` in `data`; stages may be addressed by name or number. What is set has line 0 in `lines`.

    UsageError for an override without a key, for a list entry that is not there, and for a value that no recipe holds.
    """
    key, sign, text = override.partition("=")
    *front, last = key.strip().split(".")
    if not sign or not all((*front, last)):
        raise UsageError(f"--set {override!r}: {EXAMPLE}")
    if any("\ud800" <= character <= "\udfff" for character in override):
        raise UsageError(f"--set {override!r}: is not valid UTF-8")
    try:
        value = _anchor(parse_value(text), last)
    except ValueError as error:
        raise UsageError(f"--set {override!r}: {error}") from None
    target: Any = data
    path: Path_ = ()
    for name in front:
        place = _place(target, name, override)
        path = (*path, place)
        if isinstance(target, dict) and not isinstance(target.get(place), (dict, list)):
            target[place] = {}
            lines[path] = 0
        target = target[place]
    place = _place(target, last, override)
    if isinstance(target, dict) and value is not None:
        _give_way(target, {place: value}, path, lines)
    target[place] = value
    path = (*path, place)
    for inner in [p for p in lines if p[: len(path)] == path]:
        del lines[inner]
    lines[path] = 0


def spread(data: dict[str, Any], lines: dict[Path_, int]) -> None:
    """Put what `--set defaults.train.steps=20` has set over the same fields of every stage that trains.

    A command line lies above a recipe, so a stage's own `epochs` is no reason to ignore it. What `--set` says of one
    stage stays.
    """
    defaults, stages = data.get("defaults"), data.get("stages")
    if not isinstance(defaults, dict) or not isinstance(stages, list):
        return
    for number, stage in enumerate(stages):
        if not isinstance(stage, dict) or BLENDED in stage:  # a blend trains nothing
            continue
        for group in DEFAULTED:
            below, own = defaults.get(group), stage.get(group, {})
            if not isinstance(below, dict) or not isinstance(own, dict):
                continue  # told by the checks
            path: Path_ = ("stages", number, group)
            top = {field: value for field, value in below.items() if _was_set(("defaults", group, field), lines)}
            top = under_stage(top, stage) if group == "train" else top
            kept = {field: value for field, value in own.items() if _was_set((*path, field), lines)}
            if top := {field: value for field, value in remaining(top, kept).items() if field not in kept}:
                stage[group] = over(own, top)
                for inner in [p for p in lines if p[:3] == path and p[3:4] and p[3] in top]:
                    del lines[inner]  # its errors are those of `defaults`


def _was_set(path: Path_, lines: Mapping[Path_, int]) -> bool:
    """Return whether `--set` put something at this path, above it or below it."""
    return any(line == 0 and place[: len(path)] == path[: len(place)] for place, line in lines.items())


def _give_way(target: dict[str, Any], own: dict[str, Any], path: Path_, lines: Mapping[Path_, int]) -> None:
    """Take out of `target` what cannot stand below `own`, but nothing that another `--set` has put there."""
    lower = {field: value for field, value in target.items() if lines.get((*path, field)) != 0}
    kept = remaining(lower, own)
    for field in lower:
        if field in kept:
            target[field] = kept[field]
        else:
            del target[field]


def _place(target: Any, name: str, override: str) -> Any:
    """Return the key or list position that `name` means in `target`: the entry of that name, else of that number."""
    if not isinstance(target, list):
        return name
    names = [item.get("name") for item in target if isinstance(item, dict)]
    positions = [str(i) for i in range(len(target))]
    if name in names:
        return next(i for i, item in enumerate(target) if isinstance(item, dict) and item.get("name") == name)
    if name in positions:
        return positions.index(name)
    known = [str(n) for n in names if n is not None] or positions
    raise UsageError(f"--set {override!r}: no entry {name!r}: {near(name, known)}")


def _anchor(value: Any, field: str) -> Any:
    """Make files named on the command line absolute if they exist below the current folder."""
    if isinstance(value, dict):
        return {k: _anchor(v, str(k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_anchor(v, field) for v in value]
    if field in PATH_FIELDS and isinstance(value, str) and value and os.path.exists(os.path.expanduser(value)):
        return os.path.abspath(os.path.expanduser(value))
    return value
