"""Slots on a real Ray of this machine: one cluster for all tests here, since it takes seconds to start."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from statllama.errors import Interrupted, StatllamaError, TrainingError, UsageError
from statllama.recipe import load_recipe
from statllama.release.of_recipe import ReleaseMaker
from statllama.runs.cluster import crew
from statllama.runs.cluster.fill import RayExecutor
from statllama.runs.cluster.work import Ended, Lost, Told, Where, Work
from statllama.runs.reporting import Reporter
from statllama.runs.runner import run
from statllama.store import Store
from tests.conftest import stage
from tests.runs.cluster import acts
from tests.runs.cluster.acts import Act, done, notes
from tests.runs.cluster.workers import Kept, adapters

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Ray on as many cores as two clusters of these tests take, whatever this machine has; a folder for workspaces."""
    from statllama.runs.cluster.connection import connected

    ray.cloudpickle.register_pickle_by_value(sys.modules[acts.__name__])
    with connected("local", 6):
        yield tmp_path_factory.mktemp("ray")


def connect(folder: Path, **options: Any) -> Any:
    from statllama.runs.cluster.engine import connect

    (folder / "data.jsonl").write_text("{}\n")
    given = {"files": [folder / "data.jsonl"], "threads": 1, "workers": 2, "devices": 1, "note": lambda text: None}
    return connect(None, folder / "workspace", **{**given, "perform": acts.perform, **options})


@pytest.fixture(scope="module")
def cluster(joined: Path) -> Iterator[Any]:
    with connect(joined) as found:
        yield found


class Steps(Kept):
    """Keeps the last step of each work, too."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: dict[str, int] = {}

    def told(self, work: Work, where: Where, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "step":
            self.steps[str(work)] = arguments[0].step


def test_a_slot_works_in_its_main_thread_with_the_drivers_threads(cluster: Any) -> None:
    os.environ["WORLD_SIZE"] = "7"  # as under a launcher; the slots had started before
    heard = done(cluster, Act("look-1"), Act("look-2"))
    again = done(cluster, Act("look-3"))
    del os.environ["WORLD_SIZE"]
    first, second, third = (notes(told)[0] for told in (*heard.values(), *again.values()))
    for seen in (first, second, third):
        assert seen["main"] and seen["OMP_NUM_THREADS"] == "1" and seen["WORLD_SIZE"] is None
    assert first["pid"] != second["pid"], "two at once are two processes"
    assert third["pid"] in (first["pid"], second["pid"]), "and the next one takes the place of one that is free"
    assert {told[0].where.device for told in heard.values()} == {"cpu 0", "cpu 1"}
    assert isinstance(heard["look-1"][-1], Ended) and heard["look-1"][-1].error is None


def test_many_events_are_a_few_letters_in_order_with_the_last(cluster: Any, capfd: Any) -> None:
    told = done(cluster, Act("flood"))["flood"]
    events = [news.event for news in told if isinstance(news, Told)]
    steps = [news.arguments[0] for news in told if isinstance(news, Told) and news.event == "step"]
    assert events[0] == "busy" and events[-1] == "busy/end"
    assert steps == sorted(steps) and steps[-1] == 999 and len(steps) < 20
    assert capfd.readouterr() == ("", ""), "what a worker prints is in its log"


def test_errors_are_values_with_their_place(cluster: Any) -> None:
    heard = done(cluster, Act("broken"), Act("bug"))
    error = heard["broken"][-1].error
    assert type(error) is TrainingError and str(error) == "it broke\n  -> mend it"
    assert 'raise TrainingError("it broke"' in error.__notes__[0], "the traceback is there for --debug"
    bug = heard["bug"][-1].error
    assert bug.exit_code == 1 and "ZeroDivisionError: division by zero" in bug.message and "act bug" in bug.message
    assert os.uname().nodename in bug.message and "print(1 / 0)" in bug.__notes__[0]


def test_a_dead_worker_is_lost_and_others_go_on(cluster: Any, capfd: Any) -> None:
    heard = done(cluster, Act("killed"), Act("look"))
    lost = heard["killed"][-1]
    assert isinstance(lost, Lost) and lost.why.startswith("its process died") and lost.where.device.startswith("cpu")
    assert heard["look"][-1].error is None
    assert "SystemExit" in done(cluster, Act("exit"))["exit"][-1].error.message
    assert done(cluster, Act("look"))["look"][-1].error is None
    assert capfd.readouterr() == ("", ""), "Ray's paragraph about it is not shown"


def test_fewer_workers_than_asked_for_are_told(joined: Path) -> None:
    told: list[str] = []
    with connect(joined, workers=2, threads=4, note=told.append):
        pass
    assert told == [
        "--workers 2: there is room for 1 at a time, since each takes 4 cores: with OMP_NUM_THREADS=1 before the "
        "command there are more, which moves rounding"
    ]
    told.clear()
    with connect(joined, workers=2, note=told.append):
        assert told == []


def test_too_few_devices_are_told_before_anything_starts(cluster: Any) -> None:
    with pytest.raises(UsageError, match=r"needs 3 cores at once, and the cluster at .* has 2 \(--workers 2\)"):
        cluster.require(3)
    assert cluster.room(Act("pair", devices=2))
    with pytest.raises(StatllamaError, match="act three needs 3 devices where 2 remain"):
        cluster.room(Act("three", devices=3))


def test_a_stop_reaches_the_workers_gently_and_a_second_one_at_once(joined: Path) -> None:
    with connect(joined) as cluster:
        told = done(cluster, Act("saving"), Act("stubborn"), stop_at="waiting")
        # Each of the two said that it waits, so there were two requests: the second ended what does not save.
        assert isinstance(told["stubborn"][-1].error, Interrupted)
        assert isinstance(told["saving"][-1].error, Interrupted)
        after = done(cluster, Act("look"))
        assert isinstance(after["look"][-1].error, Interrupted), "nothing is begun after a stop"


def test_a_run_on_ray_is_that_of_one_process(joined: Path, write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """Two branches beside each other, each by the code of a run, and a release of one: equal, byte for byte."""
    out = tmp_path / "released"
    release = {"stage": "one", "out": str(out), "forms": ["adapter"]}
    path = write_recipe([stage("one", parents="base"), stage("two", "dpo", parents="base")], release=[release])
    recipe, kept = load_recipe(path), Steps()
    there = run(recipe, Store(tmp_path / "there"), kept, executor=RayExecutor(None, 2), maker=ReleaseMaker())
    by_workers = files_of(out.rename(tmp_path / "by-workers"))
    here = run(recipe, Store(tmp_path / "here"), Reporter(), maker=ReleaseMaker())
    assert adapters(list(there.results.values())) == adapters(list(here.results.values()))
    assert files_of(out) == by_workers and "adapter/adapter_model.safetensors" in by_workers
    assert len(kept.began_) == len(kept.ended_) == 5  # their drifts too
    assert kept.steps == {"train one": 6, "train two": 6}, "the last step of each was told"


def test_a_worker_that_was_given_too_small_a_card_stays_and_another_takes_its_work(
    joined: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """As on a host with several kinds of GPUs, of which Ray gives out the first."""
    monkeypatch.setattr(crew, "Slot", acts.OddSlot)
    with connect(tmp_path) as cluster:
        heard = done(cluster, Act("look-1", least=2.0, wanted=2.0))["look-1"]
        assert isinstance(heard[-1], Ended) and heard[-1].error is None
        small = done(cluster, Act("look-2"))["look-2"]
        assert notes(small)[0]["pid"] != notes(heard)[0]["pid"], "the first process takes what fits it"


def files_of(release: Path) -> dict[str, bytes]:
    """Return the contents of a release, without its card: that tells when each stage was trained, and how long. Workers
    verify with all texts of the probe, this process in tests with a few (`_short_probe`).
    """
    timed = ("README.md", "SHA256SUMS", "verification.json")
    found = {p.relative_to(release).as_posix(): p for p in release.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name not in timed}


@pytest.mark.slow
def test_a_group_works_together_and_falls_together(joined: Path) -> None:
    pytest.importorskip("statllama.train.ranks")
    with connect(joined, devices=2) as cluster:
        heard = done(cluster, Act("group-well", devices=2))["group-well"]
        assert [rank for rank, _ in notes(heard)[0]] == [0, 1] and heard[-1].error is None
        assert len({pid for _, pid in notes(heard)[0]}) == 2
        lost = done(cluster, Act("group-dies", devices=2))["group-dies"][-1]
        assert isinstance(lost, Lost) and lost.why.startswith("its process died")
        failed = done(cluster, Act("group-fails", devices=2))["group-fails"][-1]
        assert "rank one broke" in failed.error.message
        assert done(cluster, Act("look"))["look"][-1].error is None, "its devices serve one worker again"
