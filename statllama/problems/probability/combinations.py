"""Sums, differences and multiples of independent random variables."""

from __future__ import annotations

import math

from .._draw import Draw, kind
from .._numerics import normal_cdf
from .._problem import number, plain, probability, sig, term
from .._settings_probability import PIECES
from .._siblings import Sibling, Siblings, square
from .._wording import wordings

# fmt: off


_STEM_SPREAD_OF_SUM = wordings("""
    train: Let X be {p.first} and Y be {p.second}, both in {p.unit}. The standard deviation of X is {sd1}, the standard
        deviation of Y is {sd2}, and all observations are independent.
    train: {p.first!c} (X) has standard deviation {sd1} {p.unit}, and {p.second} (Y) has standard deviation {sd2}
        {p.unit}. All observations of X and Y are independent.
    train: The random variables X, {p.first}, and Y, {p.second}, have means {mean1} and {mean2} and standard deviations
        {sd1} and {sd2} {p.unit}. Assume that all observations are independent.
    train: Suppose that {p.first}, X, varies with a standard deviation of {sd1} {p.unit} about its mean of {mean1}, and
        that {p.second}, Y, varies with a standard deviation of {sd2} about {mean2}. Observations are independent.
    test: For {p.first} (X, in {p.unit}), sigma is {sd1}; for {p.second} (Y), sigma is {sd2}. All are independent.
    test: {p.first!c}, X, has mean {mean1} {p.unit} and SD {sd1}; {p.second}, Y, has mean {mean2} {p.unit} and SD
        {sd2}. No value depends on another.
    test: Write X for {p.first} and Y for {p.second}. Their variances are {var1} and {var2} (unit: square of {p.unit}),
        and all values are independent.
""")
_ASK_SPREAD_OF_SUM = wordings("""
    train: What is the standard deviation of {form}?
    train: Find the standard deviation of W = {form}.
    test: Compute sigma, in {p.unit}, for the quantity {form}.
    test: In {p.unit}, how large is the standard deviation of {form}?
""")


@kind(2, ap="4.9")
def spread_of_sum(draw: Draw) -> Siblings:
    """The standard deviation of a sum or difference in which one variable is doubled or observed twice."""
    p = draw.setting(PIECES)
    sds = (draw.decimal(*p.sd, 1), draw.decimal(*p.sd, 1))
    mean1, mean2 = draw.decimal(*p.mean, 0), draw.decimal(*p.mean, 0)
    draw.need(abs(sds[0] - sds[1]) >= 0.2 and max(sds) * 4 < min(mean1, mean2))
    sign = draw.choice("+-")
    stem = draw.ask(_STEM_SPREAD_OF_SUM, p=p, sd1=sds[0], sd2=sds[1], mean1=mean1, mean2=mean2,
                    var1=plain(sds[0] ** 2), var2=plain(sds[1] ** 2))

    def make(twice: int, b: int) -> Sibling:
        name = "XY"[b]
        double = f"({name}1 + {name}2)" if twice else f"2{name}"
        form = f"X {sign} {double}" if b else f"{double} {sign} Y"
        pair = f"{name}1 and {name}2"
        note = {
            "train": f", where {pair} are two observations of {(p.first, p.second)[b]}",
            "test": f" if {pair} stand for two separate values of {name}",
        }[draw.split] if twice else ""
        factor, own, other = ("2", "2^2")[not twice], sds[b], sds[1 - b]
        variance = (2 if twice else 4) * own**2 + other**2
        doubled = f"{factor} * {own}^2"
        total = f"{other}^2 + {doubled}" if b else f"{doubled} + {other}^2"
        steps = [
            "[For independent variables the variances add, whether the variables are added or subtracted // X and Y "
            "are independent, so variances add, for sums and for differences alike].",
            f"[Two observations of {name} contribute // The two observations are independent, so together they give] "
            f"2 Var({name})." if twice
            else f"[Doubling {name} multiplies // A factor of 2 in front of {name} multiplies] its variance by `2^2`.",
            f"[The variance of `{form}` is // So the variance of `{form}` is] `{total} = {plain(variance)}`[, so // "
            f", and] the standard deviation is `sqrt({plain(variance)}) = {math.sqrt(variance):.3f}` {p.unit}.",
        ]
        ask = draw.ask(_ASK_SPREAD_OF_SUM, p=p, form=form + note)
        return Sibling(form, f"{stem} {ask}", steps, number(math.sqrt(variance), 3, p.unit, tolerance=0.01),
                       "`2X` has variance `4 Var(X)`, but the sum of two observations has variance 2 Var(X).")

    return square(
        make,
        ("treated one doubled value as the sum of two observations", "treated two observations as one doubled value"),
        ("exchanged X and Y",) * 2,
        {"sds": sds, "sign": sign},
    )


_STEM_NORMAL_SUM = wordings("""
    train: {p.first!c} is normal with mean {mean1} and standard deviation {sd1} {p.unit}; {p.second} is normal with
        mean {mean2} and standard deviation {sd2} {p.unit}. The two are independent.
    train: Two independent normal variables are {p.first} (mean {mean1}, standard deviation {sd1}, in {p.unit}) and
        {p.second} (mean {mean2}, standard deviation {sd2}).
    train: Suppose that {p.first}, X, and {p.second}, Y, are independent and normally distributed. In {p.unit}, X has
        mean {mean1} and standard deviation {sd1}, and Y has mean {mean2} and standard deviation {sd2}.
    train: Independently of one another, {p.first} follows a normal distribution with mean {mean1} {p.unit} and
        standard deviation {sd1} {p.unit}, and {p.second} one with mean {mean2} {p.unit} and standard deviation {sd2}
        {p.unit}.
    test: Normal models fit {p.first} (mean {mean1}, SD {sd1} {p.unit}) and {p.second} (mean {mean2}, SD {sd2}). Assume
        independence.
    test: {p.first!c} and {p.second} are normal and do not affect each other. They have means {mean1} and {mean2}
        {p.unit} and SDs {sd1} and {sd2}.
    test: How do {p.first} and {p.second} combine? Both vary normally and independently, the former around {mean1}
        {p.unit} with an SD of {sd1}, the latter around {mean2} with an SD of {sd2}.
""")
_ASK_NORMAL_SUM = wordings("""
    train/sum: What is the probability that {p.total}, the sum of the two, is {side} than {cut} {p.unit}?
    train/sum: Find the probability that {p.total}, of both parts together, is {side} than {cut} {p.unit}.
    train/gap: What is the probability that {p.first} minus {p.second} is {side} than {cut} {p.unit}?
    train/gap: Take X to be {p.first} and Y to be {p.second}, in {p.unit}, and find P(X - Y {sign} {cut}).
    test/sum: What proportion of the time is {p.total} (the sum of the two) {side} than {cut} {p.unit}?
    test/sum: Write T for {p.total}, the sum of the two, and compute P(T {sign} {cut}).
    test/gap: What proportion of the time is {p.first} minus {p.second} {side} than {cut} {p.unit}?
    test/gap: Write D for {p.first} minus {p.second} and compute P(D {sign} {cut}).
""")


@kind(3, ap="4.9, 5.2")
def normal_sum(draw: Draw) -> Siblings:
    """P(sum or difference of two independent normal variables above or below a value)."""
    p = draw.setting(PIECES)
    means = (draw.decimal(*p.mean, 0), draw.decimal(*p.mean, 0))
    sds = (draw.decimal(*p.sd, 1), draw.decimal(*p.sd, 1))
    sd = math.hypot(*sds)
    centers = (means[0] + means[1], means[0] - means[1])
    cuts = tuple(draw.decimal(center - 2.2 * sd, center + 2.2 * sd, 1) for center in centers)
    scores = [(cut - center) / sd for cut, center in zip(cuts, centers, strict=True)]
    draw.need(max(sds) * 4 < min(means) and all(abs(z) > 0.2 for z in scores) and abs(centers[1]) > 0.5)
    stem = draw.ask(_STEM_NORMAL_SUM, p=p, mean1=means[0], sd1=sds[0], mean2=means[1], sd2=sds[1])

    def make(gap: int, below: int) -> Sibling:
        cut, center, z = cuts[gap], centers[gap], scores[gap]
        value = normal_cdf(z if below else -z)
        name, side = ("T", "D")[gap], ("above", "below")[below]
        steps = [
            f"Let {name} be " + (f"{p.first} minus {p.second}." if gap else f"{p.total}.")
            + " It is normal, [as // because] its two parts are normal and independent.",
            f"Its mean is `{means[0]} {'+-'[gap]} {means[1]} = {plain(center)}` and its standard deviation[, as "
            f"variances add, // ] is `sqrt({sds[0]}^2 + {sds[1]}^2) = {sig(sd)}` {p.unit}.",
            f"[Standardizing, // The z-score is // For {cut} {p.unit},] `z = ({cut} - {term(center)}) / {sig(sd)} = "
            f"{z:.2f}`, and the area {side} it is {value:.4f}.",
        ]
        ask = draw.ask(_ASK_NORMAL_SUM, ("sum", "gap")[gap], p=p, cut=cut, side=("greater", "less")[below],
                       sign="><"[below])
        return Sibling(f"{('sum', 'difference')[gap]}, {side}", f"{stem} {ask}", steps, probability(value),
                       "For independent normal variables, variances add for a sum and for a difference.")

    return square(
        make,
        ("worked with the difference instead of the total", "worked with the total instead of the difference"),
        ("gave the area below the value instead of above it", "gave the area above the value instead of below it"),
        {"means": means, "sds": sds, "cuts": cuts},
    )
