"""rm, gc, status and earlier records: what a run reaches stays, all else can go, whatever is killed or at work."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statllama.errors import NotFoundError, StatllamaError, StoreError
from statllama.runs.house.clearing import at_work, removal, remove, stock_of, sweep, with_earlier
from statllama.runs.house.history import earlier, keep
from statllama.runs.house.inventory import size
from statllama.store import Store
from statllama.store.canonical import digest
from statllama.store.leases import leases, working
from tests.store.test_store import in_child, kill_at

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
FORK = multiprocessing.get_context("fork")
BASE, OTHER_BASE = {"model": {"content": "a"}}, {"model": {"content": "b"}}


@pytest.fixture
def store() -> Iterator[Store]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Store(Path(folder) / "workspace")


def publish(store: Store, where: Any, key: str, **manifest: Any) -> str:
    out = store.fresh_out(where, key)
    (out / "file").write_bytes(b"x" * 100)
    store.publish(where, key, {"name": "a", "recipe": "r", **manifest})
    return key


def result(store: Store, label: str) -> str:
    return publish(store, "results", digest(label))


def score(store: Store, stack: list[str], base: Any = BASE, task: str = "t") -> str:
    protocol = {"base": base, "stack": stack, "task": task}
    return publish(store, "scores", digest(protocol), kind="score", protocol=protocol, score={"task": task})


def checkpoint(store: Store, key: str) -> None:
    folder = store.partial("results", key) / "checkpoints" / "checkpoint-1"
    folder.mkdir(parents=True)
    (folder / "sealed.json").write_text("{}")


def record(name: str, keys: list[str], *, cache: tuple[str, ...] = (), base: Any = BASE) -> dict[str, Any]:
    """A chain of stages `s0`, `s1`, ... with these keys."""
    stages = {
        f"s{i}": {
            "type": "sft", "key": key, "below": keys[:i], "parents": [], "cache": list(cache),
            "material": {"base": base, "parents": keys[:i]},
        }
        for i, key in enumerate(keys)
    }  # fmt: skip
    return {"name": name, "order": list(stages), "stages": stages, "identity": base}


def everything(store: Store) -> set[str]:
    """Paths of all that is in a workspace, but for empty folders and the gate."""
    found = {p.relative_to(store.root).as_posix() for p in store.root.rglob("*") if p.is_file()}
    return found - {"locks/gate.lock"}


def collect(store: Store) -> set[str]:
    """Let `gc` delete all that it would; the places that went."""
    return {item.place for item in sweep(store, {item.place for item in stock_of(store)[0].orphans}).items}


# --- what is reached

chains = st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True)


@settings(max_examples=60)
@given(
    runs=st.dictionaries(st.sampled_from("abc"), st.tuples(chains, st.sets(st.integers(0, 2))), max_size=3),
    trained=st.sets(st.integers(0, 5)),
    scored=st.sets(
        st.tuples(st.lists(st.integers(0, 5), max_size=3, unique=True).map(tuple), st.booleans()), max_size=6
    ),
    cached=st.sets(st.integers(0, 2)),
    begun=st.sets(st.integers(0, 5)),
    litter=st.booleans(),
)
def test_gc_keeps_what_a_record_reaches_and_nothing_else(
    runs: dict[str, tuple[list[int], set[int]]],
    trained: set[int],
    scored: set[tuple[tuple[int, ...], bool]],
    cached: set[int],
    begun: set[int],
    litter: bool,
) -> None:
    """Against the definition: keys of the record, scores of stacks made of them, its base, its data."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        store = Store(Path(folder) / "w")
        keys = [digest(f"key {i}") for i in range(6)]
        data = [digest(f"data {i}") for i in range(3)]
        for name, (chain, given_data) in runs.items():
            cache = tuple(data[i] for i in given_data)
            store.write_run(name, record(name, [keys[i] for i in chain], cache=cache))
        expected = {f"runs/{name}.json" for name in runs}
        used = {i for chain, _ in runs.values() for i in chain}
        for i in trained:
            publish(store, "results", keys[i])
            expected |= {f"results/{keys[i]}/{f}" for f in ("file", "manifest.json")} if i in used else set()
        for i in begun - trained:
            checkpoint(store, keys[i])
            path = f"partial/results-{keys[i]}/checkpoints/checkpoint-1/sealed.json"
            expected |= {path} if i in used else set()
        for stack, of_base in scored:
            key = score(store, [keys[i] for i in stack], BASE if of_base else OTHER_BASE)
            in_chain = any(set(stack) <= set(chain) for chain, _ in runs.values())
            reached = in_chain if stack else of_base and bool(runs)
            expected |= {f"scores/{key}/{f}" for f in ("file", "manifest.json")} if reached else set()
        for i in cached:
            publish(store, "cache", data[i])
            if any(i in given_data for _, given_data in runs.values()):
                expected |= {f"cache/{data[i]}/{f}" for f in ("file", "manifest.json")}
        if litter:
            for path in ("partial/trash-1/x", "partial/import-1/x", "trackers/zz/s/x", "live/zz.json"):
                (store.root / path).parent.mkdir(parents=True, exist_ok=True)
                (store.root / path).write_text("{}")
            for name in runs:
                (store.root / "trackers" / name).mkdir(parents=True, exist_ok=True)
                (store.root / "trackers" / name / "x").write_text("")
                (store.root / "live" / f"{name}.json").write_text("{}")
                expected |= {f"trackers/{name}/x", f"live/{name}.json"}
        collect(store)
        assert everything(store) == expected
        assert collect(store) == set()
        for name in list(runs):  # then every run is taken away: nothing is left
            remove(store, [name], {item.place for item in removal(store, [name]).items})
        assert everything(store) == set()


def test_what_two_runs_share_stays_until_the_last_goes(store: Store) -> None:
    shared, own, other = result(store, "shared"), result(store, "own"), result(store, "other")
    store.write_run("one", record("one", [shared, own]))
    store.write_run("two", record("two", [shared, other]))
    scores = score(store, []), score(store, [shared]), score(store, [shared, own])
    going = removal(store, ["one"])
    assert {item.place for item in going.items} == {f"results/{own}", f"scores/{scores[2]}"}
    assert {(item.place, who) for item, who in going.shared} == {
        (place, ("two",)) for place in (f"results/{shared}", f"scores/{scores[0]}", f"scores/{scores[1]}")
    }
    assert stock_of(store)[0].of_run("one")[0] == sum(item.bytes for item in going.items)
    orphan = result(store, "orphan of another day")
    done = remove(store, ["one"], {item.place for item in going.items})
    assert done.bytes == sum(item.bytes for item in going.items)
    assert list(store.runs()) == ["two"]
    assert store.find("results", orphan) is not None, "rm takes what was the run's, no more"
    assert store.find("results", shared) is not None
    remove(store, ["two"], {item.place for item in removal(store, ["two"]).items})
    assert collect(store) == {f"results/{orphan}"}
    assert everything(store) == set()


def test_bytes_are_those_on_the_disk(store: Store) -> None:
    key = result(store, "a")
    store.write_run("one", record("one", [key]))
    checkpoint(store, digest("b"))
    stock = stock_of(store)[0]
    assert {item.place: item.bytes for item in stock.items} == {
        item.place: sum(p.stat().st_size for p in (store.root / item.place).rglob("*") if p.is_file())
        for item in stock.items
    }
    assert size(store.root) == sum(p.stat().st_size for p in store.root.rglob("*") if p.is_file())


def test_nothing_goes_that_was_not_shown(store: Store) -> None:
    store.write_run("one", record("one", [result(store, "a")]))
    shown = {item.place for item in removal(store, ["one"]).items}
    late = score(store, [digest("a")])
    remove(store, ["one"], shown)
    assert store.find("scores", late) is not None
    assert sweep(store, set()).items == ()
    assert store.find("scores", late) is not None


def test_an_entry_of_a_later_version_is_left_alone(store: Store) -> None:
    key = result(store, "a")
    path = store.root / "results" / key / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    assert collect(store) == set()
    assert path.exists()


def test_a_record_that_cannot_be_read_stops_gc(store: Store) -> None:
    key = result(store, "a")
    store.write_run("one", record("one", [key]))
    (store.root / "runs" / "one.json").write_text("{")
    with pytest.raises(StoreError, match=r"one\.json is not a record of a run"):
        sweep(store, {f"results/{key}"})
    assert store.find("results", key) is not None


def test_a_run_that_is_not_there(store: Store) -> None:
    store.write_run("gardener", record("gardener", []))
    with pytest.raises(NotFoundError, match=r"no run 'gardner' .* did you mean 'gardener'"):
        removal(store, ["gardner"])


# --- earlier records


def test_other_settings_keep_the_earlier_record(store: Store) -> None:
    one, two = result(store, "1"), result(store, "2")
    first = keep(store, record("g", [one]))
    assert keep(store, record("g", [one])) == first, "the same settings add none"
    assert list(store.runs()) == ["g"]
    keep(store, record("g", [two]))
    assert store.last_run("g")["stages"]["s0"]["key"] == two
    assert store.last_run("g@1") == {**first, "name": "g@1"}
    keep(store, record("g", [two, result(store, "3")]))  # a stage more
    assert list(earlier(store, "g")) == ["g@1", "g@2"]
    keep(store, record("g", [one]))
    keep(store, record("g", [two]))  # back and forth: each setting is kept once
    keep(store, record("g", [one]))
    assert len(earlier(store, "g")) == 3
    assert collect(store) == set()
    remove(store, ["g@3"], ())
    keep(store, record("g", [result(store, "4")]))
    keep(store, record("g", [result(store, "5")]))
    assert "g@3" not in store.runs(), "no number is given twice"
    assert set(with_earlier(store, ["g"])) == set(store.runs())


def test_what_was_never_trained_is_not_kept(store: Store) -> None:
    keep(store, record("g", [digest("never")]))
    keep(store, record("g", [digest("nor this")]))
    assert list(store.runs()) == ["g"]
    checkpoint(store, digest("nor this"))
    keep(store, record("g", [digest("next")]))
    assert list(store.runs()) == ["g", "g@1"], "a checkpoint is worth keeping"


def test_a_part_of_the_run_is_the_same_run(store: Store) -> None:
    """`--until`: what it does not reach stays, unless something below it changed."""
    one, two = result(store, "1"), result(store, "2")
    keep(store, record("g", [one, two]))
    part = record("g", [one, two])
    del part["stages"]["s1"]
    assert keep(store, part)["stages"]["s1"]["key"] == two
    changed = record("g", [result(store, "3"), two])
    del changed["stages"]["s1"]
    assert set(keep(store, changed)["stages"]) == {"s0"}
    assert set(store.last_run("g@1")["stages"]) == {"s0", "s1"}


def test_two_processes_with_one_name_keep_both_records(store: Store) -> None:
    """The first has trained nothing yet when the second begins, and its later stages change their keys."""
    with working(store) as lease:
        own = keep(store, record("g", [digest("1"), digest("2")]))
        lease.only(own)
        in_child(lambda: keep(store, record("g", [digest("other"), digest("another")])))
        assert list(store.runs()) == ["g", "g@1"]
        keep(store, record("g", [digest("1"), digest("2 on another parent")]), own)
        assert store.last_run("g")["stages"]["s0"]["key"] == digest("other")
        assert store.last_run("g@1")["stages"]["s1"]["key"] == digest("2 on another parent")


def test_a_kill_while_a_record_is_set_aside_loses_none(store: Store) -> None:
    one, two = result(store, "1"), result(store, "2")
    step = 1
    while True:
        for name in store.runs():
            store.remove_run(name)
        keep(store, record("g", [one]))
        killed = kill_at(step, lambda: keep(store, record("g", [two])))
        keys = [run["stages"]["s0"]["key"] for run in store.runs().values()]
        assert one in keys
        keep(store, record("g", [two]))
        assert {r["stages"]["s0"]["key"] for r in store.runs().values()} == {one, two}
        assert list(store.runs()) == ["g", "g@1"]
        if not killed:
            break
        step += 1
    assert step > 10


# --- other processes


def held_by_child(store: Store, action: Callable[[Any], None]) -> Any:
    """A child that does `action` with its lease and then waits to be killed."""
    ready = FORK.Event()

    def run() -> None:
        with working(store) as lease:
            action(lease)
            ready.set()
            time.sleep(60)

    child = FORK.Process(target=run)
    child.start()
    assert ready.wait(10)
    return child


def test_while_a_process_plans_nothing_goes(store: Store) -> None:
    key = result(store, "an orphan that its plan may find")
    store.write_run("one", record("one", [result(store, "b")]))
    child = held_by_child(store, lambda lease: None)
    for clear in (lambda: sweep(store, {f"results/{key}"}), lambda: remove(store, ["one"], ())):
        with pytest.raises(StoreError, match=rf"process {child.pid} on .* is planning a run"):
            clear()
    assert store.find("results", key) is not None and "one" in store.runs()
    child.kill()
    child.join()
    assert collect(store) == {f"results/{key}"}
    assert not [path for path in store.listed("locks") if path.name.startswith("lease-")]


def test_what_a_live_run_reaches_stays_whatever_becomes_of_its_record(store: Store) -> None:
    key, data = result(store, "a"), publish(store, "cache", digest("data"))
    own = record("one", [key, digest("to come")], cache=(data,))
    store.write_run("one", own)
    child = held_by_child(store, lambda lease: lease.only(own))
    with pytest.raises(StoreError, match="one is at work: process"):
        remove(store, ["one"], ())
    store.remove_run("one")
    checkpoint(store, digest("to come"))
    scores = score(store, [key])
    orphan = result(store, "orphan")
    assert collect(store) == {f"results/{orphan}"}
    child.kill()
    child.join()
    assert collect(store) == {
        f"results/{key}",
        f"cache/{data}",
        f"scores/{scores}",
        f"partial/results-{digest('to come')}",
    }


def test_a_live_run_is_known_by_the_name_its_record_has_now(store: Store) -> None:
    one, two = result(store, "1"), result(store, "2")
    own = keep(store, record("g", [one]))
    child = held_by_child(store, lambda lease: lease.only(own))
    keep(store, record("g", [two]))
    assert {run: holder.pid for run, holder in at_work(store, leases(store)).items()} == {"g@1": child.pid}
    with pytest.raises(StoreError, match="g@1 is at work: process"):
        remove(store, ["g@1"], ())
    remove(store, ["g"], ())
    child.kill()
    child.join()


def test_what_another_process_holds_is_named_and_stays(store: Store) -> None:
    key = result(store, "a")
    ready, end = FORK.Event(), FORK.Event()

    def hold() -> None:
        with store.hold("results", key):
            ready.set()
            end.wait(20)

    child = FORK.Process(target=hold)
    child.start()
    assert ready.wait(10)
    done = sweep(store, {f"results/{key}"})
    assert [(item.place, holder.pid) for item, holder in done.held] == [(f"results/{key}", child.pid)]
    assert store.find("results", key) is not None
    end.set()
    child.join()
    assert collect(store) == {f"results/{key}"}


def test_a_new_process_waits_until_gc_is_through(store: Store) -> None:
    """Between its look and its deletions no process can begin to rely on what goes."""
    from statllama.store.leases import gate

    with gate(store):
        started = FORK.Event()

        def work() -> float:
            started.set()
            with working(store):
                return time.monotonic()

        receive, send = FORK.Pipe(duplex=False)
        child = FORK.Process(target=lambda: send.send(work()))
        child.start()
        started.wait(10)
        time.sleep(0.3)
        assert leases(store) == [] and not receive.poll()
        freed = time.monotonic()
    assert receive.recv() >= freed
    child.join()


def test_many_processes_lose_nothing(store: Store) -> None:
    """Three plan, publish and record while gc runs all the time; each result that was recorded is there at the end."""
    stop = FORK.Event()

    def worker(number: int) -> None:
        draw = random.Random(number)
        for _ in range(12):
            keys = [digest(f"{draw.randrange(6)}"), digest(f"{number} {draw.randrange(4)}")]
            with working(store) as lease:
                found = [store.find("results", key) for key in keys]
                lease.only(keep(store, record(f"run{number}", keys)))
                for key, entry in zip(keys, found, strict=True):
                    if entry is not None:
                        store.verify("results", key)
                        continue
                    with store.hold("results", key):
                        if store.find("results", key) is None:
                            result_of(store, key)
                for key in keys:
                    store.verify("results", key)
        os._exit(0)

    def result_of(store: Store, key: str) -> None:
        publish(store, "results", key)

    def cleaner() -> None:
        while not stop.is_set():
            with suppress(StoreError):
                collect(store)
            for name in [run for run in store.runs() if "@" in run][:1]:
                with suppress(StatllamaError):
                    remove(store, [name], {item.place for item in removal(store, [name]).items})

    workers = [FORK.Process(target=worker, args=(i,)) for i in range(3)]
    cleaning = FORK.Process(target=cleaner)
    for child in (*workers, cleaning):
        child.start()
    for child in workers:
        child.join(60)
    stop.set()
    cleaning.join(30)
    assert [child.exitcode for child in (*workers, cleaning)] == [0, 0, 0, 0]
    for run in store.runs().values():
        for stage in run["stages"].values():
            store.verify("results", stage["key"])


def test_a_kill_at_any_moment_of_rm_and_gc_leaves_a_sound_store(store: Store) -> None:
    step = 1
    while True:
        shared, own, orphan = result(store, "shared"), result(store, "own"), result(store, "orphan")
        store.write_run("one", record("one", [shared, own]))
        store.write_run("two", record("two", [shared]))
        places = {item.place for item in removal(store, ["one"]).items}

        def both(places: set[str] = places) -> None:
            remove(store, ["one"], places)
            collect(store)

        killed = kill_at(step, both)
        store.verify("results", shared)
        for name in ("one",):
            if name in store.runs():
                store.verify("results", own)  # a record that is there has what it had
        for entry in store.entries("results"):
            store.verify("results", entry.key)
        if "one" in store.runs():
            remove(store, ["one"], places)
        collect(store)
        assert {entry.key for entry in store.entries("results")} == {shared}
        assert not store.listed("partial")
        assert orphan not in {entry.key for entry in store.entries("results")}
        if not killed:
            break
        step += 3
    assert step > 30


def test_a_full_disk_can_be_freed(small_disk: Path) -> None:
    store = Store(small_disk / "w")
    own, orphan = result(store, "own"), result(store, "orphan")
    store.write_run("one", record("one", [own]))
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(b"x" * 2**20)
    with pytest.raises(StoreError, match="no space is left"):
        store.write_run("two", {**record("two", [own]), "long": "x" * 10_000})
    assert collect(store) == {f"results/{orphan}"}
    assert remove(store, ["one"], {item.place for item in removal(store, ["one"]).items}).bytes > 0
    assert store.entries("results") == []


def test_status_hashes_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that it is quick whatever the size of the weights."""
    from statllama.cli.console.house import print_status

    key = result(store, "a")
    store.write_run("one", record("one", [key]))
    monkeypatch.setattr("statllama.store.content.file_sha256", lambda path: pytest.fail(f"hashed {path}"))
    monkeypatch.setattr("statllama.store.files.file_sha256", lambda path: pytest.fail(f"hashed {path}"))
    result_path = store.root / "results" / key / "manifest.json"
    manifest = json.loads(result_path.read_text())
    result_path.write_text(json.dumps({**manifest, "metrics": {"steps": 1, "loss": 1.0}, "created": "2026"}))
    print_status(store)
    assert "one" in capsys.readouterr().out
