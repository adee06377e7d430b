"""What vendors say of a device: operations and bytes a second, at most. A forecast from them alone is a wide range.

GPUs: dense 16-bit matrices with 32-bit sums, and memory bandwidth, from NVIDIA's datasheets and architecture papers
(Turing, Ampere, Ada, Hopper, Blackwell). GeForce cards add in 32 bits at half of the rate that is advertised.
CPUs: cores times clock times the numbers that one core multiplies and adds in a cycle, by its vector instructions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from statllama.runs.forecast.machine import Machine

TERA, GIGA = 1e12, 1e9
GPUS = {  # part of the name: (16-bit TFLOPS, GB/s), the more special name first
    "b200": (2250, 8000),
    "gh200": (989, 4000),
    "h200": (989, 4800),
    "h100 pcie": (756, 2000),
    "h100": (989, 3350),
    "h800": (989, 3350),
    "l40s": (362, 864),
    "l40": (181, 864),
    "l4": (121, 300),
    "a100": (312, 1555),
    "a800": (312, 1555),
    "a40": (150, 696),
    "a30": (165, 933),
    "a10": (125, 600),
    "a6000": (155, 768),
    "a5000": (111, 768),
    "a4000": (77, 448),
    "6000 ada": (364, 960),
    "v100": (125, 900),
    "t4": (65, 320),
    "rtx 5090": (210, 1792),
    "rtx 5080": (113, 960),
    "rtx 5070 ti": (88, 896),
    "rtx 5070": (62, 672),
    "rtx 5060": (48, 448),
    "rtx 4090": (165, 1008),
    "rtx 4080": (98, 717),
    "rtx 4070": (58, 504),
    "rtx 4060": (44, 272),
    "rtx 3090": (71, 936),
    "rtx 3080": (60, 760),
    "rtx 3070": (41, 448),
    "rtx 3060": (25, 360),
    "rtx 2080": (40, 448),
}
CLOCK = 2.5e9  # of a CPU that does not say
WIDTH = {"avx512f": 64, "avx2": 32, "asimd": 16}  # 32-bit operations a cycle of a core, by its widest instructions
CPU_BANDWIDTH = 20 * GIGA


@dataclass(frozen=True)
class Datasheet:
    """The most that a device does in a second."""

    operations: float
    bandwidth: float
    source: str
    """What these are from, in words."""


def datasheet(machine: Machine) -> Datasheet | None:
    """Return what is known of a device; None for a GPU that is in no table."""
    if machine.gpu:
        name = machine.device.lower()
        known = next((GPUS[part] for part in GPUS if re.search(rf"\b{part}\b", name)), None)
        return known and Datasheet(known[0] * TERA, known[1] * GIGA, "datasheet")
    threads = int(machine.threads) if (machine.threads or "").isdigit() else machine.cores or 1
    text = _cpuinfo()
    width = next((WIDTH[flag] for flag in WIDTH if re.search(rf"\b{flag}\b", text)), 8)
    clock = re.search(r"@ ([\d.]+)GHz", machine.device)
    return Datasheet(threads * width * (float(clock[1]) * GIGA if clock else CLOCK), CPU_BANDWIDTH, "the CPU's peak")


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
