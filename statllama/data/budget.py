"""The token budget: how rows are split into forward passes, those of an optimizer step and those of an evaluation.

A padded pass computes rows x longest row tokens, so rows of like length go together; where a kernel attends within each
row of a joined pass, nothing is padded, and rows of any length fill it. The budget bounds what a pass holds and decides
nothing else: a step's loss is the mean over its rows or tokens, and each answer is of its own row, whatever the passes
were.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

OUT_OF_MEMORY = (  # what a plain RuntimeError says; bitsandbytes and cuBLAS allocate past torch's allocator
    "DefaultCPUAllocator: can't allocate memory",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)

PASS_TOKENS = 256
"""Fixed cost of one more pass, in tokens: launches, and small matrices that fill no device."""


def split(lengths: Sequence[int], budget: int, rows_per_item: int = 1) -> list[list[int]]:
    """Split items into padded forward passes of at most `budget` tokens, padding counted, at the least cost.

    `lengths`: tokens of each item's longest row; `rows_per_item`: rows that stay together (2 for a preference pair).
    Returns the indices of each pass, rising, so that a single pass is the step in its own order; an item above the
    budget is a pass by itself. The cost is the number of tokens computed, padding included, and PASS_TOKENS a pass.
    Among the cheapest splits is one into neighbours by length, which a dynamic programme over the sorted lengths finds.
    """
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    costs, starts = [0.0], [0]  # of the first n items: the least cost, and where their last pass begins
    for n, last in enumerate(order, 1):
        width = lengths[last] * rows_per_item
        cost, start = math.inf, n - 1
        for first in range(n - 1, -1, -1):
            tokens = (n - first) * width
            if tokens > budget and first < n - 1:
                break
            if (total := costs[first] + tokens + PASS_TOKENS) < cost:
                cost, start = total, first
        costs.append(cost)
        starts.append(start)
    passes: list[list[int]] = []
    n = len(order)
    while n:
        passes.append(sorted(order[starts[n] : n]))
        n = starts[n]
    return sorted(passes)


def deal(lengths: Sequence[int], budget: int, ranks: int, rows_per_item: int = 1) -> list[list[int]]:
    """Deal items to `ranks` processes that compute at the same time, so that the last one is done as soon as possible.

    Returns the indices of each, rising; some may get none. What a process takes is the cost of its passes, as `split`
    counts it, and each gets items of like length: of all such ways the one with the least largest cost.

    >>> deal([500, 20, 480, 30], 1000, 2)
    [[1, 2, 3], [0]]
    """
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    ordered = [lengths[i] for i in order]
    low, high = 0, int(_costs(ordered, budget, rows_per_item)[-1])
    while low < high:  # the least limit under which so many processes suffice
        middle = (low + high) // 2
        if len(_ends(ordered, budget, rows_per_item, middle, ranks)) <= ranks:
            high = middle
        else:
            low = middle + 1
    ends = _ends(ordered, budget, rows_per_item, high, ranks)
    ends += [len(order)] * (ranks - len(ends))
    return [sorted(order[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def _costs(ordered: Sequence[int], budget: int, rows_per_item: int, limit: float = math.inf) -> list[float]:
    """Return the least costs of the first 0, 1, 2, ... items, sorted by length, while they are within `limit`."""
    costs = [0.0]
    for n, length in enumerate(ordered, 1):
        width, cost = length * rows_per_item, math.inf
        for first in range(n - 1, -1, -1):
            tokens = (n - first) * width
            if tokens > budget and first < n - 1:
                break
            cost = min(cost, costs[first] + tokens + PASS_TOKENS)
        if cost > limit:
            break
        costs.append(cost)
    return costs


def _ends(ordered: Sequence[int], budget: int, rows_per_item: int, limit: int, most: int) -> list[int]:
    """Return where each process's items end if it takes as many as are within `limit`; more than `most` are not
    counted out.
    """
    ends: list[int] = []
    start = 0
    while start < len(ordered) and len(ends) <= most:
        taken = len(_costs(ordered[start:], budget, rows_per_item, limit)) - 1
        if not taken:
            return [*ends, *[start] * (most + 1)]  # one item alone is above it
        start += taken
        ends.append(start)
    return ends


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(sign in str(error) for sign in OUT_OF_MEMORY)


def split_joined(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Split rows into forward passes that join them without padding: the longest first, each where it first fits.

    Returns the indices of each pass, rising. A row above the budget is a pass by itself. First-fit decreasing needs
    at most 11/9 of the least number of passes, and 6/9 of a pass more (Dosa 2007).
    """
    passes: list[tuple[int, list[int]]] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        for place, (used, rows) in enumerate(passes):
            if used + lengths[i] <= budget:
                passes[place] = (used + lengths[i], [*rows, i])
                break
        else:
            passes.append((lengths[i], [i]))
    return sorted(sorted(rows) for _, rows in passes)
