"""What a stage can afford on the device that it is about to train on: by the memory model, with the base loaded.

`gradient_checkpointing: auto` recomputes activations in the backward pass where a stage would not fit otherwise: that
takes about a third more time and keeps of each layer only its input. On a CPU it never does. The token budget starts at
what fits by the worst case, at most at `train.micro_tokens`. Should memory run out all the same, the step is taken
again in smaller passes.
"""

from __future__ import annotations

import torch

from statllama.data.lengths import lengths
from statllama.model.packed_attention import joins_rows
from statllama.model.shape import Shape, shape_of
from statllama.train.fit import CUDA, Place, Rows, choices, device_bytes, largest_budget, recomputed, stage_need
from statllama.train.job import Job
from statllama.train.memory import GIB
from statllama.train.resident import memory

SHARE = 0.5  # of a computer's free memory: a pass that may take more is worth trying first


def recomputes(job: Job) -> bool:
    """Return whether the stage recomputes activations; with `auto` on a GPU, tell what was chosen and why."""
    place = place_of(job)
    first, *rest = choices(job.spec, place)
    if not rest:
        return first
    shape, rows, free = _shape(job), rows_of(job), _free_of_gpu()
    again = recomputed(shape, job.spec, free, place, rows)
    need = stage_need(shape, job.spec, place, rows, job.spec.train.micro_tokens, False, free)
    job.on_note(
        f"gradient checkpointing is {'on' if again else 'off'}: without it this stage would take up to "
        f"{device_bytes(need.allocated, place)[1] / GIB:.1f} GiB, and {free / GIB:.1f} GiB can be had"
    )
    return again


def budget(job: Job, again: bool) -> int:
    """Return the token budget to start with: what fits a GPU by the worst case, at most `train.micro_tokens`."""
    asked = job.spec.train.micro_tokens
    if not torch.cuda.is_available():
        return asked
    rows = rows_of(job)
    fits = largest_budget(_shape(job), job.spec, _free_of_gpu(), place_of(job), rows, again)
    if fits >= min(asked, rows.whole(job.spec)):
        return asked
    most = min(asked, max(fits, rows.item(job.spec)))
    what = "not even one row may fit" if not fits else f"{fits:,} fit by the worst case"
    job.on_note(
        f"the token budget is {most:,} instead of `micro_tokens` {asked:,}: {what}; what is learned is the same"
    )
    return most


def tight(job: Job) -> bool:
    """Return whether a stage's heaviest pass may lack memory, so that it is worth its time to try it first.

    On a GPU always: it costs one pass. On a CPU where it may take more than half of what the computer has left.
    """
    if torch.cuda.is_available():
        return True
    place, spec = place_of(job), job.spec
    need = stage_need(_shape(job), spec, place, rows_of(job), spec.train.micro_tokens, choices(spec, place)[0], 0.0)
    return (need.allocated - need.static) * (1 + place.overhead.worst) > SHARE * available()


def available() -> float:
    """Return the bytes of memory that this process could have now without swapping."""
    return memory()[1]


def place_of(job: Job) -> Place:
    """Return where the stage trains, by its loaded base."""
    base = job.base
    ranks = [max(one.A.shape[0] for one in parent.slices.values()) for parent in job.parents]
    return Place(
        cuda=torch.cuda.is_available(),
        backend=base.backend,
        quantization="nf4" if getattr(base.model, "is_loaded_in_4bit", False) else "none",
        compute=str(base.dtype).removeprefix("torch."),
        below=sum(ranks),
        rows_below=any(parent.rows for parent in job.parents),
    )


def rows_of(job: Job) -> Rows:
    """Return what is known of the stage's rows."""
    joined = job.base.backend == "unsloth" and joins_rows(job.base.model)
    replay = None if job.replay is None else job.replay.lengths
    return Rows.of(job.spec, lengths(job.dataset, job.data_kind), joined=joined, replay=replay)


def _shape(job: Job) -> Shape:
    config = job.base.model.config
    return shape_of(config.to_dict(), f"the base model {config.name_or_path}")


def _free_of_gpu() -> float:
    """Return the bytes of the GPU that this process has or could have, its context counted, which exists by now."""
    return float(torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()) + CUDA.fixed
