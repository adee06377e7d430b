"""The device that something was computed on, as manifests name it: figures of two devices are never mixed."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from statllama.model.precision import has_cuda
from statllama.runs.forecast.device import Device


@dataclass(frozen=True)
class Machine:
    """A device on which models compute."""

    device: str
    """A GPU's name as its driver gives it, or the processor's."""
    cores: int | None
    """Of a CPU, as many as this process may use; None for a GPU."""
    threads: str | None
    """Of a CPU: OMP_NUM_THREADS, where it is set."""

    @property
    def gpu(self) -> bool:
        """Return whether it is a GPU."""
        return self.cores is None

    def __str__(self) -> str:
        if self.gpu:
            return self.device
        threads = f", OMP_NUM_THREADS={self.threads}" if self.threads else ""
        return f"{self.device}, {self.cores} core{'s' * (self.cores != 1)}{threads}"

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values: equal for equal machines."""
        return asdict(self)


def machine_of(device: Device) -> Machine:
    """Return the machine of a device that a forecast is for: this one, or a GPU that is named and measured nowhere."""
    if device.here:
        return this_machine()
    return Machine(device.card.name if device.card else device.name, None, None) if device.cuda else cpu()


def this_machine() -> Machine:
    """Return what this process computes on. Loads torch where it is a build for GPUs, and only there."""
    if has_cuda():
        import torch

        return Machine(torch.cuda.get_device_name(), None, None)
    return cpu()


def cpu() -> Machine:
    """Return this computer's processor, as a device that models compute on."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(processor(), allowed, os.environ.get("OMP_NUM_THREADS"))


def processor() -> str:
    """Return the processor's name, or the kind of machine where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        named = []
    return next(iter(named), platform.processor() or platform.machine())
