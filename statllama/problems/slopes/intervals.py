"""Intervals for a slope and the accuracy of a line."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .._draw import Draw, Given, kind
from .._numerics import normal_quantile, t_quantile
from .._problem import (
    Draft,
    Wrong,
    article,
    fixed,
    interval,
    number,
    sig,
    single,
    words,
)
from .._settings import RELATIONS
from .._wording import wordings
from ._shared import _fit

# fmt: off


_ASK_STANDARD_ERROR_OF_SLOPE = wordings("""
    train: For {n} {r.cases}, {r.y} is regressed on {r.x}. The standard deviation of the residuals is {s}
        {r.y_unit} and that of {r.x} is {sx} {r.x_unit}. What is the standard error of the slope?
    train: A least-squares line predicts {r.y} from {r.x} for {n} {r.cases}, with residual standard deviation s
        = {s} {r.y_unit} and sx = {sx} {r.x_unit}. Find the standard error of the slope.
    test: How precisely does a sample of {n} {r.cases} pin down the effect of {r.x} on {r.y}? The {r.x} values
        have SD {sx} {r.x_unit}, and points scatter about the fitted line with s = {s} {r.y_unit}. Compute the
        SE of the line's coefficient.
    test: Given n = {n}, s = {s} {r.y_unit} (scatter of {r.y} about the line) and an SD of {sx} {r.x_unit} in
        {r.x}, work out the SE of the fitted coefficient for {r.cases}.
""")


@kind(2)
def standard_error_of_slope(draw: Draw) -> Draft:
    """The standard error of a slope from s, sx and n."""
    r = draw.setting(RELATIONS)
    n, s = draw.integer(10, 50), draw.decimal(*r.noise, 2)
    sx = draw.decimal((r.xs[1] - r.xs[0]) * 0.2, (r.xs[1] - r.xs[0]) * 0.32, 2)
    right = s / (sx * math.sqrt(n - 1))
    unit = f"{r.y_unit} per {single(r.x_unit)}"
    digits = 4
    bare, deep, swapped = s / sx, s / math.sqrt(n), sx / (s * math.sqrt(n - 1))
    return Draft(
        draw.ask(_ASK_STANDARD_ERROR_OF_SLOPE, r=r, n=n, s=s, sx=sx),
        ["The standard error of the slope is s / (sx * sqrt(n - 1)).",
         f"That is {s} / ({sx} * sqrt({n} - 1)) = {fixed(right, digits)} {unit}."],
        number(right, digits, unit, tolerance=max(0.0002, 0.01 * right)),
        [
            Wrong(number(bare, digits, unit), "left out the sample size",
                  ["The standard error compares the two standard deviations.",
                   f"That is {s} / {sx} = {fixed(bare, digits)} {unit}."]),
            Wrong(number(deep, digits, unit), "left out the spread of x, as for a mean",
                  ["A standard error is s / sqrt(n).",
                   f"That is {s} / sqrt({n}) = {fixed(deep, digits)} {unit}."]),
            Wrong(number(swapped, digits, unit), "exchanged the two standard deviations",
                  ["The standard error of the slope is sx / (s * sqrt(n - 1)).",
                   f"That is {sx} / ({s} * sqrt({n} - 1)) = {fixed(swapped, digits)} {unit}."]),
            Wrong(number(s / (sx * (n - 1)), digits, unit), "divided by n - 1 instead of by its root"),
        ],
        "A slope is known better with less scatter about the line, more spread in x and more data.",
        {"s": s, "sx": sx, "n": n},
    )


_ASK_RESIDUAL_STANDARD_DEVIATION = wordings("""
    test: A line for {r.y} ({r.y_unit}) in terms of {r.x} was fitted to {n} {r.cases}; the squared residuals add
        up to {sse}. By how much do points typically miss the line, that is, how large is s?
    test: Given {sse} as the sum of squared residuals from a least-squares fit of {r.y} to {r.x} with n = {n}
        {r.cases}, work out s, the SD about the line, in {r.y_unit}.
""")


@kind(2, held_out=True)
def residual_standard_deviation(draw: Draw) -> Draft:
    """The standard deviation of the residuals from their sum of squares."""
    r = draw.setting(RELATIONS)
    n = draw.integer(8, 30)
    sse = Given(round((n - 2) * draw.decimal(*r.noise, 2) ** 2, 1))
    right = math.sqrt(sse / (n - 2))
    unit = r.y_unit
    by_n, by_less, square = math.sqrt(sse / n), math.sqrt(sse / (n - 1)), sse / (n - 2)
    draw.need(sse > 5)

    def option(value: float, slip: str, steps: Sequence[str] = ()) -> Wrong:
        return Wrong(number(value, 3, unit, tolerance=0.004 * right), slip, steps)

    return Draft(
        draw.ask(_ASK_RESIDUAL_STANDARD_DEVIATION, r=r, n=n, sse=sse),
        ["Two parameters, slope and intercept, were fitted, so the divisor is n - 2.",
         f"s = sqrt({sse} / ({n} - 2)) = {right:.3f} {unit}."],
        number(right, 3, unit, tolerance=max(0.002, 0.004 * right)),
        [
            option(by_less, "divided by n - 1, as for a single list of data",
                   ["A standard deviation has the divisor n - 1.",
                    f"s = sqrt({sse} / ({n} - 1)) = {by_less:.3f} {unit}."]),
            option(by_n, "divided by n instead of n - 2",
                   ["The mean of the squared residuals is their sum over n.",
                    f"s = sqrt({sse} / {n}) = {by_n:.3f} {unit}."]),
            option(square, "forgot the square root",
                   ["Two parameters were fitted, so the divisor is n - 2.",
                    f"s = {sse} / ({n} - 2) = {square:.3f} {unit}."]),
            option(math.sqrt(sse) / (n - 2), "took the root before dividing"),
        ],
        "The standard deviation of the residuals is the root of their sum of squares over n - 2.",
        {"sse": sse, "n": n},
    )


_ASK_SLOPE_INTERVAL = wordings("""
    train: A regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for {n} randomly chosen {r.cases} gives
        slope {b} with standard error {se}. Construct a {level}% confidence interval for the true slope.
    train: A regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for {n} randomly chosen {r.cases} gives
        slope {b} with standard error {se}. What is the {level}% confidence interval for the slope of the
        population line?
    test: Among {n} {r.cases} picked at random, {r.y} ({r.y_unit}) is modeled as a line in {r.x} ({r.x_unit});
        the printout has {b} for the coefficient and {se} for its SE. Between which limits can the population
        value of the coefficient be placed with {level}% confidence?
    test: With {level}% confidence, how large is the change in mean {r.y} ({r.y_unit}) per {x_one} of {r.x}? A
        sample of {n} {r.cases} drawn by lot has the least-squares slope {b}, SE {se}. Give the interval.
""")


@kind(2)
def slope_interval(draw: Draw) -> Draft:
    """The t interval for a slope."""
    r = draw.setting(RELATIONS)
    n, b, se = _fit(draw, r)
    level = draw.confidence()
    t, z = t_quantile(0.5 + level / 200, n - 2), normal_quantile(0.5 + level / 200)
    wrong_df, unit = t_quantile(0.5 + level / 200, n - 1), f"{r.y_unit} per {single(r.x_unit)}"
    digits = 3 if abs(b) < 10 else 2
    draw.need(t * se > 30 * 10.0**-digits)

    def option(critical: float, spread: float, slip: str, first: str = "") -> Wrong:
        steps = ([first, f"The interval is {b} +/- {critical:.3f} * {sig(spread)}, that is {b} +/- "
                         f"{sig(critical * spread)}."] if first else [])
        return Wrong(interval(b - critical * spread, b + critical * spread, digits, unit), slip, steps)

    right = option(t, se, "", f"A slope has n - 2 = {n - 2} degrees of freedom, so t* = {t:.3f}.")
    root = se / math.sqrt(n)
    return Draft(
        draw.ask(_ASK_SLOPE_INTERVAL, r=r, n=n, b=b, se=se, level=level, x_one=single(r.x_unit)),
        right.steps,
        right.answer,
        [
            option(z, se, "used a z critical value instead of t", f"For {level}% confidence, z* = {z:.3f}."),
            option(t, root, "divided the standard error by the root of n once more",
                   f"With {n - 2} degrees of freedom t* = {t:.3f}, and the standard error is {se} / "
                   f"sqrt({n}) = {sig(root)}."),
            option(1.0, se, "left out the critical value", "The margin is the standard error of the slope."),
            option(wrong_df, se, "used n - 1 degrees of freedom instead of n - 2",
                   f"A sample of {n} has {n - 1} degrees of freedom, so t* = {wrong_df:.3f}."),
            option(t_quantile(level / 100, n - 2), se, "took the critical value from one tail only"),
        ],
        "An interval for a slope uses t with n - 2 degrees of freedom and the printed standard error.",
        {"slope": b, "se": se, "n": n, "confidence": level},
    )


_ASK_INTERPRET_SLOPE_INTERVAL = wordings("""
    train: From {n} randomly chosen {r.cases}, a {level}% confidence interval for the slope of the line that
        predicts {r.y} ({r.y_unit}) from {r.x} ({r.x_unit}) is ({low}, {high}). Interpret this interval.
    train: A regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for {n} randomly chosen {r.cases} gives the
        {level}% confidence interval ({low}, {high}) for the slope. What does this interval say?
    test: "Coefficient of {r.x}: {low} to {high} ({level}% confidence)" stands below a fit of {r.y} in
        {r.y_unit} to {n} {r.cases} drawn by lot, with {r.x} in {r.x_unit}. What is a reader to take from this
        line?
    test: With data on {n} {r.cases} selected by chance, an analyst puts the coefficient of {r.x} ({r.x_unit})
        in a linear model for {r.y} ({r.y_unit}) between {low} and {high} at {level}% confidence. Say what that
        means.
""")


@kind(2)
def interpret_slope_interval(draw: Draw) -> Draft:
    """What a confidence interval for a slope says."""
    r = draw.setting(RELATIONS)
    n, b, se = _fit(draw, r)
    level = draw.confidence()
    half = t_quantile(0.5 + level / 200, n - 2) * se
    low, high = fixed(b - half, 2), fixed(b + half, 2)
    draw.need(float(low) * float(high) > 0.001 and abs(float(high) - float(low)) > 0.05)
    small, big = sorted((abs(float(low)), abs(float(high))))
    size, way = f"between {fixed(small, 2)} and {fixed(big, 2)} {r.y_unit}", "higher" if b > 0 else "lower"
    more = f"one more {single(r.x_unit)} of {r.x}"
    texts = [
        f"We are {level}% confident that, over all {r.cases}, {more} goes with a mean {r.y} that is {size} {way}.",
        f"For {level}% of all {r.cases}, taken one at a time, {more} goes with {article(r.y)} that is {size} {way}.",
        f"We are {level}% confident that, over the sample of {n} {r.cases}, {more} goes "
        f"with a mean {r.y} that is {size} {way}.",
        f"We are {level}% confident that the mean {r.y} of all {r.cases} is {size}, whatever the {r.x} may be.",
    ]
    return Draft(
        draw.ask(_ASK_INTERPRET_SLOPE_INTERVAL, r=r, n=n, level=level, low=low, high=high),
        [f"The slope is the change in the mean of y for {more}.",
         f"The interval estimates the slope for the whole population; the {level}% describes the method."],
        words(texts[0]),
        [
            Wrong(words(texts[1]), "took the confidence level for a share of the individuals",
                  ["The slope is a change in y for one more unit of x.",
                   f"The {level}% tells for how many of the individuals the change lies in the interval."]),
            Wrong(words(texts[2]), "took the slope of the sample, which is known, for the thing estimated",
                  ["The slope is the change in the mean of y for one more unit of x.",
                   "The interval was computed from the sample, so it tells where the slope of the sample lies."]),
            Wrong(words(texts[3]), "took the interval for a slope for an interval for a mean of y",
                  ["The interval comes from a model for y.",
                   f"So it tells, with {level}% confidence, where the mean of y lies."]),
        ],
        "An interval for a slope is about the change in mean response per unit of x in the population.",
        {"slope": b, "se": se, "n": n, "confidence": level},
    )


_ASK_SLOPE_CONCLUSION = wordings("""
    train: From {n} randomly chosen {r.cases}, a 95% confidence interval for the slope of the line that predicts
        {r.y} from {r.x} is ({low}, {high}). What does it say about a linear relation, at the 5% level?
    train: From {n} randomly chosen {r.cases}, a 95% confidence interval for the slope of the line that predicts
        {r.y} from {r.x} is ({low}, {high}). What can be concluded about a linear relation (alpha = 0.05)?
    test: Does {r.y} depend linearly on {r.x} among {r.cases}? With data on {n} of them, drawn by lot, an
        inspector is 95% confident that the population line rises by between {low} and {high} per unit. Judge at
        significance level 0.05.
    test: Between {low} and {high}: this is where {n} {r.cases}, selected by chance, put the true slope for
        {r.y} against {r.x} at 95% confidence. Is there evidence of a linear connection at the 5% significance
        level?
""")


@kind(2)
def slope_conclusion(draw: Draw) -> Draft:
    """What an interval for a slope says about a linear relation."""
    r = draw.setting(RELATIONS)
    n, b, se = _fit(draw, r)
    half = t_quantile(0.975, n - 2) * se
    low, high = fixed(b - half, 2), fixed(b + half, 2)
    draw.need(min(abs(float(low)), abs(float(high))) > 0.03)
    covers = float(low) < 0 < float(high)
    sign = "positive" if b > 0 else "negative"
    relation = f"linear relation between {r.x} and {r.y}"
    yes = f"Zero is outside the interval, so there is convincing evidence of a {sign} {relation}."
    no = f"Zero is inside the interval, so there is not convincing evidence of a {relation}."
    look = f"The interval from {low} to {high} {'contains' if covers else 'does not contain'} zero."
    lies = f"Zero is {'inside' if covers else 'outside'} the interval"
    turned = (f"{lies}, so there is convincing evidence of a {sign} {relation}." if covers else f"{lies}, so "
                                                                                                "there is "
                                                                                                "not "
                                                                                                "convincing "
                                                                                                "evidence "
                                                                                                "of a "
                                                                                                f"{relation}.")
    return Draft(
        draw.ask(_ASK_SLOPE_CONCLUSION, r=r, n=n, low=low, high=high),
        [look, "A slope of zero would mean no linear relation."],
        words(no if covers else yes),
        [
            Wrong(words(turned), "drew the opposite conclusion from the place of zero",
                  [look, f"A slope of zero {'in' if covers else 'outside'} the interval "
                         f"{'confirms' if covers else 'speaks against'} the relation."]),
            Wrong(words(f"The slope is only an estimate from {n} cases, so an interval for it says nothing "
                        f"about a {relation}."),
                  "thought that an interval cannot serve as a test",
                  [look, "But the slope is only estimated, so no conclusion follows."]),
            Wrong(words(f"About 95% of all {r.cases} have a slope between {low} and {high}, so the relation "
                        "holds for most of them."),
                  "took the interval for a range of individual values",
                  [f"The interval goes from {low} to {high}.",
                   "Its level tells how many individuals lie in it."]),
            Wrong(words(f"One is {'outside' if not float(low) < 1 < float(high) else 'inside'} the interval, "
                        "and that decides about the relation."), "compared the slope with 1 instead of 0"),
        ],
        "A 95% interval for the slope that leaves out zero gives evidence of a linear relation at the 5% "
        "level.",
        {"slope": b, "se": se, "n": n},
    )
