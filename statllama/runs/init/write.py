"""Writes what `init` drafted into a new folder, which appears whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from statllama.recipe import load_recipe
from statllama.runs.init.benchmark import as_jsonl
from statllama.runs.init.draft import Draft, held_rows, left_out_rows
from statllama.runs.init.recipe_text import recipe_text
from statllama.runs.init.survey import known_columns, writable
from statllama.store.files import file_sha256
from statllama.store.new_folder import new_folder

RECIPE = "recipe.yaml"


def write(made: Draft, target: Path) -> Path:
    """Write recipe, rows and benchmarks into `target`, and return the recipe's file.

    The recipe is loaded as `run` would load it before the folder appears. UsageError when `target` holds something, or
    lies in no folder.
    """
    with new_folder(target, named="DIR") as folder:
        for name, text in _files(made):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        loaded = load_recipe(folder / RECIPE)
        loaded.tasks()
    return target / RECIPE


def _files(made: Draft) -> Iterable[tuple[str, str]]:
    yield RECIPE, recipe_text(made)
    for source in made.sources:
        yield source.path, as_jsonl(source.rows)
    if made.checked:
        yield "data/checked.jsonl", as_jsonl(made.checked)
    for name, rows in (("held_out", list(held_rows(made))), ("left_out", list(left_out_rows(made)))):
        if rows:
            yield f"data/{name}.jsonl", as_jsonl(rows)
    yield "data/sources.json", json.dumps(_originals(made), indent=1, ensure_ascii=False) + "\n"
    for each in made.benchmarks:
        yield f"eval/{each.name}/{each.name}.yaml", each.task
        yield f"eval/{each.name}/README.md", each.readme
        yield f"eval/{each.name}/test.jsonl", as_jsonl(each.items)


def _originals(made: Draft) -> list[Mapping[str, Any]]:
    """Return what the user's files were: place, hash, and how they were read."""
    return [
        {
            "file": writable(str(path.resolve())),
            "sha256": file_sha256(path),
            "format": found.format,
            "columns": known_columns(found.reading),
            "encoding": ", ".join(found.encodings),
        }
        for found in made.found
        for path in found.files
    ]
