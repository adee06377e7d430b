"""`{built: FILE, part: NAME}` in a recipe: the rows of a build, found, and told of when they cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from statllama.config.built import built_folder, settings_digest
from statllama.data.sources import fingerprint, rows
from statllama.errors import RecipeError
from statllama.recipe import Recipe, load_recipe
from tests.conftest import conversations, stage, write_jsonl

SETTINGS = {"name": "papers", "collect": [{"files": {"path": "papers"}}]}


def built(folder: Path, **record: Any) -> Path:
    """A build as `statllama data build` leaves it: the file, and the folder beside it."""
    file = folder / "papers.data.yaml"
    file.write_text(yaml.safe_dump(SETTINGS))
    (folder / "papers.built").mkdir()
    write_jsonl(folder / "papers.built" / "qa.jsonl", conversations(12))
    made = {"settings": settings_digest(SETTINGS), "parts": {"qa": {"rows": 12}}, **record}
    (folder / "papers.built" / "build.json").write_text(json.dumps(made))
    return file


def recipe(folder: Path, base: Path, **source: Any) -> Recipe:
    source = {"built": "papers.data.yaml", "part": "qa", **source}
    body = {"name": "r", "base": {"model": str(base), "quantization": "none"}, "stages": [stage("sft", data=[source])]}
    (folder / "r.yaml").write_text(yaml.safe_dump(body))
    return load_recipe(folder / "r.yaml")


def told(folder: Path, base: Path, **source: Any) -> str:
    with pytest.raises(RecipeError) as error:
        recipe(folder, base, **source)
    return str(error.value)


def test_its_rows_are_those_of_the_file(tmp_path: Path, base_folder: Path) -> None:
    built(tmp_path)
    (source,) = recipe(tmp_path, base_folder).training_stage("sft").data
    (direct,) = recipe(tmp_path, base_folder, built=None, part=None, path="papers.built/qa.jsonl").trained[0].data
    assert [row for _, row in rows(source, tmp_path)] == [row for _, row in rows(direct, tmp_path)]
    assert fingerprint(source, tmp_path) == fingerprint(direct, tmp_path)


def test_the_folder_stands_for_itself(tmp_path: Path, base_folder: Path) -> None:
    built(tmp_path).unlink()
    assert recipe(tmp_path, base_folder, built="papers.built").trained[0].data[0].file == "papers.built/qa.jsonl"


def test_a_recipe_that_extends_it_from_elsewhere_reads_the_same(tmp_path: Path, base_folder: Path) -> None:
    built(tmp_path)
    first = recipe(tmp_path, base_folder)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "other.yaml").write_text("{name: other, extends: ../r.yaml}")
    other = load_recipe(tmp_path / "below" / "other.yaml")
    assert built_folder(other.trained[0].data[0].built or "") == str(tmp_path / "papers.built")
    one, two = (fingerprint(each.trained[0].data[0], each.root) for each in (first, other))
    assert one == two


def test_a_comment_changes_nothing(tmp_path: Path, base_folder: Path) -> None:
    file = built(tmp_path)
    file.write_text(f"# of last week\n{file.read_text()}")
    recipe(tmp_path, base_folder)


def test_what_was_not_built_is_told(tmp_path: Path, base_folder: Path) -> None:
    (tmp_path / "papers.data.yaml").write_text(yaml.safe_dump(SETTINGS))
    message = told(tmp_path, base_folder)
    assert "not built yet" in message and "statllama data build" in message and "line" in message


def test_what_has_changed_since_is_told(tmp_path: Path, base_folder: Path) -> None:
    built(tmp_path, settings="0" * 64)
    message = told(tmp_path, base_folder)
    assert "has changed since it was built" in message and f"built: {tmp_path / 'papers.built'}" in message


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"part": "qs"}, "no part 'qs'"),
        ({"built": "paper.data.yaml"}, "no such file"),
        ({"part": None}, "belong together"),
        ({"path": "papers.built/qa.jsonl"}, "only one"),
    ],
)
def test_a_wrong_source_is_told(tmp_path: Path, base_folder: Path, source: dict[str, Any], said: str) -> None:
    built(tmp_path)
    assert said in told(tmp_path, base_folder, **source)


def test_rows_that_are_gone_are_told(tmp_path: Path, base_folder: Path) -> None:
    built(tmp_path)
    (tmp_path / "papers.built" / "qa.jsonl").unlink()
    assert "is missing" in told(tmp_path, base_folder)
