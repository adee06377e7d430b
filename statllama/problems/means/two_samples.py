"""Two independent groups: the interval and the test for a difference of means."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .._draw import Draw, Given, kind
from .._numerics import t_quantile
from .._phrases import THAT, confident, rarity
from .._problem import fixed, interval, number, plain, sig
from .._settings import VERSUS, Versus
from .._siblings import LEVELS, Claim, Sibling, Siblings, other_level, square
from .._tails import p_value
from .._wording import wordings
from ._shared import bare

# fmt: off

_REVERSED = ("subtracted in the wrong order",) * 2


@dataclass(frozen=True)
class _Groups:
    """Two groups of an experiment: their sizes, means and standard deviations."""

    v: Versus
    n1: int
    n2: int
    mean1: float
    mean2: float
    sd1: float
    sd2: float

    @property
    def means(self) -> tuple[float, float]:
        return self.mean1, self.mean2

    @property
    def orders(self) -> tuple[str, str]:
        """Both orders of subtraction in words, such as "new feed minus usual feed"."""
        first, second = bare(self.v.a), bare(self.v.b)
        return f"{first} minus {second}", f"{second} minus {first}"

    @property
    def se(self) -> float:
        return math.hypot(self.sd1 / math.sqrt(self.n1), self.sd2 / math.sqrt(self.n2))

    @property
    def error(self) -> str:
        """The standard error as a formula with its numbers."""
        numbers = f"sqrt({self.sd1}^2 / {self.n1} + {self.sd2}^2 / {self.n2})"
        return f"`SE = sqrt(s1^2 / n1 + s2^2 / n2)`{THAT} `{numbers} = {sig(self.se)}`"

    @property
    def parameters(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "v"}


def _groups(draw: Draw, low: int, high: int) -> _Groups:
    v = draw.setting(VERSUS)
    second = draw.decimal(*v.mean, 1)
    first = Given(round(second + draw.choice((-1, 1)) * draw.decimal(*v.gain, 1), 1))
    n1, n2 = draw.integer(low, high), draw.integer(low, high)
    return _Groups(v, n1, n2, first, second, draw.decimal(*v.sd, 1), draw.decimal(*v.sd, 1))


_STEM_TWO_MEAN_INTERVAL = wordings("""
    train: In a randomized experiment, {g.n1} {v.units} get {v.a} and {g.n2} get {v.b}. The mean {v.y} is {g.mean1}
        {v.unit} (SD {g.sd1}) with {v.a} and {g.mean2} {v.unit} (SD {g.sd2}) with {v.b}. Neither group
        shows strong skew or outliers.
    train: An experiment assigns {g.n1} {v.units} at random to {v.a} and {g.n2} to {v.b}. For {v.y} in {v.unit}, the
        first group has mean {g.mean1} and SD {g.sd1}, the second mean {g.mean2} and SD {g.sd2}. Both distributions
        are roughly symmetric.
    train: To compare {v.a} with {v.b}, {v.units} are divided at random into groups of {g.n1} and {g.n2}. The results
        for {v.y} are {g.mean1} {v.unit} (SD {g.sd1}) and {g.mean2} {v.unit} (SD {g.sd2}), without strong
        skew or outliers.
    train: Of some {v.units}, {g.n1} are assigned at random to {v.a}, the other {g.n2} to {v.b}. The sample means of
        {v.y} are {g.mean1} and {g.mean2} {v.unit}, the sample standard deviations {g.sd1} and {g.sd2} {v.unit}.
        Boxplots show no strong skew or outliers.
    test: How does {v.a} compare with {v.b}? By random assignment {g.n1} {v.units} were given the former, with average
        {v.y} {g.mean1} {v.unit} and s = {g.sd1}; {g.n2} were given the latter, with {g.mean2} {v.unit} and s =
        {g.sd2}. Dotplots of both look nearly normal.
    test: {v.units!c} were split at random. With {v.a} (n = {g.n1}) the {v.y} averaged {g.mean1} {v.unit} with s =
        {g.sd1}; with {v.b} (n = {g.n2}) it averaged {g.mean2} {v.unit} with s = {g.sd2}. Both samples look symmetric.
    test: Summary of a randomized comparison, {v.y} in {v.unit}: for {v.a}, n = {g.n1}, x-bar = {g.mean1}, s =
        {g.sd1}; for {v.b}, n = {g.n2}, x-bar = {g.mean2}, s = {g.sd2}. Neither group shows
        strong skew or outliers.
""")
_ASK_TWO_MEAN_INTERVAL = wordings("""
    train: Construct a {level}% confidence interval for the difference of the true means, {order}. Use the smaller of
        n1 - 1 and n2 - 1 as degrees of freedom.
    train: With the smaller sample size minus 1 as degrees of freedom, find the {level}% two-sample t interval for the
        difference of means, {order}.
    test: Estimate the difference of the population means ({order}) with {level}% confidence, on {df} degrees of
        freedom.
    test: Taking df = {df}, what is the {level}% confidence interval for the effect, {order}?
""")


@kind(3, ap="7.6")
def two_mean_interval(draw: Draw) -> Siblings:
    """The two-sample t interval with conservative degrees of freedom: which order, and which of two levels."""
    g = _groups(draw, 8, 40)
    v, df, levels = g.v, min(g.n1, g.n2) - 1, draw.choice(LEVELS)
    stem = draw.ask(_STEM_TWO_MEAN_INTERVAL, v=v, g=g)

    def make(a: int, b: int) -> Sibling:
        level, (one, two), order = levels[b], ((0, 1), (1, 0))[a], g.orders[a]
        critical = t_quantile(0.5 + level / 200, df)
        gap, margin = g.means[one] - g.means[two], critical * g.se
        ask = draw.ask(_ASK_TWO_MEAN_INTERVAL, level=level, df=df, order=order)
        steps = [
            f"[The parameter is // We estimate // Of interest is] the difference of the true mean {v.y}, {order}, in "
            f"{v.unit}.",
            "The treatments were assigned at random[, and // , the groups are independent, and] neither group shows "
            f"strong skew or outliers. With {df} degrees of freedom, t* = {critical:.3f} at {level}% confidence.",
            f"{g.error}.",
            f"The interval is `(x_bar_1 - x_bar_2) +/- t* SE`{THAT} `({g.means[one]} - {g.means[two]}) +/- "
            f"{critical:.3f} * {sig(g.se)} = {plain(gap)} +/- {sig(margin)}`.",
            confident(level, fixed(gap - margin, 2), fixed(gap + margin, 2),
                      f"the difference of the mean {v.y}, {order},", v.unit),
        ]
        return Sibling(
            f"{order}, {level}%",
            f"{stem} {ask}",
            steps,
            interval(gap - margin, gap + margin, 2, v.unit),
            "A two-sample interval is the difference of means plus or minus t* times `sqrt(s1^2 / n1 + s2^2 / n2)`.",
        )

    return square(make, _REVERSED, other_level(levels), {**g.parameters, "levels": levels, "orders": g.orders})


_STEM_TWO_SAMPLE_T = wordings("""
    train: In a randomized experiment, {g.n1} {v.units} receive {v.a} and {g.n2} receive {v.b}. The mean {v.y} is
        {g.mean1} {v.unit} (SD {g.sd1}) in the first group and {g.mean2} {v.unit} (SD {g.sd2}) in the second. There
        is no strong skew, and there are no outliers.
    train: Some {v.units} are assigned at random to {v.a} ({g.n1} of them) or {v.b} ({g.n2}). The sample means of
        {v.y} are {g.mean1} and {g.mean2} {v.unit}, with standard deviations {g.sd1} and {g.sd2} {v.unit}. Both
        distributions are roughly normal.
    train: A study assigns {v.units} at random to two treatments. With {v.a}, {g.n1} of them have mean {v.y} {g.mean1}
        {v.unit} and SD {g.sd1}; with {v.b}, {g.n2} have mean {g.mean2} {v.unit} and SD {g.sd2}. Neither sample is
        strongly skewed or has outliers.
    train: The effect of {v.a} on {v.y} is compared with that of {v.b}. Groups of {g.n1} and {g.n2} {v.units}, formed
        at random, have means {g.mean1} and {g.mean2} {v.unit} and standard deviations {g.sd1} and {g.sd2} {v.unit},
        without strong skew or outliers.
    test: Chance decides which {v.units} are given {v.a} (n = {g.n1}) and which {v.b} (n = {g.n2}). Results for {v.y}
        in {v.unit}, symmetric in both groups: x-bar = {g.mean1}, s = {g.sd1} against x-bar = {g.mean2}, s = {g.sd2}.
    test: After random assignment, {v.y} averages {g.mean1} {v.unit} (s = {g.sd1}, n = {g.n1}) among {v.units} given
        {v.a}, and {g.mean2} {v.unit} (s = {g.sd2}, n = {g.n2}) among those given {v.b}. Dotplots show
        no strong skew or outliers.
    test: "{v.a!c}: {g.mean1} +/- {g.sd1} (n = {g.n1}). {v.b!c}: {g.mean2} +/- {g.sd2} (n = {g.n2})." This line, mean
        +/- SD in {v.unit}, sums up the {v.y} of {v.units} that were assigned at random; both samples look nearly
        normal.
""")
_ASK_TWO_SAMPLE_T = wordings("""
    train: Compute the two-sample t statistic for the null hypothesis that the true mean with {first} minus the true
        mean with {second} is {null} {unit}.
    train: The null hypothesis is that the difference of the true means, {order}, equals {null} {unit}. What is the
        two-sample t statistic?
    test: With mu_1 for {first} and mu_2 for {second}, which value of t results under H0: mu_1 - mu_2 = {null}?
    test: Find t for H0: mu_1 - mu_2 = {null}, where mu_1 belongs to {first} and mu_2 to {second}.
""")


@kind(3, ap="7.9")
def two_sample_t(draw: Draw) -> Siblings:
    """The unpooled two-sample t statistic: which order, and no difference or a stated one under the null hypothesis."""
    g = _groups(draw, 12, 60)
    v, claimed = g.v, draw.decimal(g.v.gain[0] / 2, g.v.gain[1] / 2, 1)
    stem = draw.ask(_STEM_TWO_SAMPLE_T, v=v, g=g)

    def make(a: int, b: int) -> Sibling:
        names, order, (one, two) = (v.a, v.b), g.orders[a], ((0, 1), (1, 0))[a]
        null = (Given(0.0), claimed)[b]
        t = (g.means[one] - g.means[two] - null) / g.se
        ask = draw.ask(_ASK_TWO_SAMPLE_T, first=names[one], second=names[two], null=null, unit=v.unit, order=order)
        steps = [
            f"Let mu_1 be the true mean {v.y} with {names[one]} and mu_2 that with {names[two]}. [The null hypothesis "
            f"is // We test] `H0: mu_1 - mu_2 = {null}`.",
            "The treatments were assigned at random, and [neither group shows outliers or strong skew // groups of "
            f"{g.n1} and {g.n2} without outliers are normal enough // there are no outliers in either sample], so t "
            "procedures are appropriate.",
            f"{g.error}.",
            f"`t = (x_bar_1 - x_bar_2 - {null}) / SE`{THAT} `({g.means[one]} - {g.means[two]} - {null}) / "
            f"{sig(g.se)} = {t:.2f}`.",
            f"The observed difference is {abs(t):.2f} standard errors {'above' if t > 0 else 'below'} {null} {v.unit}. "
            + rarity(p_value(t, min(g.n1, g.n2) - 1, "different"), f"{t:.2f}"),
        ]
        return Sibling(
            f"{order}, null {null}",
            f"{stem} {ask}",
            steps,
            number(t, 2, tolerance=0.02),
            "The two-sample t statistic is the difference of means minus the null difference, over "
            "`sqrt(s1^2 / n1 + s2^2 / n2)`.",
            Claim(f"the true mean {v.y} with {names[one]} minus that with {names[two]} differs from {null} {v.unit}",
                  f"mu_1 - mu_2 = {null}", f"mu_1 - mu_2 != {null}",
                  p_value(t, min(g.n1, g.n2) - 1, "different")),
        )

    slips = f"tested a difference of {claimed} instead of 0", f"tested a difference of 0 instead of {claimed}"
    return square(make, _REVERSED, slips, {**g.parameters, "claimed": claimed, "orders": g.orders})
