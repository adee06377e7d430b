"""The folders of shipped recipes and benchmarks: beside the package in a clone, inside it in a wheel."""

from __future__ import annotations

import os
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from statllama.errors import NotFoundError, UsageError


@cache
def shipped_root() -> Path:
    """Return the folder that holds `recipes/` and `eval/`."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "shipped"
    return inside if inside.is_dir() else package.parent


STUDY = ".study.yaml"
"""The ending of a study file's name."""


def shipped_recipes() -> dict[str, Path]:
    """Return {name without .yaml, with sub-folder: file} of all shipped recipes."""
    return {name: path for name, path in _shipped(".yaml").items() if not path.name.endswith(STUDY)}


def shipped_studies() -> dict[str, Path]:
    """Return {name without .study.yaml, with sub-folder: file} of all shipped studies."""
    return _shipped(STUDY)


def _shipped(ending: str) -> dict[str, Path]:
    root = shipped_root() / "recipes"
    files = sorted(root.glob(f"*{ending}")) + sorted(root.glob(f"*/*{ending}"))
    return {str(path.relative_to(root)).removesuffix(ending): path for path in files}


def find_recipe(name: str, studies: bool = False) -> Path:
    """Return the recipe file at that path, or the shipped recipe of that name. UsageError with near matches otherwise.

    `studies`: shipped studies too, before recipes of that name.
    """
    path = os.path.expanduser(name)
    if os.path.isfile(path):
        return Path(path).resolve()
    shipped = {**shipped_recipes(), **(shipped_studies() if studies else {})}
    wanted = name.removeprefix("recipes/").removesuffix(STUDY).removesuffix(".yaml").removesuffix(".yml")
    if wanted in shipped:
        return shipped[wanted]
    if not studies and wanted in shipped_studies():
        raise UsageError(f"{name} is a study of several recipes, not a recipe", remedy=f"statllama study {name}")
    remedy = "give a .yaml file, or a shipped recipe: " + ", ".join(shipped)
    if os.path.isdir(path):
        raise UsageError(f"{name} is a folder, not a recipe", remedy=remedy)
    close = get_close_matches(name, _recipes_beside(path), n=2) + get_close_matches(wanted, shipped, n=2)
    hint = f"; did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
    raise NotFoundError(f"no recipe {name!r}: no such file, and no shipped recipe of that name{hint}", remedy=remedy)


def _recipes_beside(path: str) -> list[str]:
    """Return the YAML files in the folder of a file that is not there."""
    folder = os.path.dirname(path)
    try:
        return [os.path.join(folder, n) for n in os.listdir(folder or ".") if n.endswith((".yaml", ".yml"))]
    except (OSError, ValueError):
        return []
