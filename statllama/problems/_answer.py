"""One answer or option of a problem, and when two of them are told apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """One answer or option: its text, the numbers in it, and how far off a number may be.

    `tolerance` is absolute, in the unit of the answer. `possible` is false for a number outside its range (a
    probability above 1, say); such a wrong answer is never offered and such a right one makes the draw be
    repeated.
    """

    text: str
    numbers: tuple[float, ...] = ()
    tolerance: float = 0.0
    possible: bool = True

    def differs(self, other: Answer) -> bool:
        """Return True when a reader who rounds along the way would still tell the two apart."""
        if self.text == other.text:
            return False
        if not self.numbers or len(self.numbers) != len(other.numbers):
            return True
        gap = 2.0 * max(self.tolerance, other.tolerance)
        pairs = zip(self.numbers, other.numbers, strict=True)
        return any(abs(a - b) > gap * 1.0001 for a, b in pairs)
