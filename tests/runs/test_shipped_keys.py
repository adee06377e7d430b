"""Keys of the shipped recipes, as recorded: results of earlier versions are found again, and nothing is trained twice.

A change of a key is a change of what is trained: raise NUMERICS, note it under Numerics in CHANGELOG.md, and record the
keys anew: `python -m tests.runs.test_shipped_keys`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import statllama.rewards
from statllama.config.shipped import find_recipe, shipped_recipes
from statllama.config.stage import TrainingSpec
from statllama.recipe import Recipe, load_recipe
from statllama.runs.keys import key_material, stage_key
from statllama.runs.plan import plan
from statllama.store import Store
from statllama.store.versions import KNOWN_GOOD

RECORD = Path(__file__).with_suffix(".json")
WHOLE = [name for name in shipped_recipes() if name.startswith(("quickstart", "miniature/"))]
"""Recipes whose base and data ship here: their keys are whole."""


def loaded(name: str) -> Recipe:
    """The recipe as it is on a CPU: `precision: auto` is another type, and another key, on a GPU."""
    recipe = load_recipe(find_recipe(name), check_files=False)
    trained = {s.name: s.train.model_copy(update={"precision": "float32"}) for s in recipe.trained}
    stages = [s.model_copy(update={"train": trained[s.name]} if s.name in trained else {}) for s in recipe.stages]
    return recipe.model_copy(update={"stages": tuple(stages)})


def specs_alone(recipe: Recipe) -> dict[str, str]:
    """{stage: key} on a base with an empty identity and without data, which only a hub or the user has."""
    keys: dict[str, str] = {}
    for stage in recipe.stages:
        spec = stage.model_copy(update={"data": ()}) if isinstance(stage, TrainingSpec) else stage
        below = [keys[parent.name] for parent in recipe.stack(stage)]
        siblings = {name: keys[name] for name in stage.siblings}
        keys[stage.name] = stage_key(key_material(spec, below, {}, recipe.root, (), siblings))
    return keys


def whole(recipe: Recipe, folder: Path) -> dict[str, str]:
    """{stage: key}, of base and data too."""
    return {stage.spec.name: stage.key for stage in plan(recipe, Store(folder))}


def recorded() -> dict[str, dict[str, dict[str, str]]]:
    """The keys as they were recorded."""
    return json.loads(RECORD.read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def _known_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that judges completions is in the key of grpo: here in the version of the known-good set."""
    monkeypatch.setattr(statllama.rewards, "installed_version", KNOWN_GOOD.get)


@pytest.mark.parametrize("name", shipped_recipes())
def test_fields_give_the_recorded_keys(name: str) -> None:
    assert specs_alone(loaded(name)) == recorded()["specs"][name]


@pytest.mark.parametrize("name", WHOLE)
def test_base_and_data_give_the_recorded_keys(name: str, tmp_path: Path) -> None:
    assert whole(loaded(name), tmp_path / "w") == recorded()["whole"][name]


def record(folder: Path) -> None:
    """Write the keys as they are now."""
    recipes = {name: loaded(name) for name in shipped_recipes()}
    keys = {
        "specs": {name: specs_alone(recipe) for name, recipe in recipes.items()},
        "whole": {name: whole(recipes[name], folder) for name in WHOLE},
    }
    RECORD.write_text(json.dumps(keys, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(statllama.rewards, "installed_version", KNOWN_GOOD.get)
        record(Path(folder))
