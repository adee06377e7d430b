"""A folder that appears whole or not at all: built in a hidden one beside it, and renamed at the end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from statllama.errors import StoreError, UsageError
from statllama.store.files import sync, translate_os_errors, walk
from statllama.store.mounts import require_folder


def require_free(target: Path, named: str = "--out") -> None:
    """Raise UsageError when `target` exists already (an empty folder is free), or lies in no folder. `named`: the
    argument that it comes from.
    """
    require_folder(target, named)
    if target.is_dir() and not any(target.iterdir()):
        return
    if os.path.lexists(target):
        raise UsageError(f"{named} {target}: it exists already", remedy="name another folder, or delete that one first")
    if not target.absolute().parent.is_dir():
        raise UsageError(f"{named} {target}: there is no folder {target.absolute().parent}", remedy="make it first")


@contextmanager
def new_folder(target: Path, named: str = "--out") -> Iterator[Path]:
    """Build in the hidden folder that is yielded; it becomes `target` at the end of the block, synced to the disk.

    When the block fails, nothing is left; a kill leaves the hidden folder, which the next call removes. UsageError as
    `require_free`; StoreError when another process builds the same, or the disk refuses.
    """
    target = Path(os.path.abspath(target))
    require_free(target, named)
    folder = target.parent / f".{target.name}.partial"
    lock = FileLock(target.parent / f".{target.name}.lock", fallback_to_soft=False)
    with translate_os_errors(target, f"name a {named} on another disk"):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise StoreError(f"another process is making {target}", remedy="wait until it ends") from None
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            yield folder
            sync(*walk(folder))
            require_free(target, named)
            if target.exists():
                target.rmdir()
            os.rename(folder, target)
            sync(target.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)


def taken(source: Path, folder: Path) -> None:
    """Put the files of a published entry into a new folder: linked where one disk holds both, else copied."""
    for path in walk(source):
        if path == source / "manifest.json" or not path.is_file():
            continue
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target)
        except OSError:
            shutil.copyfile(path, target)
