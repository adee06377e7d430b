"""Names of what ships: they mean the same wherever a recipe lies, give way to a user's own files, and move no key."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from statllama.config.benchmarks import BenchmarkError
from statllama.config.evaluate import EvaluateSpec
from statllama.config.shipped import (
    find_recipe,
    located,
    located_base,
    portable,
    readable,
    shipped_bases,
    shipped_recipes,
    shipped_root,
    shipped_studies,
)
from statllama.errors import NotFoundError, RecipeError, StatllamaError
from statllama.recipe import load_recipe
from statllama.runs.study_file import load_study
from statllama.runs.targets import find_subject, split_stage
from statllama.store import Store
from tests.conftest import REPO
from tests.running import statllama
from tests.runs import test_shipped_keys as shipped_keys

BASE = REPO / "recipes" / "quickstart" / "base"
OWN = """
name: own
base: {model: quickstart/base, quantization: none}
stages:
  - name: sft
    type: sft
    data: [{path: "shipped:quickstart/data/sft.jsonl", limit: 16}]
    train: {steps: 1, max_length: 256}
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    return path


# ---------------------------------------------------------------- copies


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_a_copied_recipe_is_the_shipped_one(name: str, tmp_path: Path) -> None:
    """Copied by itself, under any name, into an empty folder: the same stages, and every file that ships is found."""
    copy = shutil.copy(shipped_recipes()[name], tmp_path / "mine.yaml")
    mine = load_recipe(copy, check_files=not name.startswith(("paper/", "smollm2")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped_keys.statllama.rewards, "installed_version", shipped_keys.KNOWN_GOOD.get)
        patch.setattr(shipped_keys, "find_recipe", lambda _: copy)
        assert shipped_keys.specs_alone(shipped_keys.loaded("mine")) == shipped_keys.recorded()["specs"][name]
        if name in shipped_keys.WHOLE:
            assert (
                shipped_keys.whole(shipped_keys.loaded("mine"), tmp_path / "w")
                == (shipped_keys.recorded()["whole"][name])
            )
    assert [stage.name for stage in mine.stages] == [s.name for s in load_recipe(name, check_files=False).stages]


@pytest.mark.parametrize("name", sorted(shipped_studies()))
def test_a_copied_study_has_the_same_recipes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("statllama.runs.study_file.load_recipe", lambda file, _: load_recipe(file, check_files=False))
    copy = shutil.copy(shipped_studies()[name], tmp_path / "mine.study.yaml")
    sources = [recipe.source for recipe in load_study([str(copy)]).recipes]
    assert sources == [recipe.source for recipe in load_study([name]).recipes]
    assert all(source.is_relative_to(REPO / "recipes" / Path(name).parent) for source in sources)


def test_a_copy_of_all_recipes_uses_its_own_files(tmp_path: Path) -> None:
    shutil.copytree(REPO / "recipes", tmp_path / "recipes", ignore=shutil.ignore_patterns("worlds", "*.py"))
    trunk = tmp_path / "recipes" / "instruct_pipeline.yaml"
    trunk.write_text(trunk.read_text().replace("unsloth/Llama-3.2-3B-Instruct", "owner/another"))
    assert load_recipe(tmp_path / "recipes" / "dtft.yaml").base.model == "owner/another"


# ---------------------------------------------------------------- where a name leads


def test_a_users_own_comes_first_then_what_ships_then_the_hub(own: Path, tmp_path: Path) -> None:
    assert load_recipe(own).base.model == str(BASE)
    shutil.copytree(BASE, tmp_path / "quickstart" / "base")
    assert load_recipe(own).base.model == str(tmp_path / "quickstart" / "base")
    assert load_recipe(own, ["base.model=shipped:quickstart/base"]).base.model == str(BASE)
    assert load_recipe(own, ["base.model=quickstart/basis"]).base.model == "quickstart/basis", "a hub id"
    assert shipped_bases() == {"quickstart/base": BASE}


def test_a_folder_in_the_current_folder_wins_on_the_command_line(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    shutil.copytree(BASE, here / "quickstart" / "base")
    monkeypatch.chdir(here)
    assert load_recipe(own, ["base.model=quickstart/base"]).base.model == str(here / "quickstart" / "base")


def test_tokenizer_and_template_ship_too(own: Path) -> None:
    template = "quickstart/base/chat_template.jinja"
    for name in (template, f"shipped:{template}"):
        base = load_recipe(own, ["base.tokenizer=quickstart/base", f"base.chat_template={name}"]).base
        assert (base.tokenizer, base.chat_template) == (str(BASE), str(BASE / "chat_template.jinja"))


def test_own_data_wins_and_shipped_data_are_never_taken_by_accident(own: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as error:
        load_recipe(own, ["stages.sft.data.0.path=quickstart/data/sft.jsonl"])
    assert "no such file" in error.value.message
    assert "write `path: shipped:quickstart/data/sft.jsonl`" in error.value.message
    (tmp_path / "shipped:quickstart" / "data").mkdir(parents=True)
    mine = tmp_path / "shipped:quickstart" / "data" / "sft.jsonl"
    mine.write_text("{}")
    assert located("shipped:quickstart/data/sft.jsonl", tmp_path) == str(mine)


def test_nothing_outside_of_what_ships_is_reached(tmp_path: Path) -> None:
    inside = str(shipped_root() / "recipes") + "/"
    for text in ("shipped:../../etc/passwd", "shipped:/etc/passwd", "shipped:..", "shipped:a/../../..", "shipped:"):
        assert (located(text, tmp_path) + "/").startswith(inside), text
    assert located("shipped:eval/probe/probe.jsonl", tmp_path) == str(shipped_root() / "eval/probe/probe.jsonl")
    assert located("shipped:eval/../pyproject.toml", tmp_path) == str(shipped_root() / "recipes/pyproject.toml")


@pytest.mark.parametrize("text", ["", " ", "\0", "shipped:\0", "~nobody/x", "/", "shipped:x" * 9000, "a/b.jinja"])
def test_any_text_is_a_place_or_itself(text: str, tmp_path: Path) -> None:
    assert located_base(text, tmp_path) in (text, located(text, tmp_path))


def test_a_shipped_file_that_is_not_there_is_named_with_near_ones(own: Path) -> None:
    with pytest.raises(RecipeError) as error:
        load_recipe(
            own, ["stages.sft.data.0.path=shipped:quickstart/data/stf.jsonl", "base.model=shipped:quickstart/bas"]
        )
    assert "did you mean 'sft.jsonl' or " in error.value.message
    assert "no such file or folder: " in error.value.message and "did you mean 'base'?" in error.value.message
    assert "or what ships: quickstart/base" in error.value.message


# ---------------------------------------------------------------- extends


def test_extends_takes_the_name_of_a_shipped_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    for name in ("quickstart", "shipped:quickstart", "paper/instruct_pipeline"):
        path.write_text(f"name: mine\nextends: {name}\n")
        shipped = load_recipe(name, check_files=False)
        mine = load_recipe(path, check_files=False)
        assert [s.name for s in mine.stages] == [s.name for s in shipped.stages]
        assert mine.base == shipped.base
        for stage, other in zip(mine.trained, shipped.trained, strict=True):
            places = [
                [source.path and located(source.path, recipe.root) for source in each.data]
                for each, recipe in ((stage, mine), (other, shipped))
            ]
            assert places[0] == places[1]


def test_a_file_beside_the_recipe_is_extended_first(tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").write_text("name: between\nextends: quickstart\nkeep: [cpt]\n")
    (tmp_path / "mine.yaml").write_text("name: mine\nextends: quickstart\n")
    assert [s.name for s in load_recipe(tmp_path / "quickstart.yaml").stages] == ["cpt"], "not itself: the shipped one"
    assert [s.name for s in load_recipe(tmp_path / "mine.yaml").stages] == ["cpt"], "the one beside it"
    (tmp_path / "mine.yaml").write_text("name: mine\nextends: shipped:quickstart\n")
    assert len(load_recipe(tmp_path / "mine.yaml").stages) == 4


@pytest.mark.parametrize("name", ["quickstrat", "quickstart.yaml", "paper/quickstart", "/", "shipped:"])
def test_an_unknown_name_to_extend_is_told_with_near_ones(name: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nextends: '{name}'\n")
    with pytest.raises(RecipeError, match="no such file") as error:
        load_recipe(path)
    assert "quickstart" in error.value.message


def test_on_the_command_line_the_prefix_is_known_too() -> None:
    assert find_recipe("shipped:quickstart") == REPO / "recipes" / "quickstart.yaml"
    assert split_stage("shipped:quickstart") == ("shipped:quickstart", None)
    assert split_stage("shipped:quickstart:sft") == ("shipped:quickstart", "sft")
    with pytest.raises(NotFoundError):
        find_recipe("shipped:nothing")
    with pytest.raises(NotFoundError, match=r"statllama show quickstart@1 > FILE\.yaml, and run that"):
        find_recipe("quickstart@1")


# ---------------------------------------------------------------- what is said and kept


def test_what_is_shown_runs_anywhere(own: Path, tmp_path: Path) -> None:
    data = tmp_path / "test.jsonl"
    shutil.copy(REPO / "eval" / "quickstart_stats" / "test.jsonl", data)
    own.write_text(OWN + "evaluate: {tasks: [quickstart_stats], data: {quickstart_stats: test.jsonl}}\n")
    shown = statllama("show", own, cwd=tmp_path).stdout
    assert str(shipped_root()) not in shown
    other = tmp_path / "elsewhere" / "again.yaml"
    other.parent.mkdir()
    other.write_text(shown)
    again = load_recipe(other)
    assert again.base == load_recipe(own).base
    assert again.evaluate.data == {"quickstart_stats": str(data)}
    assert yaml.safe_load(shown)["base"]["model"] == "shipped:quickstart/base"
    assert again.tasks() == load_recipe(own).tasks()


def test_benchmarks_take_shipped_files(own: Path) -> None:
    spec = EvaluateSpec(tasks=("quickstart_stats",), data={"quickstart_stats": "shipped:eval/none/test.jsonl"})
    recipe = load_recipe(own)
    with pytest.raises(BenchmarkError, match=r"no such file: .*/eval/none/test.jsonl"):
        recipe.model_copy(update={"evaluate": spec}).tasks()
    files = {"quickstart_stats": "shipped:eval/quickstart_stats/test.jsonl"}
    (task,) = recipe.model_copy(update={"evaluate": spec.model_copy(update={"data": files})}).tasks()
    assert task.files == (shipped_root() / "eval" / "quickstart_stats" / "test.jsonl",)


def test_a_name_near_a_shipped_base_is_told(tmp_path: Path) -> None:
    with pytest.raises(StatllamaError) as error:
        find_subject("quickstrat/base", Store(tmp_path / "w"))
    assert error.value.remedy == "did you mean 'quickstart/base', the base that ships?"
    with pytest.raises(StatllamaError) as error:
        find_subject("meta-llama/Llama-3.2-3B", Store(tmp_path / "w"))
    assert "that ships" not in (error.value.remedy or "")


def test_a_shipped_base_is_a_target(tmp_path: Path) -> None:
    store = Store(tmp_path / "w")
    for name in ("quickstart/base", "shipped:quickstart/base"):
        subject = find_subject(name, store)
        assert (subject.name, subject.base.model) == ("quickstart/base", str(BASE))


def test_a_run_names_what_ships_as_the_user_does(own: Path, tmp_path: Path) -> None:
    """Trained for one step: what is printed, recorded and reported has no folder of the package in it."""
    said = statllama("run", own, cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "sft <- quickstart/data/sft.jsonl: " in said.stdout and "loading quickstart/base: " in said.stdout
    record = json.loads((tmp_path / "workspace" / "runs" / "own.json").read_text())
    assert record["base"]["model"] == "shipped:quickstart/base"
    assert find_subject("own", Store(tmp_path / "workspace")).base.model == str(BASE)
    (manifest,) = (tmp_path / "workspace" / "results").glob("*/manifest.json")
    assert json.loads(manifest.read_text())["base"]["model"] == "shipped:quickstart/base"
    assert statllama("report", "own", cwd=tmp_path).returncode == 0
    page = (tmp_path / "own.html").read_text()
    assert str(shipped_root()) not in page and "quickstart/base" in page
    assert portable(str(BASE)) == "shipped:quickstart/base" and readable(str(BASE)) == "quickstart/base"
