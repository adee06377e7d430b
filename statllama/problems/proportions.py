"""Inference for proportions: intervals, tests, sample size, errors and conclusions."""

from __future__ import annotations

import math

from ._draw import Draw, Given, kind
from ._numerics import normal_cdf, normal_quantile
from ._problem import Draft, Wrong, count, fixed, number, plain, probability, share_interval, sig, words
from ._settings import SHARES, Share

# fmt: off

_CRITICAL = {level: normal_quantile(0.5 + level / 200) for level in (90, 95, 99)}


def _sample(draw: Draw, s: Share, low: int, high: int) -> tuple[int, int]:
    """A sample size and a count of successes with at least ten of each sort."""
    n = draw.integer(low, high)
    x = round(n * draw.decimal(*s.p, 3))
    draw.need(x >= 10 and n - x >= 10)
    return n, x


@kind(2)
def one_proportion_interval(draw: Draw) -> Draft:
    """The large-sample interval for one proportion."""
    s = draw.setting(SHARES)
    n, x = _sample(draw, s, 80, 600)
    level = draw.confidence()
    z, p = _CRITICAL[level], x / n
    se = math.sqrt(p * (1 - p) / n)
    start = f"The sample proportion is {x} / {n} = {p:.4f}."
    error = f"Its standard error is sqrt({p:.4f} * {1 - p:.4f} / {n}) = {sig(se)}."

    def work(critical: float, spread: float, how: str) -> list[str]:
        return ([start, how, f"The interval is {p:.4f} +/- {critical:.3f} * {sig(spread)}, that is {p:.4f} "
                             f"+/- {sig(critical * spread)}."])

    def limits(critical: float, spread: float) -> tuple[float, float]:
        return p - critical * spread, p + critical * spread

    other = {90: 95, 95: 90, 99: 95}[level]
    wide = math.sqrt(p * (1 - p) / (n / 4))
    return Draft(
        draw.wording(
            f"In a random sample of {n} {s.who}, {x} {s.does}. Construct a {level}% confidence interval for "
            f"the proportion of all the {s.many} {s.rel} {s.does}.",
            f"Of {n} {s.many} sampled at random from {s.who}, {x} {s.does}. What is the {level}% confidence "
            "interval for the population proportion?",
        ),
        work(z, se, error),
        share_interval(*limits(z, se)),
        [
            Wrong(share_interval(*limits(_CRITICAL[other], se)),
                  f"used the critical value for {other}% confidence", work(_CRITICAL[other], se, error)),
            Wrong(share_interval(*limits(1.0, se)),
                  "went one standard error to each side and left out the critical value",
                  work(1.0, se, error)),
            Wrong(share_interval(*limits(z, wide / 4)), "halved the standard error"),
            Wrong(share_interval(*limits(z, p * (1 - p) / math.sqrt(n))),
                  "left out the square root over p(1 - p)",
                  work(z, p * (1 - p) / math.sqrt(n),
                       f"Its standard error is {p:.4f} * {1 - p:.4f} / sqrt({n}) = "
                       f"{sig(p * (1 - p) / math.sqrt(n))}.")),
            Wrong(share_interval(1 - p - z * se, 1 - p + z * se), "worked with the proportion of failures"),
        ],
        "A confidence interval is the estimate plus or minus a critical value times the standard error.",
        {"x": x, "n": n, "confidence": level},
    )


@kind(2)
def sample_size_for_margin(draw: Draw) -> Draft:
    """The sample size for a wanted margin of error."""
    s = draw.setting(SHARES)
    level, margin = draw.confidence(), draw.decimal(2, 6, 1) / 100
    known = draw.choice((True, False))
    guess = draw.decimal(*s.p, 2) if known else Given(0.5)
    draw.need(not known or abs(guess - 0.5) > 0.06)
    z = _CRITICAL[level]
    exact = guess * (1 - guess) * (z / margin) ** 2
    right = math.ceil(exact)
    draw.need(0.05 < exact % 1 < 0.95)
    m = plain(margin)

    def work(p: float, critical: float, size: float, last: str) -> list[str]:
        return [f"n = {plain(p)} * {plain(1 - p)} * ({critical:.3f} / {m})^2 = {size:.1f}.", last]

    other = 0.25 * (z / margin) ** 2 if known else 0.5 * (z / margin) ** 2
    known_text = f"An earlier study found that about {guess * 100:g}% of them {s.does}. " if known else ""
    return Draft(
        f"A researcher wants to estimate the proportion of {s.who} {s.rel} {s.does}, with {level}% "
        f"confidence and a margin of error of at most {m}. {known_text}"
        + draw.wording("How large a random sample is needed?",
                       "What is the smallest sample size that will do?") + ("" if known else " No earlier "
                                                                                             "estimate is "
                                                                                             "available."),
        work(guess, z, exact, f"Rounding up gives {right}."),
        count(right, s.many),
        [
            Wrong(count(right - 1, s.many), "rounded down, which leaves the margin too wide",
                  work(guess, z, exact, f"The whole part is {right - 1}.")),
            Wrong(count(math.ceil(other), s.many),
                  "used 0.5 although an earlier estimate is given" if known else "used p = 0.5 without 1 - p",
                  work(0.5, z, other, f"Rounding up gives {math.ceil(other)}.") if known else ()),
            Wrong(count(math.ceil(guess * (1 - guess) * z / margin), s.many),
                  "forgot to square the ratio of critical value and margin",
                  [f"n = {guess} * {plain(1 - guess)} * {z:.3f} / {m} = "
                   f"{guess * (1 - guess) * z / margin:.1f}.",
                   f"Rounding up gives {math.ceil(guess * (1 - guess) * z / margin)}."]),
            Wrong(count(math.ceil(guess * (1 - guess) / margin**2), s.many), "left out the critical value",
                  [f"n = {guess} * {plain(1 - guess)} / {m}^2 = {guess * (1 - guess) / margin**2:.1f}.",
                   f"Rounding up gives {math.ceil(guess * (1 - guess) / margin**2)}."]),
            Wrong(count(math.ceil(exact / 4), s.many), "took the margin for the whole width of the interval"),
        ],
        "A sample size is rounded up, and 0.5 is used for p when nothing is known.",
        {"guess": guess, "margin": margin, "confidence": level},
    )


@kind(2)
def one_proportion_z(draw: Draw) -> Draft:
    """The z statistic or the p-value of a one-proportion test."""
    s = draw.setting(SHARES)
    n, x = _sample(draw, s, 90, 500)
    p = x / n
    null = Given(round(p + draw.choice((-1, 1)) * draw.decimal(0.02, 0.09, 2), 2))
    draw.need(10 <= n * null <= n - 10)
    se, se_hat = math.sqrt(null * (1 - null) / n), math.sqrt(p * (1 - p) / n)
    z = (p - null) / se
    side = draw.choice(("two", "one"))
    tail = normal_cdf(-abs(z))
    right = tail * (2 if side == "two" else 1)
    draw.need(0.001 < right < 0.9)
    way = "differs from" if side == "two" else "is above" if z > 0 else "is below"
    first = (f"The sample proportion is {x} / {n} = {p:.4f}, and under the null hypothesis its standard "
             f"deviation is sqrt({null} * {plain(1 - null)} / {n}) = {sig(se)}.")
    score = f"z = ({p:.4f} - {null}) / {sig(se)} = {z:.2f}."
    two, one = (f"Both tails together have area 2 * {tail:.5f} = {2 * tail:.4f}.", "The tail has area "
                                                                                   f"{tail:.4f}.")
    slip = ("gave a one-sided p-value for a two-sided test" if side == "two" else "doubled the p-value of a "
                                                                                  "one-sided test")
    z_hat, z_flat = (p - null) / se_hat, (p - null) / math.sqrt(null * (1 - null))
    hat_p = normal_cdf(-abs(z_hat)) * (2 if side == "two" else 1)
    flat_p = normal_cdf(-abs(z_flat)) * (2 if side == "two" else 1)
    return Draft(
        f"A report says that {null * 100:g}% of {s.who} {s.does}. In a random sample of {n}, {x} {s.does}. "
        + draw.wording(f"Find the p-value of a z test of whether the true proportion {way} {null}.",
                       "What is the p-value of the one-proportion z test with the alternative that the "
                       f"proportion {way} {null}?"),
        [first, score, two if side == "two" else one],
        probability(right),
        [
            Wrong(probability(tail if side == "two" else 2 * tail), slip,
                  [first, score, one if side == "two" else two]),
            Wrong(probability(1 - right), "gave the area that is not in the tail",
                  [first, score, f"The p-value is 1 - {right:.4f} = {1 - right:.4f}."]),
            Wrong(probability(flat_p), "left the sample size out of the standard deviation",
                  [f"The sample proportion is {x} / {n} = {p:.4f}, and the standard deviation is sqrt({null} "
                   f"* {plain(1 - null)}) = {sig(math.sqrt(null * (1 - null)))}.",
                   f"z = {z_flat:.2f}, and the p-value is {flat_p:.4f}."]),
            Wrong(probability(hat_p), "used the sample proportion in the standard deviation instead of the "
                                      "null value"),
            Wrong(probability(abs(0.5 - tail)), "gave the area between the center and z"),
        ],
        "The test uses the standard deviation under the null hypothesis, and a two-sided test counts both "
        "tails.",
        {"x": x, "n": n, "null": null, "sides": side},
    )


@kind(3)
def two_proportion_z(draw: Draw) -> Draft:
    """The pooled z statistic for two proportions."""
    s = draw.setting(SHARES)
    (n1, x1), (n2, x2) = _sample(draw, s, 80, 400), _sample(draw, s, 80, 400)
    p1, p2, pooled = x1 / n1, x2 / n2, (x1 + x2) / (n1 + n2)
    se = math.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
    z = (p1 - p2) / se
    draw.need(0.6 < abs(z) < 4.5 and abs(n1 - n2) > 40)
    shares = f"The sample proportions are {x1} / {n1} = {p1:.4f} and {x2} / {n2} = {p2:.4f}."
    pool = (f"Under the null hypothesis they share one value, estimated by ({x1} + {x2}) / ({n1} + {n2}) = "
            f"{pooled:.4f}.")

    def work(how: str, spread: float) -> list[str]:
        return ([shares, how, f"The standard error is {sig(spread)}, so z = ({p1:.4f} - {p2:.4f}) / "
                              f"{sig(spread)} = {(p1 - p2) / spread:.2f}."])

    joint = math.sqrt(pooled * (1 - pooled) / (n1 + n2))
    added = math.sqrt(p1 * (1 - p1) / n1) + math.sqrt(p2 * (1 - p2) / n2)
    return Draft(
        f"Two independent random samples are taken from {s.who}, one last year and one this year. Last year "
        f"{x1} of {n1} {s.does}; this year {x2} of {n2}. "
        + draw.wording("Compute the pooled z statistic for testing that the two proportions are equal (last "
                       "year minus this year).",
                       "What is the two-proportion z statistic, last year minus this year, with a pooled "
                       "standard error?"),
        work(pool, se),
        number(z, 2, tolerance=0.03),
        [
            Wrong(number(-z, 2, tolerance=0.03), "subtracted the proportions in the wrong order",
                  [shares, pool, f"The standard error is {sig(se)}, so z = ({p2:.4f} - {p1:.4f}) / {sig(se)} "
                                 f"= {-z:.2f}."]),
            Wrong(number((p1 - p2) / joint, 2, tolerance=0.03),
                  "treated the two samples as one sample of their total size",
                  work(f"The pooled proportion is {pooled:.4f}, and the pooled sample has size {n1 + n2}.",
                       joint)),
            Wrong(number((p1 - p2) / added, 2, tolerance=0.03),
                  "added the standard errors instead of the variances",
                  work("The standard errors of the two samples add up.", added)),
            Wrong(number(z * abs(z), 2, tolerance=0.03), "squared the statistic, as for a chi-square value"),
        ],
        "When the null hypothesis says the proportions are equal, one pooled proportion goes into the "
        "standard error.",
        {"x1": x1, "n1": n1, "x2": x2, "n2": n2},
    )


@kind(1)
def conclusion_of_test(draw: Draw) -> Draft:
    """The conclusion of a test from its p-value and level."""
    s = draw.setting(SHARES)
    null, alpha = draw.decimal(*s.p, 2), draw.choice((0.01, 0.05, 0.10))
    value = Given(draw.integer(11, 1900) / 10_000)
    draw.need(abs(value - alpha) > 0.002)
    reject, level = value < alpha, fixed(alpha, 2)
    claim = f"the proportion of {s.many} {s.rel} {s.does} is above {null}"
    yes = f"Reject the null hypothesis: there is convincing evidence that {claim}."
    no = f"Do not reject the null hypothesis: there is not convincing evidence that {claim}."
    proof = (f"Accept the null hypothesis: the test proves that the proportion of {s.many} {s.rel} {s.does} "
             f"is exactly {null}.")
    likely = (f"Leave the question open: the null hypothesis has probability {fixed(value, 4)}, and {claim} "
              f"with probability {fixed(1 - value, 4)}.")
    compare = f"The p-value {fixed(value, 4)} is {'below' if reject else 'above'} the level {level}."
    turned = "A p-value of this size is small enough to count against the null hypothesis."
    if reject:
        turned = "A small p-value means that the data agree with the null hypothesis."
    return Draft(
        f"A test of whether more than {null * 100:g}% of {s.who} {s.does} gives a p-value of "
        f"{fixed(value, 4)}. " + draw.wording(f"What is the conclusion at the {level} level?",
                                              f"With alpha = {level}, what should be concluded?"),
        [compare, f"So the result {'is' if reject else 'is not'} statistically significant at this level."],
        words(yes if reject else no),
        [
            Wrong(words(no if reject else yes), "compared the p-value with the level the wrong way round",
                  [compare, turned]),
            Wrong(words(proof), "took a test for a proof of the null hypothesis",
                  [compare, "A test ends by accepting one of the two hypotheses."]),
            Wrong(words(likely), "took the p-value for the probability that the null hypothesis is true",
                  [f"The p-value is {fixed(value, 4)}.", "It tells how likely the null hypothesis is."]),
        ],
        "Reject when the p-value is below the level; a large p-value never proves the null hypothesis.",
        {"p_value": value, "alpha": alpha},
    )


@kind(2)
def error_type(draw: Draw) -> Draft:
    """What a Type I or a Type II error is, in context."""
    s = draw.setting(SHARES)
    null, first = draw.decimal(*s.p, 2), draw.choice((True, False))
    high, not_high = f"the proportion is above {null}", f"the proportion is {null}"
    texts = {
        "I": f"Concluding that {high} when in fact {not_high}.",
        "II": f"Failing to find that {high} when in fact it is.",
        "right": f"Concluding that {high} when in fact it is.",
        "kept": f"Failing to find evidence that {high} when in fact {not_high}.",
    }
    name, other = ("I", "II") if first else ("II", "I")
    meaning = ({"I": "A Type I error rejects a null hypothesis that is true.",
                "II": "A Type II error fails to reject a null hypothesis that is false."})
    return Draft(
        f"A researcher tests whether more than {null * 100:g}% of {s.who} {s.does}; the null hypothesis is "
        f"that the proportion is {null}. " + draw.wording(f"What would a Type {name} error be?",
                                                          f"Describe a Type {name} error in this setting."),
        [meaning[name], "Here the null hypothesis says that " + not_high + "."],
        words(texts[name]),
        [
            Wrong(words(texts[other]), "exchanged the two types of error",
                  [f"A Type {name} error {'fails to reject' if first else 'rejects'} a null hypothesis that "
                   f"is {'false' if first else 'true'}.",
                   "Here the null hypothesis says that " + not_high + "."]),
            Wrong(words(texts["right"]), "described a correct rejection as an error",
                  ["An error comes from rejecting the null hypothesis.",
                   "Here the test says that " + high + "."]),
            Wrong(words(texts["kept"]), "described a correct failure to reject as an error",
                  ["An error comes from keeping the null hypothesis.",
                   "Here the test finds no evidence against it."]),
        ],
        "Type I rejects a true null hypothesis; Type II keeps a false one.",
        {"null": null, "type": name},
    )
