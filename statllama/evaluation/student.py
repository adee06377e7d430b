"""Student's t distribution for whole degrees of freedom."""

from __future__ import annotations

import math


def t_cdf(t: float, degrees: int) -> float:
    """Return P(T <= t), with an error of about 1e-15. `degrees`: 1 or more.

    The finite sums of Abramowitz and Stegun (1964, Handbook of Mathematical Functions, 26.7.3 and 26.7.4).
    """
    angle = math.atan(abs(t) / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for k in range(1 + odd, degrees, 2):  # terms up to the power degrees - 2 of the cosine
        total += term
        term *= cosine**2 * k / (k + 1)
    inside = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return (1 + math.copysign(min(1.0, inside), t)) / 2
