"""How accurate a line is: the scatter about it and the standard error of its slope."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._phrases import THAT
from .._problem import fixed, number, single
from .._settings import RELATIONS
from .._siblings import Sibling, Siblings, square
from .._wording import wordings
from ._shared import OTHER_ROW, ROWS, table

# fmt: off


_STEM_STANDARD_ERROR_OF_SLOPE = wordings("""
    train: A study of {r.cases} will regress {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}). Residuals have a standard
        deviation of about {s} {r.y_unit}. The sample may have {n1} or {n2} cases, and the standard deviation of {r.x}
        may be {sx1} or {sx2} {r.x_unit}, depending on the cases chosen.
    train: The line that predicts {r.y} ({r.y_unit}) from {r.x} ({r.x_unit}) is to be fitted to {n1} or to {n2}
        {r.cases}. Whether the values of {r.x} have standard deviation {sx1} or {sx2} {r.x_unit} is still open. From
        earlier work, the residual standard deviation is s = {s} {r.y_unit}.
    train: Plans differ for a regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}): n is {n1} or {n2}, and the
        {r.cases} are chosen so that the {r.x} has standard deviation {sx1} or {sx2} {r.x_unit}. The residual standard
        deviation is taken to be {s} {r.y_unit}.
    train: With s = {s} {r.y_unit} as the standard deviation of the residuals, a researcher considers designs for a
        line that predicts {r.y} from {r.x}. They use {n1} or {n2} {r.cases}, with a standard deviation of {sx1} or
        {sx2} {r.x_unit} in {r.x}.
    test: How precisely can the effect of {r.x} ({r.x_unit}) on {r.y} ({r.y_unit}) be estimated? Points scatter about
        the line with s = {s} {r.y_unit}. Designs under discussion have n = {n1} or n = {n2} {r.cases}, and sx = {sx1}
        or sx = {sx2} {r.x_unit}.
    test: Four designs combine n = {n1} or {n2} {r.cases} with an SD of {sx1} or {sx2} {r.x_unit} in {r.x}. In each,
        {r.y} is fitted to {r.x}, and s is expected to be {s} {r.y_unit}.
    test: Budget and time decide whether {n1} or {n2} {r.cases} are observed, and whether their {r.x} has an SD of
        {sx1} or of {sx2} {r.x_unit}. A line for {r.y} will have residuals with SD s = {s} {r.y_unit}.
""")
_ASK_STANDARD_ERROR_OF_SLOPE = wordings("""
    train: Find the standard error of the slope for {n} cases and a standard deviation of {sx} {unit}.
    train: What is the standard error of the slope if the sample has {n} cases and the standard deviation of x is {sx}
        {unit}?
    test: Compute the SE of the slope for n = {n} together with sx = {sx}.
    test: With sx = {sx} and n = {n}, how large is SE(b)?
""")


@kind(2, ap="9.2")
def standard_error_of_slope(draw: Draw) -> Siblings:
    """The standard error of a slope from s, sx and n: which sample size, and which spread of x."""
    r = draw.setting(RELATIONS)
    s, width = draw.decimal(*r.noise, 2), r.xs[1] - r.xs[0]
    sizes = (draw.integer(10, 50), draw.integer(10, 50))
    spreads = (draw.decimal(width * 0.1, width * 0.4, 2), draw.decimal(width * 0.1, width * 0.4, 2))
    draw.need(abs(sizes[0] - sizes[1]) > 3 and min(spreads) > 0)
    stem = draw.ask(
        _STEM_STANDARD_ERROR_OF_SLOPE, r=r, s=s, n1=sizes[0], n2=sizes[1], sx1=spreads[0], sx2=spreads[1]
    )
    unit = f"{r.y_unit} per {single(r.x_unit)}"

    def make(a: int, b: int) -> Sibling:
        n, sx = sizes[a], spreads[b]
        value = s / (sx * math.sqrt(n - 1))
        steps = [
            f"[The slope is estimated from n = {n} cases // The design has n = {n} cases], with s = {s} {r.y_unit} and "
            f"sx = {sx} {r.x_unit}.",
            f"The standard error of a slope is `SE_b = s / (sx sqrt(n - 1))`{THAT} `{s} / ({sx} * sqrt({n} - 1)) = "
            f"{fixed(value, 4)}`.",
            f"[Slopes from such samples // In repeated samples of {n}, slopes] typically differ from the true slope by "
            f"about {fixed(value, 4)} {unit}.",
        ]
        ask = draw.ask(_ASK_STANDARD_ERROR_OF_SLOPE, n=n, sx=sx, unit=r.x_unit)
        return Sibling(
            f"{n}, {sx}",
            f"{stem} {ask}",
            steps,
            number(value, 4, unit, tolerance=max(0.0002, 0.01 * value)),
            "A slope is known better with less scatter about the line, more spread in x and more data.",
        )

    return square(
        make,
        ("used the sample size of the other design",) * 2,
        ("used the spread of x of the other design",) * 2,
        {"s": s, "sizes": sizes, "spreads": spreads},
    )


_STEM_RESIDUAL_STANDARD_DEVIATION = wordings("""
    test: Two samples of {r.cases} were analyzed: {r.y} ({r.y_unit}) as a line in {r.x} ({r.x_unit}). The table gives
        sums of squares, of the residuals and of the deviations of {r.y} from its mean.
    test: Below, SSE adds up the squared residuals of a least-squares line for {r.y} ({r.y_unit}) against {r.x}
        ({r.x_unit}), and SST the squared deviations of {r.y} from the mean. The data are samples A and B of
        {r.cases}.
    test: How well does {r.x} ({r.x_unit}) predict {r.y} ({r.y_unit}) for {r.cases}? Two samples were fitted
        separately. Their squared residuals add up to SSE, their squared distances from the mean of {r.y} to SST.
    test: A report on {r.cases} prints two sums of squares for each of two samples: one about the fitted line for
        {r.y} ({r.y_unit}) in terms of {r.x} ({r.x_unit}), SSE, and one about the mean of {r.y}, SST.
""")
_ASK_RESIDUAL_STANDARD_DEVIATION = wordings("""
    test/s: Find s, the standard deviation of the residuals, for sample {row}.
    test/s: How large is the standard deviation about the line in sample {row}?
    test/sy: Find sy, the sample standard deviation of {y}, for sample {row}.
    test/sy: How large is the sample standard deviation of {y} in sample {row}?
""")


@kind(2, held_out=True, ap="2.8, 9.2")
def residual_standard_deviation(draw: Draw) -> Siblings:
    """A standard deviation from a sum of squares: which sample, and about the line or about the mean."""
    r = draw.setting(RELATIONS)
    sizes = (draw.integer(8, 30), draw.integer(8, 30))
    about_line = [Given(round((n - 2) * draw.decimal(*r.noise, 2) ** 2, 1)) for n in sizes]
    about_mean = [Given(round(sse * draw.decimal(1.2, 6, 2), 1)) for sse in about_line]
    draw.need(min(about_line) > 5)
    rows = [(ROWS[i], sizes[i], f"{about_line[i]:.1f}", f"{about_mean[i]:.1f}") for i in range(2)]
    shown = table(("Sample", "n", "SSE", "SST"), *rows)
    stem = draw.ask(_STEM_RESIDUAL_STANDARD_DEVIATION, r=r)

    def make(a: int, b: int) -> Sibling:
        n, total, lost, name = sizes[a], (about_line, about_mean)[b][a], (2, 1)[b], ("SSE", "SST")[b]
        value = math.sqrt(total / (n - lost))
        steps = [
            f"Sample {ROWS[a]} has n = {n}. Deviations are from the {('fitted line', 'mean of ' + r.y)[b]}, so the sum "
            f"of squares is {name} = {total}.",
            ("[Slope and intercept were estimated // A line has two estimated numbers], so the divisor is `n - 2`.",
             "[One mean was estimated // A mean is one estimated number], so the divisor is `n - 1`.")[b],
            f"The standard deviation is `sqrt({name} / (n - {lost}))`{THAT} `sqrt({total} / ({n} - {lost})) = "
            f"{value:.3f}`.",
            f"[Values // Observed values] of {r.y} typically differ from the {('line', 'mean')[b]} by about "
            f"{value:.3f} {r.y_unit}.",
        ]
        ask = draw.ask(_ASK_RESIDUAL_STANDARD_DEVIATION, ("s", "sy")[b], row=ROWS[a], y=r.y)
        return Sibling(
            f"sample {ROWS[a]}, {name}",
            f"{stem}\n\n{shown}\n\n{ask}",
            steps,
            number(value, 3, r.y_unit, tolerance=max(0.002, 0.004 * value)),
            "The standard deviation of the residuals is `sqrt(SSE / (n - 2))`, that of a list of data "
            "`sqrt(SST / (n - 1))`.",
        )

    return square(
        make,
        OTHER_ROW,
        (
            "measured the scatter about the mean instead of the line",
            "measured the scatter about the line instead of the mean",
        ),
        {"sizes": sizes, "about_line": about_line, "about_mean": about_mean},
    )
