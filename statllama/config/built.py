"""Where `statllama data build` puts its rows, and which of them a recipe means by `{built: FILE, part: qa}`.

    papers.data.yaml          what is built
    papers.built/qa.jsonl     the rows of the part `qa`
    papers.built/build.json   from which settings, with counts

Loads no torch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from statllama.config.yaml_lines import load
from statllama.errors import RecipeError, near
from statllama.store.canonical import digest
from statllama.store.files import read_json

RECORD = "build.json"
ENDINGS = (".data.yaml", ".data.yml", ".yaml", ".yml")
BUILT = ".built"


def built_folder(value: str) -> str:
    """Return the folder that holds what a build's file describes; a folder stands for itself.

    >>> built_folder("data/papers.data.yaml"), built_folder("data/papers.built")
    ('data/papers.built', 'data/papers.built')
    """
    ending = next((each for each in ENDINGS if value.endswith(each)), None)
    return value if ending is None else value.removesuffix(ending) + BUILT


def part_file(built: str, part: str) -> str:
    """Return the file with the rows of a part."""
    return os.path.join(built_folder(built), f"{part}.jsonl")


def settings_digest(data: Any) -> str:
    """Return the hash of what a build's file says: comments and order do not count."""
    return digest(data)


def wrong_with(place: str, part: str) -> tuple[str, str] | None:
    """Return what is wrong with a build at an absolute place, and what mends it; None for one that can be used."""
    folder = Path(built_folder(place))
    of_file = str(folder) != place
    if of_file and not os.path.isfile(place):
        return f"no such file: {place}", "give the file that `statllama data build` was given, or the folder it wrote"
    command = f"statllama data build {place}" if of_file else "statllama data build FILE"
    record = read_json(folder / RECORD)
    if not isinstance(record, dict) or not isinstance(record.get("parts"), Mapping):
        return f"it is not built yet: {folder} has no sound {RECORD}", f"build it first: {command}"
    if part not in record["parts"]:
        return f"it has no part {part!r}: {near(part, record['parts'])}", f"name that, or add it: {command}"
    if not os.path.isfile(folder / f"{part}.jsonl"):
        return f"{folder / f'{part}.jsonl'} is missing", f"build it again: {command}"
    if of_file and _settings_of(place) != record.get("settings"):
        remedy = f"build it again: {command}; or take it as it is: `built: {folder}`"
        return f"{place} has changed since it was built", remedy
    return None


def _settings_of(place: str) -> str | None:
    try:
        return settings_digest(load(Path(place))[0])
    except (RecipeError, TypeError, ValueError):
        return None
