"""Tests for proportions, their conclusions, errors and power."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._numerics import normal_cdf, normal_quantile
from .._problem import (
    Draft,
    Wrong,
    fixed,
    number,
    plain,
    probability,
    sig,
    words,
)
from .._settings import SHARES
from .._wording import wordings
from ._shared import _sample

# fmt: off


_ASK_ONE_PROPORTION_Z = wordings("""
    train: A report says that {null100:g}% of {s.who} {s.does}. In a random sample of {n}, {x} {s.does}. Find
        the p-value of a z test of whether the true proportion {way} {null}.
    train: A report says that {null100:g}% of {s.who} {s.does}. In a random sample of {n}, {x} {s.does}. What is
        the p-value of the one-proportion z test with the alternative that the proportion {way} {null}?
    test: An analyst doubts the claim that a share of {null} of {s.who} {s.does} and suspects that the true
        share {way} that. Chance picks {n} of them, and {x} do. How strong is the evidence, expressed as a
        p-value?
    test: Out of {n} {s.many} drawn by lot, {x} {s.does}. Let the null hypothesis be p = {null} for {s.who} and
        the alternative that p {way} this value. Work out the p-value with the normal curve.
""")


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
        draw.ask(_ASK_ONE_PROPORTION_Z, s=s, n=n, x=x, null=null, null100=null * 100, way=way),
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


_ASK_TWO_PROPORTION_Z = wordings("""
    train: Two independent random samples are taken from {s.who}, one last year and one this year. Last year
        {x1} of {n1} {s.does}; this year {x2} of {n2}. Compute the pooled z statistic for testing that the two
        proportions are equal (last year minus this year).
    train: Two independent random samples are taken from {s.who}, one last year and one this year. Last year
        {x1} of {n1} {s.does}; this year {x2} of {n2}. What is the two-proportion z statistic, last year minus
        this year, with a pooled standard error?
    test: Has the share of {s.who} {s.rel} {s.does} changed? In spring {x1} out of {n1} drawn by lot did, in
        autumn {x2} out of {n2} others. Under the hypothesis of no change, how large is z (spring less autumn,
        shares combined in the SE)?
    test: Chance picks {n1} {s.who} in the north, of which {x1} {s.does}, and {n2} in the south, of which {x2}
        do. Standardize the difference, north less south, with the SE that fits the hypothesis of one common
        share.
""")


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
        draw.ask(_ASK_TWO_PROPORTION_Z, s=s, n1=n1, x1=x1, n2=n2, x2=x2),
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


_ASK_CONCLUSION_OF_TEST = wordings("""
    train: A test of whether more than {null100:g}% of {s.who} {s.does} gives a p-value of {shown}. What is the
        conclusion at the {level} level?
    train: A test of whether more than {null100:g}% of {s.who} {s.does} gives a p-value of {shown}. With alpha =
        {level}, what should be concluded?
    test: Do more than {null100:g}% of {s.who} {s.does}? A reporter collects data and gets p = {shown}. State
        what follows if the level of significance was set to {level} beforehand.
    test: The alternative hypothesis reads: the true share of {s.who} {s.rel} {s.does} exceeds {null}. With
        {shown} as p-value and {level} as significance level, how does the decision read in context?
""")


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
        draw.ask(_ASK_CONCLUSION_OF_TEST, s=s, null=null, null100=null * 100, level=level, shown=fixed(value, 4)),
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


_ASK_ERROR_TYPE = wordings("""
    train: A researcher tests whether more than {null100:g}% of {s.who} {s.does}; the null hypothesis is that
        the proportion is {null}. What would a Type {name} error be?
    train: A researcher tests whether more than {null100:g}% of {s.who} {s.does}; the null hypothesis is that
        the proportion is {null}. Describe a Type {name} error in this setting.
    test: Suspecting that a share above {null} of {s.who} {s.does}, an inspector puts p = {null} to the test. In
        which way would the decision have to be wrong to count as an error of Type {name}?
    test: H0 says that p = {null} for {s.who}, where p is the share {s.rel} {s.does}; Ha says that p is larger.
        Explain what it means here to commit a Type {name} error.
""")


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
        draw.ask(_ASK_ERROR_TYPE, s=s, null=null, null100=null * 100, name=name),
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


_ASK_RAISING_POWER = wordings("""
    train: A test at the {level} level of whether more than {null100:g}% of {s.who} {s.does}, with a random
        sample of {n}, has power {power} if the true proportion is {true}. What can be done to raise the power
        without a higher probability of a Type I error?
    train: With a random sample of {n} {s.who} and alpha = {level}, a test for a proportion {s.rel} {s.does}
        above {null} has power {power} when the proportion is {true}. How can the power be made higher while the
        chance of a Type I error stays as it is?
    test: A planner finds the power of {power} too low: so small is the chance of detecting that a share of
        {true}, not {null}, of {s.who} {s.does}, from {n} drawn by lot and with level {level}. Which remedy
        leaves the risk of a false rejection where it is?
    test: If in truth a share of {true} of {s.who} {s.does}, a trial of H0: p = {null} (n = {n}, level {level},
        upper tail) succeeds with chance {power} only. Name a way to better chances that does not cost more
        errors of the first kind.
""")


@kind(2)
def raising_power(draw: Draw) -> Draft:
    """How to raise the power of a test at the same level."""
    s = draw.setting(SHARES)
    null, alpha, n = draw.decimal(*s.p, 2), draw.choice((0.01, 0.05)), 10 * draw.integer(6, 30)
    true = Given(round(null + draw.decimal(0.03, 0.1, 2), 2))
    draw.need(true < 0.97 and min(n * q for p in (null, true) for q in (p, 1 - p)) >= 10)
    cut = null + normal_quantile(1 - alpha) * math.sqrt(null * (1 - null) / n)
    power = normal_cdf((true - cut) / math.sqrt(true * (1 - true) / n))
    draw.need(0.2 < power < 0.75)
    lower, higher = ("0.01", "0.10") if alpha == 0.05 else ("0.005", "0.05")
    return Draft(
        draw.ask(_ASK_RAISING_POWER, s=s, null=null, null100=null * 100, true=true, n=n, level=fixed(alpha, 2),
                 power=fixed(power, 2)),
        ["The probability of a Type I error is alpha, so alpha must stay.",
         "A larger sample makes the sample proportion vary less, so a true difference is detected more often."],
        words(f"Keep alpha at {fixed(alpha, 2)} and take a sample larger than {n}."),
        [
            Wrong(words(f"Keep the sample of {n} and raise alpha to {higher}."),
                  "raised alpha, which raises the probability of a Type I error as well",
                  ["Power grows when the null hypothesis is rejected more easily.",
                   "A larger alpha makes rejection easier."]),
            Wrong(words(f"Keep the sample of {n} and lower alpha to {lower}."),
                  "lowered alpha, which lowers the power",
                  ["A smaller alpha means fewer errors.", "With fewer errors the test has more power."]),
            Wrong(words(f"Keep alpha at {fixed(alpha, 2)} and take a sample smaller than {n}."),
                  "thought that a smaller sample gives more power",
                  ["The probability of a Type I error is alpha, so alpha must stay.",
                   "A small sample shows a difference more clearly, because single results weigh more."]),
            Wrong(words(f"Keep alpha at {fixed(alpha, 2)} and test with a two-sided alternative."),
                  "used a two-sided alternative, which needs stronger evidence in each tail"),
        ],
        "At a fixed level, a larger sample gives more power.",
        {"null": null, "true": true, "n": n, "alpha": alpha},
    )


_ASK_POWER_OF_TEST = wordings("""
    train: A test of p = {null} against p {sign} {null} for the proportion of {s.who} {s.rel} {s.does} uses a
        random sample of {n} and alpha = {level}. If the true proportion is {true}, what is {wanted}?
    train: A researcher will test at the {level} level whether the proportion of {s.who} {s.rel} {s.does} is
        {side} {null}, with a random sample of {n}. Suppose it is really {true}. Use normal approximations to
        find {wanted}.
    test: Before any data on {s.who} are collected, a planner asks for {wanted}. The level is to be {level}, n
        is to be {n}, H0 says that a share of {null} {s.does}, Ha says that the share is {side} this, and in
        truth it is {true}. Work it out with normal curves.
    test: Let p be the share {s.rel} {s.does}. With {n} {s.who} drawn by lot, H0: p = {null} is rejected in
        favor of Ha: p {sign} {null} at significance level {level}. Take p = {true} as the truth and give
        {wanted}.
""")


@kind(3)
def power_of_test(draw: Draw) -> Draft:
    """The power, or the probability of a Type II error, of a one-sided z test for a proportion."""
    s = draw.setting(SHARES)
    null, alpha, n = draw.decimal(*s.p, 2), draw.choice((0.01, 0.05, 0.10)), 10 * draw.integer(8, 50)
    up = draw.choice((True, False))
    true = Given(round(null + (1 if up else -1) * draw.decimal(0.03, 0.14, 2), 2))
    draw.need(0.03 < true < 0.97 and min(n * q for p in (null, true) for q in (p, 1 - p)) >= 10)
    se0, se1, z = math.sqrt(null * (1 - null) / n), math.sqrt(true * (1 - true) / n), normal_quantile(1 - alpha)
    way = 1 if up else -1
    cut = null + way * z * se0

    def power_with(limit: float, spread: float) -> float:
        return normal_cdf(way * (true - limit) / spread)

    power, ask_power = power_with(cut, se1), draw.choice((True, False))
    draw.need(0.1 < power < 0.97)
    right = power if ask_power else 1 - power
    side, sign = ("above", "+") if up else ("below", "-")
    area = side if ask_power else "below" if up else "above"
    limit = (f"H0 is rejected for sample proportions {side} {null} {sign} {z:.3f} * sqrt({null} * {plain(1 - null)} / "
             f"{n}) = {cut:.4f}.")

    def work(center: float, spread: float, how: str, value: float) -> list[str]:
        return [limit, how, f"The limit has z = ({cut:.4f} - {center}) / {sig(spread)} = "
                            f"{(cut - center) / spread:.2f}, and the area {area} it is {value:.4f}."]

    def asked(value: float) -> float:
        return value if ask_power else 1 - value

    truth = f"If p = {true}, the standard deviation is sqrt({true} * {plain(1 - true)} / {n}) = {sig(se1)}."
    two_sided = null + way * normal_quantile(1 - alpha / 2) * se0
    loose = math.sqrt(true * (1 - true))
    return Draft(
        draw.ask(_ASK_POWER_OF_TEST, s=s, null=null, true=true, n=n, level=fixed(alpha, 2), side=side,
                 sign=">" if up else "<",
                 wanted="the power of the test" if ask_power else "the probability of a Type II error"),
        work(true, se1, truth, right),
        probability(right, 4, 0.01),
        [
            Wrong(probability(1 - right, 4, 0.01), "gave the probability of a Type II error instead of the power"
                  if ask_power else "gave the power instead of the probability of a Type II error",
                  [limit, truth, f"The limit has z = ({cut:.4f} - {true}) / {sig(se1)} = {(cut - true) / se1:.2f}, and "
                                 f"the area {'below' if area == 'above' else 'above'} it is {1 - right:.4f}."]),
            Wrong(probability(asked(alpha), 4, 0.01), "computed the probability as if the null hypothesis were true",
                  work(null, se0, f"With p = {null}, the standard deviation is {sig(se0)}.", asked(alpha))),
            Wrong(probability(asked(power_with(cut, loose)), 4, 0.01), "left the sample size out of the standard "
                                                                       "deviation under the alternative",
                  work(true, loose, f"If p = {true}, the standard deviation is sqrt({true} * {plain(1 - true)}) = "
                                    f"{sig(loose)}.", asked(power_with(cut, loose)))),
            Wrong(probability(asked(power_with(two_sided, se1)), 4, 0.01), "used a two-sided critical value"),
            Wrong(probability(0.5), "put the limit of rejection at the true proportion"),
        ],
        "Power is the probability, under the true value, of a sample that leads to rejection.",
        {"null": null, "true": true, "n": n, "alpha": alpha, "power": ask_power},
    )
