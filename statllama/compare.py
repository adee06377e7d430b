"""Two or more scored models on their common benchmarks. Pure mathematics and data, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from statllama.scores import TaskScore


@dataclass(frozen=True)
class Record:
    """One model's score on one benchmark and how it was scored."""

    score: TaskScore
    """With its samples, for the list of flipped items."""
    protocol: Mapping[str, Any]
    """What `evaluate.protocol_key` gives for this one benchmark."""


@dataclass(frozen=True)
class Scored:
    """A model by the name that the reader knows it by, and its records by benchmark."""

    name: str
    records: Mapping[str, Record]
