"""Inference for the slope of a regression line."""

from __future__ import annotations

import math

from ._draw import Draw, Given, kind
from ._numerics import normal_quantile, t_quantile, t_upper_tail
from ._problem import Draft, Wrong, fixed, interval, number, probability, sig, single, term, words
from ._settings import RELATIONS, Relation

# fmt: off


def _fit(draw: Draw, r: Relation) -> tuple[int, Given, Given]:
    """A sample size, a slope and its standard error, as a computer prints them."""
    n, b = draw.integer(10, 45), draw.decimal(*r.slope, 3)
    return n, b, Given(round(abs(b) / draw.decimal(1.2, 5.5, 2), 3))


def _output(r: Relation, n: int, b: float, se: float) -> str:
    return (f"A regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for {n} randomly chosen {r.cases} "
            f"gives slope {b} with standard error {se}. ")


@kind(1)
def slope_t_statistic(draw: Draw) -> Draft:
    """The t statistic of a slope against 0."""
    r = draw.setting(RELATIONS)
    n, b, se = _fit(draw, r)
    t = b / se
    return Draft(
        _output(r, n, b, se) + draw.wording("Compute the t statistic for testing that the true slope is "
                                            "zero.", "What is the test statistic for the null hypothesis of "
                                                     "zero slope?"),
        ["The statistic is the slope minus its null value, over its standard error.",
         f"t = ({b} - 0) / {se} = {t:.2f}."],
        number(t, 2, tolerance=0.02),
        [
            Wrong(number(se / b, 2), "divided the standard error by the slope",
                  ["The statistic compares the standard error with the slope.",
                   f"t = {se} / {term(b)} = {se / b:.2f}."]),
            Wrong(number(b / (se / math.sqrt(n)), 2), "divided the standard error by the root of n once more",
                  [f"The standard error of the slope is {se} / sqrt({n}) = {sig(se / math.sqrt(n))}.",
                   f"t = {b} / {sig(se / math.sqrt(n))} = {b * math.sqrt(n) / se:.2f}."]),
            Wrong(number(b * se, 2), "multiplied the slope by its standard error",
                  ["The slope is weighted with its standard error.", f"t = {b} * {se} = {b * se:.2f}."]),
            Wrong(number(-t, 2), "lost the sign of the slope"),
            Wrong(number((b - 1) / se, 2), "tested against a slope of 1 instead of 0"),
        ],
        "The printed standard error already belongs to the slope; t is the slope divided by it.",
        {"slope": b, "se": se, "n": n},
    )


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
        _output(r, n, b, se) + draw.wording(f"Construct a {level}% confidence interval for the true slope.",
                                            f"What is the {level}% confidence interval for the slope of the "
                                            "population line?"),
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


@kind(3)
def slope_p_value(draw: Draw) -> Draft:
    """The two-sided p-value for a slope."""
    r = draw.setting(RELATIONS)
    n, b, se = _fit(draw, r)
    t = b / se
    tail = t_upper_tail(abs(t), n - 2)
    right = 2 * tail
    draw.need(right > 0.001)
    start = ([f"t = {b} / {se} = {t:.2f}, with n - 2 = {n - 2} degrees of freedom.",
              f"The tail beyond {abs(t):.2f} has area {tail:.5f}."])
    off = 2 * t_upper_tail(abs(t), n - 1)
    scaled = t_upper_tail(abs(t) / math.sqrt(n), n - 2) * 2
    return Draft(
        _output(r, n, b, se) + draw.wording("Find the p-value of the two-sided test that the true slope is "
                                            "zero.", "What is the p-value for the alternative that the true "
                                                     "slope is not zero?"),
        [*start, f"The p-value is 2 * {tail:.5f} = {right:.4f}."],
        probability(right, 4, 0.001),
        [
            Wrong(probability(tail, 4, 0.001), "gave a one-sided p-value for a two-sided test",
                  [*start, "This tail area is the p-value."]),
            Wrong(probability(1 - right, 4, 0.001), "gave the area that is not in the tails",
                  [*start, f"The p-value is 1 - 2 * {tail:.5f} = {1 - right:.4f}."]),
            Wrong(probability(off, 4, 0.001), "used n - 1 degrees of freedom instead of n - 2"),
            Wrong(probability(scaled, 4, 0.001), "divided t by the root of n",
                  [f"t = {b} / ({se} * sqrt({n})) = {t / math.sqrt(n):.2f}, with {n - 2} degrees of "
                   "freedom.", f"Both tails together have area {scaled:.4f}, which is the p-value."]),
            Wrong(probability(0.5 - tail, 4, 0.001), "gave the area between the center and t"),
        ],
        "The slope's t statistic has n - 2 degrees of freedom, and a two-sided test counts both tails.",
        {"slope": b, "se": se, "n": n},
    )


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
        draw.wording(
            f"For {n} {r.cases}, {r.y} is regressed on {r.x}. The standard deviation of the residuals is {s} "
            f"{r.y_unit} and that of {r.x} is {sx} {r.x_unit}. What is the standard error of the slope?",
            f"A least-squares line predicts {r.y} from {r.x} for {n} {r.cases}, with residual standard "
            f"deviation s = {s} {r.y_unit} and sx = {sx} {r.x_unit}. Find the standard error of the slope.",
        ),
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
        f"From {n} randomly chosen {r.cases}, a 95% confidence interval for the slope of the line that "
        f"predicts {r.y} from {r.x} is ({low}, {high}). "
        + draw.wording("What does it say about a linear relation, at the 5% level?",
                       "What can be concluded about a linear relation (alpha = 0.05)?"),
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
