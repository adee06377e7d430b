"""Architectures of base models: one module each, found by name. Loads neither torch nor Transformers.

A module is called as Transformers' `model_type` and declares `ARCHITECTURE`, an `Architecture` (`_record.py`), which is
all that statllama knows about it. Modules that start with an underscore are no architectures.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from statllama.errors import ModelError
from statllama.model.architectures._record import EMBEDDING, HEAD, LAST_NORM, Architecture
from statllama.store.files import read_json

__all__ = [
    "EMBEDDING", "HEAD", "LAST_NORM", "Architecture", "architecture", "architecture_of", "from_gguf",
    "read_architecture", "supported",
]  # fmt: skip


@cache
def supported() -> tuple[str, ...]:
    """Return the names of all architectures, sorted."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))


@cache
def architecture(model_type: str) -> Architecture:
    """Return the record of an architecture. KeyError for an unknown one."""
    if model_type not in supported():
        raise KeyError(model_type)
    record: Architecture = import_module(f"{__name__}.{model_type}").ARCHITECTURE
    return record


def architecture_of(config: Mapping[str, Any], where: str) -> Architecture:
    """Return the record for the body of a config.json. ModelError, with all that there are, when there is none.

    `where`: what the message calls the base.
    """
    name = config.get("model_type")
    classes = config.get("architectures") or []
    if name in supported():
        record = architecture(str(name))
        if not classes or classes[0] == record.causal:
            return record
    said = classes[0] if isinstance(classes, list) and classes else name
    raise _unknown(where, f"has the architecture {said}" if said else "names no architecture (`model_type`)")


def read_architecture(folder: Path) -> Architecture:
    """Return the record for a model folder, by its config.json. ModelError when there is none, or no such file."""
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise ModelError(f"{folder}: config.json is missing or not JSON", remedy="give a folder saved by Transformers")
    return architecture_of(config, str(folder))


def from_gguf(name: object, where: str) -> Architecture:
    """Return the record for a GGUF file's `general.architecture`. ModelError, with all that there are, when there is
    none.

    What was a Mistral is `llama` there, and computed the same.
    """
    if name in supported() and architecture(str(name)).gguf == name:
        return architecture(str(name))
    raise _unknown(where, f"has the architecture {name}" if name else "names no architecture")


def _unknown(where: str, said: str) -> ModelError:
    return ModelError(
        f"{where} {said}; supported: {', '.join(supported())}",
        remedy="take a base of one of these, or add a file to statllama/model/architectures (CONTRIBUTING.md)",
    )
