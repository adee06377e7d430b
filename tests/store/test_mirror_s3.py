"""A mirror on a real S3 server: requests, broken lines, killed processes, wrong names and credentials."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("s3fs", reason="pip install 'statllama[s3]'")
pytest.importorskip("moto", reason="pip install 'statllama[dev]'")

from statllama.store import Store
from statllama.store import mirror as mirror_module
from statllama.store import pushing as pushing_module
from statllama.store.mirror import Mirror, MirrorError
from tests.conftest import REPO
from tests.store.mirrors import contents, key_of, opened, publish, push_all, whole
from tests.store.s3_server import Counted, Line, s3_server

URL = "s3://lab/runs"


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, Counted]]:
    with s3_server() as found:
        yield found


@pytest.fixture
def server(address: tuple[str, Counted], monkeypatch: pytest.MonkeyPatch) -> Counted:
    """A server with an empty bucket, and an environment that leads there."""
    import boto3

    for name, value in (("AWS_ACCESS_KEY_ID", "testing"), ("AWS_SECRET_ACCESS_KEY", "hush-hush")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", address[0])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bucket = boto3.resource("s3", endpoint_url=address[0]).Bucket("lab")
    bucket.create()
    bucket.objects.all().delete()
    address[1].requests.clear()
    return address[1]


def asked(server: Counted) -> Counter[str]:
    """Requests since the last call, by method; a listing is a LIST."""
    found = Counter("LIST" if "list-type" in path else method for method, path, _ in server.requests)
    server.requests.clear()
    return found


def test_what_is_pushed_comes_back_and_what_it_costs(server: Counted, tmp_path: Path) -> None:
    """One listing a run, whatever there is; a request for each file of an entry, and one for its manifest."""
    opened(tmp_path / "a", URL)
    asked(server)  # of an empty folder more: whether it is an object is looked up
    here = opened(tmp_path / "a", URL)
    assert asked(server) == {"LIST": 1, "PUT": 1}
    key, score = publish(here, 1), publish(here, 2, "scores", {"samples.jsonl": b"{}\n" * 1000})
    here.offer("scores", [score])
    assert push_all(here, key) == {}
    assert asked(server) == {"PUT": 5}
    there = opened(tmp_path / "b", URL)
    entry = there.bring("results", key)
    assert entry is not None and contents(entry.path) == contents(here.root / "results" / key)
    assert there.bring("scores", score) is not None
    cost = asked(server)
    assert cost["LIST"] == 1 and cost["GET"] == 5 and cost["PUT"] == 1 and cost["HEAD"] <= 3
    assert there.bring("results", key_of(7)) is None and asked(server) == {}
    assert there.bring("results", key_of(7), fresh=True) is None and asked(server) == {"GET": 1}
    again = opened(tmp_path / "a", URL)
    again.offer("results", [key])
    again.offer("scores", [score])
    assert asked(server) == {"LIST": 1, "PUT": 1} and not again.pusher.began


@pytest.mark.parametrize("part", [0.2, 0.6, 0.97])
def test_a_line_that_breaks_in_the_middle_of_an_upload(
    part: float, server: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, and the entry is whole; while the line stays broken there is no entry, and a note."""
    line = Line(int(os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2]))
    direct = os.environ["AWS_ENDPOINT_URL"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{line.port}")
    monkeypatch.setattr(pushing_module, "PAUSES", (0.1, 0.1))
    here = opened(tmp_path / "a", URL)
    first = publish(here, 1, files={"adapter.bin": random.Random(1).randbytes(400_000)})
    line.allowed = 400_000 * part
    assert push_all(here, first) == {}
    monkeypatch.setenv("AWS_ENDPOINT_URL", direct)
    assert whole(tmp_path / "b", URL, first)
    line.close()


def test_a_mirror_that_goes_away_ends_nothing(server: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(int(os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2]))
    direct = os.environ["AWS_ENDPOINT_URL"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{line.port}")
    impatient(monkeypatch)
    here = opened(tmp_path / "a", URL)
    keys = [publish(here, number, files={"adapter.bin": bytes(200_000)}) for number in (1, 2, 3)]
    line.broken, line.allowed = True, 100_000
    left = push_all(here, *keys)
    assert {key for _, key in left} == set(keys) and "cannot be reached" in left["results", keys[0]]
    monkeypatch.setenv("AWS_ENDPOINT_URL", direct)
    assert not any(whole(tmp_path / "b", URL, key) for key in keys)
    assert push_all(opened(tmp_path / "a", URL), *keys) == {}
    assert all(whole(tmp_path / "c", URL, key) for key in keys)
    line.close()


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the libraries try once, not for seconds."""
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    options = {**mirror_module._OPTIONS["s3"], "config_kwargs": {"connect_timeout": 2, "retries": {"max_attempts": 0}}}
    monkeypatch.setattr(mirror_module, "_OPTIONS", {**mirror_module._OPTIONS, "s3": options})


PUSH = """
import sys
from pathlib import Path
from tests.store.mirrors import opened, push_all
store = opened(Path(sys.argv[1]), sys.argv[2])
print("go", flush=True)
push_all(store, *sys.argv[3:])
"""


@pytest.mark.parametrize("turns", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_push_that_is_killed_leaves_whole_entries_or_none(turns: int, server: Counted, tmp_path: Path) -> None:
    """SIGKILL at several instants of one push, each from where the last one left it."""
    store, keys = Store(tmp_path / "a"), [key_of(number) for number in range(1, 9)]
    for number in range(1, 9):
        publish(store, number, files={f"{i}.bin": random.Random(number + i).randbytes(60_000) for i in range(4)})
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPO), *sys.path])}
    command = [sys.executable, "-c", PUSH, str(store.root), URL, *keys]
    killed = 0
    for turn in range(turns):
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert child.stdout is not None and child.stdout.readline() == b"go\n"
        time.sleep(0.1 * turn / turns)
        child.send_signal(signal.SIGKILL)
        killed += child.wait() == -signal.SIGKILL
        child.stdout.close()
        seen = opened(tmp_path / f"b{turn}", URL)
        for key in keys:
            if seen.mirror.has("results", key):
                assert seen.bring("results", key) is not None and seen.verify("results", key)
    assert killed > turns / 2
    assert push_all(opened(store.root, URL), *keys) == {}
    assert all(whole(tmp_path / "c", URL, key) for key in keys)


def test_what_is_wrong_with_a_mirror_is_told_at_once(
    server: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def says(url: str) -> str:
        with pytest.raises(MirrorError) as caught:
            Mirror(url).connect(write=True)
        assert caught.value.remedy and "hush" not in str(caught.value)
        return caught.value.message

    assert "no such bucket" in says("s3://nobody/runs")
    impatient(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "cannot be reached" in says(URL)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert "no credentials" in says(URL)
