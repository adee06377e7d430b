"""What a check finds of a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from statllama.data.build.records import Json


@dataclass(frozen=True)
class Finding:
    """A check's finding, kept in the row under `provenance.checks.NAME`."""

    passed: bool | None
    """None: not checkable, which leaves no row out."""
    reason: str = ""
    """Of a row that failed: a few words, the same for all of its kind. Of one that is not checkable: why."""
    detail: str = ""
    """What was found in this row."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """What was measured: plain JSON."""

    def as_json(self) -> Json:
        """Return plain JSON values."""
        said = {"reason": self.reason, "detail": self.detail}
        return {"passed": self.passed, **{name: text for name, text in said.items() if text}, **self.figures}


def passed(**figures: Any) -> Finding:
    """Return the finding of a row that passed."""
    return Finding(True, figures=figures)


def failed(reason: str, detail: str = "", **figures: Any) -> Finding:
    """Return the finding of a row to leave out."""
    return Finding(False, reason, detail, figures)


def unchecked(why: str, **figures: Any) -> Finding:
    """Return the finding of a row of which the check cannot tell."""
    return Finding(None, why, figures=figures)


def cut(text: str, size: int = 200) -> str:
    """Return a text on one line, its beginning where it is long."""
    flat = " ".join(text.split())
    return flat if len(flat) <= size else f"{flat[:size]} ..."
