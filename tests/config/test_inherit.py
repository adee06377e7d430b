"""extends: what is inherited means what it means in its own file, and shares its key."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from statllama.errors import RecipeError
from statllama.recipe import Recipe, load_recipe

TRUNK = """
name: trunk
description: of the trunk
base: {model: base, quantization: none}
defaults: {train: {epochs: 2, batch_size: 8, micro_tokens: 512}, lora: {r: 4}}
stages:
  - {name: cpt, type: cpt, data: [{path: text.txt, format: text}]}
  - {name: sft, type: sft, data: [{path: rows.jsonl, format: messages}], train: {steps: 5}}
  - {name: other, type: sft, parents: [cpt], data: [{path: rows.jsonl, format: messages}]}
evaluate: {tasks: [ap_statistics], limit: 5}
"""
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a recipe below a folder that has the trunk's base and data in `lib/`."""
    (tmp_path / "lib" / "base").mkdir(parents=True)
    for name in ("text.txt", "rows.jsonl"):
        (tmp_path / "lib" / name).write_text("x")

    def call(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    call("lib/trunk.yaml", TRUNK)
    return call


def body(recipe: Recipe, name: str) -> dict[str, object]:
    """A stage, its files absolute."""
    dumped = recipe.stage(name).model_dump(mode="json")
    for source in dumped["data"]:
        source["path"] = str((recipe.root / source["path"]).resolve())
    return dumped


def test_inherited_stages_are_those_of_the_other_file(write: Write, tmp_path: Path) -> None:
    trunk = load_recipe(tmp_path / "lib" / "trunk.yaml")
    path = write("mine.yaml", "name: mine\nextends: lib/trunk.yaml\ndefaults: {train: {packing: true, seed: 7}}")
    mine = load_recipe(path)
    assert (mine.name, mine.description) == ("mine", "")
    assert [s.name for s in mine.stages] == ["cpt", "sft", "other"]
    for name in ("cpt", "sft", "other"):
        assert body(mine, name) == body(trunk, name), "not even its own defaults change them"
    assert mine.base.model == str(tmp_path / "lib" / "base") and mine.base.quantization == "none"
    assert mine.evaluate == trunk.evaluate


def test_kept_stages_come_with_what_they_stand_on(write: Write) -> None:
    path = write(
        "mine.yaml",
        """
        name: mine
        extends: lib/trunk.yaml
        keep: [other]
        defaults: {train: {batch_size: 4}}
        stages:
          - {name: last, type: sft, data: [{path: lib/rows.jsonl, format: messages}], train: {steps: 3}}
        evaluate: {limit: 9}
        """,
    )
    mine = load_recipe(path)
    assert [s.name for s in mine.stages] == ["cpt", "other", "last"]
    last = mine.stage("last")
    assert last.parents == ("other",)
    assert (last.lora.r, last.train.batch_size, last.train.micro_tokens) == (4, 4, 512)
    assert (last.train.steps, last.train.epochs) == (3, None), "steps replace the default epochs"
    assert (mine.evaluate.tasks, mine.evaluate.limit) == (("ap_statistics",), 9)
    assert load_recipe(write("none.yaml", "name: none\nextends: mine.yaml\nkeep: [cpt]")).stages[0].name == "cpt"


def test_a_stage_of_an_inherited_name_changes_it(write: Write, tmp_path: Path) -> None:
    (tmp_path / "lib" / "own.jsonl").write_text("x")
    path = write(
        "paper/mine.yaml",
        """
        name: mine
        extends: ../lib/trunk.yaml
        stages:
          - name: sft
            data: [{path: ../lib/own.jsonl, format: messages}]
            train: {epochs: 3, learning_rate: 1e-3}
        """,
    )
    mine, trunk = load_recipe(path), load_recipe(tmp_path / "lib" / "trunk.yaml")
    changed = mine.stage("sft")
    assert [source.path for source in changed.data] == ["../lib/own.jsonl"]
    assert (changed.train.epochs, changed.train.steps, changed.train.learning_rate) == (3, None, 1e-3)
    assert changed.train.batch_size == 8 and changed.parents == ("cpt",) and changed.lora == trunk.stage("sft").lora
    assert body(mine, "other") == body(trunk, "other")


def test_overrides_reach_inherited_stages(write: Write) -> None:
    path = write("mine.yaml", "name: mine\nextends: lib/trunk.yaml")
    assert load_recipe(path, ["stages.sft.train.steps=1"]).stage("sft").train.steps == 1


def test_files_of_benchmarks_stay_where_they_are(write: Write, tmp_path: Path) -> None:
    write("lib/data.yaml", TRUNK.replace("limit: 5", "data: {ap_statistics: text.txt}"))
    mine = load_recipe(write("mine.yaml", "name: mine\nextends: lib/data.yaml"))
    assert mine.evaluate.data == {"ap_statistics": str(tmp_path / "lib" / "text.txt")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("extends: lib/trunk.yml", "line 2, extends: no such file"),
        ("extends: lib/trunc.yaml", "did you mean 'trunk.yaml'"),
        ("extends: 5", "should be the file of a recipe"),
        ("extends: mine.yaml", "is a circle"),
        ("extends: lib/trunk.yaml\nkeep: [sff]", "line 3, keep: unknown stage 'sff': did you mean 'sft'"),
        ("extends: lib/trunk.yaml\nkeep: sft", "keep: should be a list of stages"),
        ("extends: lib/rows.jsonl", "is no recipe"),
        ("keep: [sft]", "keep: unknown key"),
        ("extends: lib/trunk.yaml\nstages: [{name: sft, train: {stepz: 3}}]", "line 3, stages[1].train.stepz (stage"),
        ("extends: lib/trunk.yaml\nstages: [{name: sft, parents: [nobody]}]", "unknown stage 'nobody'"),
        ("extends: lib/trunk.yaml\nstages: [5]", "line 3, stages[3]: a stage is a mapping"),
        ("extends: lib/trunk.yaml\nstages: {a: 5}", "stages: a recipe needs a list"),
    ],
)
def test_what_cannot_be_extended(write: Write, text: str, said: str) -> None:
    path = write("mine.yaml", f"name: mine\n{text}\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert said in str(caught.value) and str(path) in str(caught.value)


def test_errors_of_the_other_file_are_named_by_stage(write: Write) -> None:
    write("lib/bad.yaml", TRUNK.replace("steps: 5", "steps: -5"))
    with pytest.raises(RecipeError, match=r"stages\[1\].train.steps \(stage sft\)"):
        load_recipe(write("mine.yaml", "name: mine\nextends: lib/bad.yaml"))
    write("lib/round.yaml", "name: round\nextends: ../mine.yaml")
    with pytest.raises(RecipeError, match="circle"):
        load_recipe(write("mine.yaml", "name: mine\nextends: lib/round.yaml"))
