"""One forecast figure: what is likely, what is possible, what it rests on, and how far off it was when last checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Figure:
    """A forecast of bytes or seconds."""

    usual: float
    low: float
    high: float
    basis: str
    """What it rests on, in words: `2 stages measured here`, `datasheet, not measured`."""
    error: float | None = None
    """Relative error when it was last checked, 0.08 for 8 %; None where it never was."""

    @property
    def measured(self) -> bool:
        """Return whether it rests on a measurement."""
        return "not measured" not in self.basis

    def __add__(self, other: Figure) -> Figure:
        """Return the sum: of ends that may both be reached, with the worse error and both bases."""
        bases = list(dict.fromkeys([*self.basis.split("; "), *other.basis.split("; ")]))
        errors = [error for error in (self.error, other.error) if error is not None]
        return Figure(
            self.usual + other.usual,
            self.low + other.low,
            self.high + other.high,
            "; ".join(bases),
            max(errors, default=None),
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values; `from_json` gives an equal figure back."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Self:
        """Return what `as_json` wrote."""
        return cls(**record)
