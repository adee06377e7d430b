"""The display of a run: in pseudo-terminals of several widths, in a log, and when its reader leaves."""

from __future__ import annotations

import logging
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from statllama.cli import app as cli
from statllama.cli.console import live
from statllama.cli.console import terminal as console
from statllama.cli.console.frame import BLOCKS, LINES, Part, frame, sparkline
from statllama.runs.watch.run_state import Activity, RunState, SeenScore, StageState
from tests.benchmarks_for_tests import choice_task
from tests.cli.screen import Terminal
from tests.conftest import stage
from tests.running import TRAINING, Worker, verified

Write = Callable[..., Path]
FRAME = re.compile(r"^tiny +[○●✓✗]|━|[▁▂▃▄▅▆▇█]|^run: ")


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    one = Worker(tmp_path_factory.mktemp("worker"), TRAINING)
    yield one
    one.close()


@pytest.fixture
def recipe(write_recipe: Write, tmp_path: Path) -> Path:
    choice_task(tmp_path / "eval", "letters", 12)
    stages = [stage("one", train={"steps": 12}), stage("two", "dpo", train={"steps": 4})]
    return write_recipe(stages, evaluate={"tasks": ["letters"]}, description="a test")


def started(worker: Worker, output: str | Path, *arguments: str | Path, **changes: str) -> int:
    """`statllama ARGUMENTS` with both streams in a file or a terminal; its process id."""
    worker.output = Path(output)
    environment = {"COLUMNS": None, "NO_COLOR": None, "TERM": "xterm-256color", "TEST_PAUSE": "0.2", **changes}
    return worker.start(*arguments, environment=environment)


def parsed(line: str) -> click.Context:
    """What the command line's own parser makes of a printed command; it raises for one that it does not know."""
    words = shlex.split(line)
    assert words[0] == "statllama"
    command: Any = typer.main.get_command(cli.app)
    context = command.make_context("statllama", [*words[1:2], "--help"], resilient_parsing=True)
    _, found, _ = command.resolve_command(context, words[1:])
    return found.make_context(words[1], words[2:], parent=context)


STEPPED = r" [1-9]\d*/12 "  # a step of the first stage is to be seen


@pytest.mark.parametrize(
    ("width", "changes"), [(80, {}), (140, {"NO_COLOR": "1"}), pytest.param(40, {}, marks=pytest.mark.slow)]
)
def test_a_run_in_a_terminal(width: int, changes: dict[str, str], recipe: Path, worker: Worker, tmp_path: Path) -> None:
    terminal = Terminal(width)
    process = started(worker, terminal.name, "run", recipe, "--workspace", tmp_path / "w", **changes)
    terminal.read(lambda: terminal.shows(r"-> \S+  [▁-█]") and terminal.shows("tok/s"))
    now = [line for line in terminal.screen.text() if line]
    assert max(map(len, now)) <= width
    name, bar, curve, run = now[-LINES:]
    assert name.startswith("tiny") and "● one" in name and "0 of 2 stages" in name
    assert "○ two" in name
    assert bar.startswith("one") and re.search(r" [1-9]\d*/12", bar)
    assert re.match(r"loss \d\S* -> \d\S*  [▁▂▃▄▅▆▇█]+", curve)
    assert run.startswith("run: ") and " tok/s" in run
    assert ("resident peak" in run) == (width > 40)
    assert sum(bool(FRAME.search(line)) for line in now) == LINES  # one frame, not the traces of several
    # A line that is too long goes on in the next one, wherever that cuts a word.
    terminal.read(lambda: terminal.shows("next:") and "--items3" in "".join(terminal.screen.text()).replace(" ", ""))
    code = worker.wait(process)
    terminal.read(lambda: True)
    said = terminal.screen.text()
    assert code == 0
    assert not [line for line in said if FRAME.search(line)]
    assert terminal.raw.count("\x1b[?25l") == terminal.raw.count("\x1b[?25h") == 1  # the cursor is back
    whole = "".join(line.ljust(width) if len(line) == width else f"{line}\n" for line in said)
    commands = [line.strip() for line in whole.partition("next:\n")[2].splitlines() if line.strip()]
    assert [shlex.split(command)[1] for command in commands] == ["report", "chat", "compare"]
    for command in commands:
        assert parsed(command).params["workspace"].samefile(tmp_path / "w")
    assert len(list(verified(tmp_path / "w"))) == 2
    codes = {code for found in re.findall(r"\x1b\[([\d;]*)m", terminal.raw) for code in found.split(";")}
    assert (codes <= {"", "0", "1", "2"}) == ("NO_COLOR" in changes)  # bold and dim are no colours
    terminal.close()


@pytest.mark.slow
def test_a_terminal_that_knows_no_cursor_gets_a_log(recipe: Path, worker: Worker, tmp_path: Path) -> None:
    terminal = Terminal(80)
    process = started(worker, terminal.name, "run", recipe, "--workspace", tmp_path / "w", TERM="dumb")
    terminal.read(lambda: terminal.shows("next:"))
    assert worker.wait(process) == 0
    assert "\x1b" not in terminal.raw
    assert "step 12/12" in terminal.raw
    terminal.close()


def test_a_log_is_plain(recipe: Path, worker: Worker, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert worker.wait(started(worker, log, "run", recipe, "--workspace", tmp_path / "w", TEST_PAUSE="0")) == 0
    said = log.read_text()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said)
    assert not FRAME.search(said)
    assert re.search(r"\n  step 1/12  loss .* MiB resident peak  ETA ", said)
    assert " 0 tok/s" not in said, "nothing is known of the speed at the first step"
    assert re.search(r"\n  step 12/12  .*; run: (at least )?\d+:\d\d left\n", said)


def test_an_interruption_names_the_command_that_goes_on(recipe: Path, worker: Worker, tmp_path: Path) -> None:
    terminal = Terminal(80)
    arguments = ("run", str(recipe), "--workspace", str(tmp_path / "w s"))
    process = started(worker, terminal.name, *arguments)
    terminal.read(lambda: terminal.shows(STEPPED))
    os.kill(process, signal.SIGINT)
    terminal.read(lambda: terminal.shows("go on:"))
    assert worker.wait(process) == 130
    assert not [line for line in terminal.screen.text() if FRAME.search(line)]
    shown = "".join(terminal.screen.text()).partition("go on: ")[2]
    assert shlex.join(["statllama", *arguments]) in shown
    terminal.close()


def test_a_failure_names_the_command_that_goes_on(recipe: Path, worker: Worker, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    wild = ("--set", "stages.one.train.learning_rate=1e30", "--set", "stages.one.train.max_grad_norm=1e30")
    assert worker.wait(started(worker, log, "run", recipe, *wild, "--workspace", tmp_path / "w")) == 1
    end = log.read_text().splitlines()[-1]
    assert "lower the learning rate" in end
    assert end.endswith(f"then go on: {shlex.join(['statllama', 'run', str(recipe), *wild])} --workspace {tmp_path}/w")
    assert worker.wait(started(worker, log, "run", f"{recipe}x", "--workspace", tmp_path / "w")) == 2
    assert "go on" not in log.read_text()


def test_a_closed_terminal_ends_the_run_with_a_checkpoint(recipe: Path, worker: Worker, tmp_path: Path) -> None:
    """The window is shut: the system sends SIGHUP, twice as shells do, and every write fails."""
    terminal = Terminal(80)
    process = started(worker, terminal.name, "run", recipe, "--workspace", tmp_path / "w")
    terminal.read(lambda: terminal.shows(STEPPED))
    terminal.close()
    os.kill(process, signal.SIGHUP)
    os.kill(process, signal.SIGHUP)
    assert worker.wait(process) == 130
    assert list(verified(tmp_path / "w")) == []
    kept = (tmp_path / "w" / "partial").rglob("checkpoint-*")
    step = max(int(folder.name.rpartition("-")[2]) for folder in kept)
    log = tmp_path / "log.txt"
    assert worker.wait(started(worker, log, "run", recipe, "--workspace", tmp_path / "w", TEST_PAUSE="0")) == 0
    assert f"resuming from the checkpoint of step {step}" in log.read_text()


def test_output_that_nobody_reads_ends_no_run(recipe: Path, worker: Worker, tmp_path: Path) -> None:
    """A terminal that is gone without a signal (`disown`), and a pipe whose reader has left (`| head -1`)."""
    terminal = Terminal(80)
    process = started(worker, terminal.name, "run", recipe, "--workspace", tmp_path / "w")
    terminal.read(lambda: terminal.shows(STEPPED))
    terminal.close()
    assert worker.wait(process) == 0
    assert len(list(verified(tmp_path / "w"))) == 2
    os.mkfifo(tmp_path / "pipe")
    worker.output = tmp_path / "pipe"
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    process = started(worker, tmp_path / "pipe", "run", recipe, "--workspace", tmp_path / "w2")
    while not _first(reader):
        time.sleep(0.05)
    os.close(reader)
    assert worker.wait(process) == 0
    assert len(list(verified(tmp_path / "w2"))) == 2


def _first(reader: int) -> bytes:
    try:
        return os.read(reader, 10)
    except BlockingIOError:
        return b""


def test_a_study_says_which_pipeline(recipe: Path, worker: Worker, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(recipe.read_text().replace("name: tiny", "name: other"))
    terminal = Terminal(80)
    process = started(worker, terminal.name, "study", recipe, tmp_path / "other.yaml", "--workspace", tmp_path / "w")
    terminal.read(lambda: terminal.shows(r"tiny \(pipeline 1 of 2\)"))
    terminal.read(lambda: terminal.shows("next:") and terminal.shows("chat tiny"))
    assert worker.wait(process) == 0
    assert "(2 of 2)" in terminal.raw
    assert not [line for line in terminal.screen.text() if FRAME.search(line)]
    whole = "".join(line if len(line) == 80 else f"{line}\n" for line in terminal.screen.text())
    commands = [line.strip() for line in whole.partition("next:\n")[2].splitlines() if line.strip()]
    assert [parsed(command).info_name for command in commands] == ["study", "report", "chat"]
    terminal.close()


def test_what_libraries_say_stands_above_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also through a handler that a library has made before, with the stream of then."""
    terminal = Terminal(60)
    with open(terminal.name, "w") as out, open(terminal.name, "w") as error:
        monkeypatch.setattr(live, "Out", Console(file=out))
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stderr", error)
        with live.outliving():
            handler = logging.StreamHandler()
            display = live.Display(lambda width: [Text("frame 1"), Text("frame 2")])
            display.start(refresh=True)
            handler.emit(logging.LogRecord("a", 30, "a", 1, "a warning\nof two lines", None, None))
            print("another", file=sys.stderr)
            display.refresh()
            terminal.read(lambda: terminal.shows("another"))
            terminal.read(lambda: terminal.screen.text()[-1] == "frame 2")
            assert terminal.screen.text() == ["a warning", "of two lines", "another", "frame 1", "frame 2"]
            display.stop()
            handler.emit(logging.LogRecord("a", 30, "a", 1, "after it", None, None))
            terminal.read(lambda: terminal.shows("after it"))
            assert [line for line in terminal.screen.text() if line] == [
                "a warning", "of two lines", "another", "after it"
            ]  # fmt: skip
    terminal.close()


# ---------------------------------------------------------------------- the frame


def made(step: int, stages: int = 3, kind: Any = "training") -> RunState:
    """A run of stages that waits in its second."""
    state = RunState("a-run", started=0.0, tasks=("stats",))
    for i in range(stages):
        state.stages[f"stage{i}"] = StageState(f"stage{i}", "sft", doing="done" if i == 0 else "waiting", steps=50)
    current = state.stages["stage1"]
    current.doing, current.step, current.memory_bytes, current.tokens_per_second = "training", step, 2**30, 5000.0
    for i in range(1, step + 1):
        current.series.add(i, {"loss": 5.0 / i, "grad_norm": 1.0, "learning_rate": 1e-3})
    what = "stage1" if kind == "training" else "stage1 on stats"
    state.scores["base"] = {"stats": SeenScore(0.25, None, "acc")}
    state.activity = Activity(kind, what, 0.0, step, 50, at=10.0)
    return state


@given(st.integers(1, 200), st.integers(0, 50), st.integers(2, 12), st.sampled_from(["training", "scoring", "loading"]))
def test_a_frame_fits_any_width(width: int, step: int, stages: int, kind: str) -> None:
    for ascii_only in (False, True):
        lines = frame(made(step, stages, kind), width, 12.0, Part(2, 5), ascii_only=ascii_only)
        assert len(lines) == LINES
        assert all(line.cell_len <= width and "\n" not in line.plain for line in lines)
        assert not ascii_only or all(line.plain.isascii() for line in lines)


def shown(state: RunState, width: int, **options: Any) -> list[str]:
    return [line.plain for line in frame(state, width, 12.0, **options)]


def test_what_a_frame_says() -> None:
    name, bar, curve, run = shown(made(10), 80, part=Part(2, 5))
    assert name == "a-run (pipeline 2 of 5)  ✓ stage0 ● stage1 ○ stage2  1 of 3 stages"
    assert re.fullmatch(r"stage1  ━+─+  10/50", bar)
    assert bar.count("━") == round(bar.count("━") + bar.count("─")) // 5
    assert curve.startswith("loss 5 -> 0.5  █") and "|grad| 1  lr 0.001" in curve
    assert run.startswith("run: at least") or "not known" in run
    assert "5,000 tok/s · 1.0 GiB resident peak · 0:12 passed" in run
    state = made(10)
    state.stages["stage1"].on_gpu = True
    assert "1.0 GiB GPU peak" in shown(state, 80)[3]
    assert shown(made(10, kind="scoring"), 80)[2] == "so far:  base 25.0"
    assert shown(made(10, 12), 60)[0] == "a-run  ● stage1  1 of 12 stages"
    state.outcome = "finished"
    state.activity = Activity("scoring", "base on stats", 0.0, 5, 10, at=6.0)
    (only,) = shown(state, 80)
    assert only.startswith("base on stats  ━") and only.endswith("  5/10  0:00 left")


def test_a_sparkline_is_the_curve() -> None:
    assert sparkline([], 10) == ""
    assert sparkline([3.0], 10) == BLOCKS[3]
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == BLOCKS
    assert sparkline([0.0, 2.0, 6.0, 8.0], 2) == "▁█"
    assert sparkline([1.0, float("nan"), 2.0], 5) == "▁█"
    assert len(sparkline(list(range(1000)), 17)) == 17


def test_names_of_others_are_shown_as_they_are() -> None:
    state = made(10)
    state.name = "a\x1b[31m\nb"
    assert shown(state, 80)[0].startswith("a\\x1b[31m")
    assert isinstance(frame(state, 80, 0.0)[0], Text)


# ---------------------------------------------------------------------- paths


@pytest.mark.parametrize("name", ["plain", "two words", "~tilde", "-dash", "it's", "a$b", "*"])
def test_a_short_path_works_when_pasted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    (tmp_path / "home" / "in" / name).mkdir(parents=True)
    target = tmp_path / "home" / "in" / name / "f.txt"
    target.write_text("x")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for folder in (tmp_path / "home" / "in", tmp_path / "home" / "in" / name, tmp_path, Path("/")):
        monkeypatch.chdir(folder)
        text = console.short(target)
        assert len(text) <= len(shlex.quote(str(target)))
        done = subprocess.run(["sh", "-c", f"cat {text}"], capture_output=True, text=True, check=True)
        assert done.stdout == "x"


def test_paths_in_texts_are_shortened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir(tmp_path)
    assert console.shortened(f"cannot read {tmp_path}/a/b.txt: full") == "cannot read a/b.txt: full"
    assert console.shortened(f"in '{tmp_path}/a b'") == "in 'a b'"
    assert console.shortened("see /home/me/x and '/home/me/y'") == "see ~/x and '/home/me/y'"
    assert console.shortened(f"{tmp_path}x/a /x{tmp_path}/b {tmp_path}") == f"{tmp_path}x/a /x{tmp_path}/b {tmp_path}"
