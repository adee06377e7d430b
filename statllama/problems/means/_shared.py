"""What several modules of this topic use."""

from __future__ import annotations


def bare(noun: str) -> str:
    """Return a noun without its article: a new feed -> new feed."""
    return noun.split(" ", 1)[1] if noun.startswith(("a ", "an ", "the ")) else noun


def listed(values: list[int]) -> str:
    """Return numbers as a question lists them: 71, 68, 75."""
    return ", ".join(map(str, values))
