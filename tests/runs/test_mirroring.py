"""A run with a mirror: what another machine published is taken from there, and what is new goes there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch

import statllama as package
from statllama.evaluation.suite import Suite
from statllama.runs.plan import plan
from statllama.store import Store
from statllama.train import training
from tests.running import adapter_bytes, recipe_of, statllama, verified

torch.set_num_threads(1)
URL = "memory://bucket/lab"


@pytest.fixture(autouse=True)
def bucket() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing is trained and no benchmark is asked."""

    def never(*args: Any, **options: Any) -> None:
        raise AssertionError("this was to come from the mirror")

    monkeypatch.setattr(training, "run", never)
    monkeypatch.setattr(Suite, "score", never)
    return monkeypatch


def test_a_run_on_a_second_machine_takes_all_from_the_mirror(
    trained_once: Path, tmp_path: Path, bucket: Any, idle: pytest.MonkeyPatch
) -> None:
    """A workspace whose results are all there pushes them; a second one trains, scores and measures nothing."""
    recipe, here, there = trained_once / "recipe.yaml", trained_once / "w", tmp_path / "there"
    said = statllama("run", recipe, "--workspace", here, "--mirror", URL, cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "2 results and 2 scores pushed" in said.stdout + said.stderr
    pushed = sorted(bucket.find("/bucket/lab"))
    ahead = statllama("plan", recipe, "--workspace", tmp_path / "plan", "--mirror", URL, cwd=tmp_path)
    assert ahead.returncode == 0, ahead.stderr
    assert ahead.stdout.count("in the mirror") == 2 and "0 of 2 stages would run" in ahead.stdout
    assert list(verified(tmp_path / "plan")) == []
    idle.setattr("statllama.evaluation.drift.drift", None)
    told = statllama("run", recipe, "--workspace", there, "--mirror", URL, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert sorted(bucket.find("/bucket/lab")) == pushed and "2 results and 2 scores fetched" in told.stdout
    idle.setattr("statllama.runs.cluster.fill.RayExecutor._cluster", None)  # a cluster would have nothing to do
    spread = ("run", recipe, "--workspace", tmp_path / "spread", "--mirror", URL, "--executor", "ray")
    assert (ray := statllama(*spread, cwd=tmp_path)).returncode == 0, ray.stderr
    assert list(verified(tmp_path / "spread")) == list(verified(there))
    study = statllama("study", recipe, "--workspace", tmp_path / "study", "--mirror", URL, cwd=tmp_path)
    assert study.returncode == 0, study.stderr
    assert list(verified(tmp_path / "study")) == list(verified(there)) and sorted(bucket.find("/bucket/lab")) == pushed
    assert list(verified(there)) == list(verified(here)) and len(list(verified(there))) == 2
    for key in verified(there):
        assert adapter_bytes(there / "results" / key) == adapter_bytes(here / "results" / key)
        assert (there / "results" / key / "manifest.json").read_bytes() == (
            here / "results" / key / "manifest.json"
        ).read_bytes()


def test_a_stage_that_is_damaged_there_is_trained_and_replaced(trained_once: Path, tmp_path: Path, bucket: Any) -> None:
    recipe, here = trained_once / "recipe.yaml", trained_once / "w"
    package.run(recipe, here, mirror=URL)
    key = plan(recipe_of(recipe), Store(here))[1].key
    (name,) = (n for n in bucket.find(f"/bucket/lab/results/{key}") if n.endswith("adapter_model.safetensors"))
    sound = bucket.cat_file(name)
    bucket.pipe_file(name, sound[:-9])
    said = statllama("run", recipe, "--workspace", tmp_path / "w", "--mirror", URL, cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "of the mirror is damaged" in said.stdout + said.stderr
    assert bucket.cat_file(name) == sound  # training again gives the same bytes on a CPU
    assert adapter_bytes(tmp_path / "w" / "results" / key) == adapter_bytes(here / "results" / key)


def test_scores_come_from_the_mirror_too(trained_once: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    recipe, here, there = trained_once / "recipe.yaml", tmp_path / "here", tmp_path / "there"
    for workspace in (here, there):
        shutil.copytree(trained_once / "w", workspace)
    mine = package.evaluate(recipe, here, tasks="letters", mirror=URL)
    request.getfixturevalue("idle")
    theirs = package.evaluate(recipe, there, tasks="letters", mirror=URL)
    assert theirs.scorecard.to_json() == mine.scorecard.to_json()


def test_a_wrong_mirror_is_told_before_a_workspace_is_made(
    trained_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = trained_once / "recipe.yaml"
    for command in ("run", "study", "plan"):
        said = statllama(command, recipe, "--workspace", tmp_path / "w", "--mirror", "s3://me:hush@b/x", cwd=tmp_path)
        assert said.returncode == 2 and "a password" in said.stderr and "hush" not in said.stderr + said.stdout
    inside = f"file://{tmp_path}/link/results"
    (tmp_path / "link").symlink_to(tmp_path / "w")
    said = statllama("run", recipe, "--workspace", tmp_path / "w", "--mirror", inside, cwd=tmp_path)
    assert said.returncode == 2 and "lies in the workspace" in said.stderr
    monkeypatch.setenv("STATLLAMA_MIRROR", f"file://{recipe}/x")  # a folder in a file
    said = statllama("run", recipe, "--workspace", tmp_path / "w", cwd=tmp_path)
    assert said.returncode == 1 and "cannot be used" in said.stderr and "->" in said.stderr
    assert not (tmp_path / "w").exists()
    said = statllama("run", recipe, "--workspace", "s3://bucket/w", "--mirror", "", cwd=tmp_path)
    assert said.returncode == 2 and "--mirror s3://bucket/w" in said.stderr
