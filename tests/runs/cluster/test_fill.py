"""Workers fill the workspace: the same keys, adapters, scores and records as one process, whatever dies meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from statllama.errors import GateBroken, Interrupted, StoreError, TrainingError, UsageError
from statllama.recipe import Recipe, load_recipe
from statllama.runs import runner
from statllama.runs.cluster.fill import RayExecutor, chosen_executor
from statllama.runs.cluster.work import Work
from statllama.runs.plan import plan
from statllama.runs.reporting import Reporter
from statllama.runs.session import Session
from statllama.runs.signals import StopSignal
from statllama.runs.study import run_study
from statllama.runs.study_file import load_study
from statllama.runs.targets import find_subject
from statllama.store import Store
from statllama.train.memory import GIB, MIB
from tests.benchmarks_for_tests import choice_task
from tests.conftest import conversations, stage, write_jsonl
from tests.runs.cluster.workers import InProcess, Kept, adapters, lost, use

FEW = {"steps": 2, "learning_rate": 3e-2}


@pytest.fixture
def branched(tmp_path: Path, base_folder: Path) -> Path:
    """A trunk with two branches, scored on a benchmark."""
    write_jsonl(tmp_path / "sft.jsonl", conversations(8))
    choice_task(tmp_path / "eval", "letters", 12)
    body = {
        "name": "first",
        "base": {"model": str(base_folder), "quantization": "none"},
        "evaluate": {"tasks": ["letters"], "micro_tokens": 1600},
        "stages": [
            stage("trunk", train=FEW),
            stage("left", train={**FEW, "seed": 1}),
            stage("right", parents=["trunk"], train=FEW),
        ],
    }
    path = tmp_path / "first.yaml"
    path.write_text(yaml.safe_dump(body, sort_keys=False))
    return path


@pytest.fixture
def recipe(branched: Path) -> Recipe:
    return load_recipe(branched)


def without_times(store: Store, kind: Any) -> dict[str, Any]:
    """Return {key: the manifest's parts that do not tell of the machine or the moment}."""
    kept = ("kind", "name", "config", "base", "parents", "material", "score", "drift", "protocol", "files")
    found = {}
    for entry in store.entries(kind):
        manifest = {name: value for name, value in entry.manifest.items() if name in kept}
        if "score" in manifest:
            manifest["score"] = {k: v for k, v in manifest["score"].items() if k != "seconds"}
        manifest["files"] = {n: r for n, r in manifest.get("files", {}).items() if n != "history.json"}
        found[entry.key] = manifest
    return found


def test_a_filled_run_is_that_of_one_process(recipe: Recipe, tmp_path: Path, monkeypatch: Any) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    alone = runner.run(recipe, here, Reporter())
    cluster, kept = InProcess(there.root, slots=2), Kept()
    asked = use(monkeypatch, cluster)
    filled = runner.run(recipe, there, kept, executor=RayExecutor("head:6379", 2))

    assert asked == [("head:6379", 2)]
    assert adapters(list(filled.results.values())) == adapters(list(alone.results.values()))
    assert without_times(there, "results") == without_times(here, "results")
    assert without_times(there, "scores") == without_times(here, "scores")
    assert filled.scorecard == alone.scorecard
    here_told, there_told = ({**store.last_run("first"), "started": ""} for store in (here, there))
    assert there_told == here_told
    assert cluster.most == 2, "the branches run beside each other"
    # The trunk comes first: everything hangs on it. The base's score needs nothing.
    assert cluster.begun[0] == "train trunk" and set(cluster.begun[:2]) == {"train trunk", "base on letters"}
    assert len(kept.began_) == len(kept.ended_) == 3 + 4 + 3

    # Again: nothing is missing, so no cluster is asked for.
    runner.run(recipe, there, kept, executor=RayExecutor())
    assert len(asked) == 1


def test_workers_keep_states_and_go_on_from_them(recipe: Recipe, tmp_path: Path, monkeypatch: Any) -> None:
    """As one process does: the trunk with more steps has the unbroken run's bits."""
    assert recipe.source is not None
    kept = [f"stages.trunk.train.{field}" for field in ("schedule=constant", "keep_state=true")]
    store, told = Store(tmp_path / "there"), Kept()
    use(monkeypatch, InProcess(store.root))
    runner.run(load_recipe(recipe.source, kept), store, told, executor=RayExecutor(), until="trunk")
    (state,) = store.entries("states")
    assert state.manifest["step"] == 2
    longer = load_recipe(recipe.source, [*kept, "stages.trunk.train.steps=4"])
    filled = runner.run(longer, store, told, executor=RayExecutor(), until="trunk")
    trained = store.find("results", filled.results["trunk"].name)
    assert trained is not None and trained.manifest["extended_from"] == {"step": 2, "key": state.key}
    alone = runner.run(longer, Store(tmp_path / "here"), Reporter(), until="trunk")
    assert adapters(list(filled.results.values())) == adapters(list(alone.results.values()))


def test_a_lost_worker_is_replaced_and_a_deadly_work_is_given_up(
    recipe: Recipe, tmp_path: Path, monkeypatch: Any
) -> None:
    dead: list[str] = []

    def before(work: Work) -> Any:
        if work.name == "trunk" and work.kind == "train" and len(dead) < 2:
            dead.append(work.id)
            return lost(work)
        return None

    store, kept = Store(tmp_path / "w"), Kept()
    use(monkeypatch, InProcess(store.root, before=before))
    runner.run(recipe, store, kept, executor=RayExecutor())
    assert len(dead) == 2 and sum("goes on from its checkpoint" in note for note in kept.notes) == 2

    store, kept = Store(tmp_path / "v"), Kept()
    cluster = InProcess(store.root, before=lambda work: lost(work) if str(work) == "train left" else None)
    use(monkeypatch, cluster)
    with pytest.raises(TrainingError, match=r"train left: 3 workers died of it, the last on here cpu 0: it was killed"):
        runner.run(recipe, store, kept, executor=RayExecutor())
    assert cluster.begun.count("train left") == 3
    assert "left on letters" not in cluster.begun, "what stands on it is not begun"


def test_an_error_of_a_stage_ends_its_pipelines_alone(branched: Path, tmp_path: Path, monkeypatch: Any) -> None:
    study, store = load_study([str(branched)], ["stages.left.train.learning_rate=1e30"]), Store(tmp_path / "w")
    cluster, kept = InProcess(store.root, slots=3), Kept()
    use(monkeypatch, cluster)
    result = run_study(study, store, kept, executor=RayExecutor())
    assert list(result.failed) == ["first:left"] and "lower the learning rate" in str(result.failed["first:left"])
    assert list(result.scores["first"]) == ["base", "trunk", "right"]
    assert find_subject("first", store).last == "right"
    assert cluster.begun.count("train left") == 1 and cluster.begun.count("train trunk") == 1


def test_a_gate_decides_before_what_stands_on_it_is_begun(branched: Path, tmp_path: Path, monkeypatch: Any) -> None:
    def gated(answer: str) -> Recipe:
        return load_recipe(branched, [f"evaluate.gates.letters={{budget: 0, on_break: {answer}, on_undecided: stop}}"])

    store = Store(tmp_path / "w")
    cluster = InProcess(store.root, slots=3)
    use(monkeypatch, cluster)
    with pytest.raises(GateBroken):
        runner.run(gated("stop"), store, Kept(), executor=RayExecutor())
    assert "train trunk" in cluster.begun and "train left" not in cluster.begun


def test_blends_joined_parents_and_prompts(branched: Path, tmp_path: Path, monkeypatch: Any) -> None:
    body = yaml.safe_load(branched.read_text())
    body["stages"] += [
        {"name": "mixed", "type": "blend", "of": {"left": 2, "right": 3}},
        stage("joined", parents=["left", "right"], train=FEW),
        {
            **{"name": "dial", "type": "blend", "of": {"left": 1}},
            **{"scales": [0.5, 1.0], "choose": {"on": "holdout:general"}},
        },
    ]
    write_jsonl(tmp_path / "general.jsonl", conversations(12)[8:])
    body["evaluate"]["holdouts"] = {"general": {"path": "general.jsonl", "format": "messages"}}
    body["evaluate"]["prompts"] = ["mean of the sample?"]
    body["evaluate"]["prompt_tokens"] = 4
    branched.write_text(yaml.safe_dump(body, sort_keys=False))
    recipe = load_recipe(branched)
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    alone = runner.run(recipe, here, Reporter())
    cluster = InProcess(there.root, slots=4)
    use(monkeypatch, cluster)
    filled = runner.run(recipe, there, Kept(), executor=RayExecutor())
    assert adapters(list(filled.results.values())) == adapters(list(alone.results.values()))
    chosen = [store.find("results", alone.results["dial"].name) for store in (here, there)]
    assert (
        chosen[0] and chosen[1] and chosen[0].manifest["metrics"]["scaled"] == chosen[1].manifest["metrics"]["scaled"]
    )
    assert filled.scorecard == alone.scorecard
    assert {e.key for e in there.entries("scores")} == {e.key for e in here.entries("scores")}
    assert "left + right on letters" in cluster.begun


def test_a_stop_reaches_the_workers(recipe: Recipe, tmp_path: Path, monkeypatch: Any) -> None:
    import os
    import signal

    def before(work: Work) -> None:
        if str(work) == "train trunk":
            os.kill(os.getpid(), signal.SIGINT)

    store = Store(tmp_path / "w")
    cluster = InProcess(store.root, before=before)
    use(monkeypatch, cluster)
    with pytest.raises(Interrupted, match="every worker saved"):
        runner.run(recipe, store, Kept(), executor=RayExecutor())
    assert cluster.stopped == 1 and cluster.begun == ["train trunk"]
    use(monkeypatch, InProcess(store.root))
    assert set(runner.run(recipe, store, Kept(), executor=RayExecutor()).results) == {"trunk", "left", "right"}


def test_without_waiting_a_worker_names_who_is_at_a_stage(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "w")
    use(monkeypatch, InProcess(store.root))
    with (
        Store(store.root).hold("results", plan(recipe, store)[0].key),
        pytest.raises(StoreError, match="is held by process"),
    ):
        runner.run(recipe, store, Kept(), wait=False, executor=RayExecutor())


def test_what_works_need_and_take_is_forecast(recipe: Recipe, branched: Path, tmp_path: Path) -> None:
    """Scores too, once one was measured here: then the longest chain is known before any has ended."""

    def works(store: Store) -> dict[str, Work]:
        changed = load_recipe(branched, ["stages.left.train.learning_rate=0.02"])
        session = Session(changed, store, Reporter(), StopSignal())
        return {str(work): work for work, _ in runner.prepared_course("x", session, plan(changed, store)).lacks}

    before = works(Store(tmp_path / "w"))
    assert before["left on letters"].seconds is None and before["drift of left"].seconds is None
    for work in before.values():
        assert 750 * MIB < work.least <= work.wanted < 3 * GIB, "what a process takes before its first tensor, and more"
    assert before["train left"].least > before["base on letters"].least
    runner.run(recipe, Store(tmp_path / "w"), Reporter())
    after = works(Store(tmp_path / "w"))
    assert set(after) == {"train left", "left on letters", "drift of left"}
    assert all(work.seconds is not None and 0 < work.seconds < 60 for work in after.values())


def test_who_runs_the_stages(recipe: Recipe, branched: Path) -> None:
    several = load_recipe(branched, ["stages.left.train.devices=2"])
    assert chosen_executor(None, None, None, [recipe]) is None
    assert chosen_executor("local", None, None, [recipe]) is None
    assert chosen_executor(None, "h:1", None, [recipe]) == RayExecutor("h:1", None)
    assert chosen_executor(None, None, 3, [recipe]) == RayExecutor(None, 3)
    assert chosen_executor(None, None, None, [recipe, several]) == RayExecutor()
    with pytest.raises(UsageError, match="--executor local takes no --address"):
        chosen_executor("local", "h:1", None, [recipe])
    with pytest.raises(UsageError, match="stage left takes 2 devices"):
        chosen_executor("local", None, None, [several])
    with pytest.raises(UsageError, match="executor 'Ray' is unknown"):  # of Python: the command knows its choices
        chosen_executor("Ray", None, None, [recipe])
    with pytest.raises(UsageError, match="workers: 0 is too few"):
        chosen_executor("ray", None, 0, [recipe])


def test_no_cluster_is_told_before_data_are_read(recipe: Recipe, tmp_path: Path) -> None:
    """Also in a study, where it is no fault of one pipeline; and it hinders nothing that is finished."""
    pytest.importorskip("ray")
    store, nowhere = Store(tmp_path / "w"), RayExecutor("127.0.0.1:1")
    for begin in (
        lambda: runner.run(recipe, store, Kept(), executor=nowhere),
        lambda: run_study(load_study([str(recipe.source)], []), store, Kept(), executor=nowhere),
    ):
        with pytest.raises(UsageError, match="there is no cluster at 127"):
            begin()
        assert not list(store.root.glob("cache/*"))
    runner.run(recipe, store, Kept())
    assert len(runner.run(recipe, store, Kept(), executor=nowhere).results) == 3
