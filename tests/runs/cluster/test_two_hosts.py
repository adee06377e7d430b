"""Two hosts on one machine: network namespaces with a cable between them, names and processes of their own, one folder.

`pytest -m hammer tests/runs/cluster/test_two_hosts.py`, as root; some minutes.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.benchmarks_for_tests import choice_task
from tests.conftest import REPO, conversations, stage, write_jsonl
from tests.runs.cluster.workers import published

pytest.importorskip("ray")
NEEDS = [tool for tool in ("ip", "unshare", "nsenter") if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.hammer,
    pytest.mark.skipif(
        bool(NEEDS) or not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root and iproute2"
    ),
]
HOSTS = {"one": "10.79.0.1", "two": "10.79.0.2"}
PORT = 6391
TRAIN = {"steps": 120, "learning_rate": 1e-2, "checkpoint_every": 10}


class Host:
    """A namespace of network, host name and processes."""

    def __init__(self, name: str, address: str, environment: dict[str, str]) -> None:
        self.name, self.address, self.environment = name, address, environment
        self.processes: list[subprocess.Popen[str]] = []
        # The first process: it names the host, mounts a /proc of its own, and takes all with it when it ends.
        inside = f"hostname {name} && exec sleep infinity"
        new = ["unshare", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", inside]
        quiet = subprocess.DEVNULL
        first = subprocess.Popen(["ip", "netns", "exec", f"sl-{name}", *new], stdout=quiet, stderr=quiet, text=True)
        self.processes.append(first)
        wait_for(lambda: bool(self.pids("sleep\0infinity")))
        (self.first,) = self.pids("sleep\0infinity")

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command there."""
        told = subprocess.PIPE
        enter = ["nsenter", f"--target={self.first}", "--net", "--uts", "--pid", "--mount", "--"]
        process = subprocess.Popen(
            [*enter, *command], env=self.environment, stdout=told, stderr=subprocess.STDOUT, text=True
        )
        self.processes.append(process)
        return process

    def cable(self, state: str) -> None:
        """Pull the cable out (`down`), or put it in (`up`)."""
        subprocess.run(["ip", "-n", f"sl-{self.name}", "link", "set", "cable", state], check=True)

    def pids(self, word: str) -> list[int]:
        """Return this machine's numbers of the host's processes with a word in their command line."""
        own = subprocess.run(["ip", "netns", "pids", f"sl-{self.name}"], capture_output=True, text=True, check=True)
        found = []
        for pid in map(int, own.stdout.split()):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            found += [pid] if word in command else []
        return found

    def send(self, word: str, number: int) -> int:
        """Send a signal to these processes; their number."""
        pids = self.pids(word)
        for pid in pids:
            os.kill(pid, number)
        return len(pids)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[dict[str, Host]]:
    """Two hosts with a cable between them, and Ray on both: one core each, the head on the first."""
    environment = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    environment |= {"RAY_AUTH_MODE": "disabled", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for name in HOSTS:
        subprocess.run(["ip", "netns", "del", f"sl-{name}"], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "add", f"sl-{name}"], check=True)
        subprocess.run(["ip", "-n", f"sl-{name}", "link", "set", "lo", "up"], check=True)
    ends = [word for name in HOSTS for word in ("name", "cable", "netns", f"sl-{name}")]
    subprocess.run(["ip", "link", "add", *ends[:4], "type", "veth", "peer", *ends[4:]], check=True)
    for name, address in HOSTS.items():
        subprocess.run(["ip", "-n", f"sl-{name}", "addr", "add", f"{address}/24", "dev", "cable"], check=True)
        subprocess.run(["ip", "-n", f"sl-{name}", "link", "set", "cable", "up"], check=True)
        # Ray asks for the way to the world to find its own address.
        subprocess.run(["ip", "-n", f"sl-{name}", "route", "add", "default", "dev", "cable"], check=True)
    made = {name: Host(name, address, environment) for name, address in HOSTS.items()}
    ray = ["ray", "start", "--block", "--num-cpus=1", "--object-store-memory=100000000"]
    quiet = ["--include-dashboard=false", "--disable-usage-stats"]
    made["one"].start(*ray, "--head", f"--node-ip-address={HOSTS['one']}", f"--port={PORT}", *quiet)
    wait_for(lambda: reached("sl-one", f"exec 3<>/dev/tcp/{HOSTS['one']}/{PORT}"))
    made["two"].start(*ray, f"--address={HOSTS['one']}:{PORT}", f"--node-ip-address={HOSTS['two']}")
    wait_for(lambda: bool(made["two"].pids("raylet")))
    time.sleep(5)
    yield made
    for host in made.values():
        host.send("", signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", f"sl-{host.name}"], check=False)


def reached(namespace: str, script: str) -> bool:
    return subprocess.run(["ip", "netns", "exec", namespace, "bash", "-c", script], capture_output=True).returncode == 0


def wait_for(true: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.2)


@pytest.fixture
def recipe(tmp_path: Path, base_folder: Path) -> Path:
    """Four stages beside each other, scored."""
    write_jsonl(tmp_path / "sft.jsonl", conversations(8))
    choice_task(tmp_path / "eval", "letters", 12)
    body = {
        "name": "wide",
        "base": {"model": str(base_folder), "quantization": "none"},
        "evaluate": {"tasks": ["letters"], "micro_tokens": 1600},
        "stages": [stage(f"s{i}", parents="base", train={**TRAIN, "seed": i}) for i in range(4)],
    }
    path = tmp_path / "wide.yaml"
    path.write_text(yaml.safe_dump(body, sort_keys=False))
    return path


def alone(recipe: Path, workspace: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "statllama", "run", str(recipe), "--workspace", str(workspace)]
    there = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=there, stdout=subprocess.DEVNULL)
    return published(workspace)


def drive(host: Host, recipe: Path, workspace: Path) -> subprocess.Popen[str]:
    address = f"{HOSTS['one']}:{PORT}"
    command = [sys.executable, "-m", "statllama", "run", str(recipe), "--workspace", str(workspace)]
    return host.start(*command, "--address", address)


def test_a_study_across_two_hosts(hosts: dict[str, Host], recipe: Path, tmp_path: Path) -> None:
    expected, workspace = alone(recipe, tmp_path / "alone"), tmp_path / "shared"
    told = drive(hosts["one"], recipe, workspace).communicate(timeout=300)[0]
    assert published(workspace) == expected, told
    assert re.search(r"train s\d \(one cpu \d\): done", told) and re.search(r"train s\d \(two cpu \d\): done", told), (
        told
    )
    assert not list((workspace / "partial").iterdir())


def test_a_host_that_is_cut_off_and_frozen_publishes_nothing_when_it_comes_back(
    hosts: dict[str, Host], recipe: Path, tmp_path: Path
) -> None:
    """Its workers hold leases. The other host takes over once these have run out, and what comes back is refused."""
    expected, workspace = alone(recipe, tmp_path / "alone"), tmp_path / "shared"
    driver = drive(hosts["one"], recipe, workspace)
    wait_for(lambda: bool(held_by("two", workspace)), 120)
    hosts["two"].cable("down")
    frozen = hosts["two"].send("ray", signal.SIGSTOP)
    assert frozen, "its processes are frozen, in the middle of a stage"
    told = driver.communicate(timeout=400)[0]
    assert driver.returncode == 0 and published(workspace) == expected, told
    assert "is gone" in told and "two" in told, told
    before = {path: path.stat().st_mtime_ns for path in workspace.glob("results/*/*")}
    hosts["two"].send("ray", signal.SIGCONT)
    hosts["two"].cable("up")
    time.sleep(30)
    assert {path: path.stat().st_mtime_ns for path in workspace.glob("results/*/*")} == before
    assert published(workspace) == expected
    print(f"{socket.gethostname()}: {frozen} processes of the host were frozen; the run told:\n{told}")


def held_by(host: str, workspace: Path) -> list[Path]:
    """Return the claims of a host's processes on results."""
    found = []
    for path in (workspace / "locks").glob("results-*.held/*.json"):
        try:
            found += [path] if f'"{host}"' in path.read_text() else []
        except OSError:
            continue
    return found
