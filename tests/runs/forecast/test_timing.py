"""The time of a run: what is forecast is counted as it happens, learned from, and checked; on this machine alone."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from statllama.data.work import Work
from statllama.errors import StoreError
from statllama.recipe import load_recipe
from statllama.runs.forecast import samples
from statllama.runs.forecast.calibrate import calibrate
from statllama.runs.forecast.machine import Machine
from statllama.runs.forecast.outlook import outlook
from statllama.runs.house.clearing import stock_of, sweep
from statllama.runs.plan import plan
from statllama.runs.reporting import Reporter
from statllama.runs.session import Session
from statllama.runs.signals import StopSignal
from statllama.store import Store
from statllama.store.files import read_json, write_json
from tests.benchmarks_for_tests import choice_task, reply_task
from tests.conftest import stage, write_jsonl
from tests.running import Worker, run, statllama
from tests.train.test_step import unequal

torch.set_num_threads(1)
Write = Callable[..., Path]
TRAIN = {"steps": None, "epochs": 1.0, "batch_size": 4, "micro_tokens": 300, "max_length": 160}


def opened(path: Path, workspace: Path, *overrides: str) -> tuple[Session, Any]:
    """A session as `plan` opens it, and the plan."""
    recipe, store = load_recipe(path, overrides), Store(workspace)
    stages = plan(recipe, store)
    return Session(recipe, store, Reporter(), StopSignal(), base=stages[0].material["base"]), stages


def manifest_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "manifest.json").read_text()))


@pytest.fixture
def recipe(write_recipe: Write, tmp_path: Path) -> Path:
    """Two stages, and a benchmark of each kind."""
    choice_task(tmp_path / "eval", "letters", 12)
    reply_task(tmp_path / "eval", "replies", 8)
    tasks = {"tasks": ["letters", "replies"], "max_length": 256}
    return write_recipe([stage("one", train={"steps": 3}), stage("two", "dpo", train={"steps": 3})], evaluate=tasks)


# ------------------------------------------------------------------ what is expected happens


@pytest.mark.parametrize(("kind", "epochs"), [("cpt", 1), ("sft", 3), ("dpo", 1), ("dpo", 2), ("kto", 1), ("kto", 2)])
def test_a_stage_computes_what_was_expected(kind: str, epochs: int, write_recipe: Write, tmp_path: Path) -> None:
    """All logits; tokens and pairs but for the order of the rows, which decides which of them share a pass."""
    path = write_recipe([stage("one", kind, train=TRAIN | {"epochs": float(epochs)})])
    unequal(kind, tmp_path, rows=22)
    session, stages = opened(path, tmp_path / "w")
    made = session.timing.stage_work(stages[0].spec)["usual"]
    work = manifest_of(run(path, tmp_path / "w")["one"])["metrics"]["work"]
    trained, read = Work.from_json(work["trained"]), Work.from_json(work["read"])
    assert made.trained.logits == pytest.approx(trained.logits, rel=0.01)
    for ours, theirs in ((made.trained, trained), (made.read, read)):
        assert ours.tokens == pytest.approx(theirs.tokens, rel=0.12)
        assert ours.passes == pytest.approx(theirs.passes, rel=0.2, abs=1)
        assert ours.pairs == pytest.approx(theirs.pairs, rel=0.2)
    assert bool(read.tokens) == (kind in ("dpo", "kto"))
    assert work["started_seconds"] > 0 and not work["recomputes"]


@pytest.mark.parametrize(("kind", "on"), [("sft", "replay"), ("dpo", "own")])
def test_replay_and_anchor_are_counted(kind: str, on: str, write_recipe: Write, tmp_path: Path) -> None:
    """Trained on, and read once more by the parent: as much as the run counts."""
    source = {"path": "cpt.jsonl", "format": "text"}
    sides = {"replay": {"data": [source], "share": 0.5, "train_on": "all"}, "anchor": {"on": on, "coefficient": 1.0}}
    path = write_recipe([{**stage("one", kind, train=TRAIN | {"epochs": 1.0}), **sides}])
    unequal(kind, tmp_path, rows=22)
    unequal("cpt", tmp_path, rows=9)
    session, stages = opened(path, tmp_path / "w")
    made = session.timing.stage_work(stages[0].spec)["usual"]
    work = manifest_of(run(path, tmp_path / "w")["one"])["metrics"]["work"]
    for ours, theirs in ((made.trained, work["trained"]), (made.read, work["read"])):
        assert ours.tokens == pytest.approx(theirs["tokens"], rel=0.15)
        assert ours.passes == pytest.approx(theirs["passes"], rel=0.25)
        assert ours.logits == pytest.approx(theirs["logits"], rel=0.15)


def test_the_steps_before_a_kept_state_take_no_time(write_recipe: Write, tmp_path: Path) -> None:
    """Of 9 steps 3 are done: two thirds of the work are left, and what starts a stage is left whole."""
    path = write_recipe([stage("one", train={"steps": 3, "schedule": "constant", "keep_state": True})])
    run(path, tmp_path / "w")
    session, (ahead,) = opened(path, tmp_path / "w", "stages.one.train.steps=9")
    assert ahead.begins is not None and ahead.begins.step == 3 and ahead.begins.total == 9
    work = session.timing.stage_work(ahead.spec)["usual"]
    left = work.after(3)
    assert (left.steps, work.steps) == (6, 9)
    assert left.trained.tokens == pytest.approx(work.trained.tokens * 6 / 9)
    shown, whole = session.timing.run_seconds([ahead])["train", "one"], session.timing.training(ahead.spec, ())
    assert whole is not None and 0 < shown.usual < whole.usual
    assert shown == session.timing.training(ahead.spec, (), 3)


def test_generation_lies_within_its_range(write_recipe: Write, tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "grpo.jsonl", [{"prompt": f"{'what is ' * (i % 4 + 1)}{i}", "answer": "7"} for i in range(9)]
    )
    train = TRAIN | {"steps": 3, "epochs": None, "batch_size": 8}
    rewards = [{"name": "length", "target": 4, "unit": "words"}]
    more = {"generations": 4, "max_completion_length": 24, "rewards": rewards, "beta": 0.1}
    path = write_recipe([stage("one", "grpo", train=train, **more)])
    session, stages = opened(path, tmp_path / "w")
    made = session.timing.stage_work(stages[0].spec)
    work = manifest_of(run(path, tmp_path / "w")["one"])["metrics"]["work"]
    trained, read = Work.from_json(work["trained"]), Work.from_json(work["read"])
    assert made["low"].trained.tokens <= trained.tokens * 1.1
    assert trained.tokens <= made["high"].trained.tokens * 1.05
    assert 0 < read.decoded <= made["high"].read.decoded and read.tokens <= made["high"].read.tokens * 1.05


def test_scores_compute_what_was_counted(recipe: Path, tmp_path: Path) -> None:
    """Choices exactly; replies within the range of their lengths. Drift exactly."""
    session, _stages = opened(recipe, tmp_path / "w")
    made = {task: session.timing.counted(task) for task in ("letters", "replies")}
    again = opened(recipe, tmp_path / "w")[0].timing
    again._count = None  # type: ignore[method-assign, assignment]  # what was counted is remembered
    assert again.counted("letters") == made["letters"]
    run(recipe, tmp_path / "w")
    found = {"letters": 0, "replies": 0}
    for entry in Store(tmp_path / "w").entries("scores"):
        if entry.manifest["kind"] == "drift":
            assert entry.manifest["seconds"] > 0 and entry.manifest["read"]["passes"] > 0
            continue
        task, spent = entry.manifest["score"]["task"], entry.manifest["spent"]
        found[task] += 1
        read = Work.from_json(spent["read"])
        assert spent["asked"] == spent["requests"] == made[task]["usual"][1]
        if task == "letters":
            assert read == made[task]["usual"][0]
        else:
            low, high = (made[task][end][0] for end in ("low", "high"))
            assert low.passes == read.passes and read.tokens <= high.tokens and read.decoded <= high.decoded
    assert found == {"letters": 3, "replies": 3}


# ------------------------------------------------------------------ it is learned from


def test_plan_learns_from_manifests_and_shows_forecast_beside_actual(recipe: Path, tmp_path: Path) -> None:
    session, stages = opened(recipe, tmp_path / "w")
    before = outlook(session.timing, stages)
    assert list(before.parts) == [
        ("score", "base"), ("train", "one"), ("drift", "one"), ("score", "one"), ("train", "two"), ("drift", "two"),
        ("score", "two"),
    ]  # fmt: skip
    assert all("not measured" in made.basis for made in before.parts.values()) and not before.taken
    total = before.total
    assert total is not None and total.usual == pytest.approx(sum(made.usual for made in before.parts.values()))
    results = run(recipe, tmp_path / "w")
    one, two = (manifest_of(results[name]) for name in ("one", "two"))
    assert "not measured" in one["forecast"]["seconds"]["basis"]
    assert two["forecast"]["seconds"]["basis"] == "1 other stage here"
    session, stages = opened(recipe, tmp_path / "w", "stages.two.beta=0.2")
    after = outlook(session.timing, stages)
    assert list(after.parts) == [("train", "two"), ("drift", "two"), ("score", "two")]
    made = after.training("two")
    assert made is not None and made.basis == "1 dpo stage here"
    assert made.error == pytest.approx(abs(two["forecast"]["seconds"]["usual"] / two["metrics"]["seconds"] - 1))
    taken = after.taken["one"]
    assert taken.seconds == one["metrics"]["seconds"] and taken.forecast is not None
    assert taken.error == pytest.approx(taken.forecast.usual / taken.seconds - 1)


def test_forecast_stands_beside_actual_everywhere(recipe: Path, tmp_path: Path) -> None:
    """In the manifest memory, time and disk; in `statllama.plan`, and on the report's page."""
    import statllama as front
    from statllama.report.collect import collect
    from statllama.report.tables import stages as table
    from statllama.runs.targets import find_subject

    fresh = front.plan(recipe, tmp_path / "w").rows()[0]
    assert fresh["took"] is None and fresh["seconds_low"] < fresh["seconds"] < fresh["seconds_high"]
    result = run(recipe, tmp_path / "w")["one"]
    manifest = manifest_of(result)
    assert manifest["forecast"].keys() == {"seconds", "memory", "disk"}
    size = manifest["files"]["adapter_model.safetensors"]["bytes"]
    assert manifest["forecast"]["disk"]["usual"] == pytest.approx(size, rel=1.0, abs=70_000)
    planned = front.plan(recipe, tmp_path / "w")
    assert planned.time.taken["one"].machine == planned.time.machine
    row = planned.rows()[0]
    assert row["took"] == manifest["metrics"]["seconds"] == planned.time.taken["one"].seconds
    assert row["seconds"] == manifest["forecast"]["seconds"]["usual"]
    assert row["seconds_from"] == manifest["forecast"]["seconds"]["basis"]
    store = Store(tmp_path / "w")
    shown = table(collect(find_subject(str(recipe), store), store).stages)
    names = [str(column) for column in shown.columns]
    assert names[names.index("time forecast") + 1] == "time"
    assert names[names.index("memory forecast") + 1] == "memory"


def test_another_machines_figures_are_not_used(recipe: Path, tmp_path: Path) -> None:
    """Nor those of another compute type or backend, nor of a base whose files differ."""
    run(recipe, tmp_path / "w")
    session, stages = opened(recipe, tmp_path / "w", "stages.two.beta=0.2")
    timing = session.timing
    place = timing.place("auto")
    assert {one.kind for one in samples.recorded(timing.store, place)} == {
        "sft", "dpo", "score:letters", "score:replies", "drift",
    }  # fmt: skip
    files = [entry.path / "manifest.json" for kind in ("results", "scores") for entry in timing.store.entries(kind)]  # type: ignore[arg-type]
    kept = {file: read_json(file) for file in files}
    changes: list[dict[str, Any]] = [
        {"machine": {**place.machine.as_json(), "device": "another"}},
        {"machine": None},
        {"dtype": "bfloat16"},
        {"backend": "unsloth"},
    ]
    for change in changes:
        for file, manifest in kept.items():
            write_json(file, {**manifest, **change})
        assert samples.recorded(timing.store, place) == []
    other = Machine("NVIDIA GeForce RTX 4090", None, None)
    timing.machine = other
    made = timing.run_seconds(stages)["train", "two"]
    assert made.basis == "the datasheet's peak, not measured" and made.high > 5 * made.low
    timing.machine = Machine("a card of 12 GiB", None, None)
    assert ("train", "two") not in timing.run_seconds(stages)
    assert outlook(timing, stages).unknown == ("two",)


# ------------------------------------------------------------------ calibration


def test_calibration_is_remembered_and_used(recipe: Path, tmp_path: Path) -> None:
    session, stages = opened(recipe, tmp_path / "w")
    with StopSignal() as stop:
        found = calibrate(session.timing, stages, stop)
    assert {one.kind for one in found} == {"sft", "dpo", "score:letters", "score:replies", "drift"}
    assert all(one.seconds > 0 and one.cost.operations > 0 for one in found)
    for kind in ("sft", "dpo"):
        steps = [one for one in found if one.kind == kind]
        assert sum(one.cost.starts for one in steps) == 2, "two sizes"
        assert len({round(one.cost.tokens) for one in steps}) > 1
    store = Store(tmp_path / "w")
    assert samples.remembered(store, session.timing.place("auto")) == found
    assert store.entries("results") == [] and store.entries("scores") == []
    assert not list((tmp_path / "w" / "partial").iterdir())
    session, stages = opened(recipe, tmp_path / "w")
    parts = session.timing.run_seconds(stages)
    assert {made.basis for made in parts.values()} == {"calibrated here"}
    results = run(recipe, tmp_path / "w")
    seconds = manifest_of(results["two"])["metrics"]["seconds"]
    assert seconds / 3 < parts["train", "two"].usual < 3 * seconds, "on a busy machine, for stages of a second"


def test_the_command(recipe: Path, tmp_path: Path) -> None:
    said = statllama("plan", recipe, "--workspace", tmp_path / "w", cwd=tmp_path)
    assert said.returncode == 0 and "--calibrate" in said.stdout and "of the CPU's peak" in said.stdout
    said = statllama("plan", recipe, "--workspace", tmp_path / "w", "--calibrate", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "calibrating sft stages" in said.stdout and "calibrated here" in said.stdout
    assert "of the CPU's peak" not in said.stdout
    run(recipe, tmp_path / "w")
    said = statllama("plan", recipe, "--workspace", tmp_path / "w", cwd=tmp_path)
    assert "took" in said.stdout and "off by" in said.stdout
    assert "what is trained, on" not in said.stdout
    named = statllama("plan", recipe, "--workspace", tmp_path / "w", "--on", "RTX 4090", cwd=tmp_path)
    assert "On RTX 4090; what is trained, on " in named.stdout, "no time of this machine passes for the card's"


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    worker = Worker(tmp_path_factory.mktemp("worker"))
    yield worker
    worker.close()


def test_a_kill_leaves_nothing_half_written(recipe: Path, tmp_path: Path, worker: Worker) -> None:
    """Killed within a step: the workspace holds no result, and what it remembers is whole; the next run tidies up."""
    workspace = tmp_path / "w"
    command = ("plan", recipe, "--workspace", workspace, "--calibrate")
    pid = worker.start(*command, environment={"TEST_PAUSE": "0.5"})
    deadline = time.monotonic() + 60
    while not list(workspace.glob("partial/scratch-*/")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    assert worker.wait(pid) == -signal.SIGKILL
    assert list(workspace.glob("partial/scratch-*/")), "it was killed within a stage"
    assert not list(workspace.glob("results/*")) and not list(workspace.glob("scores/*"))
    assert (workspace / "memory.json").exists() is False or isinstance(read_json(workspace / "memory.json"), dict)
    session, stages = opened(recipe, workspace)
    assert "not measured" in session.timing.run_seconds(stages)["train", "one"].basis
    run(recipe, workspace)
    assert not list(workspace.glob("partial/*"))


def test_an_interrupt_keeps_what_was_measured(recipe: Path, tmp_path: Path, worker: Worker) -> None:
    """SIGINT ends it after the step with exit code 130, and leaves no folder behind."""
    workspace = tmp_path / "w"
    pid = worker.start("plan", recipe, "--workspace", workspace, "--calibrate", environment={"TEST_PAUSE": "0.5"})
    deadline = time.monotonic() + 60
    while not list(workspace.glob("partial/scratch-*/")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    with pytest.raises(StoreError, match="may need anything that is here"):  # its data and checkpoints among them
        sweep(Store(workspace), {item.place for item in stock_of(Store(workspace))[0].orphans})
    os.kill(pid, signal.SIGINT)
    assert worker.wait(pid) == 130, worker.said()
    assert "Traceback" not in worker.said()
    assert not list(workspace.glob("partial/*"))
