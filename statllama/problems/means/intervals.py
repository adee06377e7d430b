"""Intervals for means and sample sizes."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._numerics import normal_quantile, t_quantile
from .._phrases import THAT, confident, degrees_of_freedom, parameter, recalled, tenth
from .._problem import count, fixed, interval, sig, words
from .._settings import MEASURES
from .._siblings import LEVELS, Sibling, Siblings, four, other_level, square
from .._wording import wordings

# fmt: off


_STEM_ONE_MEAN_INTERVAL = wordings("""
    train: In a random sample of {n} {m.who}, the mean {m.thing} is {mean} {m.unit}.
    train: The {m.thing} was measured for a random sample of {n} {m.who}; the sample mean is {mean} {m.unit}.
    train: A study of {m.who} reports a mean {m.thing} of {mean} {m.unit} for a random sample of {n}.
    train: From all {m.who}, {n} were selected at random. Their mean {m.thing} was {mean} {m.unit}.
    test: A simple random sample of size {n}, taken from {m.who}, gave an average {m.thing} of {mean} {m.unit}.
    test: Records of {m.thing} were collected for {m.who}: {n} of them, selected at random, averaged {mean} {m.unit}.
    test: What is a typical {m.thing} among {m.who}? To find out, a student draws a random sample of {n} and computes
        an average of {mean} {m.unit}.
""")
_ASK_ONE_MEAN_INTERVAL = wordings("""
    train/s: The sample standard deviation is {sd} {m.unit}, and a dotplot shows no strong skew or outliers. Construct
        a {level}% confidence interval for the population mean.
    train/s: The sample has a standard deviation of {sd} {m.unit} and looks approximately normal. Find a {level}%
        confidence interval for the mean {m.thing} of all {m.who}.
    train/sigma: The population is normal with a known standard deviation of {sd} {m.unit}. Construct a {level}%
        confidence interval for the population mean.
    train/sigma: It is known that {m.thing} is normally distributed in the population with standard deviation {sd}
        {m.unit}. Find a {level}% confidence interval for the mean {m.thing} of all {m.who}.
    test/s: With s = {sd} {m.unit} for these data, which show no strong skew or outliers, what is the {level}%
        confidence interval for mu?
    test/s: The standard deviation of the sample is {sd} {m.unit}, and a dotplot is roughly symmetric without outliers.
        Estimate the population mean with {level}% confidence.
    test/sigma: With sigma = {sd} {m.unit} for the population, which is normal, what is the {level}% confidence interval
        for mu?
    test/sigma: The standard deviation of the population, a normal one, is given as {sd} {m.unit}. Estimate the
        population mean with {level}% confidence.
""")


@kind(2, ap="7.2", beyond="z interval")
def one_mean_interval(draw: Draw) -> Siblings:
    """An interval for a mean: t or z, at one of two levels."""
    m = draw.setting(MEASURES)
    mean, sd, n = draw.decimal(*m.mean, 1), draw.decimal(*m.sd, 1), draw.integer(6, 14)
    levels = draw.choice(LEVELS)
    stem, se = draw.ask(_STEM_ONE_MEAN_INTERVAL, m=m, n=n, mean=mean), sd / math.sqrt(n)

    def make(known: int, b: int) -> Sibling:
        level, quantile = levels[b], 0.5 + levels[b] / 200
        critical = normal_quantile(quantile) if known else t_quantile(quantile, n - 1)
        name = "z*" if known else "t*"
        ask = draw.ask(_ASK_ONE_MEAN_INTERVAL, ("s", "sigma")[known], m=m, sd=sd, level=level)
        steps = [
            f"{parameter('mu', f'the mean {m.thing} of all {m.who}, in {m.unit}')}.",
            "The sample is random. " + (
                f"The population is normal and sigma = {sd} is known, so [a z interval is appropriate // we use z]: "
                f"{name} = {critical:.3f}." if known else
                f"n = {n} is below 30, but the data show no strong skew or outliers, so [a t interval is appropriate "
                f"// we use t]. With {degrees_of_freedom(n, 1)}, {name} = {critical:.3f}.")
            + f" [ // {tenth(n, m.many)}]",
            f"The interval is `x_bar +/- {name} ({('s', 'sigma')[known]} / sqrt(n))`{THAT} "
            f"`{mean} +/- {critical:.3f} * {sd} / sqrt({n}) = {mean} +/- {sig(critical * se)}`.",
            confident(level, fixed(mean - critical * se, 2), fixed(mean + critical * se, 2),
                      f"the mean {m.thing} of all {m.who}", m.unit),
        ]
        return Sibling(
            f"{name[0]} interval, {level}%",
            f"{stem} {ask}",
            steps,
            interval(mean - critical * se, mean + critical * se, 2, m.unit),
            "The critical value is z* when sigma is known, and t* with n - 1 degrees of freedom when s estimates it.",
        )

    return square(
        make,
        ("used z although the standard deviation comes from the sample", "used t although sigma is known"),
        other_level(levels),
        {"mean": mean, "sd": sd, "n": n, "levels": levels},
    )


_STEM_INTERPRET_CONFIDENCE = wordings("""
    train: From a random sample of {n} {m.who}, a {level}% confidence interval for the mean {m.thing} is {mean} plus or
        minus {margin}, from {low} to {high} {m.unit}. The standard error of the mean is {se} {m.unit}.
    train: A report on the {m.thing} of {m.who}, based on a random sample of {n}, gives a mean of {mean} {m.unit}, a
        standard error of {se} {m.unit}, and a {level}% confidence interval from {low} to {high} {m.unit}.
    train: For {n} {m.who}, selected at random, the mean {m.thing} is {mean} {m.unit} with standard error {se} {m.unit};
        the {level}% confidence interval is ({low}, {high}).
    train: A {level}% t interval for the mean {m.thing} of {m.who} runs from {low} to {high} {m.unit}. It comes from a
        random sample of {n} with mean {mean} {m.unit} and standard error {se} {m.unit}.
    test: Software summarizes a random sample of {n} {m.who}: average {m.thing} {mean} {m.unit}, SE {se}, {level}%
        confidence interval ({low}, {high}).
    test: "{mean} +/- {margin} {m.unit}, {level}% confidence" is printed below a chart of {m.thing}; the random sample
        consists of {n} {m.who}, and the SE of the mean is {se} {m.unit}.
    test: Students estimate the average {m.thing} among {m.who}. Their random sample of {n} has a standard error of {se}
        {m.unit} and leads, at {level}% confidence, to the interval between {low} and {high} {m.unit}.
""")
_ASK_INTERPRET_CONFIDENCE = wordings("""
    train/interval: Which statement interprets the confidence interval?
    train/interval: Which sentence says what the confidence interval means?
    train/level: Which statement interprets the confidence level?
    train/level: Which sentence says what the confidence level means?
    train/margin: Which statement interprets the margin of error?
    train/margin: Which sentence says what the margin of error means?
    train/se: Which statement interprets the standard error?
    train/se: Which sentence says what the standard error means?
    test/interval: How should the interval itself be read?
    test/interval: Choose the correct interpretation of the interval.
    test/level: How should "{level}% confidence" be read?
    test/level: Choose the correct interpretation of "{level}% confidence".
    test/margin: How should the margin of error be read?
    test/margin: Choose the correct interpretation of the margin of error.
    test/se: How should the standard error be read?
    test/se: Choose the correct interpretation of the standard error.
""")


@kind(1, ap="7.3")
def interpret_confidence(draw: Draw) -> Siblings:
    """What an interval, its level, its margin of error and its standard error say."""
    m = draw.setting(MEASURES)
    mean, n, level = draw.decimal(*m.mean, 1), draw.integer(15, 60), draw.confidence()
    se = draw.decimal(m.sd[0] / 4, m.sd[1] / 3, 1)
    draw.need(se > 0)
    margin = t_quantile(0.5 + level / 200, n - 1) * se
    low, high = fixed(mean - margin, 1), fixed(mean + margin, 1)
    stem = draw.ask(
        _STEM_INTERPRET_CONFIDENCE, m=m, n=n, level=level, mean=mean, margin=fixed(margin, 1), se=se, low=low, high=high
    )
    sentences = {
        "interval": f"We are {level}% confident that the mean {m.thing} of all {m.who} is between {low} and {high} "
                    f"{m.unit}.",
        "level": f"In the long run, about {level}% of the intervals from random samples of {n} {m.who} capture the "
                 f"mean {m.thing}.",
        "margin": f"With {level}% confidence, the sample mean is within {fixed(margin, 1)} {m.unit} of the mean "
                  f"{m.thing} of all {m.who}.",
        "se": f"Means of random samples of {n} {m.who} typically differ from the mean {m.thing} by about {se} "
              f"{m.unit}.",
    }
    about = {
        "interval": "The interval gives plausible values of the parameter, the mean of the whole population.",
        "level": "The level describes the method: how often it succeeds when samples are drawn again and again.",
        "margin": "The margin of error bounds how far the estimate is from the parameter, at the given confidence.",
        "se": "The standard error describes how much sample means vary from sample to sample.",
    }
    of = [
        Sibling(
            asked,
            f"{stem} {draw.ask(_ASK_INTERPRET_CONFIDENCE, asked, level=level)}",
            [
                f"[{parameter('mu', f'the mean {m.thing} of all {m.who}')}; it is estimated from {n} of them. // Here "
                f"the mean {m.thing} of all {m.who} is estimated from a random sample of {n}.]",
                recalled(idea),
                f"[In context, the sentence speaks of the mean {m.thing} of {m.who}, in {m.unit} // A good "
                f"interpretation names the variable, {m.thing}, and its unit, {m.unit}].",
            ],
            words(sentences[asked]),
            idea,
        )
        for asked, idea in about.items()
    ]
    names = {"interval": "interval", "level": "confidence level", "margin": "margin of error", "se": "standard error"}
    return four(
        of,
        [f"interpreted the {name} instead" for name in names.values()],
        {"mean": mean, "se": se, "n": n, "confidence": level},
    )


_STEM_SAMPLE_SIZE_FOR_MEAN = wordings("""
    train: A researcher plans to estimate the mean {m.thing} of {m.who} with {level}% confidence. The standard
        deviation was {pilot} {m.unit} in a pilot study and {past} {m.unit} in an older report.
    train: The mean {m.thing} of {m.who} is to be estimated with a {level}% confidence interval from a random sample.
        A pilot study gave a standard deviation of {pilot} {m.unit}, an older report {past} {m.unit}.
    train: Two guesses are available for the standard deviation of the {m.thing} of {m.who}: {pilot} {m.unit} from a
        pilot study and {past} {m.unit} from an older report. A {level}% confidence interval for the mean is planned.
    train: For a {level}% confidence interval for the mean {m.thing} of {m.who}, a random sample is planned. In an
        older report sigma was {past} {m.unit}; a pilot study suggests {pilot} {m.unit}.
    test: How variable is the {m.thing} of {m.who}? An older report says sigma = {past} {m.unit}, a pilot study says
        {pilot} {m.unit}. At {level}% confidence, the average is to be estimated from a simple random sample.
    test: Someone wants to estimate the average {m.thing} of {m.who} and settles on {level}% confidence. The value of
        sigma is either {pilot} {m.unit}, as in a pilot study, or {past} {m.unit}, as in an older report.
    test: A survey of {m.who} will estimate their average {m.thing} at {level}% confidence. Sigma was {pilot} {m.unit}
        in the pilot study but {past} {m.unit} in an older report.
""")
_ASK_SAMPLE_SIZE_FOR_MEAN = wordings("""
    train/margin: Using the value of the {source}, how large a sample makes the margin of error at most {reach}
        {m.unit}?
    train/margin: Based on the {source}, find the smallest sample size for which the margin of error is at most
        {reach} {m.unit}.
    train/width: Using the value of the {source}, how large a sample makes the whole interval at most {reach} {m.unit}
        wide?
    train/width: Based on the {source}, find the smallest sample size for which the interval has a total width of at
        most {reach} {m.unit}.
    test/margin: Taking sigma from the {source}, what is the smallest n with a margin of error of no more than {reach}
        {m.unit}?
    test/margin: If the {source} is right, how many {m.many} are needed to estimate the average to within {reach}
        {m.unit}?
    test/width: Taking sigma from the {source}, what is the smallest n for an interval that is no wider than {reach}
        {m.unit} in all?
    test/width: If the {source} is right, how many {m.many} are needed for an interval with a total width of {reach}
        {m.unit} or less?
""")


@kind(2)
def sample_size_for_mean(draw: Draw) -> Siblings:
    """The sample size for a mean: which of two planning values of sigma, and a wanted margin or a wanted width."""
    m = draw.setting(MEASURES)
    sd, level = (draw.decimal(*m.sd, 1), draw.decimal(*m.sd, 1)), draw.confidence()
    reach = draw.decimal(max(0.2, 0.12 * min(sd)), 0.4 * max(sd), 1)
    draw.need(float(reach) != 2.0)  # half of it would be "1 minutes"
    z = normal_quantile(0.5 + level / 200)
    stem = draw.ask(_STEM_SAMPLE_SIZE_FOR_MEAN, m=m, level=level, pilot=sd[0], past=sd[1])

    def make(a: int, b: int) -> Sibling:
        source, margin = ("pilot study", "older report")[a], Given(reach / (1, 2)[b])
        exact = (z * sd[a] / margin) ** 2
        draw.need(0.05 < exact % 1 < 0.95 and 8 < exact < 3000)
        ask = draw.ask(_ASK_SAMPLE_SIZE_FOR_MEAN, ("margin", "width")[b], m=m, source=source, reach=reach)
        steps = [
            f"{parameter('mu', f'the mean {m.thing} of all {m.who}')}; the {source} gives sigma = {sd[a]} {m.unit}.",
            f"The margin of error may be [at most // no more than] {margin} {m.unit}, and z* = {z:.3f} for {level}% "
            f"confidence.",
            f"[From `z* sigma / sqrt(n) <= margin` follows // Solving `z* sigma / sqrt(n) <= margin` for n gives // "
            f"The sample size must satisfy] `n >= (z* sigma / margin)^2`{THAT} "
            f"`n >= ({z:.3f} * {sd[a]} / {margin})^2 = {exact:.1f}`.",
            f"[Rounding up, {math.ceil(exact)} {m.many} are needed // A sample size is rounded up, so at least "
            f"{math.ceil(exact)} {m.many} must be selected // The next whole number is {math.ceil(exact)}, so a random "
            f"sample of {math.ceil(exact)} {m.many} is enough].",
        ]
        return Sibling(
            f"{source}, {('margin', 'width')[b]}",
            f"{stem} {ask}",
            steps,
            count(math.ceil(exact), m.many),
            "The sample size for a mean is `(z * sigma / margin)^2`, rounded up; the margin is half the width.",
        )

    return square(
        make,
        ("took sigma from the older report", "took sigma from the pilot study"),
        ("halved the margin, as if it were the whole width", "took the whole width for the margin"),
        {"sd": sd, "reach": reach, "confidence": level},
    )
