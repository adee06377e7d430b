"""What several modules of this topic use."""

from __future__ import annotations

from .._settings import Measure
from .._siblings import Claim
from .._tails import SIGN, THAN


def bare(noun: str) -> str:
    """Return a noun without its article: a new feed -> new feed."""
    return noun.split(" ", 1)[1] if noun.startswith(("a ", "an ", "the ")) else noun


def mean_claim(m: Measure, null: object, way: str, p: float | None = None) -> Claim:
    """Return what a test of the mean of a setting claims: "greater", "less" or "different" than `null`."""
    words = f"the mean {m.thing} of all {m.who} {THAN[way]} {null} {m.unit}"
    return Claim(words, f"mu = {null}", f"mu {SIGN[way]} {null}", p)


def listed(values: list[int]) -> str:
    """Return numbers as a question lists them: 71, 68, 75."""
    return ", ".join(map(str, values))
