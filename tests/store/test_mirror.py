"""A mirror of results: what goes there comes back byte for byte, and nothing damaged comes back at all."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from statllama.errors import StatllamaError, UsageError
from statllama.store import Store
from statllama.store import mirrored as mirrored_module
from statllama.store import pushing as pushing_module
from statllama.store.canonical import digest
from statllama.store.mirror import DamagedError, Mirror, read_manifest
from statllama.store.mirrored import bring, offer
from tests.store.mirrors import contents, key_of, made_of, opened, publish, push_all, said, whole

MEMORY = "memory://bucket/lab"


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield MEMORY if request.param == "memory" else f"file://{tmp_path}/bucket/lab"
    files.store.clear()


def objects(url: str) -> dict[str, bytes]:
    files, root = fsspec.core.url_to_fs(url)
    return {path[len(root) + 1 :]: files.cat_file(path) for path in files.find(root)}


def overwrite(url: str, name: str, content: bytes) -> None:
    files, root = fsspec.core.url_to_fs(url)
    files.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
    files.pipe_file(f"{root}/{name}", content)


def test_what_is_pushed_comes_back(url: str, tmp_path: Path) -> None:
    here = opened(tmp_path / "a", url)
    key, score = publish(here, 1), publish(here, 2, "scores")
    here.offer("scores", [score])
    assert push_all(here, key) == {}
    assert sorted(here.pusher.tally.pushed) == [("results", key), ("scores", score)]
    there = opened(tmp_path / "b", url)
    assert there.mirror.has("results", key) and there.mirror.has("scores", score)
    for kind in ("results", "scores"):
        entry = there.bring(kind, key if kind == "results" else score)
        assert entry is not None and there.verify(kind, entry.key)
        assert contents(entry.path) == contents(here.root / kind / entry.key)
    assert there.brought == {("results", key), ("scores", score)}
    assert there.bring("results", key_of(9)) is None
    assert list((there.root / "partial").iterdir()) == []


def test_a_workspace_without_a_mirror_has_none(tmp_path: Path) -> None:
    store = Store(tmp_path / "w")
    key = publish(store, 1)
    offer(store, "results", [key])
    assert bring(store, "results", key) is None


def test_only_what_the_mirror_lacks_is_pushed(url: str, tmp_path: Path) -> None:
    here = opened(tmp_path / "a", url)
    push_all(here, publish(here, 1))
    again = opened(tmp_path / "a", url)
    push_all(again, key_of(1), publish(again, 2))
    assert again.pusher.tally.pushed == [("results", key_of(2))]
    idle = opened(tmp_path / "a", url)
    idle.offer("results", [key_of(1), key_of(2)])
    assert not idle.pusher.began


def test_an_entry_without_its_manifest_does_not_exist(url: str, tmp_path: Path) -> None:
    here = opened(tmp_path / "a", url)
    key = publish(here, 1)
    push_all(here, key)
    files, root = fsspec.core.url_to_fs(url)
    files.rm_file(f"{root}/results/{key}/manifest.json")
    assert not whole(tmp_path / "b", url, key)
    again = opened(tmp_path / "a", url)
    assert push_all(again, key) == {} and whole(tmp_path / "c", url, key)


@pytest.mark.parametrize("how", ["cut", "changed", "gone", "manifest cut", "manifest of another"])
def test_damage_is_told_and_replaced(how: str, url: str, tmp_path: Path) -> None:
    here = opened(tmp_path / "a", url)
    key, other = publish(here, 1), publish(here, 2)
    push_all(here, key, other)
    before = objects(url)
    name = next(name for name in before if name.startswith(f"results/{key}/files") and name.endswith("adapter.bin"))
    manifest = f"results/{key}/manifest.json"
    if how == "gone":
        files, root = fsspec.core.url_to_fs(url)
        files.rm_file(f"{root}/{name}")
    elif how == "cut":
        overwrite(url, name, before[name][:-7])
    elif how == "changed":
        overwrite(url, name, b"x" + before[name][1:])
    elif how == "manifest cut":
        overwrite(url, manifest, before[manifest][:-20])
    else:
        overwrite(url, manifest, before[f"results/{other}/manifest.json"])
    notes: list[str] = []
    there = opened(tmp_path / "b", url, notes)
    assert there.bring("results", key) is None and there.bring("results", key, fresh=True) is None
    assert len(notes) == 1 and "is damaged" in notes[0] and "made here" in notes[0]
    assert there.find("results", key) is None and list((there.root / "partial").iterdir()) == []
    publish(there, 1)  # trained instead
    assert push_all(there, key) == {}
    after = objects(url)
    assert {n: c for n, c in after.items() if n != manifest} == {n: c for n, c in before.items() if n != manifest}
    assert whole(tmp_path / "c", url, key)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"files": {"../x": {"sha256": "0" * 64, "bytes": 1}}}, "no name of a file"),
        ({"files": {"/etc/x": {"sha256": "0" * 64, "bytes": 1}}}, "no name of a file"),
        ({"files": {"a//b": {"sha256": "0" * 64, "bytes": 1}}}, "no name of a file"),
        ({"files": {"a\\..\\b": {"sha256": "0" * 64, "bytes": 1}}}, "no name of a file"),
        ({"files": {"manifest.json": {"sha256": "0" * 64, "bytes": 1}}}, "no name of a file"),
        ({"files": {"d" * 300 + "/x": {"sha256": "0" * 64, "bytes": 1}}}, "no name of a file"),
        ({"files": {"\ud800/x": {"sha256": "0" * 64, "bytes": 1}}}, "no name of a file"),
        ({"files": {name: {"sha256": "0" * 64, "bytes": 1} for name in ("a", "a/b")}}, "'a' is no name of a file"),
        ({"files": {"a": {"sha256": "0" * 64, "bytes": -1}}}, "does not say"),
        ({"files": {"a": {"sha256": "0" * 64, "bytes": 10**4000}}}, "does not say"),
        ({"files": {"a": {"sha256": "0" * 64, "bytes": True}}}, "does not say"),
        ({"files": {"a": {"sha256": "../../x", "bytes": 1}}}, "does not say"),
        ({"files": {"a": 3}}, "does not say"),
        ({"files": None}, "lists no files"),
        ({"metrics": None}, "says nothing of its metrics"),
        ({"schema": 99}, "version"),
        ({"key": "f" * 64}, "not that of what it was made of"),
        ({"material": {"number": 3}}, "not that of what it was made of"),
    ],
)
def test_a_manifest_that_lies_is_refused(change: dict[str, Any], says: str) -> None:
    files = {"a/b": {"sha256": "0" * 64, "bytes": 1}}
    sound = {"schema": 1, "key": key_of(1), "material": made_of(1), "files": files, **said("results")}
    assert read_manifest("results", key_of(1), json.dumps(sound).encode()) == sound
    with pytest.raises(DamagedError, match=says):
        read_manifest("results", key_of(1), json.dumps({**sound, **change}).encode())


def test_a_size_that_lies_is_no_lack_of_room(url: str, tmp_path: Path) -> None:
    about = {"sha256": "0" * 64, "bytes": 1 << 50}  # more than any disk has; the file is not there, or is short
    body = {"schema": 1, "key": key_of(1), "material": made_of(1), "files": {"a": about}, **said("results")}
    notes: list[str] = []
    there = opened(tmp_path / "b", url, notes)
    overwrite(url, f"results/{key_of(1)}/manifest.json", json.dumps(body).encode())  # since it was listed
    assert there.bring("results", key_of(1), fresh=True) is None and "a is missing" in notes[0]
    overwrite(url, f"results/{key_of(1)}/files-{digest({'a': about['sha256']})[:16]}/a", b"short")
    again = opened(tmp_path / "c", url, notes)
    assert again.bring("results", key_of(1)) is None and "a has 5 bytes" in notes[1]


def test_two_hosts_that_push_one_key_leave_one_whole_entry(url: str, tmp_path: Path) -> None:
    """Their bytes differ, as those of two GPUs do. All interleavings of their writes, one after the other."""
    hosts = [opened(tmp_path / name, url) for name in ("a", "b")]
    for host, letter in zip(hosts, (b"a", b"b"), strict=True):
        publish(host, 1, files={"adapter.bin": letter * 4000, "config.json": letter})
    key = key_of(1)
    writes: list[list[tuple[Any, ...]]] = [[], []]
    for host, made in zip(hosts, writes, strict=True):
        put = host.mirror._put
        host.mirror._put = lambda *args, made=made, put=put: made.append((put, args))
        entry = host.find("results", key)
        assert entry is not None
        host.mirror.push("results", entry, lambda size: None)
    assert [len(made) for made in writes] == [3, 3]
    for number, order in enumerate(n for n in range(64) if n.bit_count() == 3):
        turns = [iter(made) for made in writes]
        for i in range(6):
            put, args = next(turns[order >> i & 1])
            put(*args)
        assert whole(tmp_path / f"c{number}", url, key)


def test_a_killed_push_goes_on_with_the_files_that_are_missing(url: str, tmp_path: Path) -> None:
    here = opened(tmp_path / "a", url)
    key = publish(here, 1)
    put, names = here.mirror._put, []

    def die(file: Path, name: str) -> None:
        names.append(name)
        if name.endswith("manifest.json"):
            raise KeyboardInterrupt
        put(file, name)

    entry = here.find("results", key)
    assert entry is not None
    here.mirror._put = die
    with pytest.raises(KeyboardInterrupt):
        here.mirror.push("results", entry, lambda size: None)
    assert not whole(tmp_path / "b", url, key)
    names.clear()
    again = opened(tmp_path / "a", url)
    put = again.mirror._put
    again.mirror._put = lambda file, name: (names.append(name), put(file, name))[1]
    assert push_all(again, key) == {} and names == [f"results/{key}/manifest.json"]
    assert whole(tmp_path / "c", url, key)


def test_a_push_that_fails_is_tried_again_and_told(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing_module, "PAUSES", (0.05, 0.05))
    notes: list[str] = []
    here = opened(tmp_path / "a", url, notes)
    put, calls = here.mirror._files.put_file, []

    def fail(*args: Any, **options: Any) -> None:
        calls.append(args)
        if len(calls) < 3:
            raise ConnectionResetError("reset by peer: https://me:secret@host/x?sig=secret")
        put(*args, **options)

    here.mirror._files.put_file = fail
    here.offer("results", [publish(here, 1)])
    until = time.monotonic() + 5
    while not here.pusher.tally.pushed and time.monotonic() < until:
        time.sleep(0.01)
    here.offer("results", [publish(here, 2)])  # where the notes are told
    assert here.pusher.finish(lambda done, total: None).left == {}
    assert len(notes) == 1 and "tried again" in notes[0] and "secret" not in notes[0]
    assert whole(tmp_path / "b", url, key_of(1)) and whole(tmp_path / "b", url, key_of(2))


def test_what_is_not_there_at_the_end_is_told(url: str, tmp_path: Path) -> None:
    here = opened(tmp_path / "a", url)
    keys = [publish(here, number) for number in range(1, 5)]
    here.mirror._files.put_file = _refuse
    left = push_all(here, *keys)
    assert {key for _, key in left} == set(keys) and "permission is denied" in left["results", keys[0]]
    again = opened(tmp_path / "a", url)
    assert push_all(again, *keys) == {} and len(again.pusher.tally.pushed) == 4


def _refuse(*args: Any, **options: Any) -> None:
    raise PermissionError("Access Denied")


def test_a_stop_waits_no_longer_than_its_patience(tmp_path: Path) -> None:
    here = opened(tmp_path / "a", MEMORY)
    free = threading.Event()
    here.mirror._files.put_file = lambda *args, **options: free.wait(20)
    here.offer("results", keys := [publish(here, 1), publish(here, 2)])
    began = time.monotonic()
    left = here.pusher.finish(lambda done, total: None, patience=0.3).left
    assert time.monotonic() - began < 2
    free.set()
    assert {key for _, key in left} == set(keys)


def test_a_damaged_entry_of_the_workspace_is_not_pushed(url: str, tmp_path: Path) -> None:
    here = opened(tmp_path / "a", url)
    key = publish(here, 1)
    (here.root / "results" / key / "adapter.bin").write_bytes(b"short")
    assert "damaged" in push_all(here, key)["results", key] and not whole(tmp_path / "b", url, key)


def test_a_damaged_entry_of_the_workspace_is_mended_from_the_mirror(url: str, tmp_path: Path) -> None:
    here = opened(tmp_path / "a", url)
    key = publish(here, 1)
    push_all(here, key)
    (here.root / "results" / key / "adapter.bin").write_bytes(b"short")
    assert opened(tmp_path / "a", url).bring("results", key) is not None
    assert here.verify("results", key)


def test_what_another_process_makes_is_not_fetched(url: str, tmp_path: Path) -> None:
    here = opened(tmp_path / "a", url)
    key = publish(here, 1)
    push_all(here, key)
    there = opened(tmp_path / "b", url)
    with Store(tmp_path / "b").hold("results", key):
        assert there.bring("results", key) is None
    assert there.bring("results", key) is not None


def test_a_preview_takes_the_manifest_and_writes_nothing(url: str, tmp_path: Path) -> None:
    here = opened(tmp_path / "a", url)
    key = publish(here, 1)
    push_all(here, key)
    before = objects(url)
    there = opened(tmp_path / "b", url, preview=True)
    entry = there.bring("results", key)
    assert entry is not None and entry.manifest["name"] == "n1" and not entry.path.exists()
    there.offer("results", [publish(there, 2)])
    assert objects(url) == before and not there.pusher.began


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("bucket/folder", "no URL"),
        ("s3://", "no bucket"),
        ("http://host/x", "cannot be kept there"),
        ("s4://bucket/x", "allowed: abfs.* s3,"),
        ("s3://key:hush@bucket/x", "a password"),
        ("s3://hush@bucket/x", "a password"),
        ("az://box/x?sv=1&sig=hush", "a query"),
        ("az://me:hush@box.dfs.core.windows.net/x", "a password"),
        ("simplecache::s3://bucket", "no URL"),
        ("file:///a::s3://key:hush@bucket", "more than one URL"),
        ("file:///a,s3://key:hush@bucket", "more than one URL"),
    ],
)
def test_urls_that_no_mirror_has(url: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        Mirror(url)
    assert "hush" not in str(caught.value) and caught.value.remedy


def test_the_package_of_a_store_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    known = sys.modules["fsspec.registry"]._registry  # `fsspec.registry` itself is a view of it
    for scheme, module, package in (
        ("gs", "gcsfs", "gcsfs"),
        ("s3", "s3fs", "statllama[s3]"),
        ("az", "adlfs", "adlfs"),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        monkeypatch.delitem(known, scheme, raising=False)
        with pytest.raises(UsageError, match="not installed") as caught:
            Mirror(f"{scheme}://bucket/x")
        assert package in str(caught.value.remedy)


def test_a_folder_that_may_not_be_written_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StatllamaError, match="cannot be used"):
        opened(tmp_path / "a", f"file://{tmp_path}/file/lab")


def test_a_mirror_that_fails_is_not_asked_for_each_entry(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question may wait for a minute: after a failure it is left alone, and then asked again."""
    here = opened(tmp_path / "a", url)
    keys = [publish(here, number) for number in (1, 2)]
    push_all(here, *keys)
    notes: list[str] = []
    there = opened(tmp_path / "b", url, notes)
    get, calls = there.mirror._files.get_file, []

    def fail(*args: Any, **options: Any) -> None:
        calls.append(args)
        raise TimeoutError

    there.mirror._files.get_file = fail
    assert [there.bring("results", key, fresh=True) for key in keys] == [None, None]
    assert len(calls) == len(notes) == 1 and "goes on without the mirror" in notes[0]
    there.mirror._files.get_file = get
    monkeypatch.setattr(mirrored_module, "SILENCE", 0.0)
    there._silent_until = 0.0
    assert all(there.bring("results", key) is not None for key in keys)


def test_keys_are_hashes_of_what_entries_are_made_of() -> None:
    """What a fetched manifest is held to is what the store's own keys are."""
    assert key_of(1) == digest({"number": 1})
