"""What several modules of this topic use."""

from __future__ import annotations

from .._draw import Draw, Given
from .._settings import Relation

# fmt: off


def _fit(draw: Draw, r: Relation) -> tuple[int, Given, Given]:
    """A sample size, a slope and its standard error, as a computer prints them."""
    n, b = draw.integer(10, 45), draw.decimal(*r.slope, 3)
    return n, b, Given(round(abs(b) / draw.decimal(1.2, 5.5, 2), 3))
