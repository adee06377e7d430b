"""What a file system does, from two processes; and where no workspace can be."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from statllama.config.shipped import find_recipe
from statllama.errors import UsageError
from statllama.runs.finding import Finding
from statllama.runs.folder_check import check_folder, of_facts, of_mount
from statllama.store import Store
from statllama.store.disk_probe import Facts, ask_another, freed_by_death, holding, probe
from statllama.store.files import require_place
from statllama.store.mounts import Mount, mount_of, require_folder, url_of
from statllama.store.new_folder import require_free

TABLE = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw,discard
23 22 0:21 / /proc rw - proc proc rw
40 22 0:40 / /mnt/lab rw,relatime shared:1 - nfs4 server:/lab rw,vers=4.2,local_lock=none
41 40 0:41 / /mnt/lab/old\\040disk rw - nfs server:/old rw,vers=3,nolock
42 22 0:42 / /mnt/bucket rw - fuse.s3fs s3fs rw,user_id=0
43 22 0:43 / /mnt/fast rw - fuse mountpoint-s3 rw
44 22 0:44 / /mnt/far rw - fuse.sshfs me@host:/x rw
45 22 0:45 / /mnt/far rw - fuse.juicefs JuiceFS:x rw
"""


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(TABLE)
    monkeypatch.setattr("statllama.store.mounts.MOUNTS", path)
    monkeypatch.setattr("statllama.store.mounts.mount_of.__defaults__", (path,))
    return path


def test_a_real_disk_keeps_a_second_process_out(tmp_path: Path) -> None:
    with holding(tmp_path, "t"):
        facts = ask_another(tmp_path, "t")
    assert facts.sees and facts.excluded and facts.locks and facts.renames and facts.exclusive
    assert abs(facts.ahead) < 1 and not facts.error
    assert Facts.from_json(facts.as_json()) == facts
    assert freed_by_death(tmp_path, "u")
    assert list(tmp_path.iterdir()) == []


def test_doctor_on_a_real_disk(tmp_path: Path) -> None:
    found = list(check_folder(tmp_path / "not" / "there"))
    assert [f.level for f in found if f.subject == "locks"] == ["ok"]
    assert not [f for f in found if f.level == "error"] and list(tmp_path.iterdir()) == []


@contextmanager
def no_lock(path: Path) -> Iterator[None]:
    """A lock as on an NFS mount with `nolock`, seen from another host: everybody gets it."""
    yield


def test_locks_that_do_nothing_are_found(tmp_path: Path) -> None:
    with holding(tmp_path, "t", no_lock):
        facts = probe(tmp_path, "t", no_lock)
    assert facts.sees and facts.excluded is False
    (finding,) = of_facts(facts, None)
    assert finding.level == "error" and "two runs would write one result" in finding.detail


def test_a_probe_without_a_holder_sees_nobody(tmp_path: Path) -> None:
    facts = probe(tmp_path, "t")
    assert not facts.sees and facts.excluded is None and facts.locks
    assert "another folder" in of_facts(facts, None, "node b")[0].detail
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written_is_a_fact(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    facts = probe(tmp_path / "file", "t")
    assert facts.error and of_facts(facts, None)[0].level == "error"


@pytest.mark.parametrize(
    ("facts", "freed", "level", "says"),
    [
        (Facts("b", sees=True, excluded=True, locks=True, renames=True, exclusive=True), True, "ok", "kept out"),
        (Facts("b", sees=True, excluded=True, locks=True, renames=True, exclusive=True), False, "error", "for ever"),
        (Facts("b", sees=True, excluded=True, renames=True, exclusive=True), None, "error", "cannot take"),
        (Facts("b", sees=True, excluded=True, locks=True, exclusive=True), True, "error", "replace another"),
        (Facts("b", sees=True, excluded=True, locks=True, renames=True), True, "error", "created anew"),
        (
            Facts("b", sees=True, excluded=True, locks=True, renames=True, exclusive=True, ahead=-90.0),
            True,
            "warning",
            "90 s behind that of b",
        ),
    ],
)
def test_what_follows_from_facts(facts: Facts, freed: bool | None, level: str, says: str) -> None:
    assert any(f.level == level and says in f.detail and (level == "ok" or f.remedy) for f in of_facts(facts, freed))


def test_mounts_are_read_from_the_kernels_table(table: Path) -> None:
    def kind(path: str) -> tuple[str, str]:
        mount = mount_of(Path(path), table)
        assert mount is not None
        return mount.kind, mount.point

    assert kind("/home/me/workspace") == ("ext4", "/")
    assert kind("/mnt/lab/workspace") == ("nfs4", "/mnt/lab")
    assert kind("/mnt/lab/old disk/w") == ("nfs", "/mnt/lab/old disk")
    assert kind("/mnt/laboratory") == ("ext4", "/")
    assert kind("/mnt/far/w") == ("fuse.juicefs", "/mnt/far")
    assert mount_of(Path("/x"), table.with_name("none")) is None
    real = mount_of(Path("/proc/self"))
    assert real is None or real.kind == "proc"


@pytest.mark.parametrize(
    ("path", "level", "says"),
    [
        ("/mnt/lab/w", "ok", "hold between machines"),
        ("/mnt/lab/old disk/w", "warning", "`nolock`"),
        ("/home/w", "ok", "ext4 on /"),
    ],
)
def test_what_follows_from_a_mount(path: str, level: str, says: str, table: Path) -> None:
    mount = mount_of(Path(path), table)
    assert mount is not None
    finding = of_mount(mount)
    assert finding.level == level and says in finding.detail


def test_other_mounts() -> None:
    def said(kind: str, *options: str) -> Finding:
        return of_mount(Mount("/m", kind, "source", options))

    assert "rpc.statd" in said("nfs", "vers=3").detail
    assert said("nfs", "vers=4.1").level == "ok"
    assert "this machine alone" in said("nfs4", "local_lock=flock").detail
    assert "this machine alone" in said("lustre", "localflock").detail
    assert said("fuse.sshfs").level == "warning" and said("fuse.juicefs").level == "ok"
    assert "deleted with it" in said("overlay").detail and "memory" in said("tmpfs").detail


@pytest.mark.parametrize("url", ["s3://bucket/w", "gs://bucket/w", "hf://datasets/x", "file:///tmp/w"])
def test_a_url_is_no_folder(url: str, tmp_path: Path) -> None:
    assert url_of(Path(url)) is not None
    for refuse in (Store, lambda path: require_place(path / "x.json"), lambda path: require_free(path / "x")):
        with pytest.raises(UsageError, match="no atomic rename") as caught:
            refuse(Path(url))
        assert caught.value.remedy and ("--mirror" in caught.value.remedy) == (url[:2] in ("s3", "gs"))
    with pytest.raises(UsageError, match="a recipe is a file"):
        find_recipe(f"{url}.yaml")
    for path in ("workspace", "/tmp/w", "C:/w", "a:b/w"):
        assert url_of(path) is None


@pytest.mark.parametrize("path", ["/mnt/bucket/w", "/mnt/fast/deep/er/w"])
def test_an_object_store_shown_as_a_folder_is_refused(path: str, table: Path) -> None:
    with pytest.raises(UsageError, match="is an object store, shown as a folder by") as caught:
        require_folder(Path(path), "the workspace")
    assert "--mirror" in str(caught.value.remedy)
    require_folder(Path("/mnt/lab/w"), "the workspace")
    require_folder(Path("/mnt/far/w"), "the workspace")


def _hold(folder: Path, ready: object) -> None:
    with holding(folder, "t"):
        ready.set()
        time.sleep(60)


def test_two_processes_as_two_nodes(tmp_path: Path) -> None:
    """As a cluster does: one node holds, another probes, both by themselves."""
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    holder = fork.Process(target=_hold, args=(tmp_path, ready))
    holder.start()
    try:
        assert ready.wait(10)
        facts = probe(tmp_path, "t")
        assert facts.sees and facts.excluded and facts.host == os.uname().nodename
    finally:
        holder.kill()
        holder.join()
