"""A worker process: takes one work after the other and keeps the loaded base between them.

Its methods run in the main thread, so `StopSignal` gets real signals there: a thread listens for the driver's wish to
stop and sends the process SIGINT, as a terminal would, once for each time that the user asked.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any

from statllama.errors import Interrupted, StatllamaError
from statllama.model.precision import compute_type, has_cuda
from statllama.runs.cluster.board import Item, RemoteReporter
from statllama.runs.cluster.nodes import Facts, Question, facts
from statllama.runs.cluster.placement import Card
from statllama.runs.cluster.work import Work
from statllama.runs.reporting import Reporter
from statllama.runs.signals import StopSignal

THREADS = ("OMP_", "MKL_", "KMP_", "GOMP_", "OPENBLAS_", "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE")
"""Beginnings of variables that move rounding: a worker has the driver's, and no others."""
LAUNCHERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables by which accelerate would take a worker for one of several; so it would those of MPI, by `MPI`."""
MPI = ("PMI_", "OMPI_COMM_WORLD_", "MV2_COMM_WORLD_", "I_MPI_")
LISTENING = 30.0  # seconds of one question to the board

Perform = Callable[..., None]
"""See `perform.perform`: (work, desk, reporter, stop), and `ranks` in a group."""


class UnexpectedError(StatllamaError):
    """An exception that nobody foresaw, in a worker. Its traceback is shown with `--debug`."""


@dataclass(frozen=True)
class Place:
    """What a slot says of itself before it takes work."""

    facts: Facts
    gpus: tuple[str, ...]
    """The ids of its GPUs on that host."""
    address: str
    """Where a group could meet whose first rank it is."""
    process: int
    node: str = ""
    """Ray's id of the host."""
    card: Card | None = None
    """Its GPU, as torch sees it; None without one."""


@dataclass(frozen=True)
class Seat:
    """The place of a worker in a group that does one work together."""

    rank: int = 0
    size: int = 1
    address: str = ""


class Slot:
    """An actor's class. `board` is the actor of a `Board`."""

    def __init__(self, question: Question, threads: int, environment: Mapping[str, str], board: Any) -> None:
        """Take the driver's variables (`shared_environment`). Nothing that reads them is loaded yet."""
        _settle(threads, environment)
        self._question, self._board = question, board
        self._desk: Any = None
        self._insistence, self._working = 0, False
        self._main = threading.main_thread().ident
        if (mask := getattr(signal, "pthread_sigmask", None)) is not None:  # Ray starts its processes with it blocked
            mask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, lambda number, frame: None)  # between two works it means nothing
        threading.Thread(target=self._listen, name="listener", daemon=True).start()

    def look(self) -> Place:
        """Return what the process sees, before it takes work."""
        import ray

        here = ray.get_runtime_context()
        ids = here.get_accelerator_ids().get("GPU", [])
        told = replace(facts(self._question), compute=compute_type("auto"))
        address = _free_address(ray.util.get_node_ip_address())
        return Place(told, tuple(ids), address, os.getpid(), here.get_node_id(), _card() if ids else None)

    def work(self, work: Work, perform: Perform | None = None, seat: Seat | None = None) -> tuple[float, Any]:
        """Do a work; (seconds, the error as a value or None). `perform`: None is statllama's own."""
        began, seat = time.monotonic(), seat or Seat()
        reporter = RemoteReporter(work.id, self._send) if seat.rank == 0 else Reporter()
        error: StatllamaError | None = None
        try:
            with StopSignal() as stop:
                self._working = True
                if self._insistence:
                    raise Interrupted("stopped before it began", remedy="run the same command again to go on")
                self._perform(work, perform, reporter, stop, seat)
        except StatllamaError as exc:
            error = portable(exc)
        except BaseException as exc:  # a bug of ours, or SystemExit of a library: the driver tells it
            error = portable(_unexpected(work, exc))
        finally:
            self._working = False
        if isinstance(reporter, RemoteReporter):
            reporter.close()
        return time.monotonic() - began, error

    def _perform(self, work: Work, perform: Perform | None, reporter: Reporter, stop: StopSignal, seat: Seat) -> None:
        from statllama.runs.cluster import perform as own

        if self._desk is None:
            self._desk = own.Desk(self._question.workspace)
        with ExitStack() as block:
            more: dict[str, Any] = {}
            if seat.size > 1:
                from statllama.train.ranks import joined

                more["ranks"] = block.enter_context(joined(seat.rank, seat.size, seat.address))
            (perform or own.perform)(work, self._desk, reporter, stop, **more)

    def _send(self, items: Sequence[Item]) -> None:
        import ray

        ray.get(self._board.tell.remote(list(items)), timeout=LISTENING)

    def _listen(self) -> None:
        """Pass the wish to stop on to the main thread, for as long as the board is there."""
        import ray

        while True:
            try:
                told = ray.get(self._board.insistence.remote(self._insistence, LISTENING), timeout=2 * LISTENING)
            except Exception:
                return
            if told > self._insistence:
                self._insistence = told
                if self._working and self._main is not None:
                    getattr(signal, "pthread_kill", _raise)(self._main, signal.SIGINT)


def _raise(thread: int, number: int) -> None:
    """Stand in for `pthread_kill` on Windows, where Python hands every signal to the main thread."""
    signal.raise_signal(number)


def shared_environment() -> dict[str, str]:
    """Return the variables of this process, the driver, that its workers must have."""
    return {
        name: value for name, value in os.environ.items() if name.startswith(THREADS) or name == "STATLLAMA_BACKEND"
    }


def portable(error: StatllamaError) -> StatllamaError:
    """Return the error as it can travel: its traceback, which pickling loses, becomes a note that `--debug` shows."""
    if error.__traceback__ is not None and not isinstance(error, Interrupted):
        error.add_note(f"On {socket.gethostname()}, in process {os.getpid()}:\n{_text(error)}")
    try:
        pickle.dumps(error)
    except Exception:
        plain = StatllamaError(error.message, remedy=error.remedy)
        plain.__dict__["__notes__"] = list(getattr(error, "__notes__", ()))
        return plain
    return error


def _unexpected(work: Work, exc: BaseException) -> UnexpectedError:
    error = UnexpectedError(
        f"unexpected, in {work} on {socket.gethostname()}: {type(exc).__name__}: {exc}",
        remedy="please report it, with the output of `statllama --debug ...`",
    )
    error.add_note(f"On {socket.gethostname()}, in process {os.getpid()}:\n{_text(exc)}")
    return error


def _text(exc: BaseException) -> str:
    return "".join(traceback.format_exception(exc)).rstrip()


def _settle(threads: int, environment: Mapping[str, str]) -> None:
    """Give this process the driver's variables, before anything is loaded that reads them."""
    for name in list(os.environ):
        if name.startswith((*THREADS, *MPI)) or name in LAUNCHERS:
            del os.environ[name]
    os.environ |= {**environment, "OMP_NUM_THREADS": str(threads)}
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def _card() -> Card | None:
    """Return this process's GPU; None where torch sees none."""
    if not has_cuda():
        return None
    import torch

    found = torch.cuda.get_device_properties(0)
    return Card(found.name, float(found.total_memory))


def _free_address(host: str) -> str:
    """Return an address at this host at which nothing listens; another process may take it meanwhile."""
    with suppress(OSError), socket.socket() as free:
        free.bind((host, 0))
        return f"tcp://{host}:{free.getsockname()[1]}"
    with socket.socket() as free:
        free.bind(("", 0))
        return f"tcp://{host}:{free.getsockname()[1]}"
