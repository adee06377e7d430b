"""Runs that are killed, interrupted or damaged end with the unbroken run's bits; a second run takes what is there."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from statllama.store import beats
from statllama.store.holder import LostError
from tests.conftest import REPO, stage, write_jsonl
from tests.conftest import preferences as pairs
from tests.running import Recorder, Worker, adapter_bytes, losses, run, verified

torch.set_num_threads(1)
Write = Callable[..., Path]

STAGES = [
    stage("first", lora={"dropout": 0.2}, train={"steps": 8, "schedule": "constant", "warmup": 2}),
    stage("second", "dpo", lora={"r": 3, "dropout": 0.1}, train={"steps": 7, "checkpoint_every": 3}),
]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    one = Worker(tmp_path_factory.mktemp("worker"))
    yield one
    one.close()


@dataclass(frozen=True)
class Unbroken:
    """What a run that nothing disturbs leaves, and how long it takes."""

    adapters: dict[str, tuple[bytes, ...]]
    losses: dict[str, list[float]]
    tokens: dict[str, int]
    seconds: float


def by_name(workspace: Path) -> dict[str, Path]:
    """{stage: its result}, each verified."""
    found = {}
    for key in verified(workspace):
        path = workspace / "results" / key
        found[json.loads((path / "manifest.json").read_text())["name"]] = path
    return found


def outcome(workspace: Path, seconds: float = 0.0) -> Unbroken:
    results = by_name(workspace)
    metrics = {n: json.loads((p / "manifest.json").read_text())["metrics"] for n, p in results.items()}
    return Unbroken(
        {n: adapter_bytes(p) for n, p in results.items()},
        {n: losses(p) for n, p in results.items()},
        {n: m["tokens"] for n, m in metrics.items()},
        seconds,
    )


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> Path:
    """The two-stage recipe, in a folder that lives as long as this file's tests."""
    import yaml

    from tests.conftest import conversations

    folder = tmp_path_factory.mktemp("recipe")
    write_jsonl(folder / "sft.jsonl", conversations(48))
    write_jsonl(folder / "dpo.jsonl", pairs(32))
    base = {"model": str(base_folder), "quantization": "none"}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"name": "two", "base": base, "stages": STAGES}, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def unbroken(recipe: Path, worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    workspace = tmp_path_factory.mktemp("unbroken")
    started = time.monotonic()
    assert worker.wait(worker.start("run", recipe, "--workspace", workspace)) == 0, worker.said()
    found = outcome(workspace, time.monotonic() - started)
    assert set(found.adapters) == {"first", "second"}
    return found


def same(workspace: Path, unbroken: Unbroken) -> None:
    """Adapters bit for bit, every step's loss, and the counted tokens are those of the unbroken run."""
    got = outcome(workspace)
    assert got.adapters == unbroken.adapters
    assert got.losses == unbroken.losses
    assert got.tokens == unbroken.tokens


def test_two_runs_are_bit_identical(recipe: Path, unbroken: Unbroken, tmp_path: Path) -> None:
    """In another process and another workspace."""
    run(recipe, tmp_path)
    same(tmp_path, unbroken)


# ------------------------------------------------------------------ kill -9


def kill_after(worker: Worker, recipe: Path, workspace: Path, seconds: float) -> int:
    """Start a run, kill it after a while; its exit code. Whatever it published is whole."""
    pid = worker.start("run", recipe, "--workspace", workspace)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    code = worker.wait(pid)
    list(verified(workspace))
    return code


def test_kills_at_random_instants(worker: Worker, recipe: Path, unbroken: Unbroken, tmp_path: Path) -> None:
    """Three kills of one run, each while it goes on from the one before."""
    draws = random.Random(2)
    codes = [
        kill_after(worker, recipe, tmp_path, share * unbroken.seconds + draws.uniform(0, 0.3))
        for share in (0.4, 0.35, 0.3)
    ]
    assert codes[0] == -signal.SIGKILL
    assert worker.wait(worker.start("run", recipe, "--workspace", tmp_path)) == 0, worker.said()
    same(tmp_path, unbroken)
    assert not list((tmp_path / "partial").iterdir())


def kill_when(worker: Worker, recipe: Path, workspace: Path, pattern: str) -> None:
    """Start a run and kill it as soon as a file of that name is there."""
    pid = worker.start("run", recipe, "--workspace", workspace)
    deadline = time.monotonic() + 120
    while not list(workspace.glob(pattern)) and time.monotonic() < deadline:
        time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)
    code = worker.wait(pid)
    assert code == -signal.SIGKILL, worker.said()
    list(verified(workspace))


@pytest.mark.parametrize(
    "pattern",
    [
        "partial/results-*/checkpoints/checkpoint-4/optimizer.pt",
        "partial/results-*/out/adapter_model.safetensors",
        "partial/results-*/out/history.json",
    ],
)
def test_kills_at_the_worst_instants(
    pattern: str, worker: Worker, recipe: Path, unbroken: Unbroken, tmp_path: Path
) -> None:
    """While a checkpoint is written, when the adapter is saved, while it is published."""
    kill_when(worker, recipe, tmp_path, pattern)
    assert worker.wait(worker.start("run", recipe, "--workspace", tmp_path)) == 0, worker.said()
    same(tmp_path, unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_twenty_random_instants(seed: int, worker: Worker, recipe: Path, unbroken: Unbroken, tmp_path: Path) -> None:
    kill_after(worker, recipe, tmp_path, random.Random(seed).uniform(0.02, 1.0) * unbroken.seconds)
    assert worker.wait(worker.start("run", recipe, "--workspace", tmp_path)) == 0, worker.said()
    same(tmp_path, unbroken)


# ------------------------------------------------------------------ Ctrl-C and kill


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_leaves_with_130(
    number: signal.Signals, worker: Worker, recipe: Path, unbroken: Unbroken, tmp_path: Path
) -> None:
    """At the next step's end, also between two regular checkpoints; run the same command again to go on."""
    override = "stages.first.train.checkpoint_every=100"  # not in the key: only the signal saves
    paced = {"TEST_PAUSE": "0.2"}  # else a fast machine is done before the signal comes
    pid = worker.start("run", recipe, "--workspace", tmp_path, "--set", override, environment=paced)
    deadline = time.monotonic() + 120
    while "step 1/8" not in worker.said() and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(pid, number)
    assert worker.wait(pid) == 130, worker.said()
    said = worker.said()
    assert "stage first: stopped at step" in said
    assert "of 8; the checkpoint is saved" in said
    assert "Traceback" not in said
    assert len(list(tmp_path.glob("partial/results-*/checkpoints/checkpoint-*/sealed.json"))) == 1
    assert worker.wait(worker.start("run", recipe, "--workspace", tmp_path)) == 0
    assert "resuming from the checkpoint of step" in worker.said()
    same(tmp_path, unbroken)


# ------------------------------------------------------------------ taken over by another host


class TakenOver(Recorder):
    """Lets the lock go over to another process at step 5 of the first stage, as if this one had been cut off."""

    def __init__(self, workspace: Path, notice: bool) -> None:
        super().__init__()
        self.workspace, self.notice = workspace, notice

    def step(self, event: Any) -> None:
        super().step(event)
        if event.step == 5:
            (claim,) = self.workspace.glob("locks/results-*.held/*.json")
            claim.unlink()
            time.sleep(0.5 if self.notice else 0)


@pytest.mark.parametrize("notice", [True, False], ids=["noticed by its beats", "noticed as it saves"])
def test_who_was_taken_over_saves_and_publishes_nothing(
    notice: bool, recipe: Path, unbroken: Unbroken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beats, "EVERY", 0.1 if notice else 100)
    reporter = TakenOver(tmp_path, notice)
    with pytest.raises(LostError, match="has taken over results/"):
        run(recipe, tmp_path, reporter=reporter)
    assert [e.step for e in reporter.steps] == [1, 2, 3, 4, 5] + ([] if notice else [6])
    assert not (tmp_path / "results").exists()
    sealed = tmp_path.glob("partial/results-*/checkpoints/*/sealed.json")
    assert {p.parent.name for p in sealed} == {"checkpoint-2", "checkpoint-4"}
    reporter = StopAt(-1)
    run(recipe, tmp_path, reporter=reporter)
    assert "resuming from the checkpoint of step 4" in reporter.notes
    same(tmp_path, unbroken)
    assert not list((tmp_path / "partial").iterdir())


# ------------------------------------------------------------------ damaged checkpoints


class StopAt(Recorder):
    """Breaks the run off at a step, as a crash would."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.at = step

    def step(self, event: Any) -> None:
        super().step(event)
        if event.step == self.at:
            raise ConnectionError("a crash")


def _truncate(checkpoint: Path) -> None:
    file = checkpoint / "optimizer.pt"
    file.write_bytes(file.read_bytes()[:-100])


def _flip(checkpoint: Path) -> None:
    file = checkpoint / "adapter_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 4
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [_truncate, _flip])
def test_a_damaged_checkpoint_is_passed_over(
    damage: Callable[[Path], None], recipe: Path, unbroken: Unbroken, tmp_path: Path
) -> None:
    with pytest.raises(ConnectionError):
        run(recipe, tmp_path, reporter=StopAt(5))
    (folder,) = tmp_path.glob("partial/results-*/checkpoints")
    assert sorted(p.name for p in folder.iterdir()) == ["checkpoint-2", "checkpoint-4"]
    damage(folder / "checkpoint-4")
    reporter = StopAt(-1)
    run(recipe, tmp_path, reporter=reporter)
    assert "resuming from the checkpoint of step 2" in reporter.notes
    assert [e.step for e in reporter.steps if e.stage == "first"] == [3, 4, 5, 6, 7, 8]
    same(tmp_path, unbroken)


def test_without_a_sound_checkpoint_it_starts_again(recipe: Path, unbroken: Unbroken, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        run(recipe, tmp_path, reporter=StopAt(5))
    for checkpoint in tmp_path.glob("partial/results-*/checkpoints/*"):
        _flip(checkpoint)
    reporter = StopAt(-1)
    run(recipe, tmp_path, reporter=reporter)
    assert not [note for note in reporter.notes if "checkpoint" in note]
    same(tmp_path, unbroken)


def test_a_checkpoint_of_another_key_is_not_taken(recipe: Path, unbroken: Unbroken, tmp_path: Path) -> None:
    """After an edit that changes the key the stage starts anew; the old one still goes on from its own."""
    with pytest.raises(ConnectionError):
        run(recipe, tmp_path, reporter=StopAt(5))
    reporter = StopAt(1)
    with pytest.raises(ConnectionError):
        run(recipe, tmp_path, "stages.first.train.learning_rate=0.001", reporter=reporter)
    assert [e.step for e in reporter.steps] == [1]
    run(recipe, tmp_path)
    same(tmp_path, unbroken)


# ------------------------------------------------------------------ the second run

CACHED = """
import json, sys
from statllama import cli
sys.argv = ["statllama", *sys.argv[1:]]
try:
    cli.main()
except SystemExit as left:
    heavy = {"torch", "transformers", "trl", "peft", "datasets", "lm_eval", "bitsandbytes", "unsloth"}
    print(json.dumps({"code": left.code, "heavy": sorted(heavy & set(sys.modules))}))
"""


def test_a_second_run_is_cached_and_loads_no_torch(
    recipe: Path, worker: Worker, unbroken: Unbroken, tmp_path: Path
) -> None:
    workspace = tmp_path / "w"
    assert worker.wait(worker.start("run", recipe, "--workspace", workspace)) == 0
    before = {p: p.stat().st_mtime_ns for p in (workspace / "results").rglob("*")}
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", CACHED, "run", str(recipe), "--workspace", str(workspace)],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        check=False,
    )
    spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - used.ru_utime
    assert json.loads(done.stdout.splitlines()[-1]) == {"code": 0, "heavy": []}, done
    assert "every stage is trained" in done.stdout
    assert done.stdout.count(": cached (") == 2
    assert spent < 10, "seconds of CPU"
    assert {p: p.stat().st_mtime_ns for p in (workspace / "results").rglob("*")} == before
    same(workspace, unbroken)


def test_a_deleted_result_is_trained_again(recipe: Path, unbroken: Unbroken, tmp_path: Path) -> None:
    """The stage above it stays as it is."""
    results = run(recipe, tmp_path)
    shutil.rmtree(results["first"])
    reporter = Recorder()
    run(recipe, tmp_path, reporter=reporter)
    assert {e.stage for e in reporter.steps} == {"first"}
    same(tmp_path, unbroken)
