"""Runs small recipes as a user's command would, and reads what they leave."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from statllama.recipe import Recipe, load_recipe
from statllama.runs import runner
from statllama.runs.reporting import Reporter
from statllama.store import Store
from tests.conftest import REPO


@dataclass(frozen=True)
class Said:
    """How a command ended: its exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def statllama(*arguments: str | Path, cwd: Path) -> Said:
    """Run `statllama ARGUMENTS` in this process, which has loaded what another would load for seconds."""
    from statllama.cli import main
    from statllama.cli.console.terminal import Err, Out

    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, chdir(cwd), redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["statllama", *map(str, arguments)])
        patch.delenv("STATLLAMA_DEBUG", raising=False)
        for console in (Out, Err):
            patch.setattr(console, "_width", 160)
        with pytest.raises(SystemExit) as left:
            main()
    return Said(int(left.value.code or 0), out.getvalue(), err.getvalue())


ADAPTER = ("adapter_model.safetensors", "adapter_config.json")


class Recorder(Reporter):
    """Keeps every step and every note of a run."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.notes: list[str] = []

    def step(self, event: Any) -> None:
        self.steps.append(event)

    def note(self, text: str) -> None:
        self.notes.append(text)


def run(path: Path, workspace: Path, *overrides: str, reporter: Reporter | None = None) -> dict[str, Path]:
    """Run a recipe with `--set` overrides; {stage: its result folder}."""
    recipe = load_recipe(path, overrides)
    return runner.run(recipe, Store(workspace), reporter or Reporter()).results


def losses(result: Path) -> list[float]:
    """The loss of every optimizer step of a published stage."""
    return [entry["loss"] for entry in json.loads((result / "history.json").read_text())]


def adapter_bytes(result: Path) -> tuple[bytes, ...]:
    """The published adapter, bit for bit."""
    return tuple((result / name).read_bytes() for name in ADAPTER)


def verified(workspace: Path) -> Iterator[str]:
    """Keys of all published results, each verified against its manifest; anything unsound raises."""
    store = Store(workspace)
    folder = workspace / "results"
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        store.verify("results", path.name)
        yield path.name


def recipe_of(path: Path, *overrides: str) -> Recipe:
    """The resolved recipe."""
    return load_recipe(path, overrides)


TRAINING = """
import torch
torch.set_num_threads(1)
from statllama.model.base_model import start_backend
start_backend("transformers")
import datasets, trl
from trl import DPOTrainer, SFTTrainer
from trl.trainer import dpo_trainer
from statllama.runs import runner
from statllama.train import trainer, training
step = trainer.StageTrainer.training_step
def paced(*args, **options):
    time.sleep(float(os.environ.get("TEST_PAUSE", 0)))
    return step(*args, **options)
trainer.StageTrainer.training_step = paced
"""
"""What a process imports before it forks: all that training needs. TEST_PAUSE: seconds before each optimizer step."""
WITHOUT_HUB = """
import pandas, scipy.stats, sklearn.metrics, torch, torch._dynamo
torch.set_num_threads(1)
assert "huggingface_hub" not in sys.modules
"""
"""The half of it that knows no hub: a child reads the hub's address and its cache's folder from its environment."""
_WORKER = """
import gc, json, os, signal, sys, time, traceback
{preload}
from statllama import cli
gc.freeze()  # see tests/conftest.py
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if "wait" in order:
        print(os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1]), flush=True)
        continue
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        continue
    signal.alarm(300)
    code = 70
    os.environ.update(order["set"])
    for name in order["unset"]:
        os.environ.pop(name, None)
    os.dup2(os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.dup2(1, 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
    try:
        sys.argv = order["argv"]
        cli.main()
    except SystemExit as left:
        code = left.code or 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
"""


class Worker:
    """A process that has imported torch and forks one child for each command: processes to kill, at little cost."""

    def __init__(self, folder: Path, preload: str = TRAINING) -> None:
        self.output = folder / "output.txt"
        environment = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        environment.pop("STATLLAMA_DEBUG", None)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WORKER.replace("{preload}", preload)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._read() == "ready"

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _write(self, order: dict[str, Any]) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._read()

    def start(self, *arguments: str | Path, environment: Mapping[str, str | None] | None = None) -> int:
        """Start `statllama ARGUMENTS` with changes to the environment (None: without it); its process id."""
        changes = environment or {}
        order = {
            "argv": ["statllama", *map(str, arguments)],
            "output": str(self.output),
            "set": {name: value for name, value in changes.items() if value is not None},
            "unset": [name for name, value in changes.items() if value is None],
        }
        return int(self._write(order))

    def wait(self, pid: int) -> int:
        """Exit code of a started command, negative for a signal."""
        return int(self._write({"wait": pid}))

    def said(self) -> str:
        """What the last command printed on both streams."""
        return self.output.read_text()

    def close(self) -> None:
        """End the worker (its children have been waited for)."""
        self._process.kill()
        self._process.wait()
