"""status, rm, gc, export --bundle and import as commands: what they say and ask, and beside a run that goes on."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from statllama.recipe import load_recipe
from statllama.runs.house.clearing import at_work
from statllama.runs.reporting import Reporter
from statllama.runs.runner import run
from statllama.store import Store
from statllama.store.leases import leases, working
from tests.conftest import REPO, stage
from tests.running import Said, statllama

SHORT = {"steps": 2}
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> Path:
    """A folder with `recipe.yaml`, whose stages `a` and `b` ran with two learning rates of `b`, and a benchmark."""
    import yaml

    from tests.benchmarks_for_tests import choice_task
    from tests.conftest import conversations, preferences, write_jsonl

    folder = tmp_path_factory.mktemp("house")
    write_jsonl(folder / "sft.jsonl", conversations(24))
    write_jsonl(folder / "dpo.jsonl", preferences(16))
    choice_task(folder / "eval", "letters", 8)
    stages = [stage("a", train=SHORT), stage("b", "dpo", train=SHORT)]
    base = {"model": str(base_folder), "quantization": "none"}
    body = {"name": "tiny", "base": base, "stages": stages, "evaluate": {"tasks": ["letters"], "max_length": 128}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(body, sort_keys=False))
    for rate in (1e-2, 2e-2):
        recipe = load_recipe(folder / "recipe.yaml", [f"stages.b.train.learning_rate={rate}"])
        run(recipe, Store(folder / "w"), Reporter())
    return folder


@pytest.fixture
def here(ran: Path, tmp_path: Path) -> Path:
    shutil.copytree(ran / "w", tmp_path / "w")
    return tmp_path


def call(folder: Path, *arguments: str | Path) -> Said:
    return statllama(*arguments, "--workspace", folder / "w", cwd=folder)


def test_every_command_takes_an_earlier_run(ran: Path, here: Path) -> None:
    for arguments in (
        ("compare", "tiny", "tiny@1"),
        ("compare", "tiny@1:a", "tiny@1:b"),
        ("report", "tiny@1", "--out", "r.html"),
        ("eval", "tiny@1", "--stage", "b"),
        ("attribute", "tiny@1"),
        ("dial", "tiny@1", "--stage", "b", "--grid", "0,1"),
        ("status", "tiny@1"),
        ("show", "tiny@1"),
        ("rm", "tiny@1", "--dry-run"),
        ("export", "tiny@1", "--out", "release", "--adapter"),
        ("export", "tiny@1", "--bundle", "old"),
    ):
        said = call(here, *arguments)
        assert said.returncode == 0, (arguments, said.stdout, said.stderr)
        assert "Traceback" not in said.stderr
    assert (here / "r.html").read_text().count("tiny@1")
    assert "learning_rate: 0.01" in call(here, "show", "tiny@1").stdout
    assert "learning_rate: 0.02" in call(here, "show", "tiny").stdout
    said = call(here, "compare", "tiny", "tiny@2")
    assert said.returncode == 2 and "did you mean 'tiny@1'" in said.stderr

    import statllama as api

    assert api.compare(["tiny", "tiny@1"], here / "w").rows()[0]["model"] == "tiny@1"


def test_status_says_whose_bytes_they_are(here: Path) -> None:
    said = call(here, "status").stdout
    store = Store(here / "w")
    assert re.search(r"tiny +20\S+ +[\d.]+ KiB +[\d.]+ KiB", said)
    assert re.search(r"tiny@1 +20\S+ +[\d.]+ KiB +[\d.]+ KiB", said)
    assert "no run uses" not in said
    store.remove_run("tiny@1")
    said = call(here, "status").stdout
    assert re.search(r"no run uses \d items, [\d.]+ KiB; `statllama gc` deletes them:", said)
    assert re.search(r"KiB +adapter b of tiny +results/[0-9a-f]{12}\n", said)
    only = call(here, "status", "tiny").stdout
    assert "tiny@1" not in only and "recipe.yaml" in only
    assert call(here, "status", "tny").returncode == 2


def test_status_fits_a_narrow_terminal(here: Path) -> None:
    """In a real terminal of 80 columns."""
    Store(here / "w").remove_run("tiny@1")
    said = in_terminal(here, "status", columns=80)[1]
    assert "adapter b of tiny" in said
    assert max(len(line.rstrip()) for line in said.splitlines()) <= 80


def in_terminal(folder: Path, *arguments: str, answer: bytes = b"", columns: int = 100) -> tuple[int, str]:
    """A command in a terminal of its own; its exit code and what it showed."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "statllama", *arguments, "--workspace", "w"],
        cwd=folder, stdin=follower, stdout=follower, stderr=follower, close_fds=True,
        env={**os.environ, "PYTHONPATH": str(REPO), "COLUMNS": str(columns), "TERM": "dumb"},
    )  # fmt: skip
    os.close(follower)
    shown, asked, deadline = b"", False, time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([leader], [], [], 0.1)[0]:
            try:
                shown += os.read(leader, 10_000)
            except OSError:
                break
        if answer and not asked and b"[y/N]" in shown:
            os.write(leader, answer)
            asked = True
    code = process.wait(10)
    os.close(leader)
    return code, re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r", "")


def test_rm_asks_in_a_terminal_and_wants_yes_elsewhere(here: Path) -> None:
    before = sorted(p for p in (here / "w").rglob("*") if "locks" not in p.parts)
    said = call(here, "rm", "tiny@1")
    assert said.returncode == 2 and "-> agree beforehand: statllama rm tiny@1 --yes" in said.stderr
    assert call(here, "rm", "tiny@1", "--dry-run").returncode == 0
    code, shown = in_terminal(here, "rm", "tiny@1", answer=b"\n")
    assert code == 0 and "remove it? [y/N]" in shown and "nothing was removed" in shown
    assert sorted(p for p in (here / "w").rglob("*") if "locks" not in p.parts) == before
    code, shown = in_terminal(here, "rm", "tiny@1", answer=b"y\n")
    assert code == 0 and re.search(r"deleted: \d+ items", shown), shown
    assert set(Store(here / "w").runs()) == {"tiny"}
    assert call(here, "compare", "tiny:a", "tiny:b").returncode == 0
    said = call(here, "rm", "tiny", "--yes")
    assert said.returncode == 0, said.stderr
    assert not [p for p in (here / "w").rglob("*") if p.is_file() and p.name not in ("memory.json", "gate.lock")]
    assert "holds no run yet" in call(here, "status").stdout


def test_gc_asks_and_says_when_there_is_nothing(here: Path) -> None:
    assert "holds nothing that no run uses" in call(here, "gc").stdout
    Store(here / "w").remove_run("tiny@1")
    listed = call(here, "gc", "--dry-run").stdout
    assert "adapter b of tiny" in listed and "score of b on letters" in listed
    refused = call(here, "gc")
    assert refused.returncode == 2 and "statllama gc --yes" in refused.stderr
    done = call(here, "gc", "--yes")
    assert done.returncode == 0 and "deleted: " in done.stdout
    assert call(here, "compare", "tiny:a", "tiny:b").returncode == 0
    assert "holds nothing that no run uses" in call(here, "gc", "--yes").stdout


def test_a_bundle_moves_a_run(ran: Path, here: Path, tmp_path: Path) -> None:
    said = call(here, "export", "tiny", "--bundle", "tiny.bundle")
    assert said.returncode == 0, said.stderr
    assert "tiny: 2 adapters, 5 scores" in said.stdout and "not in it: the base" in said.stdout
    other = tmp_path / "elsewhere"
    other.mkdir()
    said = call(other, "import", here / "tiny.bundle", "--recipe", ran / "recipe.yaml")
    assert said.returncode == 0, said.stderr
    assert "imported: tiny, 7 adapters and scores" in said.stdout
    for arguments in (("status",), ("report", "tiny", "--out", "r.html"), ("compare", "tiny:a", "tiny:b")):
        assert call(other, *arguments).returncode == 0
    compared = [call(folder, "compare", "tiny:base", "tiny:b").stdout for folder in (here, other)]
    assert compared[0] == compared[1]
    said = call(other, "plan", ran / "recipe.yaml", "--set", "stages.b.train.learning_rate=2e-2")
    assert "0 of 2 stages would run" in said.stdout
    assert call(other, "gc").stdout.endswith("holds nothing that no run uses\n")
    refused = call(here, "import", here / "tiny.bundle", "--out", "x")
    assert refused.returncode == 2 and "the file is a bundle: --out cannot be given" in refused.stderr


def test_a_base_that_lies_elsewhere(ran: Path, here: Path, base_folder: Path, tmp_path: Path) -> None:
    """The folder of the machine that trained it is not here: one with the same files is, and one with others."""
    record = json.loads((here / "w" / "runs" / "tiny.json").read_text())
    record["base"]["model"] = "/nowhere/base"
    (here / "w" / "runs" / "tiny.json").write_text(json.dumps(record))
    call(here, "export", "tiny", "--bundle", "b")
    other = tmp_path / "elsewhere"
    other.mkdir()
    said = call(other, "import", here / "b")
    assert "its base /nowhere/base is not here" in said.stdout
    assert f"statllama import {here / 'b'} --workspace {other / 'w'} --base FOLDER" in said.stdout
    said = call(other, "import", here / "b", "--name", "theirs")
    assert f"--workspace {other / 'w'} --name theirs --base FOLDER" in said.stdout
    said = call(other, "eval", "theirs", "--stage", "b", "--limit", "4", "--task", "ap_statistics")
    assert "the base folder /nowhere/base is not there\n  -> " in said.stderr and "--base FOLDER" in said.stderr
    wrong = tmp_path / "wrong"
    shutil.copytree(base_folder, wrong)
    config = json.loads((wrong / "config.json").read_text())
    (wrong / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-4}))
    refused = call(other, "import", here / "b", "--base", wrong)
    assert refused.returncode == 2 and "is not the base that the run was trained on" in refused.stderr
    assert call(other, "import", here / "b", "--base", base_folder).returncode == 0
    assert Store(other / "w").last_run("tiny")["base"]["model"] == str(base_folder)
    said = call(other, "eval", "tiny", "--stage", "b", "--limit", "4", "--task", "ap_statistics")
    assert "does not exist" not in said.stderr and "No such file" not in said.stderr


def test_import_tells_what_it_was_given(here: Path) -> None:
    (here / "x.gguf").write_bytes(b"GGUF" + bytes(20))
    for arguments, message in (
        (("nothing",), "nothing does not exist\n  -> name a bundle made by `export --bundle`, or a GGUF file"),
        ((".",), ". is a folder\n  -> name a bundle"),
        (("x.gguf",), "x.gguf is no bundle; to make a base folder of a GGUF file, name the folder"),
        (("x.gguf", "--name", "y", "--out", "z"), "the file is no bundle: --name cannot be given with it"),
    ):
        said = call(here, "import", *arguments)
        assert said.returncode == 2 and message in said.stderr


class Meanwhile(Reporter):
    """Runs `statllama gc --yes`, a process of its own, while data is prepared and after each step."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.said: dict[str, list[subprocess.CompletedProcess[str]]] = {"preparing": [], "step": [], "finished": []}

    def _gc(self, when: str) -> None:
        command = [sys.executable, "-m", "statllama", "gc", "--yes", "--workspace", str(self.workspace)]
        environment = {**os.environ, "PYTHONPATH": str(REPO)}
        self.said[when].append(
            subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        )

    def data_ready(self, *_: Any) -> None:
        self._gc("preparing")

    def step(self, event: Any) -> None:
        if event.step == 1:
            self._gc("step")

    def stage_finished(self, *_: Any) -> None:
        self._gc("finished")


def test_gc_beside_a_run_takes_nothing_of_it(write_recipe: Write, tmp_path: Path) -> None:
    """Its record is taken away meanwhile, as by hand: what it needs stays all the same."""
    path = write_recipe([stage("a", train=SHORT), stage("b", "dpo", train=SHORT)])
    store = Store(tmp_path / "w")
    old = load_recipe(path, ["name=old", "stages.a.train.seed=1"])
    run(old, store, Reporter(), until="a")
    store.remove_run("old")
    (unused,) = (entry.path for entry in store.entries("results"))

    class Vanishing(Meanwhile):
        def step(self, event: Any) -> None:
            store.remove_run("tiny")
            super().step(event)

    watched = Vanishing(tmp_path / "w")
    result = run(load_recipe(path), store, watched)
    assert set(result.results) == {"a", "b"}
    for entry in store.entries("results"):
        store.verify("results", entry.key)
    assert {path.name for path in result.results.values()} == {entry.key for entry in store.entries("results")}
    for said in watched.said["preparing"]:
        assert said.returncode == 1 and f"process {os.getpid()} on" in said.stderr and "is planning" in said.stderr
    assert [said.returncode for said in watched.said["step"] + watched.said["finished"]] == [0] * 4
    assert "adapter a of old" in watched.said["step"][0].stdout
    assert not unused.exists()
    assert not store.listed("partial")


def test_who_works_here_is_told_before_anything_is_asked(here: Path) -> None:
    store = Store(here / "w")
    with working(store) as lease:
        for command in (("rm", "tiny@1"), ("gc",), ("gc", "--dry-run")):
            said = call(here, *command)
            assert said.returncode == 1 and "may need anything that is here" in said.stderr, said
            assert said.stdout == ""
        lease.only(store.last_run("tiny"))
        said = call(here, "rm", "tiny")
        assert said.returncode == 1 and "tiny is at work" in said.stderr and said.stdout == ""
        assert call(here, "rm", "tiny@1", "--yes").returncode == 0


def test_a_run_that_is_chatted_with_is_not_removed(here: Path) -> None:
    command = [sys.executable, "-m", "statllama", "chat", "tiny@1", "--workspace", str(here / "w")]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as chat:
        store = Store(here / "w")
        while chat.poll() is None and not at_work(store, leases(store)):
            time.sleep(0.1)
        said = call(here, "rm", "tiny@1", "--yes")
        chat.communicate("")
    assert said.returncode == 1 and "tiny@1 is at work: process" in said.stderr
    assert chat.returncode == 0 and call(here, "rm", "tiny@1", "--yes").returncode == 0


def test_a_lost_run_is_told_with_a_command_that_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from statllama.cli.console import house
    from statllama.store import Store

    store = Store(tmp_path / "w")
    record = {"order": [], "stages": {}, "recipe": "/data/a b.yaml", "overrides": ["defaults.train.seed=2"]}
    store.write_run("lost", record)
    house._print_lost(["lost"], store)
    said = capsys.readouterr().out
    assert "statllama run '/data/a b.yaml' --set defaults.train.seed=2 --workspace " in said
    house._print_lost(["unknown"], store)
    assert "start the same command again" in capsys.readouterr().out
