"""The page of a run that goes on: kept up to date from another process, true to the end, whatever the end is."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from statllama import report
from statllama.errors import NotFoundError, StoreError
from statllama.recipe import load_recipe
from statllama.report import following as module
from statllama.report.live import share_done, with_live
from statllama.report.watching import PageProcess
from statllama.runs import runner
from statllama.runs.reporting import Reporter
from statllama.runs.watch.live import LiveRecord, read_live
from statllama.runs.watch.run_state import RunState, StageState
from statllama.store import Store
from tests.conftest import stage
from tests.report.browser import CHROMIUM, Browser
from tests.report.report_data import GPU, going, live, running
from tests.running import Worker, statllama
from tests.runs.test_live import file_size_limit

Write = Callable[..., Path]
ASKED = {"prompts": ["define the <mean>"], "prompt_tokens": 8}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    found = Worker(tmp_path_factory.mktemp("worker"))
    yield found
    found.close()


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages as often as they can be drawn."""
    monkeypatch.setattr(module, "EVERY", 0.0)
    monkeypatch.setattr(module, "SHARE", 1e9)
    monkeypatch.setattr(module, "LOOK", 0.05)


def refresh_of(page: str) -> str | None:
    found = re.search(r'<meta http-equiv="refresh" content="(\d+)">', page)
    return found[1] if found else None


def until(wanted: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait for something to be true; it."""
    deadline = time.monotonic() + seconds
    while not (found := wanted()):
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)
    return found


# ------------------------------------------------------------------ what the page says


def test_the_page_of_a_run_that_goes_on() -> None:
    """What it does, what is left, the machine, the answers so far; figures worked by hand."""
    page = report.render(live())
    assert refresh_of(page) == "60" and "<title>64 %: quickstart" in page  # 250 of 390 steps
    for text in ("Training dpo: 70 of 180", "time left of dpo", "2 min 00 s", "97 %", "8.8 GiB of 23.4 GiB"):
        assert text in page, text
    # 120 s of dpo, 92,500 tokens at 925 a second, and two stacks to score at 10 s each.
    assert re.search(r"time left of the run, about</dt><dd>4 min 00 s<", page)
    assert "The mean is the sum of the values over their number." in page and "[cut]" in page
    assert "A CPU, 2 cores" in page and page.count("Reward margin") and "Tokens per second" in page


def test_no_figure_without_something_to_tell_it_from() -> None:
    """A run that has just begun names no time that is left; one without a GPU names none."""
    state = RunState("new", stages={"sft": StageState("sft", "sft")}, started=1000.0, updated=1000.0)
    page = report.render(with_live(None, replace(going(state), machine={"processor": "A CPU"}), 1000.0, {}, 5))
    assert "time left" not in page and "GPU" not in page and "nan" not in page and "None" not in page
    assert refresh_of(page) == "5" and "Between two tasks" in page


@pytest.mark.parametrize(
    ("steps", "share"),
    [([(0, None)], 0.0), ([(5, 10), (0, 10)], 0.25), ([(10, 10), (0, None)], 0.5), ([(10, 10)], 1.0)],
)
def test_share_of_the_steps(steps: list[tuple[int, int | None]], share: float) -> None:
    assert share_done(StageState("a", "sft", step=step, steps=of) for step, of in steps) == share


def test_a_finished_run_has_the_usual_report_with_throughput() -> None:
    state = running()
    state.outcome = "finished"
    page = report.render(with_live(report.ReportData("a", "", "b", ()), going(state), 1000.0, GPU, 9))
    assert refresh_of(page) is None and 'id="now"' not in page


# ------------------------------------------------------------------ real runs


def test_a_run_is_followed_to_its_end(
    worker: Worker, write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another process: pages with curves and answers while it trains, and the usual report in the end."""
    stages = [stage("a", train={"steps": 12}), stage("b", "dpo", train={"steps": 12})]
    path = write_recipe(stages, evaluate=ASKED)
    store, pages, out = Store(tmp_path / "w"), list[str](), tmp_path / "page.html"
    whole = module.write
    monkeypatch.setattr(
        module, "write", lambda data, to, drawn: (whole(data, to, drawn), pages.append(out.read_text()))
    )
    pid = worker.start("run", path, "--workspace", store.root, environment={"TEST_PAUSE": "0.3"})
    until(lambda: (found := read_live(store, "tiny")) and found.going)
    end = module.follow(store, "tiny", out, pytest.fail)
    assert worker.wait(pid) == 0, worker.said()
    assert end.state.outcome == "finished"
    going_on, last = pages[:-1], pages[-1]
    assert len(going_on) >= 3 and all(refresh_of(page) for page in going_on) and refresh_of(last) is None
    assert any("Training b: " in page and "Reward margin" in page for page in going_on)
    assert any("Training a: " in page and "curves-wide" in page for page in going_on)
    assert all("define the &lt;mean&gt;" in page for page in (going_on[-1], last))
    assert "Tokens per second" in last and "core" in last and 'id="now"' not in last
    assert last.count("<dt>base</dt>") == 1 and "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", last)
    assert "https://" not in last and "<script" not in last


def test_a_killed_run_is_shown_as_killed(worker: Worker, write_recipe: Write, tmp_path: Path) -> None:
    """The page stops loading itself, says so, and keeps the figures of the last steps; the run then goes on."""
    path = write_recipe([stage("a", train={"steps": 12})])
    store, out = Store(tmp_path / "w"), tmp_path / "page.html"
    pid = worker.start("run", path, "--workspace", store.root, environment={"TEST_PAUSE": "0.5"})
    until(lambda: (found := read_live(store, "tiny")) and found.state.stages["a"].step >= 2)
    os.kill(pid, signal.SIGKILL)
    worker.wait(pid)
    end = module.follow(store, "tiny", out, pytest.fail)
    page = out.read_text()
    assert end.killed and refresh_of(page) is None
    assert f"process ({pid} on " in page and "killed" in page and "statllama run tiny" in page and "curves-wide" in page
    assert worker.wait(worker.start("run", path, "--workspace", store.root)) == 0
    assert module.follow(store, "tiny", out, pytest.fail).state.outcome == "finished"
    assert 'id="now"' not in out.read_text()


def test_following_ends_when_run_and_workspace_are_gone(worker: Worker, write_recipe: Write, tmp_path: Path) -> None:
    path, store, out = write_recipe([stage("a", train={"steps": 12})]), Store(tmp_path / "w"), tmp_path / "page.html"
    pid = worker.start("run", path, "--workspace", store.root, environment={"TEST_PAUSE": "1.0"})
    until(lambda: (found := read_live(store, "tiny")) and found.state.stages["a"].doing == "training")
    follower = worker.start("report", "tiny", "--follow", "--out", out, "--workspace", store.root)
    until(out.is_file)
    os.kill(pid, signal.SIGSTOP)
    shutil.rmtree(store.root)
    os.kill(pid, signal.SIGKILL)
    worker.wait(pid)
    assert worker.wait(follower) == 0 and refresh_of(out.read_text()) is None


def test_a_full_disk_is_told_once_and_the_page_stays_whole(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, out, told = Store(tmp_path / "w"), tmp_path / "page.html", list[str]()
    record = LiveRecord(store, pytest.fail)
    record.state = RunState("tiny", stages={"a": StageState("a", "sft")}, started=1.0, updated=1.0)
    record._write()
    before, tries, whole = "the last whole page", list[int](), module.write
    out.write_text(before)

    def write(data: Any, to: Path, drawn: Any) -> None:
        tries.append(1)
        record.state.updated += 1
        if len(tries) == 4:
            record.state.outcome = "finished"
        record._write()
        if len(tries) < 4:
            with file_size_limit(1000):
                try:
                    whole(data, to, drawn)
                finally:
                    assert out.read_text() == before and sorted(tmp_path.glob("*.tmp")) == []
        else:
            whole(data, to, drawn)

    monkeypatch.setattr(module, "write", write)
    (tmp_path / "w" / "runs").mkdir()
    module.follow(store, "tiny", out, told.append)
    assert len(tries) >= 4 and len(told) == 1 and "page.html" in told[0] and out.read_text().startswith("<!DOCTYPE")


def test_a_last_page_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    store, out = Store(tmp_path / "w"), tmp_path / "page.html"
    record = LiveRecord(store, pytest.fail)
    record.state = RunState("tiny", outcome="failed", stages={"a": StageState("a", "sft")}, started=1.0, updated=1.0)
    record._write()
    with file_size_limit(1000), pytest.raises(StoreError):
        module.follow(store, "tiny", out, pytest.fail)
    assert not out.exists()


def test_an_earlier_runs_record_is_not_shown_for_a_new_one(write_recipe: Write, tmp_path: Path) -> None:
    """Until the new run has written its own."""
    store, out = Store(tmp_path / "w"), tmp_path / "page.html"
    path = write_recipe([stage("a", train={"steps": 2})])
    runner.run(load_recipe(path), store, Reporter())
    record = LiveRecord(store, pytest.fail)
    record.state = RunState("tiny", outcome="stopped", stages={"a": StageState("a", "sft", key="9" * 64)}, updated=1.0)
    record._write()
    module.follow(store, "tiny", out, pytest.fail)
    assert "curves-wide" not in out.read_text()


def test_a_run_whose_record_was_set_aside_meanwhile(worker: Worker, write_recipe: Write, tmp_path: Path) -> None:
    """Another process runs the recipe under other settings while it trains: page and next commands are its own."""
    path, out = write_recipe([stage("a", train={"steps": 6})], evaluate=ASKED), tmp_path / "live.html"
    store = Store(tmp_path / "w")
    command = ("run", path, "--page", out, "--workspace", store.root)
    pid = worker.start(*command, environment={"TEST_PAUSE": "1.0"})
    until(lambda: (found := read_live(store, "tiny")) and found.state.stages["a"].doing == "training")
    runner.run(load_recipe(path, ["stages.a.train.seed=9"]), store, Reporter())
    assert worker.wait(pid) == 0, worker.said()
    assert "statllama report tiny@1" in worker.said()
    page, key = out.read_text(), store.last_run("tiny@1")["stages"]["a"]["key"]
    assert key in page and store.last_run("tiny")["stages"]["a"]["key"] not in page and "Answers</h2>" in page


# ------------------------------------------------------------------ the commands


def test_run_watch(worker: Worker, write_recipe: Write, tmp_path: Path) -> None:
    """The page is there while the run trains, and is the report when it has ended; no process stays."""
    path = write_recipe([stage("a")], evaluate=ASKED)
    out, workspace = tmp_path / "live.html", tmp_path / "w"
    environment = {"TEST_PAUSE": "1.0"}
    pid = worker.start("run", path, "--page", out, "--workspace", workspace, environment=environment)
    until(lambda: out.is_file() and refresh_of(out.read_text()))
    assert worker.wait(pid) == 0, worker.said()
    assert "page: " in worker.said() and str(out) in worker.said()
    page = out.read_text()
    assert refresh_of(page) is None and "curves-wide" in page and "Answers</h2>" in page
    left = subprocess.run(["pgrep", "-f", f"--out {out}"], capture_output=True, text=True)
    assert left.stdout == ""


def test_run_watch_with_a_page_that_cannot_be_written(worker: Worker, write_recipe: Write, tmp_path: Path) -> None:
    """The run goes on with a note. /proc takes no file of ours, from root neither."""
    path = write_recipe([stage("a", train={"steps": 2})])
    pid = worker.start("run", path, "--page", "/proc/live.html", "--workspace", tmp_path / "w")
    assert worker.wait(pid) == 0, worker.said()
    assert "note:" in worker.said() and "/proc/live.html" in worker.said() and "finished in" in worker.said()


@pytest.mark.slow
def test_the_page_of_a_killed_run_that_was_watched_says_so(worker: Worker, write_recipe: Write, tmp_path: Path) -> None:
    """The process that draws outlives the run, for one page."""
    path, out = write_recipe([stage("a", train={"steps": 30})]), tmp_path / "live.html"
    pid = worker.start("run", path, "--page", out, "--workspace", tmp_path / "w", environment={"TEST_PAUSE": "1"})
    until(lambda: out.is_file() and "Training a: " in out.read_text())
    os.kill(pid, signal.SIGKILL)
    worker.wait(pid)
    until(lambda: "ended without a word" in out.read_text())
    assert refresh_of(out.read_text()) is None
    until(lambda: subprocess.run(["pgrep", "-f", f"--out {out}"], capture_output=True).stdout == b"")


def test_wrong_places_are_refused_before_the_run(write_recipe: Write, tmp_path: Path) -> None:
    path = write_recipe([stage("a")])
    for page, said in ((tmp_path, "is a folder"), (tmp_path / "none" / "p.html", "does not exist")):
        result = statllama("run", path, "--page", page, "--workspace", tmp_path / "w", cwd=tmp_path)
        assert result.returncode == 2 and said in result.stderr and "--out" not in result.stderr
    assert not (tmp_path / "w").exists()


def test_report_follow_of_what_is_not_there(trained: tuple[Path, Any], tmp_path: Path) -> None:
    """A run that tells nothing is named, with near matches and the command that begins one."""
    _, store = trained
    result = statllama("report", "tinny", "--follow", "--workspace", store.root, cwd=tmp_path)
    assert result.returncode == 2 and "'tinny'" in result.stderr and "tiny" in result.stderr
    assert "statllama run tinny" in result.stderr and list(tmp_path.glob("*.html")) == []
    with pytest.raises(NotFoundError):
        module.follow(store, "tinny", tmp_path / "p.html", pytest.fail)


def test_report_follow_of_a_run_that_has_ended(write_recipe: Write, tmp_path: Path) -> None:
    """By the recipe's file or the run's name: the usual report, at once."""
    path, store = write_recipe([stage("a", train={"steps": 2})]), Store(tmp_path / "w")
    runner.run(load_recipe(path), store, LiveRecord(store, pytest.fail))
    for target in (path, "tiny"):
        result = statllama("report", target, "--follow", "--workspace", store.root, cwd=tmp_path)
        assert result.returncode == 0 and "has finished; written: tiny.html" in result.stdout, result.stderr
        page = tmp_path / "tiny.html"
        followed = page.read_text()
        assert "curves-wide" in followed and "Tokens per second" in followed
        assert statllama("report", target, "--workspace", store.root, cwd=tmp_path).returncode == 0
        moments = re.compile(r"T\d\d:\d\d:\d\d")  # a recipe's file is looked at anew
        assert moments.sub("", page.read_text()) == moments.sub("", followed)  # the usual report says the same
        page.unlink()


def test_a_process_that_cannot_be_started_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = list[str]()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    process = PageProcess(Store(tmp_path / "w"), tmp_path / "p.html", notes.append)
    process.start("tiny")
    process.end()
    assert len(notes) == 1 and "p.html" in notes[0] and threading.active_count() < 20


# ------------------------------------------------------------------ in a browser


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_loads_itself_again_where_it_was(tmp_path: Path, width: int) -> None:
    """Without a script: the reader's place stays, and a page of a run that has ended stays as it is."""
    data, page = live(), tmp_path / "page.html"
    assert data.now is not None

    def written(headline: str, refresh: int) -> None:
        report.write(replace(data, now=replace(data.now, headline=headline, refresh=refresh)), page)

    seen = "[(document.querySelector('.headline') || {}).textContent, Math.round(scrollY / 100), window.mark || 0]"
    written("first", 1)
    with Browser(tmp_path / "profile") as browser:
        browser.open(page, width)
        browser.ask("window.mark = 1; window.scrollTo(0, 1500)")
        written("second", 1)
        found = until(lambda: (told := browser.ask(seen))[0] == "second" and told, 20)
        assert found[1] in (15, 16) and found[2] == 0
        written("third", 0)
        until(lambda: browser.ask(seen)[0] == "third", 20)
        browser.ask("window.mark = 3")
        time.sleep(2.5)
        assert browser.ask(seen) == ["third", found[1], 3]
        assert browser.complaints() == [] and set(browser.requests()) == {page.as_uri()}
