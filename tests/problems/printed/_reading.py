"""How a printed question is read: regular expressions in which `#` stands for a number."""

from __future__ import annotations

import re

Expected = float | tuple[float, float] | str | re.Pattern[str]
_NUMBER = r"(-?\d+(?:\.\d+)?)"


def find(text: str, *patterns: str) -> tuple[float, ...]:
    """Return the numbers at the `#` of the first pattern that fits; `AssertionError` when none does."""
    return tuple(float(x) for x in words(text, *(pattern.replace("#", _NUMBER) for pattern in patterns)))


def words(text: str, *patterns: str) -> tuple[str, ...]:
    """Return the groups of the first pattern that fits; `AssertionError` when none does."""
    for pattern in patterns:
        if match := re.search(pattern, text):
            return match.groups()
    raise AssertionError(f"no pattern fits: {text}")


def numbers(text: str) -> list[float]:
    """Return all numbers of a text."""
    return [float(x) for x in re.findall(r"-?\d+(?:\.\d+)?", text)]
