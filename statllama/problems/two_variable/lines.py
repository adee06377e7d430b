"""Least-squares lines, residuals and re-expression."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .._draw import Draw, Given, kind
from .._problem import (
    Draft,
    Wrong,
    fixed,
    number,
    plain,
    sig,
    single,
    term,
    words,
)
from .._settings import RELATIONS, Relation
from .._stories import GROWTHS
from .._wording import wordings

# fmt: off


def _line(draw: Draw, r: Relation) -> tuple[Given, Given]:
    """Intercept and slope of a fitted line, rounded as software prints them."""
    return draw.decimal(*r.intercept, 1), draw.decimal(*r.slope, 2)


def _equation(r: Relation, a: float, b: float) -> str:
    return f"predicted {r.y} = {a} {'-' if b < 0 else '+'} {plain(abs(b))} * ({r.x})"


_ASK_RESIDUAL = wordings("""
    train: For {r.cases}, the least-squares line is {equation}, with {r.x} in {r.x_unit} and {r.y} in
        {r.y_unit}. One {r.one} has {r.x} {x} and {r.y} {y}. What is its residual?
    train: A regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for {r.cases} gives {equation}. Find the
        residual of {r.one!a} whose {r.x} is {x} and whose {r.y} is {y}.
    test: A clerk measures {r.x} in {r.x_unit} and {r.y} in {r.y_unit} on {r.cases}, and least squares yields
        {equation}. A certain {r.one} came out at {x} and {y}. By how much, and with which sign, does the
        observed {r.y} miss the predicted one?
    test: Compute the residual that belongs to the point ({x}, {y}) when data on {r.cases}, with {r.x}
        ({r.x_unit}) across and {r.y} ({r.y_unit}) up, are fitted by {equation}.
""")


@kind(1)
def residual(draw: Draw) -> Draft:
    """The residual of one observation."""
    r = draw.setting(RELATIONS)
    a, b = _line(draw, r)
    x = draw.decimal(*r.xs, 0)
    predicted = a + b * x
    y = Given(round(predicted + draw.rng.gauss(0, 1) * r.noise[1], r.digits))
    right = y - predicted
    draw.need(abs(right) > 0.2 * r.noise[0] and abs(right + predicted) > 0 and y > 0 < predicted)
    fit = (f"The prediction is {a} {'-' if b < 0 else '+'} {plain(abs(b))} * {x} = {plain(predicted)} "
           f"{r.y_unit}.")
    return Draft(
        draw.ask(_ASK_RESIDUAL, r=r, equation=_equation(r, a, b), x=x, y=y),
        [fit, f"Residual = observed - predicted = {y} - {plain(predicted)} = {plain(right)} {r.y_unit}."],
        number(right, 2, r.y_unit),
        [
            Wrong(number(-right, 2, r.y_unit), "subtracted the observed value from the predicted one",
                  [fit, f"Residual = predicted - observed = {plain(predicted)} - {y} = {plain(-right)} "
                        f"{r.y_unit}."]),
            Wrong(number(predicted, 2, r.y_unit), "gave the predicted value instead of the residual",
                  [fit, "The line gives this value at the observed x, so this is the residual."]),
            Wrong(number(y - b * x, 2, r.y_unit), "left the intercept out of the prediction",
                  [f"The prediction is {b} * {x} = {plain(b * x)} {r.y_unit}.",
                   f"Residual = {y} - {term(b * x)} = {plain(y - b * x)} {r.y_unit}."]),
            Wrong(number(y - a, 2, r.y_unit), "subtracted only the intercept"),
        ],
        "A residual is observed minus predicted.",
        {"a": a, "b": b, "x": x, "y": y},
    )


_ASK_SLOPE_FROM_SUMMARY = wordings("""
    train: For {r.cases}, {r.x} has standard deviation {sx} {r.x_unit}, {r.y} has standard deviation {sy}
        {r.y_unit}, and their correlation is {corr}. Find the slope of the least-squares line that predicts
        {r.y} from {r.x}.
    train: A study of {r.cases} reports a correlation of {corr} between {r.x} (SD {sx} {r.x_unit}) and {r.y} (SD
        {sy} {r.y_unit}). What is the slope of the regression line of {r.y} on {r.x}?
    test: The raw data on {r.cases} are lost, but r = {corr}, sx = {sx} {r.x_unit} for {r.x} and sy = {sy}
        {r.y_unit} for {r.y} survive. Recover the slope that least squares gave, with {r.y} as the response.
    test: By how many {r.y_unit} does the fitted {r.y} change for each additional {x_one} of {r.x}, when the two
        correlate at {corr} among {r.cases} and vary with SDs of {sy} and {sx}, in this order?
""")


@kind(2)
def slope_from_summary(draw: Draw) -> Draft:
    """The least-squares slope from r and the two standard deviations."""
    r = draw.setting(RELATIONS)
    sx = draw.decimal((r.xs[1] - r.xs[0]) * 0.2, (r.xs[1] - r.xs[0]) * 0.32, 1)
    b = draw.decimal(*r.slope, 2)
    corr = draw.decimal(0.55, 0.95, 2)
    corr = Given(math.copysign(corr, b))
    sy = Given(round(b * sx / corr, 1))
    draw.need(sx > 0.5 and sy > 0.5)
    right = corr * sy / sx
    unit = f"{r.y_unit} per {single(r.x_unit)}"
    return Draft(
        draw.ask(_ASK_SLOPE_FROM_SUMMARY, r=r, sx=sx, sy=sy, corr=corr, x_one=single(r.x_unit)),
        ["The slope is b = r * sy / sx.", f"b = {corr} * {sy} / {sx} = {sig(right)} {unit}."],
        number(right, 3, unit, tolerance=max(0.002, 0.005 * abs(right))),
        [
            Wrong(number(corr * sx / sy, 3, unit), "turned the ratio of the standard deviations around",
                  ["The slope is b = r * sx / sy.",
                   f"b = {corr} * {sx} / {sy} = {sig(corr * sx / sy)} {unit}."]),
            Wrong(number(sy / sx, 3, unit), "left out the correlation",
                  ["The slope compares the spread of y with the spread of x.",
                   f"b = sy / sx = {sy} / {sx} = {sig(sy / sx)} {unit}."]),
            Wrong(number(corr**2 * sy / sx, 3, unit), "used r squared instead of r",
                  ["The slope is b = r^2 * sy / sx.",
                   f"b = {plain(corr**2)} * {sy} / {sx} = {sig(corr**2 * sy / sx)} {unit}."]),
            Wrong(number(corr, 3, unit), "took the correlation itself for the slope"),
        ],
        "The least-squares slope is the correlation times the ratio of the standard deviations, sy over sx.",
        {"r": corr, "sx": sx, "sy": sy},
    )


_ASK_INTERPRET_SLOPE = wordings("""
    train: For {r.cases}, the least-squares line is {equation}, with {r.x} in {r.x_unit} and {r.y} in
        {r.y_unit}. What does the slope say?
    train: For {r.cases}, the least-squares line is {equation}, with {r.x} in {r.x_unit} and {r.y} in
        {r.y_unit}. Interpret the slope in context.
    train: A line fitted by least squares to data on {r.cases} is {equation}. The units are {r.x_unit} for {r.x}
        and {r.y_unit} for {r.y}. Explain what the slope means.
    test: Data on {r.cases} led to the model {equation}, in {r.x_unit} and {r.y_unit}. Say in words what the
        coefficient of {r.x} tells a reader.
    test: What does the number {b} mean in the regression equation {equation}, which a student obtained from
        {r.cases} (measured in {r.x_unit} and {r.y_unit})?
""")


@kind(1)
def interpret_slope(draw: Draw) -> Draft:
    """What a fitted slope says, in words."""
    r = draw.setting(RELATIONS)
    a, b = _line(draw, r)
    size, way = plain(abs(b)), "higher" if b > 0 else "lower"
    up = f"When the {r.x} goes up by one {single(r.x_unit)},"
    opposite = "lower" if b > 0 else "higher"
    steps = [f"The slope is {b}, in {r.y_unit} per {single(r.x_unit)}.",
             "It is the change in the predicted y for one more unit of x."]
    return Draft(
        draw.ask(_ASK_INTERPRET_SLOPE, r=r, equation=_equation(r, a, b), b=b),
        steps,
        words(f"{up} the predicted {r.y} is {size} {r.y_unit} {way}."),
        [
            Wrong(words(f"{up} the predicted {r.y} is {size} {r.y_unit} {opposite}."),
                  "read the sign of the slope the wrong way",
                  [f"The slope has size {size}.", f"A higher {r.x} goes with a {opposite} predicted value."]),
            Wrong(words(f"When the {r.y} goes up by one {single(r.y_unit)}, the predicted {r.x} is {size} "
                        f"{r.x_unit} {way}."), "exchanged the explanatory and the response variable",
                  [f"The slope is {b}.", f"It is the change in {r.x} for one more unit of {r.y}."]),
            Wrong(words(f"When the {r.x} is zero, the predicted {r.y} is {size} {r.y_unit}, and from there "
                        f"the line goes {'up' if b > 0 else 'down'}."),
                  "took the slope for the intercept",
                  [f"The line has the constants {a} and {b}.", f"At {r.x} zero the prediction is {size}."]),
            Wrong(words(f"The line accounts for {size} percent of the variation in {r.y} among the {r.cases} "
                        "that were measured."),
                  "took the slope for r squared"),
        ],
        "A slope is the change in the predicted response for one more unit of the explanatory variable.",
        {"a": a, "b": b, "explanatory": r.x, "response": r.y},
    )


def _shown(value: float) -> str:
    """A number of a longer calculation: five significant figures, or four when it is small."""
    return sig(value, 5 if abs(value) >= 0.1 else 4)


_ASK_LINE_FROM_SUMMARY = wordings("""
    train: For {r.cases}, {r.x} has mean {mx} and standard deviation {sx} {r.x_unit}, {r.y} has mean {my} and
        standard deviation {sy} {r.y_unit}, and their correlation is {corr}. Find the least-squares line that
        predicts {r.y}, and with it the residual of {r.one!a} with {r.x} {x} and {r.y} {y}.
    train: A study of {r.cases} reports a correlation of {corr} between {r.x} (mean {mx}, SD {sx}, in
        {r.x_unit}) and {r.y} (mean {my}, SD {sy}, in {r.y_unit}). One {r.one} has {r.x} {x} and {r.y} {y}. What
        is its residual from the least-squares line?
    test: Only summaries are left of the data on {r.cases}: x-bar = {mx}, sx = {sx} ({r.x}, {r.x_unit}), y-bar =
        {my}, sy = {sy} ({r.y}, {r.y_unit}), r = {corr}. By how much, and with which sign, does the point ({x},
        {y}) miss the fitted line?
    test: How far above (+) or below (-) its fitted value is {r.y} {y} {r.y_unit}, seen at {r.x} {x} {r.x_unit}?
        Among all {r.cases} the averages are {mx} for {r.x} and {my} for {r.y}, the SDs {sx} and {sy}, and the
        two correlate at {corr}.
""")


@kind(3)
def line_from_summary(draw: Draw) -> Draft:
    """The residual of a point from the line that means, standard deviations and r determine."""
    r = draw.setting(RELATIONS)
    width = r.xs[1] - r.xs[0]
    mx, sx = draw.decimal(r.xs[0] + 0.4 * width, r.xs[0] + 0.6 * width, 1), draw.decimal(0.2 * width, 0.32 * width, 1)
    b = draw.decimal(*r.slope, 2)
    corr = Given(math.copysign(draw.decimal(0.55, 0.95, 2), b))
    sy, my = Given(round(b * sx / corr, 1)), Given(round(sum(r.intercept) / 2 + b * mx, 1))
    slope = corr * sy / sx
    x = draw.decimal(*r.xs, 0)
    draw.need(abs(x - mx) > 0.4 * sx)
    fit = my + slope * (x - mx)
    y = Given(round(fit + draw.rng.gauss(0, 1) * r.noise[1], r.digits))
    right = y - fit
    draw.need(abs(right) > 0.3 * r.noise[0] and y > 0 < fit)
    slack = 0.02 + 0.01 * abs(x - mx)

    def work(b: float, how: str, turned: bool = False) -> list[str]:
        a, at = my - b * mx, my + b * (x - mx)
        name, end = "observed - predicted", f"{y} - {term(round(at, 2))} = {fixed(y - at, 2)}"
        if turned:
            name, end = "predicted - observed", f"{fixed(at, 2)} - {y} = {fixed(at - y, 2)}"
        sign = "-" if b < 0 else "+"
        return [how, f"The intercept is {my} {'+' if b < 0 else '-'} {_shown(abs(b))} * {mx} = {fixed(a, 2)}, so the "
                     f"prediction at {x} is {fixed(a, 2)} {sign} {_shown(abs(b))} * {x} = {fixed(at, 2)}.",
                f"Residual = {name} = {end} {r.y_unit}."]

    rule = f"The slope is r * sy / sx = {corr} * {sy} / {sx} = {_shown(slope)}."
    flipped = corr * sx / sy

    def residual_with(b: float) -> float:
        return y - my - b * (x - mx)

    def option(value: float, slip: str, steps: Sequence[str] = ()) -> Wrong:
        return Wrong(number(value, 2, r.y_unit, tolerance=slack), slip, steps)

    return Draft(
        draw.ask(_ASK_LINE_FROM_SUMMARY, r=r, mx=mx, sx=sx, my=my, sy=sy, corr=corr, x=x, y=y),
        work(slope, rule),
        number(right, 2, r.y_unit, tolerance=slack),
        [
            option(-right, "subtracted the observed value from the predicted one", work(slope, rule, True)),
            option(residual_with(flipped), "turned the ratio of the standard deviations around",
                   work(flipped, f"The slope is r * sx / sy = {corr} * {sx} / {sy} = {_shown(flipped)}.")),
            option(residual_with(sy / sx), "left the correlation out of the slope",
                   work(sy / sx, f"The slope is sy / sx = {sy} / {sx} = {_shown(sy / sx)}.")),
            option(y - my, "subtracted the mean of y instead of the prediction"),
            option(fit, "gave the predicted value instead of the residual"),
        ],
        "Slope r * sy / sx and the point of means fix the line; a residual is observed minus predicted.",
        {"mx": mx, "sx": sx, "my": my, "sy": sy, "r": corr, "x": x, "y": y},
    )


_ASK_LOG_PREDICTION = wordings("""
    train: A scatterplot of {g.y} against {g.x} is curved, but the base-10 logarithm of {g.y} is linear in
        {g.x}: predicted log10({g.y}) = {a} + {b} * ({g.x}), with {g.x} in {g.x_unit}. Predict the {g.y}
        ({g.unit}) at {g.x} {x}.
    train: After a log transformation, a least-squares line gives predicted log10({g.y}) = {a} + {b} * ({g.x}),
        where {g.x} is in {g.x_unit}. What {g.y}, in {g.unit}, does the model predict for {g.x} {x}?
    test: Taking common logarithms straightened a plot of {g.y} ({g.unit}) over {g.x} ({g.x_unit}). The fitted
        line starts at {a} on the log scale and climbs {b} per unit of {g.x}. Which {g.y} goes with {g.x} {x},
        back on the original scale?
    test: How large is the {g.y}, in {g.unit}, that a model foretells for {g.x} {x} ({g.x_unit}), if its
        equation is log10(y) = {a} + {b} x?
""")


@kind(3)
def log_prediction(draw: Draw) -> Draft:
    """A prediction from a line fitted to logarithms, taken back to the original scale."""
    g = draw.setting(GROWTHS)
    a, b, x = draw.decimal(*g.a, 2), draw.decimal(*g.b, 3), draw.integer(*g.xs)
    log = a + b * x
    right = 10**log
    draw.need(right > 60)
    fit = f"On the log scale the prediction is {a} + {b} * {x} = {plain(log)}."

    def option(value: float, slip: str, steps: Sequence[str] = ()) -> Wrong:
        return Wrong(number(value, 1, g.unit, tolerance=0.005 * value), slip, steps)

    return Draft(
        draw.ask(_ASK_LOG_PREDICTION, g=g, a=a, b=b, x=x),
        [fit, f"Undoing the logarithm gives 10^{plain(log)} = {right:.1f} {g.unit}."],
        number(right, 1, g.unit, tolerance=0.01 * right),
        [
            option(log, "stopped at the logarithm", [fit, f"So the model predicts {log:.1f} {g.unit}."]),
            option(math.exp(log), "undid a base-10 logarithm with the number e",
                   [fit, f"Undoing the logarithm gives e to the power {plain(log)}, which is {math.exp(log):.1f} "
                         f"{g.unit}."]),
            option(10 * log, "multiplied by 10 instead of raising 10 to the power",
                   [fit, f"Undoing the logarithm gives 10 * {plain(log)} = {10 * log:.1f} {g.unit}."]),
            option(10 ** (b * x), "left out the intercept",
                   [f"On the log scale the prediction is {b} * {x} = {plain(b * x)}.",
                    f"Undoing the logarithm gives 10^{plain(b * x)} = {10 ** (b * x):.1f} {g.unit}."]),
            option(10 ** (a + b) * x, "multiplied by x after undoing the logarithm instead of before",
                   [f"Undoing the logarithm of the two constants gives 10^({a} + {b}) = {10 ** (a + b):.1f}.",
                    f"Times {x}, that is {10 ** (a + b) * x:.1f} {g.unit}."]),
            option(10**a + b * x, "undid the logarithm of the intercept alone"),
        ],
        "A prediction of log10 y is undone by raising 10 to it.",
        {"a": a, "b": b, "x": x},
    )
