"""The machine that a run is on: its processor and its GPU, and how busy that is. Loads no torch."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

SECONDS = 5.0  # that nvidia-smi gets to answer
_FIELDS = ("name", "memory.total", "memory.used", "utilization.gpu", "temperature.gpu", "power.draw")


def processor() -> str:
    """Return the processor in words: its name where the system tells it, and how many cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        told = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(errors="replace"), re.MULTILINE)
    except OSError:
        told = None
    name = told[1].strip() if told else platform.processor() or platform.machine()
    return f"{name}, {cores} core{'' if cores == 1 else 's'}"


def gpu(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return {what: value} of the GPU that a run takes, the first visible one, as nvidia-smi tells it now.

    `name`, `memory.total` and `memory.used` in MiB, `utilization.gpu` in per cent, `temperature.gpu` in degrees
    Celsius, `power.draw` in watts; what the driver does not tell is left out. Empty without a GPU or nvidia-smi.
    """
    tool = shutil.which("nvidia-smi")
    visible = environment.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if tool is None or visible in ("", "-1"):
        return {}
    asked = [tool, f"--id={visible}", f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return {}
    values = [value.strip() for value in answer.splitlines()[0].split(",")] if answer.strip() else []
    if len(values) != len(_FIELDS):
        return {}
    return {name: value for name, value in zip(_FIELDS, values, strict=True) if value and not value.startswith("[")}
