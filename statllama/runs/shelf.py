"""The recipes and studies that ship, each with what it needs. Read from the files themselves; loads no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from statllama.config.shipped import (
    located,
    readable,
    recipe_beside,
    shipped_recipes,
    shipped_root,
    shipped_studies,
)
from statllama.config.yaml_lines import load
from statllama.recipe import Recipe, load_recipe
from statllama.store.files import read_json

CUDA_ONLY = "8bit"
"""In the name of an optimizer that needs CUDA."""


@dataclass(frozen=True)
class OnShelf:
    """A shipped recipe or study, in a line."""

    name: str
    needs: tuple[str, ...]
    """`GPU` or `CPU`; `hub` where base or data come from there; `base`, `files` where the user has to bring them."""
    base: str
    """Name of the base, without its owner; of several, the first."""
    contents: str
    """Number of stages and their types, or number of recipes."""
    seconds: float | None = None
    """Time of a whole run, where it was measured; the conditions are in `recipes/measured.json`."""


def shelf() -> tuple[OnShelf, ...]:
    """Return everything that ships: recipes, then studies, those that need least first."""
    recipes = {name: load_recipe(path, check_files=False) for name, path in shipped_recipes().items()}
    times = measured()
    lines = [_recipe(name, [recipe], _stages(recipe), times) for name, recipe in recipes.items()]
    for name, path in shipped_studies().items():
        files = [recipe_beside(part, path) for part in load(path)[0]["recipes"]]
        parts = [load_recipe(file, check_files=False) for file in files]
        lines.append(_recipe(name, parts, f"study of {len(parts)} recipes", times))
    return tuple(sorted(lines, key=lambda line: (line.needs[0] != "CPU", len(line.needs), line.base)))


def measured() -> dict[str, Any]:
    """Return `recipes/measured.json`: {name: seconds of a whole run, on what, and the date}."""
    found = read_json(shipped_root() / "recipes" / "measured.json")
    return found if isinstance(found, dict) else {}


def _recipe(name: str, recipes: Sequence[Recipe], contents: str, times: Mapping[str, Any]) -> OnShelf:
    needs = {need for recipe in recipes for need in _needs(recipe)}
    order = ("GPU", "hub", "base", "files") if "GPU" in needs else ("CPU", "hub", "base", "files")
    base = readable(recipes[0].base.model)
    short = base if base != recipes[0].base.model else base.rsplit("/", 1)[-1]
    seconds = times.get(name, {}).get("seconds")
    return OnShelf(name, tuple(need for need in order if need in needs or need == "CPU"), short, contents, seconds)


def _needs(recipe: Recipe) -> Iterator[str]:
    if any(CUDA_ONLY in stage.train.optimizer for stage in recipe.trained):
        yield "GPU"
    model = recipe.base.model
    if not os.path.isabs(model):
        yield "hub" if model.count("/") == 1 else "base"
    for source in (source for stage in recipe.trained for source in stage.sources):
        if source.hub is not None:
            yield "hub"
        elif source.file is not None and not os.path.exists(located(source.file, recipe.root)):
            yield "files"


def _stages(recipe: Recipe) -> str:
    kinds = dict.fromkeys(stage.type for stage in recipe.stages)
    return f"{len(recipe.stages)}: {', '.join(kinds)}"
