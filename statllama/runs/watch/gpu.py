"""The GPU that a run is on, and how busy it is. Loads no torch."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

SECONDS = 5.0  # that nvidia-smi gets to answer
_FIELDS = ("name", "memory.total", "memory.used", "utilization.gpu", "temperature.gpu", "power.draw")


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
