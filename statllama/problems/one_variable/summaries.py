"""Center, spread and shape of one list of data."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._problem import (
    Draft,
    Wrong,
    number,
    plain,
    sig,
    words,
)
from .._settings import MEASURES, RESCALES, SKEWED
from .._wording import wordings
from ._shared import _center_and_spread

# fmt: off


_ASK_SAMPLE_STANDARD_DEVIATION = wordings("""
    train: A random sample of {n} {m.who} gave these values of {m.thing} in {m.unit}: {listing}. Compute the
        sample standard deviation.
    train: The {m.thing} in {m.unit} was recorded for {n} {m.many} chosen at random from all {m.who}: {listing}.
        What is the sample standard deviation?
    train: Here is the {m.thing}, in {m.unit}, of each of {n} randomly chosen {m.who}: {listing}. Find s, the
        sample standard deviation.
    test: {listing}: such were the readings of {m.thing} ({m.unit}) for {n} {m.many}, picked by lot among
        {m.who}. By how much do they vary, measured by the standard deviation with divisor n - 1?
    test: Work out the standard deviation s of the following sample, in which every number is the {m.thing} of
        one {m.one} and the unit is {m.unit}: {listing}. The population is {m.who}.
""")


@kind(2)
def sample_standard_deviation(draw: Draw) -> Draft:
    """The sample standard deviation of a short list with a whole-number mean."""
    m = draw.setting(MEASURES)
    n = draw.integer(5, 6)
    center = draw.integer(math.ceil(m.mean[0]), math.floor(m.mean[1]))
    spread = max(2, round(m.sd[0]))
    data = [center + draw.integer(-2 * spread, 2 * spread) for _ in range(n)]
    draw.need(sum(data) % n == 0 and len(set(data)) >= 4)
    mean = sum(data) // n
    squares = sum((x - mean) ** 2 for x in data)
    s, population = math.sqrt(squares / (n - 1)), math.sqrt(squares / n)
    absolute = sum(abs(x - mean) for x in data) / n
    listing = ", ".join(map(str, data))
    start = [f"The mean is {sum(data)} / {n} = {mean}.",
             f"The squared deviations are {', '.join(str((x - mean) ** 2) for x in data)}; they add up to "
             f"{squares}."]
    question = draw.ask(_ASK_SAMPLE_STANDARD_DEVIATION, m=m, n=n, listing=listing)
    return Draft(
        question,
        [*start, f"s = sqrt({squares} / ({n} - 1)) = sqrt({sig(squares / (n - 1))}) = {s:.2f} {m.unit}."],
        number(s, 2, m.unit),
        [
            Wrong(number(population, 2, m.unit), "divided by n instead of n - 1",
                  [*start, f"s = sqrt({squares} / {n}) = sqrt({sig(squares / n)}) = {population:.2f} "
                           f"{m.unit}."]),
            Wrong(number(squares / (n - 1), 2, m.unit), "gave the variance and forgot the square root",
                  [*start, f"s = {squares} / ({n} - 1) = {squares / (n - 1):.2f} {m.unit}."]),
            Wrong(number(absolute, 2, m.unit),
                  "averaged the absolute deviations instead of the squared ones"),
            Wrong(number(max(data) - min(data), 2, m.unit), "gave the range"),
        ],
        "A sample standard deviation is the square root of the squared deviations divided by n - 1.",
        {"data": data},
    )


_ASK_WEIGHTED_MEAN = wordings("""
    train: Two groups of {m.who} were measured. The mean {m.thing} is {mean1} {m.unit} for the {n1} in the first
        group and {mean2} {m.unit} for the {n2} in the second. What is the mean of all of them together?
    train: A sample of {n1} {m.who} has mean {m.thing} {mean1} {m.unit}, and another sample of {n2} has mean
        {mean2} {m.unit}. Find the mean of the combined sample.
    test: On one day {n1} {m.who} averaged {mean1} {m.unit} in {m.thing}; on another, {n2} others averaged
        {mean2}. Which average results when all the values are pooled?
    test: What do {n1} plus {n2} {m.many} average in {m.thing} overall, if the former came to {mean1} {m.unit}
        on average and the latter to {mean2}? All were {m.who}.
""")


@kind(2)
def weighted_mean(draw: Draw) -> Draft:
    """The mean of two groups of different size put together."""
    m = draw.setting(MEASURES)
    mean1, gap = draw.decimal(*m.mean, 1), draw.choice((-1, 1)) * draw.decimal(0.5 * m.sd[0], 1.5 * m.sd[1], 1)
    mean2 = Given(round(mean1 + gap, 1))
    n1, n2 = draw.integer(8, 90), draw.integer(8, 90)
    draw.need(max(n1, n2) > 1.5 * min(n1, n2) and abs(mean1 - mean2) > 0.4)
    total, n = n1 * mean1 + n2 * mean2, n1 + n2
    right, plain_mean, swapped = total / n, (mean1 + mean2) / 2, (n2 * mean1 + n1 * mean2) / n
    larger = mean1 if n1 > n2 else mean2
    return Draft(
        draw.ask(_ASK_WEIGHTED_MEAN, m=m, n1=n1, n2=n2, mean1=mean1, mean2=mean2),
        [f"The sum of all values is {n1} * {mean1} + {n2} * {mean2} = {plain(total)} {m.unit}.",
         f"Divided among {n1} + {n2} = {n} values, this gives {plain(total)} / {n} = {right:.2f} {m.unit}."],
        number(right, 2, m.unit, tolerance=0.02),
        [
            Wrong(number(plain_mean, 2, m.unit, tolerance=0.02),
                  "averaged the two means although the groups differ in size",
                  ["The mean of all lies halfway between the two means.",
                   f"It is ({mean1} + {mean2}) / 2 = {plain_mean:.2f} {m.unit}."]),
            Wrong(number(swapped, 2, m.unit, tolerance=0.02), "gave each mean the size of the other group as weight",
                  [f"The weighted sum is {n2} * {mean1} + {n1} * {mean2} = {plain(n2 * mean1 + n1 * mean2)}.",
                   f"Divided by {n1} + {n2} = {n}, this gives {swapped:.2f} {m.unit}."]),
            Wrong(number(larger, 2, m.unit, tolerance=0.02), "took the mean of the larger group for the mean of all",
                  [f"The larger group has {max(n1, n2)} of the {n} values and sets the mean.",
                   f"So the mean is {larger:.2f} {m.unit}."]),
            Wrong(number(min(mean1, mean2), 2, m.unit, tolerance=0.02), "took the smaller mean for the mean of all"),
            Wrong(number(max(mean1, mean2), 2, m.unit, tolerance=0.02), "took the larger mean for the mean of all"),
        ],
        "The mean of two groups together weights each mean with the size of its group.",
        {"mean1": mean1, "mean2": mean2, "n1": n1, "n2": n2},
    )


_ASK_MEAN_AFTER_CORRECTION = wordings("""
    test: A typing slip came to light: among the {n} values of {m.thing} of {m.who}, one had been entered as
        {false} {m.unit} and should read {true}. The mean had been reported as {mean} {m.unit}. What should the
        report say?
    test: Before a check, {n} {m.who} were thought to average {mean} {m.unit} in {m.thing}. The check moved a
        single {m.one} from {false} to {true} {m.unit}. Work out the mean after the check.
""")


@kind(2, held_out=True)
def mean_after_correction(draw: Draw) -> Draft:
    """The mean after one mistaken value is corrected."""
    m = draw.setting(MEASURES)
    n, mean = draw.integer(8, 40), draw.decimal(*m.mean, 1)
    true = draw.decimal(mean - m.sd[1], mean + m.sd[1], m.digits)
    false = Given(round(true + draw.choice((-1, 1)) * draw.decimal(2 * m.sd[0], 5 * m.sd[1], m.digits), m.digits))
    move = true - false
    right = mean + move / n
    draw.need(false > 0 and abs(move / n) > 0.05)
    change = f"The sum of the values changes by {true} - {false} = {plain(move)} {m.unit}."

    def to(value: float, divisor: str, change_by: float) -> str:
        sign = "+" if change_by >= 0 else "-"
        return f"The new mean is {mean} {sign} {plain(abs(change_by))}{divisor} = {value:.2f} {m.unit}."

    return Draft(
        draw.ask(_ASK_MEAN_AFTER_CORRECTION, m=m, n=n, mean=mean, true=true, false=false),
        [change, to(right, f" / {n}", move)],
        number(right, 2, m.unit, tolerance=0.02),
        [
            Wrong(number(mean + move, 2, m.unit), "added the whole change to the mean instead of its n-th part",
                  [change, to(mean + move, "", move)]),
            Wrong(number(mean - move / n, 2, m.unit), "moved the mean the wrong way",
                  [f"The sum of the values changes by {false} - {true} = {plain(-move)} {m.unit}.",
                   to(mean - move / n, f" / {n}", -move)]),
            Wrong(number((n * mean - false) / (n - 1), 2, m.unit), "left the value out instead of correcting it",
                  [f"Without the mistaken value the sum is {n} * {mean} - {false} = {plain(n * mean - false)}.",
                   f"The new mean is {plain(n * mean - false)} / ({n} - 1) = "
                   f"{(n * mean - false) / (n - 1):.2f} {m.unit}."]),
            Wrong(number((n * mean + true) / (n + 1), 2, m.unit), "added the correct value and kept the false one"),
            Wrong(number(mean, 2, m.unit), "thought that one value cannot change a mean"),
        ],
        "Changing one value by d changes the mean of n values by d / n.",
        {"n": n, "mean": mean, "false": false, "true": true},
    )


_ASK_OUTLIER_FENCE = wordings("""
    train: For a sample of {m.who}, the {m.thing} in {m.unit} has {five}. By the 1.5 IQR rule, {side} what value
        is an observation an outlier?
    train: A boxplot of {m.thing} for {m.who} shows {five} {m.unit}. Find the {limit} fence that the 1.5 IQR
        rule uses to flag outliers.
    test: Q1 = {q1}, median = {middle}, Q3 = {q3} (in {m.unit}) sum up the {m.thing} of some {m.who}. Where is
        the {limit} boundary for suspected outliers if 1.5 times the interquartile range is the criterion?
    test: Is an extreme {m.one} an outlier? The middle half of the {m.who} studied has {m.thing!a} from {q1} to
        {q3} {m.unit}, around a median of {middle}. Compute the {limit} cutoff with the usual multiple, 1.5, of
        the IQR.
""")


@kind(2)
def outlier_fence(draw: Draw) -> Draft:
    """The 1.5 IQR fence on one side."""
    m = draw.setting(MEASURES)
    mean, sd = _center_and_spread(draw, m)
    q1 = Given(round(mean - draw.decimal(0.55, 0.8, 2) * sd, m.digits))
    q3 = Given(round(mean + draw.decimal(0.55, 0.8, 2) * sd, m.digits))
    middle = Given(round(mean + draw.decimal(-0.2, 0.2, 2) * sd, m.digits))
    iqr, upper = q3 - q1, draw.choice((True, False))
    draw.need(iqr > 0 and q1 < middle < q3)
    digits, sign, quartile = m.digits + 1, 1 if upper else -1, q3 if upper else q1
    name, op = ("Q3", "+") if upper else ("Q1", "-")
    side, limit = ("above", "upper") if upper else ("below", "lower")
    five = f"first quartile {q1}, median {middle} and third quartile {q3}"
    question = draw.ask(_ASK_OUTLIER_FENCE, m=m, five=five, side=side, limit=limit, q1=q1, middle=middle, q3=q3)
    start = f"IQR = Q3 - Q1 = {q3} - {q1} = {plain(iqr)}."

    def work(base: str, from_value: float, factor: str, step: float) -> list[str]:
        result = from_value + sign * step
        return [start, f"The fence is {base} {op} {factor} = {plain(from_value)} {op} {plain(step)} = "
                       f"{plain(result)} {m.unit}."]

    return Draft(
        question,
        work(name, quartile, "1.5 * IQR", 1.5 * iqr),
        number(quartile + sign * 1.5 * iqr, digits, m.unit),
        [
            Wrong(number(middle + sign * 1.5 * iqr, digits, m.unit),
                  "measured 1.5 IQR from the median instead of from the quartile",
                  work("median", middle, "1.5 * IQR", 1.5 * iqr)),
            Wrong(number(quartile + sign * iqr, digits, m.unit),
                  "went one IQR from the quartile instead of 1.5",
                  work(name, quartile, "IQR", iqr)),
            Wrong(number((q1 if upper else q3) + sign * 1.5 * iqr, digits, m.unit),
            "started from the wrong quartile"),
            Wrong(number(quartile + sign * 3 * iqr, digits, m.unit), "used three IQR instead of 1.5"),
        ],
        "The outlier fences lie 1.5 IQR outside the quartiles.",
        {"q1": q1, "median": middle, "q3": q3, "upper": upper},
    )


_ASK_LINEAR_CHANGE = wordings("""
    train: The {measure} of a set of {r.before} is {old}. Each value is turned into {r.after} by {r.rule}. What
        is the new {measure}?
    train: A set of {r.before} has {measure} {old}. Every value is converted to {r.after} by {r.rule}. Find the
        {measure} of the converted values.
    test: Some {r.before} are on file, and their {measure} comes to {old}. A clerk replaces each entry by
        {r.after}, which means {r.rule}. What {measure} do the results have?
    test: What happens to the {measure}, {old} so far, when a list of {r.before} is rewritten as {r.after} by
        {r.rule}? State the {measure} of the rewritten list.
""")


@kind(2)
def linear_change(draw: Draw) -> Draft:
    """The mean or the standard deviation after new = a + b old."""
    r = draw.setting(RESCALES)
    mean, sd = draw.decimal(*r.mean, 1), draw.decimal(*r.sd, 1)
    measure = draw.choice(("mean", "median", "standard deviation", "interquartile range"))
    of_center = measure in ("mean", "median")
    old = mean if of_center else sd
    right = r.a + r.b * old if of_center else r.b * old
    a, b = plain(r.a), plain(r.b)
    question = draw.ask(_ASK_LINEAR_CHANGE, r=r, measure=measure, old=old)
    both = f"New {measure} = {a} + {b} * {old} = {plain(r.a + r.b * old)} {r.unit}."
    scaled = f"New {measure} = {b} * {old} = {plain(r.b * old)} {r.unit}."
    if of_center:
        reason = "A measure of center follows every value, so it is multiplied and shifted too."
        slip = "left out the added constant, which moves the center"
        claim = "Only multiplying changes a summary; adding a constant leaves it alone."
    else:
        reason = "Adding a constant leaves the spread alone; multiplying stretches it."
        slip = "added the constant, which does not change the spread"
        claim = "The same rule that is applied to each value is applied to the summary."
    return Draft(
        question,
        [reason, both if of_center else scaled],
        number(right, 2, r.unit),
        [
            Wrong(number(r.b * old if of_center else r.a + r.b * old, 2, r.unit), slip,
                  [claim, scaled if of_center else both]),
            Wrong(number(old, 2, r.unit), "left the summary unchanged",
                  ["The conversion changes the units and not the shape of the data.",
                   f"So the {measure} stays {old} {r.unit}."]),
            Wrong(number(r.a + old, 2, r.unit), "added the constant but did not multiply"),
            Wrong(number(r.b**2 * old, 2, r.unit),
                  "multiplied by the square of the factor, as a variance would be"),
        ],
        "Center follows both shift and scale; spread follows the scale alone.",
        {"measure": measure, "old": old, "a": r.a, "b": r.b},
    )


_ASK_SKEW_FROM_CENTER = wordings("""
    train: The {s.what} have mean {mean} {s.unit} and median {median} {s.unit}. What do these two numbers
        suggest about the shape of the distribution?
    train: A report on the {s.what} gives a median of {median} {s.unit} and a mean of {mean} {s.unit}. What
        shape does the distribution probably have?
    test: With {median} {s.unit} as the value in the middle and {mean} {s.unit} as the average, to what shape do
        the {s.what} point?
    test: A planner notes that the average of the {s.what}, {mean}, differs clearly from the value in the
        middle, {median} (both in {s.unit}). Describe the likely shape of a histogram.
""")


@kind(1)
def skew_from_center(draw: Draw) -> Draft:
    """The direction of skew from mean and median."""
    s = draw.setting(SKEWED)
    median, gap = draw.integer(*s.middle), draw.integer(*s.gap)
    mean = median + gap if s.high else median - gap
    side, other = ("right", "left") if s.high else ("left", "right")
    relation, pull = ("above", "high") if s.high else ("below", "low")
    question = draw.ask(_ASK_SKEW_FROM_CENTER, s=s, mean=mean, median=median)
    right = f"Skewed to the {side}: unusually {pull} values pull the mean {relation} the median."
    turned = f"Skewed to the {other}: most of the values lie on the {other} side."
    return Draft(
        question,
        [f"The mean ({mean}) is {relation} the median ({median}).",
         "Extreme values pull the mean toward the long tail, while the median hardly moves."],
        words(right),
        [
            Wrong(words(turned), "named the skew after the side where most values lie instead of the long "
                                 "tail",
                  [f"The mean ({mean}) is {relation} the median ({median}).",
                   f"So most of the values lie on the {other} side, and the skew is named after them."]),
            Wrong(words("Roughly symmetric: the mean and the median both measure the center."),
                  "took a clear gap between mean and median for symmetry",
                  [f"The mean is {mean} and the median is {median}.",
                   "Both measure the center of the data, so the two sides balance."]),
            Wrong(words("Bimodal: one peak of the distribution lies at the mean and the other at the "
                        "median."),
                  "took the mean and the median for two peaks"),
            Wrong(words("Nothing: the shape of a distribution can only be judged from its standard "
                        "deviation."),
                  "thought that only the standard deviation tells about shape"),
        ],
        "The mean is pulled toward the long tail, and skew is named after that tail.",
        {"mean": mean, "median": median},
    )
