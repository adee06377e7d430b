"""What several modules of this topic use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .._draw import Draw, Given
from .._problem import single
from .._settings import RELATIONS, Relation
from .._siblings import Claim
from .._tails import SIGN, THAN

ROWS = ("A", "B")
"""Names of two samples, or of two models, in a table."""

OTHER_ROW = ("read the row of sample B instead of A", "read the row of sample A instead of B")
OTHER_TERM = (
    "read the row of the constant instead of that of the explanatory variable",
    "read the row of the explanatory variable instead of that of the constant",
)


@dataclass(frozen=True)
class Printout:
    """What a computer prints for a line: slope and intercept, each with its standard error."""

    r: Relation
    n: int
    slope: Given
    slope_se: Given
    intercept: Given
    intercept_se: Given

    @property
    def terms(self) -> tuple[tuple[str, Given, Given], tuple[str, Given, Given]]:
        """Return the name, the estimate and the standard error of slope and intercept."""
        return ("slope", self.slope, self.slope_se), ("intercept", self.intercept, self.intercept_se)

    @property
    def rate(self) -> str:
        """Return the unit of the slope: dollars per square meter."""
        return f"{self.r.y_unit} per {single(self.r.x_unit)}"

    @property
    def table(self) -> str:
        return table(
            ("Term", "Coef", "SE Coef"),
            ("Constant", f"{self.intercept:.3f}", f"{self.intercept_se:.3f}"),
            (self.r.x, f"{self.slope:.3f}", f"{self.slope_se:.3f}"),
        )

    @property
    def parameters(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "r"}


def printout(draw: Draw) -> Printout:
    """Draw a line for a setting; the standard errors are such that t lies between 0.6 and 5."""
    r, n = draw.setting(RELATIONS), draw.integer(10, 45)
    slope, intercept = draw.decimal(*r.slope, 3), draw.decimal(*r.intercept, 3)
    errors = [Given(round(abs(value) / draw.decimal(0.6, 5, 2), 3)) for value in (slope, intercept)]
    draw.need(min(errors) > 0.02)
    return Printout(r, n, slope, errors[0], intercept, errors[1])


def line_claim(r: Relation, what: str, symbol: str, null: object, way: str, p: float | None = None) -> Claim:
    """Return what a test of the slope or the intercept claims: "greater", "less" or "different" than `null`."""
    words = f"the {what} of the population line of {r.y} on {r.x} {THAN[way]} {null}"
    return Claim(words, f"{symbol} = {null}", f"{symbol} {SIGN[way]} {null}", p)


def two_samples(draw: Draw) -> tuple[Relation, list[int], list[Given], list[Given]]:
    """Draw two samples for one setting: their sizes, slopes and standard errors."""
    r = draw.setting(RELATIONS)
    sizes, slopes = [draw.integer(10, 45) for _ in ROWS], [draw.decimal(*r.slope, 3) for _ in ROWS]
    errors = [Given(round(abs(b) / draw.decimal(1.2, 4.5, 2), 3)) for b in slopes]
    draw.need(min(errors) > 0.02 and abs(slopes[0] - slopes[1]) > 0.05)
    return r, sizes, slopes, errors


def table(*lines: Sequence[object]) -> str:
    """Return lines of output as a table."""
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
