"""The most that a device does in a second, by its vendor: a forecast from that alone is a wide range.

Of a GPU what `cards` says. Of a CPU cores times clock times the numbers that a core multiplies and adds in a cycle, by
its widest vector instructions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from statllama.runs.forecast.cards import card_named
from statllama.runs.forecast.machine import Machine

TERA, GIGA = 1e12, 1e9
CLOCK = 2.5 * GIGA  # of a CPU that does not say
WIDTH = {"avx512f": 64, "avx2": 32, "asimd": 16}  # 32-bit operations a cycle of a core
NARROW = 8
CPU_BANDWIDTH = 20 * GIGA


@dataclass(frozen=True)
class Datasheet:
    """What a device does at most: operations and bytes a second."""

    operations: float
    bandwidth: float
    source: str
    """What that is from, in words."""


def datasheet(machine: Machine) -> Datasheet | None:
    """Return what is known of a device; None for a GPU that is in no table."""
    if machine.gpu:
        card = card_named(machine.device)
        return None if card is None else Datasheet(card.tflops * TERA, card.bandwidth * GIGA, "the datasheet's peak")
    told = machine.threads or ""
    threads = int(told) if told.isdigit() else machine.cores or 1
    flags = _cpuinfo()
    width = next((WIDTH[flag] for flag in WIDTH if re.search(rf"\b{flag}\b", flags)), NARROW)
    clock = re.search(r"@ ([\d.]+)GHz", machine.device)
    return Datasheet(threads * width * (float(clock[1]) * GIGA if clock else CLOCK), CPU_BANDWIDTH, "the CPU's peak")


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
