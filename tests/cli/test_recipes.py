"""statllama recipes: a line for all that ships, which is true, and a file to copy that runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from statllama.cli.on_demand import OTHER_WORDS
from statllama.config.shipped import shipped_recipes, shipped_studies
from statllama.runs.shelf import shelf
from tests.conftest import REPO
from tests.running import statllama


def test_all_that_ships_is_listed_within_80_columns() -> None:
    said = statllama("recipes", cwd=REPO).stdout.splitlines()
    named = [line.split()[0] for line in said if line.startswith("  ")]
    assert sorted(named) == sorted([*shipped_recipes(), *shipped_studies()])
    assert max(map(len, said)) <= 80


def test_needs_are_what_the_recipes_say() -> None:
    """Against recipes/README.md, which people wrote."""
    needs = {line.name: line.needs for line in shelf()}
    assert needs["quickstart"] == needs["miniature/base_pipeline"] == needs["miniature"] == ("CPU",)
    assert needs["smollm2"] == ("CPU", "base")
    assert needs["instruct_pipeline"] == needs["comparison"] == ("GPU", "hub")
    assert needs["paper/sft_curriculum"] == needs["paper/comparison"] == ("GPU", "hub", "files")
    quick = next(line for line in shelf() if line.name == "quickstart")
    assert (quick.base, quick.contents) == ("quickstart/base", "4: cpt, sft, dpo")


def test_times_are_those_that_were_measured() -> None:
    times = json.loads((REPO / "recipes" / "measured.json").read_text())
    assert {line.name: line.seconds for line in shelf() if line.seconds} == {k: v["seconds"] for k, v in times.items()}


@pytest.mark.parametrize("name", ["quickstart", "paper/dtft", "comparison", "shipped:miniature"])
def test_a_printed_file_is_the_file(name: str, tmp_path: Path) -> None:
    said = statllama("recipes", name, cwd=tmp_path)
    shipped = {**shipped_recipes(), **shipped_studies()}[name.removeprefix("shipped:")]
    assert (said.returncode, said.stdout) == (0, shipped.read_text(encoding="utf-8"))


def test_only_what_ships_is_printed(tmp_path: Path) -> None:
    (tmp_path / "quickstart").write_text("mine")
    assert statllama("recipes", "quickstart", cwd=tmp_path).stdout != "mine"
    said = statllama("recipes", "/etc/passwd", cwd=tmp_path)
    assert (said.returncode, said.stdout) == (2, "") and "no recipe" in said.stderr


def test_other_words_are_no_commands_of_ours() -> None:
    words = [word for others in OTHER_WORDS.values() for word in others]
    assert len(set(words)) == len(words)
    assert not set(words) & set(OTHER_WORDS)
