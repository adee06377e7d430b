"""Sealed checkpoints of a trainer.

The Hugging Face Trainer writes `checkpoint-<step>/` file by file, so a kill or a full disk can leave a folder
that looks like a checkpoint and is not one. Once the trainer is done with it, `seal` writes every file's size
and SHA-256 into `sealed.json`; a checkpoint without a seal, or unlike it, is never resumed from.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from statllama.errors import StoreError
from statllama.store.files import (
    hash_files,
    list_files,
    mismatch,
    read_files_record,
    sync,
    translate_os_errors,
    walk,
    write_json,
)
from statllama.store.working_folder import SEAL

_SCHEMA_VERSION = 1
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


def seal(checkpoint: Path) -> None:
    """Declare a checkpoint complete: put its files on the disk, then their sizes and hashes in `sealed.json`.

    Call it once the trainer has written everything: a file added or changed later breaks the seal. StoreError
    when the disk refuses or the folder is empty.
    """
    with translate_os_errors(checkpoint):
        files = {name: record for name, record in hash_files(checkpoint).items() if name != SEAL}
        if not files:
            raise StoreError(f"{checkpoint} holds no files, so it is no checkpoint")
        sync(*walk(checkpoint))
        write_json(checkpoint / SEAL, {"schema": _SCHEMA_VERSION, "files": files})


def newest_sound(folder: Path) -> Path | None:
    """Return the newest `checkpoint-<step>` in a folder whose files are exactly those of its seal; None without one.

    Newer ones that are unsealed or damaged are deleted, so call this only while no trainer writes there.
    """
    for checkpoint in reversed(_checkpoints(folder)):
        with translate_os_errors(checkpoint):
            if _is_sound(checkpoint):
                return checkpoint
            _discard(checkpoint)
    return None


def retain(folder: Path, keep: int) -> None:
    """Delete all sealed checkpoints but the newest `keep` (at least 1); unsealed ones stay, as under way."""
    if keep < 1:
        raise ValueError(f"keep is {keep}: at least the newest checkpoint stays")
    for checkpoint in [c for c in _checkpoints(folder) if (c / SEAL).exists()][:-keep]:
        with translate_os_errors(checkpoint):
            _discard(checkpoint)


def _checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoint folders, sealed or not, by rising step."""
    if not folder.is_dir():
        return []
    steps = {path: match for path in folder.iterdir() if (match := _CHECKPOINT.fullmatch(path.name))}
    return sorted((path for path in steps if path.is_dir()), key=lambda path: int(steps[path][1]))


def _is_sound(checkpoint: Path) -> bool:
    record = read_files_record(checkpoint / SEAL, _SCHEMA_VERSION)
    if record is None or sorted([*record["files"], SEAL]) != list_files(checkpoint):
        return False
    return mismatch(checkpoint, record["files"]) is None


def _discard(checkpoint: Path) -> None:
    """Delete a checkpoint, its seal first: one whose deletion was cut short must not look sealed."""
    (checkpoint / SEAL).unlink(missing_ok=True)
    sync(checkpoint)
    shutil.rmtree(checkpoint)
