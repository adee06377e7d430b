"""Tests for a slope."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._numerics import normal_cdf, t_upper_tail
from .._problem import (
    Draft,
    Wrong,
    number,
    probability,
    sig,
    single,
    term,
)
from .._settings import RELATIONS
from .._wording import wordings
from ._shared import _fit

# fmt: off


_ASK_SLOPE_T_STATISTIC = wordings("""
    train: A regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for {n} randomly chosen {r.cases} gives
        slope {b} with standard error {se}. Compute the t statistic for testing that the true slope is zero.
    train: A regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for {n} randomly chosen {r.cases} gives
        slope {b} with standard error {se}. What is the test statistic for the null hypothesis of zero slope?
    test: Among {n} {r.cases} picked at random, {r.y} ({r.y_unit}) is modeled as a line in {r.x} ({r.x_unit});
        the printout has {b} for the coefficient and {se} for its SE. What value of t results if the hypothesis
        of no linear relation is put to the test?
    test: An analyst doubts that {r.x} ({r.x_unit}) helps to predict {r.y} ({r.y_unit}). A fit to {n} {r.cases}
        drawn by lot has {b} as its slope (SE {se}). How large is t under the hypothesis that the population
        line is flat?
""")


@kind(1)
def slope_t_statistic(draw: Draw) -> Draft:
    """The t statistic of a slope against 0."""
    r = draw.setting(RELATIONS)
    n, b, se = _fit(draw, r)
    t = b / se
    return Draft(
        draw.ask(_ASK_SLOPE_T_STATISTIC, r=r, n=n, b=b, se=se),
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


_ASK_SLOPE_P_VALUE = wordings("""
    train: A regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for {n} randomly chosen {r.cases} gives
        slope {b} with standard error {se}. Find the p-value of the two-sided test that the true slope is zero.
    train: A regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for {n} randomly chosen {r.cases} gives
        slope {b} with standard error {se}. What is the p-value for the alternative that the true slope is not
        zero?
    test: Among {n} {r.cases} picked at random, {r.y} ({r.y_unit}) is modeled as a line in {r.x} ({r.x_unit});
        the printout has {b} for the coefficient and {se} for its SE. If {r.x} had no linear effect at all, how
        probable would a t at least this far from 0, in either direction, be?
    test: A reporter doubts that {r.x} ({r.x_unit}) helps to predict {r.y} ({r.y_unit}). A fit to {n} {r.cases}
        drawn by lot has {b} as its slope (SE {se}). Give the two-tailed p-value for the hypothesis that the
        population line is flat.
""")


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
        draw.ask(_ASK_SLOPE_P_VALUE, r=r, n=n, b=b, se=se),
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


_ASK_ONE_SIDED_SLOPE_TEST = wordings("""
    train: A regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for {n} randomly chosen {r.cases} gives
        slope {b} with standard error {se}. An older study states a slope of {null}. Find the p-value of a test
        of whether the true slope is {side} {null}.
    train: For {n} randomly chosen {r.cases}, the least-squares slope of {r.y} ({r.y_unit}) on {r.x}
        ({r.x_unit}) is {b}, with standard error {se}. What is the p-value for the null hypothesis that the true
        slope is {null} against the alternative that it is {side} {null}?
    test: By a rule of thumb, {r.y} changes by {null} {r.y_unit} per {x_one} of {r.x}. A fit to {n} {r.cases}
        drawn by lot has the coefficient {b} (SE {se}), which suggests a value {side} the rule. How strong is
        this evidence, as a one-tailed p-value?
    test: Let H0 say that the coefficient of {r.x} ({r.x_unit}) in a line for {r.y} ({r.y_unit}) equals {null},
        and Ha that it is {side} this. Data on {n} {r.cases} picked by chance have {b} for it, SE {se}. Turn
        them into a p-value.
""")


@kind(3)
def one_sided_slope_test(draw: Draw) -> Draft:
    """The one-sided p-value of a slope against a value other than zero."""
    r = draw.setting(RELATIONS)
    n, b = draw.integer(10, 45), draw.decimal(*r.slope, 3)
    null = Given(round(b * draw.decimal(0.6, 1.4, 2), 1 if abs(b) > 3 else 2))
    se = Given(round(abs(b - null) / draw.decimal(0.7, 3.2, 2), 3))
    draw.need(se > 0.004 and abs(b - null) > 0.01)
    t = (b - null) / se
    tail = t_upper_tail(abs(t), n - 2)
    draw.need(0.002 < tail < 0.3)
    side = "above" if t > 0 else "below"
    score = f"t = ({b} - {term(null)}) / {se} = {t:.2f}, with n - 2 = {n - 2} degrees of freedom."
    off, flat = t_upper_tail(abs(t), n - 1), normal_cdf(-abs(t))
    zero = t_upper_tail(abs(b / se), n - 2)
    return Draft(
        draw.ask(_ASK_ONE_SIDED_SLOPE_TEST, r=r, n=n, b=b, se=se, null=null, side=side, x_one=single(r.x_unit)),
        [score, f"The alternative is one-sided, so the p-value is the area {side} {t:.2f}, which is {tail:.4f}."],
        probability(tail, 4, 0.001),
        [
            Wrong(probability(2 * tail, 4, 0.001), "doubled the p-value of a one-sided test",
                  [score, f"Both tails together have area 2 * {tail:.4f} = {2 * tail:.4f}."]),
            Wrong(probability(1 - tail, 4, 0.001), "gave the area that is not in the tail",
                  [score, f"The area {'below' if t > 0 else 'above'} {t:.2f} is {1 - tail:.4f}."]),
            Wrong(probability(zero, 4, 0.001), "tested against a slope of zero instead of the stated one",
                  [f"t = {b} / {se} = {b / se:.2f}, with n - 2 = {n - 2} degrees of freedom.",
                   f"The tail beyond it has area {zero:.4f}."]),
            Wrong(probability(flat, 4, 0.001), "used the normal distribution instead of t",
                  [f"z = ({b} - {term(null)}) / {se} = {t:.2f}.", f"The tail beyond it has area {flat:.4f}."]),
            Wrong(probability(off, 4, 0.001), "used n - 1 degrees of freedom instead of n - 2"),
            Wrong(probability(0.5 - tail, 4, 0.001), "gave the area between the center and t"),
        ],
        "A slope is tested by its distance from the null value in standard errors, with n - 2 degrees of freedom.",
        {"slope": b, "null": null, "se": se, "n": n},
    )
