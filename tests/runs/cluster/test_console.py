"""What is seen of workers while they work: the terminal, the log, the live files and the page, by one real study."""

from __future__ import annotations

import io
import re
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from statllama.cli.console import house
from statllama.cli.console.fleet import MOST, fleet_frame, summary
from statllama.cli.console.study import StudyReporter
from statllama.errors import StatllamaError
from statllama.report.live import with_live
from statllama.report.page import write
from statllama.runs.cluster.fill import RayExecutor
from statllama.runs.cluster.work import Where, Work
from statllama.runs.reporting import Reporters
from statllama.runs.study import StudyResult, run_study
from statllama.runs.study_file import load_study
from statllama.runs.watch import afar
from statllama.runs.watch import live as live_module
from statllama.runs.watch.at_work import at_work
from statllama.runs.watch.fleet import Fleet, HostUse, WorkState
from statllama.runs.watch.live import Live, LiveRecord, read_live
from statllama.runs.watch.run_state import RunState, StageState
from statllama.store import Holder, Store
from statllama.store.leases import Lease
from tests.benchmarks_for_tests import choice_task
from tests.conftest import conversations, stage, write_jsonl
from tests.runs.cluster.workers import Beside, lost, use

FEW = {"steps": 2, "learning_rate": 3e-2}
PLACES = (Where("node-a.here", "gpu 0"), Where("node-a.here", "gpu 1"), Where("node-b.here", "gpu 0"))
WIDTHS = (80, 140)


@dataclass
class Seen:
    """All that was to be seen of a study."""

    result: StudyResult
    log: str
    frames: dict[int, list[list[str]]]
    lives: list[dict[str, Live]]
    """After each event of a worker: {run: what its file told}."""
    spent: Counter[str]
    """{host: seconds of ended works}, as they were told."""
    store: Store
    console: StudyReporter


class Looking(StudyReporter):
    """Looks at everything after each event."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store, self.frames, self.lives = (
            store,
            {width: list[list[str]]() for width in WIDTHS},
            list[dict[str, Live]](),
        )
        self.spent, self.status = Counter[str](), ""

    def told(self, work: Work, where: Where, event: str, arguments: tuple[Any, ...]) -> None:
        super().told(work, where, event, arguments)
        for width in WIDTHS:
            self.frames[width].append([line.plain for line in self._lines(width)])
        if event == "step":
            found = {name: read_live(self.store, name) for name in ("first", "second", "third")}
            self.lives.append({name: live for name, live in found.items() if live is not None})

    def ended(self, work: Work, where: Where, seconds: float, error: StatllamaError | None) -> None:
        super().ended(work, where, seconds, error)
        self.spent[where.host] += seconds


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> Seen:
    """Three recipes on one trunk. One of the second loses its worker once, one of the third fails."""
    folder = tmp_path_factory.mktemp("study")
    write_jsonl(folder / "sft.jsonl", conversations(8))
    choice_task(folder / "eval", "letters", 12)
    for name, change in (("first", {}), ("second", {"seed": 7}), ("third", {"learning_rate": 1e30})):
        body = {
            "name": name,
            "base": {"model": str(base_folder), "quantization": "none"},
            "evaluate": {"tasks": ["letters"], "micro_tokens": 1600},
            "stages": [stage("trunk", train=FEW), stage("leaf", train={**FEW, **change})],
        }
        if name == "first":  # two pipelines of one recipe
            body["stages"].append(stage("twig", parents=["trunk"], train={**FEW, "seed": 9}))
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(body, sort_keys=False))
    store, dead = Store(folder / "w"), list[Work]()

    def before(work: Work) -> Any:
        if work.kind == "train" and work.recipe.name == "second" and work.name == "leaf" and not dead:
            dead.append(work)
            return lost(work)
        return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_module, "EVERY", 0.0)
        patch.setattr(live_module, "SOON", 0.0)
        patch.setattr(live_module, "SHARE", 1e9)
        use(patch, Beside(store.root, PLACES, before))
        console = Looking(store)
        record = LiveRecord(store, console.note)
        study = load_study([str(folder / f"{name}.yaml") for name in ("first", "second", "third")])
        with redirect_stdout(io.StringIO()) as log, redirect_stderr(io.StringIO()):
            result = run_study(study, store, Reporters(record, console), executor=RayExecutor())
    return Seen(result, log.getvalue(), console.frames, console.lives, console.spent, store, console)


def test_the_display_has_a_line_for_each_work(seen: Seen) -> None:
    assert list(seen.result.failed) == ["third"]
    for width, frames in seen.frames.items():
        assert max(len(line) for lines in frames for line in lines) <= width
        # Stages train at the same time; those that are called the same bear the names of their recipes.
        both = next(f for f in frames if sum(bool(re.search(r" [12]/2 ", line)) for line in f) == 2)
        assert both[0].split()[:5] == ["work", "where", "step", "loss", "tok/s"]
        lines = [line for line in both if " 1/2 " in line or " 2/2 " in line]
        first, other = sorted(lines)
        assert re.match(r"first:leaf +node-[ab] gpu [01] +(━+─* +)?[12]/2 +\d\.\d{4}", first)
        assert re.match(r"twig +node-[ab] gpu [01] +", other)
        assert ("━" in first) == (width == 140)
        assert re.match(r"\d under way, \d done, \d+ to come · .*left", both[-1])


def test_a_log_tells_what_begins_goes_on_and_ends(seen: Seen) -> None:
    log = seen.log
    assert "train trunk (node-a gpu 0): begun\n" in log
    assert re.search(r"train trunk \(node-a gpu 0\): step 2/2  loss \d\.\d{4}  [\d,]+ tok/s  .*ETA 0:00\n", log)
    assert re.search(r"train trunk \(node-a gpu 0\): done in [\d.]+ s, loss \d\.\d{4} -> \d\.\d{4}\n", log)
    assert re.search(r"base on letters \(node-a gpu 1\): done in [\d.]+ s, \d+\.\d ± \d+\.\d acc\n", log)
    assert re.search(
        r"note: train leaf of second: its worker on node-\S+ gpu \d is gone \(it was killed\); another", log
    )
    assert re.search(r"train third:leaf \(node-[ab] gpu [01]\): failed after [\d.]+ s: .*loss", log)
    # Afterwards the results, each once, as a local run tells them.
    assert "cached" not in log and "trained already" not in log
    assert len(re.findall(r"^  trunk done in .* on node-a.here gpu 0: loss", log, re.M)) == 1
    assert len(re.findall(r"^  leaf done in", log, re.M)) == 2
    assert len(re.findall(r"^  base on letters: ", log, re.M)) == 1
    assert len(re.findall(r"^  trunk <- ", log, re.M)) == 1, "what pipelines share is checked in each, and told once"


def test_the_summary_counts_what_was_measured(seen: Seen) -> None:
    fleet = seen.console.fleet.whole
    assert {host: use.seconds for host, use in fleet.hosts.items() if use.seconds} == pytest.approx(dict(seen.spent))
    assert fleet.hosts["node-a.here"].most == 2 and fleet.hosts["node-b.here"].most == 1
    assert (fleet.lost, fleet.failed, fleet.done) == (1, 1, 13)
    (head,) = re.findall(r"^workers: .*$", seen.log, re.M)
    assert re.match(r"workers: 13 works and 1 that failed in [\d.]+ s", head)
    assert re.search(r"of GPU time on 3 GPUs, \d+ % busy, \d\.\d at a time\n    node-a.here: .* on 2 GPUs", seen.log)
    assert "1 worker lost: begun again from the last checkpoint" in seen.log


def test_a_trained_stage_stays_so_while_it_is_scored(seen: Seen) -> None:
    """By several workers at a time, of which one may be lost."""
    for before, after in pairwise(seen.lives):
        for name, live in before.items():
            done = {stage for stage, state in live.state.stages.items() if state.doing == "done"}
            assert all(after[name].state.stages[stage].doing == "done" for stage in done)
    assert not any(
        s.doing == "scoring" for lives in seen.lives for live in lives.values() for s in live.state.stages.values()
    )
    state = RunState(stages={"sft": StageState("sft", "sft", doing="done")})
    score: Any = Work("score", "sft", "k" * 64, None, {}, task="letters")  # type: ignore[arg-type]
    for change in (
        lambda: afar.began(state, score, PLACES[0], 1.0),
        lambda: afar.lost(state, score),
        lambda: afar.ended(state, score, 1.0, None),
    ):
        change()
        assert state.stages["sft"].doing == "done"


def test_hours_are_seconds_times_devices() -> None:
    fleet = Fleet(0.0, 10.0, 3610.0, done=3, hosts={"a": HostUse(5400.0, 2, True), "b": HostUse(1800.0, 1, True)})
    assert summary(fleet, 1e9) == [
        "workers: 3 works in 1:00:00; the first began after 10 s",
        "  2.00 GPU hours on 3 GPUs, 67 % busy, 2.0 at a time",
        "    a: 1.50 GPU hours on 2 GPUs, 75 % busy",
        "    b: 0.50 GPU hours on 1 GPU, 50 % busy",
    ]
    assert summary(Fleet(0.0), 5.0) == []


def test_the_live_files_of_all_recipes_move_at_once(seen: Seen) -> None:
    assert all(live.keys() == {"first", "second", "third"} for live in seen.lives)
    together = [
        {name: live.state.stages["leaf"] for name, live in lives.items()}
        for lives in seen.lives
        if sum(live.state.stages["leaf"].doing == "training" for live in lives.values()) == 2
    ]
    assert together, "two recipes' files tell of training at the same moment"
    assert len({stage.where for stage in together[-1].values() if stage.doing == "training"}) == 2
    assert any(stage.step and stage.tokens_per_second for stage in together[-1].values())
    # The trunk, which all share, moves in each of them.
    assert {live.state.stages["trunk"].step for live in seen.lives[1].values()} == {2}
    ended = {name: read_live(seen.store, name) for name in ("first", "second", "third")}
    assert {name: live and live.state.outcome for name, live in ended.items()} == {
        "first": "finished",
        "second": "finished",
        "third": "failed",
    }
    state = ended["first"].state if ended["first"] else RunState()
    assert state.stages["twig"].doing == "done" and state.stages["twig"].where.startswith("node-")
    assert [row["step"] for row in state.stages["twig"].series.rows] == [1, 2], "the curves of the workers are kept"
    assert state.scores.keys() == {"base", "trunk", "twig"}, "the last pipeline of a recipe is shown, as ever"
    assert any(live["first"].state.stages.keys() == {"trunk", "leaf", "twig"} for live in seen.lives)
    assert state.fleet is not None and state.fleet.done == 1 + 3 * 3 and state.fleet.ended is not None


def test_the_page_shows_works_and_places(seen: Seen, tmp_path: Path) -> None:
    live = next(found["first"] for found in seen.lives if found["first"].state.stages["leaf"].step == 1)
    data = with_live(None, live, live.state.updated, {"utilization.gpu": "50"}, 5)
    assert data.now is not None and data.now.headline.startswith("Workers: ")
    (work,) = [work for work in data.now.works if work.name.endswith("leaf")]
    assert work.where.startswith("node-") and work.step == "1 of 2" and work.doing == "trains"
    facts = dict(data.now.facts)
    assert "GPU time" in facts and "GPU at work" not in facts, "the GPU of this machine is not the workers'"
    assert {stage.name: bool(stage.where) for stage in data.now.stages} == {"trunk": True, "leaf": True, "twig": True}
    write(data, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<caption>Workers" in page and work.where in page


def test_status_tells_what_other_hosts_do(seen: Seen, tmp_path: Path, monkeypatch: Any) -> None:
    """Two files of runs that go on elsewhere, one of a host that is gone, and a process that only plans."""
    store, record = Store(tmp_path), LiveRecord(seen.store, lambda text: None)
    for name, host in (("first", "node-x"), ("second", "node-x"), ("third", "node-gone")):
        record._holder = Holder(77, host, "2026-11-30T10:00:00+00:00")
        record.store, record.state, record._begun = store, seen.lives[-1][name].state, True
        for folder in ("live", "locks"):
            (tmp_path / folder).mkdir(exist_ok=True)
        record._write()
    working = [
        Lease(Holder(77, "node-x", "2026-11-30T10:00:00+00:00"), {"name": "first"}),
        Lease(Holder(5, "node-y", "2026-11-30T10:00:00+00:00"), None),
    ]
    found = at_work(store, working)
    assert [one.runs for one in found if one.lost] == [("third",)]
    training = [one for one in found if one.doing.endswith("leaf")]
    assert training and all(one.host.startswith("node-") and one.device for one in training)
    assert [one.doing for one in found if one.holder.pid == 5] == ["plans, or prepares data"]

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(house.Out, "soft_wrap", False)
    monkeypatch.setattr(house.Out, "_width", 80)
    with redirect_stdout(io.StringIO()) as said:
        house.print_at_work(found, max(one.wrote or 0.0 for one in found) + 3)
    assert max(map(len, said.getvalue().splitlines())) <= 80
    assert re.search(r"leaf +[12]/2 +[\d.]+ s +3\.0 s ago", said.getvalue())
    assert "lost: its process" in said.getvalue()


@given(st.integers(20, 200), st.integers(0, 40), st.integers(4, 60), st.booleans())
def test_a_display_of_workers_fits(width: int, number: int, height: int, plain: bool) -> None:
    fleet = Fleet(began=0.0, first=1.0, waiting=3, eta_seconds=60.0)
    for i in range(number):
        work = WorkState("train", f"a_stage_with_a_name_{i}", "", f"a-host-{i}.of.a.cluster", "gpu 0", 1, 5.0)
        work.done, work.total, work.loss, work.eta_seconds = i, 1000, 10.0**i, 30.0 * i
        fleet.works[str(i)] = work
    lines = fleet_frame(fleet, width, 10.0, height, ascii_only=plain)
    assert all(line.cell_len <= width for line in lines)
    assert len(lines) <= max(4, min(height, MOST + 2))
    if number > min(MOST, height - 2):
        assert f"and {number - (len(lines) - 3)} more" in lines[-2].plain
        assert width < 100 or f"name_{number - 1} " in lines[-3].plain, "those with the most time left are shown"
    else:
        assert width < 60 or sum("/1,000" in line.plain for line in lines) == number
