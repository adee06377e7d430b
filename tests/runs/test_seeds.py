"""A study under several seeds: what is trained again and what is not, and what is said of recipe and checkpoint."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from statllama.cli import app as cli
from statllama.cli.console.study import print_study
from statllama.errors import RecipeError, UsageError
from statllama.evaluation.paired import judge
from statllama.evaluation.repeated import recipe_change
from statllama.report import words
from statllama.report.study import page_of, render_study
from statllama.runs.family import compare_scored
from statllama.runs.reporting import Reporter
from statllama.runs.scorebook import scored
from statllama.runs.study import StudyResult, run_study
from statllama.runs.study_file import load_study, pipelines
from statllama.runs.targets import find_subject
from statllama.store import Store
from tests.benchmarks_for_tests import choice_task
from tests.conftest import conversations, stage, write_jsonl
from tests.runs.test_family import publish

FEW = {"steps": 2, "learning_rate": 3e-2}
CUT = {"evaluate": {"tasks": ["letters"], "micro_tokens": 1600}}
TRUNK = stage("trunk", train=FEW)


def write(folder: Path, base: Path) -> Callable[..., None]:
    """Writes recipes of these stages beside data and a benchmark."""
    write_jsonl(folder / "sft.jsonl", conversations(8))
    choice_task(folder / "eval", "letters", 12)

    def call(name: str, *stages: dict[str, Any]) -> None:
        body = {"name": name, "base": {"model": str(base), "quantization": "none"}, **CUT, "stages": list(stages)}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(body, sort_keys=False))

    return call


def study_file(folder: Path, **fields: Any) -> str:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "recipes": ["first.yaml", "second.yaml"], **fields}))
    return str(path)


class Trained(Reporter):
    """Keeps what was trained, and which pipelines ran."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.pipelines: list[str] = []

    def stage_finished(self, name: str, entry: Any) -> None:
        self.stages.append(name)

    def pipeline(self, name: str, number: int, total: int) -> None:
        self.pipelines.append(name)


class Ran(NamedTuple):
    folder: Path
    store: Store
    before: Trained
    trained: Trained
    result: StudyResult


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> Ran:
    """A study of two branches on a trunk that is trained once, after the same study without seeds."""
    folder = tmp_path_factory.mktemp("seeds")
    recipe = write(folder, base_folder)
    recipe("first", TRUNK, stage("left", train={**FEW, "seed": 7}), stage("right", parents=["trunk"], train=FEW))
    recipe("second", TRUNK, stage("own", train={**FEW, "learning_rate": 1e-2}))
    store, before, trained = Store(folder / "w"), Trained(), Trained()
    run_study(load_study([study_file(folder)]), store, before)
    file = study_file(folder, seeds=3, repeat=["left", "own"], reference="first:left")
    return Ran(folder, store, before, trained, run_study(load_study([file]), store, trained))


def test_only_the_chosen_stages_are_trained_again(ran: Ran) -> None:
    assert ran.before.stages == ["trunk", "left", "right", "own"]
    assert ran.trained.stages == ["left", "own", "left", "own"], "the first runs and the trunk were there"
    runs = [f"{name}, run {k}" for k in (2, 3) for name in ("first:left", "second")]
    assert ran.trained.pipelines == ["first:left", "first:right", "second", *runs]
    again = Trained()
    second = run_study(ran.result.study, ran.store, again)
    assert again.stages == [] and second.to_json() == ran.result.to_json()


def test_a_further_run_is_a_run_of_its_own(ran: Ran) -> None:
    one, other = (find_subject(name, ran.store) for name in ("first", "first.run3"))
    seeds = [subject.stage("left").entry.manifest["config"]["train"]["seed"] for subject in (one, other)]  # type: ignore[union-attr]
    assert seeds == [7, 9]
    assert one.stage("trunk").key == other.stage("trunk").key and one.stage("left").key != other.stage("left").key
    assert "stages.left.train.seed=9" in other.record["overrides"]


def test_the_verdict_on_the_recipe_is_over_all_runs(ran: Ran) -> None:
    def items(name: str, last: str) -> list[tuple[float, ...]]:
        subjects = [find_subject(f"{name}{run}", ran.store) for run in ("", ".run2", ".run3")]
        found = scored(ran.store, [(s.name, s, s.stack(last)) for s in subjects])
        return [each.records["letters"].score.items for each in found]

    left, right, own = items("first", "left"), [items("first", "left")[0]], items("second", "own")
    contrasts = {c.other: c for c in ran.result.contrasts}
    assert list(contrasts) == ["first:right", "second"] and right
    assert (
        contrasts["second"].recipe.change
        == recipe_change(left, own, tests=contrasts["second"].checkpoint.change.tests).change
    )
    assert contrasts["first:right"].after_sd is None, "it has no stage that is repeated"
    assert contrasts["first:right"].runs == 3 and contrasts["first:right"].before_sd is not None
    assert ran.result.comparison is not None
    assert [c.checkpoint.change for c in contrasts.values()] == [
        c.overall.change for c in ran.result.comparison.contrasts
    ]


def test_the_comparison_of_checkpoints_is_that_without_seeds(ran: Ran) -> None:
    plain = run_study(load_study([study_file(ran.folder, reference="first:left")]), ran.store, Reporter())
    assert plain.comparison == ran.result.comparison and plain.contrasts == ()
    assert plain.scores == ran.result.scores, "the table shows the recipes under their own seeds"
    assert "The recipe, or this checkpoint?" not in render_study(plain)


def test_both_verdicts_are_shown(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    print_study(ran.result)
    said = " ".join(capsys.readouterr().out.split())
    assert "recipe checkpoint" in said and "not shown not shown" in said and "first.run2" not in said
    assert "With 3 runs that differ so much" in said and "with 5 such runs it would" in said
    page = page_of(ran.result)
    assert page.summary.startswith("3 pipelines of 2 recipes in 3 runs each: 15 stages, of which 8 are different")
    assert [len(table.rows) for table in page.recipes] == [3]
    assert "The recipe, or this checkpoint?" in render_study(ran.result)
    data = json.loads(json.dumps(ran.result.to_json()))
    assert [found["other"] for found in data["recipes"]] == ["first:right", "second"]
    assert "first.run2" in data["scores"]


def test_what_the_runs_could_show_is_of_each_contrast(ran: Ran) -> None:
    """Its family and its number of runs; one with fewer runs does not speak for the others."""
    one, other = ran.result.contrasts
    in_six = replace(one, recipe=judge(replace(one.recipe.change, tests=6)))
    assert "p, for all 2 or 6 together (Bonferroni), hold both" in words.over_runs([other, in_six])
    assert other.spread is not None
    short = replace(other, runs=2, spread=replace(other.spread, runs=2, of_runs=40.0))
    assert words.over_runs([other, short]) == words.over_runs([other])


def test_one_pipeline_is_compared_with_its_base(ran: Ran) -> None:
    """`statllama study RECIPE --seeds 3`: is the recipe better than nothing?"""
    study = load_study([str(ran.folder / "second.yaml")], seeds=2)
    assert [(p.label, p.repeated) for p in pipelines(study)] == [("second", True), ("second, run 2", True)]
    result = run_study(study, ran.store, Reporter(), only=["second"])
    assert result.comparison is not None and result.comparison.reference == "base"
    (found,) = result.contrasts
    subjects = [find_subject(name, ran.store) for name in ("second", "second.run2")]
    base, *own = (
        each.records["letters"].score.items
        for each in scored(
            ran.store,
            [("base", subjects[0], subjects[0].stack("base")), *((s.name, s, s.stack("own")) for s in subjects)],
        )
    )
    assert found.recipe.change == recipe_change([base, base], own, tests=found.checkpoint.change.tests).change
    assert found.before_sd is None
    pair = [(name, subjects[0], subjects[0].stack(last)) for name, last in (("base", "base"), ("second", "own"))]
    assert result.comparison == compare_scored(ran.store, pair)


def test_a_run_that_fails_is_told_and_the_others_count(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    class Failing(Store):
        """A workspace in which a second run cannot be recorded."""

        def write_run(self, name: str, record: Any) -> None:
            if name == "second.run2":
                raise UsageError("no room")
            super().write_run(name, record)

    result = run_study(ran.result.study, Failing(ran.store.root), Reporter())
    assert list(result.failed) == ["second, run 2"]
    assert {c.other: c.runs for c in result.contrasts} == {"first:right": 3, "second": 2}


def test_a_benchmark_that_no_recipe_names_changes_no_verdict(ran: Ran, tmp_path: Path) -> None:
    """After `eval --task more` of the first runs alone."""
    choice_task(ran.folder / "eval", "more", 10)
    store = Store(shutil.copytree(ran.store.root, tmp_path / "w"))
    for name in ("first", "second"):
        subject = find_subject(name, store).evaluated({"tasks": ["letters", "more"]})  # type: ignore[union-attr]
        for stack in subject.stacks():
            publish(store, subject, stack, "more", [1.0, 0.0] * 5)
    result = run_study(ran.result.study, store, Reporter())
    assert result.comparison == ran.result.comparison and result.contrasts == ran.result.contrasts


def test_recipes_that_share_no_benchmark_are_scored_and_not_compared(
    ran: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choice_task(ran.folder / "eval", "alone", 6)
    body = yaml.safe_load((ran.folder / "first.yaml").read_text())
    body |= {
        "name": "other",
        "stages": [stage("alone", train={**FEW, "seed": 3})],
        "evaluate": CUT["evaluate"] | {"tasks": ["alone"]},
    }
    (ran.folder / "other.yaml").write_text(yaml.safe_dump(body))
    store = Store(shutil.copytree(ran.store.root, tmp_path / "w"))
    targets = [str(ran.folder / f"{name}.yaml") for name in ("second", "other")]
    result = run_study(load_study(targets), store, Reporter())
    assert (result.comparison, result.failed) == (None, {}) and "alone" in result.scores["other"]["alone"]
    print_study(result)
    assert "no benchmark is scored for all" in " ".join(capsys.readouterr().out.split())
    assert render_study(result)


@pytest.mark.parametrize("seeds", [0, 1])
def test_one_run_is_refused_on_the_command_line(
    seeds: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["statllama", "study", "miniature", "--seeds", str(seeds)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    said = f"--seeds {seeds}: expected 2 (one run cannot show how much runs differ) to 100"
    assert said in " ".join(capsys.readouterr().err.split())


def test_every_stage_of_the_paper_has_another_seed_in_another_run() -> None:
    """Also those with a point in their name, such as `sft_v3.1`, and a blend that draws nothing keeps its own."""
    study = load_study(["comparison"], seeds=2)
    first, second = study.runs[: len(study.recipes)], study.runs[len(study.recipes) :]
    for one, other in zip(first, second, strict=True):
        assert other.recipe.name == f"{one.recipe.name}.run2" and len(one.recipe.trained) > 0
        assert [s.train.seed + 1 for s in one.recipe.trained] == [s.train.seed for s in other.recipe.trained]
        same = (s.model_dump(exclude={"train": {"seed"}}) for run in (one, other) for s in run.recipe.stages)
        stages = list(same)
        assert stages[: len(stages) // 2] == stages[len(stages) // 2 :]


def test_a_name_too_long_for_its_runs_is_refused() -> None:
    with pytest.raises(UsageError, match="give the recipe a shorter `name`"):
        load_study(["quickstart"], [f"name={'x' * 60}"], seeds=2)


def test_the_shipped_study_runs_under_two_seeds() -> None:
    found = pipelines(load_study(["miniature"], seeds=2))
    assert [p.label for p in found[5:]] == [f"{p.name}, run 2" for p in found[:5]] and len(found) == 10
    assert all(p.repeated for p in found) and len({p.recipe.name for p in found}) == 6


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"seeds": 1},
            "seeds: should be a number of runs from 2 (one cannot show how much runs differ) to 100; got 1",
        ),
        ({"seeds": [42]}, "seeds: should be a number of runs from 2"),
        ({"seeds": True}, "got True"),
        ({"repeat": ["left"]}, "`repeat` names stages to train under several seeds: say how many, as in `seeds: 3`"),
        ({"seeds": 2, "repeat": []}, "repeat: needs at least 1"),
        (
            {"seeds": 2, "repeat": ["lefft"]},
            "repeat[0]: no recipe of the study has a stage 'lefft': did you mean 'left'",
        ),
    ],
)
def test_seeds_that_are_wrong(ran: Ran, tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    file = tmp_path / "wrong.yaml"
    recipes = [str(ran.folder / f"{name}.yaml") for name in ("first", "second")]
    file.write_text(yaml.safe_dump({"name": "wrong", "recipes": recipes, **fields}))
    with pytest.raises(RecipeError) as caught:
        load_study([str(file)])
    assert said in str(caught.value) and "line" in str(caught.value)


def test_a_base_that_differs_cannot_be_the_reference(ran: Ran, tmp_path: Path) -> None:
    file = tmp_path / "mine.study.yaml"
    recipes = [str(ran.folder / "first.yaml"), "quickstart"]
    file.write_text(yaml.safe_dump({"name": "mine", "recipes": recipes, "reference": "base"}))
    with pytest.raises(RecipeError, match="reference: the recipes have several bases: name a pipeline"):
        load_study([str(file)])
