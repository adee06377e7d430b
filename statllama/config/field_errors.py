"""Pydantic's errors in the recipe's own words: field, line, near matches, actual value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from statllama.config.spec import NAME_PATTERN, Spec
from statllama.config.synonyms import meant
from statllama.config.yaml_lines import Path_, dotted, line_of
from statllama.errors import Problem, near

# pydantic's word for a YAML sequence or mapping is that of the Python type.
KINDS = {
    "tuple_type": "should be a list",
    "model_type": "should be a mapping of fields",
    "dict_type": "should be a mapping",
}
NAME_RULE = "a name has at most 64 letters, digits, `_`, `.` and `-`, and begins with a letter or digit"
MOST_SHOWN = 80  # characters of a value that was got


def problems_of(
    error: ValidationError, prefix: Path_, lines: Mapping[Path_, int], known: Any, stage: object = None
) -> list[Problem]:
    """Return the problems of the Spec at `prefix`, in pydantic's order, each once.

    `known` are the fields of that Spec, for near matches; `stage` is named beside the field. What stands in `defaults`
    and not in the stage is said of `defaults`.
    """
    found = []
    errors = error.errors(include_url=False)
    places = [item["loc"] for item in errors]
    for item in errors:
        loc, kind = item["loc"], item["type"]
        if kind == "too_short" and any(p != loc and p[: len(loc)] == loc for p in places):
            continue  # it is short only because its items are wrong, which is said already
        if kind == "extra_forbidden":
            found.append(_unknown((*prefix, *loc), item["input"], _allowed(loc, known), lines, stage))
            continue
        inner: Path_ = tuple(part for part in loc if part != "[key]")  # pydantic's mark of a wrong key
        path = _home((*prefix, *inner), lines)
        message = _message(kind, str(item["msg"]), item.get("ctx", {}), item["input"])
        found.append(Problem(_where(path, stage), message, line_of(path, lines)))
    return list(dict.fromkeys(found))


def _unknown(path: Path_, value: object, allowed: Sequence[str], lines: Mapping[Path_, int], stage: object) -> Problem:
    """Return the problem of an unknown key: what it means in other programs or other places, else the nearest keys."""
    path = _home(path, lines)
    line = line_of(path, lines)
    recipe = len(path) > 1 or "base" in allowed  # a study has keys of its own
    other = meant(path, value, stage, on_command_line=not line) if recipe else None
    if other is None:
        return Problem(_where(path, stage), f"unknown key: {near(str(path[-1]), allowed)}", line)
    return Problem(_where(path, stage), other.message, line, other.remedy)


def _where(path: Path_, stage: object) -> str:
    label = f" (stage {stage})" if stage and path[:1] != ("defaults",) else ""
    return f"{dotted(path)}{label}" or "recipe"


def _home(path: Path_, lines: Mapping[Path_, int]) -> Path_:
    """Return the path as the user wrote it: under `defaults` when the stage itself does not have the field."""
    if path[:1] == ("stages",) and path not in lines:
        default = ("defaults", *path[2:])
        if len(default) > 2 and default in lines:
            return default
    return path


def _message(kind: str, message: str, context: Mapping[str, Any], got: object) -> str:
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    if kind == "too_short":
        message = f"needs at least {context['min_length']}"
    elif kind == "string_pattern_mismatch" and context.get("pattern") == NAME_PATTERN:
        message = NAME_RULE
    elif kind == "string_pattern_mismatch" and context.get("pattern") == r"\S":
        message = "is blank"
    else:
        message = KINDS.get(kind, f"{message[0].lower()}{message[1:]}")
    said = repr(got)
    return f"{message}; got {said if len(said) <= MOST_SHOWN else said[:MOST_SHOWN] + '...'}"


def _allowed(loc: tuple[str | int, ...], known: Any) -> list[str]:
    """Return the field names allowed where the unknown key stands."""
    fields = known
    for part in loc[:-1]:
        if isinstance(part, int) or not isinstance(fields, Mapping) or part not in fields:
            continue
        fields = _model_fields(fields[part].annotation)
    return list(fields)


def _model_fields(annotation: Any) -> Mapping[str, Any]:
    """Return the fields of the Spec inside an annotation such as `tuple[SourceSpec, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return annotation.model_fields
    for part in getattr(annotation, "__args__", ()):
        if fields := _model_fields(part):
            return fields
    return {}
