"""Workers on Ray against one process: the same bytes, and the time of both.

Two parts, each command a process from its start to its end, in a fresh workspace, with one thread a process:
a study whose stages stand beside each other, with `--workers N` and without; and one stage alone, where Ray brings
nothing, so that its cost shows. Adapters, samples of scores and drifts must be equal byte for byte. `--steps N` gives
every stage so many steps, `--limit N` every benchmark so many items.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import report
from study import copied

from statllama.runs.study_file import load_study
from statllama.store import Store

ONE = ("run", "quickstart", "--until", "cpt")


def seconds(*arguments: str) -> float:
    """Run a command of statllama in one thread; its seconds by the clock."""
    started, here = time.perf_counter(), {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "statllama", *arguments], check=True, stdout=subprocess.DEVNULL, env=here)
    return time.perf_counter() - started


def results(workspace: Path) -> dict[str, Any]:
    """Return {entry: what must be equal}: hashes of adapters and samples, scores and drifts without their seconds."""
    found: dict[str, Any] = {}
    store = Store(workspace)
    for entry in store.entries("results"):
        found[entry.key] = entry.manifest["files"]["adapter_model.safetensors"]["sha256"]
    for entry in store.entries("scores"):
        score = {k: v for k, v in entry.manifest.get("score", {}).items() if k != "seconds"}
        found[entry.key] = (score, entry.manifest.get("drift"), entry.manifest["files"].get("samples.jsonl"))
    return found


def both(folder: Path, command: tuple[str, ...], workers: int) -> dict[str, Any]:
    """Time a command in one process and with workers, and require equal results."""
    alone, beside = folder / "alone", folder / "beside"
    took = seconds(*command, "--workspace", str(alone))
    ray = seconds(*command, "--workspace", str(beside), "--executor", "ray", "--workers", str(workers))
    ours, theirs = results(alone), results(beside)
    assert ours == theirs, {key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key)}
    return {"one process, seconds": took, "on Ray, seconds": ray, "entries equal byte for byte": len(ours)}


def main() -> None:
    """Measure, print, and save where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="miniature")
    parser.add_argument("--steps", type=int, help="steps of every stage; default: the recipes' own")
    parser.add_argument("--limit", type=int, help="items of each benchmark; default: all")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--save", action="store_true", help="write results/workers.json")
    given = parser.parse_args()
    steps = () if given.steps is None else ("--set", f"stages.cpt.train.steps={given.steps}")
    limit = () if given.limit is None else ("--set", f"evaluate.limit={given.limit}")
    with tempfile.TemporaryDirectory() as place:
        (one := Path(place) / "one").mkdir()
        (many := Path(place) / "many").mkdir()
        file = str(copied(load_study([given.study]), many, given.steps))
        stage = both(one, (*ONE, *steps, *limit), 1)
        study = both(many, ("study", file, *limit), given.workers)
    figures = {
        "study": given.study,
        "steps": given.steps,
        "items": given.limit,
        "workers": given.workers,
        "one stage": {**stage, "cost of Ray, seconds": stage["on Ray, seconds"] - stage["one process, seconds"]},
        "the study": {**study, "one process over Ray": study["one process, seconds"] / study["on Ray, seconds"]},
    }
    report("workers", figures, save=given.save)


if __name__ == "__main__":
    main()
