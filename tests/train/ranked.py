"""Processes that train together on this machine: one that has imported torch forks the ranks of each order.

What the ranks do is a function of `rank_work`, which they call with their `Ranks`. Loads no torch.
"""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import REPO

PRELOAD = """
import datasets, torch, trl
torch.set_num_threads(1)
from statllama.model.base_model import start_backend
start_backend("transformers")
from trl import DPOTrainer, GRPOTrainer, KTOTrainer, SFTTrainer
from tests.train import rank_work
"""
_SERVER = """
import gc, json, os, pickle, signal, sys, traceback
{preload}
gc.freeze()  # see tests/conftest.py
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    children = []
    for rank in range(order["size"]):
        child = os.fork()
        if child:
            children.append(child)
            continue
        signal.alarm(order["seconds"])
        os.dup2(os.open(order["folder"] + f"/said-{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(2, 1)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
        answer = {"value": None, "error": None}
        try:
            answer["value"] = rank_work.joining(rank, order)
        except BaseException as error:
            traceback.print_exc()
            answer["error"] = error if isinstance(error, rank_work.StatllamaError) else RuntimeError(repr(error))
        sys.stdout.flush(), sys.stderr.flush()
        with open(order["folder"] + f"/answer-{rank}", "wb") as file:
            pickle.dump(answer, file)
        os._exit(0)
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]), flush=True)
"""


@dataclass(frozen=True)
class Answer:
    """How one rank ended: what its function returned or raised, its exit code, and what it printed."""

    value: Any
    error: BaseException | None
    code: int
    said: str


class Group:
    """A process that has imported torch and forks as many ranks as an order asks for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._orders = folder, 0
        environment = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER.replace("{preload}", PRELOAD)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ready = False

    def start(self, function: str, size: int, *arguments: Any, seconds: int = 240, patience: float = 60.0) -> None:
        """Start `rank_work.<function>(ranks, *arguments)` on `size` ranks; `answers` waits for them."""
        assert self._process.stdin is not None and self._process.stdout is not None
        if not self._ready:
            assert self._process.stdout.readline().strip() == "ready"
            self._ready = True
        self._orders += 1
        self._size, self._place = size, self.folder / str(self._orders)
        self._place.mkdir(parents=True)
        order = {
            "function": function,
            "size": size,
            "arguments": [str(a) if isinstance(a, Path) else a for a in arguments],
            "folder": str(self._place),
            "address": f"tcp://127.0.0.1:{free_port()}",
            "seconds": seconds,
            "patience": patience,
        }
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def answers(self) -> list[Answer]:
        """How each rank of the last order ended."""
        assert self._process.stdout is not None
        codes = json.loads(self._process.stdout.readline())
        return [self._answer(rank, code) for rank, code in enumerate(codes)]

    def _answer(self, rank: int, code: int) -> Answer:
        said = (self._place / f"said-{rank}").read_text()
        path = self._place / f"answer-{rank}"
        got = {"value": None, "error": None}
        if path.exists():
            got = pickle.loads(path.read_bytes())  # noqa: S301  # our own
        return Answer(got["value"], got["error"], code, said)

    def run(self, function: str, size: int, *arguments: Any, **options: Any) -> list[Any]:
        """Run a function on `size` ranks; what each returned. Raises what a rank raised."""
        self.start(function, size, *arguments, **options)
        found = self.answers()
        for answer in found:
            if answer.error is not None or answer.code:
                raise AssertionError(f"exit code {answer.code}\n{answer.said}") from answer.error
        return [answer.value for answer in found]

    def errors(self, function: str, size: int, *arguments: Any, **options: Any) -> Sequence[Any]:
        """Run a function on `size` ranks that all fail; what each raised."""
        self.start(function, size, *arguments, **options)
        found = self.answers()
        assert all(answer.error is not None for answer in found), [answer.said for answer in found]
        return [answer.error for answer in found]

    def close(self) -> None:
        """End the process (its children have been waited for)."""
        self._process.kill()
        self._process.wait()


def free_port() -> int:
    """A TCP port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
