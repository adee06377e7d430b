"""Clusters that are not there, and other things that are told before anything starts."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from statllama.errors import UsageError
from statllama.runs.cluster.connection import Connection, connected
from statllama.runs.cluster.engine import connect


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def refused(address: str | None) -> str:
    with pytest.raises(UsageError) as caught, connected(address, 1):
        pass
    return str(caught.value)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    wanted = connect(None, tmp_path, [], threads=1, workers=None, devices=1, note=lambda text: None)
    with pytest.raises(UsageError, match=r"Ray is not installed") as caught, wanted:
        pass
    assert "pip install 'statllama[ray]'" in str(caught.value)


def test_a_cluster_that_is_not_there_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    port, began = free_port(), time.monotonic()
    told = refused(f"127.0.0.1:{port}")
    assert f"there is no cluster at 127.0.0.1:{port}" in told and f"ray start --head --port={port}" in told
    monkeypatch.setenv("RAY_ADDRESS", f"localhost:{port}")
    assert f"there is no cluster at localhost:{port}" in refused(None)
    assert "there is no cluster at no.such.host.invalid:6379" in refused("no.such.host.invalid")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("ray://head:10001", "is Ray Client or Ray Jobs"),
        ("https://head:8265", "is Ray Client or Ray Jobs"),
        ("head:port", "is no address"),
        (":6379", "is no address"),
        ("head:99999", "is no address"),
    ],
)
def test_what_is_no_address(address: str, told: str) -> None:
    pytest.importorskip("ray")
    assert told in refused(address)


def test_a_variable_that_is_no_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "head:port")
    assert "RAY_ADDRESS=head:port is no address" in refused(None)


def test_a_request_to_end_reaches_who_listened_before_ray() -> None:
    """Ray takes SIGTERM when it starts: a scheduler's would then end the driver, and nothing would be saved."""
    pytest.importorskip("ray")
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with connected("local", 1):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_what_is_gone_and_how_to_go_on() -> None:
    here, there = Connection("127.0.0.1:6379", here=True), Connection("10.0.0.1:6379", here=False)
    assert str(here.gone()) == (
        "Ray, which was started here for this command, is gone; finished work is in the workspace\n"
        "  -> run the same command again to go on"
    )
    assert "the cluster at 10.0.0.1:6379 is gone: hosts have left; finished" in str(there.gone("hosts have left"))
    assert "leave out --address" in str(there.gone())
