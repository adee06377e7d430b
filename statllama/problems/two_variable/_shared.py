"""What several modules of this topic use."""

from __future__ import annotations

from .._draw import Draw, Given
from .._problem import plain, sig
from .._settings import Relation

ORDER = ("first", "second")


def line(draw: Draw, r: Relation, digits: tuple[int, int] = (1, 2)) -> tuple[Given, Given]:
    """Return intercept and slope of a fitted line, rounded as software prints them."""
    return draw.decimal(*r.intercept, digits[0]), draw.decimal(*r.slope, digits[1])


def equation(r: Relation, a: float, b: float) -> str:
    """Return the fitted line in words: predicted rent = 250 + 12.5 * (floor area)."""
    return f"predicted {r.y} = {plain(a)} {plus(b)} * ({r.x})"


def plus(value: float) -> str:
    """Return a number that follows a sum, with its sign: "+ 2.5" or "- 2.5"."""
    return f"{'-' if value < 0 else '+'} {plain(abs(value))}"


def shown(value: float) -> str:
    """Return a number of a longer calculation: five significant figures, or four when it is small."""
    return sig(value, 5 if abs(value) >= 0.1 else 4)


def side(value: float) -> str:
    """Return "above" for a positive difference and "below" for a negative one."""
    return "above" if value > 0 else "below"
