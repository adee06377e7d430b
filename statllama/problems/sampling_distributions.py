"""Sampling distributions of means and proportions, and the central limit theorem."""

from __future__ import annotations

import math

from ._draw import Draw, kind
from ._numerics import normal_cdf
from ._problem import Draft, Wrong, count, fixed, number, plain, probability, sig, words
from ._settings import MEASURES, SHARES, VERSUS

# fmt: off

_SQUARES = (9, 16, 25, 36, 49, 64, 81, 100, 20, 30, 40, 50, 60, 75)


@kind(1)
def standard_error_of_mean(draw: Draw) -> Draft:
    """The standard deviation of the sample mean."""
    m = draw.setting(MEASURES)
    sd, n = draw.decimal(*m.sd, 1), draw.choice(_SQUARES)
    right = sd / math.sqrt(n)
    return Draft(
        draw.wording(
            f"The {m.thing} of {m.who} has standard deviation {sd} {m.unit}. What is the standard deviation "
            f"of the sample mean for random samples of size {n}?",
            f"Random samples of {n} are taken from {m.who}, whose {m.thing} has a standard deviation of {sd} "
            f"{m.unit}. Find the standard deviation of the sampling distribution of the mean.",
        ),
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
        f"The {m.thing} of {m.who} is approximately normal with mean {mean} {m.unit} and standard deviation "
        f"{sd} {m.unit}. "
        + draw.wording(f"What is the probability that the mean of a random sample of {n} is {side} {cut} "
                       f"{m.unit}?", f"A random sample of {n} {m.many} is taken. Find the probability that "
                                     f"its mean {m.thing} is {side} {cut} {m.unit}."),
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


@kind(2)
def sample_proportion_probability(draw: Draw) -> Draft:
    """P(sample proportion above or below a value) by the normal approximation."""
    s = draw.setting(SHARES)
    p, n = draw.decimal(*s.p, 2), draw.choice((80, 100, 120, 150, 200, 250, 300, 400))
    se = math.sqrt(p * (1 - p) / n)
    cut = draw.decimal(p - 2.2 * se, p + 2.2 * se, 3)
    z = (cut - p) / se
    draw.need(n * p >= 10 and n * (1 - p) >= 10 and abs(z) > 0.25 and 0 < cut < 1)
    above = draw.choice((True, False))
    side = "above" if above else "below"

    def tail(score: float) -> float:
        return normal_cdf(-score if above else score)

    def work(spread: float, how: str) -> list[str]:
        score = (cut - p) / spread
        return ([how, f"z = ({cut} - {p}) / {sig(spread)} = {score:.2f}.",
                 f"The area {side} it is {tail(score):.4f}."])

    right, single = tail(z), math.sqrt(p * (1 - p))
    return Draft(
        f"Suppose {p * 100:g}% of all {s.who} {s.does}. "
        + draw.wording("Use a normal approximation to find the probability that the proportion in a random "
                       f"sample of {n} is {side} {cut}.",
                       f"For a random sample of {n} {s.many}, what is the approximate probability of a "
                       f"sample proportion {side} {cut}?"),
        work(se, f"The sample proportion has standard deviation sqrt({p} * {plain(1 - p)} / {n}) = "
                 f"{sig(se)}."),
        probability(right),
        [
            Wrong(probability(1 - right), "gave the area on the wrong side of the value",
                  [f"The standard deviation is {sig(se)}, so z = {z:.2f}.",
                   f"The other side has {right:.4f}, so the probability is {1 - right:.4f}."]),
            Wrong(probability(tail((cut - p) / single)), "left the sample size out of the standard deviation",
                  work(single, f"The standard deviation is sqrt({p} * {plain(1 - p)}) = {sig(single)}.")),
            Wrong(probability(abs(0.5 - right)), "gave the area between the mean and the value"),
            Wrong(probability(tail((cut - p) / math.sqrt(p / n))),
                  "left the factor 1 - p out of the standard deviation",
                  work(math.sqrt(p / n),
                       f"The standard deviation is sqrt({p} / {n}) = {sig(math.sqrt(p / n))}.")),
            Wrong(probability(2 * min(right, 1 - right)), "doubled the tail"),
        ],
        "A sample proportion has mean p and standard deviation sqrt(p(1 - p) / n).",
        {"p": p, "n": n, "cut": cut, "above": above},
    )


@kind(1)
def sample_size_effect(draw: Draw) -> Draft:
    """The sample size that divides the standard error by a factor."""
    m = draw.setting(MEASURES)
    n, factor = draw.integer(12, 90), draw.choice((2, 3, 4, 5))
    times = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth"}[factor]
    right = n * factor**2
    start = "The standard error is sigma / sqrt(n), so n must grow by the square of the factor."
    return Draft(
        draw.wording(
            f"A random sample of {n} {m.who} gives a certain standard error for the mean {m.thing}. What "
            f"sample size would make the standard error {times} as large?",
            f"To estimate the mean {m.thing} of {m.who}, {n} {m.many} were sampled. How many must be sampled "
            f"to cut the standard error to {times} of its value?",
        ),
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
            Wrong(count(n + factor**2), "added the square of the factor"),
            Wrong(count(n * (factor**2 - 1)), "gave the number of additional observations",
                  [start, f"That takes {right} - {n} = {right - n} more, so n = {right - n}."]),
        ],
        "To divide a standard error by k, the sample must be k squared times as large.",
        {"n": n, "factor": factor},
    )


@kind(3)
def difference_of_means_probability(draw: Draw) -> Draft:
    """P(difference of two independent sample means exceeds a value)."""
    v = draw.setting(VERSUS)
    mean2, sd1, sd2 = draw.decimal(*v.mean, v.digits), draw.decimal(*v.sd, 1), draw.decimal(*v.sd, 1)
    mean1 = type(mean2)(round(mean2 + draw.decimal(*v.gain, v.digits), v.digits))
    n1, n2 = draw.integer(20, 60), draw.integer(20, 60)
    gap, se = mean1 - mean2, math.sqrt(sd1**2 / n1 + sd2**2 / n2)
    cut = draw.choice((type(mean2)(0), draw.decimal(max(0.0, gap - 1.8 * se), gap + 1.8 * se, v.digits)))
    z = (cut - gap) / se
    draw.need(0.25 < abs(z) < 2.6)
    right = normal_cdf(-z)

    def work(spread: float, how: str) -> list[str]:
        score = (cut - gap) / spread
        return [f"The difference of sample means has mean {mean1} - {mean2} = {plain(gap)}.", how,
                f"z = ({cut} - {plain(gap)}) / {sig(spread)} = {score:.2f}, and P(difference > {cut}) = "
                f"{normal_cdf(-score):.4f}."]

    added, plain_sd = sd1 / math.sqrt(n1) + sd2 / math.sqrt(n2), math.hypot(sd1, sd2)
    return Draft(
        f"With {v.a}, {v.y} is normal with mean {mean1} and standard deviation {sd1} {v.unit}; with {v.b}, "
        f"it is normal with mean {mean2} and standard deviation {sd2} {v.unit}. "
        + draw.wording(f"Independent random samples of {n1} and {n2} {v.units} are taken. What is the "
                       f"probability that the first sample mean exceeds the second by more than {cut} "
                       f"{v.unit}?",
                       f"For independent samples of sizes {n1} and {n2}, find the probability that the first "
                       f"sample mean minus the second is greater than {cut} {v.unit}."),
        work(se, f"Its standard deviation is sqrt({sd1}^2 / {n1} + {sd2}^2 / {n2}) = {sig(se)}."),
        probability(right),
        [
            Wrong(probability(normal_cdf(-(cut - gap) / added)),
                  "added the standard errors instead of the variances",
                  work(added, f"Its standard deviation is {sd1} / sqrt({n1}) + {sd2} / sqrt({n2}) = "
                              f"{sig(added)}.")),
            Wrong(probability(1 - right), "gave the area on the wrong side of the value"),
            Wrong(probability(normal_cdf(-(cut - gap) / plain_sd)), "left out the sample sizes",
                  work(plain_sd, f"Its standard deviation is sqrt({sd1}^2 + {sd2}^2) = {sig(plain_sd)}.")),
            Wrong(probability(abs(0.5 - right)), "gave the area between the center and the value"),
            Wrong(probability(2 * min(right, 1 - right)), "doubled the tail"),
        ],
        "For independent samples the variances of the two means add.",
        {"mean1": mean1, "mean2": mean2, "sd1": sd1, "sd2": sd2, "n1": n1, "n2": n2, "cut": cut},
    )


@kind(1)
def central_limit_theorem(draw: Draw) -> Draft:
    """The shape, center and spread of the mean of many values from a skewed population."""
    m = draw.setting(MEASURES)
    mean, sd = draw.decimal(*m.mean, m.digits), draw.decimal(*m.sd, 1)
    n = draw.choice((36, 40, 49, 64, 81, 100, 121, 144))
    se = sd / math.sqrt(n)

    def claim(shape: str, spread: float) -> str:
        return f"{shape}, with mean {mean} and standard deviation {fixed(spread, 2)} {m.unit}."

    draw.need(fixed(se, 2) != fixed(sd / n, 2))
    first = "By the central limit theorem, means of large random samples are approximately normal."
    return Draft(
        f"Suppose that the {m.thing} of {m.who} is strongly skewed, with mean {mean} {m.unit} and standard "
        f"deviation {sd} {m.unit}. "
        + draw.wording(f"Which describes the sampling distribution of the mean of {n} of them chosen at "
                       "random?", f"For random samples of {n}, what is the distribution of the sample mean "
                                  "like?"),
        [first, f"The mean of the sample mean is {mean}, and its standard deviation is {sd} / sqrt({n}) = "
                f"{fixed(se, 2)} {m.unit}."],
        words(claim("Approximately normal", se)),
        [
            Wrong(words(claim("Strongly skewed", se)),
                  "thought that sample means keep the skew of the population",
                  ["Samples look like the population they come from.",
                   f"So the sample mean is skewed too, with standard deviation {sd} / sqrt({n}) = "
                   f"{fixed(se, 2)} {m.unit}."]),
            Wrong(words(claim("Approximately normal", sd)),
                  "left the spread of the mean equal to that of single values",
                  [first, f"Its standard deviation is that of the population, {sd} {m.unit}."]),
            Wrong(words(claim("Approximately normal", sd / n)),
                  "divided the standard deviation by n instead of by its root",
                  [first, f"Its standard deviation is {sd} / {n} = {fixed(sd / n, 2)} {m.unit}."]),
            Wrong(words(claim("Skewed like the population", sd)),
                  "took the distribution of the sample for that of the sample mean"),
        ],
        "For large samples the mean is nearly normal whatever the population, with spread sigma / sqrt(n).",
        {"mean": mean, "sd": sd, "n": n},
    )
