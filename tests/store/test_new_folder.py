"""A folder that appears whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from statllama.errors import StoreError, UsageError
from statllama.store.new_folder import new_folder
from tests.conftest import REPO


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_appears_at_the_end(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a") as folder:
        (folder / "inside").mkdir()
        (folder / "inside" / "file").write_text("whole")
        assert not (tmp_path / "a").exists()
    assert names(tmp_path) == ["a"] and (tmp_path / "a" / "inside" / "file").read_text() == "whole"


def test_an_empty_folder_is_free_and_a_failure_leaves_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(FileNotFoundError), new_folder(tmp_path / "a") as folder:
        (folder / "none" / "file").write_text("half")
    assert names(tmp_path) == ["a"] and not names(tmp_path / "a")
    with new_folder(tmp_path / "a") as folder:
        (folder / "file").write_text("whole")
    assert names(tmp_path / "a") == ["file"]


def test_what_came_in_between_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    with pytest.raises(UsageError, match="it exists already"), new_folder(tmp_path / "a"):
        (tmp_path / "mine").rename(tmp_path / "a")
    assert names(tmp_path) == ["a"] and names(tmp_path / "a") == ["file"]


def test_one_process_at_a_time_and_what_a_kill_leaves_is_removed(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from statllama.store.new_folder import new_folder\n"
        "with new_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').write_text('half'); print('in', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPO) as other:
        assert other.stdout is not None and other.stdout.readline() == b"in\n"
        with pytest.raises(StoreError, match="another process is making"), new_folder(tmp_path / "a"):
            raise AssertionError
        other.kill()
        other.wait()
    assert ".a.partial" in names(tmp_path)
    with new_folder(tmp_path / "a") as folder:
        assert not names(folder)
    assert names(tmp_path) == ["a"]
