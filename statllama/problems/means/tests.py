"""Tests for one mean: the statistic and its p-value."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._phrases import THAT, chance, decision, extreme, hypotheses, rarity, tenth
from .._problem import number, probability, sig
from .._settings import MEASURES
from .._siblings import Sibling, Siblings, square
from .._tails import SIGN, THAN, WAYS, area, other_way, p_value
from .._wording import wordings
from ._shared import mean_claim

# fmt: off


_STEM_ONE_MEAN_T = wordings("""
    train: A report gives the mean {m.thing} of {m.who} as {first} {m.unit}, a website as {second} {m.unit}. A random
        sample of {n} has mean {mean} {m.unit} and standard deviation {sd} {m.unit}, without strong skew or outliers.
        Earlier studies found a population standard deviation of {sigma} {m.unit}.
    train: For the mean {m.thing} of {m.who}, a report states {first} {m.unit} and a website states {second} {m.unit}.
        To check, {n} {m.many} are selected at random; without strong skew or outliers, they have mean {mean} and
        standard deviation {sd} {m.unit}. The population standard deviation is believed to be {sigma} {m.unit}.
    train: A random sample of {n} {m.who} has a mean {m.thing} of {mean} {m.unit} with standard deviation {sd}
        {m.unit}, and a roughly normal shape. According to older data, sigma is {sigma} {m.unit}. A report says that
        mu is {first} {m.unit}; a website says that it is {second} {m.unit}.
    train: Is the mean {m.thing} of {m.who} {first} {m.unit}, as a report says, or {second} {m.unit}, as a website
        says? In a random sample of {n}, roughly normal in shape, the mean is {mean} {m.unit} and the standard
        deviation {sd} {m.unit}; a value of {sigma} {m.unit} is often quoted for sigma.
    test: Two sources disagree about {m.who}: their average {m.thing} is {first} {m.unit} in a report but {second}
        {m.unit} on a website. A class draws a simple random sample, finds it symmetric without outliers, and computes n
        = {n}, x-bar = {mean}, s = {sd}. A handbook lists sigma = {sigma}.
    test: A simple random sample (n = {n}) of {m.who} is summarized by x-bar = {mean} {m.unit} and s = {sd} {m.unit}
        for {m.thing}; its dotplot is symmetric and has no outliers. In the literature sigma is {sigma} {m.unit}.
        Claimed averages are {first} {m.unit} (report) and {second} {m.unit} (website).
    test: Claims about the average {m.thing} of {m.who} range from a report's {first} to a website's {second}
        {m.unit}. Data from {n} {m.many}, drawn at random and nearly normal, average {mean} {m.unit} with s = {sd}
        {m.unit}, while a value of sigma = {sigma} {m.unit} is known from the past.
""")
_ASK_ONE_MEAN_T = wordings("""
    train/t: Treat sigma as unknown and compute the t statistic for testing the claim of the {source}.
    train/t: Without relying on the old value of sigma, what is the test statistic for the claim of the {source}?
    train/z: Treat sigma as known and compute the z statistic for testing the claim of the {source}.
    train/z: Relying on the old value of sigma, what is the test statistic for the claim of the {source}?
    test/t: Find the one-sample t statistic when the {source}'s figure is the null value.
    test/t: If H0 says that the {source} is right, what is the value of t?
    test/z: Find the one-sample z statistic when the {source}'s figure is the null value.
    test/z: If H0 says that the {source} is right, what is the value of z?
""")


@kind(1, ap="7.5", beyond="z statistic")
def one_mean_t(draw: Draw) -> Siblings:
    """The statistic of a test for one mean: which null value, and s or sigma."""
    m = draw.setting(MEASURES)
    mean, sd, n = draw.decimal(*m.mean, 1), draw.decimal(*m.sd, 1), draw.integer(10, 60)
    sigma, se = Given(round(sd * draw.decimal(0.7, 1.4, 2), 1)), sd / math.sqrt(n)
    nulls = [Given(round(mean - draw.decimal(-3.2, 3.2, 2) * se, 0 if sd > 15 else 1)) for _ in range(2)]
    draw.need(min(abs(mean - null) for null in nulls) > 0.4 * se)
    listed = {"m": m, "n": n, "mean": mean, "sd": sd, "sigma": sigma, "first": nulls[0], "second": nulls[1]}
    stem = draw.ask(_STEM_ONE_MEAN_T, **listed)

    def make(a: int, b: int) -> Sibling:
        letter, name, spread = (("t", "s", sd), ("z", "sigma", sigma))[b]
        null, error = nulls[a], spread / math.sqrt(n)
        value = (mean - null) / error
        steps = [
            f"Let mu be the mean {m.thing} of all {m.who}. [The null hypothesis is // We test] `H0: mu = {null}`.",
            "The sample is random, and " + (f"n = {n} is at least 30" if n >= 30 else
                                             f"with n = {n} there is no strong skew")
            + f", so normality [is plausible // of the sample mean is plausible]. With {name} = {spread} {m.unit}, the "
            f"standard error is `{name} / sqrt(n) = {spread} / sqrt({n}) = {sig(error)}`.",
            f"`{letter} = (x_bar - mu_0) / SE`{THAT} `{letter} = ({mean} - {null}) / {sig(error)} = {value:.2f}`.",
            f"The sample mean is {abs(value):.2f} standard errors {'above' if value > 0 else 'below'} {null} {m.unit}. "
            + rarity(p_value(value, None if b else n - 1, "different"), f"{value:.2f}"),
        ]
        ask = draw.ask(_ASK_ONE_MEAN_T, letter, source=("report", "website")[a])
        return Sibling(
            f"{letter} statistic, {('report', 'website')[a]}",
            f"{stem} {ask}",
            steps,
            number(value, 2, tolerance=0.02),
            "A test statistic is estimate minus null value, over the standard error; s gives t, a known sigma gives z.",
            mean_claim(m, null, "different", p_value(value, None if b else n - 1, "different")),
        )

    return square(
        make,
        ("tested the claim of the website instead of the report", "tested the claim of the report instead of the "
                                                                  "website"),
        ("used sigma in the standard error, as for z", "used s in the standard error, as for t"),
        {"mean": mean, "nulls": nulls, "sd": sd, "sigma": sigma, "n": n},
    )


_STEM_T_P_VALUE = wordings("""
    train: The {m.thing} of {m.who} is approximately normal. A random sample of {n} is used to test the claim that the
        population mean is {null} {m.unit}.
    train: A claim of {null} {m.unit} for the mean {m.thing} of {m.who} is tested with a random sample of {n}, which
        is roughly normal in shape.
    train: To test whether the mean {m.thing} of {m.who} is still {null} {m.unit}, {n} {m.many} are selected at
        random. The distribution is approximately normal.
    train: A random sample of {n} {m.who} is taken to test H0: mu = {null}, where mu is the mean {m.thing} in {m.unit}
        and the population is normal.
    test: Suppose that {m.thing} is normally distributed among {m.who}. From {n} of them, drawn at random, a class
        tests whether the average is {null} {m.unit}.
    test: Is {null} {m.unit} the average {m.thing} of {m.who}? An inspector has a simple random sample of size {n}, in
        which nothing contradicts normality.
    test: Under H0 the average {m.thing} of {m.who} is {null} {m.unit}. A simple random sample of {n} is available,
        with a dotplot that is single-peaked and symmetric.
""")
_ASK_T_P_VALUE = wordings("""
    train/s: The test statistic, computed with the sample standard deviation, is {t}. Find the p-value for the
        alternative that the mean {way} the value in the null hypothesis.
    train/s: With s in its standard error, the statistic is {t}. What is the p-value if the alternative says that the
        mean {way} the claimed value?
    train/sigma: The test statistic, computed with the known population standard deviation, is {t}. Find the p-value
        for the alternative that the mean {way} the value in the null hypothesis.
    train/sigma: With the known sigma in its standard error, the statistic is {t}. What is the p-value if the
        alternative says that the mean {way} the claimed value?
    test/s: Since sigma is unknown, s was used, and the statistic came out as {t}. Give the p-value for Ha: mu {sign}
        {null}.
    test/s: Calculated from x-bar and s, the statistic equals {t}. For Ha: mu {sign} {null}, how large is the p-value?
    test/sigma: Since sigma is known, it was used, and the statistic came out as {t}. Give the p-value for Ha: mu
        {sign} {null}.
    test/sigma: Calculated from x-bar and the known sigma, the statistic equals {t}. For Ha: mu {sign} {null}, how
        large is the p-value?
""")


@kind(2, ap="7.5", beyond="Z,")
def t_p_value(draw: Draw) -> Siblings:
    """The p-value of a statistic for a mean: which alternative, and t or z."""
    m = draw.setting(MEASURES)
    n, null, ways = draw.integer(4, 14), draw.decimal(*m.mean, 0), draw.choice(WAYS)
    t = Given(draw.decimal(0.9, 3.4, 2) * draw.choice((1, -1)))
    stem = draw.ask(_STEM_T_P_VALUE, m=m, n=n, null=null)

    def make(a: int, known: int) -> Sibling:
        way, letter = ways[a], "TZ"[known]
        value = p_value(t, None if known else n - 1, way)
        ask = draw.ask(_ASK_T_P_VALUE, ("s", "sigma")[known], t=t, way=THAN[way], sign=SIGN[way], null=null)
        curve = ("standard normal distribution" if known else
                 f"t distribution with {n} - 1 = {n - 1} degrees of freedom")
        steps = [
            f"Let mu be the mean {m.thing} of all {m.who}. {hypotheses(f'mu = {null}', f'mu {SIGN[way]} {null}')}.",
            f"The sample is random and the population [approximately normal // close to normal, as n = {n} requires]. "
            f"Under the null hypothesis the statistic follows the {curve}. [ // {tenth(n, m.many)}]",
            f"[The p-value is // This gives the p-value // For this alternative, the p-value is] "
            f"`{area(letter, str(t), way)} = {value:.4f}`.",
            chance("the mean", f"{null} {m.unit}", extreme(t, way), f"{value:.4f}"),
            decision(value, f"the mean {m.thing} of all {m.who} {THAN[way]} {null} {m.unit}"),
        ]
        return Sibling(
            f"{letter}, {way}",
            f"{stem} {ask}",
            steps,
            probability(value, 4, 0.001),
            "The alternative decides which tail counts; t with n - 1 degrees of freedom applies when s estimates "
            "sigma, and the normal curve when sigma is known.",
            mean_claim(m, null, way),
        )

    return square(
        make,
        other_way(ways),
        ("used the normal curve although s estimates sigma", "used the t distribution although sigma is known"),
        {"t": t, "n": n, "null": null, "ways": ways},
    )
