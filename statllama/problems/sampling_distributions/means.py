"""Sampling distributions of means and totals."""

from __future__ import annotations

import math

from .._draw import Draw, kind
from .._phrases import SO
from .._problem import count, number, plain, probability, sig
from .._settings import MEASURES
from .._settings_probability import ADDITIVE
from .._siblings import Sibling, Siblings, square
from .._wording import wordings
from ._shared import SIDES, WRONG_SIDE, tail

# fmt: off


_STEM_STANDARD_ERROR_OF_MEAN = wordings("""
    train: The {m.thing} of {m.who} has standard deviation {sd} {m.unit}. Two random samples are planned, the first of
        {n1} {m.many} and the second of {n2}.
    train: Random samples are taken from {m.who}, whose {m.thing} has a standard deviation of {sd} {m.unit}. The first
        sample has size {n1}, the second has size {n2}.
    train: For {m.who}, the standard deviation of {m.thing} is {sd} {m.unit}. One student selects {n1} {m.many} at
        random (first sample), another selects {n2} (second sample).
    train: A population of {m.who} has a standard deviation of {sd} {m.unit} in {m.thing}. Two independent random
        samples have sizes {n1} (first) and {n2} (second).
    test: {m.thing!c} varies among {m.who} with SD {sd} {m.unit}. Two samples, of {n1} and {n2} {m.many}, are selected
        at random.
    test: From {m.who}, two samples are drawn at random: {n1} {m.many} (first) and {n2} {m.many} (second). A single
        {m.thing} has sigma = {sd} {m.unit}.
    test: The {m.thing} of one of the {m.who} has an SD of {sd} {m.unit}. A first random sample consists of {n1}
        {m.many}, a second of {n2}.
""")
_ASK_STANDARD_ERROR_OF_MEAN = wordings("""
    train/mean: What is the standard deviation of the mean {m.thing} of the {which} sample?
    train/mean: Find the standard deviation of the sampling distribution of the mean for the {which} sample.
    train/total: What is the standard deviation of the sum of the {n} values of the {which} sample?
    train/total: Find the standard deviation of the sampling distribution of the total for the {which} sample.
    test/mean: For samples of {m.many} like the {which}, what is the SD of the average {m.thing}?
    test/mean: Compute the SD of x-bar, the average {m.thing}, for the {which} of these.
    test/total: For samples of {m.many} like the {which}, what is the SD of the total {m.thing}?
    test/total: Compute the SD of the total {m.thing} for the {which} of these.
""")


@kind(1, ap="4.9, 5.7")
def standard_error_of_mean(draw: Draw) -> Siblings:
    """The standard deviation of a sample mean or total, for one of two samples."""
    m = draw.setting(ADDITIVE)
    sd, sizes = draw.decimal(*m.sd, 1), (draw.integer(4, 90), draw.integer(4, 90))
    draw.need(abs(sizes[0] - sizes[1]) > 4)
    stem = draw.ask(_STEM_STANDARD_ERROR_OF_MEAN, m=m, sd=sd, n1=sizes[0], n2=sizes[1])

    def make(total: int, b: int) -> Sibling:
        n, which = sizes[b], ("first", "second")[b]
        name = ("mean", "total")[total]
        value = sd * math.sqrt(n) if total else sd / math.sqrt(n)
        formula = "sqrt(n) * sigma" if total else "sigma / sqrt(n)"
        worked = f"sqrt({n}) * {sd}" if total else f"{sd} / sqrt({n})"
        steps = [
            f"The {n} {m.many} of the {which} sample are selected at random from a much larger population, so the "
            "values are independent.",
            f"[The variance of the {name} is // For independent values, the {name} has variance] "
            + ("`n * sigma^2`" if total else "`sigma^2 / n`")
            + f", so its standard deviation is `{formula}`.",
            f"[The standard deviation of the {name} of the {which} sample is // For the {which} sample, this is // "
            f"With `n = {n}` and `sigma = {sd}`, the {name} has standard deviation] `{worked} = {value:.2f}` {m.unit}.",
        ]
        ask = draw.ask(_ASK_STANDARD_ERROR_OF_MEAN, name, m=m, n=n, which=which)
        return Sibling(f"{name}, {which}", f"{stem} {ask}", steps,
                       number(value, 2, m.unit, tolerance=max(0.01, 0.005 * value)),
                       "A mean of n values varies less than one value, and a total more, by the factor `sqrt(n)`.")

    return square(
        make,
        ("multiplied by the root of n, as for a total", "divided by the root of n, as for a mean"),
        ("used the size of the other sample",) * 2,
        {"sd": sd, "sizes": sizes},
    )


_STEM_SAMPLE_MEAN_PROBABILITY = wordings("""
    train: The {m.thing} of {m.who} is approximately normal with mean {mean} {m.unit} and standard deviation {sd}
        {m.unit}. A random sample of {n} {m.many} is taken.
    train: For {m.who}, {m.thing} follows a normal distribution with mean {mean} and standard deviation {sd} {m.unit}.
        Then {n} of them are selected at random, one after another.
    train: A normal distribution with mean {mean} {m.unit} and standard deviation {sd} {m.unit} describes the {m.thing}
        of {m.who}. Consider {n} {m.many} chosen at random.
    train: Suppose that the {m.thing} of {m.who} is normally distributed, with mu = {mean} and sigma = {sd} {m.unit}. A
        researcher selects {n} {m.many} at random.
    test: Values of {m.thing} for {m.who} are N({mean}, {sd}) in {m.unit}, where the second number is the SD. A sample
        consists of {n} {m.many} drawn at random.
    test: The {m.thing} of {m.who} fits a normal model, centered at {mean} {m.unit} with an SD of {sd} {m.unit}. A
        sample of {n} {m.many} is picked at random.
    test: How unusual are high or low values of {m.thing} among {m.who}? In {m.unit}, they have a normal distribution,
        mean {mean}, SD {sd}; {n} {m.many} are sampled at random.
""")
_ASK_SAMPLE_MEAN_PROBABILITY = wordings("""
    train/one: What is the probability that the first {m.one} selected has a {m.thing} {side} {cut} {m.unit}?
    train/one: Find the probability that a single one of these {m.many} has a {m.thing} {side} {cut} {m.unit}.
    train/mean: What is the probability that the mean {m.thing} of the sample is {side} {cut} {m.unit}?
    train/mean: Find the probability that the {n} {m.many} have a mean {m.thing} {side} {cut} {m.unit}.
    test/one: How likely is {m.thing!a} {side} {cut} {m.unit} for the first {m.one}?
    test/one: For one of these {m.many}, compute the probability of a value {side} {cut} {m.unit}.
    test/mean: How likely is an average {m.thing} {side} {cut} {m.unit} for the {n} {m.many}?
    test/mean: For the average of these {m.many}, compute the probability of a value {side} {cut} {m.unit}.
""")


@kind(2, ap="5.2, 5.7")
def sample_mean_probability(draw: Draw) -> Siblings:
    """P(one value, or the sample mean, above or below a value)."""
    m = draw.setting(MEASURES)
    mean, sd, n = draw.decimal(*m.mean, m.digits), draw.decimal(*m.sd, 1), draw.integer(3, 9)
    cut = draw.decimal(mean - 1.2 * sd, mean + 1.2 * sd, m.digits + 1)
    scores = ((cut - mean) / sd, (cut - mean) / sd * math.sqrt(n))
    draw.need(abs(scores[0]) > 0.15 and abs(scores[1]) < 2.9)
    stem = draw.ask(_STEM_SAMPLE_MEAN_PROBABILITY, m=m, mean=mean, sd=sd, n=n)

    def make(average: int, below: int) -> Sibling:
        z, side = scores[average], SIDES[below]
        value = tail(z, below)
        spread = f"`{sd} / sqrt({n}) = {sig(sd / math.sqrt(n))}`" if average else str(sd)
        what = f"the mean of {n} values" if average else "a single value"
        steps = [
            f"The distribution of {what} is normal, [as the population is // because the population is normal], with "
            f"mean {mean} {m.unit}.",
            f"[The standard deviation of {what} is // Its standard deviation is] {spread} {m.unit}.",
            f"[Standardizing, // The z-score is // For {cut} {m.unit},] `z = ({cut} - {mean}) / "
            f"{sig(sd / math.sqrt(n)) if average else sd} = {z:.2f}`.",
            f"[The probability that {what} is {side} {cut} {m.unit} is {value:.4f} // The area {side} this z-score is "
            f"{value:.4f}, the probability that {what} is {side} {cut} {m.unit}].",
        ]
        ask = draw.ask(_ASK_SAMPLE_MEAN_PROBABILITY, ("one", "mean")[average], m=m, n=n, side=side, cut=cut)
        return Sibling(f"{('one', 'mean')[average]} {side}", f"{stem} {ask}", steps, probability(value),
                       "A single value is standardized with sigma, the mean of n values with `sigma / sqrt(n)`.")

    return square(
        make,
        ("used sigma / sqrt(n) although one value is asked about", "used sigma although the sample mean is asked "
                                                                   "about"),
        WRONG_SIDE,
        {"mean": mean, "sd": sd, "n": n, "cut": cut},
    )


_STEM_TOTAL_OF_SAMPLE = wordings("""
    train: The {m.thing} of {m.who} has mean {mean} {m.unit} and standard deviation {sd} {m.unit}. A random sample of
        {n} {m.many} is taken.
    train: For {m.who}, {m.thing} has mean {mean} and standard deviation {sd} {m.unit}; the shape of the distribution
        is not known. A sample of {n} is selected at random.
    train: Records on {m.who} show a mean {m.thing} of {mean} {m.unit} with a standard deviation of {sd} {m.unit}.
        Consider {n} {m.many} chosen at random.
    train: In a large population of {m.who}, {m.thing} has mu = {mean} and sigma = {sd} {m.unit}. A researcher measures
        {n} {m.many}, selected at random.
    test: Singly, {m.who} average {mean} {m.unit} in {m.thing}, with an SD of {sd} {m.unit}. Now {n} {m.many} are drawn
        at random.
    test: Take {n} {m.many} at random from {m.who}. In {m.unit}, the {m.thing} of one {m.one} has expected value {mean}
        and SD {sd}.
    test: A random sample has {n} {m.many}. For {m.who}, the expected {m.thing} is {mean} {m.unit}, and its SD is {sd}
        {m.unit}.
""")
_ASK_TOTAL_OF_SAMPLE = wordings("""
    train/total: What is the approximate probability that the {n} values of {m.thing} add up to {side} than {cut}
        {m.unit}?
    train/total: Find the approximate probability that the sum of the {n} values is {side} than {cut} {m.unit}.
    train/mean: What is the approximate probability that the {n} values of {m.thing} have a mean of {side} than {cut}
        {m.unit}?
    train/mean: Find the approximate probability that the mean of the {n} values is {side} than {cut} {m.unit}.
    test/total: About how likely is a total {m.thing} of {side} than {cut} {m.unit}?
    test/total: By a normal approximation, how likely are these {m.many} to have a total of {side} than {cut} {m.unit}?
    test/mean: About how likely is an average {m.thing} of {side} than {cut} {m.unit}?
    test/mean: By a normal approximation, how likely are these {m.many} to have an average of {side} than {cut}
        {m.unit}?
""")


@kind(3, ap="4.9, 5.3")
def total_of_sample(draw: Draw) -> Siblings:
    """P(sum or mean of n independent values above or below a value), by the central limit theorem."""
    m = draw.setting(ADDITIVE)
    mean, sd, n = draw.decimal(*m.mean, m.digits), draw.decimal(*m.sd, 1), draw.integer(30, 60)
    centers, spreads = (n * mean, float(mean)), (math.sqrt(n) * sd, sd / math.sqrt(n))
    reach = [draw.choice((-1, 1)) * draw.integer(25, 220) / 100 for _ in centers]
    cuts = [type(mean)(round(center + z * spread, digits))
            for center, z, spread, digits in zip(centers, reach, spreads, (m.digits, m.digits + 1), strict=True)]
    scores = [(cut - center) / spread for cut, center, spread in zip(cuts, centers, spreads, strict=True)]
    draw.need(all(0.2 < abs(z) < 2.4 for z in scores))
    stem = draw.ask(_STEM_TOTAL_OF_SAMPLE, m=m, mean=mean, sd=sd, n=n)

    def make(average: int, below: int) -> Sibling:
        cut, center, spread, z = cuts[average], centers[average], spreads[average], scores[average]
        value, name = tail(z, below), ("total", "mean")[average]
        worked = f"{sd} / sqrt({n})" if average else f"sqrt({n}) * {sd}"
        steps = [
            f"The sample is random and n = {n} is at least 30, so [by the central limit theorem // whatever the shape "
            f"of the population,] the {name} is approximately normal.",
            f"Its mean is {plain(center)} {m.unit}, and its standard deviation is `{worked} = {sig(spread)}` {m.unit}.",
            f"[Standardizing, // The z-score is // For {cut} {m.unit},] `z = ({cut} - {plain(center)}) / {sig(spread)} "
            f"= {z:.2f}`.",
            f"[The probability that the {name} is {SIDES[below]} {cut} {m.unit} is about {value:.4f} // The area "
            f"{SIDES[below]} it, about {value:.4f}, is the probability that the {name} is {SIDES[below]} {cut} "
            f"{m.unit}].",
        ]
        ask = draw.ask(_ASK_TOTAL_OF_SAMPLE, name, m=m, n=n, side=("more", "less")[below], cut=cut)
        return Sibling(f"{name} {SIDES[below]}", f"{stem} {ask}", steps, probability(value),
                       "A total of n values has mean `n mu` and standard deviation `sqrt(n) sigma`; a mean has mu and "
                       "`sigma / sqrt(n)`.")

    return square(
        make,
        ("worked with the mean instead of the total", "worked with the total instead of the mean"),
        WRONG_SIDE,
        {"mean": mean, "sd": sd, "n": n, "cuts": cuts},
    )


_STEM_SAMPLE_SIZE_EFFECT = wordings("""
    train: A random sample of {n} {m.who} gives a certain standard error for the mean {m.thing}.
    train: To estimate the mean {m.thing} of {m.who}, a researcher plans a random sample of {n} {m.many} and works out
        the standard error.
    train: The mean {m.thing} of {m.who} was estimated from {n} {m.many}, selected at random.
    train: Last year, a random sample of {n} {m.many} was used to estimate the mean {m.thing} of {m.who}. A new study
        will use another sample size.
    test: With {n} {m.many} drawn at random, the average {m.thing} of {m.who} was estimated with a certain SE.
    test: How large should a sample of {m.who} be? So far, the average {m.thing} is computed from {n} {m.many}.
    test: A survey of the {m.thing} of {m.who} is to be repeated. It had {n} {m.many}, selected at random.
""")
_ASK_SAMPLE_SIZE_EFFECT = wordings("""
    train: What sample size would make the standard error {times} as large?
    train: How many {m.many} should be sampled for a standard error that is {times} as large?
    test: Find the n for which the SE of the average {m.thing} would be {times} as large as it is now.
    test: With how many {m.many} would the SE be {times} as large as before?
""")


@kind(1, ap="5.7")
def sample_size_effect(draw: Draw) -> Siblings:
    """The sample size that divides or multiplies the standard error by a factor."""
    m = draw.setting(MEASURES)
    factors = draw.choice(((2, 3), (2, 4), (3, 4), (2, 5), (3, 5)))
    unit = math.lcm(*(f * f for f in factors))
    n = unit * draw.integer(1, max(1, 1600 // unit))
    stem = draw.ask(_STEM_SAMPLE_SIZE_EFFECT, m=m, n=n)
    shares, times = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth"}, {2: "twice", 3: "three times",
                                                                         4: "four times", 5: "five times"}

    def make(larger: int, b: int) -> Sibling:
        factor = factors[b]
        wanted = (times if larger else shares)[factor]
        value = n // factor**2 if larger else n * factor**2
        steps = [
            "The standard error of a mean is `sigma / sqrt(n)`, so it is inversely proportional to [the square root of "
            "n // `sqrt(n)`].",
            f"[For a standard error {wanted} as large, n must be // To make it {wanted} as large, n is] "
            + ("divided" if larger else "multiplied") + f" by `{factor}^2 = {factor**2}`.",
            f"[The sample size is // That makes // The new sample size is] `{n} {'*/'[larger]} {factor**2} = {value}` "
            f"{m.many}.",
        ]
        return Sibling(f"{wanted} as large", f"{stem} {draw.ask(_ASK_SAMPLE_SIZE_EFFECT, m=m, times=wanted)}", steps,
                       count(value), "To divide a standard error by k, multiply the sample size by k squared.")

    return square(
        make,
        ("made the standard error larger instead of smaller", "made the standard error smaller instead of larger"),
        tuple(f"changed the standard error by a factor of {f} instead of {g}"  # type: ignore[arg-type]
              for g, f in (factors, factors[::-1])),
        {"n": n, "factors": factors},
    )


_STEM_FINITE_POPULATION_SPREAD = wordings("""
    test: There are only {total} {m.who} on a list, with a standard deviation of {sd} {m.unit} in {m.thing}, and {n}
        are selected at random.
    test: Out of {total} {m.who} in all, {n} {m.many} are measured, chosen at random. In the whole list, the {m.thing}
        has an SD of {sd} {m.unit}.
    test: How precise is a sample of {n} {m.many}, if there are no more than {total} {m.who} altogether? Their
        {m.thing} varies with sigma = {sd} {m.unit}.
    test: A small population consists of {total} {m.who}; their {m.thing} has a standard deviation of {sd} {m.unit}. A
        random sample of {n} {m.many} is taken.
""")
_ASK_FINITE_POPULATION_SPREAD = wordings("""
    test/without: Without replacement (finite population correction), what is the SD of the {name} {m.thing} of the
        {m.many}?
    test/without: If no {m.one} can be selected twice (apply the finite population correction), what is the SD of the
        {name} {m.thing}?
    test/with: With replacement (no correction), what is the SD of the {name} {m.thing} of the {m.many}?
    test/with: If every {m.one} can be selected again each time (no correction applies), what is the SD of the {name}
        {m.thing}?
""")


@kind(2, held_out=True)
def finite_population_spread(draw: Draw) -> Siblings:
    """The standard deviation of a mean or total of much of a population, with or without replacement."""
    m = draw.setting(ADDITIVE)
    total, sd = 10 * draw.integer(8, 40), draw.decimal(*m.sd, 1)
    n = draw.integer(total // 5, total // 2)
    stem = draw.ask(_STEM_FINITE_POPULATION_SPREAD, m=m, total=total, n=n, sd=sd)

    def make(back: int, b: int) -> Sibling:
        name, root = ("mean", "total")[b], f"sqrt(({total} - {n}) / ({total} - 1))"
        share = 1.0 if back else math.sqrt((total - n) / (total - 1))
        bare = sd * math.sqrt(n) if b else sd / math.sqrt(n)
        worked = f"{sd} * sqrt({n})" if b else f"{sd} / sqrt({n})"
        steps = [
            f"For independent values, the standard deviation of the {name} is `{worked} = {sig(bare)}` {m.unit}.",
            "With replacement, the values are independent, so this holds as it is." if back else
            f"Without replacement, it is multiplied by the finite population correction `{root} = {sig(share)}`.",
            f"[The standard deviation // {SO} the standard deviation] of the {name} is " + (
                f"{bare:.3f} {m.unit}." if back else
                f"`{sig(bare)} * {sig(share)} = {bare * share:.3f}` {m.unit}."),
        ]
        ask = draw.ask(_ASK_FINITE_POPULATION_SPREAD, ("without", "with")[back], m=m, name=name)
        return Sibling(f"{('without', 'with')[back]} replacement, {name}", f"{stem} {ask}", steps,
                       number(bare * share, 3, m.unit, tolerance=0.005 * bare * share),
                       "A sample that takes much of a population varies less, by the factor `sqrt((N - n) / (N - 1))`.")

    return square(
        make,
        ("left out the finite population correction", "applied the finite population correction without need"),
        ("gave the standard deviation of the total", "gave the standard deviation of the mean"),
        {"total": total, "n": n, "sd": sd},
    )
