"""A workspace's memory of the outside world: hashes of large files, commits of branches, formats of hub data.

A JSON file of {question: answer}. Losing it, or a part of it, only costs asking again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from statllama.store.files import read_json, translate_os_errors, write_json


def recall(memory: Path | None) -> dict[str, str]:
    """Return everything remembered; nothing when the file is missing or damaged."""
    known: Any = None if memory is None else read_json(memory)
    return {str(k): str(v) for k, v in known.items()} if isinstance(known, dict) else {}


def remember(memory: Path | None, what: str, value: str) -> None:
    """Add or change one thing. What another process adds at the same moment may be lost."""
    known = recall(memory)
    if memory is not None and known.get(what) != value:
        with translate_os_errors(memory):
            memory.parent.mkdir(parents=True, exist_ok=True)
        write_json(memory, {**known, what: value})
