"""Tests for means."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._numerics import normal_cdf, t_upper_tail
from .._problem import (
    Draft,
    Wrong,
    number,
    plain,
    probability,
    sig,
)
from .._scenarios import (
    PAIRINGS,
)
from .._settings import MEASURES, VERSUS
from .._wording import wordings

# fmt: off


_ASK_ONE_MEAN_T = wordings("""
    train: A random sample of {n} {m.who} has mean {m.thing} {mean} {m.unit} and standard deviation {sd}
        {m.unit}. Compute the t statistic for testing that the population mean is {null} {m.unit}.
    train: To test whether the mean {m.thing} of {m.who} is {null} {m.unit}, {n} {m.many} are sampled; their
        mean is {mean} and their standard deviation {sd} {m.unit}. What is the test statistic?
    test: How many standard errors does the average {m.thing} of {n} {m.who} picked by chance, {mean} {m.unit}
        with s = {sd}, lie from a claimed {null}? Answer with its sign.
    test: A reporter claims that {m.who} average {null} {m.unit} in {m.thing}. Chance selects {n} of them, with
        the results x-bar = {mean} and s = {sd}. Work out t.
""")


@kind(1)
def one_mean_t(draw: Draw) -> Draft:
    """The one-sample t statistic."""
    m = draw.setting(MEASURES)
    null, sd, n = draw.decimal(*m.mean, 0), draw.decimal(*m.sd, 1), draw.integer(10, 60)
    se = sd / math.sqrt(n)
    mean = Given(round(null + draw.decimal(-3.2, 3.2, 2) * se, 1))
    t = (mean - null) / se
    draw.need(abs(t) > 0.4)
    error = f"The standard error is {sd} / sqrt({n}) = {sig(se)}."
    return Draft(
        draw.ask(_ASK_ONE_MEAN_T, m=m, n=n, mean=mean, sd=sd, null=null),
        [error, f"t = ({mean} - {null}) / {sig(se)} = {t:.2f}."],
        number(t, 2, tolerance=0.02),
        [
            Wrong(number((mean - null) / sd, 2),
                  "divided by the standard deviation instead of the standard error",
                  [f"The spread is {sd} {m.unit}.",
                   f"t = ({mean} - {null}) / {sd} = {(mean - null) / sd:.2f}."]),
            Wrong(number(-t, 2, tolerance=0.02), "subtracted the sample mean from the null value",
                  [error, f"t = ({null} - {mean}) / {sig(se)} = {-t:.2f}."]),
            Wrong(number((mean - null) * n / sd, 2),
                  "divided the standard deviation by n instead of by its root",
                  [f"The standard error is {sd} / {n} = {sig(sd / n)}.",
                   f"t = ({mean} - {null}) / {sig(sd / n)} = {(mean - null) * n / sd:.2f}."]),
            Wrong(number((mean - null) / (sd**2 / n), 2), "divided by the variance of the mean"),
        ],
        "A t statistic is estimate minus null value, divided by the standard error s / sqrt(n).",
        {"mean": mean, "null": null, "sd": sd, "n": n},
    )


_ASK_T_P_VALUE = wordings("""
    train: A random sample of {n} {m.who} is used to test whether the mean {m.thing} {way} {null} {m.unit}. The
        t statistic is {t}. Find the p-value.
    train: A random sample of {n} {m.who} is used to test whether the mean {m.thing} {way} {null} {m.unit}. The
        t statistic is {t}. What is the p-value of the test?
    test: Suspecting that the average {m.thing} of {m.who} {way} {null} {m.unit}, an inspector draws {n} of them
        by lot and arrives at t = {t}. Turn this into a p-value.
    test: With n = {n} {m.who} picked by chance, t = {t} for the alternative that their average {m.thing} {way}
        {null} {m.unit}. How probable is a result at least so extreme if the null hypothesis holds?
""")


@kind(2)
def t_p_value(draw: Draw) -> Draft:
    """The p-value of a t statistic."""
    m = draw.setting(MEASURES)
    n, t = draw.integer(8, 40), draw.decimal(1.0, 3.1, 2)
    null = draw.decimal(*m.mean, 0)
    sides = draw.choice(("two", "one"))
    t = Given(t * draw.choice((1, -1)))
    tail = t_upper_tail(abs(t), n - 1)
    normal = normal_cdf(-abs(t))
    double = 2 if sides == "two" else 1
    right = double * tail
    draw.need(right > 0.001 and abs(tail - normal) > 0.001)
    way = "differs from" if sides == "two" else "is above" if t > 0 else "is below"
    area = f"With {n - 1} degrees of freedom, the tail beyond {plain(abs(t))} has area {tail:.5f}."
    two, one = (f"Both tails count: 2 * {tail:.5f} = {2 * tail:.4f}.", "One tail counts, so the p-value is "
                                                                       f"{tail:.4f}.")
    slip = ("gave a one-sided p-value for a two-sided test" if sides == "two"
            else "doubled the p-value of a one-sided test")
    return Draft(
        draw.ask(_ASK_T_P_VALUE, m=m, n=n, t=t, null=null, way=way),
        [area, two if sides == "two" else one],
        probability(right, 4, 0.001),
        [
            Wrong(probability(tail if sides == "two" else 2 * tail, 4, 0.001), slip,
                  [area, one if sides == "two" else two]),
            Wrong(probability(double * normal, 4, 0.001), "used the normal distribution instead of t",
                  [f"The normal tail beyond {plain(abs(t))} has area {normal:.5f}.",
                   "The p-value is "
                   f"{f'2 * {normal:.5f} = {2 * normal:.4f}' if sides == 'two' else f'{normal:.4f}'}."]),
            Wrong(probability(1 - right, 4, 0.001), "gave the area that is not in the tail",
                  [area, f"The p-value is the rest of the area, {1 - right:.4f}."]),
            Wrong(probability(abs(0.5 - tail), 4, 0.001), "gave the area between the center and t"),
        ],
        "A p-value is the tail area of t with n - 1 degrees of freedom, doubled for a two-sided test.",
        {"t": t, "n": n, "sides": sides},
    )


_ASK_PAIRED_T = wordings("""
    train: The {b.y} ({b.unit}) of {n} {b.who} is measured before and after {b.event}. Before: {before}. After,
        in the same order: {after}. Compute the paired t statistic, after minus before.
    train: The {b.y} ({b.unit}) of {n} {b.who} is measured before and after {b.event}. Before: {before}. After,
        in the same order: {after}. What is the t statistic of the paired test (after minus before)?
    test: Did {b.event} change the {b.y}? For {n} {b.who} the values ({b.unit}) were {before} at the start and
        {after} at the end, one {b.one} after the other. Test the changes, end less start: how large is t?
    test: First {before}, then {after}: such is the {b.y} ({b.unit}) of the same {n} {b.who}, listed in one
        order, with {b.event} in between. Work out t for the later less the earlier values.
""")


@kind(3)
def paired_t(draw: Draw) -> Draft:
    """The paired t statistic from before and after values."""
    b = draw.setting(PAIRINGS)
    n = 6
    before = [draw.integer(b.level[0] - 6, b.level[1] + 6) for _ in range(n)]
    changes = [draw.integer(b.change[0] - 3, b.change[1] + 3) for _ in range(n)]
    draw.need(sum(changes) % n == 0 and len(set(changes)) > 3)
    after = [x + d for x, d in zip(before, changes, strict=True)]
    mean = sum(changes) // n
    squares = sum((d - mean) ** 2 for d in changes)
    sd = math.sqrt(squares / (n - 1))
    t = mean / (sd / math.sqrt(n))
    draw.need(0.5 < abs(t) < 12)
    listed = (f"The differences after - before are {', '.join(map(str, changes))}, with mean {mean} and "
              f"standard deviation {sig(sd)}.")
    spread2 = sum(sum((x - sum(v) / n) ** 2 for x in v) / (n - 1) for v in (before, after))
    unpaired = mean / math.sqrt(spread2 / n)
    return Draft(
        draw.ask(_ASK_PAIRED_T, b=b, n=n, before=', '.join(map(str, before)), after=', '.join(map(str, after))),
        [listed, f"t = {mean} / ({sig(sd)} / sqrt({n})) = {t:.2f}."],
        number(t, 2, tolerance=0.03),
        [
            Wrong(number(unpaired, 2, tolerance=0.03), "treated the two lists as independent samples",
                  [f"The two means differ by {mean}, and the variances of the two lists add up to "
                   f"{sig(spread2)}.", f"t = {mean} / sqrt({sig(spread2)} / {n}) = {unpaired:.2f}."]),
            Wrong(number(mean / sd, 2, tolerance=0.03),
                  "divided by the standard deviation instead of the standard error",
                  [listed, f"t = {mean} / {sig(sd)} = {mean / sd:.2f}."]),
            Wrong(number(-t, 2, tolerance=0.03), "subtracted in the wrong order",
                  [f"The differences before - after have mean {-mean} and standard deviation {sig(sd)}.",
                   f"t = {-mean} / ({sig(sd)} / sqrt({n})) = {-t:.2f}."]),
            Wrong(number(mean * n / sd, 2, tolerance=0.03),
                  "divided the standard deviation by n instead of by its root"),
        ],
        "Paired data are reduced to differences, and the differences are one sample.",
        {"before": before, "after": after},
    )


_ASK_TWO_SAMPLE_T = wordings("""
    train: In a randomized experiment, {n1} {v.units} get {v.a} and {n2} get {v.b}. The mean {v.y} is {mean1}
        {v.unit} (SD {sd1}) in the first group and {mean2} {v.unit} (SD {sd2}) in the second. Compute the
        two-sample t statistic, first minus second, without pooling.
    train: In a randomized experiment, {n1} {v.units} get {v.a} and {n2} get {v.b}. The mean {v.y} is {mean1}
        {v.unit} (SD {sd1}) in the first group and {mean2} {v.unit} (SD {sd2}) in the second. What is the
        unpooled two-sample t statistic (first minus second)?
    test: Chance divides {v.units} into {n1} that receive {v.a} and {n2} that receive {v.b}. Results for {v.y}
        ({v.unit}): x-bar = {mean1}, s = {sd1} against x-bar = {mean2}, s = {sd2}. Find t for the hypothesis of
        equal effects, former less latter, with separate variances.
    test: How many standard errors apart are the averages of {v.y} in two groups of {v.units}: {mean1} {v.unit}
        (s = {sd1}, n = {n1}) under {v.a} and {mean2} {v.unit} (s = {sd2}, n = {n2}) under {v.b}? Take the
        former less the latter and keep the variances separate.
""")


@kind(3)
def two_sample_t(draw: Draw) -> Draft:
    """The unpooled two-sample t statistic."""
    v = draw.setting(VERSUS)
    mean2, sd1, sd2 = draw.decimal(*v.mean, 1), draw.decimal(*v.sd, 1), draw.decimal(*v.sd, 1)
    mean1 = Given(round(mean2 + draw.choice((-1, 1)) * draw.decimal(*v.gain, 1), 1))
    n1, n2 = draw.integer(12, 60), draw.integer(12, 60)
    se = math.sqrt(sd1**2 / n1 + sd2**2 / n2)
    t = (mean1 - mean2) / se
    draw.need(0.5 < abs(t) < 5)
    added, bare = sd1 / math.sqrt(n1) + sd2 / math.sqrt(n2), math.hypot(sd1, sd2)

    def work(spread: float, how: str) -> list[str]:
        return [how, f"t = ({mean1} - {mean2}) / {sig(spread)} = {(mean1 - mean2) / spread:.2f}."]

    return Draft(
        draw.ask(_ASK_TWO_SAMPLE_T, v=v, n1=n1, n2=n2, mean1=mean1, sd1=sd1, mean2=mean2, sd2=sd2),
        work(se, f"The standard error is sqrt({sd1}^2 / {n1} + {sd2}^2 / {n2}) = {sig(se)}."),
        number(t, 2, tolerance=0.02),
        [
            Wrong(number((mean1 - mean2) / added, 2, tolerance=0.02),
                  "added the standard errors instead of the variances",
                  work(added, f"The standard error is {sd1} / sqrt({n1}) + {sd2} / sqrt({n2}) = "
                              f"{sig(added)}.")),
            Wrong(number((mean1 - mean2) / bare, 2, tolerance=0.02), "left out the sample sizes",
                  work(bare, f"The standard error is sqrt({sd1}^2 + {sd2}^2) = {sig(bare)}.")),
            Wrong(number(-t, 2, tolerance=0.02), "subtracted in the wrong order"),
            Wrong(number((mean1 - mean2) / math.sqrt(sd1 / n1 + sd2 / n2), 2, tolerance=0.02),
                  "forgot to square the standard deviations",
                  work(math.sqrt(sd1 / n1 + sd2 / n2),
                       f"The standard error is sqrt({sd1} / {n1} + {sd2} / {n2}) = "
                       f"{sig(math.sqrt(sd1 / n1 + sd2 / n2))}.")),
        ],
        "The standard error of a difference of means is the root of the sum of the two squared standard "
        "errors.",
        {"mean1": mean1, "mean2": mean2, "sd1": sd1, "sd2": sd2, "n1": n1, "n2": n2},
    )
