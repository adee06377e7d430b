"""Reading a printed question on probability or sampling: numbers, percentages, distribution tables, sides."""

from __future__ import annotations

import re

Expected = float | tuple[float, float] | str | re.Pattern[str]
_NUMBER = r"-?\d+(?:\.\d+)?"


def find(text: str, *patterns: str) -> list[str]:
    """The groups of the first pattern that occurs; `#` stands for a number in a group of its own."""
    for pattern in patterns:
        found = re.search(pattern.replace("#", f"({_NUMBER})"), text)
        if found:
            return list(found.groups())
    raise AssertionError(f"none of {patterns} in {text!r}")


def values(text: str, *patterns: str) -> list[float]:
    return [float(x) for x in find(text, *patterns)]


def has(text: str, pattern: str) -> bool:
    return re.search(pattern, text) is not None


def share(text: str) -> float:
    """The one proportion of a story, given as a percentage or as a decimal."""
    if has(text, r"\d%"):
        return values(text, "#%")[0] / 100
    return values(text, "(?:proportion of|probability is|proportion is|population is|probability|p =) #")[0]


def pairs(text: str) -> list[tuple[float, float]]:
    """All of the form "2 (0.35"."""
    return [(float(x), float(p)) for x, p in re.findall(rf"({_NUMBER}) \(({_NUMBER})", text)]


def asked(question: str) -> str:
    """The last sentence."""
    return re.split(r"(?<=[.?:]) (?=[A-Z])", question)[-1]


def below(text: str) -> bool:
    """Whether an area below a value is asked for, rather than one above it."""
    sides = re.findall(r"less than|greater than|more than|below|above|<|>", text)
    assert len(sides) == 1, (sides, text)
    return sides[0] in ("less than", "below", "<")
