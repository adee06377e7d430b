"""The normal model: proportions and percentiles."""

from __future__ import annotations

from .._draw import Draw, kind
from .._numerics import normal_cdf, normal_quantile
from .._problem import number, ordinal, probability
from .._settings import MEASURES
from .._siblings import Sibling, Siblings, four, square
from .._wording import wordings
from ._shared import YEARS, center_and_spread, two_years

# fmt: off


_OTHER_YEAR = ("used the mean and SD of the second year", "used the mean and SD of the first year")

_STEM_NORMAL_TAIL = wordings("""
    train: The {m.thing} of {m.who} was approximately normal in each of two years, with mean {m1} {m.unit} and standard
        deviation {s1} {m.unit} in the first year, and mean {m2} {m.unit} and standard deviation {s2} {m.unit} in the
        second.
    train: In two years, {m.thing} among {m.who} followed a normal distribution. Its mean was {m1} {m.unit} in the first
        year and {m2} {m.unit} in the second; its standard deviation was {s1} and then {s2} {m.unit}.
    train: For {m.who}, {m.thing} is modeled by a normal distribution with mean {m1} and standard deviation {s1}
        {m.unit} in the first year of a study, and with mean {m2} and standard deviation {s2} {m.unit} in the second.
    train: Histograms of {m.thing} for {m.who} were close to normal in two years: mean {m1} {m.unit}, SD {s1} {m.unit}
        in the first year and mean {m2} {m.unit}, SD {s2} {m.unit} in the second.
    test: Normal curves fit the {m.thing} of {m.who} in two years. The first year's is centered at {m1} {m.unit} with SD
        {s1}, the second year's at {m2} {m.unit} with SD {s2}.
    test: N({m1}, {s1}) in the first year and N({m2}, {s2}) in the second, given as mean and SD in {m.unit}: these are
        the models for {m.thing} among {m.who}.
    test: Suppose {m.who} averaged {m1} {m.unit} in {m.thing}, with SD {s1}, in the first year, and {m2} {m.unit}, with
        SD {s2}, in the second. Both distributions were bell-shaped and close to normal.
""")
_ASK_NORMAL_TAIL = wordings("""
    train: What proportion of the {m.many} had {m.thing!a} {side} {cut} {m.unit} in the {year} year?
    train: Find the probability that {m.one!a} chosen at random in the {year} year had {m.thing!a} {side} {cut}
        {m.unit}.
    test: According to the model for the {year} year, what fraction of all values lies {side} {cut} {m.unit}?
    test: How likely was a value {side} {cut} {m.unit} for a randomly selected {m.one} of the {year} year?
""")


@kind(2, ap="1.10")
def normal_tail(draw: Draw) -> Siblings:
    """A proportion of a normal distribution above or below one value, in one of two years."""
    m = draw.setting(MEASURES)
    means, sds = two_years(draw, m)
    cut = draw.decimal(means[0] - 2 * sds[0], means[0] + 2 * sds[0], m.digits)
    zs = [(cut - mean) / sd for mean, sd in zip(means, sds, strict=True)]
    draw.need(all(0.15 < abs(z) < 2.6 for z in zs))
    stem = draw.ask(_STEM_NORMAL_TAIL, m=m, m1=means[0], m2=means[1], s1=sds[0], s2=sds[1])

    def make(a: int, below: int) -> Sibling:
        z, side = zs[a], ("above", "below")[below]
        area = normal_cdf(z if below else -z)
        steps = [
            f"[For the {YEARS[a]} year, // With mean and SD of the {YEARS[a]} year,] `z = (x - mean) / SD = ({cut} - "
            f"{means[a]}) / {sds[a]} = {z:.2f}`.",
            f"Values {side} {cut} {m.unit} correspond to the area to the {('right', 'left')[below]} of z = {z:.2f}.",
            f"[This area under the normal curve is {area:.4f} // Under the standard normal curve, this area is "
            f"{area:.4f} // So the probability is {area:.4f}, the area under the curve].",
        ]
        return Sibling(
            f"{YEARS[a]} year, {side}",
            f"{stem} {draw.ask(_ASK_NORMAL_TAIL, m=m, side=side, cut=cut, year=YEARS[a])}",
            steps,
            probability(area),
            "Standardize with the mean and SD of the distribution, then take the area on the side that is asked for.",
        )

    wrong_side = ("gave the area below the value", "gave the area above the value")
    return square(make, _OTHER_YEAR, wrong_side, {"means": means, "sds": sds, "cut": cut})


_ASK_NORMAL_PERCENTILE = wordings("""
    train: What {m.thing} cuts off the {end} {share}% of the values of the {year} year?
    train: Find the {percent} percentile of {m.thing} in the {year} year.
    test: In the {year} year, where was the boundary of the {end} {share}% of the distribution?
    test: Which value of the {year} year marks the {percent} percentile?
""")


@kind(2, ap="1.10")
def normal_percentile(draw: Draw) -> Siblings:
    """The value that cuts off one end of a normal distribution, in one of two years."""
    m = draw.setting(MEASURES)
    means, sds = two_years(draw, m)
    share = draw.choice((5, 10, 15, 20, 25, 30))
    stem = draw.ask(_STEM_NORMAL_TAIL, m=m, m1=means[0], m2=means[1], s1=sds[0], s2=sds[1])
    digits = m.digits + 1

    def make(a: int, top: int) -> Sibling:
        mean, sd, percent = means[a], sds[a], 100 - share if top else share
        z, end = normal_quantile(percent / 100), ("lowest", "highest")[top]
        value = mean + z * sd
        steps = [
            f"The {end} {share}% are cut off by the {ordinal(percent)} percentile, which has {percent}% of the area to "
            f"its left: z = {z:.3f}.",
            f"[In the {YEARS[a]} year, // With mean and SD of the {YEARS[a]} year,] `x = mean + z * SD = {mean} "
            f"{'+' if z > 0 else '-'} {abs(z):.3f} * {sd} = {value:.{digits}f}`.",
            f"[ // So the {end} {share}% of the {m.many} have a {m.thing} {('below', 'above')[top]} {value:.{digits}f} "
            f"{m.unit}. // In context, {value:.{digits}f} {m.unit} separates the {end} {share}% from the rest.]",
        ]
        ask = draw.ask(_ASK_NORMAL_PERCENTILE, m=m, end=end, share=share, percent=ordinal(percent), year=YEARS[a])
        return Sibling(
            f"{YEARS[a]} year, {end}",
            f"{stem} {ask}",
            steps,
            number(value, digits, m.unit, tolerance=max(10.0**-digits, 0.01 * sd)),
            "A percentile undoes the z-score: `x = mean + z * SD`, with z from the area to the left.",
        )

    ends = ("cut off the highest instead of the lowest values", "cut off the lowest instead of the highest values")
    return square(make, _OTHER_YEAR, ends, {"means": means, "sds": sds, "share": share})


_STEM_NORMAL_BETWEEN = wordings("""
    train: The {m.thing} of {m.who} is approximately normal with mean {mean} {m.unit} and standard deviation {sd}
        {m.unit}.
    train: Among {m.who}, {m.thing} follows a normal distribution centered at {mean} {m.unit} with a standard deviation
        of {sd} {m.unit}.
    train: Suppose that the {m.thing} of {m.who} can be modeled by a normal distribution with mean {mean} and standard
        deviation {sd}, both in {m.unit}.
    train: A normal curve with mean {mean} {m.unit} and SD {sd} {m.unit} fits the {m.thing} of {m.who} well.
    test: {m.who!c} average {mean} {m.unit} in {m.thing}, with SD {sd}, and a histogram of them is close to a normal
        curve.
    test: For {m.who}, take N({mean}, {sd}), given as mean and SD in {m.unit}, as the model of {m.thing}.
    test: The bell curve that describes {m.thing} among {m.who} has its peak at {mean} {m.unit} and an SD of {sd}
        {m.unit}.
""")
_ASK_NORMAL_BETWEEN = wordings("""
    train/between: What proportion of the {m.many} have {m.thing!a} between {low} and {high} {m.unit}?
    train/between: Find the probability that a randomly chosen {m.one} has {m.thing!a} between {low} and {high}
        {m.unit}.
    train/outside: What proportion of the {m.many} have {m.thing!a} below {low} or above {high} {m.unit}?
    train/outside: Find the probability that a randomly chosen {m.one} has {m.thing!a} below {low} or above {high}
        {m.unit}.
    test/between: How much of the distribution lies from {low} up to {high} {m.unit}?
    test/between: What fraction of them is at least {low} and at most {high} {m.unit}?
    test/outside: How much of the distribution lies outside the range from {low} to {high} {m.unit}?
    test/outside: What fraction of them is either less than {low} or more than {high} {m.unit}?
""")


@kind(2, ap="1.10")
def normal_between(draw: Draw) -> Siblings:
    """A proportion of a normal distribution between two of three values, or outside them."""
    m = draw.setting(MEASURES)
    mean, sd = center_and_spread(draw, m)
    cuts = sorted(draw.decimal(mean - 2.2 * sd, mean + 2.2 * sd, m.digits) for _ in range(3))
    draw.need(min(cuts[1] - cuts[0], cuts[2] - cuts[1]) > 0.5 * sd)
    stem = draw.ask(_STEM_NORMAL_BETWEEN, m=m, mean=mean, sd=sd)

    def make(low: float, high: float, place: str) -> Sibling:
        z1, z2 = (low - mean) / sd, (high - mean) / sd
        left, right = normal_cdf(z1), normal_cdf(z2)
        area = right - left if place == "between" else 1 - (right - left)
        last = f"`{right:.4f} - {left:.4f} = {area:.4f}`" if place == "between" else (
            f"`1 - ({right:.4f} - {left:.4f}) = {area:.4f}`")
        steps = [
            f"[The z-scores are // Standardizing both values gives] `({low} - {mean}) / {sd} = {z1:.2f}` and `({high} "
            f"- {mean}) / {sd} = {z2:.2f}`.",
            f"[The areas to their left are // Under the normal curve, the areas to their left are] {left:.4f} and "
            f"{right:.4f}.",
            f"[The area {place} {'them' if place == 'outside' else 'the two'} is // The probability of a value {place} "
            f"{'them' if place == 'outside' else 'the two'} is] {last}.",
        ]
        return Sibling(
            f"{place} {low} and {high}",
            f"{stem} {draw.ask(_ASK_NORMAL_BETWEEN, place, m=m, low=low, high=high)}",
            steps,
            probability(area),
            "The proportion between two values is the difference of the areas to their left.",
        )

    a, b, c = cuts
    return four(
        [make(a, b, "between"), make(b, c, "between"), make(a, c, "between"), make(a, c, "outside")],
        [f"gave the area between {a} and {b}", f"gave the area between {b} and {c}",
         f"gave the area between {a} and {c}", f"gave the area outside {a} to {c}"],
        {"mean": mean, "sd": sd, "cuts": cuts},
    )
