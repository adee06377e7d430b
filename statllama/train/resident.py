"""Memory of this computer and of this process: what there is, what is free, and the most a stage took. No torch."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
GROUPS = (  # the limit of a Linux container and what of it is in use: cgroup 2, cgroup 1
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def memory() -> tuple[float, float]:
    """Return the bytes that this process may have in all, and those that it could have now without swapping."""
    import psutil  # type: ignore[import-untyped]  # PEFT brings it

    found = psutil.virtual_memory()
    limit, used = _group_limit()
    return float(min(found.total, limit)), float(max(0.0, min(found.available, limit - used)))


def _group_limit() -> tuple[float, float]:
    """Return the bytes that a container may have, and has; infinity and 0 outside of one."""
    for limit, used in GROUPS:
        with suppress(OSError, ValueError):  # no such file, or "max"
            return float(int(Path(limit).read_text())), float(int(Path(used).read_text()))
    return float("inf"), 0.0


def resident() -> float:
    """Return the bytes that this process has in memory now."""
    import psutil

    return float(psutil.Process().memory_info().rss)


def reset_peak() -> bool:
    """Forget the most that this process took, so that `peak` is of what follows. False where the system cannot."""
    with suppress(OSError):
        CLEAR.write_text("5")
        return _high_water() is not None
    return False


def peak() -> int:
    """Return the most bytes that this process had in memory since `reset_peak`; elsewhere than on Linux, since it
    began.
    """
    if (found := _high_water()) is not None:
        return found
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _high_water() -> int | None:
    """Return the resident peak that Linux keeps; None on another system."""
    with suppress(OSError):
        if match := re.search(r"^VmHWM:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE):
            return int(match[1]) * 1024
    return None
