"""The way to a Ray cluster, or to one of this machine's own: settings, and its errors in words.

Nothing here starts Ray by importing this module.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statllama.errors import StatllamaError, UsageError
from statllama.runs.signals import SIGNALS

PORT = 6379  # of a cluster, where the address names none
PATIENCE = 3.0  # seconds until an address that does not answer is taken for none
STORE = 100 * 2**20  # bytes of Ray's object store, of which messages alone are sent
ANSWER = 15.0  # seconds that a head gets to say that it is one: Ray is imported meanwhile
_ASK = """
import sys
from ray._raylet import GcsClient
try:
    GcsClient(address=sys.argv[1])
    print("well")
except Exception as error:
    print(type(error).__name__)
"""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Set before Ray is imported, where the user has not: no reports to anyone, no metrics, no advice on the console."""


class ClusterGone(StatllamaError):
    """The cluster ended while a run was on it. What had been published is in the workspace."""


@dataclass(frozen=True)
class Connection:
    """A cluster that this process has joined as a driver."""

    address: str
    """`HOST:PORT` of its head."""
    here: bool
    """Whether it was started by this process and ends with it."""

    def answers(self) -> bool:
        """Return whether its head still takes connections."""
        return _answers(*_parts(self.address))

    def __str__(self) -> str:
        return "this machine" if self.here else f"the cluster at {self.address}"

    def gone(self, why: str = "") -> ClusterGone:
        """Return the error of a cluster that ended."""
        what = "Ray, which was started here for this command," if self.here else f"the cluster at {self.address}"
        again = "" if self.here else "start it again, or leave out --address, and "
        return ClusterGone(
            f"{what} is gone{f': {why}' if why else ''}; finished work is in the workspace",
            remedy=f"{again}run the same command again to go on",
        )


def require_ray() -> Any:
    """Return Ray, imported with the settings of `QUIET`. UsageError when it is not installed."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as exc:
        raise UsageError(
            f"Ray is not installed here ({exc})", remedy="pip install 'statllama[ray]', on every host of the cluster"
        ) from exc
    return ray


def require_way(address: str | None) -> None:
    """Raise UsageError when there is no Ray here, or nothing at an address (None: RAY_ADDRESS)."""
    require_ray()
    wanted = _wanted(address)
    if wanted != "local":
        _reachable(wanted, _source(address))


def _wanted(address: str | None) -> str:
    return address or os.environ.get("RAY_ADDRESS") or "local"


def _source(address: str | None) -> str:
    """Return what an address was named by, for messages."""
    return "--address " if address else "RAY_ADDRESS="


@contextmanager
def connected(address: str | None, cores: int) -> Iterator[Connection]:
    """Join the cluster at an address, RAY_ADDRESS where it is None, and else start one of this machine's devices.

    `cores`: of this machine, at least. A cluster that this process has joined already is used as it is. UsageError when
    there is none at the address, or it is of another version.
    """
    ray = require_ray()
    wanted = _wanted(address)
    if ray.is_initialized():
        yield Connection(ray.get_runtime_context().gcs_address, here=False)
        return
    options: dict[str, Any] = {"namespace": f"statllama-{secrets.token_hex(4)}", "configure_logging": False}
    if wanted == "local":
        options |= {"num_cpus": cores, "include_dashboard": False, "object_store_memory": STORE}
    else:
        wanted = _reachable(wanted, _source(address))
    with _silenced(), _token(starts=wanted == "local"):
        if wanted not in ("local", "auto"):
            _require_head(wanted)
        try:
            with _signals_kept():
                ray.init(address=wanted, log_to_driver=False, **options)
        except Exception as exc:
            ray.shutdown()
            raise _in_words(exc, wanted) from exc
        try:
            yield Connection(ray.get_runtime_context().gcs_address, here=wanted == "local")
        finally:
            ray.shutdown()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Give signals their handlers back: Ray takes SIGTERM, which would then end the driver before anything is saved."""
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in SIGNALS} if main else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # set by other code than Python's
                signal.signal(number, handler)


@contextmanager
def _token(starts: bool) -> Iterator[None]:
    """Have Ray ask for a token, and send one, where the user has not said otherwise.

    Who reaches a cluster's port without one runs any code there. For a cluster of its own Ray would write it to
    ~/.ray/auth_token, for good, after which every `ray start` wants it; and to an address that is named it sends none.
    """
    added: dict[str, str] = {}
    if "RAY_AUTH_MODE" not in os.environ:
        named = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()
        if starts:
            added = {"RAY_AUTH_MODE": "token"} | ({} if named else {"RAY_AUTH_TOKEN": secrets.token_hex(16)})
        elif named or (Path.home() / ".ray/auth_token").exists():
            added = {"RAY_AUTH_MODE": "token"}
    os.environ |= added
    _read_settings_again()
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
        _read_settings_again()


def _read_settings_again() -> None:
    """Have Ray read its environment, as it did when it was imported."""
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep Ray's own lines from the console, such as the death of a worker in a paragraph: the driver tells of it."""
    from ray._private import worker

    log, printing = logging.getLogger("ray"), worker.print_to_stdstream
    before = log.propagate, log.level
    quiet = logging.NullHandler()
    log.addHandler(quiet)
    log.propagate = False
    log.setLevel(logging.CRITICAL)
    worker.print_to_stdstream = lambda *data, **more: None
    try:
        yield
    finally:
        worker.print_to_stdstream = printing
        log.removeHandler(quiet)
        log.propagate, log.level = before


def _reachable(address: str, source: str = "--address ") -> str:
    """Return the address with its port. UsageError when nothing answers there. `source`: what it was named by."""
    if address == "auto":
        return address
    if "://" in address:
        raise UsageError(
            f"{source}{address}: that is Ray Client or Ray Jobs, through which the workspace cannot be seen",
            remedy=f"run the command on a host of the cluster, with --address auto or HOST:{PORT}",
        )
    host, port = _parts(address, source)
    if not _answers(host, port):
        raise UsageError(
            f"there is no cluster at {host}:{port}: nothing answers there",
            remedy=f"start one: `ray start --head --port={port}` there, and `ray start --address={host}:{port}` on the "
            "other hosts; or leave out --address (and RAY_ADDRESS) to use this machine alone",
        )
    return f"{host}:{port}"


def _require_head(address: str) -> None:
    """Raise UsageError when what answers is not the head of a cluster that takes us.

    Ray itself tries for 20 to 60 s, and prints a line each time: so it is asked once, in a process of its own.
    """
    ask = [sys.executable, "-c", _ASK, address]
    try:
        answer = subprocess.run(ask, capture_output=True, text=True, timeout=ANSWER, check=False).stdout.strip()
    except subprocess.TimeoutExpired:
        answer = f"no answer within {ANSWER:.0f} s"
    if answer == "AuthenticationError":
        raise UsageError(
            f"the cluster at {address} asks for another token than this process has",
            remedy="put the token of its head (~/.ray/auth_token there) into ~/.ray/auth_token here, or into the "
            "variable RAY_AUTH_TOKEN",
        )
    if answer != "well":
        raise UsageError(
            f"what answers at {address} is not the head of a Ray cluster ({answer or 'it says nothing'})",
            remedy=f"name the port that `ray start --head` printed, {PORT} if it was not told another",
        )


def _parts(address: str, source: str = "--address ") -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon:
        return address, PORT
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise UsageError(
            f"{source}{address} is no address", remedy=f"write HOST:PORT, such as 10.0.0.1:{PORT}, or auto"
        )
    return host.strip("[]"), int(port)


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=PATIENCE):
            return True
    except OSError:
        return False


def _in_words(exc: Exception, address: str) -> StatllamaError:
    """Return what Ray's failure to connect means."""
    text = str(exc)
    if "ersion mismatch" in text:
        there = dict(re.findall(r"^\s*(Ray|Python): (\S+)", text.partition("This process")[0], re.MULTILINE))
        here = {"Ray": sys.modules["ray"].__version__, "Python": platform.python_version()}
        other = [name for name, version in there.items() if version != here[name]] or ["Ray"]
        return UsageError(
            f"the cluster at {address} has {_named(there) or 'another version'}, and here is {_named(here)}",
            remedy="use one version on all hosts: "
            + " and ".join(f"pip install ray=={there.get(name)}" if name == "Ray" else "one Python" for name in other),
        )
    if isinstance(exc, ConnectionError | ValueError | RuntimeError | TimeoutError) and address != "local":
        return UsageError(
            f"cannot join the cluster at {address}: {_first_line(text)}",
            remedy=f"this machine must be a host of it (`ray start --address={address}`), with the same Ray",
        )
    return StatllamaError(f"Ray does not start here: {_first_line(text)}", remedy="see /tmp/ray/session_latest/logs")


def _named(versions: Mapping[str, str]) -> str:
    return " and ".join(f"{name} {version}" for name, version in versions.items())


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if lines else "it does not say why"
