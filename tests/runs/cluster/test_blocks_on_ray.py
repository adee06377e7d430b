"""Blocks on Ray Data: the same bytes as in this process, errors as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from statllama.data.build.chain import Watcher, key_of, run_step
from statllama.errors import DataError
from statllama.runs.cluster.blocks import ray_blocks
from statllama.store import Store
from tests.data.build.test_chain import Broken, Halve, bytes_of, numbers, run

pytest.importorskip("ray")


def test_the_same_bytes_as_here(tmp_path: Path) -> None:
    with ray_blocks(None, 2, 2) as executor:
        step = Halve()
        store = Store(tmp_path / "ray")
        made = run_step(step, key_of(step, ["a"]), numbers(21), store, executor, Watcher()).path
        with pytest.raises(DataError, match="no text"):
            run_step(Broken(), "b" * 64, numbers(3), store, executor, Watcher())
    assert bytes_of(made) == bytes_of(run(Store(tmp_path / "here"), Halve()))
