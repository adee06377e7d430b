"""Which duties a base model's licence puts on a release that is made of it. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Duties:
    """What a release must carry because of its base."""

    id: str
    """The licence as Hugging Face names it (`llama3.2`), or `other`."""
    name: str
    """In words."""
    notice: str = ""
    """Text of the file NOTICE; empty: none is needed."""
    built_with: str = ""
    """What must be displayed prominently; empty: nothing."""
    prefix: str = ""
    """What the name of a model made of this base must begin with."""
    files: tuple[Path, ...] = ()
    """The licence's own files in the base's folder, to be copied."""
    warnings: tuple[str, ...] = ()
    """What the release lacks, in words."""


def duties_of(base: Path, model: str) -> Duties:
    """Duties of a base. `base`: its folder. `model`: what the recipe calls it (hub id or folder)."""
    raise NotImplementedError


def named(duties: Duties, name: str) -> str:
    """`name` with the prefix that the licence asks for, if it lacks it."""
    raise NotImplementedError


def write_licences(duties: Duties, out: Path) -> list[str]:
    """Write NOTICE and copy the licence's files into `out`; their names."""
    raise NotImplementedError
