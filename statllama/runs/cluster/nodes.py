"""What each host of a cluster must share with the driver: code, versions, clock, files. Knows nothing of Ray.

The driver writes a file with a random name into the workspace and holds a lock beside it. A host that reads the same
token, writes an answer that the driver reads, and finds the lock taken sees the same workspace, with locks that hold.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

from statllama.errors import UsageError
from statllama.store import Store
from statllama.store.files import translate_os_errors
from statllama.store.versions import __version__, installed_version, installed_versions

CLOCK_NOTE, CLOCK_ERROR = 5.0, 30.0  # seconds that a host's clock may differ, before it is told, before it is refused
PATIENCE = 5.0  # seconds until a file that one host wrote is seen on another: NFS caches names
OPTIONAL = ("unsloth", "unsloth_zoo")  # a driver without a GPU may lack them
PROBE = "probe-"
MOST = 3  # missing files that a message names


@dataclass(frozen=True)
class Question:
    """What a host is asked to look at. The paths are the driver's, and must mean the same there."""

    workspace: Path
    probe: Path
    """A file in the workspace, with a locked one beside it."""
    token: str
    """The probe's content."""
    files: tuple[tuple[Path, int | None], ...] = ()
    """Files and folders that works read, with the size of each file."""


@dataclass(frozen=True)
class Facts:
    """What a process says of itself and of its host."""

    host: str
    python: str
    ray: str | None
    statllama: str
    source: str
    """Hash of the package's source files."""
    packages: Mapping[str, str]
    gpus: tuple[tuple[str, float], ...]
    """Name and bytes of memory of each GPU of the host, as nvidia-smi tells them."""
    clock: float
    """Seconds since the epoch, when it was asked."""
    workspace: str | None = None
    """What is wrong with the workspace as it sees it; None: it is the driver's."""
    missing: tuple[str, ...] = ()
    """Files that it does not see, or sees with another size."""
    answer: str = ""
    """Name of the file that it wrote beside the probe."""
    compute: str = ""
    """What `precision: auto` means to it; empty where it was not asked with a device of its own."""


@dataclass(frozen=True)
class Fault:
    """Something that keeps a host from working, and how to mend it."""

    what: str
    remedy: str


def facts(question: Question | None = None) -> Facts:
    """Return what this process can say of its host. It writes an answer into the workspace when asked about one."""
    clock = time.time()
    wrong, answer = None, ""
    missing: tuple[str, ...] = ()
    if question is not None:
        wrong, answer = _workspace(question)
        missing = tuple(str(path) for path, size in question.files if not _seen(path, size))
    return Facts(
        host=socket.gethostname(),
        python=platform.python_version(),
        ray=installed_version("ray"),
        statllama=__version__,
        source=source_hash(),
        packages=installed_versions(),
        gpus=_gpus(),
        clock=clock,
        workspace=wrong,
        missing=missing,
        answer=answer,
    )


def source_hash() -> str:
    """Return a hash of this package's source files: two hosts may have different code of one version."""
    root, total = Path(__file__).parents[2], sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if not name.startswith("shipped/"):  # data that keys hold, there in a wheel alone
            total.update(f"{name}\0{sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


@contextmanager
def asking(workspace: Path, files: Sequence[Path]) -> Iterator[Question]:
    """Yield the question about a workspace, which is created where it is not there. StoreError when the disk
    refuses.
    """
    folder = Store(workspace).writable("locks")
    _clear(folder)
    token = secrets.token_hex(16)
    probe = folder / f"{PROBE}{secrets.token_hex(8)}"
    lock = FileLock(_lock_of(probe), fallback_to_soft=False)
    with translate_os_errors(probe):
        lock.acquire(blocking=False)
        probe.write_text(token, encoding="utf-8")
    try:
        sizes = tuple((path.absolute(), path.stat().st_size if path.is_file() else None) for path in files)
        yield Question(Store(workspace).root, probe, token, sizes)
    finally:
        _remove(probe)
        lock.release()


def answered(question: Question, told: Facts) -> bool:
    """Return whether the driver sees what the host wrote."""
    path = question.probe.with_name(told.answer)
    return bool(told.answer) and _within_patience(lambda: path.read_text(encoding="utf-8") == question.token)


def faults(own: Facts, other: Facts, began: float, ended: float, *, seen: bool = True) -> list[Fault]:
    """Return what keeps a host from working with the driver.

    `began`, `ended`: the driver's clock before it asked and when it had the answer. `seen`: see `answered`.
    """
    found = [*_versions(own, other)]
    if own.compute and other.compute and own.compute != other.compute:  # keys of scores tell them apart
        found.append(
            Fault(
                f"its devices compute in {other.compute}, and the one here in {own.compute}",
                "start the command on a host with a device like those of the workers",
            )
        )
    if (ahead := apart(other.clock, began, ended)) and abs(ahead) > CLOCK_ERROR:
        found.append(
            Fault(f"its clock is {_ahead(ahead)}", "set the clocks of all hosts by NTP: timedatectl set-ntp true")
        )
    share = "give all hosts one workspace folder at one path, on a network file system with locks"
    if other.workspace is not None:
        found.append(Fault(other.workspace, share))
    elif not seen:
        found.append(Fault("what it writes into the workspace is not seen here", share))
    if other.missing:
        more = f" and {len(other.missing) - MOST} more" if len(other.missing) > MOST else ""
        names = ", ".join(other.missing[:MOST])
        found.append(
            Fault(
                f"it does not see {names}{more}",
                "keep the recipe, its data and its base on a folder that all hosts share",
            )
        )
    return found


def notes(own: Facts, other: Facts, began: float, ended: float) -> list[str]:
    """Return what is odd about a host and keeps it from nothing."""
    found = []
    ahead = apart(other.clock, began, ended)
    if CLOCK_NOTE < abs(ahead) <= CLOCK_ERROR:
        found.append(f"{other.host}: its clock is {_ahead(ahead)}, so times in messages of its are off by as much")
    return found


def apart(clock: float, began: float, ended: float) -> float:
    """Return by how many seconds a clock is ahead (behind: below 0) at least, read between `began` and `ended` here."""
    return min(0.0, clock - began) + max(0.0, clock - ended)


def by_host(told: Sequence[tuple[str, Sequence[Fault]]]) -> list[tuple[str, list[Fault]]]:
    """Return (host, its faults) of what processes told, several of which may be of one host."""
    found: dict[str, dict[Fault, None]] = {}
    for host, those in told:
        found.setdefault(host, {}).update(dict.fromkeys(those))
    return [(host, list(those)) for host, those in found.items()]


def require(found: Sequence[tuple[str, Sequence[Fault]]]) -> None:
    """Raise UsageError that names each host with a fault, and how to mend all of them. `found`: (host, its faults)."""
    wrong = [(host, those) for host, those in found if those]
    if not wrong:
        return
    lines = dict.fromkeys(f"  {host}: {fault.what}" for host, those in wrong for fault in those)
    remedies = dict.fromkeys(fault.remedy for _, those in wrong for fault in those)
    count = f"{len(wrong)} of {len(found)} hosts" if len(found) > 1 else "the host"
    raise UsageError(
        "\n".join([f"{count} of the cluster cannot take part in this run:", *lines]),
        remedy="\n     ".join([*remedies, "or leave such a host out: `ray stop` there"]),
    )


def _versions(own: Facts, other: Facts) -> Iterator[Fault]:
    if _minor(own.python) != _minor(other.python):
        yield Fault(f"it has Python {other.python}, and here is {own.python}", "use one version of Python on all hosts")
    if own.ray != other.ray:
        yield Fault(f"it has Ray {other.ray}, and here is {own.ray}", f"pip install ray=={own.ray} on all hosts")
    if own.statllama != other.statllama:
        what = f"it has statllama {other.statllama}, and here is {own.statllama}"
        yield Fault(what, f"pip install statllama=={own.statllama} on all hosts")
    elif own.source != other.source:
        what = f"its statllama {other.statllama} is other code than here ({other.source[:12]}, {own.source[:12]} here)"
        yield Fault(what, "install the same commit of statllama on all hosts, and start Ray again there")
    for name, version in own.packages.items():
        there = other.packages.get(name)
        if there is None and name in OPTIONAL:
            continue
        if there is None or _public(there) != _public(version):
            what = f"it has {name} {there}" if there else f"it has no {name}"
            yield Fault(f"{what}, and here is {version}", f"pip install {name}=={_public(version)} on all hosts")


def _minor(python: str) -> str:
    return python.rpartition(".")[0]


def _public(version: str) -> str:
    """Return a version without its build: `2.13.0` of `2.13.0+cu130`, since a driver may have no GPU."""
    return version.partition("+")[0]


def _ahead(seconds: float) -> str:
    return f"{abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}"


def _workspace(question: Question) -> tuple[str | None, str]:
    """Return what is wrong with the workspace as this process sees it, and the name of the answer that it wrote."""
    where, probe = question.workspace, question.probe
    if not where.is_dir():
        return f"it does not see the workspace {where}", ""
    if not _within_patience(lambda: probe.read_text(encoding="utf-8") == question.token):
        return f"{where} is not the workspace there that it is here", ""
    answer = probe.with_name(f"{probe.name}-{socket.gethostname()}-{os.getpid()}")
    try:
        answer.write_text(question.token, encoding="utf-8")
    except OSError as error:
        return f"it cannot write into the workspace {where}: {error.strerror}", ""
    lock = FileLock(_lock_of(probe), fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None, answer.name
    except (OSError, NotImplementedError) as error:
        return f"it cannot lock files in the workspace {where}: {error}", answer.name
    lock.release()
    return f"locks on files in the workspace {where} do not hold from host to host", answer.name


def _clear(folder: Path) -> None:
    """Delete what drivers that were killed have left."""
    for path in folder.glob(f"{PROBE}*.lock"):
        lock = FileLock(path, fallback_to_soft=False)
        with suppress(OSError, NotImplementedError, Timeout):
            lock.acquire(blocking=False)
            _remove(path.with_suffix(""))
            lock.release()


def _remove(probe: Path) -> None:
    for path in probe.parent.glob(f"{probe.name}*"):
        with suppress(OSError):
            path.unlink()


def _lock_of(probe: Path) -> Path:
    return probe.with_suffix(".lock")


def _within_patience(true: Callable[[], bool]) -> bool:
    """Return whether this comes true in time; what is not there yet is not true."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(OSError, UnicodeDecodeError):
            if true():
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)


def _seen(path: Path, size: int | None) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return os.access(path, os.R_OK) and (size is None or found.st_size == size)


def _gpus() -> tuple[tuple[str, float], ...]:
    """Return name and memory of the host's GPUs. Loads no torch, which would take memory of them."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    asked = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout
        lines = [line.rpartition(",") for line in answer.splitlines() if line.strip()]
        return tuple((name.strip(), float(memory) * 2**20) for name, _, memory in lines)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError, ValueError):
        return ()
