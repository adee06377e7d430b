"""A run's state on the disk: written by the run, read by another process, told apart from one that was killed."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from statllama.recipe import load_recipe
from statllama.runs import runner
from statllama.runs.forecast.machine import cpu
from statllama.runs.watch import live
from statllama.runs.watch.gpu import gpu
from statllama.runs.watch.live import LiveRecord, path_of, read_live
from statllama.runs.watch.run_state import POINTS, RunState, StageState
from statllama.store import Store
from statllama.store.leases import working
from tests.conftest import stage

Write = Callable[..., Path]
FIGURES = ("loss", "grad_norm", "learning_rate", "memory_bytes", "tokens_per_second", "rewards/margins")


@pytest.fixture
def notes() -> list[str]:
    return []


def test_a_run_writes_its_state_and_its_end(write_recipe: Write, tmp_path: Path, notes: list[str]) -> None:
    """While it goes on the file says so, with this process alive; afterwards it says that it finished."""
    store, seen = Store(tmp_path / "w"), list[Any]()
    record = LiveRecord(store, notes.append, lambda name: seen.append(read_live(store, name)))
    recipe = load_recipe(write_recipe([stage("a", train={"steps": 2})]))
    runner.run(recipe, store, record)
    assert len(seen) == 1 and seen[0].going and not seen[0].killed and seen[0].holder.pid == os.getpid()
    assert seen[0].state.stages["a"].doing == "waiting" and "core" in seen[0].machine["processor"]
    last = read_live(store, "tiny")
    assert last is not None and last.state == record.state
    assert (last.state.outcome, last.going, last.killed) == ("finished", False, False) and notes == []
    assert list(store.runs()) == ["tiny"]  # the file is no run's record


def test_a_run_that_fails_says_why(write_recipe: Write, tmp_path: Path, notes: list[str]) -> None:
    store = Store(tmp_path / "w")
    recipe = load_recipe(write_recipe([stage("a")], evaluate={"prompts": ["mean " * 700], "prompt_tokens": 1024}))
    with pytest.raises(Exception, match="do not fit"):
        runner.run(recipe, store, LiveRecord(store, notes.append))
    last = read_live(store, "tiny")
    assert last is not None and last.state.outcome == "failed" and "do not fit" in last.state.error


def test_writing_is_seldom_and_small(tmp_path: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A step a millisecond: at most a file each two seconds of the clock. Ten long stages stay below a megabyte."""
    store, writes, now = Store(tmp_path / "w"), list[int](), [100.0]
    record = LiveRecord(store, notes.append)
    record.state = RunState(name="tiny")
    for number in range(10):
        one = record.state.stages[f"s{number}"] = StageState(f"s{number}", "dpo")
        for step in range(3 * POINTS):
            one.series.add(step, dict.fromkeys(FIGURES, step / 7))
    monkeypatch.setattr(live, "write_text", lambda path, parts: writes.append(len(parts[0])))
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    for _ in range(10_000):
        now[0] += 0.001
        record._changed(False)
    assert 4 <= len(writes) <= 6 and max(writes) < 1e6
    record._took = {"tiny": 0.5}  # a slow disk: at most 1 % of the time
    writes.clear()
    for _ in range(10_000):
        now[0] += 0.01
        record._took = {"tiny": 0.5}
        record._changed(False)
    assert len(writes) <= 2


@contextmanager
def file_size_limit(most: int) -> Iterator[None]:
    """A disk that takes no more than so many bytes in a file."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_stops_no_run(tmp_path: Path, notes: list[str]) -> None:
    """One note; the file is the last whole one, and is written again when there is space."""
    store = Store(tmp_path / "w")
    record = LiveRecord(store, notes.append)
    record.state = RunState(name="tiny", started=1.0)
    record._write()
    with file_size_limit(100):
        for _ in range(3):
            record.state.notes.append("x" * 200)
            record._write()
    found = read_live(store, "tiny")
    assert len(notes) == 1 and "goes on" in notes[0] and found is not None and found.state.notes == []
    assert [p.name for p in path_of(store, "tiny").parent.iterdir()] == ["tiny.json"]
    record._write()
    found = read_live(store, "tiny")
    assert found is not None and len(found.state.notes) == 3 and len(notes) == 1


def test_a_folder_in_the_way_stops_no_run(write_recipe: Write, tmp_path: Path, notes: list[str]) -> None:
    store = Store(tmp_path / "w")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "live").write_text("a file")
    runner.run(load_recipe(write_recipe([stage("a", train={"steps": 2})])), store, LiveRecord(store, notes.append))
    assert len(notes) == 1 and len(store.entries("results")) == 1 and read_live(store, "tiny") is None


def test_a_study_tells_of_each_of_its_runs(write_recipe: Write, tmp_path: Path, notes: list[str]) -> None:
    """One recorder, one run after the other: a file for each name, each with a state of its own."""
    store, begun = Store(tmp_path / "w"), list[str]()
    record = LiveRecord(store, notes.append, begun.append)
    for name in ("one", "two"):
        body = write_recipe([stage("a", train={"steps": 2})]).read_text().replace("name: tiny", f"name: {name}")
        (tmp_path / f"{name}.yaml").write_text(body)
        runner.run(load_recipe(tmp_path / f"{name}.yaml"), store, record)
    found = [read_live(store, name) for name in ("one", "two")]
    assert [live_.state.outcome for live_ in found if live_] == ["finished", "finished"] and begun == ["one", "two"]
    assert found[0] and found[1] and found[0].state.started < found[1].state.started and notes == []


def test_a_run_of_a_host_that_is_gone_has_ended(tmp_path: Path, notes: list[str], monkeypatch: Any) -> None:
    """As of a killed container, whose workspace another one goes on with; a live one on another host has its lease."""
    store = Store(tmp_path / "w")
    monkeypatch.setattr("socket.gethostname", lambda: "container-1")
    with working(store):
        record = LiveRecord(store, notes.append)
        record.state = RunState(name="tiny", started=1.0)
        record._write()
        monkeypatch.setattr("socket.gethostname", lambda: "container-2")
        assert (found := read_live(store, "tiny")) is not None and found.going
    assert (found := read_live(store, "tiny")) is not None and found.killed
    second = LiveRecord(store, notes.append)
    second.state = RunState(name="tiny", started=2.0)
    second._write()
    assert (found := read_live(store, "tiny")) is not None and found.state.started == 2.0 and notes == []


OTHER = """
import sys, time
from pathlib import Path
from statllama.runs.watch.live import LiveRecord
from statllama.runs.watch.run_state import RunState
from statllama.store import Store
record = LiveRecord(Store(Path(sys.argv[1])), print)
record.state = RunState(name="tiny", started=1.0)
record._write()
print("written", flush=True)
time.sleep(60)
"""


def test_two_runs_of_one_name_and_one_that_is_killed(tmp_path: Path, notes: list[str]) -> None:
    """The first is shown, the second says so once; the first, killed, is told from a live one, and the second takes
    over.
    """
    store = Store(tmp_path / "w")
    other = subprocess.Popen([sys.executable, "-c", OTHER, str(tmp_path / "w")], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None and other.stdout.readline() == "written\n"
        found = read_live(store, "tiny")
        assert found is not None and found.going and found.holder.pid == other.pid
        record = LiveRecord(store, notes.append)
        record.state = RunState(name="tiny", started=2.0)
        record._write()
        record._write()
        assert len(notes) == 1 and str(other.pid) in notes[0]
        found = read_live(store, "tiny")
        assert found is not None and found.state.started == 1.0
    finally:
        other.kill()
        other.wait()
    found = read_live(store, "tiny")
    assert found is not None and found.killed and not found.going and found.state.outcome == "running"
    record._write()
    found = read_live(store, "tiny")
    assert found is not None and found.going and found.state.started == 2.0


def test_a_run_that_tells_its_end_while_it_is_read_was_not_killed(
    tmp_path: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is read, then the run writes its end and exits, then its process is looked up."""
    record = LiveRecord(Store(tmp_path / "w"), notes.append)
    record.state = RunState(name="tiny")
    record._write()

    def ends(holder: Any) -> bool:
        record.state.outcome = "finished"
        record._write()
        return False

    monkeypatch.setattr(live.Holder, "alive", ends)
    found = read_live(record.store, "tiny")
    assert found is not None and found.state.outcome == "finished" and not found.killed


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "holder": {}, "machine": {}}', "\0"])
def test_a_file_of_another_shape_is_none(tmp_path: Path, text: str) -> None:
    store = Store(tmp_path / "w")
    path_of(store, "tiny").parent.mkdir(parents=True)
    path_of(store, "tiny").write_text(text)
    assert read_live(store, "tiny") is None


def test_a_state_that_is_no_json_stops_no_run(tmp_path: Path, notes: list[str]) -> None:
    record = LiveRecord(Store(tmp_path / "w"), notes.append)
    record.state = RunState(name="tiny", score_seconds={"quiz": float("nan")})
    record._write()
    assert len(notes) == 1


SMI = "#!/bin/sh\necho '{answer}'\n"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            "NVIDIA H200, 143771, 9000, 97, 51, 412.50",
            {"name": "NVIDIA H200", "memory.total": "143771", "memory.used": "9000", "utilization.gpu": "97"},
        ),
        ("NVIDIA H200 MIG 1g.18gb, 18000, 90, [N/A], 51, [Not Supported]", {"memory.used": "90"}),
        ("No devices were found", {}),
        ("", {}),
    ],
)
def test_what_nvidia_smi_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, told: dict[str, str]
) -> None:
    """A tool of that name that answers as the real one does: what it does not tell is left out."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(SMI.format(answer=answer))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = gpu({})
    assert told.items() <= found.items() and not any("[" in value for value in found.values())
    assert bool(found) == bool(told) and gpu({"CUDA_VISIBLE_DEVICES": ""}) == {}


def test_no_gpu_is_told_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu() == {} and "core" in str(cpu())
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nexit 9\n")
    tool.chmod(0o755)
    assert gpu() == {}


def test_the_file_is_json_of_a_bounded_size(tmp_path: Path, notes: list[str]) -> None:
    record = LiveRecord(Store(tmp_path / "w"), notes.append)
    record.state = RunState(name="tiny")
    for number in range(200):
        record.note(f"note {number} \ud800")
    text = path_of(record.store, "tiny").read_text()
    assert len(json.loads(text)["state"]["notes"]) <= 50 and time.time() - record.state.updated < 60
