"""Position in a distribution: z-scores, percentiles and the normal model."""

from __future__ import annotations

import math

from .._draw import Draw, kind
from .._numerics import normal_cdf, normal_quantile
from .._problem import (
    Draft,
    Wrong,
    number,
    plain,
    probability,
    sig,
    words,
)
from .._scenarios import (
    TALLIES,
)
from .._settings import MEASURES
from .._stories import CONTESTS
from .._wording import wordings
from ._shared import _center_and_spread

# fmt: off


_ASK_Z_SCORE = wordings("""
    train: The {m.thing} of {m.who} has mean {mean} {m.unit} and standard deviation {sd} {m.unit}. One {m.one}
        has {m.thing!a} of {x} {m.unit}. What is the z-score of this {m.one}?
    train: For {m.who}, the mean {m.thing} is {mean} {m.unit} with a standard deviation of {sd} {m.unit}. Find
        the standardized score of {m.thing!a} of {x} {m.unit}.
    train: Records of {m.who} show a mean {m.thing} of {mean} {m.unit} and a standard deviation of {sd}
        {m.unit}. What z-score belongs to {m.one!a} with {m.thing!a} of {x} {m.unit}?
    test: {m.one!A} picked by chance turns out at {x} {m.unit}. How many standard deviations above (+) or below
        (-) the mean is that, when {m.who} average {mean} with an SD of {sd} in {m.thing}?
    test: Suppose an SD of {sd} and a mean of {mean} ({m.unit}) sum up how {m.thing} varies among {m.who}.
        Convert the value {x} into a z-score.
""")


@kind(1)
def z_score(draw: Draw) -> Draft:
    """The standardised score of one value."""
    m = draw.setting(MEASURES)
    mean, sd = _center_and_spread(draw, m)
    x = draw.decimal(mean - 2.8 * sd, mean + 2.8 * sd, m.digits)
    draw.need(abs(x - mean) > 0.3 * sd)
    z = (x - mean) / sd
    question = draw.ask(_ASK_Z_SCORE, m=m, mean=mean, sd=sd, x=x)
    side = "above" if z > 0 else "below"
    rule = "The z-score counts standard deviations from the mean: z = (value - mean) / standard deviation."
    return Draft(
        question,
        [rule, f"z = ({x} - {mean}) / {sd} = {plain(x - mean)} / {sd} = {z:.2f}.",
         f"The value lies {abs(z):.2f} standard deviations {side} the mean."],
        number(z, 2),
        [
            Wrong(number(-z, 2), "subtracted the value from the mean, which turns the sign around",
                  ["The z-score counts standard deviations from the mean.",
                   f"z = ({mean} - {x}) / {sd} = {plain(mean - x)} / {sd} = {-z:.2f}.",
                   f"The value lies {abs(z):.2f} standard deviations from the mean."]),
            Wrong(number((x - mean) / sd**2, 2), "divided by the variance instead of the standard deviation",
                  ["The z-score compares the distance from the mean with the spread of the data.",
                   f"The spread is {sd}^2 = {sig(sd**2)}.",
                   f"z = ({x} - {mean}) / {sig(sd**2)} = {(x - mean) / sd**2:.2f}."]),
            Wrong(number(x - mean, 2), "stopped at the distance from the mean and did not divide by the "
                                       "standard deviation"),
            Wrong(number(x / sd, 2), "divided the value itself by the standard deviation without subtracting "
                                     "the mean"),
        ],
        "A z-score is a signed distance from the mean, measured in standard deviations.",
        {"mean": mean, "sd": sd, "x": x},
    )


_ASK_COMPARE_Z_SCORES = wordings("""
    train: {c.who} gets {x1} {c.unit} in {first} and {x2} {c.unit} in {second}. The results of all participants
        have mean {m1} and standard deviation {s1} in {first}, and mean {m2} and standard deviation {s2} in
        {second}. Relative to the others, in which of the two is the result better?
    train: In {first}, all results have mean {m1} and standard deviation {s1}; in {second}, mean {m2} and
        standard deviation {s2}. {c.who} gets {x1} {c.unit} in the former and {x2} {c.unit} in the latter. Which
        result stands out more among its kind?
    test: Which is the greater feat for its field: {x1} {c.unit} in {first}, where the average was {m1} with an
        SD of {s1}, or {x2} {c.unit} in {second}, where it was {m2} with an SD of {s2}? {c.who} achieved both.
    test: {c.who} comes home with {x1} {c.unit} from {first} (field average {m1}, SD {s1}) and {x2} {c.unit}
        from {second} (field average {m2}, SD {s2}). Allowing for how each field did, where was the showing
        stronger?
""")


@kind(2)
def compare_z_scores(draw: Draw) -> Draft:
    """Which of two results is better relative to its own distribution."""
    c = draw.setting(CONTESTS)
    m1, m2 = sorted(draw.integer(*c.mean) for _ in range(2))
    s1, s2 = sorted(draw.decimal(*c.sd, 1) for _ in range(2))
    x1, x2 = round(m1 + draw.decimal(0.6, 2.4, 2) * s1), round(m2 + draw.decimal(0.3, 2.0, 2) * s2)
    d1, d2, z1, z2 = x1 - m1, x2 - m2, (x1 - m1) / s1, (x2 - m2) / s2
    draw.need(z1 > z2 + 0.25 and d2 > d1 + 1 and x2 > x1 and m1 < m2 and min(d1, d2) > 1)
    better, other = (c.first, c.second) if draw.choice((True, False)) else (c.second, c.first)
    asked = (better, x1, m1, s1, other, x2, m2, s2)
    if better == c.second:
        asked = (other, x2, m2, s2, better, x1, m1, s1)
    fields = dict(zip(("first", "x1", "m1", "s1", "second", "x2", "m2", "s2"), asked, strict=True))
    off1, off2 = d1 / s2, d2 / s1
    return Draft(
        draw.ask(_ASK_COMPARE_Z_SCORES, c=c, **fields),
        [f"In {better}, z = ({x1} - {m1}) / {s1} = {z1:.2f}.",
         f"In {other}, z = ({x2} - {m2}) / {s2} = {z2:.2f}.",
         "The larger z-score is the better result relative to the others."],
        words(f"In {better}: {z1:.2f} standard deviations above its mean, against {z2:.2f} in {other}."),
        [
            Wrong(words(f"In {other}: {d2} {c.unit} above its mean, against {d1} {c.unit} in {better}."),
                  "compared distances from the mean without dividing by the standard deviations",
                  [f"In {better}, the result is {x1} - {m1} = {d1} {c.unit} above the mean.",
                   f"In {other}, it is {x2} - {m2} = {d2} {c.unit} above the mean.",
                   "The larger distance is the better result."]),
            Wrong(words(f"In {other}: the result of {x2} {c.unit} there is higher than the {x1} in {better}."),
                  "compared the raw results, although the two have different means and spreads",
                  [f"The result in {other} is {x2} {c.unit}, and in {better} it is {x1} {c.unit}.",
                   "The higher of the two is the better result."]),
            Wrong(words(f"In {other}: {off2:.2f} standard deviations above its mean, against {off1:.2f} in "
                        f"{better}."), "divided each distance by the standard deviation of the other",
                  [f"In {better}, z = ({x1} - {m1}) / {s2} = {off1:.2f}.",
                   f"In {other}, z = ({x2} - {m2}) / {s1} = {off2:.2f}.",
                   "The larger z-score is the better result."]),
            Wrong(words(f"In {better}: its mean of {m1} {c.unit} is lower than {m2}, so it was the harder one."),
                  "compared the means alone and left out the results"),
        ],
        "Results from different distributions are compared by their z-scores.",
        {"x1": x1, "m1": m1, "s1": s1, "x2": x2, "m2": m2, "s2": s2, "better": better, "other": other},
    )


_ASK_CUMULATIVE_PERCENT = wordings("""
    train: {t.what!c} per {t.each} was recorded {n} times: {table}. What percent of these values are {k} or
        less?
    train: A frequency table of {t.what} per {t.each} has these entries: {table}. Find the cumulative relative
        frequency of {k}, in percent.
    test: Of {n} entries in a log of {t.what} per {t.each}, the tally reads {table}. At which percentile does
        the value {k} stand, counting everything up to and including it?
    test: {table}: this is the tally of {t.what} per {t.each}. How many in a hundred entries are no greater than
        {k}?
""")


@kind(1)
def cumulative_percent(draw: Draw) -> Draft:
    """The percent of values at or below one value of a frequency table."""
    t = draw.setting(TALLIES)
    counts, k = [draw.integer(3, 24) for _ in range(5)], draw.integer(1, 3)
    n, upto, below = sum(counts), sum(counts[: k + 1]), sum(counts[:k])
    draw.need(n != 100)
    right = 100 * upto / n
    table = ", ".join(f"{value} ({times} times)" for value, times in enumerate(counts))
    added = " + ".join(map(str, counts[: k + 1]))
    unit = "percent"

    def share(part: int) -> float:
        return 100 * part / n

    return Draft(
        draw.ask(_ASK_CUMULATIVE_PERCENT, t=t, n=n, table=table, k=k),
        [f"Of the {n} values, {added} = {upto} are {k} or less.",
         f"That is 100 * {upto} / {n} = {right:.1f} percent."],
        number(right, 1, unit),
        [
            Wrong(number(share(below), 1, unit), f"left out the value {k} itself",
                  [f"Of the {n} values, {below} come before {k}.",
                   f"That is 100 * {below} / {n} = {share(below):.1f} percent."]),
            Wrong(number(share(counts[k]), 1, unit), "gave the relative frequency of that one value",
                  [f"The value {k} occurs {counts[k]} times in {n}.",
                   f"That is 100 * {counts[k]} / {n} = {share(counts[k]):.1f} percent."]),
            Wrong(number(share(n - upto), 1, unit), "gave the percent of values above instead of up to the value",
                  [f"Of the {n} values, {n} - {upto} = {n - upto} are left.",
                   f"That is 100 * {n - upto} / {n} = {share(n - upto):.1f} percent."]),
            Wrong(number(upto, 1, unit), "gave the count as if it were a percent"),
            Wrong(number(20 * (k + 1), 1, unit), "treated the five values as equally frequent"),
        ],
        "A cumulative relative frequency counts all values up to and including the one named.",
        {"counts": counts, "k": k},
    )


_ASK_NORMAL_TAIL = wordings("""
    train: The {m.thing} of {m.who} is approximately normal with mean {mean} {m.unit} and standard deviation
        {sd} {m.unit}. What proportion of these {m.many} has {m.thing!a} {side} {cut} {m.unit}?
    train: The {m.thing} of {m.who} is approximately normal with mean {mean} {m.unit} and standard deviation
        {sd} {m.unit}. Find the probability that a randomly chosen {m.one} has {m.thing!a} {side} {cut}
        {m.unit}.
    train: Among {m.who}, {m.thing} follows a normal curve centered at {mean} {m.unit} with a standard deviation
        of {sd} {m.unit}. What share of them lies {side} {cut} {m.unit}?
    test: How likely is it that the next {m.one} taken at random shows {m.thing!a} {side} {cut} {m.unit}? Treat
        {m.who} as normally distributed in {m.thing}, averaging {mean} with an SD of {sd}.
    test: A normal model with SD {sd} and center {mean}, both in {m.unit}, is used for the {m.thing} of {m.who}.
        According to the model, which fraction of all values falls {side} {cut}?
""")


@kind(2)
def normal_tail(draw: Draw) -> Draft:
    """A proportion of a normal distribution above or below one value."""
    m = draw.setting(MEASURES)
    mean, sd = _center_and_spread(draw, m)
    cut = draw.decimal(mean - 2.4 * sd, mean + 2.4 * sd, m.digits)
    draw.need(abs(cut - mean) > 0.2 * sd)
    above = draw.choice((True, False))
    z, side = (cut - mean) / sd, "above" if above else "below"
    flat = (cut - mean) / sd**2

    def area(score: float) -> float:
        return normal_cdf(-score) if above else normal_cdf(score)

    def work(score: float, formula: str, wanted: bool) -> list[str]:
        where = "right" if above == wanted else "left"
        value = area(score) if wanted else 1 - area(score)
        return [f"z = ({cut} - {mean}) / {formula} = {score:.2f}.",
                f"The question asks for the values {side} {cut} {m.unit}.",
                f"That is the area to the {where} of z = {score:.2f}, which is {value:.4f}."]

    right = area(z)
    return Draft(
        draw.ask(_ASK_NORMAL_TAIL, m=m, mean=mean, sd=sd, side=side, cut=cut),
        work(z, plain(sd), True),
        probability(right),
        [
            Wrong(probability(1 - right), "gave the area on the wrong side of the value",
                  work(z, plain(sd), False)),
            Wrong(probability(area(flat)), "divided by the variance instead of the standard deviation",
                  work(flat, f"{plain(sd)}^2", True)),
            Wrong(probability(abs(right - 0.5)), "gave only the area between the mean and the value"),
            Wrong(probability(min(right, 1 - right) * 2), "doubled the tail, as for a two-sided question"),
        ],
        "Standardize first, then decide which side of the value the question asks for.",
        {"mean": mean, "sd": sd, "cut": cut, "above": above},
    )


_ASK_NORMAL_BETWEEN = wordings("""
    train: The {m.thing} of {m.who} is approximately normal with mean {mean} {m.unit} and standard deviation
        {sd} {m.unit}. What proportion of these {m.many} has {m.thing!a} between {low} and {high} {m.unit}?
    train: The {m.thing} of {m.who} is approximately normal with mean {mean} {m.unit} and standard deviation
        {sd} {m.unit}. Find the probability that a randomly chosen {m.one} has {m.thing!a} from {low} to {high}
        {m.unit}.
    train: Among {m.who}, {m.thing} follows a normal curve centered at {mean} {m.unit} with a standard deviation
        of {sd} {m.unit}. What share of them lies between {low} and {high} {m.unit}?
    test: A teacher calls {m.one!a} typical when the {m.thing} is at least {low} and at most {high} {m.unit}. If
        a normal model with center {mean} and SD {sd} holds for {m.who}, which fraction of them is typical in
        this sense?
    test: From {low} up to {high} {m.unit}: how much of the distribution lies in this range, given that {m.who}
        average {mean} {m.unit} in {m.thing}, with SD {sd} and a normal shape?
""")


@kind(2)
def normal_between(draw: Draw) -> Draft:
    """A proportion of a normal distribution between two values."""
    m = draw.setting(MEASURES)
    mean, sd = _center_and_spread(draw, m)
    low, high = sorted(draw.decimal(mean - 2.4 * sd, mean + 2.4 * sd, m.digits) for _ in range(2))
    draw.need(high - low > 0.6 * sd)
    z1, z2 = (low - mean) / sd, (high - mean) / sd
    left1, left2 = normal_cdf(z1), normal_cdf(z2)
    right = left2 - left1
    scores = f"The z-scores are ({low} - {mean}) / {sd} = {z1:.2f} and ({high} - {mean}) / {sd} = {z2:.2f}."
    areas = f"The areas to their left are {left1:.5f} and {left2:.5f}."
    return Draft(
        draw.ask(_ASK_NORMAL_BETWEEN, m=m, mean=mean, sd=sd, low=low, high=high),
        [scores, areas, f"The area between them is {left2:.5f} - {left1:.5f} = {right:.4f}."],
        probability(right),
        [
            Wrong(probability(1 - right), "gave the area outside the two values instead of between them",
                  [scores, areas, f"The two tails leave 1 - ({left2:.5f} - {left1:.5f}) = {1 - right:.4f}."]),
            Wrong(probability(left2), "used only the upper value and kept the area below the lower one",
                  [scores, areas, f"Values up to the upper limit make up {left2:.4f} of the distribution."]),
            Wrong(probability(1 - left1), "used only the lower value and kept the area above the upper one"),
            Wrong(probability(right / 2), "halved the area"),
            Wrong(probability(left1), "gave the area below the lower value"),
        ],
        "The proportion between two values is the difference of the areas to their left.",
        {"mean": mean, "sd": sd, "low": low, "high": high},
    )


_ASK_NORMAL_PERCENTILE = wordings("""
    train: The {m.thing} of {m.who} is approximately normal with mean {mean} {m.unit} and standard deviation
        {sd} {m.unit}. Find the {percent}th percentile of the {m.thing}.
    train: The {m.thing} of {m.who} is approximately normal with mean {mean} {m.unit} and standard deviation
        {sd} {m.unit}. What {m.thing} cuts off the {end} {share}% of values among these {m.many}?
    train: Among {m.who}, {m.thing} follows a normal curve centered at {mean} {m.unit} with a standard deviation
        of {sd} {m.unit}. Below what {m.thing} do {percent}% of them lie?
    test: Which value has {percent}% of the distribution to its left if the {m.thing} of {m.who} is modeled as
        normal, with center {mean} and SD {sd} (in {m.unit})?
    test: A consultant wants to single out the {share}% of {m.who} with the {end} {m.thing}. Where should the
        limit be put if a normal model, averaging {mean} {m.unit} with SD {sd}, describes them?
""")


@kind(2)
def normal_percentile(draw: Draw) -> Draft:
    """The value at a percentile of a normal distribution."""
    m = draw.setting(MEASURES)
    mean, sd = _center_and_spread(draw, m)
    percent = draw.choice((5, 10, 15, 20, 30, 70, 80, 85, 90, 95, 98))
    z = normal_quantile(percent / 100)
    value, digits = mean + z * sd, m.digits + 1
    top = percent >= 70
    end, share = ("highest", 100 - percent) if top else ("lowest", percent)
    question = draw.ask(_ASK_NORMAL_PERCENTILE, m=m, mean=mean, sd=sd, percent=percent, end=end, share=share)

    def work(used_z: float, used_sd: float, start: str) -> list[str]:
        sign = "+" if used_z >= 0 else "-"
        result = mean + used_z * used_sd
        return [start, f"x = mean + z * SD = {mean} {sign} {abs(used_z):.3f} * {plain(used_sd)} = "
                       f"{result:.{digits}f}."]

    start = f"The z with {percent}% of the area to its left is {z:.3f}."
    return Draft(
        question,
        work(z, sd, start),
        number(value, digits, m.unit, tolerance=max(10.0**-digits, 0.01 * sd)),
        [
            Wrong(number(mean - z * sd, digits, m.unit), "took the percentile on the wrong side of the mean",
                  work(-z, sd, f"The z that cuts off {percent}% of the area is {-z:.3f}.")),
            Wrong(number(mean + z, digits, m.unit),
                  "added the z-score without multiplying it by the standard deviation",
                  work(z, 1.0, start)),
            Wrong(number(mean * (0.5 + percent / 100), digits, m.unit),
                  "treated a percentile as a percentage of the mean"),
            Wrong(number(mean + math.copysign(2 * sd, z), digits, m.unit),
                  "went two standard deviations from the mean whatever the percentile",
                  work(math.copysign(2, z), sd,
                       "A value far from the mean lies about 2 standard deviations away.")),
            Wrong(number(mean + percent / 100 * sd, digits, m.unit),
                  "used the percentile as if it were a z-score"),
        ],
        "A percentile is found by undoing the z-score: x = mean + z * SD, with z from the area to the left.",
        {"mean": mean, "sd": sd, "percent": percent},
    )
