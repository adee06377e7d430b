"""Before and after values: the interval and the test for a mean difference."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .._draw import Draw, kind
from .._numerics import t_quantile
from .._phrases import THAT, confident, degrees_of_freedom, parameter, rarity
from .._problem import fixed, interval, number, sig
from .._scenarios import PAIRINGS, Before
from .._siblings import LEVELS, Claim, Sibling, Siblings, other_level, square
from .._tails import p_value
from .._wording import wordings
from ._shared import listed

# fmt: off

_ORDERS = ("after minus before", "before minus after")
_REVERSED = ("subtracted in the wrong order",) * 2


@dataclass(frozen=True)
class _Lists:
    """Two lists of six values, and the numbers they are reduced to."""

    b: Before
    before: list[int]
    after: list[int]

    @property
    def changes(self) -> list[int]:
        return [y - x for x, y in zip(self.before, self.after, strict=True)]

    @property
    def mean(self) -> int:
        return sum(self.changes) // len(self.before)

    def shown(self) -> dict[str, object]:
        return {"b": self.b, "n": len(self.before), "before": listed(self.before), "after": listed(self.after)}


def _lists(draw: Draw) -> _Lists:
    """Draw six pairs with a whole mean for either list, so that the working stays short, and without outliers."""
    b = draw.setting(PAIRINGS)
    before = _whole_mean(draw, b.level[0] - 4, b.level[1] + 4)
    changes = _whole_mean(draw, b.change[0] - 4, b.change[1] + 4)
    after = [x + d for x, d in zip(before, changes, strict=True)]
    draw.need(len(set(changes)) > 3 and not any(map(_has_outliers, (before, after, changes))))
    return _Lists(b, before, after)


def _has_outliers(values: list[int]) -> bool:
    """Return whether one of six values lies more than 1.5 IQR beyond a quartile."""
    low, q1, _, _, q3, high = sorted(values)
    return max(q1 - low, high - q3) > 1.5 * (q3 - q1)


def _whole_mean(draw: Draw, low: int, high: int, n: int = 6) -> list[int]:
    """Draw n numbers from `low` to `high`, at least n of them, of which the last makes the mean a whole number."""
    first = [draw.integer(low, high) for _ in range(n - 1)]
    return [*first, draw.choice([x for x in range(low, high + 1) if (sum(first) + x) % n == 0])]


def _sd(values: list[int]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((x - mean) ** 2 for x in values) / (len(values) - 1))


_STEM_PAIRED_T = wordings("""
    train: The {b.y} ({b.unit}) of {b.who} was measured in connection with {b.event}. Before: {before}. After:
        {after}. All distributions are roughly normal.
    train: Values of {b.y} in {b.unit}, before {b.event}: {before}. After it: {after}. Neither the values nor their
        differences show strong skew or outliers.
    train: Does {b.event} change the mean {b.y} of {b.who}? The values in {b.unit} are {before} before, and {after}
        after. Dotplots show no strong skew or outliers.
    train: A study of {b.event} records the {b.y} of {b.who} in {b.unit}: {before} before the start and {after} after
        the end. Normality is plausible.
    test: The {b.y} of {b.who}, in {b.unit}, was {before} before {b.event} and {after} after it. Populations are
        nearly normal.
    test: A class tests what {b.event} does to the {b.y} of {b.who}. The values in {b.unit} were first {before} and
        later {after}, and dotplots show no strong skew or outliers.
    test: A notebook has two rows with the {b.y} of {b.who} in {b.unit}: "before {b.event}: {before}" and "after:
        {after}". Assume normal populations.
""")
_ASK_PAIRED_T = wordings("""
    train/paired: Both lists give the same {n} {b.who}, selected at random, in the same order. Compute the t statistic
        for the hypothesis of no change, {order}.
    train/paired: One random sample of {n} was measured twice and listed in the same order. What is the t statistic
        for a mean difference of 0, {order}?
    train/apart: The lists give two independent random samples of {n} {b.who} each. Compute the two-sample t statistic
        for the hypothesis of equal means, {order}.
    train/apart: A random sample of {n} was measured before, and another one of {n} afterward. What is the two-sample
        t statistic for equal means, {order}?
    test/paired: Both sets of values come from the same {n} randomly drawn {b.who}, listed in one order. Taking
        {order}, find t under H0: mu_d = 0.
    test/paired: Each of {n} randomly drawn {b.who} has one value in each set, at the same place. What is t for H0 of
        no change, {order}?
    test/apart: The sets of values come from different {b.who}, {n} drawn at random for each. Taking {order}, find t
        under H0: mu_1 = mu_2.
    test/apart: The sets have no {b.who} in common; each is a simple random sample of {n}. What is t for H0 of equal
        means, {order}?
""")


@kind(3, ap="7.5, 7.9")
def paired_t(draw: Draw) -> Siblings:
    """The t statistic from two lists: paired or independent, and which order."""
    lists = _lists(draw)
    n, b = len(lists.before), lists.b
    stem = draw.ask(_STEM_PAIRED_T, **lists.shown())
    s, s1, s2 = _sd(lists.changes), _sd(lists.before), _sd(lists.after)
    paired, apart = s / math.sqrt(n), math.sqrt((s1**2 + s2**2) / n)
    draw.need(abs(lists.mean) / apart > 0.4 and abs(lists.mean) / paired < 14)

    def make(independent: int, turned: int) -> Sibling:
        gap, order = (lists.mean, -lists.mean)[turned], _ORDERS[turned]
        error = (paired, apart)[independent]
        t = gap / error
        values = lists.changes if not turned else [-d for d in lists.changes]
        first, reduced, formula = (
            (f"Let mu_d be the mean difference in {b.y}, {order}. [The null hypothesis is // We test] `H0: mu_d = 0`.",
             f"Each difference belongs to one of the {b.who}, so the differences {listed(values)} are one random "
             f"sample with mean {gap} and standard deviation {sig(s)}.",
             f"`SE = s_d / sqrt(n)`{THAT} `{sig(s)} / sqrt({n}) = {sig(error)}`."),
            (f"Let mu_1 and mu_2 be the mean {b.y} before and after. [The null hypothesis is // We test] "
             "`H0: mu_1 = mu_2`.",
             f"The samples are random and independent, with means {sum(lists.before) // n} and "
             f"{sum(lists.after) // n}, difference {gap}, and standard deviations {sig(s1)} and {sig(s2)}.",
             f"`SE = sqrt(s1^2 / n1 + s2^2 / n2)`{THAT} `sqrt({sig(s1)}^2 / {n} + {sig(s2)}^2 / {n}) = "
             f"{sig(error)}`."),
        )[independent]
        steps = [
            first,
            reduced,
            f"[Neither the values nor the differences show outliers, so t procedures are appropriate // There are no "
            f"outliers, so t procedures may be used although n = {n} is small].",
            formula,
            f"`t = (difference - 0) / SE`{THAT} `{gap} / {sig(error)} = {t:.2f}`.",
            f"The [observed // sample] difference is {abs(t):.2f} standard errors {'above' if gap > 0 else 'below'} 0. "
            + rarity(p_value(t, n - 1 if not independent else 2 * n - 2, "different"), f"{t:.2f}"),
        ]
        ask = draw.ask(_ASK_PAIRED_T, ("paired", "apart")[independent], n=n, b=b, order=order)
        return Sibling(
            f"{('paired', 'independent')[independent]}, {order}",
            f"{stem} {ask}",
            steps,
            number(t, 2, tolerance=0.03),
            "Paired data are reduced to differences, which are one sample; independent samples keep two variances.",
            None if independent else
            Claim(f"the mean difference in {b.y}, {order}, differs from 0", "mu_d = 0", "mu_d != 0",
                  p_value(t, n - 1, "different")),
        )

    return square(
        make,
        ("treated the paired lists as independent samples", "paired values that come from independent samples"),
        _REVERSED,
        {"before": lists.before, "after": lists.after},
    )


_STEM_PAIRED_INTERVAL = wordings("""
    test: In a study of {b.event}, the {b.y} ({b.unit}) of {n} randomly drawn {b.who} was {before} at the start and
        {after} at the end, listed in the same order. The changes look nearly normal.
    test: Six {b.who}, drawn at random, were measured twice. Their {b.y} ({b.unit}) was {before} before {b.event} and,
        in the same order, {after} after it. A dotplot of the differences shows no strong
        skew or outliers.
    test: A table pairs the {b.y} ({b.unit}) of a random sample of {n} {b.who} before {b.event} ({before}) with their
        values afterward ({after}). Assume that differences are normal.
    test: What does {b.event} do to the {b.y} of {b.who}? A simple random sample of {n} was measured first ({before},
        in {b.unit}) and once more at the end ({after}, in the same order). The differences show no
        strong skew or outliers.
""")
_ASK_PAIRED_INTERVAL = wordings("""
    test: Construct a {level}% confidence interval for the mean difference, {order}.
    test: Estimate the mean difference ({order}) with {level}% confidence.
    test: What is the {level}% confidence interval for mu_d, where differences are {order}?
""")


@kind(3, held_out=True, ap="7.2")
def paired_interval(draw: Draw) -> Siblings:
    """The t interval for a mean difference from before and after values: which order, and which of two levels."""
    lists, levels = _lists(draw), draw.choice(LEVELS)
    n, b, s = len(lists.before), lists.b, _sd(lists.changes)
    stem, se = draw.ask(_STEM_PAIRED_INTERVAL, **lists.shown()), s / math.sqrt(n)

    def make(turned: int, high: int) -> Sibling:
        gap, order, level = (lists.mean, -lists.mean)[turned], _ORDERS[turned], levels[high]
        critical = t_quantile(0.5 + level / 200, n - 1)
        margin = critical * se
        values = lists.changes if not turned else [-d for d in lists.changes]
        steps = [
            f"{parameter('mu_d', f'the mean difference in {b.y} of all {b.who}, {order}, in {b.unit}')}.",
            f"The differences {listed(values)} are one random sample, and [normality is plausible // they look nearly "
            f"normal, which n = {n} requires]. They have mean {gap} and standard deviation {sig(s)}; with "
            f"{degrees_of_freedom(n, 1)}, t* = {critical:.3f}.",
            f"The interval is `d_bar +/- t* (s_d / sqrt(n))`{THAT} `{gap} +/- {critical:.3f} * {sig(s)} / sqrt({n}) = "
            f"{gap} +/- {sig(margin)}`.",
            confident(level, fixed(gap - margin, 2), fixed(gap + margin, 2),
                      f"the mean difference in {b.y} of all {b.who}", b.unit),
        ]
        return Sibling(
            f"{order}, {level}%",
            f"{stem} {draw.ask(_ASK_PAIRED_INTERVAL, level=level, order=order)}",
            steps,
            interval(gap - margin, gap + margin, 2, b.unit),
            "Paired data are reduced to differences, and the differences get a one-sample t interval.",
        )

    return square(
        make,
        _REVERSED,
        other_level(levels),
        {"before": lists.before, "after": lists.after, "levels": levels},
    )
