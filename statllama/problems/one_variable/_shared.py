"""What several modules of this topic use."""

from __future__ import annotations

from .._draw import Draw, Given
from .._settings import Measure

Five = tuple[Given, Given, Given, Given, Given]
YEARS = ("first", "second")

# fmt: off


def center_and_spread(draw: Draw, m: Measure) -> tuple[Given, Given]:
    """Return a mean and a standard deviation, rounded as they would be reported."""
    mean = draw.decimal(*m.mean, m.digits)
    return mean, draw.decimal(*m.sd, max(m.digits, 1) if m.sd[1] < 10 else m.digits)


def two_years(draw: Draw, m: Measure) -> tuple[tuple[Given, Given], tuple[Given, Given]]:
    """Return the means and the standard deviations of two years that differ in both."""
    (mean, sd), (_, other) = center_and_spread(draw, m), center_and_spread(draw, m)
    moved = Given(round(mean + draw.choice((-1, 1)) * draw.decimal(0.15, 0.7, 2) * sd, m.digits))
    draw.need(moved != mean and abs(sd - other) > 0.08 * sd)
    return (mean, moved), (sd, other)


def five_numbers(draw: Draw, m: Measure, near: float | None = None) -> Five:
    """Return minimum, quartiles and maximum of a plausible box plot, all different; its center is close to `near`."""
    mean, sd = center_and_spread(draw, m)
    center = mean if near is None else near + draw.decimal(-0.8, 0.8, 2) * sd
    spans = ((-2.6, -1.5), (-0.9, -0.5), (-0.25, 0.25), (0.5, 0.9), (1.5, 2.6))
    steps = (draw.decimal(*span, 2) * sd for span in spans)
    low, q1, middle, q3, high = (Given(round(center + step, m.digits)) for step in steps)
    draw.need(low < q1 < middle < q3 < high)
    return low, q1, middle, q3, high
