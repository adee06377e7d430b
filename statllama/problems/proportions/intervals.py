"""Intervals for one proportion and for a difference of two: their limits, their parts and their meaning."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._phrases import THAT, confident, parameter, recalled, tenth
from .._problem import fixed, interval, number, share_interval, sig, words
from .._settings_proportions import CONTRASTS, SHARES
from .._siblings import LEVELS, Sibling, Siblings, four, other_level, square
from .._wording import wordings
from ._shared import CRITICAL, negated, one_sample, sample, two_samples

# fmt: off


_ASK_ONE_PROPORTION_INTERVAL = wordings("""
    train: Construct a {level}% confidence interval for the proportion of all {s.who} {s.rel} {does}.
    train: Find the {level}% z interval for p, the proportion of all {s.who} {s.rel} {does}.
    test: Estimate, with {level}% confidence, what proportion of all {s.who} {does}.
    test: Among all {s.who}, let p be the proportion {s.rel} {does}. What are the limits of the {level}% z interval?
""")


@kind(2, ap="6.2")
def one_proportion_interval(draw: Draw) -> Siblings:
    """The large-sample interval for the proportion with a trait or without it, at one of two levels."""
    s = draw.setting(SHARES)
    n, x = sample(draw, s.p, 80, 600)
    levels, stem = draw.choice(LEVELS), one_sample(draw, s, n, x)

    def make(a: int, b: int) -> Sibling:
        hits, does, level = (x, n - x)[a], (s.does, negated(s.does))[a], levels[b]
        p, z = hits / n, CRITICAL[level]
        margin = z * math.sqrt(p * (1 - p) / n)
        steps = [
            f"{parameter('p', f'the proportion of all {s.who} {s.rel} {does}')}.",
            f"The sample is random, and its counts {hits} and {n - hits} [are both at least 10 // of successes and "
            f"failures are at least 10], so a z interval is appropriate. [ // {tenth(n, s.many)}]",
            f"[The sample proportion is // First,] `p_hat = {hits} / {n} = {p:.4f}`.",
            f"The interval is `p_hat +/- z* sqrt(p_hat (1 - p_hat) / n)`{THAT} `{p:.4f} +/- {z:.3f} * sqrt({p:.4f} "
            f"* {1 - p:.4f} / {n}) = {p:.4f} +/- {margin:.4f}`.",
            confident(level, f"{p - margin:.3f}", f"{p + margin:.3f}",
                      f"the proportion of all {s.who} {s.rel} {does}"),
        ]
        return Sibling(
            f"{('with', 'without')[a]} the trait, {level}%",
            f"{stem} {draw.ask(_ASK_ONE_PROPORTION_INTERVAL, s=s, does=does, level=level)}",
            steps,
            share_interval(p - margin, p + margin),
            "A confidence interval is the estimate plus or minus a critical value times the standard error.",
        )

    return square(
        make,
        (f"estimated the proportion {s.rel} {negated(s.does)}", f"estimated the proportion {s.rel} {s.does}"),
        other_level(levels),
        {"x": x, "n": n, "levels": levels},
    )


_ASK_TWO_PROPORTION_INTERVAL = wordings("""
    test: Estimate the difference in population proportions, {first} minus {second}, with {level}% confidence.
    test: Let p1 belong to all {first} and p2 to all {second}. Which limits does the {level}% z interval for p1 - p2
        have?
""")


@kind(3, held_out=True, ap="6.8")
def two_proportion_interval(draw: Draw) -> Siblings:
    """The large-sample interval for a difference of proportions: its order and one of two levels."""
    c = draw.setting(CONTRASTS)
    (n1, x1), (n2, x2) = sample(draw, c.p, 80, 400), sample(draw, c.p, 80, 400)
    levels, stem = draw.choice(LEVELS), two_samples(draw, c, n1, x1, n2, x2)
    groups = ((c.a, n1, x1), (c.b, n2, x2))

    def make(a: int, b: int) -> Sibling:
        (first, n, x), (second, m, y), level = groups[a], groups[1 - a], levels[b]
        p, q, z = x / n, y / m, CRITICAL[level]
        se = math.sqrt(p * (1 - p) / n + q * (1 - q) / m)
        low, high = p - q - z * se, p - q + z * se
        steps = [
            f"[The parameter is // We estimate] p1 - p2: the proportion of all {first} {c.rel} {c.does} minus that of "
            f"all {second}.",
            f"The samples are random and independent, and the counts {x}, {n - x}, {y} and {m - y} are at least 10.",
            f"[The sample proportions are // From the data,] `p1_hat = {x} / {n} = {p:.4f}` and `p2_hat = {y} / {m} = "
            f"{q:.4f}`.",
            f"The standard error is `sqrt(p1_hat (1 - p1_hat) / n1 + p2_hat (1 - p2_hat) / n2)`{THAT} `sqrt({p:.4f} * "
            f"{1 - p:.4f} / {n} + {q:.4f} * {1 - q:.4f} / {m}) = {sig(se)}`.",
            f"The interval is `p1_hat - p2_hat +/- z* SE`{THAT} `{fixed(p - q, 4)} +/- {z:.3f} * {sig(se)}`.",
            confident(level, fixed(low, 3), fixed(high, 3), f"the difference in proportions {c.rel} {c.does}, {first} "
                      f"minus {second},"),
        ]
        return Sibling(
            f"{('first minus second', 'second minus first')[a]}, {level}%",
            f"{stem} {draw.ask(_ASK_TWO_PROPORTION_INTERVAL, first=first, second=second, level=level)}",
            steps,
            interval(low, high, 3),
            "The standard error of a difference of proportions is the root of the sum of the two squared ones, "
            "unpooled.",
        )

    return square(
        make,
        ("subtracted the proportions in the wrong order",) * 2,
        other_level(levels),
        {"x1": x1, "n1": n1, "x2": x2, "n2": n2, "levels": levels},
    )


_STEM_MARGIN_FROM_INTERVAL = wordings("""
    train: A {level}% z interval for the proportion of {s.who} {s.rel} {s.does} is ({low}, {high}).
    train: From a random sample of {s.who}, the {level}% z interval for the proportion {s.rel} {s.does} runs from {low}
        to {high}.
    train: A report gives ({low}, {high}) as the {level}% z interval for the proportion of all {s.who} {s.rel} {s.does}.
    train: Using a random sample, a student finds that a {level}% z interval for the proportion of {s.who} {s.rel}
        {s.does} goes from {low} to {high}.
    test: How many {s.who} {s.does}? With {level}% confidence, a random sample puts the proportion between {low} and
        {high} (one-sample z interval).
    test: ({low}, {high}) is what software returns for a one-sample z interval at {level}% confidence; p is the
        proportion of {s.who} {s.rel} {s.does}.
    test: Random sampling of {s.who} leads, at a confidence level of {level}%, to the z interval {low} < p < {high} for
        the proportion {s.rel} {s.does}.
""")
_ASK_MARGIN_FROM_INTERVAL = wordings("""
    train/estimate: What is the sample proportion?
    train/estimate: Find the point estimate of the proportion.
    train/margin: What is the margin of error?
    train/margin: Find the margin of error of this interval.
    train/se: What is the standard error of the sample proportion?
    train/se: Find the standard error that was used.
    train/other: What would the margin of error be at {other}% confidence?
    train/other: Find the margin of error of a {other}% interval from the same sample.
    test/estimate: Recover the sample proportion from these limits.
    test/estimate: Which value of p_hat do the limits imply?
    test/margin: Recover the margin of error from these limits.
    test/margin: Which margin of error do the limits imply?
    test/se: Recover the standard error of p_hat from these limits.
    test/se: Which standard error of p_hat do the limits imply?
    test/other: Recover the margin of error that {other}% confidence would give with the same data.
    test/other: Which margin of error would the same data give at {other}% confidence?
""")


@kind(1, ap="6.2")
def margin_from_interval(draw: Draw) -> Siblings:
    """What went into a given interval: estimate, margin of error, standard error, or the margin at another level."""
    s = draw.setting(SHARES)
    level, other = draw.rng.sample((90, 95, 99), 2)
    center, margin = draw.decimal(*s.p, 3), draw.decimal(0.015, 0.07, 3)
    low, high = fixed(center - margin, 3), fixed(center + margin, 3)
    stem = draw.ask(_STEM_MARGIN_FROM_INTERVAL, s=s, level=level, low=low, high=high)
    z, z2 = CRITICAL[level], CRITICAL[other]
    half, middle = (float(high) - float(low)) / 2, (float(high) + float(low)) / 2
    halved = f"[The margin of error is half of the width, // Half of the width is] `({high} - {low}) / 2 = {half:.4f}`."
    scaled = f"The margin of error is `z* SE`, and `z* = {z:.3f}` at {level}% confidence"
    answers = {
        "estimate": (middle, ["[The sample proportion is the midpoint of the interval // A z interval is centered at "
                              "p_hat].",
                              f"[The midpoint is // So `p_hat` is] `({low} + {high}) / 2 = {middle:.4f}`."]),
        "margin": (half, ["The margin of error is the distance from the midpoint to either end.", halved]),
        "se": (half / z, [halved, f"{scaled}, so `SE = {half:.4f} / {z:.3f} = {half / z:.4f}`."]),
        "other": (half * z2 / z, [halved, f"{scaled} and {z2:.3f} at {other}%, so the margin becomes `{half:.4f} * "
                                          f"{z2:.3f} / {z:.3f} = {half * z2 / z:.4f}`."]),
    }
    about = f"{parameter('p', f'the proportion of all {s.who} {s.rel} {s.does}')}."
    form = "The interval has the form `p_hat +/- z* SE`[. // , with its center at the sample proportion.]"
    of = [
        Sibling(asked, f"{stem} {draw.ask(_ASK_MARGIN_FROM_INTERVAL, asked, other=other)}", [about, form, *steps],
                number(value, 4, tolerance=0.0005),
                "A z interval is the sample proportion plus or minus its margin of error, z* times the standard error.")
        for asked, (value, steps) in answers.items()
    ]
    slips = ["gave the midpoint of the interval", "gave the margin of error of this interval",
             "gave the standard error of the sample proportion", f"gave the margin of error at {other}% confidence"]
    return four(of, slips, {"low": float(low), "high": float(high), "confidence": level, "other": other})


_STEM_DIFFERENCE_INTERVAL_MEANING = wordings("""
    train: Let p1 be the proportion of all {c.a} {c.rel} {c.does} and p2 that of all {c.b}. From independent random
        samples of {n} each, a {level}% confidence interval for p1 - p2 is {low} to {high}. The standard error is {se}.
    train: Independent random samples of {n} {c.a} and {n} {c.b} give p1_hat - p2_hat = {gap} for the proportions
        {c.rel} {c.does}, with a standard error of {se} and a {level}% confidence interval from {low} to {high}.
    train: A {level}% confidence interval for the difference in the proportions {c.rel} {c.does}, {c.a} minus {c.b}, is
        ({low}, {high}). It comes from independent random samples of {n} each, with a standard error of {se}.
    train: A researcher compares {c.a} (p1) with {c.b} (p2), a random sample of {n} each, in the proportion {c.rel}
        {c.does}. The results are p1_hat - p2_hat = {gap}, SE = {se} and a {level}% interval of ({low}, {high}).
    test: Software compares two independent random samples, {n} {c.a} and {n} {c.b}, in the proportion {c.rel} {c.does}.
        It prints: difference {gap}, SE {se}, {level}% CI ({low}, {high}).
    test: "{gap} +/- {margin} at {level}% confidence, SE {se}" is how a report states p1 - p2, where p1 refers to {c.a}
        and p2 to {c.b} {c.rel} {c.does}. The samples are random and independent, of size {n} each.
    test: How much do {c.a} and {c.b} differ in the proportion {c.rel} {c.does}? Two independent random samples, each of
        size {n}, yield SE = {se} and, with {level}% confidence, limits of {low} and {high} for p1 - p2.
""")
_ASK_DIFFERENCE_INTERVAL_MEANING = wordings("""
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


@kind(2, ap="6.9")
def difference_interval_meaning(draw: Draw) -> Siblings:
    """What an interval for a difference, its level, its margin of error and its standard error say."""
    c = draw.setting(CONTRASTS)
    level, n = draw.confidence(), 10 * draw.integer(12, 50)
    p, q = draw.decimal(*c.p, 2), draw.decimal(*c.p, 2)
    se = round(math.sqrt(p * (1 - p) / n + q * (1 - q) / n), 3)
    gap, margin = Given(p - q), CRITICAL[level] * se
    low, high = fixed(gap - margin, 3), fixed(gap + margin, 3)
    draw.need(abs(gap) > 0.015)
    fields = {"level": level, "n": n, "low": low, "high": high, "se": f"{se:.3f}", "gap": fixed(gap, 2),
              "margin": fixed(margin, 3)}
    stem = draw.ask(_STEM_DIFFERENCE_INTERVAL_MEANING, c=c, **fields)
    of_both = f"the difference in population proportions, {c.a} minus {c.b}"
    of_samples = f"the difference in sample proportions, {c.a} minus {c.b}"
    about = {
        "interval": (f"We are {level}% confident that {of_both}, is between {low} and {high}.",
                     "The interval gives plausible values of the parameter, a difference of population proportions."),
        "level": (f"In the long run, {level}% of all pairs of random samples give an interval that captures {of_both}.",
                  "The level describes the method: how often it succeeds when samples are drawn again and again."),
        "margin": (f"With {level}% confidence, {of_samples}, is within {fixed(margin, 3)} of the population "
                   "difference.",
                   "The margin of error bounds how far the estimate is from the parameter, at the given confidence."),
        "se": (f"In repeated sampling, {of_samples}, typically misses the population difference by about {se:.3f}.",
               "The standard error describes how much the difference of sample proportions varies between samples."),
    }
    of = [
        Sibling(asked, f"{stem} {draw.ask(_ASK_DIFFERENCE_INTERVAL_MEANING, asked, level=level)}",
                [f"The parameter is p1 - p2, where p1 is the proportion of [all // ] {c.a} {c.rel} {c.does} and p2 "
                 f"that of [all // ] {c.b}.",
                 recalled(idea),
                 f"[The estimate is `p1_hat - p2_hat = {fields['gap']}` // It is estimated by `p1_hat - p2_hat = "
                 f"{fields['gap']}`, from two samples of {n} // The samples, of {n} each, give the estimate "
                 f"{fields['gap']}]."], words(sentence), idea)
        for asked, (sentence, idea) in about.items()
    ]
    names = ("interval", "confidence level", "margin of error", "standard error")
    return four(of, [f"interpreted the {name} instead" for name in names],
                {"p1": p, "p2": q, "n": n, "se": se, "confidence": level})


_STEM_CONCLUSION_FROM_INTERVAL = wordings("""
    train: In {y1} and in {y2}, independent random samples of {c.a} and {c.b} were taken. For the difference in the
        proportions {c.rel} {c.does}, {c.a} minus {c.b}, the {la}% intervals are {a1} ({y1}) and {a2} ({y2}), and the
        {lb}% intervals are {b1} ({y1}) and {b2} ({y2}).
    train: Let p1 be the proportion of {c.a} {c.rel} {c.does} and p2 that of {c.b}. Independent random samples give
        these intervals for p1 - p2: in {y1}, {a1} at {la}% and {b1} at {lb}% confidence; in {y2}, {a2} at {la}% and
        {b2} at {lb}% confidence.
    train: A study compares {c.a} (p1) with {c.b} (p2) in the proportion {c.rel} {c.does}, with independent random
        samples in two years. Intervals for p1 - p2 with {la}% confidence are {a1} in {y1} and {a2} in {y2}; with {lb}%
        confidence they are {b1} in {y1} and {b2} in {y2}.
    train: Independent random samples of {c.a} and {c.b} were taken in {y1}. The difference in the proportions {c.rel}
        {c.does}, {c.a} minus {c.b}, was estimated by {a1} at {la}% and by {b1} at {lb}% confidence. In {y2}, new
        samples gave {a2} at {la}% and {b2} at {lb}%.
    test: {y1}: {a1} with {la}% confidence, {b1} with {lb}%. {y2}: {a2} with {la}% confidence, {b2} with {lb}%. These
        intervals, from separate simple random samples, are for the proportion of {c.a} {c.rel} {c.does} minus that of
        {c.b}.
    test: By how much do {c.a} and {c.b} differ in the proportion {c.rel} {c.does}? Separate simple random samples show,
        for the first group minus the second, {a1} ({la}%) and {b1} ({lb}%) in {y1}, and {a2} ({la}%) and {b2} ({lb}%)
        in {y2}.
    test: Software returns z intervals for p1 - p2, computed from separate simple random samples of {c.a} (p1) and {c.b}
        (p2) {c.rel} {c.does}. For {y1} it prints {a1} at {la}% and {b1} at {lb}%; for {y2}, {a2} at {la}% and {b2} at
        {lb}%.
""")
_ASK_CONCLUSION_FROM_INTERVAL = wordings("""
    train: What does the {level}% interval of {y} say about a difference?
    train: Is there convincing evidence of a difference in {y}, judged by the {level}% interval?
    test: Judge by the {level}% interval whether the proportions differed in {y}.
    test: Which conclusion for {y} does the interval with {level}% confidence support?
""")


@kind(2, ap="6.9")
def conclusion_from_interval(draw: Draw) -> Siblings:
    """Whether an interval for a difference contains 0: in one of two years, at one of two levels."""
    c = draw.setting(CONTRASTS)
    levels, y1 = draw.choice(LEVELS), draw.integer(2008, 2020)
    years = (y1, y1 + draw.integer(2, 5))
    limits = []
    for _ in years:
        se, z = draw.decimal(0.02, 0.05, 3), draw.decimal(CRITICAL[levels[0]] + 0.05, CRITICAL[levels[1]] - 0.05, 2)
        gap = draw.choice((1, -1)) * round(z * se, 3)
        limits.append([(gap - CRITICAL[level] * se, gap + CRITICAL[level] * se) for level in levels])
    shown = [[f"({fixed(low, 3)}, {fixed(high, 3)})" for low, high in year] for year in limits]
    draw.need(all(abs(end) > 0.0015 for year in limits for pair in year for end in pair))
    stem = draw.ask(_STEM_CONCLUSION_FROM_INTERVAL, c=c, y1=years[0], y2=years[1], la=levels[0], lb=levels[1],
                    a1=shown[0][0], b1=shown[0][1], a2=shown[1][0], b2=shown[1][1])

    def make(a: int, b: int) -> Sibling:
        level, year = levels[b], years[a]
        claim = f"convincing evidence that the proportions of {c.a} and {c.b} {c.rel} {c.does} differed in {year}"
        steps = [
            f"The parameter is p1 - p2 in {year}, where p1 is the proportion of all {c.a} {c.rel} {c.does} and p2 that "
            f"of all {c.b}.",
            "[We ask whether equal proportions, `p1 - p2 = 0`, are plausible. // No difference means `p1 - p2 = 0`. "
            "// The value to look for is 0, no difference.]",
            f"[The {level}% interval is {shown[a][b]} // At {level}% confidence, the interval is {shown[a][b]}].",
            (f"[It // This interval] does not contain 0, so equal proportions are not plausible[. // at alpha = "
             f"{(100 - level) / 100:.2f}.]",
             f"[It // This interval] contains 0, so equal proportions are plausible[. // at alpha = "
             f"{(100 - level) / 100:.2f}.]")[b],
        ]
        text = (f"There is {claim}.", f"There is not {claim}.")[b]
        return Sibling(f"{('first', 'second')[a]} year, {level}%",
                       f"{stem} {draw.ask(_ASK_CONCLUSION_FROM_INTERVAL, level=level, y=year)}", steps, words(text),
                       "An interval for a difference gives convincing evidence of one when it does not contain 0.")

    return square(
        make,
        (f"drew the conclusion about {years[1]}", f"drew the conclusion about {years[0]}"),
        (f"read the interval at {levels[1]}% confidence", f"read the interval at {levels[0]}% confidence"),
        {"limits": [[list(pair) for pair in year] for year in limits], "years": list(years), "levels": list(levels)},
    )
