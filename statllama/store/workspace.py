"""A workspace folder: its parts, made when they are written to, and the records of runs in it."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, get_args

from statllama.errors import StoreError, UsageError
from statllama.store.files import read_json, require_bytes, sync, translate_os_errors, write_json
from statllama.store.mounts import require_folder

Kind = Literal["results", "scores", "cache", "releases", "states", "steps"]
KINDS: tuple[Kind, ...] = get_args(Kind)

KEY = re.compile(r"[0-9a-f]{64}")
TRASH = "trash-"
"""Begin of the names of folders on their way out, in `partial/`."""


class Workspace:
    """A workspace folder. The first write creates it: an absent workspace reads as an empty one."""

    def __init__(self, root: Path) -> None:
        """Raises UsageError when `root`, or what it is to be created in, is not a folder, or is an object store."""
        require_folder(Path(root), "the workspace")
        self.root = Path(root).absolute()
        nearest = next(path for path in (self.root, *self.root.parents) if os.path.lexists(path))
        if not nearest.is_dir():
            problem = f"cannot use the workspace {self.root}: {nearest} is not a folder"
            raise UsageError(problem, remedy="use another workspace folder, or move that file away")

    @property
    def memory(self) -> Path:
        """Return the file that remembers facts found once, such as the hash of a large file: see `memory.py`."""
        return self.root / "memory.json"

    def writable(self, name: str) -> Path:
        """Return the folder below the root, created, after a trial write: permission bits do not tell all."""
        folder = self.root / name
        with translate_os_errors(folder):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder):
                    return folder
            except (FileExistsError, FileNotFoundError, NotADirectoryError) as exc:
                problem = f"cannot create the folder {folder}: {exc.strerror}"
                raise StoreError(problem, remedy="use another workspace folder") from exc

    def listed(self, name: str) -> list[Path]:
        """Return what lies in a folder below the root, sorted; nothing when there is no such folder."""
        folder = self.root / name
        with translate_os_errors(folder):
            return sorted(folder.iterdir()) if folder.is_dir() else []

    def remove(self, path: Path, seen: os.stat_result | None = None) -> None:
        """Delete a file or folder of the workspace, which vanishes at once. One that is gone already is no error.

        `seen`: of the folder that is meant; one that has been put in its place meanwhile stays.
        """
        if not os.path.lexists(path):
            return
        with translate_os_errors(path):
            if path.is_symlink() or not path.is_dir():
                path.unlink()
                return
            trash = self.writable("partial") / f"{TRASH}{secrets.token_hex(4)}"
            os.rename(path, trash)
            if seen is not None and not os.path.samestat(seen, trash.stat()):
                with suppress(OSError):  # unless yet another one is there
                    os.rename(trash, path)
            shutil.rmtree(trash, ignore_errors=True)

    def write_run(self, name: str, record: object) -> None:
        """Write `runs/<name>.json` atomically. `name` is one path component."""
        if name != Path(name).name or name.startswith("."):
            raise StoreError(f"{name!r} cannot name a run", remedy="use no slash and no leading dot")
        write_json(self.writable("runs") / f"{name}.json", record)

    def remove_run(self, name: str) -> None:
        """Delete `runs/<name>.json`, if it is there."""
        path = self.root / "runs" / f"{name}.json"
        with translate_os_errors(path):
            if os.path.lexists(path):
                path.unlink()
                sync(path.parent)

    def last_run(self, name: str) -> dict[str, Any]:
        """Return the record that `write_run` kept: at least `order` (names of stages) and `stages` ({name: {key,
        material}}).

        Both are empty when nothing was kept. StoreError when the file is something else.
        """
        path = self.root / "runs" / f"{name}.json"
        record = read_json(path) if os.path.lexists(path) else {"order": [], "stages": {}}
        if not is_run(record):
            remedy = (
                "if statllama wrote it, delete it and the next run writes it again; otherwise use another workspace"
            )
            raise StoreError(f"{path} is not a record of a run", remedy=remedy)
        return dict(record)

    def runs(self) -> dict[str, dict[str, Any]]:
        """Return {name: record} of all runs, earlier ones (`NAME@1`) too, sorted by name. StoreError: see
        `last_run`.
        """
        names = [path.stem for path in self.listed("runs") if path.suffix == ".json" and not path.name.startswith(".")]
        return {name: self.last_run(name) for name in names}

    def write_build(self, name: str, record: object) -> None:
        """Write `builds/<name>.json` atomically: the steps of a `data build`, which `gc` keeps."""
        write_json(self.writable("builds") / f"{name}.json", record)

    def builds(self) -> dict[str, tuple[str, ...]]:
        """Return {name: keys of its steps} of the builds that were run here; what is no record counts nothing."""
        found = {}
        for path in self.listed("builds"):
            record = read_json(path) if path.suffix == ".json" else None
            if isinstance(record, dict) and isinstance(record.get("steps"), dict):
                found[path.stem] = tuple(str(key) for key in record["steps"].values())
        return found

    def require_space(self, needed: int) -> None:
        """Raises StoreError when the workspace is not writable or its disk has less than `needed` bytes."""
        self.writable("partial")
        require_bytes(self.root, needed)


def is_run(record: Any) -> bool:
    """Return whether a value is a record of a run: see `Store.last_run`."""
    try:
        stages = record["stages"].values()
        return all(isinstance(name, str) for name in record["order"]) and all(
            KEY.fullmatch(stage["key"]) and isinstance(stage["material"], dict) for stage in stages
        )
    except (AttributeError, KeyError, TypeError):
        return False
