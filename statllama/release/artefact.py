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
    """Type of its numbers, such as `q4_k_m`."""
    label: str = ""
    """Its name while it is written: `merged (bf16)`; empty: the name of the file."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Further settings of its format, such as the rank of an adapter."""


@dataclass(frozen=True)
class Artefact:
    """A file or folder of a release that is to be verified."""

    name: str
    """Its place in the release, such as `gguf/model-q4_k_m.gguf`: for the certificate."""
    kind: str
    """Name of its format."""
    path: Path
    """Its present place."""
    type: str
    """Type of its numbers: `f32`, `bf16`, `f16`, `q8_0`, `q4_k_m`, ..."""
    error: float = 0.0
    """Reported relative error of an adapter's update, recompressed to a smaller rank."""
    notes: tuple[str, ...] = ()
    """Notes for its user, such as a stage that loses much in the cast to 16 bits."""
