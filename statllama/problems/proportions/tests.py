"""Tests for proportions: their statistics, p-values and conclusions."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._numerics import normal_cdf
from .._phrases import THAT, decision, hypotheses, parameter, rarity, recalled, tenth
from .._problem import fixed, number, plain, probability, sig, words
from .._settings_proportions import CONTRASTS, SHARES
from .._siblings import Claim, Sibling, Siblings, four, square
from .._tails import SIGN, THAN
from .._wording import wordings
from ._shared import ALPHAS, one_sample, other_alpha, power, sample, two_samples

# fmt: off


_THAN = {SIGN[way]: THAN[way] for way in SIGN}
_CLAIMS = wordings("""
    train: Report A claims that the proportion of all {s.who} {s.rel} {s.does} is {a}; report B claims that it is {b}.
    train: The proportion of all {s.who} {s.rel} {s.does} is {a} according to report A and {b} according to report B.
    test: For the population proportion, report A gives {a} and report B gives {b}.
    test: Two reports disagree about p, the proportion in the population: A says p = {a}, B says p = {b}.
""")
_ASK_ONE_PROPORTION_Z = wordings("""
    train/one: Find the p-value of a z test of report {r}'s claim against the alternative that the proportion is {side}
        the claimed value.
    train/one: Is the true proportion {side} the one claimed in report {r}? Give the p-value of the z test.
    train/two: Find the p-value of a z test of report {r}'s claim against the alternative that the proportion differs
        from the claimed value.
    train/two: Does the true proportion differ from the one claimed in report {r}? Give the p-value of the z test.
    test/one: With the value of report {r} as the null hypothesis and a one-sided alternative ({side} it), what p-value
        results?
    test/one: Let H0 be the value of report {r} and let Ha be that p is {side} it. Compute the p-value.
    test/two: With the value of report {r} as the null hypothesis and a two-sided alternative, what p-value results?
    test/two: Let H0 be the value of report {r} and let Ha be that p is not equal to it. Compute the p-value.
""")


@kind(2, ap="6.5")
def one_proportion_z(draw: Draw) -> Siblings:
    """The p-value of a one-proportion z test of one of two claims, one-sided or two-sided."""
    s = draw.setting(SHARES)
    n, x = sample(draw, s.p, 90, 500)
    p, up = x / n, draw.choice((True, False))
    nulls = [Given(round(p + draw.choice((-1, 1)) * draw.decimal(0.01, 0.07, 2), 2)) for _ in "AB"]
    draw.need(nulls[0] != nulls[1] and all(10 <= n * null <= n - 10 for null in nulls))
    z = [(p - null) / math.sqrt(null * (1 - null) / n) for null in nulls]
    values = [(normal_cdf(-v if up else v), 2 * normal_cdf(-abs(v))) for v in z]
    draw.need(all(0.001 < value < 0.97 for row in values for value in row))
    stem = f"{one_sample(draw, s, n, x)} {draw.ask(_CLAIMS, s=s, a=nulls[0], b=nulls[1])}"

    def make(a: int, b: int) -> Sibling:
        null, side = nulls[a], ("above", "below")[not up]
        sign = "!=" if b else ">" if up else "<"
        area = f"twice the area above {fixed(abs(z[a]), 2)}" if b else f"the area {side} {fixed(z[a], 2)}"
        steps = [
            f"{hypotheses(f'p = {null}', f'p {sign} {null}')}, where p is the proportion of all {s.who} {s.rel} "
            f"{s.does}.",
            f"The sample is random, and `n p_0 = {n * null:.1f}` and `n (1 - p_0) = {n * (1 - null):.1f}` are at least "
            f"10. [ // {tenth(n, s.many)}]",
            f"`z = (p_hat - p_0) / sqrt(p_0 (1 - p_0) / n)`{THAT} `({p:.4f} - {null}) / sqrt({null} * "
            f"{plain(1 - null)} / {n}) = {fixed(z[a], 2)}`.",
            f"The p-value is {area} under the normal curve: if p = {null}, such a sample proportion or a more extreme "
            f"one has probability {values[a][b]:.4f}.",
            decision(values[a][b], f"the proportion of all {s.who} {s.rel} {s.does} "
                     f"{'differs from' if b else f'is {side}'} {null}"),
        ]
        ask = draw.ask(_ASK_ONE_PROPORTION_Z, ("one", "two")[b], r="AB"[a], side=side)
        return Sibling(f"report {'AB'[a]}, {('one-sided', 'two-sided')[b]}", f"{stem} {ask}", steps,
                       probability(values[a][b]),
                       "The standard deviation is that under the null hypothesis, and a two-sided test counts both "
                       "tails.",
                       Claim(f"the proportion of all {s.who} {s.rel} {s.does} {_THAN[sign]} {null}", f"p = {null}",
                             f"p {sign} {null}"))

    return square(
        make,
        ("took the null value of report B instead of report A", "took the null value of report A instead of report B"),
        ("counted both tails for a one-sided alternative", "counted one tail for a two-sided alternative"),
        {"x": x, "n": n, "nulls": nulls, "up": up},
    )


_ASK_TWO_PROPORTION_Z = wordings("""
    train/pooled: Let p1 refer to all {first} and p2 to all {second}. Compute the z statistic for testing H0: p1 = p2,
        with the pooled standard error.
    train/pooled: Find the pooled z statistic for the difference in proportions, {first} minus {second}.
    train/unpooled: Let p1 refer to all {first} and p2 to all {second}. Divide p1_hat - p2_hat by the unpooled standard
        error, as it is used in a confidence interval.
    train/unpooled: Find the unpooled z statistic for the difference in proportions, {first} minus {second}.
    test/pooled: Standardize the difference {first} minus {second} with the standard error that combines both samples
        into one proportion.
    test/pooled: How large is z for {first} minus {second} if the standard error is pooled under H0: no difference?
    test/unpooled: Standardize the difference {first} minus {second} with the standard error that keeps the two sample
        proportions separate.
    test/unpooled: How large is z for {first} minus {second} if the standard error is not pooled?
""")


@kind(3, ap="6.11", beyond="unpooled")
def two_proportion_z(draw: Draw) -> Siblings:
    """The z statistic for two proportions: its order, and a pooled or an unpooled standard error."""
    c = draw.setting(CONTRASTS)
    (n1, x1), (n2, x2) = sample(draw, c.p, 60, 300), sample(draw, c.p, 60, 300)
    pooled, groups = (x1 + x2) / (n1 + n2), ((c.a, n1, x1), (c.b, n2, x2))
    joint = math.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
    apart = math.sqrt(sum(x / n * (1 - x / n) / n for _, n, x in groups))
    draw.need(0.6 < abs(x1 / n1 - x2 / n2) / joint < 4.5)
    stem = two_samples(draw, c, n1, x1, n2, x2)

    def make(a: int, b: int) -> Sibling:
        (first, n, x), (second, m, y) = groups[a], groups[1 - a]
        p, q, se = x / n, y / m, (joint, apart)[b]
        how = (
            f"[The pooled proportion is // Pooled, the proportion is] `({x} + {y}) / ({n} + {m}) = {pooled:.4f}`, so "
            f"`SE = sqrt({pooled:.4f} * {1 - pooled:.4f} * (1 / {n} + 1 / {m})) = {sig(joint)}`.",
            f"Without pooling, `SE = sqrt({p:.4f} * {1 - p:.4f} / {n} + {q:.4f} * {1 - q:.4f} / {m}) = {sig(apart)}`.",
        )[b]
        steps = [
            f"[Let p1 be the proportion of all {first} {c.rel} {c.does} and p2 that of all {second} // The proportions "
            f"{c.rel} {c.does} are p1 for all {first} and p2 for all {second}]. [The null hypothesis is // We test] "
            "`H0: p1 = p2`.",
            f"The samples are random and independent, and all counts, {x}, {n - x}, {y} and {m - y}, are at least 10.",
            f"[The sample proportions are // From the data,] `p1_hat = {x} / {n} = {p:.4f}` and `p2_hat = {y} / {m} = "
            f"{q:.4f}`.",
            how,
            f"`z = (p1_hat - p2_hat) / SE`{THAT} `({p:.4f} - {q:.4f}) / {sig(se)} = {fixed((p - q) / se, 3)}`.",
            rarity(2 * normal_cdf(-abs(p - q) / se), fixed((p - q) / se, 3)),
        ]
        ask = draw.ask(_ASK_TWO_PROPORTION_Z, ("pooled", "unpooled")[b], first=first, second=second)
        return Sibling(f"{('first minus second', 'second minus first')[a]}, {('pooled', 'unpooled')[b]}",
                       f"{stem} {ask}", steps, number((p - q) / se, 3, tolerance=0.006),
                       "A test of equal proportions pools the samples in its standard error; an interval does not.",
                       Claim(f"the proportion of all {first} {c.rel} {c.does} differs from that of all {second}",
                             "p1 = p2", "p1 != p2", 2 * normal_cdf(-abs(p - q) / se)))

    return square(
        make,
        ("subtracted the proportions in the wrong order",) * 2,
        ("left the two proportions apart in the standard error", "pooled the two samples in the standard error"),
        {"x1": x1, "n1": n1, "x2": x2, "n2": n2},
    )


_STEM_CONCLUSION_OF_TEST = wordings("""
    train: Random samples are used to test whether {more} than {null100:g}% {c.does}, separately for {c.a} and {c.b}.
        The p-value is {pa} for {c.a} and {pb} for {c.b}.
    train: Do {more} than {null100:g}% of all {c.a} {c.does}? A z test based on a random sample has p-value {pa}. The
        same test for {c.b} has p-value {pb}.
    train: A researcher tests H0: p = {null} against Ha: p {sign} {null}, where p is the proportion {c.rel} {c.does}.
        The p-values are {pa} for a random sample of {c.a} and {pb} for a random sample of {c.b}.
    train: The alternative hypothesis is that {more} than {null100:g}% {c.does}. Tests with random samples give a
        p-value of {pa} for {c.a} and of {pb} for {c.b}.
    test: One random sample of {c.a} and another of {c.b} serve to test Ha: p {sign} {null}, with p the proportion
        {c.rel} {c.does}. Software reports p-values of {pa} ({c.a}) and {pb} ({c.b}).
    test: "{c.a!c}: P = {pa}. {c.b!c}: P = {pb}." This is the output of two one-proportion z tests, each with the
        alternative that {more} than {null100:g}% {c.does}; both samples are random.
    test: Two populations, {c.a} and {c.b}, are sampled at random. In each, H0 says that exactly {null100:g}% {c.does}
        and Ha says that {more} do. The tests return the p-values {pa} and {pb}, in this order.
""")
_ASK_CONCLUSION_OF_TEST = wordings("""
    train: What is the conclusion about {group} at the {level} level?
    train: With alpha = {level}, what should be concluded about {group}?
    test: State the conclusion for {group} when the significance level is {level}.
    test: If {level} was fixed as the significance level, which conclusion about {group} follows?
""")


@kind(1, ap="6.6")
def conclusion_of_test(draw: Draw) -> Siblings:
    """The conclusion about one of two groups, at one of two levels between which both p-values lie."""
    c = draw.setting(CONTRASTS)
    null, alphas, up = draw.decimal(*c.p, 2), draw.choice(ALPHAS), draw.choice((True, False))
    low, high = (round(10_000 * alpha) for alpha in alphas)
    values = [draw.integer(low + 15, high - 15) / 10_000 for _ in "ab"]
    more, sign = "more" if up else "less", f"p {'>' if up else '<'} {null}"
    stem = draw.ask(_STEM_CONCLUSION_OF_TEST, c=c, null=null, null100=null * 100, more=more, sign=">" if up else "<",
                    pa=fixed(values[0], 4), pb=fixed(values[1], 4))

    def make(a: int, b: int) -> Sibling:
        group, level, shown = (c.a, c.b)[a], fixed(alphas[b], 2), fixed(values[a], 4)
        claim = f"convincing evidence that {more} than {null * 100:g}% of all {group} {c.does}"
        steps = [
            f"For {group}, `H0: p = {null}` [and // is tested against] `Ha: {sign}`, where p is the proportion {c.rel} "
            f"{c.does}.",
            f"The p-value {shown} is {('greater', 'less')[b]} than alpha = {level}, so [we "
            f"{('do not reject', 'reject')[b]} H0 // H0 is {('not rejected', 'rejected')[b]}].",
            f"[ // At this level, {shown} is {('not small enough', 'small enough')[b]} to be convincing evidence "
            "against H0.]",
        ]
        text = (f"Fail to reject H0: there is not {claim}.", f"Reject H0: there is {claim}.")[b]
        return Sibling(f"{('first', 'second')[a]} group, alpha = {level}",
                       f"{stem} {draw.ask(_ASK_CONCLUSION_OF_TEST, group=group, level=level)}", steps, words(text),
                       "H0 is rejected when the p-value is less than alpha, and not rejected otherwise.")

    return square(
        make,
        (f"drew the conclusion about {c.b}", f"drew the conclusion about {c.a}"),
        other_alpha(alphas),
        {"null": null, "p_values": values, "alphas": list(alphas), "groups": [c.a, c.b]},
    )


_STEM_P_VALUE_MEANING = wordings("""
    train: A z test of H0: p = {null} against Ha: p {sign} {null} for the proportion p of {s.who} {s.rel} {s.does} uses
        alpha = {alpha}. Its power against p = {true} is {power}. A random sample of {n} has p_hat = {p_hat}, and the
        p-value is {value}.
    train: Is the proportion of {s.who} {s.rel} {s.does} {side} {null}? For a random sample of {n}, a z test at alpha =
        {alpha} has power {power} if the proportion is {true}. The sample proportion is {p_hat}, which gives a p-value
        of {value}.
    train: In a random sample of {n} {s.who}, the proportion {s.rel} {s.does} is {p_hat}. Testing H0: p = {null} against
        Ha: p {sign} {null} gives a p-value of {value}; alpha is {alpha}, and the power at p = {true} is {power}.
    train: At the {alpha} level, a researcher tests whether the proportion of {s.who} {s.rel} {s.does} is {side} {null}.
        The power is {power} when the proportion is {true}. A random sample of {n} gives a proportion of {p_hat} and a
        p-value of {value}.
    test: Output of a one-proportion z test for {s.who} {s.rel} {s.does} (random sample): H0 p = {null}, Ha p {sign}
        {null}, n = {n}, p_hat = {p_hat}, P = {value}. The plan had set alpha = {alpha} and computed a power of {power}
        at p = {true}.
    test: Before sampling {n} {s.who} at random, planners choose Ha: the proportion {s.rel} {s.does} is {side} {null},
        alpha = {alpha}, and find that power is {power} at p = {true}. After sampling, p_hat = {p_hat} leads to P =
        {value}.
    test: With p_hat = {p_hat} for {n} randomly selected {s.who}, the test of p = {null} versus p {sign} {null} (p:
        proportion {s.rel} {s.does}) returns the p-value {value}. The significance level is {alpha}; against p = {true},
        power is {power}.
""")
_ASK_P_VALUE_MEANING = wordings("""
    train/value: Which statement interprets the p-value?
    train/value: What does the p-value mean?
    train/alpha: Which statement interprets alpha?
    train/alpha: What does the significance level mean?
    train/power: Which statement interprets the power?
    train/power: What does the power at p = {true} mean?
    train/beta: Which statement describes the probability of a Type II error at p = {true}?
    train/beta: What does the probability of a Type II error at p = {true} mean?
    test/value: How should the value of P be read?
    test/value: Choose the correct interpretation of the p-value.
    test/alpha: How should alpha be read?
    test/alpha: Choose the correct interpretation of the significance level.
    test/power: How should the power be read?
    test/power: Choose the correct interpretation of the power.
    test/beta: How should the probability of a Type II error at p = {true} be read?
    test/beta: Choose the correct interpretation of P(Type II error), taken at p = {true}.
""")


@kind(2, ap="6.5, 6.7")
def p_value_meaning(draw: Draw) -> Siblings:
    """What the p-value, the level, the power and the probability of a Type II error say."""
    s = draw.setting(SHARES)
    n, x = sample(draw, s.p, 90, 400)
    p, up = x / n, draw.choice((True, False))
    way, alpha = (1 if up else -1), draw.choice((0.01, 0.05, 0.1))
    null = Given(round(p - way * draw.decimal(0.01, 0.07, 2), 2))
    true = Given(round(null + way * draw.decimal(0.04, 0.1, 2), 2))
    draw.need(0.03 < true < 0.97 and 10 <= n * null <= n - 10 and 10 <= n * true <= n - 10)
    value = normal_cdf(-way * (p - null) / math.sqrt(null * (1 - null) / n))
    strength = power(null, true, n, alpha)
    draw.need(0.002 < value < 0.4 and 0.2 < strength < 0.95 and abs(strength - 0.5) > 0.02)
    shown = {"value": fixed(value, 3), "alpha": fixed(alpha, 2), "power": fixed(strength, 2),
             "beta": fixed(1 - float(fixed(strength, 2)), 2)}
    draw.need(float(shown["value"]) != alpha)
    stem = draw.ask(_STEM_P_VALUE_MEANING, s=s, null=null, n=n, p_hat=fixed(p, 3), sign=">" if up else "<",
                    side="above" if up else "below", true=true, **shown)
    far, reject = f"gives a p_hat of {fixed(p, 3)} or {'more' if up else 'less'}", "leads to a rejection of H0"
    about = {
        "value": (null, far,
                  "The p-value says how probable a result at least as extreme would be if H0 were true."),
        "alpha": (null, reject, "The significance level is the probability of rejecting H0 when H0 is true."),
        "power": (true, reject, "The power is the probability of rejecting H0 when a given alternative value is true."),
        "beta": (true, "leads to no rejection of H0",
                 "The probability of a Type II error is that of not rejecting H0 when a given alternative value is "
                 "true."),
    }
    of = [
        Sibling(asked, f"{stem} {draw.ask(_ASK_P_VALUE_MEANING, asked, true=true)}",
                [f"{parameter('p', f'the proportion of all {s.who} {s.rel} {s.does}')}.", recalled(idea),
                 f"[It is computed for // The value of p in the calculation is] p = {at}[. // , with random samples of "
                 f"{n} {s.many}.]"],
                words(f"If p = {at}, the probability is {shown[asked]} that a random sample of {n} {s.many} {what}."),
                idea)
        for asked, (at, what, idea) in about.items()
    ]
    names = ("p-value", "significance level", "power", "probability of a Type II error")
    return four(of, [f"interpreted the {name} instead" for name in names],
                {"n": n, "x": x, "null": null, "true": true, "alpha": alpha, "up": up})


_ASK_TWO_PROPORTION_P_VALUE = wordings("""
    train/one once: Find the p-value of the pooled z test against the alternative that the proportion is {higher} for
        all {c.a} than for all {c.b}.
    train/one once: Is the proportion {higher} for all {c.a} than for all {c.b}? Give the p-value of the pooled z test.
    train/one twice: If all counts were twice as large, what would be the p-value of the pooled z test against the
        alternative that the proportion is {higher} for all {c.a} than for all {c.b}?
    train/one twice: Suppose that samples of twice the size had given the same sample proportions. Find the p-value of
        the pooled z test of whether the proportion is {higher} for all {c.a} than for all {c.b}.
    train/two once: Find the p-value of the pooled z test against the alternative that the proportions for all {c.a} and
        all {c.b} differ.
    train/two once: Do the proportions for all {c.a} and all {c.b} differ? Give the p-value of the pooled z test.
    train/two twice: If all counts were twice as large, what would be the p-value of the pooled z test against the
        alternative that the proportions for all {c.a} and all {c.b} differ?
    train/two twice: Suppose that samples of twice the size had given the same sample proportions. Find the p-value of
        the pooled z test of whether the proportions for all {c.a} and all {c.b} differ.
    test/one once: Let Ha state that the population proportion of {c.a} is the {higher} one. Which p-value results when
        the standard error is pooled?
    test/one once: Test with a pooled standard error whether the proportion of {c.a} is the {higher} one, and give the
        p-value.
    test/one twice: Let Ha state that the population proportion of {c.a} is the {higher} one. Which p-value would
        result, with a pooled standard error, from counts twice as large?
    test/one twice: Double all counts. Then test with a pooled standard error whether the proportion of {c.a} is the
        {higher} one, and give the p-value.
    test/two once: Let Ha be two-sided. Which p-value results when the standard error is pooled?
    test/two once: Test with a pooled standard error whether there is any difference between the populations, and give
        the p-value.
    test/two twice: Let Ha be two-sided. Which p-value would result, with a pooled standard error, from counts twice as
        large?
    test/two twice: Double all counts. Then test with a pooled standard error whether there is any difference between
        the populations, and give the p-value.
""")


@kind(3, ap="6.11")
def two_proportion_p_value(draw: Draw) -> Siblings:
    """The p-value of a pooled z test, one-sided or two-sided, with the counts or with twice the counts."""
    c = draw.setting(CONTRASTS)
    (n1, x1), (n2, x2) = sample(draw, c.p, 60, 300), sample(draw, c.p, 60, 300)
    up, stem = draw.choice((True, False)), two_samples(draw, c, n1, x1, n2, x2)

    def make(a: int, b: int) -> Sibling:
        n, x, m, y = (count * (b + 1) for count in (n1, x1, n2, x2))
        p, q, pooled = x / n, y / m, (x + y) / (n + m)
        se = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
        z = (p - q) / se
        value = 2 * normal_cdf(-abs(z)) if a else normal_cdf(-z if up else z)
        draw.need(0.001 < value < 0.97)
        sign, side = "!=" if a else ">" if up else "<", "above" if up else "below"
        steps = [
            f"{hypotheses('p1 = p2', f'p1 {sign} p2')}, where p1 is the proportion of all {c.a} {c.rel} {c.does} and "
            f"p2 that of all {c.b}.",
            "The samples are random and independent, and [all counts of successes and failures // "
            f"the counts {x}, {n - x}, {y} and {m - y}] are at least 10.",
            f"`p1_hat = {x} / {n} = {p:.4f}`, `p2_hat = {y} / {m} = {q:.4f}`, and the pooled proportion is `({x} + "
            f"{y}) / ({n} + {m}) = {pooled:.4f}`.",
            f"`SE = sqrt({pooled:.4f} * {1 - pooled:.4f} * (1 / {n} + 1 / {m})) = {sig(se)}`, so `z = ({p:.4f} - "
            f"{q:.4f}) / {sig(se)} = {fixed(z, 2)}`.",
            "The p-value is "
            + (f"twice the area above {fixed(abs(z), 2)}" if a else f"the area {side} {fixed(z, 2)}")
            + f" under the normal curve, {value:.4f}.",
            decision(value, f"the proportion {c.rel} {c.does} is "
                     f"{'not the same' if a else ('higher' if up else 'lower')} for all {c.a} "
                     f"{'and' if a else 'than for'} all {c.b}"),
        ]
        ask = draw.ask(_ASK_TWO_PROPORTION_P_VALUE, f"{('one', 'two')[a]} {('once', 'twice')[b]}", c=c,
                       higher="higher" if up else "lower")
        return Sibling(f"{('one-sided', 'two-sided')[a]}, {('counts as given', 'counts doubled')[b]}", f"{stem} {ask}",
                       steps, probability(value),
                       "The same difference is stronger evidence when the samples are larger.",
                       Claim(f"the proportion of all {c.a} {c.rel} {c.does} {_THAN[sign]} that of all {c.b}", "p1 = p2",
                             f"p1 {sign} p2"))

    return square(
        make,
        ("counted both tails for a one-sided alternative", "counted one tail for a two-sided alternative"),
        ("doubled the counts", "used the counts as given, without doubling them"),
        {"x1": x1, "n1": n1, "x2": x2, "n2": n2, "up": up},
    )
