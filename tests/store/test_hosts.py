"""A workspace that several hosts share: who holds a lock, who takes over, and what a process that comes back may do.

Hosts are children under other names, with short beats; once they are real namespaces. They are stopped (SIGSTOP), as a
host that is frozen or cut off, and go on.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from filelock import FileLock

from statllama.errors import StatllamaError, StoreError
from statllama.runs.house.clearing import stock_of, sweep
from statllama.store import Holder, Store, beats, hold, holder, leases
from statllama.store.canonical import digest
from statllama.store.files import write_json
from statllama.store.hold import claims
from statllama.store.holder import HeldError, LostError
from statllama.store.working_folder import CHECKPOINTS, SEAL, folders_of, take_over
from tests.conftest import REPO
from tests.store.test_store import kill_at

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
FORK = multiprocessing.get_context("fork")
KEY, OTHER = digest("one"), digest("two")
EVERY, EXPIRY = 0.25, 0.8  # a watcher looks every 0.1 s


@pytest.fixture(autouse=True)
def _short_beats(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(beats, "EVERY", EVERY)
    monkeypatch.setattr(beats, "EXPIRY", EXPIRY)
    yield
    while On.all:  # one that is stopped would keep this process from its end
        On.all.pop().kill()


@pytest.fixture
def store() -> Iterator[Store]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Store(Path(folder) / "workspace")


class On:
    """A child on a host of this name. `act(ready)` runs there; `said` is what it returned, or the error it raised."""

    all: ClassVar[list[On]] = []

    def __init__(self, host: str, act: Callable[[Callable[[], None]], Any], machine: str = "") -> None:
        self._ready, self.release = FORK.Event(), FORK.Event()
        self._receive, send = FORK.Pipe(duplex=False)

        def run() -> None:
            import socket

            socket.gethostname = lambda: host
            if machine:
                holder.machine = lambda: machine  # type: ignore[assignment]
            signal.alarm(60)
            try:
                send.send(act(self._go))
            except StatllamaError as error:
                send.send(error)

        self.process = FORK.Process(target=run)
        self.process.start()
        send.close()
        On.all.append(self)

    def _go(self) -> None:
        """Tell that it is ready, and go on when the parent says so."""
        self._ready.set()
        self.release.wait(30)

    def ready(self) -> On:
        assert self._ready.wait(10)
        return self

    def signal(self, number: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def said(self) -> Any:
        self.release.set()
        found = self._receive.recv() if self._receive.poll(30) else pytest.fail("it does not end")
        self.process.join(10)
        return found

    def kill(self) -> None:
        self.process.kill()
        self.process.join(10)


def made(store: Store, by: str, pause: Callable[[], None] = lambda: None, key: str = KEY) -> str:
    """Make and publish an entry as a stage does; who made what is there afterwards."""
    with store.hold("results", key):
        if store.find("results", key) is None:
            work, out = store.partial("results", key), store.fresh_out("results", key)
            (out / "a").write_text(by)
            with (work / "open").open("a") as file:
                pause()
                file.write(by)
                file.flush()
            (out / "b").write_text(by)
            store.publish("results", key, {"by": by})
    return whole(store, key)


def whole(store: Store, key: str = KEY) -> str:
    """Who made the entry, all of which is by one."""
    entry = store.verify("results", key)
    assert (entry.path / "a").read_text() == (entry.path / "b").read_text() == entry.manifest["by"]
    return str(entry.manifest["by"])


# --- taking over


def test_a_frozen_holder_is_taken_over_and_publishes_nothing(store: Store) -> None:
    one = On("A", lambda go: made(store, "one", go)).ready()
    one.signal(signal.SIGSTOP)
    began = time.monotonic()
    two = On("B", lambda go: made(store, "two"))
    assert two.said() == "two" and time.monotonic() - began >= EXPIRY
    one.signal(signal.SIGCONT)
    error = one.said()
    assert isinstance(error, LostError)
    assert f"has taken over results/{KEY} from this process" in str(error)
    assert "nothing of this process was published" in str(error) and "run the same command again" in str(error)
    assert whole(store) == "two"
    assert left(store) == set()


def left(store: Store) -> set[str]:
    """What is left in partial/ and locks/, but for lock files."""
    store.prune_partial()
    return {p.name for p in (*store.listed("partial"), *store.listed("locks")) if p.suffix != ".lock"}


def test_who_took_over_is_named_while_it_is_at_work(store: Store) -> None:
    one = On("A", lambda go: made(store, "one", go)).ready()
    one.signal(signal.SIGSTOP)
    two = On("B", lambda go: made(store, "two", go)).ready()
    one.signal(signal.SIGCONT)
    assert f"process {two.process.pid} on B since 20" in str(one.said())
    assert two.said() == "two"


def test_a_stopped_process_of_this_host_keeps_its_lock(store: Store) -> None:
    one = On("A", lambda go: made(store, "one", go)).ready()
    one.signal(signal.SIGSTOP)
    two = On("A", lambda go: made(store, "two"))
    time.sleep(2 * EXPIRY)
    assert store.find("results", KEY) is None and two.process.is_alive()
    one.signal(signal.SIGCONT)
    assert one.said() == "one" and two.said() == "one"


def test_a_process_that_proc_hides_keeps_its_lock(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store.writable(f"locks/results-{KEY}.held") / "0.json"
    me = asdict(Holder.here("0"))
    monkeypatch.setattr("statllama.store.holder._in_proc", lambda pid: False)  # /proc with hidepid, of another user's
    monkeypatch.setattr("statllama.store.holder._start_ticks", lambda pid: None)
    path.write_text(beats.beating(me))
    with pytest.raises(HeldError, match=f"process {os.getpid()} on"), store.hold("results", KEY, wait=False):
        pass
    assert path.exists() and Holder(**me).alive()
    path.write_text(beats.beating({**me, "pid": 2**22 + 1}))  # more than there are
    with store.hold("results", KEY, wait=False):
        assert not path.exists()


def test_containers_of_one_name_are_two_hosts(store: Store) -> None:
    """Their process ids count in namespaces of their own: one's may be those of other processes in the other."""
    one = On("A", lambda go: made(store, "one", go), machine="boot:1").ready()
    one.signal(signal.SIGSTOP)
    assert On("A", lambda go: made(store, "two"), machine="boot:2").said() == "two"
    one.signal(signal.SIGCONT)
    assert isinstance(one.said(), LostError)


def test_a_killed_holder_of_another_host_is_waited_for_and_told(store: Store) -> None:
    """Its lock is free at once; only its beat tells that it is gone, not that it is cut off."""
    one = On("A", lambda go: made(store, "one", go)).ready()
    one.kill()
    with (
        pytest.raises(
            HeldError, match=rf"process {one.process.pid} on A since(.|\n)*if its host is gone, this is free"
        ),
        store.hold("results", KEY, wait=False),
    ):
        pass
    seen: list[Holder] = []
    began = time.monotonic()
    with store.hold("results", KEY, on_wait=seen.append):
        assert time.monotonic() - began >= EXPIRY - 0.3  # the first look counts
    assert [holder.host for holder in seen] == ["A"]


def test_what_is_released_is_free_on_all_hosts_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beats, "EXPIRY", 30)
    for host in "ABA":
        began = time.monotonic()
        assert On(host, lambda go, host=host: made(store, host, key=digest(time.time()))).said() == host
        assert time.monotonic() - began < 5


class NoLock(FileLock):
    """A lock that excludes nobody, as on an NFS mount with `nolock`."""

    def acquire(self, *_: Any, **__: Any) -> Any:
        return None

    def release(self, *_: Any, **__: Any) -> None:
        pass


@pytest.mark.parametrize("hosts", ["AB", "AA"])
def test_without_file_locks_claims_exclude(store: Store, hosts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (hold, leases):
        monkeypatch.setattr(module, "FileLock", NoLock)
    one = On(hosts[0], lambda go: made(store, "one", go)).ready()
    two = On(hosts[1], lambda go: made(store, "two"))
    time.sleep(2 * EXPIRY)
    assert store.find("results", KEY) is None
    assert one.said() == "one" and two.said() == "one"
    gate = On("A", lambda go: entered(store, go)).ready()
    other = On("B", lambda go: entered(store, lambda: None))
    time.sleep(0.3)
    assert gate.said()[1] <= other.said()[0], "the gate lets one in at a time"


def entered(store: Store, pause: Callable[[], None]) -> tuple[float, float]:
    with leases.gate(store):
        began = time.monotonic()
        pause()
        return began, time.monotonic()


def test_what_can_be_gone_on_from_is_taken_over_and_nothing_is_shared(store: Store) -> None:
    def work(go: Callable[[], None]) -> Any:
        with store.hold("results", KEY):
            folder = store.partial("results", KEY, {"kind": "adapter", "name": "a"})
            store.fresh_out("results", KEY)
            for step, sealed in ((2, True), (4, False)):
                checkpoint = folder / CHECKPOINTS / f"checkpoint-{step}"
                checkpoint.mkdir(parents=True)
                (checkpoint / "state").write_text("x")
                if sealed:
                    write_json(checkpoint / SEAL, {})
            with (folder / "answers").open("a") as answers:
                answers.write("one\n")
                answers.flush()
                go()
                answers.write("late\n")
                answers.flush()
            with suppress(OSError):
                (folder / CHECKPOINTS / "checkpoint-4" / SEAL).write_text("late")
            with suppress(OSError):
                os.rename(folder / "out", store.root / "results" / KEY)
            store.partial("results", KEY)
        return "never"

    one = On("A", work).ready()
    one.signal(signal.SIGSTOP)
    assert store.unfinished("results", KEY)
    with store.hold("results", KEY):
        folder = store.partial("results", KEY)
        one.signal(signal.SIGCONT)
        assert isinstance(one.said(), LostError)
        assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()) == [
            "about.json", "answers", "checkpoints/checkpoint-2/sealed.json", "checkpoints/checkpoint-2/state",
        ]  # fmt: skip
        assert (folder / "answers").read_text() == "one\n"
        assert store.find("results", KEY) is None
    assert store.unfinished("results", KEY)
    with store.hold("results", KEY):  # the same after a release
        assert (store.partial("results", KEY) / "answers").read_text() == "one\n"


def test_a_kill_while_work_is_taken_over_loses_none_of_it(store: Store) -> None:
    partial, entry = store.root / "partial", f"results-{KEY}"

    def lay() -> None:
        shutil.rmtree(partial, ignore_errors=True)
        for token, step in (("a1", 2), ("b2", 4)):
            checkpoint = partial / f"{entry}.{token}" / CHECKPOINTS / f"checkpoint-{step}"
            checkpoint.mkdir(parents=True)
            (checkpoint / SEAL).write_text("{}")
            (checkpoint.parent.parent / f"of-{token}").write_text("kept")

    step = 1
    while True:
        lay()
        killed = kill_at(step, lambda: take_over(partial, entry, "c3"))
        take_over(partial, entry, "d4")
        (folder,) = folders_of(partial, entry)
        assert folder.name == f"{entry}.d4"
        assert {p.parent.name for p in folder.glob(f"{CHECKPOINTS}/*/{SEAL}")} == {"checkpoint-2", "checkpoint-4"}
        assert {p.name: p.read_text() for p in folder.glob("of-*")} == {"of-a1": "kept", "of-b2": "kept"}
        if not killed:
            break
        step += 1
    assert step > 20


def test_a_kill_while_a_lock_is_taken_or_released_blocks_nobody(store: Store) -> None:
    def take() -> None:
        with store.hold("results", KEY):
            pass

    take()
    step = 1
    while kill_at(step, take):
        began = time.monotonic()
        take()
        assert time.monotonic() - began < EXPIRY
        step += 1
    assert step > 10
    leases.clear_locks(store, frozenset())
    assert store.listed("locks") == []


def test_a_claim_that_a_power_cut_left_unreadable_expires(store: Store) -> None:
    folder = store.root / "locks" / f"results-{KEY}.held"
    folder.mkdir(parents=True)
    (folder / "0123.json").write_bytes(b"\0" * 50)
    assert made(store, "me") == "me"


def test_rubbish_in_the_place_of_a_claim_does_not_block(store: Store) -> None:
    """As NFS leaves a deleted file while its own host reads it."""
    folder = store.root / "locks" / f"results-{KEY}.held"
    folder.mkdir(parents=True)
    (folder / ".nfs0001").write_text("x")
    assert made(store, "me") == "me"


# --- earlier versions


def test_a_holder_of_an_earlier_version_is_respected_and_can_be_freed(store: Store) -> None:
    path = store.writable("locks") / f"results-{KEY}.lock"
    new = ("machine", "token", "freed_by")
    old = {name: value for name, value in asdict(Holder.here()).items() if name not in new}
    write_json(path.with_suffix(".json"), {**old, "host": "far", "pid": 7})
    with FileLock(path):
        with pytest.raises(HeldError) as caught, store.hold("results", KEY, wait=False):
            pass
        assert "process 7 on far" in str(caught.value)
        assert f"with an earlier version of statllama; if that host is gone, delete {path}" in str(caught.value)
        threading.Timer(0.3, path.unlink).start()
        assert made(store, "me") == "me"


# --- beats


def test_only_time_in_which_the_watcher_looked_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was stopped, or hung with the file server, must not find that all others are gone."""
    now = [100.0]
    monkeypatch.setattr(beats, "EVERY", 10.0)
    monkeypatch.setattr(beats, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def look(after: float, beat: str = "1") -> float:
        now[0] += after
        return beats.silence(Path("/x/token.json"), beat)

    assert [look(0), look(1), look(1), look(3600), look(2)] == [0, 1, 2, 7, 9]
    assert [look(1, "2"), look(1, "2")] == [0, 1]
    beats.forget(Path("/x/token.json"))


def threads() -> int:
    return sum(thread.name == "statllama-beats" for thread in threading.enumerate())


def test_one_thread_beats_for_all_and_ends_with_the_last(store: Store) -> None:
    def beat() -> str:
        return claims(store.root / "locks", f"results-{KEY}")[0].beat

    with store.hold("results", KEY), store.hold("results", OTHER), leases.working(store):
        assert threads() == 1
        first = beat()
        deadline = time.monotonic() + 10
        while beat() == first:
            assert time.monotonic() < deadline
        pid = os.fork()
        if pid == 0:  # a child holds nothing of what its parent does, and beats for its own
            with Store(store.root).hold("results", digest("of the child")):
                os._exit(0 if threads() == 1 and hold.held(store.root / "locks", f"results-{KEY}") is None else 1)
        assert os.waitpid(pid, 0)[1] == 0
    deadline = time.monotonic() + 5
    while threads():
        assert time.monotonic() < deadline


def test_a_full_disk_does_not_stop_the_beats(small_disk: Path) -> None:
    store = Store(small_disk / "w")
    with store.hold("results", KEY):
        with suppress(OSError):
            (small_disk / "ballast").write_bytes(b"x" * 2**20)
        (before,) = claims(store.root / "locks", f"results-{KEY}")
        time.sleep(4 * EVERY)
        (after,) = claims(store.root / "locks", f"results-{KEY}")
        assert after.beat > before.beat


def test_a_lost_lock_is_noticed_without_asking(store: Store) -> None:
    def work() -> None:
        with store.hold("results", KEY) as own:
            assert not own.lost()
            own.path.unlink()
            deadline = time.monotonic() + 5
            while not own.lost():
                assert time.monotonic() < deadline

    with pytest.raises(LostError, match="another process, which has ended since, has taken over"):
        work()


def test_odd_errors_of_one_that_lost_its_lock_are_that_error(store: Store) -> None:
    def fail(lost: bool) -> None:
        with store.hold("results", KEY) as own:
            if lost:
                own.path.unlink()
            raise RuntimeError("Parent directory does not exist")

    with pytest.raises(LostError):
        fail(lost=True)
    with pytest.raises(RuntimeError, match="does not exist"):
        fail(lost=False)


# --- leases of the workspace


@pytest.mark.parametrize("locks", [True, False])
def test_a_lease_of_another_host_counts_while_it_beats(
    store: Store, locks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not locks:
        monkeypatch.setattr(leases, "FileLock", NoLock)

    def work(go: Callable[[], None]) -> None:
        with leases.working(store):
            go()

    made(store, "me")
    one = On("A", work).ready()
    assert [lease.holder.host for lease in stock_of(store)[1]] == ["A"]
    with pytest.raises(StoreError, match=rf"process {one.process.pid} on A .* is planning a run"):
        sweep(store, {f"results/{KEY}"})
    one.signal(signal.SIGSTOP)
    time.sleep(EXPIRY + 0.3)
    assert [lease.holder.host for lease in leases.leases(store)] == ["A"], "nobody has watched it"
    assert stock_of(store)[1] == []
    seen: list[Holder] = []
    assert sweep(store, {f"results/{KEY}"}, seen.append).bytes > 0
    assert [holder.host for holder in seen] == ["A"]
    assert leases.leases(store) == []
    one.signal(signal.SIGCONT)
    deadline = time.monotonic() + 5
    while not leases.leases(store):  # it is there again
        assert time.monotonic() < deadline
    assert one.said() is None
    assert leases.leases(store) == [] and left(store) == set()


def test_gc_finds_out_whether_what_another_host_holds_is_free(store: Store) -> None:
    def work(go: Callable[[], None]) -> None:
        with store.hold("results", KEY):
            go()

    made(store, "me")
    one = On("A", work).ready()
    (stays,) = sweep(store, {f"results/{KEY}"}).held
    assert stays[1].host == "A"
    one.kill()
    assert sweep(store, {f"results/{KEY}"}).held == ()
    assert store.find("results", KEY) is None and left(store) == set()


# --- real namespaces

NAMESPACE = """
import socket, sys, time
from pathlib import Path
from statllama.store import Store, beats
beats.EVERY, beats.EXPIRY = 0.25, 0.8
store, key, by = Store(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
print(socket.gethostname(), flush=True)
try:
    with store.hold("results", key):
        out = store.fresh_out("results", key)
        (out / "a").write_text(by)
        print("holds", flush=True)
        sys.stdin.readline()
        (out / "b").write_text(by)
        store.publish("results", key, {"by": by})
except Exception as error:
    print(type(error).__name__, str(error).replace(chr(10), " "))
else:
    print("published")
"""


def test_between_two_namespaces(store: Store) -> None:
    """Two hosts with names and process ids of their own, on one folder."""

    def host(name: str) -> subprocess.Popen[str]:
        inside = 'hostname "$0" && exec "$@"'
        python = [sys.executable, "-c", NAMESPACE, str(store.root), KEY, name]
        return subprocess.Popen(
            ["unshare", "--uts", "--pid", "--fork", "--mount-proc", "sh", "-c", inside, name, *python],
            env={**os.environ, "PYTHONPATH": str(REPO)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    if (
        shutil.which("unshare") is None
        or subprocess.run(
            ["unshare", "--uts", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("making namespaces is not permitted here")
    one, two = host("alpha"), None
    try:
        assert one.stdout is not None and one.stdin is not None
        assert [one.stdout.readline() for _ in range(2)] == ["alpha\n", "holds\n"]
        (inner,) = Path(f"/proc/{one.pid}/task/{one.pid}/children").read_text().split()
        os.kill(int(inner), signal.SIGSTOP)
        two = host("beta")
        assert two.communicate("\n", timeout=30)[0].split() == ["beta", "holds", "published"]
        os.kill(int(inner), signal.SIGCONT)
        said = one.communicate("\n", timeout=30)[0]
        assert said.startswith("LostError ") and "nothing of this process was published" in said
    finally:
        for process in (one, two):
            if process is not None:
                process.kill()
                process.wait()
    assert whole(store) == "beta"
