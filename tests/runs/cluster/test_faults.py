"""Heads, hosts and drivers that die or do not fit. Each test starts clusters of its own, in processes of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow

TOKEN = "5" * 32  # of the clusters of these tests
DRIVER = Path(__file__).with_name("driving.py")


def environment(**more: str) -> dict[str, str]:
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
    return {**os.environ, **quiet, "PYTHONPATH": str(REPO), **more}


class Hosts:
    """Ray as `ray start` starts it, each time as another host of one cluster."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.groups: list[int] = []

    def start(self, **options: Any) -> subprocess.Popen[str]:
        """Start a host; its process, which leads a group that has them all."""
        given = [f"--{name.replace('_', '-')}={value}" for name, value in options.pop("options", {}).items()]
        where = ["--head", f"--port={self.address.rpartition(':')[2]}", "--include-dashboard=false"]
        where = where if not self.groups else [f"--address={self.address}"]
        ray_start = [shutil.which("ray", path=str(Path(sys.executable).parent)) or "ray", "start", "--block"]
        command = [*ray_start, *where, f"--object-store-memory={100 * 2**20}", "--disable-usage-stats", *given]
        if not self.groups:
            command.append(f"--temp-dir={self.folder}")
        log = (self.folder / f"host-{self.count}.log").open("w")
        self.count += 1
        process = subprocess.Popen(
            command, stdout=log, stderr=log, text=True, start_new_session=True, env=environment(**options)
        )
        self.groups.append(process.pid)
        deadline = time.monotonic() + 60
        while "runtime started" not in Path(log.name).read_text():
            assert time.monotonic() < deadline and process.poll() is None, Path(log.name).read_text()
            time.sleep(0.1)
        return process

    def end(self) -> None:
        for group in self.groups:
            for pid in session(group):
                kill(pid)


def session(leader: int) -> list[int]:
    """The processes of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(folder.name))
    return found


def named(leader: int, name: str) -> list[int]:
    """Those of a session whose command has a word in it."""
    return [pid for pid in session(leader) if name in command(pid)]


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def alive(pid: int) -> bool:
    return bool(command(pid))


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    folder = Path("/tmp") / f"statllama-ray-{os.getpid()}"  # short: a socket's path has 107 bytes
    folder.mkdir()
    made = Hosts(folder)
    yield made
    made.end()
    shutil.rmtree(folder, ignore_errors=True)


class Driver:
    """A driver, and what it has printed."""

    def __init__(self, address: str, workspace: Path, *acts: str, **more: str) -> None:
        ask = [sys.executable, str(DRIVER), address, str(workspace), *acts]
        self.process = subprocess.Popen(
            ask,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(**more),
            cwd=workspace.parent,
        )
        self.lines: list[str] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def until(self, text: str, after: int = 0, seconds: float = 60) -> str:
        """Wait for a line with this text, among all but the first `after` ones; the line."""
        deadline = time.monotonic() + seconds
        while not (found := [line for line in self.lines[after:] if text in line]):
            assert time.monotonic() < deadline and self.reader.is_alive(), "\n".join([text, *self.lines])
            time.sleep(0.05)
        return found[0]

    def rest(self, seconds: float) -> list[str]:
        """Wait until it ends; all that it printed."""
        self.process.wait(timeout=seconds)
        self.reader.join(timeout=10)
        return self.lines


def pid_of(line: str) -> int:
    return int(line.rpartition("|")[2].split()[-1])


def test_a_dead_head_is_told_and_holds_up_nobody(hosts: Hosts, tmp_path: Path) -> None:
    head = hosts.start(options={"num_cpus": 2})
    driver = Driver(hosts.address, tmp_path / "w", "saving-1", "endless-2")
    driver.until("told|endless-2")
    driver.until("told|saving-1")
    began = time.monotonic()
    for pid in named(head.pid, "gcs_server"):
        kill(pid)
    told = driver.rest(40)
    assert time.monotonic() - began < 25
    assert "error ClusterGone" in told[-1] and "is gone" in told[-1] and "run the same command again" in told[-1]
    assert driver.process.returncode == 1
    known = ("connected", "began|", "told|", "ended|saving", "error")
    assert [line for line in told if not line.startswith(known)] == [], "nothing of Ray's own"


@pytest.mark.parametrize("here", [True, False])
def test_a_killed_driver_takes_its_workers_along(hosts: Hosts, tmp_path: Path, here: bool) -> None:
    if not here:
        hosts.start(options={"num_cpus": 2})
    driver = Driver("here" if here else hosts.address, tmp_path / "w", "endless-1")
    worker = pid_of(driver.until("told|endless-1"))
    assert alive(worker)
    driver.process.kill()
    began = time.monotonic()
    while alive(worker):
        assert time.monotonic() - began < 15
        time.sleep(0.05)


def test_a_lost_host_is_told_and_another_takes_its_work(hosts: Hosts, tmp_path: Path) -> None:
    """Devices are GPUs that Ray is told of: no process computes on them. Each work sees its own alone."""
    hosts.start(options={"num_cpus": 1})
    second = hosts.start(options={"num_cpus": 1, "num_gpus": 2})
    driver = Driver(hosts.address, tmp_path / "w", "look-1", "endless-2", "endless-3")
    assert "connected 2" in driver.until("connected")
    look = driver.until("told|look-1")
    number = look.partition("|vm gpu ")[2][:1] or look.partition(" gpu ")[2][:1]
    assert f"'CUDA_VISIBLE_DEVICES': '{number}'" in look
    driver.until("told|endless-3")
    third = hosts.start(options={"num_cpus": 1, "num_gpus": 1})
    workers = {pid for pid in session(second.pid) if "ray::" in command(pid)}
    for pid in session(second.pid):
        kill(pid)
    seen = len(driver.lines)
    assert "its host has left the cluster, or cannot be reached" in driver.until("lost|")
    again = pid_of(driver.until("told|endless", after=seen))
    assert again not in workers and alive(again)
    assert third.poll() is None
    driver.process.kill()


def test_a_cluster_of_another_version_is_refused(hosts: Hosts, tmp_path: Path) -> None:
    hosts.start(options={"num_cpus": 1})
    spoil = (
        "import ray, json, sys; ray.init(address=sys.argv[1], log_to_driver=False)\n"
        "from ray.experimental.internal_kv import _internal_kv_get as get, _internal_kv_put as put\n"
        "found = json.loads(get(b'CLUSTER_METADATA', namespace=b'cluster')) | {'ray_version': '2.1.0'}\n"
        "put(b'CLUSTER_METADATA', json.dumps(found).encode(), namespace=b'cluster')\n"
    )
    subprocess.run([sys.executable, "-c", spoil, hosts.address], check=True, env=environment(), capture_output=True)
    told = Driver(hosts.address, tmp_path / "w").rest(60)
    assert len(told) == 1 and "has Ray 2.1.0 and Python" in told[0] and f"here is Ray {ray.__version__}" in told[0]


def test_a_token_of_another_cluster_is_refused(hosts: Hosts, tmp_path: Path) -> None:
    hosts.start(options={"num_cpus": 1})
    told = Driver(hosts.address, tmp_path / "w", RAY_AUTH_TOKEN="6" * 32).rest(60)
    assert len(told) == 1 and "asks for another token" in told[0]


def test_a_host_with_other_code_is_refused_and_named(hosts: Hosts, tmp_path: Path) -> None:
    other = shutil.copytree(REPO / "statllama", tmp_path / "other" / "statllama").parent
    with (other / "statllama" / "errors.py").open("a") as file:
        file.write("# one commit later\n")
    hosts.start(options={"num_cpus": 1})
    hosts.start(options={"num_cpus": 1}, PYTHONPATH=str(other))
    told = Driver(hosts.address, tmp_path / "w", "look-1").rest(60)
    assert len(told) == 1 and "1 of 2 hosts of the cluster cannot take part" in told[0]
    assert "is other code than here" in told[0]
    assert not list((tmp_path / "w" / "locks").glob("probe-*"))


def which(line: str) -> str:
    """The host that a `look` tells of."""
    return line.partition("'WHICH': '")[2].partition("'")[0]


def test_works_go_to_hosts_with_the_memory_that_they_need(hosts: Hosts, tmp_path: Path) -> None:
    """Cores of two hosts. Ray itself is asked for the memory, so others that use the cluster leave it alone."""
    hosts.start(options={"num_cpus": 3, "memory": 2 * 2**30}, WHICH="small")
    hosts.start(options={"num_cpus": 3, "memory": 8 * 2**30}, WHICH="large")
    driver = Driver(hosts.address, tmp_path / "w", "look-1:4", "look-2:1.5", "look-4:3", "look-5:9")
    assert which(driver.until("told|look-1")) == "large"
    assert which(driver.until("told|look-2")) == "small"
    assert which(driver.until("told|look-4")) == "large"
    told = driver.rest(60)[-1]
    assert "act look-5 needs 9.0 GiB of memory at least" in told and "has 2.0 GiB on" in told and "8.0 GiB on" in told


def test_works_go_to_the_smallest_gpu_that_fits(hosts: Hosts, tmp_path: Path) -> None:
    """GPUs that Ray is told of, and of which a tool in place of nvidia-smi tells."""
    cards = {"large": ["NVIDIA H100 80GB HBM3, 81559"], "small": ["NVIDIA L4, 23034"] * 2}
    for name, lines in cards.items():
        (tool := tmp_path / name / "nvidia-smi").parent.mkdir()
        tool.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
        tool.chmod(0o755)
        path = f"{tool.parent}:{os.environ['PATH']}"
        hosts.start(options={"num_cpus": 1, "num_gpus": len(lines)}, WHICH=name, PATH=path)
    driver = Driver(hosts.address, tmp_path / "w", "look-1:5", "look-2:40", "endless-3:5", "look-4:40", "look-6:100")
    assert "connected 3" in driver.until("connected")
    seen = {act: driver.until(f"told|{act}") for act in ("look-1", "look-2", "look-4")}
    assert [which(line) for line in seen.values()] == ["small", "large", "large"]
    process = [line.partition("'pid': ")[2].partition(",")[0] for line in (seen["look-2"], seen["look-4"])]
    assert process[0] == process[1], "the worker on the large card was kept for what needs it"
    assert driver.process.poll() is None, "what fits nowhere is refused once nothing is under way"
    driver.process.kill()
    told = Driver(hosts.address, tmp_path / "w", "look-1:100").rest(60)[-1]
    assert "act look-1 needs 100.0 GiB of a GPU at least" in told
    assert "1 x NVIDIA H100 80GB HBM3 (79.6 GiB) on" in told and "2 x NVIDIA L4 (22.5 GiB) on" in told
