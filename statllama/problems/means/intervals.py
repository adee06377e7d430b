"""Intervals for means and sample sizes."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._numerics import normal_quantile, t_quantile
from .._problem import (
    Draft,
    Wrong,
    count,
    interval,
    plain,
    sig,
    words,
)
from .._scenarios import (
    PAIRINGS,
)
from .._settings import MEASURES, VERSUS
from .._wording import wordings

# fmt: off


_ASK_ONE_MEAN_INTERVAL = wordings("""
    train: A random sample of {n} {m.who} has mean {m.thing} {mean} {m.unit} and standard deviation {sd}
        {m.unit}. The distribution looks normal. Construct a {level}% confidence interval for the population
        mean.
    train: The {m.thing} of {n} {m.many} chosen at random from {m.who} has mean {mean} and standard deviation
        {sd} {m.unit}, with no outliers or skew. What is the {level}% t interval for the mean?
    test: Within which limits does the average {m.thing} of all {m.who} lie, with {level}% confidence, if {n} of
        them, drawn by lot and bell-shaped in the plot, average {mean} with s = {sd} (in {m.unit})?
    test: Only {n} {m.who} could be measured, picked by chance. Their {m.thing} averaged {mean} {m.unit}, s came
        to {sd}, and a dotplot raised no doubts about normality. Estimate the population average by an interval
        at {level}% confidence.
""")


@kind(2)
def one_mean_interval(draw: Draw) -> Draft:
    """The one-sample t interval."""
    m = draw.setting(MEASURES)
    mean, sd, n = draw.decimal(*m.mean, 1), draw.decimal(*m.sd, 1), draw.integer(8, 32)
    level, digits = draw.confidence(), 2
    t, z = t_quantile(0.5 + level / 200, n - 1), normal_quantile(0.5 + level / 200)
    se = sd / math.sqrt(n)
    first = f"With {n - 1} degrees of freedom, t* = {t:.3f}."
    error = f"The standard error is {sd} / sqrt({n}) = {sig(se)}."

    def option(critical: float, spread: float, slip: str, notes: tuple[str, str] | None = None) -> Wrong:
        steps = ([*notes, f"The interval is {mean} +/- {critical:.3f} * {sig(spread)}, that is {mean} +/- "
                          f"{sig(critical * spread)}."] if notes else [])
        return (Wrong(interval(mean - critical * spread, mean + critical * spread, digits, m.unit), slip,
                      steps))

    one_sided = t_quantile(level / 100, n - 1)
    right = option(t, se, "", (first, error))
    return Draft(
        draw.ask(_ASK_ONE_MEAN_INTERVAL, m=m, n=n, mean=mean, sd=sd, level=level),
        right.steps,
        right.answer,
        [
            option(z, se, "used a z critical value although sigma is unknown",
                   (f"For {level}% confidence, z* = {z:.3f}.", error)),
            option(t, sd, "used the standard deviation instead of the standard error",
                   (first, f"The spread is {sd} {m.unit}.")),
            option(one_sided, se, "took the critical value from one tail only",
                   (f"With {n - 1} degrees of freedom, t* = {one_sided:.3f}.", error)),
            option(t, sd / n, "divided the standard deviation by n instead of by its root",
                   (first, f"The standard error is {sd} / {n} = {sig(sd / n)}.")),
            option(1.0, se, "left out the critical value"),
        ],
        "With sigma unknown, the interval uses t with n - 1 degrees of freedom and s / sqrt(n).",
        {"mean": mean, "sd": sd, "n": n, "confidence": level},
    )


_ASK_INTERPRET_CONFIDENCE = wordings("""
    train: From a random sample of {n} {m.who}, a {level}% confidence interval for the mean {m.thing} is ({low},
        {high}) {m.unit}. Interpret this interval.
    train: From a random sample of {n} {m.who}, a {level}% confidence interval for the mean {m.thing} is ({low},
        {high}) {m.unit}. How should this interval be read?
    test: Chance selects {n} {m.who}, and their data on {m.thing} lead to the {level}% interval from {low} to
        {high} {m.unit}. Explain to a reader of the report what this says.
    test: "{low} to {high} {m.unit} ({level}% confidence)" is printed below the average {m.thing} of {n} {m.who}
        drawn by lot. What is the meaning of this line?
""")


@kind(1)
def interpret_confidence(draw: Draw) -> Draft:
    """What a confidence interval for a mean says."""
    m = draw.setting(MEASURES)
    mean, se, n = draw.decimal(*m.mean, 1), draw.decimal(m.sd[0] / 4, m.sd[1] / 3, 1), draw.integer(15, 60)
    level = draw.confidence()
    low, high = plain(mean - 2 * se), plain(mean + 2 * se)
    draw.need(se > 0)
    texts = [
        f"We are {level}% confident that the mean {m.thing} of all {m.who} lies between {low} and {high} "
        f"{m.unit}.",
        f"About {level}% of all {m.who} have a {m.thing} between {low} and {high} {m.unit}.",
        f"We are {level}% confident that the mean {m.thing} of the {n} {m.many} in this random sample lies "
        f"between {low} and {high} {m.unit}.",
        f"In {level}% of all random samples of {n} {m.many}, the mean {m.thing} lies between {low} and "
        f"{high} {m.unit}.",
    ]
    return Draft(
        draw.ask(_ASK_INTERPRET_CONFIDENCE, m=m, n=n, level=level, low=low, high=high),
        ["The interval estimates a parameter, the mean of the whole population.",
         f"The {level}% describes the method: about {level}% of such intervals contain the population mean."],
        words(texts[0]),
        [
            Wrong(words(texts[1]), "took an interval for the mean for a range of single values",
                  [f"The interval goes from {low} to {high} {m.unit}.",
                   f"So {level}% of the values lie in it."]),
            Wrong(words(texts[2]), "took the sample mean, which is known, for the thing estimated",
                  ["The interval was computed from the sample.",
                   "So it tells where the mean of this sample lies."]),
            Wrong(words(texts[3]), "thought that the interval predicts other sample means",
                  ["The confidence level speaks about repeated samples.",
                   "So it tells where their means will lie."]),
        ],
        "A confidence interval makes a claim about the population mean, and its level describes the method.",
        {"mean": mean, "margin": round(2 * se, 4), "n": n, "confidence": level},
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
