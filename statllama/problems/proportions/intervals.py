"""Intervals for proportions, margins of error and sample sizes."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._numerics import normal_quantile
from .._problem import (
    Draft,
    Wrong,
    count,
    fixed,
    interval,
    number,
    plain,
    share_interval,
    sig,
)
from .._settings import SHARES
from .._wording import wordings
from ._shared import _sample

# fmt: off


_CRITICAL = {level: normal_quantile(0.5 + level / 200) for level in (90, 95, 99)}


_ASK_ONE_PROPORTION_INTERVAL = wordings("""
    train: In a random sample of {n} {s.who}, {x} {s.does}. Construct a {level}% confidence interval for the
        proportion of all the {s.many} {s.rel} {s.does}.
    train: Of {n} {s.many} sampled at random from {s.who}, {x} {s.does}. What is the {level}% confidence
        interval for the population proportion?
    test: In a draw by lot, {x} out of {n} {s.who} {s.does}. Which values of the true share are plausible, with
        {level}% confidence? Give the usual z interval.
    test: A student wants to know what fraction of {s.who} {s.does}. Chance picks {n} of them, and the count
        comes to {x}. Between which limits does the fraction lie, with {level}% confidence?
""")


@kind(2)
def one_proportion_interval(draw: Draw) -> Draft:
    """The large-sample interval for one proportion."""
    s = draw.setting(SHARES)
    n, x = _sample(draw, s, 80, 600)
    level = draw.confidence()
    z, p = _CRITICAL[level], x / n
    se = math.sqrt(p * (1 - p) / n)
    start = f"The sample proportion is {x} / {n} = {p:.4f}."
    error = f"Its standard error is sqrt({p:.4f} * {1 - p:.4f} / {n}) = {sig(se)}."

    def work(critical: float, spread: float, how: str) -> list[str]:
        return ([start, how, f"The interval is {p:.4f} +/- {critical:.3f} * {sig(spread)}, that is {p:.4f} "
                             f"+/- {sig(critical * spread)}."])

    def limits(critical: float, spread: float) -> tuple[float, float]:
        return p - critical * spread, p + critical * spread

    other = {90: 95, 95: 90, 99: 95}[level]
    wide = math.sqrt(p * (1 - p) / (n / 4))
    return Draft(
        draw.ask(_ASK_ONE_PROPORTION_INTERVAL, s=s, n=n, x=x, level=level),
        work(z, se, error),
        share_interval(*limits(z, se)),
        [
            Wrong(share_interval(*limits(_CRITICAL[other], se)),
                  f"used the critical value for {other}% confidence", work(_CRITICAL[other], se, error)),
            Wrong(share_interval(*limits(1.0, se)),
                  "went one standard error to each side and left out the critical value",
                  work(1.0, se, error)),
            Wrong(share_interval(*limits(z, wide / 4)), "halved the standard error"),
            Wrong(share_interval(*limits(z, p * (1 - p) / math.sqrt(n))),
                  "left out the square root over p(1 - p)",
                  work(z, p * (1 - p) / math.sqrt(n),
                       f"Its standard error is {p:.4f} * {1 - p:.4f} / sqrt({n}) = "
                       f"{sig(p * (1 - p) / math.sqrt(n))}.")),
            Wrong(share_interval(1 - p - z * se, 1 - p + z * se), "worked with the proportion of failures"),
        ],
        "A confidence interval is the estimate plus or minus a critical value times the standard error.",
        {"x": x, "n": n, "confidence": level},
    )


_ASK_MARGIN_FROM_INTERVAL = wordings("""
    train: A {level}% confidence interval for the proportion of {s.who} {s.rel} {s.does} is ({low}, {high}).
        What is its margin of error?
    train: From a random sample, the proportion of {s.who} {s.rel} {s.does} is estimated to lie between {low}
        and {high}, with {level}% confidence. Find the margin of error.
    test: "Between {low} and {high} ({level}% confidence)" is how a report states the share of {s.who} {s.rel}
        {s.does}. Rewritten as an estimate plus or minus something, what is the something?
    test: How far to either side of the estimate does an interval reach that puts the share of {s.who} {s.rel}
        {s.does} from {low} up to {high} at {level}% confidence?
""")


@kind(1)
def margin_from_interval(draw: Draw) -> Draft:
    """The margin of error of a given interval."""
    s = draw.setting(SHARES)
    level, center = draw.confidence(), draw.decimal(*s.p, 3)
    margin = draw.decimal(0.015, 0.07, 3)
    low, high = fixed(center - margin, 3), fixed(center + margin, 3)
    width = float(high) - float(low)
    middle = (float(high) + float(low)) / 2
    return Draft(
        draw.ask(_ASK_MARGIN_FROM_INTERVAL, s=s, level=level, low=low, high=high),
        [f"The interval is {high} - {low} = {plain(width)} wide.",
         f"The margin of error is half of that: {plain(width)} / 2 = {width / 2:.4f}."],
        number(width / 2, 4, tolerance=0.0005),
        [
            Wrong(number(width, 4), "gave the whole width of the interval",
                  ["The margin of error is the distance from one end to the other.",
                   f"That is {high} - {low} = {width:.4f}."]),
            Wrong(number(middle, 4), "gave the estimate in the middle of the interval",
                  ["The margin of error is found halfway between the ends.",
                   f"That is ({low} + {high}) / 2 = {middle:.4f}."]),
            Wrong(number(float(high) / 2, 4), "halved the upper end instead of the width"),
            Wrong(number(1 - level / 100, 4), "took the margin of error for one minus the confidence level",
                  [f"The confidence level is {level}%.",
                   f"The margin of error is what is left: 1 - {plain(level / 100)} = {1 - level / 100:.4f}."]),
            Wrong(number(width / 4, 4), "halved the width twice"),
        ],
        "The margin of error is half the width of a confidence interval.",
        {"low": float(low), "high": float(high), "confidence": level},
    )


_ASK_SAMPLE_SIZE_FOR_MARGIN = wordings("""
    train: A researcher wants to estimate the proportion of {s.who} {s.rel} {s.does}, with {level}% confidence
        and a margin of error of at most {m}. {known_text} How large a random sample is needed?
    train: A survey is to estimate the proportion of {s.who} {s.rel} {s.does} to within {m}, with {level}%
        confidence. {known_text} What is the smallest sample size that will do?
    test: Nobody wants to examine more {s.many} than necessary. How many, drawn by lot, suffice for a {level}%
        interval no wider than plus or minus {m} around the share of {s.who} {s.rel} {s.does}? {known_text}
    test: At {level}% confidence the error in the estimated share of {s.who} {s.rel} {s.does} is not to exceed
        {m}. {known_text} Find the least n.
""")


@kind(2)
def sample_size_for_margin(draw: Draw) -> Draft:
    """The sample size for a wanted margin of error."""
    s = draw.setting(SHARES)
    level, margin = draw.confidence(), draw.decimal(2, 6, 1) / 100
    known = draw.choice((True, False))
    guess = draw.decimal(*s.p, 2) if known else Given(0.5)
    draw.need(not known or abs(guess - 0.5) > 0.06)
    z = _CRITICAL[level]
    exact = guess * (1 - guess) * (z / margin) ** 2
    right = math.ceil(exact)
    draw.need(0.05 < exact % 1 < 0.95)
    m = plain(margin)

    def work(p: float, critical: float, size: float, last: str) -> list[str]:
        return [f"n = {plain(p)} * {plain(1 - p)} * ({critical:.3f} / {m})^2 = {size:.1f}.", last]

    other = 0.25 * (z / margin) ** 2 if known else 0.5 * (z / margin) ** 2
    known_text = (f"An earlier study found that about {guess * 100:g}% of them {s.does}." if known
                  else "No earlier estimate is available.")
    return Draft(
        draw.ask(_ASK_SAMPLE_SIZE_FOR_MARGIN, s=s, level=level, m=m, known_text=known_text),
        work(guess, z, exact, f"Rounding up gives {right}."),
        count(right, s.many),
        [
            Wrong(count(right - 1, s.many), "rounded down, which leaves the margin too wide",
                  work(guess, z, exact, f"The whole part is {right - 1}.")),
            Wrong(count(math.ceil(other), s.many),
                  "used 0.5 although an earlier estimate is given" if known else "used p = 0.5 without 1 - p",
                  work(0.5, z, other, f"Rounding up gives {math.ceil(other)}.") if known else ()),
            Wrong(count(math.ceil(guess * (1 - guess) * z / margin), s.many),
                  "forgot to square the ratio of critical value and margin",
                  [f"n = {guess} * {plain(1 - guess)} * {z:.3f} / {m} = "
                   f"{guess * (1 - guess) * z / margin:.1f}.",
                   f"Rounding up gives {math.ceil(guess * (1 - guess) * z / margin)}."]),
            Wrong(count(math.ceil(guess * (1 - guess) / margin**2), s.many), "left out the critical value",
                  [f"n = {guess} * {plain(1 - guess)} / {m}^2 = {guess * (1 - guess) / margin**2:.1f}.",
                   f"Rounding up gives {math.ceil(guess * (1 - guess) / margin**2)}."]),
            Wrong(count(math.ceil(4 * exact), s.many), "halved the margin, as if it were the whole width"),
        ],
        "A sample size is rounded up, and 0.5 is used for p when nothing is known.",
        {"guess": guess, "margin": margin, "confidence": level},
    )


_ASK_TWO_PROPORTION_INTERVAL = wordings("""
    test: By how much do the shares of {s.who} {s.rel} {s.does} differ between spring and autumn? Draws by lot
        found {x1} out of {n1} in spring and {x2} out of {n2} in autumn. Give the {level}% confidence limits for
        spring less autumn.
    test: Chance picks {n1} {s.who} in the north, of which {x1} {s.does}, and {n2} in the south, of which {x2}
        do. Between which limits does the true difference, north less south, lie with {level}% confidence?
""")


@kind(3, held_out=True)
def two_proportion_interval(draw: Draw) -> Draft:
    """The large-sample interval for a difference of proportions."""
    s = draw.setting(SHARES)
    (n1, x1), (n2, x2) = _sample(draw, s, 80, 400), _sample(draw, s, 80, 400)
    level = draw.confidence()
    z, p1, p2 = _CRITICAL[level], x1 / n1, x2 / n2
    se1, se2 = math.sqrt(p1 * (1 - p1) / n1), math.sqrt(p2 * (1 - p2) / n2)
    se, gap = math.hypot(se1, se2), p1 - p2
    other = {90: 95, 95: 90, 99: 95}[level]
    shares = (f"The sample proportions are {x1} / {n1} = {p1:.4f} and {x2} / {n2} = {p2:.4f}, with difference "
              f"{gap:.4f}.")
    error = (f"Its standard error is sqrt({p1:.4f} * {1 - p1:.4f} / {n1} + {p2:.4f} * {1 - p2:.4f} / {n2}) = "
             f"{sig(se)}.")

    def option(center: float, critical: float, spread: float, slip: str, how: str = "") -> Wrong:
        steps = [shares, how, f"The interval is {center:.4f} +/- {critical:.3f} * {sig(spread)}, that is {center:.4f} "
                              f"+/- {sig(critical * spread)}."] if how else []
        return Wrong(interval(center - critical * spread, center + critical * spread, 3), slip, steps)

    joint = math.sqrt((x1 + x2) / (n1 + n2) * (1 - (x1 + x2) / (n1 + n2)) / (n1 + n2))
    right = option(gap, z, se, "", error)
    return Draft(
        draw.ask(_ASK_TWO_PROPORTION_INTERVAL, s=s, n1=n1, x1=x1, n2=n2, x2=x2, level=level),
        right.steps,
        right.answer,
        [
            option(gap, _CRITICAL[other], se, f"used the critical value for {other}% confidence", error),
            option(gap, z, se1 + se2, "added the standard errors instead of the variances",
                   f"The standard errors {sig(se1)} and {sig(se2)} add up to {sig(se1 + se2)}."),
            option(gap, z, joint, "treated the two samples as one sample of their total size",
                   f"The pooled sample has size {n1 + n2}, and its proportion has standard error {sig(joint)}."),
            option(-gap, z, se, "subtracted in the wrong order"),
            option(gap, 1.0, se, "left out the critical value"),
        ],
        "The standard error of a difference of proportions is the root of the sum of the two squared ones, unpooled.",
        {"x1": x1, "n1": n1, "x2": x2, "n2": n2, "confidence": level},
    )
