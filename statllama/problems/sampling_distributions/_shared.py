"""The two sides of a value, for kinds that ask for a tail of a normal distribution."""

from __future__ import annotations

from .._numerics import normal_cdf

SIDES = ("above", "below")
WRONG_SIDE = ("gave the area below the value", "gave the area above the value")
"""The slips of a choice between the two sides, in the order of `SIDES`."""


def tail(z: float, below: int) -> float:
    """Return P(Z > z), or P(Z < z) if `below` is 1."""
    return normal_cdf(z if below else -z)
