"""What the ranks of `ranked.Group` do, each in a process of its own."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer

from statllama.errors import StatllamaError, TrainingError
from statllama.evaluation import probe
from statllama.model import stack
from statllama.recipe import load_recipe
from statllama.runs.plan import plan
from statllama.runs.session import Session
from statllama.runs.signals import StopSignal
from statllama.store import Store
from statllama.train import training
from statllama.train.ranks import Ranks, joined
from tests.running import Recorder

__all__ = ["StatllamaError", "ask", "joining", "train"]
_texts, _training_step = probe.probe_texts, Trainer.training_step
WRITING = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "shutil.rmtree"}
"""Audit events of Python that change files; of `open` those that are opened to write."""


def joining(rank: int, order: dict[str, Any]) -> Any:
    """Call the order's function as one of its ranks."""
    probe.probe_texts = lambda: _texts()[::20]  # as in conftest
    with joined(rank, order["size"], order["address"], timedelta(seconds=order["patience"])) as ranks:
        return globals()[order["function"]](ranks, *order["arguments"])


def train(
    ranks: Ranks,
    path: str,
    workspace: str,
    overrides: list[str] | None = None,
    fault: dict[str, Any] | None = None,
    only: str = "",
) -> dict[str, Any]:
    """Train a recipe's stages, or one and its parent; what came out, what was told, the files that this rank changed.

    `fault`: {rank: of which, kind: see `_ill`, step: from which on}.
    """
    recipe, store, told = load_recipe(Path(path), overrides or []), Store(Path(workspace)), Recorder()
    planned = plan(recipe, store, contents=True)
    ranks.any(False)  # nobody publishes before all have planned
    with StopSignal() as stop, _changes(workspace) as changed, _ill(ranks, fault):
        session = Session(recipe, store, told, stop, base=planned[0].material["base"], ranks=ranks)
        wanted = [stage for stage in planned if not only or stage.spec.name in (only, planned[0].spec.name)]
        entries = {stage.spec.name: session.train(stage) for stage in wanted}
    paths = {name: str(entry.path) for name, entry in entries.items()}
    return {"paths": paths, "notes": told.notes, "steps": len(told.steps), "changed": sorted(changed)}


def ask(ranks: Ranks) -> dict[str, Any]:
    """Say and hear all that ranks say to each other."""
    mine = [torch.full((3,), float(ranks.rank + 1)), torch.tensor(2.0)]
    ranks.add(mine)
    long = ranks.gather("x" * (5000 * ranks.rank))  # one of them empty
    found = {
        "any": (ranks.any(ranks.rank == 1), ranks.any(False)),
        "gather": ranks.gather({"rank": ranks.rank}),
        "lengths": [len(text) for text in long],
        "broadcast": ranks.broadcast(ranks.rank),
        "tensors": [one.tolist() for one in ranks.gather(torch.arange(ranks.rank))],
        "add": [one.tolist() for one in mine],
        "first": ranks.first,
        "known": torch.distributed.is_initialized(),
    }
    try:
        ranks.require_same("the hour", ranks.rank // 2, "set the clocks")
    except TrainingError as error:
        found["unlike"] = str(error)
    if ranks.first:
        time.sleep(1.5)  # longer than a wait of `wait_for_first`
    ranks.wait_for_first()
    return found


@contextmanager
def _changes(workspace: str) -> Iterator[set[str]]:
    """Yield a set that fills with what this process changes in a folder."""
    found: set[str] = set()

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in WRITING or (event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)):
            return
        if event == "os.mkdir" and os.path.isdir(arguments[0]):
            return
        if str(arguments[0]).startswith(workspace):
            found.add(f"{event} {os.path.relpath(str(arguments[0]), workspace)}")

    sys.addaudithook(hear)  # it stays, in a process that ends soon
    yield found


@contextmanager
def _ill(ranks: Ranks, fault: dict[str, Any] | None) -> Iterator[None]:
    """Let one rank fail: in its forward passes from a step on, or at once."""
    if fault is None or fault["rank"] != ranks.rank:
        yield
        return

    done: list[str] = []
    if fault["kind"] == "gone":
        os.remove(fault["file"])
    if fault.get("tight"):
        training.tight = lambda job: True  # as on a GPU: the heaviest pass is tried

    def step(self: Any, model: Any, batch: Any, *rest: Any, **more: Any) -> Any:
        name = self.job.spec.name
        due = self.state.global_step >= fault.get("step", math.inf) and fault.get("stage", name) == name
        kind = fault["kind"] if due else ""
        if kind == "memory" and next(v for k, v in batch.items() if k.endswith("_ids")).numel() > fault["most"]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if kind == "error":
            raise RuntimeError("a fault of another kind")
        if kind == "signal" and not done:
            done.append(kind)  # a second one would break it off at once
            os.kill(os.getpid(), signal.SIGINT)
        if kind == "perturbed" and not done:
            done.append(kind)
            next(iter(stack.trainable(self.model).values())).data.add_(1e-7)
        if kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "silent":
            time.sleep(fault["seconds"])
        return _training_step(self, model, batch, *rest, **more)

    Trainer.training_step = step  # type: ignore[method-assign]
    try:
        yield
    finally:
        Trainer.training_step = _training_step  # type: ignore[method-assign]
