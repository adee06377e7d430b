"""Trackers, really installed: what they kept of a stage is what the stage logged, and nothing left this machine."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from statllama.errors import TrainingError
from statllama.train import trackers
from tests.conftest import stage
from tests.running import Recorder, run, statllama

Write = Callable[..., Path]


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Addresses that something connected to or looked up. No test here may reach any."""
    found: list[Any] = []

    def connect(self: socket.socket, address: Any) -> None:
        found.append(address)
        raise OSError("no network in this test")

    def look_up(host: Any, *_: Any, **__: Any) -> Any:
        found.append(host)
        raise socket.gaierror("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    return found


def history(result: Path) -> list[dict[str, float]]:
    found: list[dict[str, float]] = json.loads((result / "history.json").read_text())
    return found


def test_tensorboard_has_every_step(write_recipe: Write, tmp_path: Path, reached: list[Any]) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recorder = Recorder()
    path = write_recipe([stage("one"), stage("two")], report_to=["tensorboard"])
    results = run(path, tmp_path / "my w", reporter=recorder)
    for name, result in results.items():
        events = EventAccumulator(str(tmp_path / "my w" / "trackers" / "tiny" / name)).Reload()
        for key in ("loss", "grad_norm", "learning_rate"):
            logged = {event.step: event.value for event in events.Scalars(f"train/{key}")}
            assert logged == {int(e["step"]): pytest.approx(e[key], rel=1e-6) for e in history(result)}
        assert len(logged) == 6
    assert f"tensorboard: look with `tensorboard --logdir '{tmp_path}/my w/trackers'`" in recorder.notes
    assert not reached


def test_trackio_has_every_step(
    write_recipe: Write, tmp_path: Path, reached: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its local database, under the project's name."""
    pytest.importorskip("trackio")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    for module in ("trackio.utils", "trackio.sqlite_storage"):  # it reads the variable once, at its first import
        __import__(module)
        monkeypatch.setattr(f"{module}.TRACKIO_DIR", tmp_path / "trackio")
    recorder = Recorder()
    result = run(write_recipe([stage("one")], report_to=["trackio"]), tmp_path / "w", reporter=recorder)["one"]
    with sqlite3.connect(tmp_path / "trackio" / "statllama.db") as database:
        rows = database.execute("SELECT run_name, metrics FROM metrics ORDER BY id").fetchall()
    logged = [body for name, text in rows if name == "tiny/one" and "train/loss" in (body := json.loads(text))]
    assert [body["train/global_step"] for body in logged] == [e["step"] for e in history(result)] == [1, 2, 3, 4, 5, 6]
    for key in ("loss", "grad_norm", "learning_rate"):
        assert [body[f"train/{key}"] for body in logged] == [e[key] for e in history(result)]
    assert "trackio: look with `trackio show --project statllama`" in recorder.notes
    assert not reached


def test_a_missing_tracker_is_an_error_before_anything_is_loaded(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    for tracker, package in (
        ("tensorboard", "'statllama[trackers]'"),
        ("trackio", "'statllama[trackers]'"),
        ("wandb",) * 2,
    ):
        path = write_recipe([stage("one")], report_to=[tracker])
        said = statllama("run", path, "--workspace", tmp_path / "w", cwd=tmp_path)
        assert said.returncode == 1 and "loading" not in said.stdout + said.stderr
        assert f"report_to names {tracker}, which is not installed" in said.stderr
        assert f"pip install {package}, or remove it: --set report_to=[]" in said.stderr
    assert not (tmp_path / "w" / "results").exists() or not any((tmp_path / "w" / "results").iterdir())


def test_a_folder_of_runs_is_no_installed_tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """wandb keeps its runs in ./wandb, which Python takes for a package without code."""
    if find_spec("wandb") is not None:
        pytest.skip("wandb is installed")
    (tmp_path / "wandb").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(TrainingError, match="wandb, which is not installed"):
        trackers.require_trackers(["wandb"])
