"""What `doctor` says of the workspace's file system: what it is, and what two processes found that it does."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from statllama.errors import StatllamaError, UsageError
from statllama.runs.finding import Finding
from statllama.store.disk_probe import Facts, ask_another, freed_by_death, holding
from statllama.store.mounts import Mount, mount_of, require_folder

SKEW = 5.0  # seconds between two clocks that are taken for one
ELSEWHERE = "use a workspace on a disk of this machine, or on NFS 4"
SHARED = ("nfs", "cifs", "smb3", "lustre", "fuse", "ceph", "gpfs", "beegfs", "9p", "virtiofs", "afs")
"""How the types begin of file systems that other hosts may see too."""


def check_folder(workspace: Path) -> Iterator[Finding]:
    """Yield what the workspace's file system is and does. Tries it in a hidden folder that is deleted at the end."""
    try:
        require_folder(workspace, "the workspace")
    except UsageError as error:
        yield Finding("file system", "error", error.message, error.remedy)
        return
    folder = workspace.absolute()
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return  # said of the disk already
    if (mount := mount_of(folder)) is not None:
        yield of_mount(mount)
    yield from _tried(folder, ask_another, freed_by_death)


def _tried(folder: Path, ask: Callable[[Path, str], Facts], freed: Callable[[Path, str], bool]) -> Iterator[Finding]:
    token = secrets.token_hex(4)
    try:
        with holding(folder, token):
            facts = ask(folder, token)
        yield from of_facts(facts, freed(folder, secrets.token_hex(4)) if facts.locks else None)
    except StatllamaError as error:
        yield Finding("locks", "error", f"cannot be tried in {folder}: {error.message}", error.remedy or ELSEWHERE)


def of_mount(mount: Mount) -> Finding:
    """Return what follows from the type of a file system and how it is mounted."""
    what = f"{mount.kind} on {mount.point}" + (f" (from {mount.source})" if mount.kind.startswith(SHARED) else "")
    one = "let one machine at a time use this workspace"
    kind, options = mount.kind.removeprefix("fuse."), set(mount.options)
    local = options & {"nolock", "local_lock=all", "local_lock=flock", "localflock", "nobrl"}
    if mount.kind in ("nfs", "nfs4", "cifs", "smb3", "lustre"):
        if local:
            detail = f"{what} is mounted with `{min(local)}`: its locks hold on this machine alone"
            return Finding("file system", "warning", detail, f"mount it without that option; until then {one}")
        if mount.kind == "nfs" and not any(option.startswith("vers=4") for option in options):
            detail = f"{what} is NFS 3, whose locks need `rpc.statd` on every machine"
            return Finding("file system", "warning", detail, f"mount it with `vers=4.2`, or {one}")
        return Finding("file system", "ok", f"{what}: its locks hold between machines")
    if mount.kind.startswith("fuse") and kind not in ("juicefs", "fuseblk"):
        detail = f"{what}: a file system of a program, whose locks may hold on this machine alone"
        return Finding("file system", "warning", detail, f"{one}, or {ELSEWHERE.removeprefix('use ')}")
    if mount.kind == "overlay":
        detail = f"{what}: the container's own layer, which is deleted with it"
        return Finding("file system", "warning", detail, "keep the workspace on a volume: docker run -v DIR:DIR")
    if mount.kind in ("tmpfs", "ramfs"):
        return Finding("file system", "warning", f"{what}: it lies in memory, and is gone at a restart", ELSEWHERE)
    return Finding("file system", "ok", what)


def of_facts(facts: Facts, freed: bool | None, there: str = "a second process") -> list[Finding]:
    """Return what follows from what `there` found while another held a lock. `freed`: whether the lock of a killed
    process was free; None where that was not tried.
    """
    if facts.error:
        return [Finding("locks", "error", f"{there} failed in the workspace: {facts.error}", ELSEWHERE)]
    found = []
    if not facts.sees:
        detail = f"{there} ({facts.host}) does not see what this one wrote: it is another folder"
        found.append(Finding("locks", "error", detail, "name the folder that all machines share: --workspace DIR"))
    elif not facts.locks:
        found.append(Finding("locks", "error", f"{there} cannot take a lock that is free", ELSEWHERE))
    elif not facts.excluded:
        detail = f"{there} ({facts.host}) got a lock that this one holds: two runs would write one result"
        found.append(Finding("locks", "error", detail, ELSEWHERE))
    elif freed is False:
        detail = "the lock of a killed process stays taken: a run after it would wait for ever"
        found.append(Finding("locks", "error", detail, ELSEWHERE))
    else:
        found.append(Finding("locks", "ok", f"{there} is kept out" + (", until the holder is killed" if freed else "")))
    if not facts.renames:
        detail = "a folder can be renamed onto a filled one: a result could replace another"
        found.append(Finding("renames", "error", detail, ELSEWHERE))
    if not facts.exclusive:
        found.append(Finding("renames", "error", "a file that is there can be created anew", ELSEWHERE))
    if abs(facts.ahead) > SKEW:
        side = "ahead of" if facts.ahead > 0 else "behind"
        detail = f"the file system's clock is {abs(facts.ahead):,.0f} s {side} that of {facts.host}"
        found.append(Finding("clock", "warning", detail, "set both by NTP: `timedatectl set-ntp true`"))
    return found
