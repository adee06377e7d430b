"""Where the shipped recipes and benchmarks lie: beside the package in a clone, inside it in a wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from statllama.errors import UsageError, near


@cache
def shipped_root() -> Path:
    """Folder that holds `recipes/` and `eval/`."""
    package = Path(__file__).resolve().parent
    inside = package / "shipped"
    return inside if inside.is_dir() else package.parent


def shipped_recipes() -> dict[str, Path]:
    """{name without .yaml, with sub-folder: file} of all shipped recipes."""
    root = shipped_root() / "recipes"
    return {
        str(p.relative_to(root).with_suffix("")): p for p in sorted(root.glob("*.yaml")) + sorted(root.glob("*/*.yaml"))
    }


def find_recipe(name: str) -> Path:
    """The recipe file at that path, or the shipped recipe of that name. UsageError with near matches otherwise."""
    path = Path(name).expanduser()
    if path.is_file():
        return path.resolve()
    shipped = shipped_recipes()
    wanted = name.removeprefix("recipes/").removesuffix(".yaml").removesuffix(".yml")
    if wanted in shipped:
        return shipped[wanted]
    if path.is_dir():
        raise UsageError(f"{name} is a folder, not a recipe", remedy="give a .yaml file, or a shipped recipe's name")
    raise UsageError(
        f"no recipe {name!r}: no such file, and no shipped recipe of that name; {near(wanted, shipped)}",
        remedy="shipped recipes: " + ", ".join(shipped),
    )
