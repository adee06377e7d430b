"""Runs checks in a process of their own: `python -m tests.unsloth_cpu.worker cpu|cuda FOLDER CHECK...`.

Unsloth rewrites Transformers, TRL and PEFT for the whole process, so it is imported here and nowhere else in the
tests. Each check's outcome is one line of JSON in FOLDER/results.jsonl, written as soon as it is known.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any


def main(device: str, folder: Path, names: list[str]) -> None:
    """Run the named checks one after the other."""
    os.environ["STATLLAMA_BACKEND"] = "unsloth"
    os.environ["UNSLOTH_COMPILE_LOCATION"] = str(folder / "unsloth_compiled_cache")
    if device == "cpu":
        from tests.unsloth_cpu import spoof

        spoof.before_import()
        import unsloth  # noqa: F401

        spoof.after_import()
    from statllama.model.base_model import start_backend

    start_backend("unsloth")
    from tests.unsloth_cpu import checks

    gc.freeze()  # Unsloth collects garbage a dozen times per adapter: spare it the libraries
    world = checks.make_world(device, folder)
    for name in names:
        write(folder, run(world, name))


def run(world: Any, name: str) -> dict[str, Any]:
    """One check's outcome: name, seconds (of the clock, and of the processor), notes, and the traceback or None."""
    import torch

    from tests.unsloth_cpu import checks

    started, used, error = time.monotonic(), time.process_time(), None
    world.notes.clear()
    if world.gpu:
        torch.cuda.reset_peak_memory_stats()
    try:
        checks.CHECKS[name](world)
    except Exception:
        error = traceback.format_exc()
    if world.gpu:
        world.note(f"peak GPU memory {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB")
    return {
        "name": name,
        "seconds": time.monotonic() - started,
        "processor_seconds": time.process_time() - used,
        "notes": list(world.notes),
        "error": error,
    }


def write(folder: Path, result: dict[str, Any]) -> None:
    """Append one outcome."""
    with open(folder / "results.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
