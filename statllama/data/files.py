"""The local files of a source's `path`: one file, all data files below a folder, or the matches of a glob."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from statllama.config.shipped import SHIPPED, located
from statllama.config.source import SourceSpec
from statllama.data.readers import KINDS, data_kind
from statllama.errors import DataError


@dataclass(frozen=True, order=True)
class LocalFile:
    """`name`: the path below the source's folder, with slashes; it does not depend on where the folder lies."""

    name: str
    path: Path


def local_files(source: SourceSpec, root: Path) -> list[LocalFile]:
    """Return the files of a local source, sorted by name. `root`: folder that a relative path refers to.

    Of a folder, every file below it with an extension of data, but nothing hidden (whose name, or whose folder's,
    begins with a dot). Of a glob, every file that matches; `**` matches folders of any depth. DataError when there is
    none, with the nearest names.
    """
    given = os.path.expanduser(source.file or "")
    path = Path(located(given, root))
    if path.is_file():
        return [LocalFile(path.name, path)]
    if path.is_dir():
        found = sorted(LocalFile(p.relative_to(path).as_posix(), p) for p in _below(path) if data_kind(p) in KINDS)
        if not found:
            kinds = ", ".join(KINDS)
            raise DataError(f"{path}: no data file in this folder ({kinds}; each also with .gz or .zst)")
        return found
    if glob.has_magic(given):
        base = _fixed_part(path)
        matches = (Path(match) for match in glob.iglob(str(path), recursive=True))
        found = sorted(LocalFile(match.relative_to(base).as_posix(), match) for match in matches if match.is_file())
        if not found:
            raise DataError(f"no file matches {path}", remedy="correct `path` in the recipe")
        return found
    relative = "" if os.path.isabs(given) or given.startswith(SHIPPED) else f" (`{source.file}` is relative to {root})"
    raise DataError(f"no file {path}{relative}{_neighbours(path)}", remedy="correct `path` in the recipe")


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and (path := Path(place, name)).is_file():
                yield path


def _fixed_part(pattern: Path) -> Path:
    """Return the folder above the first part with a wildcard."""
    return next(parent for parent in pattern.parents if not glob.has_magic(str(parent)))


def _neighbours(path: Path) -> str:
    """Name the files beside the missing one."""
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent}"
    names = sorted(p.name for p in path.parent.iterdir() if p.is_file())
    close = get_close_matches(path.name, names, n=3, cutoff=0.6)
    if close:
        return f"; did you mean {' or '.join(map(repr, close))}?"
    return f"; the folder holds {', '.join(names[:8]) or 'no files'}{', ...' if len(names) > 8 else ''}"
