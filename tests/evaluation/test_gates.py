"""Gates in a run: what breaks one, that the run stops or goes on from the parent, and that it stays so."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from statllama.config.evaluate import EvaluateSpec, GateSpec
from statllama.errors import GateBroken, RecipeError
from statllama.evaluation.gates import answers
from statllama.evaluation.scores import TaskScore
from statllama.report.collect import collect
from statllama.runs.cluster.fill import RayExecutor
from statllama.runs.plan import plan
from statllama.runs.reporting import Reporter
from statllama.runs.runner import run as run_recipe
from statllama.runs.subject import subject_of
from statllama.store import Store
from tests.benchmarks_for_tests import choice_task
from tests.conftest import stage
from tests.running import recipe_of
from tests.runs.cluster.workers import InProcess, use

torch.set_num_threads(1)
Write = Callable[..., Path]
SHORT = {"steps": 2}


def score(items: Sequence[float], task: str = "gsm8k") -> TaskScore:
    n = len(items)
    return TaskScore(
        task=task, version="1", metric="acc", value=sum(items) / n, stderr=None, items=tuple(items),
        item_ids=tuple(map(str, range(n))), n=n, total=n, truncated=0, seconds=0.0,
    )  # fmt: skip


BASE = score([1.0] * 150 + [0.0] * 50)  # 75 points
LOST = score([0.0] * 20 + [1.0] * 130 + [0.0] * 50)  # 10 points fewer
SAME = score([0.0] * 4 + [1.0] * 146 + [1.0] * 1 + [0.0] * 49)  # 1.5 points fewer


@pytest.mark.parametrize(
    ("gate", "own", "answer"),
    [
        (GateSpec(budget=-2.0), LOST, "broken"),
        (GateSpec(budget=-2.0), SAME, "undecided"),
        (GateSpec(budget=0.0), SAME, "undecided"),  # 4 lost and 1 gained may be chance
        (GateSpec(budget=-6.0), SAME, "held"),
        (GateSpec(budget=-12.0), LOST, "undecided"),
        (GateSpec(budget=-20.0), LOST, "held"),
        (GateSpec(budget=-5.0, against="parent"), LOST, "held"),  # the parent had lost them already
        (GateSpec(budget=-2.0, stages=("other",)), LOST, None),
        (GateSpec(budget=-2.0, stages=("sft",)), LOST, "broken"),
    ],
)
def test_the_answers_of_a_gate(gate: GateSpec, own: TaskScore, answer: str | None) -> None:
    found = answers({"gsm8k": gate}, "sft", [own], [BASE], [LOST])
    assert [one.answer for one in found] == ([] if answer is None else [answer])
    for one in found:
        said = json.loads(json.dumps(one.to_json()))
        assert (said["answer"], said["test"]["budget"]) == (answer, gate.budget)
        words = {"broken": "broke", "held": "held", "undecided": "may or may not have held"}[one.answer]
        assert f"sft {words} its gate on gsm8k: {one.test.difference:+.1f} points against the {gate.against}" in str(
            one
        )
        assert (one.stops, one.leaves_out) == (one.answer == "broken", False)


def test_an_undecided_gate_says_how_many_items_would_do() -> None:
    """4 lost and 1 gained of 200: 6 in 202 change, counting the two half items; z_0.95 + z_0.8 = 2.486."""
    (one,) = answers({"gsm8k": GateSpec(budget=-2.0)}, "sft", [SAME], [BASE], [BASE])
    assert one.enough == pytest.approx(6 / 202 * 2.486**2 / 0.02**2, rel=0.06)
    assert f"on 200 items; {one.enough} would hold it with 80 % power if nothing were lost" in str(one)
    (never,) = answers({"gsm8k": GateSpec(budget=0.0)}, "sft", [SAME], [BASE], [BASE])
    assert never.enough is None and "would hold" not in str(never)
    (held,) = answers({"gsm8k": GateSpec(budget=-6.0)}, "sft", [SAME], [BASE], [BASE])
    assert held.enough is None and "would hold" not in str(held)


def test_what_an_undecided_gate_does() -> None:
    (one,) = answers({"gsm8k": GateSpec(budget=-2.0, on_undecided="stop")}, "sft", [SAME], [BASE], [BASE])
    assert one.answer == "undecided" and one.stops and not one.leaves_out
    (left,) = answers({"gsm8k": GateSpec(budget=-2.0, on_break="parent")}, "sft", [LOST], [BASE], [BASE])
    assert left.leaves_out and not left.stops


def test_a_number_is_a_budget_and_must_be_of_a_task_and_of_stages_that_are_there(write_recipe: Write) -> None:
    assert EvaluateSpec(tasks=("a",), gates={"a": -2}).gates["a"] == GateSpec(budget=-2.0)  # type: ignore[dict-item]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"gates": {"b": -2.0}}, "`gates` names 'b', which `tasks` does not score"),
        ({"gates": {"letters": 2.0}}, "less than or equal to 0"),
        ({"gates": {"letters": True}}, "should be a mapping of fields"),
        ({"gates": {"letters": {"budget": -1.0, "on_break": "go"}}}, "'stop' or 'parent'"),
        ({"gates": {"letters": {"budget": -1.0, "stages": ["tow"]}}}, "unknown stage 'tow': did you mean 'two'?"),
    ]
    for fields, message in wrong:
        path = write_recipe([stage("one"), stage("two")], evaluate={"tasks": ["letters"], **fields})
        with pytest.raises(RecipeError) as caught:
            recipe_of(path)
        assert message in str(caught.value)


class Fixed(Reporter):
    """Which stages were trained, and what was noted."""

    def __init__(self) -> None:
        self.trained: list[str] = []
        self.notes: list[str] = []

    def stage_finished(self, name: str, entry: Any) -> None:
        self.trained.append(name)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def wrong() -> set[str]:
    """Stacks whose scores are all wrong."""
    return {"two"}


@pytest.fixture
def gated(write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: set[str]) -> Callable[..., Path]:
    """A recipe of three stages with a gate on `letters`; the answers of the stacks in `wrong` are all wrong.

    The models are random, so their real scores would tell nothing: only the items' scores are replaced, on the way
    from lm-eval to the workspace.
    """
    import statllama.runs.scorer

    choice_task(tmp_path / "eval", "letters", 40)
    real = statllama.runs.scorer.Suite.score
    workspace = Store(tmp_path / "w")

    def fixed(self: Any, name: str, model: Any, *args: Any, **kwargs: Any) -> TaskScore:
        found = real(self, name, model, *args, **kwargs)
        bad = model is not None and current[-1] in wrong
        items = tuple(0.0 if bad else 1.0 for _ in found.items)
        return TaskScore(**{**found.__dict__, "items": items, "value": 0.0 if bad else 1.0})

    current: list[str] = []
    attached = statllama.runs.scorer.Scorer._compute

    def noted(self: Any, stack: Any, *args: Any) -> None:
        current.append(stack.name)
        attached(self, stack, *args)

    monkeypatch.setattr(statllama.runs.scorer.Suite, "score", fixed)
    monkeypatch.setattr(statllama.runs.scorer.Scorer, "_compute", noted)

    def write(parents: dict[str, Any] | None = None, **gate: Any) -> Path:
        stages = [stage(name, train=SHORT | {"seed": i}) for i, name in enumerate(("one", "two", "three"))]
        for name, value in (parents or {}).items():
            next(one for one in stages if one["name"] == name)["parents"] = value
        evaluate = {"tasks": ["letters"], "max_length": 200, "gates": {"letters": {"budget": -5.0, **gate}}}
        return write_recipe(stages, evaluate=evaluate)

    assert workspace.root == tmp_path / "w"
    return write


def test_a_broken_gate_stops_the_run_and_keeps_what_is_done(gated: Callable[..., Path], tmp_path: Path) -> None:
    path, store = gated(), Store(tmp_path / "w")
    said = Fixed()
    with pytest.raises(GateBroken, match="two broke its gate on letters: -100") as caught:
        run_recipe(recipe_of(path), store, said)
    assert "on_break=parent" in str(caught.value)
    assert said.trained == ["one", "two"]
    assert any("the run stops" in note for note in said.notes)
    again = Fixed()
    with pytest.raises(GateBroken):  # nothing is trained, and it still stops
        run_recipe(recipe_of(path), store, again)
    assert again.trained == []
    # A larger budget lets the same results through.
    result = run_recipe(recipe_of(path, "evaluate.gates.letters.budget=-100"), store, again)
    assert again.trained == ["three"] and list(result.results) == ["one", "two", "three"]


def test_a_stage_that_broke_its_gate_is_left_out(gated: Callable[..., Path], tmp_path: Path) -> None:
    path, store = gated(on_break="parent"), Store(tmp_path / "w")
    said = Fixed()
    result = run_recipe(recipe_of(path), store, said)
    assert said.trained == ["one", "two", "three"]
    assert any("left out; later stages train on its parent" in note for note in said.notes)
    one, two, three = plan(recipe_of(path), store)
    assert three.below == (one.key,) and three.parents == ("one",) and two.left_out and not three.left_out
    assert "two broke its gate" in two.why and three.why == "cached"
    assert result.scorecard is not None
    assert [(row.name, row.parent) for row in result.scorecard.rows] == [
        ("base", None), ("one", "base"), ("two", "one"), ("three", "one"),
    ]  # fmt: skip
    manifest = json.loads((result.results["three"] / "manifest.json").read_text())
    assert manifest["parents"] == [one.key]
    # It is the stage that a recipe with that parent trains.
    path.write_text(path.read_text().replace("- name: three", "- name: three\n  parents: [one]"))
    assert plan(recipe_of(path), store)[2].key == three.key
    record = store.last_run("tiny")
    assert record["stages"]["three"]["parents"] == ["one"]
    assert "broke its gate" in record["stages"]["two"]["left_out"]


def test_workers_leave_out_and_stop_as_one_process_does(
    gated: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, store = gated(on_break="parent"), Store(tmp_path / "w")
    cluster = InProcess(store.root, slots=3)
    use(monkeypatch, cluster)
    run_recipe(recipe_of(path), store, Fixed(), executor=RayExecutor())
    one, two, three = plan(recipe_of(path), store)
    assert three.below == (one.key,) and two.left_out and three.cached
    trained = [name for name in cluster.begun if name.startswith("train")]
    assert trained == ["train one", "train two", "train three"]

    path, store = gated(), Store(tmp_path / "v")
    cluster = InProcess(store.root, slots=3)
    use(monkeypatch, cluster)
    with pytest.raises(GateBroken, match="two broke its gate on letters: -100"):
        run_recipe(recipe_of(path), store, Fixed(), executor=RayExecutor())
    assert "train two" in cluster.begun and "train three" not in cluster.begun


def test_the_parent_of_a_stage_on_several_is_all_of_them(
    gated: Callable[..., Path], wrong: set[str], tmp_path: Path
) -> None:
    """Not the last one: `two` alone is all wrong too, so against it `three` would have lost nothing."""
    wrong.add("three")
    path, store = (
        gated({"two": "base", "three": ["one", "two"]}, against="parent", stages=["three"]),
        Store(tmp_path / "w"),
    )
    said = Fixed()
    with pytest.raises(GateBroken, match=r"three broke its gate on letters: -100"):
        run_recipe(recipe_of(path), store, said)
    one, two, three = plan(recipe_of(path), store)
    assert (three.parent.name, three.parent.keys, three.stack.parent) == ("one + two", (one.key, two.key), "one + two")
    subject = subject_of(store.last_run("tiny"), store)
    assert [(s.name, s.parent) for s in subject.stacks()] == [
        ("base", None), ("one", "base"), ("two", "base"), ("one + two", "base"), ("three", "one + two"),
    ]  # fmt: skip
    report = collect(subject, store)
    rows = {row.stack: row for row in report.benchmarks[0].scores}
    assert rows["one + two"].estimate.value == 100 and rows["two"].estimate.value == 0.0
    assert rows["three"].from_parent is not None and rows["three"].from_parent.against == "one + two"
    assert [(gate.stage, gate.against) for gate in report.gates] == [("three", "one + two")]
