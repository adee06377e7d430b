"""Counts the bytes of torch's tensors as they come and go, where there is no GPU whose allocator would."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Live(TorchDispatchMode):
    """Follows the storages that operations return, until they are freed. `peak`: the most bytes at once.

    torch's own `MemTracker` hooks every parameter for its gradient, and fails on frozen ones. `rounding`: storages
    count as multiples of it, as in CUDA's allocator.
    """

    def __init__(self, held: Iterable[torch.Tensor] = (), rounding: int = 1) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.rounding = rounding
        self._seen: set[int] = set()
        for tensor in held:
            self.add(tensor)

    def add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if (key := storage._cdata) in self._seen:
            return
        size = -(-storage.nbytes() // self.rounding) * self.rounding
        self._seen.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for one in tree_leaves(out):
            if isinstance(one, torch.Tensor):
                self.add(one)
        return out
