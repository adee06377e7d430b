"""Whether a stage recomputes activations in its backward pass: what `gradient_checkpointing: auto` means.

Recomputing takes about a third more time and keeps of each layer only its input. So it is off where memory is no
matter: on a CPU, and on a GPU where what a pass would keep takes at most half of the memory that is free once the base
is loaded. Should memory run out all the same, the step is taken again in smaller passes.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from statllama.train.job import Job

SHARE = 0.5  # of the free memory; the rest is for the loss, the optimizer and the allocator's gaps


def recomputes(job: Job) -> bool:
    """Return whether the stage recomputes activations; with `auto` on a GPU, tell what was chosen and why."""
    asked = job.spec.train.gradient_checkpointing
    if asked != "auto":
        return asked
    if not torch.cuda.is_available():
        return False
    tokens = max(job.spec.train.micro_tokens, 2 * job.spec.train.max_length)  # a pair of the longest rows is a pass
    kept = tokens * bytes_per_token(job.base.model.config, job.base.dtype)
    free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    fits = kept <= SHARE * free
    job.on_note(
        f"gradient checkpointing is {'off' if fits else 'on'}: a forward pass of {tokens:,} tokens would keep about "
        f"{kept / 2**30:.1f} GiB of activations, and {free / 2**30:.1f} GiB are free"
    )
    return not fits


def tight(job: Job) -> bool:
    """Return whether a stage's heaviest pass may lack memory, so that it is worth its time to try it first.

    On a GPU always: it costs one pass. On a CPU where the activations of a full pass take more than half of what the
    machine has left; where it does not say what it has left, they never do.
    """
    if torch.cuda.is_available():
        return True
    kept = max(job.spec.train.micro_tokens, 2 * job.spec.train.max_length)
    return kept * bytes_per_token(job.base.model.config, job.base.dtype) > SHARE * available()


def available() -> float:
    """Return the bytes of memory that Linux could give to this process without swapping; elsewhere infinity."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))) * 1024
    except (OSError, StopIteration):
        return math.inf


def bytes_per_token(config: Any, dtype: torch.dtype) -> int:
    """Return the bytes that a forward pass keeps for each token if nothing is recomputed, the loss left out.

    In each layer about 16 numbers as wide as the model and 6 as wide as the MLP, in the compute type: counted on Llama
    with LoRA on all linear modules, where norms keep float32 copies. `config`: Transformers', of the base.
    """
    numbers = config.num_hidden_layers * (16 * config.hidden_size + 6 * config.intermediate_size)
    return int(numbers * dtype.itemsize)
