"""Sampling distributions of proportions, counts and differences."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._numerics import normal_cdf
from .._problem import (
    Draft,
    Wrong,
    plain,
    probability,
    sig,
)
from .._settings import SHARES, VERSUS
from .._wording import wordings

# fmt: off


_ASK_SAMPLE_PROPORTION_PROBABILITY = wordings("""
    train: Suppose {p100:g}% of all {s.who} {s.does}. Use a normal approximation to find the probability that
        the proportion in a random sample of {n} is {side} {cut}.
    train: Suppose {p100:g}% of all {s.who} {s.does}. For a random sample of {n} {s.many}, what is the
        approximate probability of a sample proportion {side} {cut}?
    test: In the population of {s.who}, a share of {p} {s.does}. A planner examines {n} of them, picked by
        chance. How likely, by the normal curve, is a sample share {side} {cut}?
    test: What are the chances, by normal approximation, that the fraction {s.rel} {s.does} comes out {side}
        {cut} among {n} {s.many} drawn by lot, when the true fraction for {s.who} is {p}?
""")


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
        draw.ask(_ASK_SAMPLE_PROPORTION_PROBABILITY, s=s, p=p, p100=p * 100, n=n, side=side, cut=cut),
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


_ASK_NORMAL_APPROXIMATION_OF_COUNT = wordings("""
    train: Suppose {p100:g}% of all {s.who} {s.does}. For a random sample of {n}, use a normal approximation
        (without a continuity correction) to find the probability that the number {s.rel} {s.does} is {side}
        {k}.
    train: Of {s.who}, {p100:g}% {s.does}. A random sample of {n} is taken. By the normal approximation to the
        binomial, without a continuity correction, what is the probability that {side} {k} of them {s.does}?
    test: Chance picks {n} {s.many} where the long-run share {s.rel} {s.does} is {p}. Replace the exact
        distribution of their count by a normal curve, with no correction for continuity: how likely is a count
        {side} {k} among such {s.who}?
    test: A share of {p} of {s.who} {s.does}; {n} of them are drawn by lot. What does the normal curve (no
        continuity correction) give for the chance that {side} {k} in the draw do?
""")


@kind(3)
def normal_approximation_of_count(draw: Draw) -> Draft:
    """P(binomial count above or below a value) by the normal approximation."""
    s = draw.setting(SHARES)
    p, n = draw.decimal(*s.p, 2), draw.integer(100, 600)
    mean, variance = n * p, n * p * (1 - p)
    sd = math.sqrt(variance)
    k = draw.integer(round(mean - 2.2 * sd), round(mean + 2.2 * sd))
    above = draw.choice((True, False))
    z = (k - mean) / sd
    draw.need(min(mean, n - mean) >= 10 and abs(z) > 0.25)

    def tail(spread: float) -> float:
        score = (k - mean) / spread
        return normal_cdf(-score if above else score)

    right = tail(sd)
    center = f"The count has mean {n} * {p} = {plain(mean)}."
    spread = f"Its standard deviation is sqrt({n} * {p} * {plain(1 - p)}) = {sig(sd)}."
    side = "above" if above else "below"

    def work(how: str, used: float) -> list[str]:
        return [center, how, f"z = ({k} - {plain(mean)}) / {sig(used)} = {(k - mean) / used:.2f}, and the area "
                             f"{side} it is {tail(used):.4f}."]

    bare = math.sqrt(mean)
    return Draft(
        draw.ask(_ASK_NORMAL_APPROXIMATION_OF_COUNT, s=s, p=p, p100=p * 100, n=n, k=k,
                 side="more than" if above else "fewer than"),
        work(spread, sd),
        probability(right),
        [
            Wrong(probability(tail(variance)), "standardized with the variance instead of the standard deviation",
                  work(f"Its spread is {n} * {p} * {plain(1 - p)} = {sig(variance)}.", variance)),
            Wrong(probability(tail(bare)), "left the factor 1 - p out of the standard deviation",
                  work(f"Its standard deviation is sqrt({n} * {p}) = {sig(bare)}.", bare)),
            Wrong(probability(1 - right), "gave the area on the wrong side of the value",
                  [center, spread, f"z = {z:.2f}, and the area {'below' if above else 'above'} it is "
                                   f"{1 - right:.4f}."]),
            Wrong(probability(abs(0.5 - right)), "gave the area between the mean and the value"),
            Wrong(probability(2 * min(right, 1 - right)), "doubled the tail"),
        ],
        "A binomial count is nearly normal with mean np and standard deviation sqrt(np(1 - p)) when both are large.",
        {"n": n, "p": p, "k": k, "above": above},
    )


_ASK_DIFFERENCE_OF_MEANS_PROBABILITY = wordings("""
    train: With {v.a}, {v.y} is normal with mean {mean1} and standard deviation {sd1} {v.unit}; with {v.b}, it
        is normal with mean {mean2} and standard deviation {sd2} {v.unit}. Independent random samples of {n1}
        and {n2} {v.units} are taken. What is the probability that the first sample mean exceeds the second by
        more than {cut} {v.unit}?
    train: With {v.a}, {v.y} is normal with mean {mean1} and standard deviation {sd1} {v.unit}; with {v.b}, it
        is normal with mean {mean2} and standard deviation {sd2} {v.unit}. For independent samples of sizes {n1}
        and {n2}, find the probability that the first sample mean minus the second is greater than {cut}
        {v.unit}.
    test: Two groups of {v.units} are formed by chance: {n1} get {v.a}, {n2} get {v.b}. In the long run {v.y}
        averages {mean1} {v.unit} (SD {sd1}) under the former and {mean2} {v.unit} (SD {sd2}) under the latter,
        with a normal shape both times. How likely is a lead of more than {cut} {v.unit} for the first group's
        average?
    test: Let D be the average {v.y} of {n1} {v.units} with {v.a} less that of {n2} others with {v.b}. Compute
        P(D > {cut}) from normal models with center {mean1} and SD {sd1} in the first case, {mean2} and {sd2} in
        the second (unit: {v.unit}).
""")


@kind(3)
def difference_of_means_probability(draw: Draw) -> Draft:
    """P(difference of two independent sample means exceeds a value)."""
    v = draw.setting(VERSUS)
    mean2, sd1, sd2 = draw.decimal(*v.mean, v.digits), draw.decimal(*v.sd, 1), draw.decimal(*v.sd, 1)
    mean1 = type(mean2)(round(mean2 + draw.decimal(*v.gain, v.digits), v.digits))
    n1, n2 = draw.integer(20, 60), draw.integer(20, 60)
    gap, se = mean1 - mean2, math.sqrt(sd1**2 / n1 + sd2**2 / n2)
    cut = draw.decimal(max(0.0, gap - 1.8 * se), gap + 1.8 * se, v.digits)
    cut = draw.choice((Given(0), cut, cut, cut))
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
        draw.ask(_ASK_DIFFERENCE_OF_MEANS_PROBABILITY, v=v, mean1=mean1, sd1=sd1, mean2=mean2, sd2=sd2, n1=n1,
                 n2=n2, cut=cut),
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


_ASK_DIFFERENCE_OF_PROPORTIONS_PROBABILITY = wordings("""
    train: The share of {s.who} {s.rel} {s.does} was {a100:g}% last year and is {b100:g}% this year. Independent
        random samples of {n1} (last year) and {n2} (this year) are taken. What is the probability that the
        first sample proportion exceeds the second by more than {cut}?
    train: Suppose {a100:g}% of {s.who} {s.does} in one year and {b100:g}% in another. For independent random
        samples of {n1} from the first year and {n2} from the second, find the probability that the first sample
        proportion minus the second is greater than {cut}.
    test: Draws by lot bring {n1} {s.who} from the coast, where the true share {s.rel} {s.does} is {a}, and {n2}
        from inland, where it is {b}. How likely is it that the coast leads by more than {cut} in the draws?
    test: Let D be the sample share {s.rel} {s.does} among {n1} {s.who} from group A less that among {n2} from
        group B. The true shares are {a} and {b}. Use the normal curve to work out P(D > {cut}).
""")


@kind(3)
def difference_of_proportions_probability(draw: Draw) -> Draft:
    """P(difference of two sample proportions exceeds a value)."""
    s = draw.setting(SHARES)
    a, b = draw.decimal(*s.p, 2), draw.decimal(*s.p, 2)
    n1, n2 = draw.integer(80, 400), draw.integer(80, 400)
    se = math.sqrt(a * (1 - a) / n1 + b * (1 - b) / n2)
    gap = a - b
    cut = draw.decimal(max(0.0, gap - 1.8 * se), max(0.02, gap + 1.8 * se), 3)
    cut = draw.choice((Given(0), cut, cut, cut))
    z = (cut - gap) / se
    draw.need(a > b and 0.25 < abs(z) < 2.6 and min(n * q for n, p in ((n1, a), (n2, b)) for q in (p, 1 - p)) >= 10)
    right = normal_cdf(-z)
    first = f"The difference of the sample proportions has mean {a} - {b} = {plain(gap)}."

    def work(used: float, how: str) -> list[str]:
        score = (cut - gap) / used
        return [first, how, f"z = ({cut} - {plain(gap)}) / {sig(used)} = {score:.2f}, and P(difference > {cut}) = "
                            f"{normal_cdf(-score):.4f}."]

    sd1, sd2 = math.sqrt(a * (1 - a) / n1), math.sqrt(b * (1 - b) / n2)
    minus = math.sqrt(abs(sd1**2 - sd2**2))
    return Draft(
        draw.ask(_ASK_DIFFERENCE_OF_PROPORTIONS_PROBABILITY, s=s, a=a, b=b, a100=a * 100, b100=b * 100, n1=n1, n2=n2,
                 cut=cut),
        work(se, f"Its standard deviation is sqrt({a} * {plain(1 - a)} / {n1} + {b} * {plain(1 - b)} / {n2}) = "
                 f"{sig(se)}."),
        probability(right),
        [
            Wrong(probability(normal_cdf(-(cut - gap) / (sd1 + sd2))),
                  "added the standard deviations instead of the variances",
                  work(sd1 + sd2, f"The two proportions have standard deviations {sig(sd1)} and {sig(sd2)}, which add "
                                  f"up to {sig(sd1 + sd2)}.")),
            Wrong(probability(1 - right), "gave the area on the wrong side of the value",
                  [first, f"Its standard deviation is {sig(se)}, so z = ({cut} - {plain(gap)}) / {sig(se)} = {z:.2f}.",
                   f"The area below it is {1 - right:.4f}."]),
            Wrong(probability(normal_cdf(-(cut - gap) / minus)), "subtracted the variances",
                  work(minus, f"The variances are subtracted like the proportions, which gives a standard deviation of "
                              f"{sig(minus)}.")),
            Wrong(probability(abs(0.5 - right)), "gave the area between the mean and the value"),
            Wrong(probability(2 * min(right, 1 - right)), "doubled the tail"),
        ],
        "For independent samples the variances of the two proportions add.",
        {"a": a, "b": b, "n1": n1, "n2": n2, "cut": cut},
    )
