"""Intervals for means and sample sizes."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._numerics import normal_quantile, t_quantile
from .._problem import (
    Draft,
    Wrong,
    count,
    fixed,
    interval,
    plain,
    sig,
    words,
)
from .._scenarios import (
    PAIRINGS,
)
from .._settings import MEASURES, VERSUS
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
    test/s: With s = {sd} {m.unit} for these data, which show no outliers, what is the {level}% confidence interval
        for mu?
    test/s: The standard deviation of the sample is {sd} {m.unit}, and its distribution is roughly symmetric. Estimate
        the population mean with {level}% confidence.
    test/sigma: With sigma = {sd} {m.unit} for the population, which is normal, what is the {level}% confidence interval
        for mu?
    test/sigma: The standard deviation of the population, a normal one, is given as {sd} {m.unit}. Estimate the
        population mean with {level}% confidence.
""")


@kind(2)
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
            f"The parameter is mu, the mean {m.thing} of all {m.who} in {m.unit}.",
            f"The sample is random and normality is plausible, so an interval with the critical value {name} = "
            f"{critical:.3f} is appropriate.",
            f"The interval is `x_bar +/- {name} ({('s', 'sigma')[known]} / sqrt(n))`, that is "
            f"`{mean} +/- {critical:.3f} * {sd} / sqrt({n}) = {mean} +/- {sig(critical * se)}`.",
            f"We are {level}% confident that the interval from {fixed(mean - critical * se, 2)} to "
            f"{fixed(mean + critical * se, 2)} {m.unit} captures the mean {m.thing} of all {m.who}.",
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


@kind(1)
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
            [idea, f"Here the mean {m.thing} of {m.who} is estimated from {n} of them."],
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


_ASK_SAMPLE_SIZE_FOR_MEAN = wordings("""
    train: A researcher wants to estimate the mean {m.thing} of {m.who} to within {margin} {m.unit}, with
        {level}% confidence. The standard deviation is known to be about {sd} {m.unit}. How large a random
        sample is needed?
    train: From earlier work, the {m.thing} of {m.who} has a standard deviation of about {sd} {m.unit}. What is
        the smallest sample size for a {level}% confidence interval with a margin of error of at most {margin}
        {m.unit}?
    test: How many {m.who} must be drawn by lot so that their average {m.thing} misses the true one by no more
        than {margin} {m.unit}, with {level}% confidence, if sigma is {sd}?
    test: An interval at {level}% confidence for the average {m.thing} of {m.who} should reach no farther than
        {margin} {m.unit} to either side. Take sigma = {sd} and find the least n.
""")


@kind(2)
def sample_size_for_mean(draw: Draw) -> Draft:
    """The sample size for a wanted margin of error of a mean."""
    m = draw.setting(MEASURES)
    sd, level = draw.decimal(*m.sd, 1), draw.confidence()
    margin = draw.decimal(max(0.2, 0.08 * sd), 0.3 * sd, 1)
    z = normal_quantile(0.5 + level / 200)
    exact = (z * sd / margin) ** 2
    right = math.ceil(exact)
    draw.need(0.05 < exact % 1 < 0.95 and 20 < right < 2000)

    def work(formula: str, size: float, last: str) -> list[str]:
        return [f"n = {formula} = {size:.1f}.", last]

    flat, bare = z * sd / margin, (sd / margin) ** 2
    whole = f"({z:.3f} * {sd} / {margin})^2"
    return Draft(
        draw.ask(_ASK_SAMPLE_SIZE_FOR_MEAN, m=m, sd=sd, margin=margin, level=level),
        work(whole, exact, f"Rounding up gives {right}."),
        count(right, m.many),
        [
            Wrong(count(right - 1, m.many), "rounded down, which leaves the margin too wide",
                  work(whole, exact, f"The whole part is {right - 1}.")),
            Wrong(count(math.ceil(flat), m.many), "forgot to square",
                  work(f"{z:.3f} * {sd} / {margin}", flat, f"Rounding up gives {math.ceil(flat)}.")),
            Wrong(count(math.ceil(bare), m.many), "left out the critical value",
                  work(f"({sd} / {margin})^2", bare, f"Rounding up gives {math.ceil(bare)}.")),
            Wrong(count(math.ceil(4 * exact), m.many), "halved the margin, as if it were the whole width",
                  work(f"({z:.3f} * {sd} / ({margin} / 2))^2", 4 * exact,
                       f"Rounding up gives {math.ceil(4 * exact)}.")),
            Wrong(count(math.ceil(z * sd**2 / margin**2), m.many), "did not square the critical value"),
        ],
        "The sample size for a mean is (z * sigma / margin)^2, rounded up.",
        {"sd": sd, "margin": margin, "confidence": level},
    )


_ASK_TWO_MEAN_INTERVAL = wordings("""
    train: In a randomized experiment, {n1} {v.units} get {v.a} and {n2} get {v.b}. The mean {v.y} is {mean1}
        {v.unit} (SD {sd1}) in the first group and {mean2} {v.unit} (SD {sd2}) in the second. Construct a
        {level}% confidence interval for the difference of means, first minus second, with the smaller of n1 - 1
        and n2 - 1 as degrees of freedom.
    train: A study assigns {n1} {v.units} at random to {v.a} and {n2} to {v.b}. The results for {v.y} are mean
        {mean1}, SD {sd1} and mean {mean2}, SD {sd2} (in {v.unit}). What is the {level}% two-sample t interval,
        first minus second, if the degrees of freedom are the smaller sample size minus 1?
    test: How much more {v.y}, in {v.unit}, comes from {v.a} than from {v.b}? Chance divided the {v.units}: {n1}
        with x-bar = {mean1} and s = {sd1} against {n2} with x-bar = {mean2} and s = {sd2}. State limits at
        {level}% confidence; for t*, count one df fewer than the smaller group has members.
    test: For {v.units}, {v.y} averaged {mean1} {v.unit} (s = {sd1}, n = {n1}) under {v.a} and {mean2} {v.unit}
        (s = {sd2}, n = {n2}) under {v.b}, as chance had assigned them. Estimate the effect, former less latter,
        by an interval at {level}% confidence, on the cautious rule df = smaller n less one.
""")


@kind(3)
def two_mean_interval(draw: Draw) -> Draft:
    """The two-sample t interval with the conservative degrees of freedom."""
    v = draw.setting(VERSUS)
    mean2, sd1, sd2 = draw.decimal(*v.mean, 1), draw.decimal(*v.sd, 1), draw.decimal(*v.sd, 1)
    mean1 = Given(round(mean2 + draw.choice((-1, 1)) * draw.decimal(*v.gain, 1), 1))
    n1, n2, level = draw.integer(8, 40), draw.integer(8, 40), draw.confidence()
    df, gap = min(n1, n2) - 1, mean1 - mean2
    t, z = t_quantile(0.5 + level / 200, df), normal_quantile(0.5 + level / 200)
    se1, se2 = sd1 / math.sqrt(n1), sd2 / math.sqrt(n2)
    se = math.hypot(se1, se2)
    first = f"With {df} degrees of freedom, t* = {t:.3f}."
    error = f"The standard error is sqrt({sd1}^2 / {n1} + {sd2}^2 / {n2}) = {sig(se)}."

    def option(critical: float, spread: float, slip: str, *notes: str) -> Wrong:
        steps = [*notes, f"The interval is {plain(gap)} +/- {critical:.3f} * {sig(spread)}, that is {plain(gap)} +/- "
                         f"{sig(critical * spread)}."] if notes else []
        return Wrong(interval(gap - critical * spread, gap + critical * spread, 2, v.unit), slip, steps)

    right = option(t, se, "", first, error)
    bare = math.hypot(sd1, sd2)
    return Draft(
        draw.ask(_ASK_TWO_MEAN_INTERVAL, v=v, n1=n1, n2=n2, mean1=mean1, mean2=mean2, sd1=sd1, sd2=sd2, level=level),
        right.steps,
        right.answer,
        [
            option(z, se, "used a z critical value instead of t", f"For {level}% confidence, z* = {z:.3f}.", error),
            option(t, se1 + se2, "added the standard errors instead of the variances", first,
                   f"The standard error is {sd1} / sqrt({n1}) + {sd2} / sqrt({n2}) = {sig(se1 + se2)}."),
            option(t, bare, "left out the sample sizes", first,
                   f"The standard error is sqrt({sd1}^2 + {sd2}^2) = {sig(bare)}."),
            option(1.0, se, "left out the critical value"),
            option(t_quantile(level / 100, df), se, "took the critical value from one tail only"),
        ],
        "A two-sample interval is the difference of means plus or minus t* times sqrt(s1^2 / n1 + s2^2 / n2).",
        {"mean1": mean1, "mean2": mean2, "sd1": sd1, "sd2": sd2, "n1": n1, "n2": n2, "confidence": level},
    )


_ASK_PAIRED_INTERVAL = wordings("""
    test: What does {b.event} do to the {b.y} of {b.who}? For {n} of them, drawn by lot, the values in {b.unit}
        were {before} at the start and {after} at the end, in one order. Give {level}% confidence limits for the
        average change, end less start, if changes are roughly normal.
    test: First {before}, then {after}: such is the {b.y} ({b.unit}) of the same {n} {b.who}, listed in one
        order, with {b.event} in between. Estimate the mean change, later less earlier, by an interval at
        {level}% confidence.
""")


@kind(3, held_out=True)
def paired_interval(draw: Draw) -> Draft:
    """The t interval for a mean difference from before and after values."""
    b = draw.setting(PAIRINGS)
    n, level = 6, draw.confidence()
    before = [draw.integer(b.level[0] - 6, b.level[1] + 6) for _ in range(n)]
    changes = [draw.integer(b.change[0] - 3, b.change[1] + 3) for _ in range(n)]
    draw.need(sum(changes) % n == 0 and len(set(changes)) > 3)
    after = [x + d for x, d in zip(before, changes, strict=True)]
    mean = sum(changes) // n
    sd = math.sqrt(sum((d - mean) ** 2 for d in changes) / (n - 1))
    se = sd / math.sqrt(n)
    t, z = t_quantile(0.5 + level / 200, n - 1), normal_quantile(0.5 + level / 200)
    apart = math.sqrt(sum(sum((x - sum(v) / n) ** 2 for x in v) / (n - 1) for v in (before, after)) / n)
    listed = (f"The changes are {', '.join(map(str, changes))}, with mean {mean} and standard deviation {sig(sd)}.")
    first = (f"With {n - 1} degrees of freedom, t* = {t:.3f}, and the standard error is {sig(sd)} / sqrt({n}) = "
             f"{sig(se)}.")

    def option(critical: float, spread: float, slip: str, how: str = "") -> Wrong:
        steps = [listed, how, f"The interval is {mean} +/- {critical:.3f} * {sig(spread)}, that is {mean} +/- "
                              f"{sig(critical * spread)}."] if how else []
        return Wrong(interval(mean - critical * spread, mean + critical * spread, 2, b.unit), slip, steps)

    right = option(t, se, "", first)
    return Draft(
        draw.ask(_ASK_PAIRED_INTERVAL, b=b, n=n, level=level, before=", ".join(map(str, before)),
                 after=", ".join(map(str, after))),
        right.steps,
        right.answer,
        [
            option(z, se, "used a z critical value although sigma is unknown",
                   f"For {level}% confidence, z* = {z:.3f}, and the standard error is {sig(sd)} / sqrt({n}) = "
                   f"{sig(se)}."),
            option(t, sd, "used the standard deviation instead of the standard error",
                   f"With {n - 1} degrees of freedom, t* = {t:.3f}, and the spread is {sig(sd)}."),
            option(t, apart, "treated the two lists as independent samples",
                   f"With {n - 1} degrees of freedom, t* = {t:.3f}, and the variances of the two lists give a standard "
                   f"error of {sig(apart)}."),
            option(t_quantile(0.5 + level / 200, n), se, "used n degrees of freedom instead of n - 1"),
            option(1.0, se, "left out the critical value"),
        ],
        "Paired data are reduced to differences, and the differences get a one-sample t interval.",
        {"before": before, "after": after, "confidence": level},
    )
