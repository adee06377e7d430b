"""Sampling distributions of means and totals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .._draw import Draw, Given, kind
from .._numerics import normal_cdf
from .._problem import (
    Draft,
    Wrong,
    count,
    fixed,
    number,
    plain,
    probability,
    sig,
    words,
)
from .._settings import MEASURES, SKEWED
from .._wording import wordings

# fmt: off


_SQUARES = (9, 16, 25, 36, 49, 64, 81, 100, 20, 30, 40, 50, 60, 75)


_ASK_STANDARD_ERROR_OF_MEAN = wordings("""
    train: The {m.thing} of {m.who} has standard deviation {sd} {m.unit}. What is the standard deviation of the
        sample mean for random samples of size {n}?
    train: Random samples of {n} are taken from {m.who}, whose {m.thing} has a standard deviation of {sd}
        {m.unit}. Find the standard deviation of the sampling distribution of the mean.
    test: By how much do averages of {n} randomly selected {m.many} typically differ from the population average
        in {m.thing}, if single {m.who} vary with an SD of {sd} {m.unit}? Compute the SD of such averages.
    test: Suppose {m.thing} varies among {m.who} with SD {sd} {m.unit}. Over and over, a teacher draws {n} of
        them at random and notes the average. What SD do the averages have?
""")


@kind(1)
def standard_error_of_mean(draw: Draw) -> Draft:
    """The standard deviation of the sample mean."""
    m = draw.setting(MEASURES)
    sd, n = draw.decimal(*m.sd, 1), draw.choice(_SQUARES)
    right = sd / math.sqrt(n)
    return Draft(
        draw.ask(_ASK_STANDARD_ERROR_OF_MEAN, m=m, sd=sd, n=n),
        ["The sample mean has standard deviation sigma / sqrt(n).",
         f"That is {sd} / sqrt({n}) = {right:.3f} {m.unit}."],
        number(right, 3, m.unit, tolerance=max(0.002, 0.005 * right)),
        [
            Wrong(number(sd, 3, m.unit), "gave the standard deviation of single values",
                  ["A sample comes from the population, so its mean has the same spread.",
                   f"The standard deviation stays {sd} {m.unit}."]),
            Wrong(number(sd / n, 3, m.unit), "divided by n instead of by its square root",
                  ["The sample mean has standard deviation sigma / n.",
                   f"That is {sd} / {n} = {sd / n:.3f} {m.unit}."]),
            Wrong(number(sd / math.sqrt(n - 1), 3, m.unit), "divided by the root of n - 1"),
            Wrong(number(sd**2 / n, 3, m.unit), "gave the variance of the mean",
                  ["The sample mean has variance sigma^2 / n.",
                   f"That is {sd}^2 / {n} = {sd**2 / n:.3f} {m.unit}."]),
            Wrong(number(sd * math.sqrt(n), 3, m.unit), "multiplied by the root of n, as for a total"),
        ],
        "A mean of n values varies less than one value, by the factor of the square root of n.",
        {"sd": sd, "n": n},
    )


_ASK_SAMPLE_MEAN_PROBABILITY = wordings("""
    train: The {m.thing} of {m.who} is approximately normal with mean {mean} {m.unit} and standard deviation
        {sd} {m.unit}. What is the probability that the mean of a random sample of {n} is {side} {cut} {m.unit}?
    train: The {m.thing} of {m.who} is approximately normal with mean {mean} {m.unit} and standard deviation
        {sd} {m.unit}. A random sample of {n} {m.many} is taken. Find the probability that its mean {m.thing} is
        {side} {cut} {m.unit}.
    test: How often will {n} {m.who}, picked by chance, average {side} {cut} {m.unit} in {m.thing}? Assume a
        normal population centered at {mean} with SD {sd}.
    test: A consultant averages the {m.thing} of {n} {m.many} selected at random. If single values follow a
        normal curve (center {mean}, SD {sd}, in {m.unit}) for {m.who}, what are the chances that the average
        comes out {side} {cut}?
""")


@kind(2)
def sample_mean_probability(draw: Draw) -> Draft:
    """P(sample mean above or below a value)."""
    m = draw.setting(MEASURES)
    mean, sd, n = draw.decimal(*m.mean, m.digits), draw.decimal(*m.sd, 1), draw.choice(_SQUARES)
    se, digits = sd / math.sqrt(n), m.digits + 1
    cut = draw.decimal(mean - 2.3 * se, mean + 2.3 * se, digits)
    z = (cut - mean) / se
    draw.need(abs(z) > 0.25)
    above = draw.choice((True, False))
    side = "above" if above else "below"

    def tail(score: float) -> float:
        return normal_cdf(-score if above else score)

    def work(spread: float, how: str) -> list[str]:
        score = (cut - mean) / spread
        return ([how, f"z = ({cut} - {mean}) / {sig(spread)} = {score:.2f}.",
                 f"P(mean {side} {cut}) = {tail(score):.4f}."])

    right = tail(z)
    return Draft(
        draw.ask(_ASK_SAMPLE_MEAN_PROBABILITY, m=m, mean=mean, sd=sd, n=n, side=side, cut=cut),
        work(se, f"The sample mean has standard deviation {sd} / sqrt({n}) = {sig(se)}."),
        probability(right),
        [
            Wrong(probability(tail((cut - mean) / sd)),
                  "used the spread of single values instead of the spread of the mean",
                  work(sd, f"The standard deviation is {sd} {m.unit}.")),
            Wrong(probability(1 - right), "gave the area on the wrong side of the value",
                  [f"The sample mean has standard deviation {sig(se)}, so z = {z:.2f}.",
                   f"The area on the other side is {right:.4f}, so P = {1 - right:.4f}."]),
            Wrong(probability(tail((cut - mean) / (sd / n))),
                  "divided the standard deviation by n instead of by its root",
                  work(sd / n, f"The sample mean has standard deviation {sd} / {n} = {sig(sd / n)}.")),
            Wrong(probability(abs(0.5 - right)), "gave the area between the mean and the value"),
            Wrong(probability(2 * min(right, 1 - right)), "doubled the tail"),
        ],
        "A question about a sample mean is standardized with sigma / sqrt(n), not with sigma.",
        {"mean": mean, "sd": sd, "n": n, "cut": cut, "above": above},
    )


_ASK_SAMPLE_SIZE_EFFECT = wordings("""
    train: A random sample of {n} {m.who} gives a certain standard error for the mean {m.thing}. What sample
        size would make the standard error {times} as large?
    train: To estimate the mean {m.thing} of {m.who}, {n} {m.many} were sampled. How many must be sampled to cut
        the standard error to {times} of its value?
    test: With {n} {m.who} drawn by lot, the average {m.thing} is known only roughly. How many in all should be
        drawn if its SE is to shrink to {times} of what it is?
    test: A clerk plans to repeat a survey of the {m.thing} of {n} {m.who} with a bigger sample, so large that
        the SE of the average becomes {times} of the former one. Find the new n.
""")


@kind(1)
def sample_size_effect(draw: Draw) -> Draft:
    """The sample size that divides the standard error by a factor."""
    m = draw.setting(MEASURES)
    n, factor = draw.integer(12, 90), draw.choice((2, 3, 4, 5))
    times = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth"}[factor]
    right = n * factor**2
    start = "The standard error is sigma / sqrt(n), so n must grow by the square of the factor."
    return Draft(
        draw.ask(_ASK_SAMPLE_SIZE_EFFECT, m=m, n=n, times=times),
        [start, f"n = {n} * {factor}^2 = {right}."],
        count(right),
        [
            Wrong(count(n * factor), "multiplied n by the factor and not by its square",
                  ["The standard error shrinks in proportion to the sample size.",
                   f"n = {n} * {factor} = {n * factor}."]),
            Wrong(count(round(n / factor)), "made the sample smaller instead of larger"),
            Wrong(count(round(n * math.sqrt(factor))), "multiplied n by the root of the factor",
                  ["The standard error goes with a square root.",
                   f"n = {n} * sqrt({factor}), about {round(n * math.sqrt(factor))}."]),
            Wrong(count(right + n), "counted the present sample on top of the new one",
                  [start, f"That takes {n} * {factor}^2 = {right}, and with the {n} there are, n = {right + n}."]),
            Wrong(count(n * (factor**2 - 1)), "gave the number of additional observations",
                  [start, f"That takes {right} - {n} = {right - n} more, so n = {right - n}."]),
        ],
        "To divide a standard error by k, the sample must be k squared times as large.",
        {"n": n, "factor": factor},
    )


_ASK_CENTRAL_LIMIT_THEOREM = wordings("""
    train: Suppose that the distribution of the {s.what} is strongly skewed to the {tail}, with mean {mean}
        {s.unit} and standard deviation {sd} {s.unit}. Describe the sampling distribution of the mean of {n} of
        them chosen at random.
    train: The {s.what} are strongly skewed to the {tail}, with mean {mean} {s.unit} and standard deviation {sd}
        {s.unit}. For random samples of {n}, what is the distribution of the sample mean like?
    test: A student repeatedly draws {n} of the {s.what} at random and notes the average. Single values have a
        long {tail} tail, center {mean} {s.unit} and SD {sd} {s.unit}. What shape, center and SD do the averages
        have?
    test: How do averages of {n} independent values behave, if the values are {s.what}, with an SD of {sd}
        {s.unit}, a mean of {mean} {s.unit} and a histogram stretched far to the {tail}?
""")


@kind(1)
def central_limit_theorem(draw: Draw) -> Draft:
    """The shape, center and spread of the mean of many values from a skewed population."""
    s = draw.setting(SKEWED)
    gap = draw.integer(*s.gap)
    mean, tail = (draw.integer(*s.middle) + (gap if s.high else -gap), "right" if s.high else "left")
    sd = Given(round(gap * draw.decimal(1.4, 2.4, 1), 1))
    n = draw.choice((36, 40, 49, 64, 81, 100, 121, 144))
    se = sd / math.sqrt(n)

    def claim(shape: str, spread: float) -> str:
        return f"{shape}, with mean {mean} and standard deviation {fixed(spread, 2)} {s.unit}."

    draw.need(fixed(se, 2) != fixed(sd / n, 2))
    first = "By the central limit theorem, means of large random samples are approximately normal."
    return Draft(
        draw.ask(_ASK_CENTRAL_LIMIT_THEOREM, s=s, tail=tail, mean=mean, sd=sd, n=n),
        [first, f"The mean of the sample mean is {mean}, and its standard deviation is {sd} / sqrt({n}) = "
                f"{fixed(se, 2)} {s.unit}."],
        words(claim("Approximately normal", se)),
        [
            Wrong(words(claim("Strongly skewed", se)),
                  "thought that sample means keep the skew of the population",
                  ["Samples look like the population they come from.",
                   f"So the sample mean is skewed too, with standard deviation {sd} / sqrt({n}) = "
                   f"{fixed(se, 2)} {s.unit}."]),
            Wrong(words(claim("Approximately normal", sd)),
                  "left the spread of the mean equal to that of single values",
                  [first, f"Its standard deviation is that of the population, {sd} {s.unit}."]),
            Wrong(words(claim("Approximately normal", sd / n)),
                  "divided the standard deviation by n instead of by its root",
                  [first, f"Its standard deviation is {sd} / {n} = {fixed(sd / n, 2)} {s.unit}."]),
            Wrong(words(claim("Skewed like the population", sd)),
                  "took the distribution of the sample for that of the sample mean"),
        ],
        "For large samples the mean is nearly normal whatever the population, with spread sigma / sqrt(n).",
        {"mean": mean, "sd": sd, "n": n},
    )


_ASK_TOTAL_OF_SAMPLE = wordings("""
    train: The {m.thing} of {m.who} has mean {mean} {m.unit} and standard deviation {sd} {m.unit}. For a random
        sample of {n}, what is the probability that the values of {m.thing} add up to more than {cut} {m.unit}?
    train: For {m.who}, {m.thing} has mean {mean} and standard deviation {sd} {m.unit}. A random sample of {n}
        is taken. Find the approximate probability that the sum of the {n} values exceeds {cut} {m.unit}.
    test: How likely is it that {n} {m.who}, picked by chance, come to more than {cut} {m.unit} in {m.thing} all
        told? Singly they average {mean} {m.unit} and vary with an SD of {sd}.
    test: Add up the {m.thing} of {n} {m.many} drawn by lot. With {mean} as average and {sd} as SD (in {m.unit})
        for single {m.who}, what are the chances that the sum is greater than {cut}?
""")


@kind(3)
def total_of_sample(draw: Draw) -> Draft:
    """P(sum of n independent values above a value)."""
    m = draw.setting(MEASURES)
    mean, sd, n = draw.decimal(*m.mean, m.digits), draw.decimal(*m.sd, 1), draw.integer(30, 60)
    center, spread = n * mean, math.sqrt(n) * sd
    cut = draw.decimal(center - 2.2 * spread, center + 2.2 * spread, 0)
    z = (cut - center) / spread
    draw.need(abs(z) > 0.25)
    first = f"The total has mean {n} * {mean} = {plain(center)} {m.unit}."
    last = "By the central limit theorem it is approximately normal"

    def work(used: float, how: str) -> list[str]:
        score = (cut - center) / used
        return [first, how, f"{last}: z = ({cut} - {plain(center)}) / {sig(used)} = {score:.2f}, and the area above it "
                            f"is {normal_cdf(-score):.4f}."]

    right, scaled, root = normal_cdf(-z), n * sd, sd / math.sqrt(n)
    return Draft(
        draw.ask(_ASK_TOTAL_OF_SAMPLE, m=m, mean=mean, sd=sd, n=n, cut=cut),
        work(spread, f"Its standard deviation is sqrt({n}) * {sd} = {sig(spread)} {m.unit}."),
        probability(right),
        [
            Wrong(probability(normal_cdf(-(cut - center) / scaled)),
                  "multiplied the standard deviation by n instead of by its root",
                  work(scaled, f"Its standard deviation is {n} * {sd} = {sig(scaled)} {m.unit}.")),
            Wrong(probability(1 - right), "gave the area on the wrong side of the value",
                  [first, f"Its standard deviation is sqrt({n}) * {sd} = {sig(spread)} {m.unit}.",
                   f"z = {z:.2f}, and the area below it is {1 - right:.4f}."]),
            Wrong(probability(normal_cdf(-(cut - center) / root)),
                  "used the standard deviation of a mean for the total",
                  work(root, f"Its standard deviation is {sd} / sqrt({n}) = {sig(root)} {m.unit}.")),
            Wrong(probability(abs(0.5 - right)), "gave the area between the mean and the value"),
            Wrong(probability(2 * min(right, 1 - right)), "doubled the tail"),
        ],
        "A total of n independent values has mean n * mu and standard deviation sqrt(n) * sigma.",
        {"mean": mean, "sd": sd, "n": n, "cut": cut},
    )


_ASK_FINITE_POPULATION_SPREAD = wordings("""
    test: There are only {total} {m.who} on a list, with an SD of {sd} {m.unit} in {m.thing}, and {n} of them
        are drawn by lot, none twice. Since that is well over a tenth of the list, the finite population
        correction is called for. What is the SD of the average of the draw?
    test: Out of {total} {m.who} in all, {n} are to be measured, drawn by lot without replacement. Their
        {m.thing} varies with an SD of {sd} {m.unit}. Give the SD of the average, with the correction for a
        finite population.
""")


@kind(2, held_out=True)
def finite_population_spread(draw: Draw) -> Draft:
    """The standard deviation of a mean when the sample is a large part of the population."""
    m = draw.setting(MEASURES)
    total, sd = 10 * draw.integer(8, 40), draw.decimal(*m.sd, 1)
    n = draw.integer(total // 5, total // 2)
    bare = sd / math.sqrt(n)
    share = (total - n) / (total - 1)
    right = bare * math.sqrt(share)
    start = f"Without the correction the standard deviation is {sd} / sqrt({n}) = {sig(bare)} {m.unit}."

    def option(value: float, slip: str, steps: Sequence[str] = ()) -> Wrong:
        return Wrong(number(value, 3, m.unit, tolerance=0.005 * right), slip, steps)

    return Draft(
        draw.ask(_ASK_FINITE_POPULATION_SPREAD, m=m, total=total, n=n, sd=sd),
        [start, f"The correction is sqrt(({total} - {n}) / ({total} - 1)) = {sig(math.sqrt(share))}.",
         f"Together that is {sig(bare)} * {sig(math.sqrt(share))} = {right:.3f} {m.unit}."],
        number(right, 3, m.unit, tolerance=max(0.001, 0.005 * right)),
        [
            option(bare, "left out the finite population correction",
                   [f"The mean of {n} values has standard deviation sigma / sqrt(n).",
                    f"That is {sd} / sqrt({n}) = {bare:.3f} {m.unit}, whatever the size of the population."]),
            option(bare * share, "forgot the square root in the correction",
                   [start, f"The correction is ({total} - {n}) / ({total} - 1) = {sig(share)}.",
                    f"Together that is {sig(bare)} * {sig(share)} = {bare * share:.3f} {m.unit}."]),
            option(bare / math.sqrt(share), "divided by the correction instead of multiplying",
                   [start, f"The correction is sqrt(({total} - {n}) / ({total} - 1)) = {sig(math.sqrt(share))}.",
                    f"Together that is {sig(bare)} / {sig(math.sqrt(share))} = {bare / math.sqrt(share):.3f} "
                    f"{m.unit}."]),
            option(sd * math.sqrt(share), "corrected the standard deviation of single values"),
            option(sd / math.sqrt(total), "divided by the root of the population size"),
        ],
        "A sample that takes much of a population varies less, by the factor sqrt((N - n) / (N - 1)).",
        {"total": total, "n": n, "sd": sd},
    )
