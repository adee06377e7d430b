"""The peak of a stage is its own, and this process's memory is what the system says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from statllama.train import resident
from tests.conftest import REPO

MIB = 2**20


@pytest.mark.skipif(not resident.CLEAR.exists(), reason="only Linux forgets a peak")
def test_a_peak_is_of_what_follows_its_reset() -> None:
    block = np.ones(96 * MIB, dtype=np.uint8)
    high = resident.peak()
    del block
    assert resident.reset_peak()
    low = resident.peak()
    assert low < high - 64 * MIB
    block = np.ones(48 * MIB, dtype=np.uint8)
    assert low + 32 * MIB < resident.peak() < high
    del block


def test_without_it_the_peak_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(resident, "STATUS", tmp_path / "none")
    monkeypatch.setattr(resident, "CLEAR", tmp_path / "missing" / "none")
    assert not resident.reset_peak()
    assert resident.peak() >= 0.8 * resident.resident() > 10 * MIB


def test_a_containers_limit_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    total, free = resident.memory()
    assert 0 < free <= total
    (tmp_path / "max").write_text(f"{64 * MIB}\n")
    (tmp_path / "current").write_text(f"{16 * MIB}\n")
    monkeypatch.setattr(resident, "GROUPS", [(str(tmp_path / "max"), str(tmp_path / "current"))])
    assert resident.memory() == (64 * MIB, 48 * MIB)
    (tmp_path / "max").write_text("max\n")
    assert resident.memory()[0] == total


def test_resource_is_imported_only_where_it_is() -> None:
    """Windows has no such module: nothing of the package may ask for it at the top of a file."""
    code = "import sys; sys.modules['resource'] = None; import statllama.train.resident"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPO, check=False).returncode == 0
    files = (REPO / "statllama").rglob("*.py")
    assert [p.name for p in files if "\nimport resource" in p.read_text(encoding="utf-8")] == []
