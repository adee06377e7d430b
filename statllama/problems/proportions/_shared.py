"""What several modules of this topic use."""

from __future__ import annotations

from .._draw import Draw
from .._settings import Share

# fmt: off


def _sample(draw: Draw, s: Share, low: int, high: int) -> tuple[int, int]:
    """A sample size and a count of successes with at least ten of each sort."""
    n = draw.integer(low, high)
    x = round(n * draw.decimal(*s.p, 3))
    draw.need(x >= 10 and n - x >= 10)
    return n, x
