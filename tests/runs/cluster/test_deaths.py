"""Whatever dies in a run on Ray, the same command goes on, and the end is that of one process, byte for byte.

`pytest -m hammer tests/runs/cluster/test_deaths.py`: some ten minutes. HAMMER_SEED chooses other instants.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.benchmarks_for_tests import choice_task
from tests.conftest import REPO, conversations, stage, write_jsonl
from tests.runs.cluster.workers import published

pytest.importorskip("ray")
pytestmark = pytest.mark.hammer
TRAIN = {"steps": 40, "learning_rate": 1e-2, "checkpoint_every": 5}
MARK = "STATLLAMA_TEST_RUN"  # a variable that Ray's processes inherit from the driver


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> Path:
    """A trunk, two branches, one of which is released, and a stage on both, scored."""
    folder = tmp_path_factory.mktemp("faults")
    write_jsonl(folder / "sft.jsonl", conversations(8))
    choice_task(folder / "eval", "letters", 12)
    body = {
        "name": "faulty",
        "base": {"model": str(base_folder), "quantization": "none"},
        "evaluate": {"tasks": ["letters"], "micro_tokens": 1600},
        "stages": [
            stage("trunk", train=TRAIN),
            stage("left", parents=["trunk"], train={**TRAIN, "seed": 1}),
            stage("right", parents=["trunk"], train={**TRAIN, "seed": 2}),
            stage("top", parents=["left", "right"], train=TRAIN),
        ],
        "release": [{"stage": "left", "forms": ["adapter", "merged=bf16"]}],
    }
    path = folder / "faulty.yaml"
    path.write_text(yaml.safe_dump(body, sort_keys=False))
    return path


def driver(recipe: Path, workspace: Path, mark: str = "", *options: str) -> subprocess.Popen[str]:
    """Start a run on Ray, or with no mark in one process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO), MARK: mark}
    command = [sys.executable, "-m", "statllama", "run", str(recipe), "--workspace", str(workspace)]
    command += ["--set", f"release.0.out={workspace.with_name(f'{workspace.name}-left')}"]
    executor = ["--executor", "ray", "--workers", "2"] if mark else []
    told = subprocess.PIPE
    return subprocess.Popen(
        [*command, *executor, *options], env=environment, stdout=told, stderr=subprocess.STDOUT, text=True
    )


def made(workspace: Path) -> dict[str, Any]:
    """Return what must not depend on what died: what was published, and the release without its card, which tells when
    each stage was trained.
    """
    release = workspace.with_name(f"{workspace.name}-left")
    files = {p.relative_to(release).as_posix(): p for p in release.rglob("*") if p.is_file()}
    timed = ("README.md", "SHA256SUMS")
    return published(workspace) | {name: path.read_bytes() for name, path in files.items() if name not in timed}


def finished(process: subprocess.Popen[str]) -> str:
    """Wait for a run that must succeed; what it printed."""
    told = process.communicate(timeout=300)[0]
    assert process.returncode == 0, told
    return told


def alive(mark: str, *names: str) -> list[int]:
    """Return the processes that carry this mark and have one of these words in their command line."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                marked = f"{MARK}={mark}\0".encode() in (folder / "environ").read_bytes()
                command = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if marked and any(name in command for name in names):
                found.append(int(folder.name))
    return found


@pytest.fixture(scope="module")
def expected(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    workspace = tmp_path_factory.mktemp("alone")
    finished(driver(recipe, workspace))
    return made(workspace)


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[str]:
    """A mark for this test's processes; what is left of them at its end is killed."""
    name = tmp_path.name
    yield name
    for pid in alive(name, "ray", "gcs_server", "raylet", "statllama"):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def instants(count: int, low: float, high: float) -> list[float]:
    """Return so many random moments, in seconds."""
    draw = random.Random(int(os.environ.get("HAMMER_SEED", "0")))
    return [round(draw.uniform(low, high), 2) for _ in range(count)]


def test_workers_killed_at_random_instants(recipe: Path, expected: dict[str, Any], tmp_path: Path, mark: str) -> None:
    """Twenty deaths over some runs: each run goes on by itself, unless one work killed three workers."""
    waits, deaths, runs = iter(instants(1000, 0.3, 6.0)), 0, 0
    while deaths < 20:
        runs += 1
        workspace, process = tmp_path / f"w{runs}", driver(recipe, tmp_path / f"w{runs}", mark)
        killed = 0
        while process.poll() is None and killed < 2:  # the third death of one work is taken for its fault
            time.sleep(next(waits))
            if workers := alive(mark, "ray::Slot"):
                os.kill(random.Random(runs).choice(workers), signal.SIGKILL)
                killed += 1
        finished(process)
        deaths += killed
        assert made(workspace) == expected, f"run {runs} after {killed} deaths"
        assert not list((workspace / "partial").iterdir()), "nothing is left half-published"
    print(f"{deaths} workers killed in {runs} runs")


@pytest.mark.parametrize("who", ["driver", "head", "everything"])
def test_what_holds_all_together_is_killed(
    recipe: Path, expected: dict[str, Any], tmp_path: Path, mark: str, who: str
) -> None:
    workspace = tmp_path / "w"
    names = {"driver": (), "head": ("gcs_server",), "everything": ("ray", "raylet", "gcs_server", "statllama")}[who]
    for number, wait in enumerate(instants(4, 0.5, 12.0)):
        process = driver(recipe, workspace, mark)
        deadline = time.monotonic() + 60
        while not alive(mark, "ray::Slot") and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(wait)
        victims = alive(mark, *names) if names else [process.pid]
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        told = process.communicate(timeout=120)[0]
        if who == "head" and process.returncode != 0:
            assert process.returncode == 1 and "run the same command again" in told, told
            assert "Traceback" not in told
        deadline = time.monotonic() + 90
        while (left := alive(mark, "ray::Slot")) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not left, f"workers outlive their {who} (round {number})"
    finished(driver(recipe, workspace, mark))
    assert made(workspace) == expected
    assert not list((workspace / "partial").iterdir())


def test_ctrl_c_saves_everywhere(recipe: Path, expected: dict[str, Any], tmp_path: Path, mark: str) -> None:
    workspace = tmp_path / "w"
    for wait in instants(3, 1.0, 8.0):
        process = driver(recipe, workspace, mark)
        deadline = time.monotonic() + 60
        while not alive(mark, "ray::Slot") and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(wait)
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=60)[0]
        assert process.returncode in (0, 130), told
        if process.returncode == 130:
            assert "go on: statllama run" in told, told
    finished(driver(recipe, workspace, mark))
    assert made(workspace) == expected
