"""Exploring one-variable data: centre, spread, position, the normal model."""

from __future__ import annotations

import math

from ._draw import Draw, Given, kind
from ._numerics import normal_cdf, normal_quantile
from ._problem import Draft, Wrong, number, plain, probability, sig, words
from ._settings import MEASURES, RESCALES, SKEWED, Measure

# fmt: off




def _center_and_spread(draw: Draw, m: Measure) -> tuple[Given, Given]:
    mean = draw.decimal(*m.mean, m.digits)
    return mean, draw.decimal(*m.sd, max(m.digits, 1) if m.sd[1] < 10 else m.digits)


def _normal(m: Measure, mean: float, sd: float) -> str:
    return (f"The {m.thing} of {m.who} is approximately normal with mean {mean} {m.unit} and standard "
            f"deviation {sd} {m.unit}. ")


@kind(1)
def z_score(draw: Draw) -> Draft:
    """The standardised score of one value."""
    m = draw.setting(MEASURES)
    mean, sd = _center_and_spread(draw, m)
    x = draw.decimal(mean - 2.8 * sd, mean + 2.8 * sd, m.digits)
    draw.need(abs(x - mean) > 0.3 * sd)
    z = (x - mean) / sd
    question = draw.wording(
        f"The {m.thing} of {m.who} has mean {mean} {m.unit} and standard deviation {sd} {m.unit}. One "
        f"{m.one} has a {m.thing} of {x} {m.unit}. What is its z-score?",
        f"For {m.who}, the mean {m.thing} is {mean} {m.unit} with a standard deviation of {sd} {m.unit}. "
        f"Find the standardized score of a {m.thing} of {x} {m.unit}.",
    )
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
        _normal(m, mean, sd) + draw.wording(
            f"What proportion of these {m.many} has a {m.thing} {side} {cut} {m.unit}?",
            f"Find the probability that a randomly chosen {m.one} has a {m.thing} {side} {cut} {m.unit}.",
        ),
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
        _normal(m, mean, sd) + draw.wording(
            f"What proportion of these {m.many} has a {m.thing} between {low} and {high} {m.unit}?",
            f"Find the probability that a randomly chosen {m.one} has a {m.thing} from {low} to {high} "
            f"{m.unit}.",
        ),
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


@kind(2)
def normal_percentile(draw: Draw) -> Draft:
    """The value at a percentile of a normal distribution."""
    m = draw.setting(MEASURES)
    mean, sd = _center_and_spread(draw, m)
    percent = draw.choice((5, 10, 15, 20, 30, 70, 80, 85, 90, 95, 98))
    z = normal_quantile(percent / 100)
    value, digits = mean + z * sd, m.digits + 1
    top = percent >= 70
    wanted = draw.wording(
        f"Find the {percent}th percentile of the {m.thing}.",
        f"The {'largest' if top else 'smallest'} {100 - percent if top else percent}% of values of {m.thing} "
        f"lie {'above' if top else 'below'} what value?",
    )
    question = _normal(m, mean, sd) + wanted

    def work(used_z: float, used_sd: float, start: str) -> list[str]:
        sign = "+" if used_z >= 0 else "-"
        result = mean + used_z * used_sd
        return [start, f"x = mean + z * SD = {mean} {sign} {abs(used_z):.3f} * {sig(used_sd)} = "
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
    question = draw.wording(
        f"A random sample of {n} {m.who} gave these values of {m.thing} in {m.unit}: {listing}. Compute the "
        "sample standard deviation.",
        f"The {m.thing} in {m.unit} was recorded for {n} {m.many} chosen at random from all {m.who}: "
        f"{listing}. What is the sample standard deviation?",
    )
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
    question = draw.wording(
        f"For a sample of {m.who}, the {m.thing} in {m.unit} has {five}. By the 1.5 IQR rule, {side} what "
        "value is an observation an outlier?",
        f"A boxplot of {m.thing} for {m.who} shows {five} {m.unit}. Find the {limit} fence that the 1.5 IQR "
        "rule uses to flag outliers.",
    )
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
    question = draw.wording(
        f"The {measure} of a set of {r.before} is {old}. Each value is turned into {r.after} by {r.rule}. "
        f"What is the new {measure}?",
        f"A set of {r.before} has {measure} {old}. Every value is converted to {r.after} by {r.rule}. Find "
        f"the {measure} of the converted values.",
    )
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


@kind(1)
def skew_from_center(draw: Draw) -> Draft:
    """The direction of skew from mean and median."""
    s = draw.setting(SKEWED)
    median, gap = draw.integer(*s.middle), draw.integer(*s.gap)
    mean = median + gap if s.high else median - gap
    side, other = ("right", "left") if s.high else ("left", "right")
    relation, pull = ("above", "high") if s.high else ("below", "low")
    question = draw.wording(
        f"The {s.what} have mean {mean} {s.unit} and median {median} {s.unit}. What do these two numbers "
        "suggest about the shape of the distribution?",
        f"A report on the {s.what} gives a median of {median} {s.unit} and a mean of {mean} {s.unit}. Which "
        "shape fits best?",
    )
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
