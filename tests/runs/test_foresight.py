"""What a recipe's benchmarks can show, before it runs: from scores, the base's alone, or none; gates that are weak."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import statllama
from statllama.config.benchmarks import BenchmarkError
from statllama.evaluation.paired import paired_change
from statllama.evaluation.power import assumed, measured
from statllama.recipe import load_recipe
from statllama.runs.foresight import Sight, foresee
from statllama.runs.plan import plan
from statllama.runs.subject import BASE
from statllama.runs.targets import find_subject
from statllama.store import Store
from tests.benchmarks_for_tests import choice_task
from tests.running import Recorder, run
from tests.running import statllama as command
from tests.runs.test_family import ITEMS, RIGHT, answers, publish


@pytest.fixture
def recipe(trained_once: Path, tmp_path: Path) -> Path:
    """A trained recipe of two stages on two benchmarks, nothing scored, with a gate on the first."""
    folder = shutil.copytree(trained_once, tmp_path / "trained")
    choice_task(folder / "eval", "letters", ITEMS)
    path = folder / "recipe.yaml"
    evaluate = {"tasks": ["letters", "replies"], "gates": {"letters": -10}}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"evaluate": evaluate}))
    return path


def sights(path: Path, *overrides: str) -> tuple[Sight, ...]:
    loaded, store = load_recipe(path, overrides), Store(path.parent / "w")
    return foresee(loaded, store, plan(loaded, store))


def publish_some(path: Path, *names: str) -> None:
    store = Store(path.parent / "w")
    subject = find_subject(str(path), store)
    for name in names:
        publish(store, subject, subject.stack(name), "letters", answers(RIGHT[name]))


def test_before_anything_is_scored(recipe: Path) -> None:
    letters, replies = sights(recipe)
    assert (letters.task, letters.tests, letters.design) == ("letters", 6, assumed([1] * ITEMS))
    assert replies.design == assumed([1] * 8)
    assert letters.smallest == assumed([1] * ITEMS).smallest_change(6)
    assert sights(recipe, "evaluate.limit=5")[0].design == assumed([1] * 5)


def test_clusters_are_counted(recipe: Path) -> None:
    """Four items in each of 10 kinds: 1 + 0.1 x 3."""
    file, task = (recipe.parent / "eval" / "letters" / name for name in ("test.jsonl", "letters.yaml"))
    rows = [json.loads(line) | {"kind": f"kind {i // 4}"} for i, line in enumerate(file.read_text().splitlines())]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    body = yaml.safe_load(task.read_text())
    task.write_text(yaml.safe_dump(body | {"metadata": {"version": 1.0, "cluster": "kind"}}))
    for _ in range(2):  # the second time from the workspace's memory
        design = sights(recipe)[0].design
        assert design is not None
        assert (design.items, design.clusters) == (ITEMS, 10) and design.design_effect == pytest.approx(1.3)


def name_clusters(recipe: Path, kinds: list[str | None], column: object = "kind") -> None:
    """Gives the rows of `letters` these kinds, and its task file a column of clusters."""
    file, task = (recipe.parent / "eval" / "letters" / name for name in ("test.jsonl", "letters.yaml"))
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    told = [row | ({} if kind is None else {"kind": kind}) for row, kind in zip(rows, kinds, strict=True)]
    file.write_text("".join(json.dumps(row) + "\n" for row in told))
    task.write_text(yaml.safe_dump(yaml.safe_load(task.read_text()) | {"metadata": {"cluster": column}}))


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (["a"] * ITEMS, f"all {ITEMS} items have the kind 'a'"),
        (["a", "b", None, *["c"] * (ITEMS - 3)], "names the column 'kind', which row 3 does not have"),
    ],
)
def test_clusters_that_cannot_be_are_refused_before_anything_runs(
    recipe: Path, kinds: list[str | None], message: str
) -> None:
    name_clusters(recipe, kinds)
    with pytest.raises(BenchmarkError, match=message) as caught:
        sights(recipe)
    assert caught.value.exit_code == 2 and caught.value.remedy
    with pytest.raises(BenchmarkError, match=message):
        run(recipe, recipe.parent / "w")


def test_a_column_of_clusters_is_one_text(recipe: Path) -> None:
    name_clusters(recipe, ["a", "b"] * (ITEMS // 2), ["kind"])
    with pytest.raises(BenchmarkError, match=r"letters.yaml: `metadata.cluster` is \['kind'\]; write the name of one"):
        sights(recipe)


def test_questions_of_ones_own_need_no_clusters(recipe: Path) -> None:
    own = recipe.parent / "own.jsonl"
    own.write_text((recipe.parent / "eval" / "letters" / "test.jsonl").read_text())
    name_clusters(recipe, ["a", "b"] * (ITEMS // 2))
    assert sights(recipe, "evaluate.data={letters: own.jsonl}")[0].design == assumed([1] * ITEMS)


def test_the_first_items_may_be_of_one_cluster(recipe: Path) -> None:
    name_clusters(recipe, [f"kind {i // 4}" for i in range(ITEMS)])
    sight = sights(recipe, "evaluate.limit=4")[0]
    assert sight.design == assumed([4]) and sight.smallest == 100
    assert "4 items in 1 cluster it" in str(sight.gate)


def test_what_is_scored_is_taken_into_account(recipe: Path) -> None:
    publish_some(recipe, BASE)
    design = sights(recipe)[0].design
    assert design is not None and (design.basis, design.accuracy) == ("base scored", 8 / ITEMS)
    assert design.discordance == pytest.approx(0.2 * 0.8)
    publish_some(recipe, "one", "two")
    base, one, two = (answers(RIGHT[name]) for name in (BASE, "one", "two"))
    letters = sights(recipe)[0]
    assert letters.design == measured(0.2, [paired_change(base, one), paired_change(base, two)])
    assert letters.gate is not None and letters.gate.design == letters.design
    of_parent = sights(recipe, "evaluate.gates={letters: {budget: -10, against: parent, stages: [two]}}")[0].gate
    assert of_parent is not None and of_parent.design == measured(0.2, [paired_change(one, two)])


def test_weak_gates_are_told_by_plan_and_run(recipe: Path) -> None:
    """By hand: 40 items, a quarter of which may change: unit sqrt(0.25 / 40) = 7.9 points; held from -10 + 1.68 x 7.9 =
    3.3 points up, 0.4 units above the true change of zero: in about a third of runs."""
    gate = sights(recipe)[0].gate
    assert gate is not None and gate.weak and gate.held == pytest.approx(0.34, abs=0.03)
    assert gate.enough == pytest.approx(0.25 * (1.645 + 0.842) ** 2 / 0.1**2, rel=0.03)
    said = command("plan", recipe, "--workspace", recipe.parent / "w", cwd=recipe.parent)
    warning = " ".join(said.stdout.partition("warning: ")[2].split())
    assert warning.startswith("gate on letters, -10 points against the base: with 40 items it comes out held in 3")
    assert f"if 25 % of the answers change; {gate.enough} items would do" in warning
    notes = statllama.plan(recipe, workspace=recipe.parent / "w").notes()
    assert [note for note in notes if note.startswith("gate")] == [str(gate)]

    store, watch = Store(recipe.parent / "w"), Recorder()
    subject = find_subject(str(recipe), store)
    for task in ("letters", "replies"):
        for stack in subject.stacks():
            publish(store, subject, stack, task, answers(8) if task == "letters" else [0.0] * 8)
    run(recipe, store.root, reporter=watch)
    assert [note for note in watch.notes if "runs that lose nothing" in note] == [str(sights(recipe)[0].gate)]


def test_gates_that_can_be_judged_and_that_never_can(recipe: Path) -> None:
    (strong, _), (never, _) = (sights(recipe, f"evaluate.gates={{letters: {budget}}}") for budget in (-30, 0))
    assert strong.gate is not None and not strong.gate.weak and "would do" not in str(strong.gate)
    assert never.gate is not None and never.gate.enough is None
    assert "held in 0 % of runs" in str(never.gate) and "allow a loss" in str(never.gate)


def test_plan_as_a_table(recipe: Path) -> None:
    frame = statllama.plan(recipe, workspace=recipe.parent / "w").benchmarks.to_pandas()
    assert list(frame.task) == ["letters", "replies"] and list(frame["items"]) == [ITEMS, 8]
    assert list(frame.tests) == [6, 6] and frame.budget[0] == -10 and frame.held_at_no_loss[0] < 80


def test_rows_that_cannot_be_had_are_said_so(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from statllama.errors import DataError
    from statllama.runs import foresight

    def unreachable(task: Any) -> Any:
        raise DataError("the hub cannot be reached")

    monkeypatch.setattr(foresight, "read_items", unreachable)
    letters = sights(recipe)[0]
    assert (letters.design, letters.smallest, letters.gate) == (None, None, None)
    said = command("plan", recipe, "--workspace", recipe.parent / "w", cwd=recipe.parent)
    assert said.returncode == 0 and "not read yet" in said.stdout


def test_no_benchmarks(trained: tuple[Path, Store]) -> None:
    path, store = trained
    assert sights(path) == ()
    assert "smallest change" not in command("plan", path, "--workspace", store.root, cwd=path.parent).stdout
