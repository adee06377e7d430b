"""The file system on which a folder lies, and those on which no workspace can be: object stores.

An object store, also one that a FUSE mount shows as a folder, has no locks between hosts and no atomic rename of a
folder, on which publishing rests. It can keep published results: see `mirror.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from statllama.errors import UsageError

MOUNTS = Path("/proc/self/mountinfo")
OBJECT_STORES = frozenset(
    ("s3fs", "gcsfuse", "goofys", "geesefs", "rclone", "mountpoint-s3", "blobfuse", "blobfuse2", "hf-mount")
)
"""Programs that show an object store as a folder, as the table of mounts names them."""
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.+)", re.DOTALL)  # two letters at least: C:/ is a disk of Windows
_BUCKETS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss")


@dataclass(frozen=True)
class Mount:
    """One line of the table of mounts."""

    point: str
    kind: str
    """Type of the file system: `ext4`, `nfs4`, `fuse.s3fs`."""
    source: str
    options: tuple[str, ...]

    @property
    def object_store(self) -> str | None:
        """Return the program that shows an object store here, if it is one."""
        program = self.kind.removeprefix("fuse.") if self.kind != "fuse" else self.source
        return program if self.kind.startswith("fuse") and program in OBJECT_STORES else None


def mount_of(path: Path, table: Path = MOUNTS) -> Mount | None:
    """Return the mount that holds a path, which need not exist yet. None where the system has no such table."""
    try:
        lines = table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place, best = path.absolute().resolve(), None
    for line in lines:
        fields, _, rest = line.partition(" - ")
        left, right = fields.split(), rest.split()
        if len(left) < 6 or len(right) < 2:
            continue
        point = _plain(left[4])
        options = (*left[5].split(","), *(right[2].split(",") if len(right) > 2 else ()))
        if place.is_relative_to(point) and (best is None or len(point) >= len(best.point)):  # a later one lies on top
            best = Mount(point, right[0], _plain(right[1]), tuple(dict.fromkeys(options)))
    return best


def _plain(text: str) -> str:
    """Return a field with its blanks, which the table writes as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def url_of(path: Path | str) -> str | None:
    """Return the URL that a path is (`Path` swallows one of its slashes); None for a path."""
    found = _URL.fullmatch(str(path))
    return f"{found[1]}://{found[2]}" if found else None


def require_folder(path: Path, named: str) -> None:
    """Raise UsageError when `path` is a URL, or lies where an object store is shown as a folder. `named`: what it is
    for, such as `the workspace`.
    """
    if (url := url_of(path)) is not None:
        keep = f"; the results can go there too: --mirror {url}" if url.partition(":")[0] in _BUCKETS else ""
        raise UsageError(
            f"{named} cannot be {url}: an object store has no locks and no atomic rename",
            remedy=f"name a folder on a disk, or on a network file system that has locks{keep}",
        )
    mount = mount_of(path)
    if mount is not None and (program := mount.object_store) is not None:
        raise UsageError(
            f"{named} cannot be {path}: {mount.point} is an object store, shown as a folder by {program}, without "
            "locks and atomic renames",
            remedy="name a folder on a disk, or on a network file system that has locks; the results can go there "
            "too: --mirror URL, such as s3://BUCKET/FOLDER",
        )
