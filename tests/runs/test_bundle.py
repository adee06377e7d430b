"""Bundles: the same bytes out as in, and nothing of a hostile or broken one enters a workspace."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from statllama.errors import NotFoundError, StatllamaError, StoreError, UsageError
from statllama.runs.house.bundle import write_bundle
from statllama.runs.house.clearing import stock_of
from statllama.runs.house.unbundle import Wishes, import_bundle
from statllama.runs.keys import stage_key
from statllama.runs.subject import subject_of
from statllama.store import Store
from statllama.store.archive import open_archive
from statllama.store.canonical import digest
from tests.runs.test_house import everything
from tests.store.test_store import kill_at

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:Duplicate name:UserWarning")
IDENTITY = {"quantization": "none", "model": {"repo": "some/model", "commit": "a" * 40}}
AS_IT_IS = Wishes()


def made(store: Store, name: str = "garden", seeds: tuple[int, ...] = (1, 2)) -> dict[str, Any]:
    """A run of a chain of stages with results and scores, whose keys are those of its material."""
    below: list[str] = []
    stages: dict[str, Any] = {}
    for i, seed in enumerate(seeds):
        material = {"schema": 2, "base": IDENTITY, "numerics": [1], "stage": {"type": "sft", "seed": seed}}
        material["parents"] = list(below)
        key = stage_key(material)
        stage = {"type": "sft", "parents": [f"s{i - 1}"] if i else [], "key": key, "below": list(below)}
        stages[f"s{i}"] = {**stage, "material": material, "left_out": "", "cache": []}
        below.append(key)
        if store.find("results", key) is None:
            out = store.fresh_out("results", key)
            (out / "adapter_model.safetensors").write_bytes(random.Random(seed).randbytes(5000))
            (out / "tokenizer").mkdir()
            (out / "tokenizer" / "vocab.json").write_text('{"é": 1}', encoding="utf-8")
            manifest = {"kind": "adapter", "name": f"s{i}", "recipe": name, "material": material, "parents": below[:-1]}
            store.publish("results", key, manifest)
        protocol = {"base": IDENTITY, "stack": list(below), "tasks": {"t": "1"}}
        if store.find("scores", digest(protocol)) is None:
            (store.fresh_out("scores", digest(protocol)) / "samples.jsonl").write_text("{}\n" * 50)
            manifest = {"kind": "score", "name": f"s{i}", "protocol": protocol, "score": {"task": "t"}}
            store.publish("scores", digest(protocol), manifest)
    record = {
        "name": name, "description": "", "recipe": f"/home/me/{name}.yaml", "overrides": [], "order": list(stages),
        "comparisons": 3, "stages": stages, "base": {"model": "some/model", "quantization": "none"},
        "identity": IDENTITY, "evaluate": {"tasks": []}, "root": "/home/me", "precision": "auto", "compute": "float32",
        "resolved": f"name: {name}\n", "started": "2026-11-30T10:00:00+00:00",
    }  # fmt: skip
    store.write_run(name, record)
    return record


@dataclass
class World:
    store: Store
    other: Store
    file: Path

    def brought(self, wishes: Wishes = AS_IT_IS) -> Any:
        return import_bundle(self.file, self.other, wishes)


@pytest.fixture
def world() -> Iterator[World]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        store = Store(Path(folder) / "here")
        made(store)
        file = Path(folder) / "garden.bundle"
        write_bundle(store, "garden", file)
        yield World(store, Store(Path(folder) / "there"), file)


def files_of(store: Store) -> dict[str, bytes]:
    return {name: (store.root / name).read_bytes() for name in everything(store)}


def test_a_bundle_goes_and_comes_back_byte_for_byte(world: World, tmp_path: Path) -> None:
    result = world.brought()
    assert (result.runs, result.new, result.known) == (("garden",), 4, 0)
    assert not result.root_here and result.base_here
    assert world.other.listed("partial") == []
    there = {name: data for name, data in files_of(world.other).items() if not name.startswith("locks/")}
    assert there == files_of(world.store)
    again = write_bundle(world.other, "garden", tmp_path / "again")
    assert again.file.read_bytes() == world.file.read_bytes()
    second = world.brought()
    assert (second.new, second.known) == (0, 4)
    stock, _ = stock_of(world.other)
    assert stock.orphans == ()
    assert [s.name for s in subject_of(world.other.last_run("garden"), world.other).trained] == ["s0", "s1"]


def test_the_same_run_gives_the_same_bytes(world: World, tmp_path: Path) -> None:
    os.utime(next(world.store.root.glob("results/*/adapter_model.safetensors")), (1, 1))
    write_bundle(world.store, "garden", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == world.file.read_bytes()


def test_bundles_beyond_four_gigabytes(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their zips are of another form from a size on, which is lowered here."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 4000)
    write_bundle(world.store, "garden", tmp_path / "b")
    monkeypatch.undo()
    assert (tmp_path / "b").read_bytes() != world.file.read_bytes()
    import_bundle(tmp_path / "b", world.other, AS_IT_IS)
    for name, data in files_of(world.store).items():
        assert (world.other.root / name).read_bytes() == data


def test_only_the_run_goes(world: World, tmp_path: Path) -> None:
    made(world.store, "other", (7,))
    made(world.store, "shared", (1,))
    write_bundle(world.store, "garden", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == world.file.read_bytes()


def test_earlier_records_come_along_on_demand(world: World, tmp_path: Path) -> None:
    record = made(world.store, "garden", (1, 3))
    world.store.write_run("garden@1", {**made(world.store, "x", (1, 2)), "name": "garden@1"})
    world.store.remove_run("x")
    write_bundle(world.store, "garden", tmp_path / "b", ("garden@1",))
    result = import_bundle(tmp_path / "b", world.other, AS_IT_IS)
    assert result.runs == ("garden", "garden@1")
    assert set(world.other.runs()) == {"garden", "garden@1"}
    assert world.other.last_run("garden")["stages"] == record["stages"]
    named = Store(tmp_path / "named")
    import_bundle(tmp_path / "b", named, Wishes(name="flowers"))
    assert set(named.runs()) == {"flowers", "flowers@1"}
    assert subject_of(named.last_run("flowers@1"), named).name == "flowers@1"
    alone = Store(tmp_path / "alone")
    write_bundle(world.store, "garden@1", tmp_path / "old")
    import_bundle(tmp_path / "old", alone, AS_IT_IS)
    assert set(alone.runs()) == {"garden"}


def test_a_name_that_is_taken_is_refused_and_nothing_is_overwritten(world: World) -> None:
    made(world.other, "garden", (9,))
    before = files_of(world.other)
    with pytest.raises(UsageError, match=r"a run 'garden' with other settings is in .*\n  -> .*--name"):
        world.brought()
    assert files_of(world.other) == before
    world.brought(Wishes(name="garden2"))
    assert set(world.other.runs()) == {"garden", "garden2"}
    assert {name: files_of(world.other)[name] for name in before} == before


def test_an_entry_that_is_here_stays_and_a_damaged_one_is_replaced(world: World) -> None:
    keys = [stage["key"] for stage in world.store.last_run("garden")["stages"].values()]
    shutil.copytree(world.store.root / "results", world.other.root / "results")
    damaged = world.other.root / "results" / keys[0] / "adapter_model.safetensors"
    damaged.write_bytes(b"x")
    kept = (world.other.root / "results" / keys[1]).stat().st_ino
    assert world.brought().new == 3
    world.other.verify("results", keys[0])
    assert (world.other.root / "results" / keys[1]).stat().st_ino == kept


# --- what is refused


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path: Path, members: list[tuple[Any, bytes]], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)


def listed(members: dict[str, bytes], **changes: Any) -> list[tuple[Any, bytes]]:
    """Members with a `bundle.json` that agrees with them."""
    head = {**json.loads(members["bundle.json"]), **changes}
    rest = {name: data for name, data in members.items() if name != "bundle.json"}
    head.setdefault("files", {})
    if "files" not in changes:
        head["files"] = {n: {"sha256": sha256(d).hexdigest(), "bytes": len(d)} for n, d in rest.items()}
    return [("bundle.json", json.dumps(head).encode()), *rest.items()]


Hostile = Callable[[dict[str, bytes]], list[tuple[Any, bytes]]]


def with_member(name: str, data: bytes = b"x") -> Hostile:
    return lambda members: listed({**members, name: data})


def a_link(members: dict[str, bytes]) -> list[tuple[Any, bytes]]:
    info = zipfile.ZipInfo(next(name for name in members if name.startswith("results/")))
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return [(info if name == info.filename else name, data) for name, data in listed(members)]


def twice(members: dict[str, bytes]) -> list[tuple[Any, bytes]]:
    return [*listed(members), ("recipe.yaml", members["recipe.yaml"])]


def altered(members: dict[str, bytes]) -> list[tuple[Any, bytes]]:
    """Bytes of an adapter changed, their checksum in the zip too."""
    found = listed(members)
    return [(n, d[:-1] + bytes([d[-1] ^ 1]) if n.endswith("safetensors") else d) for n, d in found]


def forged(members: dict[str, bytes]) -> list[tuple[Any, bytes]]:
    """An adapter changed, with its hash in the bundle's list, but not in its own manifest."""
    return listed({n: b"y" * len(d) if n.endswith("safetensors") else d for n, d in members.items()})


def forged_well(members: dict[str, bytes]) -> list[tuple[Any, bytes]]:
    """The manifest says that it was made of something else than its key does."""
    name = next(n for n in members if n.startswith("results/") and n.endswith("/manifest.json"))
    manifest = json.loads(members[name])
    manifest["material"]["stage"]["seed"] = 99
    return listed({**members, name: json.dumps(manifest).encode()})


def changed_record(change: Callable[[dict[str, Any]], object]) -> Hostile:
    def make(members: dict[str, bytes]) -> list[tuple[Any, bytes]]:
        record = json.loads(members["records/garden.json"])
        change(record)
        return listed({**members, "records/garden.json": json.dumps(record).encode()})

    return make


def stowaway(members: dict[str, bytes]) -> list[tuple[Any, bytes]]:
    """A sound adapter that no record of the bundle reaches."""
    material = {"stage": "of nobody"}
    key, data = digest(material), b"weights"
    files = {"w": {"sha256": sha256(data).hexdigest(), "bytes": len(data)}}
    manifest = {"schema": 1, "key": key, "files": files, "material": material, "kind": "adapter"}
    return listed({**members, f"results/{key}/w": data, f"results/{key}/manifest.json": json.dumps(manifest).encode()})


def without(ending: str) -> Hostile:
    def make(members: dict[str, bytes]) -> list[tuple[Any, bytes]]:
        gone = next(name for name in members if name.endswith(ending))
        return [(n, d) for n, d in listed(members) if n != gone]

    return make


KEY = "0" * 64
HOSTILE: dict[str, tuple[Hostile, str]] = {
    "a path upward": (with_member("../evil"), "is no name of a file below it"),
    "a path upward within": (with_member(f"results/{KEY}/../../../evil"), "is no name of a file below it"),
    "an absolute path": (with_member("/etc/evil"), "is no name of a file below it"),
    "a drive": (with_member("C:/evil"), "is no name of a file below it"),
    "a backslash": (with_member("results\\evil"), "is no name of a file below it"),
    "a hidden file": (with_member("results/.evil"), "is no name of a file below it"),
    "an empty name": (with_member(f"results/{KEY}//a"), "is no name of a file below it"),
    "a folder": (with_member(f"results/{KEY}/"), "is no name of a file below it"),
    "a control character": (with_member("results/\x1b[31m"), "is no name of a file below it"),
    "a file of no kind": (with_member("memory.json"), "memory.json is no part of a bundle"),
    "a file in another place": (with_member(f"cache/{KEY}/data"), "is no part of a bundle"),
    "a link": (a_link, "is no plain file"),
    "a name twice": (twice, "it has 'recipe.yaml' twice"),
    "a name twice but for case": (with_member("Recipe.yaml"), "twice"),
    "bytes altered": (altered, "adapter_model.safetensors was altered"),
    "bytes altered and listed so": (forged, "are not those of its manifest"),
    "a manifest altered": (forged_well, "is not that of what it was made of"),
    "a file missing": (without(".safetensors"), "is missing"),
    "a file that is not listed": (lambda m: [*listed(m), ("results/x", b"")], "results/x is not listed"),
    "sizes that are wrong": (
        lambda m: listed(m, files={n: {"sha256": "", "bytes": len(d) + 1} for n, d in m.items() if n != "bundle.json"}),
        "bytes instead of",
    ),
    "no list": (lambda m: listed(m, files=[1]), "bundle.json does not list files"),
    "a list of other things": (lambda m: listed(m, files={"a": 1}), "bundle.json does not list files"),
    "another version": (lambda m: listed(m, version=2), "of version 2, and this statllama reads version 1"),
    "no version": (lambda m: listed(m, version=None), "of version None"),
    "another format": (lambda m: listed(m, format="cake"), "is a zip, but no bundle"),
    "no bundle.json": (lambda m: [("a", b"")], "is a zip, but no bundle"),
    "a bundle.json that is no JSON": (lambda m: [("bundle.json", b"{")], "bundle.json is damaged"),
    "a bundle.json that is deep": (lambda m: [("bundle.json", b"[" * 100_000)], "bundle.json is damaged"),
    "an adapter of nobody": (stowaway, "is of no run in it"),
    "a record of another key": (
        changed_record(lambda r: r["stages"]["s0"]["material"].update(numerics=[2])), "is not that of its stage",
    ),
    "a record that is none": (changed_record(lambda r: r.pop("order")), "is no record of a run"),
    "a record of another version": (changed_record(lambda r: r.pop("base")), "cannot be read"),
    "another run's record": (with_member("records/other.json", b"{}"), "is no record of a run"),
    "a record with a bad name": (
        lambda m: listed({**m, "records/-x.json": m["records/garden.json"]}), "is no name of a file|is no record",
    ),
    "a run that is not in it": (lambda m: listed(m, run="tulips"), "not those of one run"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_bundle_changes_nothing(what: str, world: World) -> None:
    make, message = HOSTILE[what]
    written(world.file, make(members_of(world.file)))
    made(world.other, "tulips", (5,))
    before = files_of(world.other), sorted(p.name for p in world.file.parent.iterdir())
    with pytest.raises(UsageError, match=message) as refused:
        world.brought()
    assert refused.value.exit_code == 2
    after = files_of(world.other), sorted(p.name for p in world.file.parent.iterdir())
    assert after == before
    assert world.other.listed("partial") == []


def test_a_compressed_or_encrypted_member_is_refused_before_it_is_unpacked(world: World) -> None:
    members = members_of(world.file)
    bomb = {**members, f"results/{KEY}/zeros": bytes(50_000_000)}
    written(world.file, listed(bomb), zipfile.ZIP_DEFLATED)
    assert world.file.stat().st_size < 200_000
    with pytest.raises(UsageError, match="is compressed or encrypted"):
        world.brought()
    raw = bytearray(world.file.read_bytes())
    assert not world.other.root.exists() and raw


def test_members_that_overlap_are_refused(world: World) -> None:
    """Many names for the same bytes: larger unpacked than the file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        members = {f"results/{i:064x}/a": {"sha256": "", "bytes": 100_000} for i in range(50)}
        archive.writestr("bundle.json", json.dumps({"format": "statllama bundle", "version": 1, "files": members}))
        archive.writestr(f"results/{0:064x}/a", bytes(100_000))
        first = archive.infolist()[1]
        for i in range(1, 50):
            twin = zipfile.ZipInfo(f"results/{i:064x}/a")
            twin.header_offset, twin.file_size, twin.compress_size, twin.CRC = (
                first.header_offset, first.file_size, first.file_size, first.CRC,
            )  # fmt: skip
            archive.filelist.append(twin)
            archive.NameToInfo[twin.filename] = twin
    world.file.write_bytes(buffer.getvalue())
    with pytest.raises(UsageError, match=r"its files are larger than itself|Overlapped|damaged"):
        world.brought()
    assert not world.other.root.exists()


def test_every_cut_and_many_flipped_bytes_are_refused(world: World) -> None:
    whole = world.file.read_bytes()
    draw = random.Random(0)
    cuts = [0, 1, 3, 4, 21, 22, len(whole) - 1, *(draw.randrange(len(whole)) for _ in range(40))]
    for cut in cuts:
        world.file.write_bytes(whole[:cut])
        with pytest.raises(UsageError):
            world.brought()
    for _ in range(150):
        place = draw.randrange(len(whole))
        world.file.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << draw.randrange(8))]) + whole[place + 1 :])
        try:
            world.brought()
        except UsageError:
            continue
        # What bears on nothing may differ (a date, say): all that came in is what was sent.
        for name, data in files_of(world.store).items():
            assert (world.other.root / name).read_bytes() == data
        shutil.rmtree(world.other.root)
    assert not world.other.root.exists() or world.other.runs() == {}


def test_what_is_no_file_or_no_zip(world: World, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no file"), open_archive(tmp_path / "none"):
        pass
    world.file.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(UsageError, match="its end is missing"):
        world.brought()


def test_a_full_disk_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found out before anything is unpacked; and if the space goes meanwhile, what was unpacked goes too."""
    made(world.other, "tulips", (5,))
    before = files_of(world.other)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("statllama.store.files.free_bytes", lambda path: 10)
        with pytest.raises(StoreError, match=r"needs [\d,]+ bytes, and 10 are free"):
            world.brought()
    count = 0

    def refuse(self: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        nonlocal count
        count += mode == "xb"
        if count == 4:
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return opened(self, mode, *args, **options)

    opened = Path.open
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StoreError, match="no space is left"):
        world.brought()
    assert count == 4
    monkeypatch.undo()
    after = {name: data for name, data in files_of(world.other).items() if not name.startswith("locks/")}
    assert after == before
    assert world.other.listed("partial") == []


def test_a_kill_at_any_moment_of_an_import_is_repaired_by_the_next(world: World) -> None:
    step, whole = 1, files_of(world.store)
    while True:
        shutil.rmtree(world.other.root, ignore_errors=True)
        killed = kill_at(step, lambda: world.brought())
        if "garden" in world.other.runs():  # the record comes last
            for name, data in whole.items():
                assert (world.other.root / name).read_bytes() == data
        for kind in ("results", "scores"):
            for entry in world.other.entries(kind):
                world.other.verify(kind, entry.key)
        world.brought()
        for name, data in whole.items():
            assert (world.other.root / name).read_bytes() == data
        if not killed:
            break
        step += 7
    assert step > 100


def test_a_kill_of_an_export_leaves_no_bundle_or_a_whole_one(world: World) -> None:
    step, whole = 1, world.file.read_bytes()
    while True:
        world.file.unlink(missing_ok=True)
        killed = kill_at(step, lambda: write_bundle(world.store, "garden", world.file))
        assert not world.file.exists() or world.file.read_bytes() == whole
        if not killed:
            break
        step += 2
    assert world.file.read_bytes() == whole


def test_exports_that_cannot_be(world: World, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        write_bundle(world.store, "garden", world.file)
    with pytest.raises(NotFoundError, match="did you mean 'garden'"):
        write_bundle(world.store, "gardn", tmp_path / "b")
    world.store.write_run("empty", {**world.store.last_run("garden"), "name": "empty", "order": ["s"], "stages": {}})
    with pytest.raises(UsageError, match="nothing of 'empty' is trained"):
        write_bundle(world.store, "empty", tmp_path / "b")
    next(world.store.root.glob("results/*/adapter_model.safetensors")).write_bytes(bytes(5000))
    with pytest.raises(StoreError, match=r"adapter_model\.safetensors is damaged"):
        write_bundle(world.store, "garden", tmp_path / "b")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StatllamaError, match=r"nowhere"):
        write_bundle(world.store, "garden", tmp_path / "nowhere" / "b")
