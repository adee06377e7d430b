"""One thing that `doctor` looked at, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One checked property."""

    subject: str
    level: Literal["ok", "warning", "error"]
    detail: str
    remedy: str | None = None
