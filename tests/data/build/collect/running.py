"""Runs a collector's steps on a store, and kills it."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from statllama.data.build.blocks import left_out_of, records_of
from statllama.data.build.chain import Here, Watcher, key_of, run_step
from statllama.data.build.collect import collector_module, steps_of
from statllama.data.build.collect.spec import CollectorSpec
from statllama.data.build.records import Json
from statllama.store import Entry, Store

REPO = Path(__file__).parents[4]


def spec_of(type: str, **fields: Any) -> CollectorSpec:
    """A collector's spec, as the YAML has it."""
    spec: CollectorSpec = collector_module(type).Spec.model_validate({"type": type, **fields})
    return spec


def collect(store: Path, root: Path, jobs: int = 1, watcher: Watcher | None = None, **fields: Any) -> list[Entry]:
    """Run all steps of one collector; the result of each."""
    entries: list[Entry] = []

    def inputs() -> Iterator[Json]:
        return records_of(entries[-1]) if entries else iter(())

    with Here(jobs) as here:
        for step in steps_of(spec_of(**fields), root, "collect:1"):
            key = key_of(step, [entry.key for entry in entries[-1:]])
            entries.append(run_step(step, key, inputs, Store(store), here, watcher or Watcher()))
    return entries


def kept(entry: Entry) -> list[Json]:
    return list(records_of(entry))


def left_out(entry: Entry) -> dict[str, str]:
    """{where: reason}"""
    return {each["where"]: each["reason"] for each in left_out_of(entry)}


def killed_at(instant: int, store: Path, root: Path, module: str, function: str, fields: dict[str, Any]) -> None:
    """Run a collector in a process that is killed (SIGKILL) at its `instant`-th call of `module.function`."""
    script = f"""
        import os, signal
        from pathlib import Path
        import {module} as module
        from statllama.data.build.collect import _http
        from tests.data.build.collect.running import collect
        _http.WAITS, module.PAGE = (0.01,) * 4, 3
        real, calls = module.{function}, []
        def counted(*a, **k):
            calls.append(1)
            if len(calls) == {instant}:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*a, **k)
        module.{function} = counted
        collect(Path({str(store)!r}), Path({str(root)!r}), **{fields!r})
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=REPO, check=False)
    assert ended.returncode == -signal.SIGKILL


def bytes_of(entry: Entry) -> dict[str, bytes]:
    """{file of the entry: its bytes}, without the manifest."""
    names = [path.relative_to(entry.path).as_posix() for path in entry.path.rglob("*") if path.is_file()]
    return {name: (entry.path / name).read_bytes() for name in sorted(names) if name != "manifest.json"}
