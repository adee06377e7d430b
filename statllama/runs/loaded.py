"""Things that one process loads once, at first use: tokenizer, frozen base, adapters."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from statllama.config.base_model import BaseModelSpec
from statllama.config.shipped import readable
from statllama.errors import EvaluationError, UsageError
from statllama.evaluation.probe import LONGEST
from statllama.model.identity import require_identity
from statllama.runs.reporting import Reporter
from statllama.store import Store

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from statllama.model.adapter import Adapter
    from statllama.model.base_model import Backend, Base


def require_one_process() -> None:
    """Raise UsageError in one of several processes that a launcher started: they would wait for each other, for ever.

    `torchrun` and `accelerate launch` say how many there are in WORLD_SIZE.
    """
    size = os.environ.get("WORLD_SIZE", "")
    if size.strip() not in ("", "1"):
        raise UsageError(
            f"WORLD_SIZE is {size}: this is one of several processes, and statllama starts its own",
            remedy=f"start it without torchrun or accelerate: `statllama run RECIPE --devices {size}` trains each "
            f"stage on {size} GPUs, `--executor ray` stages beside each other",
        )


class Loaded:
    """A base model and the adapters in a workspace, each loaded at most once."""

    def __init__(
        self,
        spec: BaseModelSpec,
        identity: Mapping[str, Any],
        store: Store,
        reporter: Reporter,
        max_length: int,
        backend: Backend | None = None,
    ) -> None:
        """Take the base's `identity` (see `identity.base_identity`) and `max_length`, tokens of the longest row it will
        get.

        `backend`: None chooses (`model.choose_backend`).
        """
        require_one_process()
        self.spec, self.identity, self.store, self.reporter = spec, identity, store, reporter
        self.max_length = max(max_length, LONGEST)  # drift's probe texts too
        self._check: Callable[[Base], None] = lambda base: None
        self._backend = backend
        self._base: Base | None = None
        self._adapters: dict[str, Adapter] = {}

    @cached_property
    def backend(self) -> Backend:
        """Return the backend that loads the base."""
        from statllama.model.base_model import choose_backend

        return self._backend or choose_backend()

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Return the base's tokenizer."""
        from statllama.model.base_model import load_tokenizer, start_backend

        if self.backend == "unsloth":  # it must come before Transformers; else data needs no torch
            start_backend("unsloth")
        tokenizer = load_tokenizer(self.spec, self.identity)
        require_identity(self.spec, self.identity, self.store.memory)  # what was read is what is in the keys
        return tokenizer

    def on_base(self, check: Callable[[Base], None]) -> None:
        """Call `check` with the base: now if it is loaded, else when it is."""
        self._check = check
        if self._base is not None:
            check(self._base)

    def base(self, precision: str) -> Base:
        """Return the frozen base, loaded at its first use; loaded again only for another precision."""
        from statllama.model.base_model import load_base, resolve_dtype, start_backend

        start_backend(self.backend)
        if self._base is None or self._base.dtype is not resolve_dtype(precision):
            self._base = None
            gc.collect()  # two bases at once may not fit
            with self.reporter.busy(f"loading {readable(self.spec.model)}"):
                base = load_base(self.spec, self.identity, precision, self.max_length, self.backend)
            require_identity(self.spec, self.identity, self.store.memory)
            self._check(base)
            self._base = base
        return self._base

    def unload(self) -> None:
        """Give the base's memory back; it is loaded again when it is asked for."""
        self._base = None
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()

    def adapters(self, parts: Sequence[tuple[str, float]]) -> tuple[Adapter, ...]:
        """Return the adapters of these results, each update times its factor; checked against their hashes when first
        read.
        """
        from statllama.model.adapter import load_adapter

        for key, _ in parts:
            if key not in self._adapters:
                self._adapters[key] = load_adapter(self.store.verify("results", key).path)
        return tuple(
            self._adapters[key] if factor == 1 else self._adapters[key].scaled(factor) for key, factor in parts
        )

    def zero(self, parts: Sequence[tuple[str, float]]) -> list[str]:
        """Return the keys of those adapters whose update is zero in every module."""
        return [key for (key, _), adapter in zip(parts, self.adapters(parts), strict=True) if not adapter.has_effect]

    def require_effect(self, parts: Sequence[tuple[str, float]]) -> None:
        """Raise EvaluationError when an adapter is all zero: its stack would be scored as if it were its parent."""
        for key in self.zero(parts):
            entry = self.store.verify("results", key)
            raise EvaluationError(
                f"the adapter of stage {entry.manifest.get('name')} is all zero ({entry.path}): its scores would be "
                "those of its parent",
                remedy="train it with a learning rate above 0, or remove the stage",
            )
