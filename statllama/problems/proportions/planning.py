"""Before the data: sample sizes, power, and what changes it."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._numerics import normal_quantile
from .._phrases import THAT, hypotheses
from .._problem import count, fixed, plain, probability, sig, words
from .._settings_proportions import SHARES
from .._siblings import Sibling, Siblings, four, square
from .._wording import wordings
from ._shared import ALPHAS, CRITICAL, other_alpha, power

# fmt: off


_STEM_SAMPLE_SIZE_FOR_MARGIN = wordings("""
    train: A survey is to estimate the proportion of {s.who} {s.rel} {s.does}. Plan A asks for a margin of error of at
        most {ma} with {la}% confidence; plan B, of at most {mb} with {lb}% confidence. An earlier study found p_hat =
        {guess}.
    train: In an earlier study, {guess100:g}% of {s.who} {s.does}. A new study will either (plan A) estimate this
        proportion to within {ma} at {la}% confidence or (plan B) to within {mb} at {lb}% confidence.
    train: Two plans are made for a confidence interval for the proportion of {s.who} {s.rel} {s.does}: A, {la}%
        confidence and a margin of error no greater than {ma}; B, {lb}% confidence and a margin of error no greater than
        {mb}. The proportion in a pilot sample was {guess}.
    train: What proportion of {s.who} {s.does}? A pilot sample gave {guess}. Under plan A the new interval has {la}%
        confidence and a margin of error of {ma} or less, under plan B {lb}% confidence and {mb} or less.
    test: Researchers weigh up two designs for a z interval about {s.who} {s.rel} {s.does}. Plan A (confidence level
        {la}%) tolerates a margin of error of {ma}, plan B (confidence level {lb}%) one of {mb}. Years ago the sample
        proportion was {guess}.
    test: Plan A: {la}% confidence, margin of error {ma} or smaller. Plan B: {lb}% confidence, margin of error {mb} or
        smaller. Both concern the proportion of {s.who} {s.rel} {s.does}, which was {guess} in a pilot study.
    test: A pilot study put the proportion of {s.who} {s.rel} {s.does} at {guess}. The main study should come within
        {ma} of the true value with {la}% confidence (plan A), or else within {mb} with {lb}% confidence (plan B).
""")
_ASK_SAMPLE_SIZE_FOR_MARGIN = wordings("""
    train/guess: How large a random sample does plan {plan} need if the earlier proportion is used for planning?
    train/guess: Use the earlier proportion to find the smallest sample size for plan {plan}.
    train/none: How large a random sample does plan {plan} need if the earlier proportion is not to be relied on?
    train/none: Without relying on the earlier proportion, find the smallest sample size that is certain to be enough
        for plan {plan}.
    test/guess: Taking the earlier proportion as a planning value, what is the least n for plan {plan}?
    test/guess: Find n for plan {plan}, with the earlier result as the guess for p.
    test/none: Assuming nothing about p, what is the least n that is sure to suffice for plan {plan}?
    test/none: Find n for plan {plan} by the conservative method, which ignores the earlier result.
""")


@kind(2, ap="6.2")
def sample_size_for_margin(draw: Draw) -> Siblings:
    """The sample size for one of two wanted margins of error, with an earlier proportion or with 0.5."""
    s = draw.setting(SHARES)
    levels = draw.rng.sample((90, 95, 99), 2)
    margins, guess = [draw.decimal(0.02, 0.06, 3) for _ in "AB"], draw.decimal(*s.p, 2)
    exact = [[p * (1 - p) * (CRITICAL[levels[a]] / margins[a]) ** 2 for p in (guess, 0.5)] for a in (0, 1)]
    draw.need(abs(guess - 0.5) > 0.06 and all(0.05 < size % 1 < 0.95 for row in exact for size in row))
    stem = draw.ask(_STEM_SAMPLE_SIZE_FOR_MARGIN, s=s, ma=margins[0], la=levels[0], mb=margins[1],
                    lb=levels[1], guess=guess, guess100=guess * 100)

    def make(a: int, b: int) -> Sibling:
        z, p, size, plan = CRITICAL[levels[a]], (guess, Given(0.5))[b], exact[a][b], "AB"[a]
        steps = [
            f"[Plan {plan} asks for // Under plan {plan}, we want] a margin of error of at most {margins[a]} at "
            f"{levels[a]}% confidence, so `z* = {z:.3f}`.",
            ("[The earlier proportion is the planning value // An earlier study gives a planning value",
             "[Without a planning value, p = 0.5 gives the largest margin of error // When nothing is known about p, "
             "0.5 is the safe choice")[b]
            + f"], so p = {p} goes into the formula.",
            f"`n = p (1 - p) (z* / m)^2`{THAT} `{p} * {plain(1 - p)} * ({z:.3f} / {margins[a]})^2 = {size:.1f}`.",
            f"[A sample size is rounded up, so at least {math.ceil(size)} {s.many} are needed // Rounding up, the "
            f"smallest sample size is {math.ceil(size)} {s.many} // So {math.ceil(size)} {s.many} are enough, and "
            f"{math.ceil(size) - 1} are not].",
        ]
        ask = draw.ask(_ASK_SAMPLE_SIZE_FOR_MARGIN, ("guess", "none")[b], plan=plan)
        return Sibling(f"plan {plan}, {('earlier proportion', 'p = 0.5')[b]}", f"{stem} {ask}", steps,
                       count(math.ceil(size), s.many),
                       "A sample size is rounded up, and 0.5 is used for p when nothing is known.")

    return square(
        make,
        ("found the sample size for plan B", "found the sample size for plan A"),
        ("used 0.5 although a planning value is given", "used the earlier proportion as if it were sure to hold"),
        {"guess": guess, "margins": margins, "levels": list(levels)},
    )


_STEM_RAISING_POWER = wordings("""
    train: A test of H0: p = {null} against Ha: p {sign} {null}, where p is the proportion of {s.who} {s.rel} {s.does},
        uses a random sample of {n} and alpha = {level}. If p is really {true}, its power is {power}.
    train: A researcher plans to test at the {level} level whether the proportion of {s.who} {s.rel} {s.does} is {side}
        {null}. With a random sample of {n}, the power against p = {true} is {power}.
    train: With alpha = {level} and a random sample of {n} {s.who}, a test of whether the proportion {s.rel} {s.does} is
        {side} {null} has power {power} when the true proportion is {true}.
    train: Suppose that in truth the proportion of {s.who} {s.rel} {s.does} is {true}. A test of H0: p = {null} against
        Ha: p {sign} {null} at alpha = {level}, with a random sample of {n}, then has power {power}.
    test: Let p be the proportion {s.rel} {s.does} among {s.who}. H0 states p = {null}, Ha states p {sign} {null}, the
        significance level is {level}, the random sample will have {n} {s.many}, and power at p = {true} is {power}.
    test: A design calls for {n} randomly selected {s.who}, a significance level of {level}, and Ha: the proportion
        {s.rel} {s.does} is {side} {null}. It detects a true proportion of {true} with probability {power}.
    test: {power} is the power, at p = {true}, of a planned one-sided z test for the proportion of {s.who} {s.rel}
        {s.does} (H0: p = {null}; Ha: p {sign} {null}; random sample of size {n}; significance level {level}).
""")
_ASK_RAISING_POWER = wordings("""
    train/more: Which change raises the power and leaves the probability of a Type I error as it is?
    train/more: How can the power be raised without changing the probability of a Type I error?
    train/fewer: Which change lowers the power and leaves the probability of a Type I error as it is?
    train/fewer: Which change makes a Type II error more likely without changing the probability of a Type I error?
    train/up: Which change raises the power at the cost of a higher probability of a Type I error?
    train/up: Which change makes a Type II error less likely but a Type I error more likely?
    train/down: Which change lowers the probability of a Type I error at the cost of power?
    train/down: Which change makes a Type I error less likely but a Type II error more likely?
    test/more: What could be done to gain power while P(Type I error) stays the same?
    test/more: Name a change with this effect: P(Type II error) falls, P(Type I error) stays.
    test/fewer: What would cost power while P(Type I error) stays the same?
    test/fewer: Name a change with this effect: P(Type II error) rises, P(Type I error) stays.
    test/up: What would gain power at the price of a larger P(Type I error)?
    test/up: Name a change with this effect: P(Type II error) falls, P(Type I error) rises.
    test/down: What would reduce P(Type I error) at the price of power?
    test/down: Name a change with this effect: P(Type II error) rises, P(Type I error) falls.
""")


@kind(2, ap="6.7")
def raising_power(draw: Draw) -> Siblings:
    """What a larger or smaller sample and a larger or smaller level do to both errors."""
    s = draw.setting(SHARES)
    null, alpha, n = draw.decimal(*s.p, 2), draw.choice((0.01, 0.02, 0.05)), 10 * draw.integer(6, 30)
    up = draw.choice((True, False))
    true = Given(round(null + (1 if up else -1) * draw.decimal(0.03, 0.1, 2), 2))
    draw.need(min(n * q for p in (null, true) for q in (p, 1 - p)) >= 10)
    strength = power(null, true, n, alpha)
    draw.need(0.2 < strength < 0.75)
    level, lower, higher = {0.01: ("0.01", "0.001", "0.05"), 0.02: ("0.02", "0.01", "0.05"),
                            0.05: ("0.05", "0.01", "0.10")}[alpha]
    stem = draw.ask(_STEM_RAISING_POWER, s=s, null=null, true=true, n=n, level=level, power=fixed(strength, 2),
                    side="above" if up else "below", sign=">" if up else "<")
    tested = hypotheses(f"p = {null}", f"p {'>' if up else '<'} {null}")
    tested += f", where p is the proportion of all {s.who} {s.rel} {s.does}."
    same = f"The probability of a Type I error is alpha, which [stays at // remains] {level}."
    about = {
        "more": (f"Keep alpha at {level} and increase the sample size to {2 * n}.",
                 [same, f"A larger sample makes p_hat vary less, so [the true difference // the true value, {true},] "
                  "is detected more often."]),
        "fewer": (f"Keep alpha at {level} and decrease the sample size to {n // 2}.",
                  [same, f"A smaller sample makes p_hat vary more, so [the true difference // the true value, {true},] "
                   "is detected less often."]),
        "up": (f"Keep the sample size at {n} and increase alpha to {higher}.",
               [f"The probability of a Type I error is alpha, which [rises // rises to {higher}].",
                "With a larger alpha, H0 is rejected more often, also when it is false, so the power rises."]),
        "down": (f"Keep the sample size at {n} and decrease alpha to {lower}.",
                 [f"The probability of a Type I error is alpha, which [falls // falls to {lower}].",
                  "With a smaller alpha, H0 is rejected less often, also when it is false, so the power falls."]),
    }
    of = [
        Sibling(asked, f"{stem} {draw.ask(_ASK_RAISING_POWER, asked)}", [tested, *steps], words(text),
                "Alpha alone sets the probability of a Type I error; power rises with alpha and with the sample size.")
        for asked, (text, steps) in about.items()
    ]
    slips = [f"chose a {change}" for change in ("larger sample", "smaller sample", "larger alpha", "smaller alpha")]
    return four(of, slips, {"null": null, "true": true, "n": n, "alpha": alpha})


_STEM_POWER_OF_TEST = wordings("""
    train: A test of H0: p = {null} against Ha: p {sign} {null} for the proportion p of {s.who} {s.rel} {s.does} will
        use a random sample of {n}. Suppose that the true proportion is {true}.
    train: A researcher will test whether the proportion of {s.who} {s.rel} {s.does} is {side} {null}, with a random
        sample of {n}. Suppose that it is really {true}.
    train: The proportion of {s.who} {s.rel} {s.does} is in truth {true}. A z test of H0: p = {null} against Ha: p
        {sign} {null} is carried out with a random sample of {n}.
    train: With a random sample of {n} {s.who}, a z test will be made of whether the proportion {s.rel} {s.does} is
        {side} {null}. The true proportion is {true}.
    test: Before any data are collected, a planner considers the z test of p = {null} against p {sign} {null}, where p
        is the proportion of {s.who} {s.rel} {s.does}. The random sample is to have {n} {s.many}; take p = {true} as the
        truth.
    test: {n} randomly selected {s.who} are to decide between H0 (a proportion of {null} {s.does}) and Ha (the
        proportion is {side} {null}). Suppose that in reality p = {true}.
    test: If the proportion of {s.who} {s.rel} {s.does} were {true}, how would the z test for H0: p = {null}, Ha: p
        {sign} {null} perform in random samples of size {n}?
""")
_ASK_POWER_OF_TEST = wordings("""
    train/power: What is the power of the test at alpha = {level}?
    train/power: Use normal approximations to find the power at the {level} level.
    train/beta: What is the probability of a Type II error at alpha = {level}?
    train/beta: Use normal approximations to find the probability of a Type II error at the {level} level.
    test/power: Find the power for a significance level of {level}.
    test/power: At significance level {level}, with what probability does the test reject H0?
    test/beta: Find P(Type II error) for a significance level of {level}.
    test/beta: At significance level {level}, with what probability does the test fail to reject H0?
""")


@kind(3, ap="6.7")
def power_of_test(draw: Draw) -> Siblings:
    """The power or the probability of a Type II error of a one-sided z test, at one of two levels."""
    s = draw.setting(SHARES)
    null, alphas, n = draw.decimal(*s.p, 2), draw.choice(ALPHAS), 10 * draw.integer(8, 50)
    up = draw.choice((True, False))
    true = Given(round(null + (1 if up else -1) * draw.decimal(0.03, 0.14, 2), 2))
    draw.need(0.03 < true < 0.97 and min(n * q for p in (null, true) for q in (p, 1 - p)) >= 10)
    se0, se1, way = math.sqrt(null * (1 - null) / n), math.sqrt(true * (1 - true) / n), 1 if up else -1
    draw.need(all(0.08 < power(null, true, n, alpha) < 0.95 for alpha in alphas))
    side, sign = ("above", "+") if up else ("below", "-")
    tested = hypotheses(f"p = {null}", f"p {'>' if up else '<'} {null}")
    stem = draw.ask(_STEM_POWER_OF_TEST, s=s, null=null, true=true, n=n, side=side, sign=">" if up else "<")

    def make(a: int, b: int) -> Sibling:
        alpha, level = alphas[b], fixed(alphas[b], 2)
        z = normal_quantile(1 - alpha)
        cut = null + way * z * se0
        value = (power(null, true, n, alpha), 1 - power(null, true, n, alpha))[a]
        area = side if a == 0 else "below" if up else "above"
        steps = [
            f"{tested}, where p is the proportion of all {s.who} {s.rel} {s.does}.",
            f"[All expected counts are at least 10 // Large Counts holds under both values of p], so p_hat is "
            f"approximately normal. At alpha = {level}, H0 is rejected when p_hat is {side} `{null} {sign} {z:.3f} * "
            f"sqrt({null} * {plain(1 - null)} / {n}) = {cut:.4f}`.",
            f"If p = {true}, p_hat has standard deviation `sqrt({true} * {plain(1 - true)} / {n}) = {sig(se1)}`.",
            f"[The limit has // Standardized, the limit is] `z = ({cut:.4f} - {true}) / {sig(se1)} = "
            f"{fixed((cut - true) / se1, 2)}`.",
            ("The power is the probability of rejecting H0", "A Type II error is failing to reject H0")[a]
            + f": the area {area} the limit, {value:.4f}.",
        ]
        ask = draw.ask(_ASK_POWER_OF_TEST, ("power", "beta")[a], level=level)
        return Sibling(f"{('power', 'Type II error')[a]}, alpha = {level}", f"{stem} {ask}", steps,
                       probability(value, 4, 0.01),
                       "Power is the probability, under the true value, of a sample that leads to rejection.")

    return square(
        make,
        ("gave the probability of a Type II error", "gave the power"),
        other_alpha(alphas),
        {"null": null, "true": true, "n": n, "alphas": list(alphas)},
    )
