"""The source of a release: the base's original weights on disk, and the adapters stacked on them. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from statllama.model.adapter import Adapter

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


@dataclass(frozen=True)
class Source:
    """A base and the stack on it, as every release format gets it."""

    name: str
    """Of the release; safe as a part of a file name."""
    base: Path
    """Folder with the base's original weights, never a quantised copy: config.json, *.safetensors, and the index of
    shards if there are several."""
    tokenizer: Path
    """Folder with the tokenizer's files; often `base`."""
    chat_template: str | None
    """The template's text; None when the tokenizer has none."""
    adapters: tuple[Adapter, ...]
    """In stack order, in float32; a factor on a stage is in its slices' `scaling` already."""
    stages: tuple[str, ...]
    """Names of the adapters' stages."""
