"""What the ranks of `ranked.Group` do, each in a process of its own."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from statllama.errors import StatllamaError
from statllama.evaluation import probe
from statllama.recipe import load_recipe
from statllama.runs.plan import plan
from statllama.runs.session import Session
from statllama.runs.signals import StopSignal
from statllama.store import Store
from statllama.train.ranks import Ranks, joined
from tests.running import Recorder

__all__ = ["StatllamaError", "joining", "train"]
_texts = probe.probe_texts


def joining(rank: int, order: dict[str, Any]) -> Any:
    """Call the order's function as one of its ranks."""
    probe.probe_texts = lambda: _texts()[::20]  # as in conftest
    with joined(rank, order["size"], order["address"], timedelta(seconds=order["patience"])) as ranks:
        return globals()[order["function"]](ranks, *order["arguments"])


def train(ranks: Ranks, path: str, workspace: str, overrides: list[str] | None = None) -> dict[str, Any]:
    """Train all stages of a recipe; what was told, and what was written by this rank."""
    recipe, store, told = load_recipe(Path(path), overrides or []), Store(Path(workspace)), Recorder()
    with StopSignal() as stop:
        planned = plan(recipe, store, contents=True) if ranks.first else None
        planned = ranks.broadcast(planned)
        assert planned is not None
        session = Session(recipe, store, told, stop, base=planned[0].material["base"], ranks=ranks)
        entries = [stage.entry or session.train(stage) for stage in planned]
    return {"paths": [str(entry.path) for entry in entries], "notes": told.notes, "steps": told.steps, "pid": os.getpid()}
