"""The files that ship: recipes, bases, data and benchmarks, beside the package in a clone, inside it in a wheel.

A path in a recipe is the user's own file or folder, relative to the recipe. `shipped:quickstart/data/sft.jsonl` is one
that ships, wherever the recipe lies: below `recipes/`, or below `eval/` when it begins so. A base (`quickstart/base`)
and a recipe to extend (`quickstart`) need no `shipped:`. What is the user's own comes first, then what ships, then the
hub: nobody gets a model of ours from the network by publishing one under its name.
"""

from __future__ import annotations

import os
import re
import shlex
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


SHIPPED = "shipped:"
"""Begins the path of a file that ships."""
BASE_FIELDS = ("model", "tokenizer", "chat_template")
"""Fields of `base` that hold a file, a folder or a hub id."""


def located(value: str, root: Path) -> str:
    """Return the absolute path that `value` is in a recipe in `root`, there or not. Never raises, whatever the text.

    A part `..` does not lead out of what ships.
    """
    own = os.path.join(root, os.path.expanduser(value))
    if not value.startswith(SHIPPED) or os.path.exists(own):
        return os.path.abspath(own)
    below = os.path.normpath(f"/{value.removeprefix(SHIPPED)}").lstrip("/")
    return os.path.join(shipped_root(), below if below.split("/")[0] == "eval" else os.path.join("recipes", below))


def located_base(value: str, root: Path) -> str:
    """Return a field of `base` as an absolute path: the user's own file or folder, else one that ships, with `shipped:`
    or without; a hub id, and what is not there, as it is.
    """
    for place in (located(value, root), str(shipped_bases().get(value.rstrip("/"), ""))):
        if value and place and os.path.exists(place):
            return place
    template = located(SHIPPED + value, root)
    return template if value.endswith(".jinja") and os.path.isfile(template) else value


@cache
def shipped_bases() -> dict[str, Path]:
    """Return {name: folder} of all shipped base models: `quickstart/base`."""
    root = shipped_root() / "recipes"
    return {path.parent.relative_to(root).as_posix(): path.parent for path in sorted(root.glob("*/*/config.json"))}


def portable(place: str) -> str:
    """Return the path of a file that ships as `shipped:...`, which means the same on every machine; others as they
    are.
    """
    folder = f"{shipped_root() / 'recipes'}{os.sep}"
    return SHIPPED + place.removeprefix(folder).replace(os.sep, "/") if place.startswith(folder) else place


def readable(place: str) -> str:
    """Return a path as a reader knows it: `quickstart/base` for what ships, others as they are."""
    return portable(place).removeprefix(SHIPPED)


STUDY = ".study.yaml"
"""The ending of a study file's name."""
BUILD = ".data.yaml"
"""The ending of the name of a `data build`'s file, which is no recipe."""


def shipped_recipes() -> dict[str, Path]:
    """Return {name without .yaml, with sub-folder: file} of all shipped recipes."""
    return {name: path for name, path in _shipped(".yaml").items() if not path.name.endswith(STUDY)}


def shipped_studies() -> dict[str, Path]:
    """Return {name without .study.yaml, with sub-folder: file} of all shipped studies."""
    return _shipped(STUDY)


def _shipped(ending: str) -> dict[str, Path]:
    root = shipped_root() / "recipes"
    files = sorted(root.glob(f"*{ending}")) + sorted(root.glob(f"*/*{ending}"))
    found = (path for path in files if not path.name.endswith(BUILD))
    return {str(path.relative_to(root)).removesuffix(ending): path for path in found}


def recipe_beside(value: str, file: Path) -> Path:
    """Return the recipe that `value` names in the recipe or study `file`: the user's own, relative to that file, with
    or without `.yaml`, else the shipped one of that name. The path of a file that is not there, if it is none of these.

    A file is not taken for what it extends because it bears the same name: `quickstart.yaml` may extend `quickstart`.
    """
    own = Path(os.path.abspath(file.parent / os.path.expanduser(value)))
    beside = Path(f"{own}.yaml")
    if not own.is_file() and beside.is_file() and beside != file:
        return beside
    return own if own.is_file() else shipped_recipes().get(value.removeprefix(SHIPPED), own)


def find_recipe(name: str, studies: bool = False) -> Path:
    """Return the recipe file at that path, or the shipped recipe of that name. UsageError with near matches otherwise.

    `studies`: shipped studies too, before recipes of that name.
    """
    path = os.path.expanduser(name)
    if os.path.isfile(path):
        return Path(path).resolve()
    shipped = {**shipped_recipes(), **(shipped_studies() if studies else {})}
    wanted = name.removeprefix(SHIPPED).removeprefix("recipes/")
    wanted = wanted.removesuffix(STUDY).removesuffix(".yaml").removesuffix(".yml")
    if wanted in shipped:
        return shipped[wanted]
    if not studies and wanted in shipped_studies():
        raise UsageError(f"{name} is a study of several recipes, not a recipe", remedy=f"statllama study {name}")
    remedy = "give a .yaml file, or a shipped recipe: " + ", ".join(shipped)
    if os.path.isdir(path):
        raise UsageError(f"{name} is a folder, not a recipe", remedy=remedy)
    if re.fullmatch(r"[^/]+@[0-9]+", name):
        command = f"statllama show {shlex.quote(name)} > FILE.yaml"
        remedy = f"`statllama status` lists the earlier runs; to run the settings of one again: {command}, and run that"
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name):
        raise UsageError(f"{name} is an address, and a recipe is a file", remedy="download it first, with its data")
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
