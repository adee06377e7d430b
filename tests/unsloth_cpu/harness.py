"""The pytest side of the checks: starts one `worker` for all checks that pytest selected, and reads what it wrote."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent


def check_names() -> tuple[str, ...]:
    """Names of all checks, in the order of the files: read from the text, since importing them takes torch."""
    texts = [(HERE / f"{part}_checks.py").read_text(encoding="utf-8") for part in ("stack", "drift", "stage", "run")]
    return tuple(name for text in texts for name in re.findall(r"^@check\ndef (\w+)", text, re.MULTILINE))


def selected(request: pytest.FixtureRequest) -> list[str]:
    """The checks that the tests of the asking module ask for in this run."""
    items = [item for item in request.session.items if item.path == request.path]
    return [item.callspec.params["name"] for item in items if hasattr(item, "callspec")]


def run_worker(device: str, folder: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """{check: its outcome}; a check that the worker did not reach has the end of the worker's log as its error.

    The worker is stopped after STATLLAMA_TEST_SECONDS, 1800 without it; what it finished by then counts.
    """
    seconds = int(os.environ.get("STATLLAMA_TEST_SECONDS", "1800"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPO), os.environ.get("PYTHONPATH", "")])}
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    command = [sys.executable, "-m", "tests.unsloth_cpu.worker", device, str(folder), *names]
    with open(folder / "worker.log", "w", encoding="utf-8") as log:
        try:
            code = subprocess.run(
                command, cwd=folder, env=environment, stdout=log, stderr=log, timeout=seconds, check=False
            ).returncode
            ended = f"ended with exit code {code}"
        except subprocess.TimeoutExpired:
            ended = f"was stopped after {seconds} s"
    results = folder / "results.jsonl"
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    found = {outcome["name"]: outcome for outcome in map(json.loads, lines)}
    tail = "\n".join((folder / "worker.log").read_text(encoding="utf-8", errors="replace").splitlines()[-30:])
    missing = {"seconds": 0.0, "notes": [], "error": f"the worker {ended} before this check was done:\n{tail}"}
    return {name: found.get(name, missing) for name in names}


def report(outcome: dict[str, Any]) -> None:
    """Print what the check measured (seen with `pytest -rP`), and fail with its traceback if it failed."""
    print("\n".join([*outcome["notes"], f"{outcome['seconds']:.1f} s"]))
    if outcome["error"]:
        pytest.fail(outcome["error"], pytrace=False)
