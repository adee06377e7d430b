"""A study: what is shared is trained once, a failure stops its own branch alone, and the end is one table."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from statllama.cli import app as cli
from statllama.errors import Interrupted, RecipeError, UsageError
from statllama.evaluation.compare import compare
from statllama.recipe import load_recipe
from statllama.report.study import render_study
from statllama.runs.reporting import Reporter
from statllama.runs.scorebook import scored
from statllama.runs.study import run_study
from statllama.runs.study_file import Study, load_study, pipelines
from statllama.runs.targets import find_subject
from statllama.store import Store
from tests.benchmarks_for_tests import choice_task
from tests.conftest import REPO, conversations, stage, write_jsonl

Write = Callable[..., Path]
FEW = {"steps": 2, "learning_rate": 3e-2}
CUT = {"evaluate": {"tasks": ["letters"], "micro_tokens": 1600}}


@pytest.fixture
def write(tmp_path: Path, base_folder: Path) -> Write:
    """Writes a recipe of these stages beside a benchmark."""
    write_jsonl(tmp_path / "sft.jsonl", conversations(8))
    choice_task(tmp_path / "eval", "letters", 12)

    def call(name: str, *stages: dict[str, Any], **fields: Any) -> Path:
        body = {"name": name, "base": {"model": str(base_folder), "quantization": "none"}, **CUT}
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**body, "stages": list(stages), **fields}, sort_keys=False))
        return path

    return call


@pytest.fixture
def three(write: Write) -> list[str]:
    """A trunk with two branches, and another recipe on the same trunk."""
    trunk = stage("trunk", train=FEW)
    first = write("first", trunk, stage("left", train={**FEW, "seed": 1}), stage("right", parents=["trunk"], train=FEW))
    second = write("second", {**trunk, "name": "same"}, stage("own", train={**FEW, "seed": 5}))
    return [str(first), str(second)]


def study_file(folder: Path, **fields: Any) -> Path:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "recipes": ["first.yaml", "second.yaml"], **fields}))
    return path


class Trained(Reporter):
    """Keeps what was trained."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.loads = 0

    def stage_finished(self, name: str, entry: Any) -> None:
        self.names.append(name)

    def busy(self, what: str) -> Any:
        self.loads += what.startswith("loading")
        return super().busy(what)


def test_pipelines_are_the_ways_to_the_leaves(three: list[str]) -> None:
    study = load_study(three)
    found = pipelines(study)
    assert [p.name for p in found] == ["first:left", "first:right", "second"]
    assert [[s.name for s in p.recipe.stages] for p in found] == [
        ["trunk", "left"],
        ["trunk", "right"],
        ["same", "own"],
    ]
    assert [p.name for p in pipelines(study, only=["first"])] == ["first:left", "first:right"]
    assert [p.name for p in pipelines(study, only=["first:right", "second"])] == ["first:right", "second"]
    (down,) = pipelines(study, until="trunk")
    assert (down.name, [s.name for s in down.recipe.stages]) == ("first", ["trunk"])
    with pytest.raises(UsageError, match=r"--only frist: no such pipeline or recipe; did you mean 'first'"):
        pipelines(study, only=["frist"])
    with pytest.raises(UsageError, match=r"no recipe of the study has that stage; did you mean 'trunk'"):
        pipelines(study, until="trnk")


def test_shared_stages_are_trained_once_and_nothing_again(three: list[str], tmp_path: Path) -> None:
    study, store, trained = load_study(three), Store(tmp_path / "w"), Trained()
    result = run_study(study, store, trained)
    assert trained.names == ["trunk", "left", "right", "own"] and not result.failed
    assert trained.loads == 1, "the base is loaded once for all"
    assert len(list(store.entries("results"))) == 4
    assert {r: list(stacks) for r, stacks in result.scores.items()} == {
        "first": ["base", "trunk", "left", "right"],
        "second": ["base", "same", "own"],
    }
    again = Trained()
    second = run_study(study, store, again)
    assert again.names == [] and again.loads == 0
    assert second.to_json() == result.to_json()
    # The record of a run names all its stages, so that eval, compare and report find them.
    for name, last in (("first", "right"), ("second", "own")):
        assert find_subject(name, store).last == last


def test_the_comparison_is_that_of_compare(three: list[str], tmp_path: Path) -> None:
    store = Store(tmp_path / "w")
    result = run_study(load_study([str(study_file(tmp_path, reference="second"))]), store, Reporter())
    assert result.comparison is not None and result.comparison.reference == "second"
    first, second = (find_subject(name, store) for name in ("first", "second"))
    wanted = [("second", second, second.stack("own"))]
    wanted += [(f"first:{leaf}", first, first.stack(leaf)) for leaf in ("left", "right")]
    assert result.comparison == compare(scored(store, wanted))


def test_a_failed_branch_does_not_stop_the_others(write: Write, tmp_path: Path) -> None:
    nan = {"steps": 2, "learning_rate": 1e30, "max_grad_norm": 1e30}
    write(
        "first",
        stage("trunk", train=FEW),
        stage("broken", parents=["trunk"], train=nan),
        stage("after", parents=["broken"], train=FEW),
        stage("sound", parents=["trunk"], train=FEW),
    )
    write("second", stage("own", train={**FEW, "seed": 5}))
    store = Store(tmp_path / "w")
    result = run_study(load_study([str(study_file(tmp_path))]), store, Reporter())
    assert list(result.failed) == ["first:after"] and [p.name for p in result.pipelines] == [
        "first:after",
        "first:sound",
        "second",
    ]
    assert set(result.scores["first"]) == {"base", "trunk", "sound"} and "own" in result.scores["second"]
    assert result.comparison is not None and result.comparison.others == ("second",)
    page = render_study(result)
    assert "Failed" in page and "first:after" in page and "letters, in per cent: chance 25.0." in page


def test_a_recipe_that_cannot_even_be_planned_does_not_stop_the_others(write: Write, tmp_path: Path) -> None:
    """A hub dataset that cannot be had; the tests are offline."""
    write("first", stage("own", train={**FEW, "seed": 5}))
    write("second", stage("away", data=[{"hub": "nobody/nothing", "format": "messages"}], train=FEW))
    result = run_study(load_study([str(study_file(tmp_path))]), Store(tmp_path / "w"), Reporter())
    assert list(result.failed) == ["second"] and "nobody/nothing" in result.failed["second"].message
    assert list(result.scores) == ["first"] and "own" in result.scores["first"]
    assert "nobody/nothing" in render_study(result)


def test_a_study_that_is_stopped_leaves_whole_records(three: list[str], tmp_path: Path) -> None:
    class Stopping(Trained):
        def pipeline(self, name: str, number: int, total: int) -> None:
            if number == 2:
                self.stop = True

        def stage_cached(self, name: str, entry: Any) -> None:
            if getattr(self, "stop", False):
                raise Interrupted("by Ctrl-C")

    store = Store(tmp_path / "w")
    with pytest.raises(Interrupted):
        run_study(load_study(three), store, Stopping())
    assert [s.name for s in find_subject("first", store).stages] == ["trunk", "left", "right"]
    goes_on = Trained()
    run_study(load_study(three), store, goes_on)
    assert goes_on.names == ["right", "own"]


def test_local_rewards_need_to_be_trusted(write: Write, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def f(prompts, completions, completion_ids, **columns):\n    return [sum(i) % 5 for i in completion_ids]\n"
    )
    grpo = stage("own", "grpo", data=[{"problems": {"form": "grpo", "count": 8, "difficulty": [1]}}])
    grpo |= {"rewards": [{"name": "local", "function": "mine:f"}], "generations": 2, "max_completion_length": 4}
    grpo["train"] |= {"steps": 1, "max_length": 256}
    write("first", grpo)
    write("second", stage("other", train=FEW))
    file = str(study_file(tmp_path))
    refused = run_study(load_study([file]), Store(tmp_path / "w"), Reporter())
    assert list(refused.failed) == ["first"] and "--trust-local-code" in str(refused.failed["first"])
    allowed = run_study(load_study([file], trust_local_code=True), Store(tmp_path / "w"), Reporter())
    assert not allowed.failed and "own" in allowed.scores["first"]


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["statllama", "study", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


def test_the_command(
    three: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = {"first:base": {"letters": 64.44}, "first:left": {"letters": 58.83}}
    file, w = study_file(tmp_path, paper=paper, description="A <b>study</b>"), str(tmp_path / "w")
    assert call(monkeypatch, str(file), "--workspace", w, "--out", str(tmp_path / "s.html")) == 0
    said = capsys.readouterr().out
    assert "first:left (1 of 3)" in said and "64.44" in said and "58.83" in said
    assert said.count("trunk done in") == 1 and "for all 2 together (Bonferroni)" in said
    page = (tmp_path / "s.html").read_text()
    assert "3 pipelines of 2 recipes: 5 stages, of which 4 are different" in page
    assert "64.44 %" in page and "A &lt;b&gt;study&lt;/b&gt;" in page and "<script" not in page
    assert call(monkeypatch, *three, "--workspace", w, "--out", str(tmp_path / "s.json")) == 0
    found = json.loads((tmp_path / "s.json").read_text())
    assert set(found["scores"]) == {"first", "second"} and found["failed"] == {}
    assert "done in" not in capsys.readouterr().out
    assert call(monkeypatch, str(file), "--out", str(tmp_path / "s.txt")) == 2
    assert call(monkeypatch, str(file), "--out", str(tmp_path / "no" / "s.html")) == 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"recipes": []}, "recipes: "),
        ({"recipes": ["first.yaml", "third.yaml"]}, "no recipe 'third.yaml'"),
        ({"recipes": ["first.yaml", "first.yaml"]}, "2 recipes of the study are called 'first'"),
        ({"reference": "first:lef"}, "no pipeline 'first:lef': did you mean 'first:left'"),
        ({"paper": {"first:base": {"letters": 164.0}}}, "paper.first:base.letters: input should be less than or equal"),
        ({"paper": {"first:lefft": {"letters": 1.0}}}, "no stack 'first:lefft': did you mean 'first:left'"),
        ({"recipies": ["first.yaml"]}, "recipies: unknown key: did you mean 'recipes'"),
    ],
)
def test_a_study_that_is_wrong(three: list[str], tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    with pytest.raises((RecipeError, UsageError)) as caught:
        load_study([str(study_file(tmp_path, **fields))])
    assert said in str(caught.value)


@pytest.mark.parametrize("target", ["miniature", str(REPO / "recipes" / "miniature.study.yaml")])
def test_a_study_where_a_recipe_is_wanted(target: str) -> None:
    with pytest.raises(UsageError, match="is a study of several recipes, not a recipe") as caught:
        load_recipe(target)
    assert caught.value.remedy == f"statllama study {target}"


def test_one_recipe_is_a_study_too(three: list[str]) -> None:
    study = load_study(three[:1])
    assert isinstance(study, Study) and [p.name for p in pipelines(study)] == ["first:left", "first:right"]
    assert load_recipe(three[0]).down_to("right") == pipelines(study)[1].recipe
