"""What several modules of this topic use."""

from __future__ import annotations

from .._draw import Draw, Given
from .._settings import Measure

# fmt: off


def _center_and_spread(draw: Draw, m: Measure) -> tuple[Given, Given]:
    mean = draw.decimal(*m.mean, m.digits)
    return mean, draw.decimal(*m.sd, max(m.digits, 1) if m.sd[1] < 10 else m.digits)
