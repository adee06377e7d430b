"""The compute type that a stage's `precision` means on this machine. Loads torch only where a GPU may be at hand."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path

# Read when torch is loaded, which may be here first. Without it a thread that waits for its sibling burns a core, and
# beside any other load on two cores training ran at a quarter of the speed.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def compute_type(precision: str) -> str:
    """Return `float32`, `bfloat16` or `float16`: what `train.precision` means on this machine.

    `auto` is bfloat16 on a GPU that has it, else float16 there, and float32 on a CPU.
    """
    if precision != "auto":
        return precision
    if "torch" not in sys.modules and not built_for_gpus():
        return "float32"
    import torch

    if not torch.cuda.is_available():
        return "float32"
    # Before Ampere, GPUs have no bfloat16: torch emulates it, slowly.
    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"


def has_cuda() -> bool:
    """Return whether there is a CUDA GPU that the installed torch can use."""
    if "torch" not in sys.modules and not built_for_gpus():
        return False
    import torch

    return torch.cuda.is_available()


def built_for_gpus() -> bool:
    """Return whether the installed torch is a build for CUDA or ROCm, by its version.py: importing it takes seconds."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return False
    text = Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    return re.search(r"^(?:cuda|hip)\b[^=\n]*=\s*['\"]", text, re.MULTILINE) is not None
