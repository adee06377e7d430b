"""Processes of three pretended hosts that fight for one workspace, and are killed, stopped and continued at random.

HAMMER_SECONDS: how long each fight takes (30). HAMMER_SEED: of the random choices (0).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from statllama.store import Store, beats, hold, leases
from statllama.store.canonical import digest
from statllama.store.files import read_json, write_json
from statllama.store.holder import LostError
from statllama.store.working_folder import CHECKPOINTS, SEAL
from tests.store.test_hosts import NoLock

pytestmark = [pytest.mark.hammer, pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")]
FORK = multiprocessing.get_context("fork")
SECONDS = float(os.environ.get("HAMMER_SECONDS", "30"))
SEED = int(os.environ.get("HAMMER_SEED", "0"))
STEPS, FILES = 4, 4


@pytest.fixture
def folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


def make(store: Store, key: str, own: hold.Hold, rng: random.Random) -> None:
    """Work as a stage does: checkpoints, then files; it goes on from the newest checkpoint. Every file is by one hold,
    and nothing of another's is ever found in its folder but sealed checkpoints.
    """
    out, work = store.fresh_out("results", key), store.partial("results", key, {"name": "a"})
    assert not list(out.iterdir())
    sealed = sorted(int(path.parent.name) for path in (work / CHECKPOINTS).glob(f"*/{SEAL}"))
    for step in range((sealed or [0])[-1] + 1, STEPS + 1):
        checkpoint = work / CHECKPOINTS / str(step)
        checkpoint.mkdir(parents=True, exist_ok=True)
        for name in "ab":
            (checkpoint / name).write_text(own.token)
            time.sleep(rng.uniform(0, 0.03))
        if own.lost():
            own.require()
        own.require()
        write_json(checkpoint / SEAL, {"by": own.token})
        for name in "ab":
            assert (checkpoint / name).read_text() == own.token, "two writers of one folder"
    for number in range(FILES):
        (out / str(number)).write_text(own.token)
        time.sleep(rng.uniform(0, 0.03))
    for path in (work / CHECKPOINTS).glob(f"*/{SEAL}"):
        assert {(path.parent / name).read_text() for name in "ab"} == {read_json(path)["by"]}, "a mixed checkpoint"
    assert {path.read_text() for path in out.iterdir()} == {own.token}, "two writers of one folder"
    store.publish("results", key, {"by": own.token})


def worker(root: Path, host: str, log: Path, seed: int, locks: bool) -> None:
    """Make entries of rising number until killed, and write down what became of each."""
    socket.gethostname = lambda: host
    if not locks:
        hold.FileLock = leases.FileLock = NoLock  # type: ignore[misc]
    store, rng = Store(root), random.Random(seed)
    with log.open("a", buffering=1) as lines:

        def tell(*words: object) -> None:
            lines.write(json.dumps(words) + "\n")

        for number in range(10**6):
            key = digest(number)
            while store.find("results", key) is None:
                try:
                    with store.hold("results", key) as own:
                        if store.find("results", key) is None:
                            make(store, key, own, rng)
                            tell("published", number, own.token)
                except LostError as error:
                    tell("lost", number, str(error))
                except BaseException as error:
                    tell("failed", number, f"{type(error).__name__}: {error}")
                    raise


@pytest.mark.parametrize("locks", [True, False], ids=["flock", "no flock"])
def test_one_writer_whatever_happens(folder: Path, locks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beats, "EVERY", 0.25)
    monkeypatch.setattr(beats, "EXPIRY", 0.8)
    rng, store, count = random.Random(SEED), Store(folder / "w"), 0
    (folder / "logs").mkdir()

    def start(host: str) -> object:
        nonlocal count
        count += 1
        log = folder / "logs" / f"{count}-{host}"
        process = FORK.Process(target=worker, args=(store.root, host, log, SEED + count, locks), daemon=True)
        process.start()
        return process

    running = {host: [start(host) for _ in range(2)] for host in "ABC"}
    stopped: list[tuple[float, int]] = []
    deadline = time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline:
            time.sleep(rng.uniform(0, 0.25))
            places = [(host, index) for host in "ABC" for index in range(2)]
            at_work = [place for place in places if running[place[0]][place[1]].pid in holders(store)]
            host, index = rng.choice(at_work or places) if rng.random() < 0.7 else rng.choice(places)
            process = running[host][index]
            assert process.exitcode in (None, -signal.SIGKILL), "a worker failed"
            if rng.random() < 0.2:
                process.kill()
                process.join()
                stopped = [entry for entry in stopped if entry[1] != process.pid]
                running[host][index] = start(host)
            elif process.pid not in [pid for _, pid in stopped] and len(stopped) < 4:
                os.kill(process.pid, signal.SIGSTOP)
                stopped.append((time.monotonic() + rng.uniform(0, 3), process.pid))
            for until, pid in list(stopped):
                if time.monotonic() > until:
                    os.kill(pid, signal.SIGCONT)
                    stopped.remove((until, pid))
        for _, pid in stopped:
            os.kill(pid, signal.SIGCONT)
        time.sleep(2)
    finally:
        for process in (process for processes in running.values() for process in processes):
            process.kill()
            process.join()
    report(store, folder)


def holders(store: Store) -> set[int | None]:
    """The processes that hold something."""
    names = [path.stem for path in store.listed("locks") if path.suffix == hold.CLAIMS]
    return {claim.holder.pid for name in names for claim in hold.claims(store.root / "locks", name)}


def report(store: Store, folder: Path) -> None:
    """What is published is whole, by one hold, and who says to have published has; the rest has the right error."""
    said = [json.loads(line) for log in (folder / "logs").iterdir() for line in log.read_text().splitlines()]
    print(Counter(kind for kind, *_ in said))
    assert [line for line in said if line[0] == "failed"] == []
    entries = store.entries("results")
    for entry in entries:
        store.verify("results", entry.key)
        assert {path.read_text() for path in entry.path.iterdir() if path.name.isdigit()} == {entry.manifest["by"]}
    by = {entry.key: entry.manifest["by"] for entry in entries}
    for kind, number, words in said:
        if kind == "published":
            assert by[digest(number)] == words, "who published was not the one that is there"
        else:
            assert "has taken over" in words and "nothing of this process was published" in words
    published = [number for kind, number, _ in said if kind == "published"]
    assert len(published) == len(set(published))
    assert len(by) > SECONDS / 8, "it went on"
    assert {digest(number) for number in range(len(by))} == set(by), "without gaps"
