"""The recipes that a sweep is made of: one recipe with other values in some fields, each with a name of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from statllama.config.sweep import Grid
from statllama.errors import RecipeError, UsageError
from statllama.recipe import Recipe, load_recipe

Settings = Mapping[str, Any]
"""{field, as `--set` names it: value}"""


def combinations(grid: Grid) -> Iterator[Settings]:
    """Yield all combinations of a grid's values; the last field varies fastest."""
    for values in product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def variant(file: Path, settings: Settings, number: int, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a file with these values, called `NAME.NUMBER`.

    `overrides`: those of the command line, which are set before. RecipeError or UsageError, which names the values.
    """
    name = f"{load_recipe(file, overrides, check_files=False).name}.{number}"
    said = [f"{field}={json.dumps(value)}" for field, value in settings.items()]
    try:
        return load_recipe(file, (*overrides, *said, f"name={name}"))
    except RecipeError as error:
        what = "; ".join(f"{problem.where}: {problem.message}" for problem in error.problems)
        raise UsageError(f"{file} with {spoken(settings)}: {what}", remedy=error.remedy) from None
    except UsageError as error:
        raise UsageError(f"{file} with {spoken(settings)}: {error.message}", remedy=error.remedy) from None


def spoken(settings: Settings) -> str:
    """Return the values in words, each field by the shortest name that is its own.

    >>> spoken({"stages.sft.train.learning_rate": 1e-4, "stages.sft.lora.r": 8})
    'learning_rate 0.0001, r 8'
    """
    names = short_names(tuple(settings))
    return ", ".join(f"{names[field]} {shown(value)}" for field, value in settings.items())


def shown(value: Any) -> str:
    """Return a value as it is shown: a number with at most four digits."""
    return f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)


def short_names(fields: Sequence[str]) -> dict[str, str]:
    """Return {field: the shortest end of it that no other field has}.

    >>> short_names(["stages.a.lora.r", "stages.b.lora.r", "stages.a.train.steps"])
    {'stages.a.lora.r': 'a.lora.r', 'stages.b.lora.r': 'b.lora.r', 'stages.a.train.steps': 'steps'}
    """
    found = {}
    for field in fields:
        parts = field.split(".")
        ends = [".".join(parts[-n:]) for n in range(1, len(parts) + 1)]
        others = [other for other in fields if other != field]
        found[field] = next(end for end in ends if not any(f".{other}".endswith(f".{end}") for other in others))
    return found


def as_arguments(settings: Settings) -> str:
    """Return the values as arguments of a command line."""
    return " ".join(f"--set {field}={_quoted(json.dumps(value))}" for field, value in settings.items())


def _quoted(text: str) -> str:
    return text if all(c.isalnum() or c in "._-+" for c in text) else "'" + text.replace("'", "'\\''") + "'"
