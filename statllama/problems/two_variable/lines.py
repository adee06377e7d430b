"""Least-squares lines and residuals."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._problem import fixed, number, plain, single, term
from .._settings import RELATIONS
from .._siblings import Sibling, Siblings, square
from .._wording import wordings
from ._shared import ORDER, equation, line, plus, shown, side

# fmt: off


_OTHER_CASE = ("answered for the second case", "answered for the first case")

_STEM_RESIDUAL = wordings("""
    train: For {r.cases}, the least-squares line is {equation}, with {r.x} in {r.x_unit} and {r.y} in {r.y_unit}. One
        {r.one} has {r.x} {x1} and {r.y} {y1}; a second one has {r.x} {x2} and {r.y} {y2}.
    train: A regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for {r.cases} gives {equation}. Two of the points
        are ({x1}, {y1}), the first, and ({x2}, {y2}), the second.
    train: {equation!c}: this line was fitted by least squares to data on {r.cases}, in {r.x_unit} and {r.y_unit}. The
        first {r.one} on the list has {r.x} {x1} and {r.y} {y1}, the second {x2} and {y2}.
    train: A least-squares line for predicting {r.y} ({r.y_unit}) from {r.x} ({r.x_unit}) among {r.cases} is {equation}.
        The data include a first {r.one} with values {x1} and {y1}, and a second with {x2} and {y2}.
    test: Data on {r.cases}, with {r.x} ({r.x_unit}) across and {r.y} ({r.y_unit}) up, are fitted by {equation}. Take
        the point ({x1}, {y1}) as the first {r.one} and the point ({x2}, {y2}) as the second.
    test: Two rows of a file on {r.cases} read {x1} and {y1} (first {r.one}) and {x2} and {y2} (second {r.one}), for
        {r.x} in {r.x_unit} and {r.y} in {r.y_unit}. Least squares applied to the whole file yields {equation}.
    test: A student measures {r.x} in {r.x_unit} and {r.y} in {r.y_unit} on {r.cases} and obtains {equation}. Her first
        {r.one} came out at {x1} and {y1}, her second at {x2} and {y2}.
""")
_ASK_RESIDUAL = wordings("""
    train/residual: What is the residual of the {which} {r.one}?
    train/residual: Find the residual, in {r.y_unit}, of the {which} {r.one}.
    train/over: By how much does the line overpredict the {r.y} of the {which} {r.one}, with a negative answer where it
        predicts too little?
    train/over: Find how far the prediction for the {which} {r.one} is above (+) or below (-) the actual {r.y}.
    test/residual: How far above (+) or below (-) its predicted value is the {which} {r.one}?
    test/residual: Which residual belongs to the {which} {r.one}?
    test/over: How far above (+) or below (-) the observed value is the line at the {which} {r.one}?
    test/over: How large is the overprediction for the {which} {r.one}, counted as negative if the line is too low?
""")


@kind(1, ap="2.7")
def residual(draw: Draw) -> Siblings:
    """The residual of one of two observations, or how much the line overpredicts it."""
    r = draw.setting(RELATIONS)
    a, b = line(draw, r)
    xs = [draw.decimal(*r.xs, 0) for _ in "ab"]
    fits = [a + b * x for x in xs]
    ys = [Given(round(fit + draw.rng.gauss(0, 1) * r.noise[1], r.digits)) for fit in fits]
    misses = [y - fit for y, fit in zip(ys, fits, strict=True)]
    draw.need(min(map(abs, misses)) > 0.2 * r.noise[0] and xs[0] != xs[1] and min(*ys, *fits) > 0)
    stem = draw.ask(_STEM_RESIDUAL, r=r, equation=equation(r, a, b), x1=xs[0], y1=ys[0], x2=xs[1], y2=ys[1])

    def make(k: int, over: int) -> Sibling:
        fit, y = fits[k], ys[k]
        value = fit - y if over else y - fit
        names, parts = ("predicted - observed", f"{plain(fit)} - {y}") if over else (
            "observed - predicted", f"{y} - {plain(fit)}")
        steps = [
            f"[For the {ORDER[k]} {r.one}, the predicted {r.y} is // The line predicts, for the {ORDER[k]} {r.one},] "
            f"`{a} {plus(b)} * {xs[k]} = {plain(fit)}` {r.y_unit}.",
            f"The {('residual', 'overprediction')[over]} is `{names} = {parts} = {fixed(value, 2)}` {r.y_unit}.",
            f"[ // The observed {r.y} is {'above' if y > fit else 'below'} the line. // So the line predicts too "
            f"{'low' if y > fit else 'high'} a value here.]",
        ]
        ask = draw.ask(_ASK_RESIDUAL, ("residual", "over")[over], r=r, which=ORDER[k])
        return Sibling(f"{ORDER[k]}, {('residual', 'overprediction')[over]}", f"{stem} {ask}", steps,
                       number(value, 2, r.y_unit), "A residual is observed minus predicted; it is negative below the "
                                                   "line.")

    return square(
        make,
        _OTHER_CASE,
        ("subtracted the observed value from the predicted one", 
         "subtracted the predicted value from the observed one"),
        {"a": a, "b": b, "xs": xs, "ys": ys},
    )


_STEM_SLOPE_FROM_SUMMARY = wordings("""
    train: For {r.cases}, {r.x} has standard deviation {sx} {r.x_unit}, {r.y} has standard deviation {sy} {r.y_unit},
        and their correlation is {corr}.
    train: A study of {r.cases} reports a correlation of {corr} between {r.x} (SD {sx} {r.x_unit}) and {r.y} (SD {sy}
        {r.y_unit}).
    train: The correlation between {r.x} and {r.y} for {r.cases} is {corr}. The standard deviations are {sx} {r.x_unit}
        and {sy} {r.y_unit}, in this order.
    train: Measured on {r.cases}, {r.y} has a standard deviation of {sy} {r.y_unit} and {r.x} one of {sx} {r.x_unit};
        the correlation is {corr}.
    test: The raw data on {r.cases} are lost, but r = {corr}, sx = {sx} {r.x_unit} for {r.x} and sy = {sy} {r.y_unit}
        for {r.y} are known.
    test: Among {r.cases}, {r.x} and {r.y} correlate at {corr} and vary with SDs of {sx} {r.x_unit} and {sy} {r.y_unit}.
    test: SDs of {sx} {r.x_unit} ({r.x}) and {sy} {r.y_unit} ({r.y}) and a correlation of {corr} sum up what a class
        measured on {r.cases}.
""")
_ASK_SLOPE_FROM_SUMMARY = wordings("""
    train/slope: What is the slope of the least-squares line that predicts {to} from {of}?
    train/slope: By how many {to_unit} does the least-squares prediction of {to} change for each additional {one} of
        {of}?
    train/sd: By how many {to_unit} does the least-squares prediction of {to} change when {of} is one standard deviation
        larger?
    train/sd: On the least-squares line that predicts {to} from {of}, what change goes with one more standard deviation
        of {of}?
    test/slope: Which slope does least squares give with {to} as the response and {of} as the explanatory variable?
    test/slope: With {to} as the response, how much does its fitted value move per {one} of {of}?
    test/sd: How much does the fitted {to} move along the least-squares line when {of} goes up by one SD?
    test/sd: With {to} as the response, how much does its fitted value move per SD of {of}?
""")


@kind(2, ap="2.8")
def slope_from_summary(draw: Draw) -> Siblings:
    """The change in a least-squares prediction for one more unit, or one more SD, with either variable as the "
      "response."""
    r = draw.setting(RELATIONS)
    sx, b = draw.decimal((r.xs[1] - r.xs[0]) * 0.2, (r.xs[1] - r.xs[0]) * 0.32, 1), draw.decimal(*r.slope, 2)
    corr = Given(math.copysign(draw.decimal(0.45, 0.95, 2), b))
    sy = Given(round(b * sx / corr, 1))
    draw.need(min(sx, sy) > 0.5 and 0.06 < sy / sx < 16)
    stem = draw.ask(_STEM_SLOPE_FROM_SUMMARY, r=r, sx=sx, sy=sy, corr=corr)
    sides = ((r.y, r.y_unit, sy, "sy"), (r.x, r.x_unit, sx, "sx"))

    def make(turned: int, per_sd: int) -> Sibling:
        (to, to_unit, s_to, name_to), (of, of_unit, s_of, name_of) = sides[turned], sides[1 - turned]
        slope = corr * s_to / s_of
        value = corr * s_to if per_sd else slope
        one = single(of_unit)
        last = (f"`r * {name_to} = {corr} * {s_to} = {value:.3f}` {to_unit} per standard deviation" if per_sd else
                f"`r * {name_to} / {name_of} = {corr} * {s_to} / {s_of} = {value:.3f}` {to_unit} per {one}")
        steps = [
            f"[The response is {to}, and the explanatory variable is {of} // What is predicted is {to}, from "
            f"{of}].",
            f"The slope of the least-squares line is [r times the ratio of the SD of {to} to the SD of {of} // "
            f"`r * {name_to} / {name_of}`].",
            f"[So the prediction changes by // The change in the prediction is] {last}.",
        ]
        ask = draw.ask(_ASK_SLOPE_FROM_SUMMARY, ("slope", "sd")[per_sd], to=to, of=of, to_unit=to_unit, one=one)
        return Sibling(f"{'xy'[1 - turned]} as response, per {('unit', 'SD')[per_sd]}", f"{stem} {ask}", steps,
                       number(value, 3, tolerance=max(0.002, 0.005 * abs(value))),
                       "The slope is r times the SD of the response over the SD of the explanatory variable.")

    return square(
        make,
        ("exchanged the response and the explanatory variable", "exchanged the response and the explanatory variable"),
        ("gave the change for one more standard deviation", "gave the change for one more unit"),
        {"r": corr, "sx": sx, "sy": sy},
    )


_STEM_LINE_FROM_SUMMARY = wordings("""
    train: For {r.cases}, {r.x} has mean {mx} and standard deviation {sx} {r.x_unit}, {r.y} has mean {my} and standard
        deviation {sy} {r.y_unit}, and their correlation is {corr}. A first {r.one} has {r.x} {x1} and {r.y} {y1}, a
        second {x2} and {y2}.
    train: A study of {r.cases} reports a correlation of {corr} between {r.x} (mean {mx}, SD {sx}, in {r.x_unit}) and
        {r.y} (mean {my}, SD {sy}, in {r.y_unit}). Two of the points are ({x1}, {y1}), the first, and ({x2}, {y2}), the
        second.
    train: Summary statistics for {r.cases} are mean {mx}, SD {sx} for {r.x} ({r.x_unit}), mean {my}, SD {sy} for {r.y}
        ({r.y_unit}), and r = {corr}. In the data, the first {r.one} has values {x1} and {y1}, the second {x2} and {y2}.
    train: The {r.y} of {r.cases} (mean {my}, SD {sy} {r.y_unit}) has correlation {corr} with {r.x} (mean {mx}, SD {sx}
        {r.x_unit}). One {r.one}, the first, has {r.x} {x1} and {r.y} {y1}; another, the second, has {x2} and {y2}.
    test: Only summaries are left of the data on {r.cases}: x-bar = {mx}, sx = {sx} ({r.x}, {r.x_unit}), y-bar = {my},
        sy = {sy} ({r.y}, {r.y_unit}), r = {corr}. Two points are remembered, ({x1}, {y1}) as the first and ({x2}, {y2})
        as the second.
    test: Among {r.cases}, {r.x} averages {mx} and {r.y} averages {my}; the SDs are {sx} {r.x_unit} and {sy} {r.y_unit},
        and the two correlate at {corr}. Take {x1} and {y1} as the first {r.one}, {x2} and {y2} as the second.
    test: Someone notes y = {y1} at x = {x1} for a first {r.one} and y = {y2} at x = {x2} for a second. Here x is {r.x}
        (average {mx}, SD {sx} {r.x_unit}), y is {r.y} (average {my}, SD {sy} {r.y_unit}), and r = {corr} for all
        {r.cases}.
""")
_ASK_LINE_FROM_SUMMARY = wordings("""
    train/line: How far above (+) or below (-) the least-squares line is the {which} {r.one}, in {r.y_unit}?
    train/line: Find the residual of the {which} {r.one} from the least-squares line that predicts {r.y}.
    train/mean: How far above (+) or below (-) the mean {r.y} is the {which} {r.one}, in {r.y_unit}?
    train/mean: Find the deviation of the {which} {r.one} from the mean of {r.y}.
    test/line: By how much, and with which sign, does the {which} point deviate from the {r.y} that the fitted line
        gives?
    test/line: What is left of the {r.y} of the {which} {r.one} when the value predicted from {r.x} is subtracted?
    test/mean: By how much, and with which sign, does the {which} point deviate from the {r.y} averaged over all?
    test/mean: What is left of the {r.y} of the {which} {r.one} when the average of all {r.cases} is subtracted?
""")


@kind(3, ap="2.7, 2.8")
def line_from_summary(draw: Draw) -> Siblings:
    """The deviation of one of two points from the line that the summaries determine, or from the mean."""
    r = draw.setting(RELATIONS)
    width = r.xs[1] - r.xs[0]
    mx, sx = draw.decimal(r.xs[0] + 0.4 * width, r.xs[0] + 0.6 * width, 1), draw.decimal(0.2 * width, 0.32 * width, 1)
    b = draw.decimal(*r.slope, 2)
    corr = Given(math.copysign(draw.decimal(0.55, 0.95, 2), b))
    sy, my = Given(round(b * sx / corr, 1)), Given(round(sum(r.intercept) / 2 + b * mx, 1))
    slope, xs = corr * sy / sx, [draw.decimal(*r.xs, 0) for _ in "ab"]
    fits = [my + slope * (x - mx) for x in xs]
    ys = [Given(round(fit + draw.rng.gauss(0, 1) * r.noise[1], r.digits)) for fit in fits]
    draw.need(min(abs(x - mx) for x in xs) > 0.4 * sx and min(*ys, *fits) > 0 and xs[0] != xs[1])
    draw.need(min(abs(y - fit) for y, fit in zip(ys, fits, strict=True)) > 0.3 * r.noise[0])
    rate = f"({shown(slope)})" if slope < 0 else shown(slope)
    slack = 0.02 + 0.01 * max(abs(x - mx) for x in xs)
    points = {"x1": xs[0], "y1": ys[0], "x2": xs[1], "y2": ys[1]}
    stem = draw.ask(_STEM_LINE_FROM_SUMMARY, r=r, mx=mx, sx=sx, my=my, sy=sy, corr=corr, **points)

    def make(k: int, mean: int) -> Sibling:
        base = my if mean else fits[k]
        value = ys[k] - base
        first = (f"The mean {r.y} of all {r.cases} is {my} {r.y_unit}, and it does not depend on the {r.x} of the "
                 f"{ORDER[k]} {r.one}." if mean else
                 f"The slope is `r * sy / sx = {corr} * {sy} / {sx} = {shown(slope)}`, and the line passes through "
                 f"the point of "
                 f"means: at {r.x} {xs[k]} it predicts `{my} + {rate} * ({xs[k]} - {mx}) = {fixed(base, 2)}`.")
        steps = [
            first,
            f"[The deviation is // Its deviation is] `observed - {('predicted', 'mean')[mean]} = {ys[k]} - "
            f"{term(round(base, 2))} = {fixed(value, 2)}`.",
            f"[The {ORDER[k]} {r.one} is // So the {ORDER[k]} {r.one} is // With its {r.y}, the {ORDER[k]} {r.one} is] "
            f"{fixed(abs(value), 2)} {r.y_unit} {side(value)} the {('line', 'mean')[mean]}.",
        ]
        ask = draw.ask(_ASK_LINE_FROM_SUMMARY, ("line", "mean")[mean], r=r, which=ORDER[k])
        return Sibling(f"{ORDER[k]}, from the {('line', 'mean')[mean]}", f"{stem} {ask}", steps,
                       number(value, 2, r.y_unit, tolerance=slack),
                       "Slope `r * sy / sx` and the point of means fix the line; a residual is observed minus "
                       "predicted.")

    return square(
        make,
        _OTHER_CASE,
        ("subtracted the mean instead of the prediction", "subtracted the prediction instead of the mean"),
        {"mx": mx, "sx": sx, "my": my, "sy": sy, "r": corr, "xs": xs, "ys": ys},
    )
