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


def t_quantile(tail: float, degrees: int) -> float:
    """Return the t with P(T > t) = `tail`, 0 to 1/2, by bisection of `t_cdf`. Infinite for a tail below about 1e-16."""
    low, high = 0.0, 1.0
    while t_cdf(-high, degrees) > tail:
        low, high = high, 2 * high
        if high > 1e18:
            return math.inf
    while high - low > 1e-13 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(-middle, degrees) > tail else (low, middle)
    return high
