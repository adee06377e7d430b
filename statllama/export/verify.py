"""Verification: every form of a release must behave like the stack that was trained.

The reference is the stack on the base's original weights in float32: merged weights and GGUF are made of those weights,
while training saw them in 4 bits. How far apart the two are is measured too, as information.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from statllama.export.certificate import Certificate
from statllama.export.source import Source

Opened = Callable[[], AbstractContextManager[tuple[Any, Any]]]
"""Called, it gives a context that yields (the model with the stack on it, its tokenizer)."""


@dataclass(frozen=True)
class Artefact:
    """A file or folder of a release that is to be verified."""

    name: str
    """Where it will lie in the release, such as `gguf/model-q4_k_m.gguf`: for the certificate."""
    kind: Literal["adapter", "merged", "gguf"]
    path: Path
    type: str
    """Of its numbers: `f32`, `bf16`, `f16`, `q8_0`, `q4_k_m`, ..."""
    error: float = 0.0
    """Of an adapter recompressed to a smaller rank: the relative error of its update that is reported for it."""


def verify(
    source: Source,
    artefacts: Sequence[Artefact],
    reference: Opened,
    trained: Opened | None = None,
    on_step: Callable[[str], None] = lambda text: None,
) -> Certificate:
    """Compare every artefact with the stack on the original base.

    `reference`: that stack, in float32. `trained`: the stack as it was trained (on the 4-bit base), for information.
    `on_step`: told in words what is being done. Models are opened one at a time. ExportError when an artefact cannot
    be loaded at all.
    """
    raise NotImplementedError
