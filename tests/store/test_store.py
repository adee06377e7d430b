"""The store: keys, atomic publishing under kill -9, locks between processes, full and read-only disks.

Children are forked and killed for real. With `kill_at` the kill points are exhaustive: Python's audit hook
fires before every file operation, and the child kills itself at the n-th.
"""

from __future__ import annotations

import errno
import json
import math
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from statllama.errors import StatllamaError, StoreError, UsageError
from statllama.store import Holder, Store
from statllama.store.canonical import canonical_json, digest
from statllama.store.files import file_sha256, translate_os_errors, write_json
from statllama.store.hold import claims
from statllama.store.store import SCHEMA_VERSION

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
FORK = multiprocessing.get_context("fork")
KEY, OTHER = digest("one"), digest("two")


@pytest.fixture
def store() -> Iterator[Store]:
    """An absent workspace, in memory where possible: hundreds of fsyncs on a busy disk take a minute."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Store(Path(folder) / "workspace")


def build(store: Store, key: str, size: int = 3000) -> None:
    """A working folder as a stage leaves it: two levels of files to publish, and a checkpoint."""
    out = store.fresh_out("results", key)
    (out / "adapter.bin").write_bytes(key.encode() * (size // 64))
    (out / "tokenizer").mkdir()
    (out / "tokenizer" / "vocab.json").write_text("{}")
    checkpoint = store.partial("results", key) / "checkpoints" / "checkpoint-5"
    checkpoint.mkdir(parents=True, exist_ok=True)
    (checkpoint / "state.bin").write_bytes(b"x" * 100)


def publish(store: Store, key: str, **manifest: Any) -> Path:
    build(store, key)
    return store.publish("results", key, manifest).path


def kill_at(step: int, action: Callable[[], object]) -> bool:
    """Run `action` in a child that kills itself before its `step`-th file operation; whether it got there."""
    pid = os.fork()
    if pid == 0:
        watched, seen = ("open", "os.", "shutil."), 0

        def hook(event: str, _args: object) -> None:
            nonlocal seen
            seen += event.startswith(watched)
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def visible_entries_are_whole(store: Store) -> int:
    folder = store.root / "results"
    names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    for name in names:
        store.verify("results", name)
    return len(names)


def in_child(action: Callable[[], object]) -> Any:
    """What `action` returns, or the StatllamaError it raises as text, from a forked child."""
    receive, send = FORK.Pipe(duplex=False)

    def run() -> None:
        try:
            send.send(action())
        except StatllamaError as exc:
            send.send(str(exc))

    child = FORK.Process(target=run)
    child.start()
    send.close()
    try:
        return receive.recv()
    finally:
        child.join()


# --- keys

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(), v, max_size=4))


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same value written differently: other key order, 1.0 for 1 and 1 for 1.0, tuples for lists."""
    if isinstance(value, dict):
        items = [(key, shuffled(item, rng)) for key, item in value.items()]
        rng.shuffle(items)
        return dict(items)
    if isinstance(value, list):
        return tuple(shuffled(item, rng) for item in value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return float(value)
    return value


@settings(deadline=None)
@given(values)
def test_canonical_json_loses_nothing(value: Any) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


@settings(deadline=None)
@given(values, st.randoms(use_true_random=False))
def test_equal_configs_have_one_key_however_they_are_written(value: Any, rng: random.Random) -> None:
    assert digest(shuffled(value, rng)) == digest(value)


@settings(deadline=None)
@given(values, values)
def test_different_configs_have_different_keys(one: Any, two: Any) -> None:
    if canonical_json(one) == canonical_json(two):
        assert one == two


def test_canonical_json_by_example() -> None:
    value = {"b": [1.0, -0.0, 2e-05, 1e16, True, None], "a": "é"}
    assert canonical_json(value) == '{"a":"é","b":[1,0,2e-05,10000000000000000,true,null]}'
    assert canonical_json(True) != canonical_json(1)
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize(
    ("value", "error", "place"),
    [
        ({"a": [0, math.nan]}, ValueError, r"\$\.a\[1\]"),
        ([-math.inf], ValueError, r"\$\[0\]"),
        ({"a": {1, 2}}, TypeError, r"\$\.a: set"),
        ({"a": {1: 2}}, TypeError, r"\$\.a: the key 1"),
        ({"a": Path("x")}, TypeError, r"\$\.a: "),
        ({"a": b"x"}, TypeError, r"\$\.a: bytes"),
        (["\ud800"], ValueError, r"\$\[0\]"),
        ({"\udc00": 1}, ValueError, r"\$: "),
    ],
)
def test_canonical_json_refuses_what_has_no_one_spelling(value: Any, error: type[Exception], place: str) -> None:
    with pytest.raises(error, match=place):
        canonical_json(value)


# --- publishing


def test_publish_find_verify(store: Store) -> None:
    assert store.find("results", KEY) is None
    path = publish(store, KEY, metrics={"loss": 1.5})
    entry = store.verify("results", KEY)
    assert entry.path == path == store.root / "results" / KEY
    assert entry.key == KEY
    assert entry.manifest["schema"] == SCHEMA_VERSION
    assert entry.manifest["metrics"] == {"loss": 1.5}
    assert set(entry.manifest["files"]) == {"adapter.bin", "tokenizer/vocab.json"}
    assert entry.manifest["files"]["tokenizer/vocab.json"] == {"sha256": digest({}), "bytes": 2}
    assert store.entries("results") == [entry]
    assert list((store.root / "partial").iterdir()) == []


def test_a_manifest_alone_can_be_published(store: Store) -> None:
    entry = store.publish("scores", KEY, {"accuracy": 0.5})
    assert entry.manifest["files"] == {}
    assert store.verify("scores", KEY).manifest["accuracy"] == 0.5


def test_publish_keeps_what_another_process_published(store: Store) -> None:
    publish(store, KEY, who="first")
    assert in_child(lambda: publish(store, KEY, who="second")) == store.root / "results" / KEY
    assert store.verify("results", KEY).manifest["who"] == "first"
    assert list((store.root / "partial").iterdir()) == []


def test_publish_replaces_a_folder_without_a_manifest(store: Store) -> None:
    rest = store.root / "results" / KEY
    rest.mkdir(parents=True)
    (rest / "adapter.bin").write_bytes(b"half deleted")
    publish(store, KEY)
    store.verify("results", KEY)
    assert list((store.root / "partial").iterdir()) == []


def test_scratch_in_use_is_not_pruned(store: Store) -> None:
    """As of a calibration beside which a run begins. One that a kill left is."""
    with store.scratch() as folder:
        (folder / "checkpoint").write_bytes(b"x")
        assert in_child(store.prune_partial) == []
        assert (folder / "checkpoint").exists()
    assert not list((store.root / "partial").iterdir()) and not list((store.root / "locks").iterdir())

    def die_within() -> None:
        with store.scratch():
            os.kill(os.getpid(), signal.SIGKILL)

    child = FORK.Process(target=die_within)
    child.start()
    child.join()
    assert [path.name.partition("-")[0] for path in store.prune_partial()] == ["scratch"]
    assert not list((store.root / "partial").iterdir())


def test_publish_refuses_links_and_what_is_not_json(store: Store) -> None:
    build(store, KEY)
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.publish("results", KEY, {"loss": math.nan})
    (store.partial("results", KEY) / "out" / "link").symlink_to("/etc/hostname")
    with pytest.raises(StoreError, match="link is a symbolic link"):
        store.publish("results", KEY, {})
    assert store.find("results", KEY) is None


@pytest.mark.parametrize("key", ["", "abc", KEY.upper(), f"../{KEY}", KEY + "0"])
def test_only_a_digest_is_a_key(store: Store, key: str) -> None:
    with pytest.raises(ValueError, match="64 hex digits"):
        store.find("results", key)


def test_a_kill_before_any_file_operation_leaves_nothing_or_all(store: Store) -> None:
    published_at = None
    for step in range(1, 500):
        build(store, KEY)
        killed = kill_at(step, lambda: store.publish("results", KEY, {"n": 1}))
        if visible_entries_are_whole(store):
            published_at = published_at or step
        else:
            assert published_at is None, "once the rename is reached, every later kill leaves the entry"
            assert (store.partial("results", KEY) / "checkpoints" / "checkpoint-5" / "state.bin").exists()
            store.publish("results", KEY, {"n": 1})  # again, from what the kill left
        assert set(store.verify("results", KEY).manifest["files"]) == {"adapter.bin", "tokenizer/vocab.json"}
        store.prune_partial()
        assert list((store.root / "partial").iterdir()) == []
        shutil.rmtree(store.root / "results" / KEY)
        if not killed:
            break
    assert published_at is not None
    assert 15 < published_at < step


def test_kills_at_random_instants(store: Store) -> None:
    def publish_forever() -> None:
        for number in range(10**6):
            with store.hold("results", digest(number)):
                if store.find("results", digest(number)) is None:
                    build(store, digest(number))
                    store.publish("results", digest(number), {"number": number})

    rng, seen, longest, deadline = random.Random(0), [0], 0.01, time.monotonic() + 4
    while seen[-1] < 30 and (time.monotonic() < deadline or seen[-1] == 0):
        child = FORK.Process(target=publish_forever)
        child.start()
        time.sleep(rng.uniform(0, longest))
        child.kill()
        child.join()
        seen.append(visible_entries_are_whole(store))
        longest *= 1.5 if seen[-1] == seen[-2] else 0.7  # the machine's pace: about one entry a round
    assert seen == sorted(seen)
    for number in range(seen[-1]):  # without gaps: each interrupted entry was made by the next process
        files = store.verify("results", digest(number)).manifest["files"]
        assert set(files) == {"adapter.bin", "tokenizer/vocab.json"}


def test_damage_is_refused_with_the_remedy(store: Store) -> None:
    path = publish(store, KEY) / "adapter.bin"
    good, content = file_sha256(path), bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError) as flipped:
        store.verify("results", KEY)
    for part in (str(path), good, file_sha256(path), "run the recipe again", f"rm -r {path.parent}"):
        assert part in str(flipped.value)
    path.write_bytes(content[:50])
    with pytest.raises(StoreError, match=r"damaged: expected .* got .* \(50 bytes\)"):
        store.verify("results", KEY)
    path.unlink()
    with pytest.raises(StoreError, match=r"adapter\.bin is missing"):
        store.verify("results", KEY)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "\x00" * len(text),
        lambda text: "[]",
        lambda text: text.replace(KEY, OTHER),
        lambda text: text.replace('"schema": 1', '"schema": 0'),
        lambda text: text.replace('"sha256"', '"md5"'),
        None,
    ],
)
def test_an_entry_without_a_sound_manifest_is_not_there(store: Store, damage: Callable[[str], str] | None) -> None:
    manifest = publish(store, KEY) / "manifest.json"
    if damage is None:
        manifest.unlink()
    else:
        manifest.write_text(damage(manifest.read_text()))
    assert store.find("results", KEY) is None
    assert store.entries("results") == []
    with pytest.raises(StoreError, match=r"manifest\.json is missing or damaged"):
        store.verify("results", KEY)
    publish(store, KEY)
    store.verify("results", KEY)


def test_prune_takes_only_what_nothing_resumes(store: Store) -> None:
    publish(store, KEY)
    left = store.partial("results", KEY)  # as a kill right after the rename leaves it
    resumable = store.partial("results", OTHER)
    with store.hold("results", KEY):
        assert store.prune_partial() == []
    assert store.prune_partial() == [left]
    assert not left.exists()
    assert resumable.exists()


def test_runs(store: Store) -> None:
    def record(key: str) -> dict[str, Any]:
        return {"order": ["cpt"], "stages": {"cpt": {"key": key, "material": {}}}}

    assert store.runs() == {}
    assert store.last_run("b") == {"order": [], "stages": {}}
    store.write_run("my recipe", record(KEY))
    store.write_run("my recipe", record(OTHER))
    store.write_run("b", record(KEY))
    (store.root / "runs" / ".b.json.0.tmp").write_text("left by a kill")
    assert store.runs() == {"b": record(KEY), "my recipe": record(OTHER)}
    with pytest.raises(StoreError, match="cannot name a run"):
        store.write_run("../b", {})


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "null",
        '{"a": 1}',
        '{"order": [], "stages": []}',
        '{"order": 1, "stages": {}}',
        '{"order": [1], "stages": {}}',
        '{"order": [], "stages": {"a": 1}}',
        '{"order": [], "stages": {"a": {"key": "x", "material": {}}}}',
        '{"order": [], "stages": {"a": {"key": 5, "material": {}}}}',
        f'{{"order": [], "stages": {{"a": {{"key": "{KEY}"}}}}}}',
        f'{{"order": [], "stages": {{"a": {{"key": "{KEY}", "material": 1}}}}}}',
    ],
)
def test_what_is_no_record_of_a_run(content: str, store: Store) -> None:
    store.write_run("b", {"order": [], "stages": {}})
    (store.root / "runs" / "b.json").write_text(content)
    for read in (store.runs, lambda: store.last_run("b")):
        with pytest.raises(StoreError, match=r"b\.json is not a record of a run"):
            read()
    assert store.last_run("a")["stages"] == {}  # only its own file matters to a recipe


def test_write_json_is_old_or_new_under_kills(tmp_path: Path) -> None:
    path, old, new = tmp_path / "a.json", {"v": "old" * 100}, {"v": "new" * 5000}
    write_json(path, old)
    assert path.read_text() == json.dumps(old, indent=2) + "\n"
    step, outcomes = 1, set()
    while kill_at(step, lambda: write_json(path, new)):
        found = json.loads(path.read_text())
        assert found in (old, new)
        outcomes.add(found["v"][:3])
        write_json(path, old)
        step += 1
    assert outcomes == {"old", "new"}
    with pytest.raises(TypeError):
        write_json(path, {"v": object()})
    assert json.loads(path.read_text()) == new


# --- locks


class Child:
    """A forked process that holds the lock of (results, KEY) until it is told to let go, or is killed."""

    def __init__(self, store: Store, holding: Callable[[], Any] | None = None) -> None:
        self.release, ready = FORK.Event(), FORK.Event()

        def run() -> None:
            with holding() if holding else store.hold("results", KEY):
                ready.set()
                self.release.wait(20)

        self.process = FORK.Process(target=run)
        self.process.start()
        assert ready.wait(10)

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def end(self) -> None:
        self.release.set()
        self.process.join(10)
        assert self.process.exitcode is not None

    def kill(self) -> None:
        """Kill it and leave it a zombie: its pid is still taken."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)


def refused_lock(store: Store, message: str) -> None:
    with pytest.raises(StoreError, match=message), store.hold("results", KEY, wait=False):
        pass


def test_the_second_waits_and_learns_who_holds(store: Store) -> None:
    child, seen = Child(store), []

    def on_wait(holder: Holder) -> None:
        seen.append(holder)
        child.release.set()

    with store.hold("results", KEY, on_wait=on_wait):
        child.process.join(10)
        assert not child.process.is_alive()
    assert [holder.pid for holder in seen] == [child.pid]
    assert f"process {child.pid} on {os.uname().nodename} since 20" in str(seen[0])
    with store.hold("results", KEY, on_wait=seen.append):
        pass
    assert len(seen) == 1


def test_not_waiting_says_who_holds_and_other_keys_are_free(store: Store) -> None:
    child = Child(store)
    refused_lock(store, f"results/{KEY} is held by process {child.pid} on ")
    with store.hold("results", OTHER, wait=False), store.hold("scores", KEY, wait=False):
        pass
    child.end()


def test_the_lock_of_a_killed_holder_is_free_at_once(store: Store) -> None:
    child = Child(store)
    child.kill()
    with store.hold("results", KEY, wait=False):
        (claim,) = claims(store.root / "locks", f"results-{KEY}")
        assert claim.holder.pid == os.getpid()
    assert not (store.root / "locks" / f"results-{KEY}.held").exists()
    child.process.join()


def test_a_process_forked_by_the_holder_does_not_keep_its_lock(store: Store) -> None:
    def hold_with_worker() -> Any:
        hold = store.hold("results", KEY)

        class Both:
            def __enter__(self) -> None:
                hold.__enter__()
                if os.fork() == 0:
                    time.sleep(2)
                    os._exit(0)

            __exit__ = hold.__exit__

        return Both()

    child = Child(store, hold_with_worker)
    child.kill()
    with store.hold("results", KEY, wait=False):
        pass
    child.process.join()


def test_a_dead_holder_is_never_named(store: Store) -> None:
    dead = Child(store)
    dead.kill()  # leaves its .json; the next holder has taken the lock and not yet written who it is
    lock = store.root / "locks" / f"results-{KEY}.lock"
    with FileLock(lock):
        refused_lock(store, "is held by another process")
    dead.process.join()


@pytest.mark.parametrize(
    "change",
    [
        {"ticks": 1},
        {"pid": 2**22 + 1},
        {"pid": 2**70, "ticks": None},
        {"pid": "x"},
        {"odd": 1},
        {"pid": None},
    ],
)
def test_holder_of_another_life_is_unknown(tmp_path: Path, change: dict[str, Any]) -> None:
    path, me = tmp_path / "holder.json", Holder.here()
    write_json(path, me.__dict__)
    assert Holder.read(path) == me
    write_json(path, me.__dict__ | {"ticks": None})
    assert Holder.read(path).pid == me.pid
    write_json(path, me.__dict__ | {"host": "elsewhere", "pid": 1, "ticks": 5})
    assert Holder.read(path).pid == 1
    write_json(path, me.__dict__ | change)
    assert Holder.read(path) == Holder()
    path.write_text('{"pid": ')
    assert Holder.read(path) == Holder()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait(store: Store, number: signal.Signals) -> None:
    waiting = FORK.Event()

    def wait() -> None:
        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        signal.signal(number, stop)
        try:
            with store.hold("results", KEY, on_wait=lambda _: waiting.set()):
                os._exit(1)
        except KeyboardInterrupt:
            os._exit(7)

    with store.hold("results", KEY):
        child = FORK.Process(target=wait)
        child.start()
        assert waiting.wait(10)
        assert child.pid is not None
        os.kill(child.pid, number)
        child.join(10)
        assert child.exitcode == 7
        refused_lock(store, f"held by process {os.getpid()} ")


def test_many_processes_never_hold_together(store: Store, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")

    def add() -> None:
        for _ in range(5):
            with store.hold("results", KEY):
                value = int(counter.read_text())
                time.sleep(0.002)
                counter.write_text(str(value + 1))

    children = [FORK.Process(target=add) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(20)
    assert counter.read_text() == "20"


# --- disks


def test_a_store_needs_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match=r"file is not a folder\n  -> use another workspace folder"):
            Store(root)
    absent = Store(tmp_path / "absent")
    assert (absent.entries("results"), absent.runs(), absent.prune_partial()) == ([], {}, [])
    with pytest.raises(StoreError, match="does not exist"):
        absent.verify("results", KEY)
    assert not absent.root.exists(), "reading creates nothing"


def test_a_folder_that_cannot_be_created(store: Store, tmp_path: Path) -> None:
    store.root.mkdir()
    (store.root / "partial").write_text("")
    with pytest.raises(StoreError, match=r"cannot create the folder .*partial/.*: Not a directory"):
        store.partial("results", KEY)
    if Path("/proc/self").exists():
        with pytest.raises(StoreError, match="/proc/nothing"):
            Store(Path("/proc/nothing")).require_space(1)


def test_a_read_only_workspace_is_read_and_not_written(small_disk: Path) -> None:
    store = Store(small_disk)
    publish(store, KEY)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    store.verify("results", KEY)
    for write in (
        lambda: store.partial("results", OTHER),
        lambda: store.hold("results", OTHER).__enter__(),
        lambda: store.write_run("a", {}),
        lambda: store.require_space(1),
    ):
        with pytest.raises(StoreError, match=r"the filesystem is read-only .* bytes are free(.|\n)*-> remount"):
            write()


def test_require_space(store: Store) -> None:
    store.require_space(1)
    with pytest.raises(StoreError, match=r"needs 1,000,000,000,000,000,000 bytes, and [\d,]+ are free"):
        store.require_space(10**18)


def test_a_full_disk_leaves_the_store_as_it_was(small_disk: Path) -> None:
    store = Store(small_disk)
    build(store, KEY)
    ballast = small_disk / "ballast"
    with pytest.raises(StoreError, match="no space is left"), translate_os_errors(ballast):
        ballast.write_bytes(b"x" * 2**20)
    with pytest.raises(StoreError, match=r"manifest.json: no space is left on the disk \(0 bytes are free"):
        store.publish("results", KEY, {})
    assert store.find("results", KEY) is None
    with pytest.raises(StoreError, match="needs 9 bytes, and 0 are free"):
        store.require_space(9)
    ballast.unlink()
    store.publish("results", KEY, {})
    store.verify("results", KEY)


def test_a_file_over_the_size_limit_is_a_store_error(store: Store) -> None:
    def write() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))
        build(store, KEY, size=2**10)
        with translate_os_errors(store.root):
            (store.partial("results", KEY) / "out" / "weights").write_bytes(b"x" * 2**17)

    message = in_child(write)
    assert "a file is larger than the limit" in message
    assert "bytes are free" in message
    assert "ulimit -f" in message
    assert store.find("results", KEY) is None


def test_a_rust_writer_on_a_full_disk_is_a_store_error(small_disk: Path) -> None:
    numpy = pytest.importorskip("numpy")
    save_file = pytest.importorskip("safetensors.numpy").save_file
    path = small_disk / "model.safetensors"
    tensors = {"a": numpy.zeros(2**20, numpy.uint8)}
    with pytest.raises(StoreError, match=r"model.safetensors: no space is left"), translate_os_errors(path):
        save_file(tensors, path)


class SafetensorError(Exception):
    pass


@pytest.mark.parametrize(
    ("exc", "reason"),
    [
        (OSError(errno.EDQUOT, "quota"), "quota is used up"),
        (PermissionError(errno.EACCES, "no", "/some/file"), "/some/file: permission is denied"),
        (SafetensorError("I/O error: No space left on device"), "no space is left"),
        (SafetensorError("I/O error: File too large (os error 27)"), "larger than the limit"),
        (Exception("No space left on device (os error 28)"), "no space is left"),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"), "completely"),
        (StoreError("as it is"), "^as it is$"),
    ],
)
def test_what_becomes_a_store_error(tmp_path: Path, exc: Exception, reason: str) -> None:
    with pytest.raises(StoreError, match=reason), translate_os_errors(tmp_path):
        raise exc


@pytest.mark.parametrize("exc", [FileNotFoundError(errno.ENOENT, "x"), RuntimeError("CUDA"), SafetensorError("header")])
def test_what_passes_unchanged(tmp_path: Path, exc: Exception) -> None:
    with pytest.raises(type(exc)) as caught, translate_os_errors(tmp_path):
        raise exc
    assert caught.value is exc
