"""What a release is made of: the forms that are ordered, and the files that are made for them. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Order:
    """One form that a release is to hold."""

    format: str
    """Name of its format, such as `gguf`."""
    type: str
    """Of its numbers, such as `q4_k_m`."""
    label: str = ""
    """In words, while it is written: `merged (bf16)`; empty: the name of the file."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What else its format was asked for, such as the rank of an adapter."""


@dataclass(frozen=True)
class Artefact:
    """A file or folder of a release that is to be verified."""

    name: str
    """Where it will lie in the release, such as `gguf/model-q4_k_m.gguf`: for the certificate."""
    kind: str
    """Name of its format."""
    path: Path
    """Where it lies now."""
    type: str
    """Of its numbers: `f32`, `bf16`, `f16`, `q8_0`, `q4_k_m`, ..."""
    error: float = 0.0
    """Of an adapter recompressed to a smaller rank: the relative error of its update that is reported for it."""
    notes: tuple[str, ...] = ()
    """What a user of it should know, such as a stage that loses much in the cast to 16 bits."""
