"""Replies of a loaded model to a batch of prompts, whole or in smaller batches where memory runs out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from statllama.evaluation.replies import Manner, Reply, Sampling

GREEDY = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
"""Options of `generate` that take the likeliest token, whatever the base's settings say."""


def replies_to(
    model: Any, tokenizer: Any, prompts: Sequence[list[int]], manner: Manner, sampling: Sampling | None = None
) -> list[Reply]:
    """Return the replies to prompts of token ids, in their order. `sampling`: draws tokens; None: as `manner` has it.

    MemoryError when not even one fits into memory.
    """
    import torch

    from statllama.data.budget import out_of_memory
    from statllama.evaluation.replies import replies
    from statllama.evaluation.shared_context import takes_prefix
    from statllama.train.step import free_memory

    try:
        made = list(replies(model, tokenizer, prompts, manner, caches=takes_prefix(model), sampling=sampling))
        return sorted(made, key=lambda reply: reply.number)
    except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        if len(prompts) == 1:
            raise MemoryError from None
    free_memory()  # outside the `except`: its traceback holds the cache
    half, found = len(prompts) // 2, []
    for part in (slice(half), slice(half, None)):
        drawn = None if sampling is None else sampling.of(part)
        found += replies_to(model, tokenizer, prompts[part], manner, drawn)
    return found
