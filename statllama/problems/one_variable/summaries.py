"""Center, spread and shape of one list of data."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._problem import number, plain, sig, words
from .._settings import MEASURES
from .._settings_one_variable import TAILS
from .._siblings import Sibling, Siblings, square
from .._wording import wordings
from ._shared import center_and_spread

# fmt: off


_STEM_STANDARD_DEVIATION = wordings("""
    train: The {m.thing}, in {m.unit}, of {n} {m.who} is as follows: {listing}.
    train: These values of {m.thing} in {m.unit} were recorded for {n} {m.who}: {listing}.
    train: A data set gives the {m.thing} of {n} {m.who}. The values, in {m.unit}, are {listing}.
    train: For {n} {m.who}, measurements of {m.thing} gave {listing} ({m.unit}).
    test: {listing}: so read the {n} entries for {m.thing} ({m.unit}) in a file on {m.who}.
    test: The file has one row for each of {n} {m.who}; its column "{m.thing}" ({m.unit}) reads {listing}.
    test: Measured in {m.unit}, the {n} {m.many} on a list have {m.thing} {listing}. All are {m.who}.
""")
_ASK_STANDARD_DEVIATION = wordings("""
    train/sample: They are a random sample from a large population. Find the sample {measure}.
    train/sample: Treat them as a random sample from a much larger group. What is the {measure} of this sample?
    train/all: They are the whole population of interest. Find the population {measure}.
    train/all: Nothing else belongs to the population of interest. What is the {measure} of this population?
    test/sample: If these were drawn at random from many others, what {measure} does the sample have?
    test/sample: Compute the {measure}, given that the rows are a random sample from a longer file.
    test/all: If these are the only ones of interest, what {measure} does the population have?
    test/all: Compute the {measure}, given that the rows make up the complete population.
""")


@kind(2, ap="1.7, 4.8")
def sample_standard_deviation(draw: Draw) -> Siblings:
    """The standard deviation or the variance of a short list: sample or population. In half of them it is below 1."""
    m = draw.setting(MEASURES)
    n, unit = draw.integer(5, 6), draw.choice((1, 10))  # of tenths, so that a variance is not always the larger one
    spread = max(2, round(m.sd[0])) if unit == 1 else draw.integer(3, 7)
    center = unit * draw.integer(math.ceil(m.mean[0]), math.floor(m.mean[1]))
    whole_numbers = [center + draw.integer(-2 * spread, 2 * spread) for _ in range(n)]
    draw.need(sum(whole_numbers) % n == 0 and len(set(whole_numbers)) >= 4)
    data = [Given(x / unit) for x in whole_numbers]
    mean = Given(sum(whole_numbers) // n / unit)
    distances = [Given(round((x - mean) ** 2, 2)) for x in data]
    squares = Given(round(sum(distances), 2))
    stem = draw.ask(_STEM_STANDARD_DEVIATION, m=m, n=n, listing=", ".join(map(str, data)))

    def make(whole: int, variance: int) -> Sibling:
        divisor, shown = (n, str(n)) if whole else (n - 1, f"({n} - 1)")
        value = squares / divisor
        measure = ("standard deviation", "variance")[variance]
        last = f"The variance is `{squares} / {shown} = {sig(value, 5)}`"
        right = value if variance else math.sqrt(value)
        steps = [
            f"[The mean is // First, the mean is // With {n} values, the mean is] `{plain(sum(data))} / {n} = {mean}` "
            f"{m.unit}.",
            f"The squared deviations [are // from it are] {', '.join(map(str, distances))}; [they add up to "
            f"{squares} // their sum is {squares}].",
            f"The divisor is {('n - 1 for a sample', 'n for a whole population')[whole]}.",
            f"{last}." if variance else f"{last}, and its square root is {right:.2f}.",
        ]
        return Sibling(
            f"{('sample', 'population')[whole]} {measure}",
            f"{stem} {draw.ask(_ASK_STANDARD_DEVIATION, ('sample', 'all')[whole], measure=measure)}",
            steps,
            number(right, 2),
            "The sum of squared deviations is divided by n - 1 for a sample and by n for a whole population.",
        )

    return square(
        make,
        ("divided by n instead of n - 1", "divided by n - 1 although the whole population is given"),
        ("forgot the square root", "took a square root although the variance is asked for"),
        {"data": data},
    )


_STEM_WEIGHTED_MEAN = wordings("""
    train: Three groups of {m.who} were measured. The mean {m.thing} is {x1} {m.unit} for the {n1} in the first group,
        {x2} {m.unit} for the {n2} in the second, and {x3} {m.unit} for the {n3} in the third.
    train: The mean {m.thing} of {n1} {m.who} is {x1} {m.unit}. A second group, of {n2}, has mean {x2} {m.unit}, and a
        third group, of {n3}, has mean {x3} {m.unit}.
    train: A study of {m.who} has three groups, of {n1}, {n2} and {n3} {m.many}. Their means of {m.thing} are {x1}, {x2}
        and {x3} {m.unit}, in this order.
    train: For {m.who}, a report lists the group sizes {n1}, {n2} and {n3}, and beside them the group means of
        {m.thing}: {x1}, {x2} and {x3} {m.unit}.
    test: On a first day {n1} {m.who} averaged {x1} {m.unit} in {m.thing}; on a second day {n2} others averaged {x2},
        and on a third day {n3} averaged {x3}.
    test: Group 1: n = {n1}, x-bar = {x1}. Group 2: n = {n2}, x-bar = {x2}. Group 3: n = {n3}, x-bar = {x3}. The
        variable is the {m.thing} ({m.unit}) of {m.who}.
    test: Three students pool their data on {m.thing} among {m.who}: one has {n1} values with average {x1} {m.unit}, one
        has {n2} with average {x2}, and one has {n3} with average {x3}.
""")
_ASK_WEIGHTED_MEAN = wordings("""
    train/each: What is the mean of all individual values in {groups}?
    train/each: Find the mean {m.thing} when the individual {m.many} of {groups} are combined.
    train/group: Each group is to count equally, whatever its size. What is the mean of {groups}?
    train/group: Find the average of the group means of {groups}, with the same weight for each group.
    test/each: What is the average over every single one of the {m.many} in {groups}?
    test/each: If all values of {groups} are put on one list, what is the average of the list?
    test/group: What is the average of {groups} if a small group has as much weight as a large one?
    test/group: If only the averages of {groups} are put on a list, what is the average of the list?
""")


@kind(2, ap="1.7")
def weighted_mean(draw: Draw) -> Siblings:
    """The mean of two or three groups, each value or each group counting once."""
    m = draw.setting(MEASURES)
    first = draw.decimal(*m.mean, 1)
    gaps = [draw.choice((-1, 1)) * draw.decimal(0.5 * m.sd[0], 1.5 * m.sd[1], 1) for _ in "ab"]
    means = (first, *(Given(round(first + gap, 1)) for gap in gaps))
    sizes = tuple(draw.integer(8, 90) for _ in range(3))
    draw.need(max(sizes[:2]) > 1.5 * min(sizes[:2]) and len(set(means)) == 3 and len(set(sizes)) == 3)
    named = {f"x{i + 1}": x for i, x in enumerate(means)} | {f"n{i + 1}": n for i, n in enumerate(sizes)}
    stem = draw.ask(_STEM_WEIGHTED_MEAN, m=m, **named)

    def make(equal: int, all_three: int) -> Sibling:
        k, groups = 2 + all_three, ("the first two groups", "all three groups")[all_three]
        weights = [1] * k if equal else list(sizes[:k])
        total, weight = sum(w * x for w, x in zip(weights, means, strict=False)), sum(weights)
        terms = " + ".join(str(x) if equal else f"{w} * {x}" for w, x in zip(weights, means, strict=False))
        steps = [
            f"[The means of {groups} count // In this average, the means of {groups} count] "
            f"{('with their group sizes as weights', 'equally')[equal]}.",
            f"[The sum is // Adding gives // Together, this is] `{terms} = {plain(total)}`.",
            f"[The mean is // Divided by {weight}, this is a mean of] `{plain(total)} / {weight} = "
            f"{total / weight:.2f}` {m.unit}.",
        ]
        return Sibling(
            f"{('values', 'groups')[equal]}, {k}",
            f"{stem} {draw.ask(_ASK_WEIGHTED_MEAN, ('each', 'group')[equal], m=m, groups=groups)}",
            steps,
            number(total / weight, 2, m.unit, tolerance=0.02),
            "The mean of all values weights each group mean with the size of its group.",
        )

    return square(
        make,
        ("averaged the group means although the groups differ in size",
         "weighted by size although each group was to count equally"),
        ("included the third group", "left out the third group"),
        {"means": means, "sizes": sizes},
    )


_STEM_OUTLIER_FENCE = wordings("""
    train: For a random sample of {m.who}, the {m.thing} in {m.unit} has mean {mean}, standard deviation {sd}, first
        quartile {q1} and third quartile {q3}.
    train: Summary statistics of {m.thing} ({m.unit}) for {m.who} are mean {mean}, SD {sd}, Q1 {q1} and Q3 {q3}.
    train: The {m.thing} of some {m.who} has quartiles {q1} and {q3} {m.unit}; its mean is {mean} {m.unit}, with a
        standard deviation of {sd} {m.unit}.
    train: Software reports Q1 = {q1}, Q3 = {q3}, mean = {mean} and s = {sd} for the {m.thing}, in {m.unit}, of a group
        of {m.who}.
    test: Half of the {m.who} in a file have {m.thing!a} from {q1} to {q3} {m.unit}, the two quartiles. The average is
        {mean} and the SD {sd}.
    test: x-bar = {mean}, s = {sd}, Q1 = {q1}, Q3 = {q3} (in {m.unit}): these summaries describe {m.thing} for a number
        of {m.who}.
    test: The middle half of a boxplot of {m.thing} for {m.who} reaches from {q1} to {q3} {m.unit}, and a note gives the
        average, {mean}, and the SD, {sd}.
""")
_ASK_OUTLIER_FENCE = wordings("""
    train/iqr: By the 1.5 IQR rule, {side} what value is an observation an outlier?
    train/iqr: Find the {limit} fence of the rule that uses 1.5 times the interquartile range.
    train/sd: If an outlier lies more than two standard deviations from the mean, {side} what value is an observation
        one?
    train/sd: Find the {limit} limit of the rule that flags values more than two standard deviations from the mean.
    test/iqr: Where is the {limit} cutoff for outliers when 1.5 times the IQR is the criterion?
    test/iqr: An analyst marks values {side} a boxplot's usual 1.5 IQR boundary. What is the boundary?
    test/sd: Where is the {limit} cutoff for outliers when a distance of two SDs from the average is the criterion?
    test/sd: An analyst marks values {side} the average by more than two SDs. What is the boundary?
""")


@kind(2, ap="1.7")
def outlier_fence(draw: Draw) -> Siblings:
    """A limit for outliers on one side: 1.5 IQR outside the quartile, or two standard deviations from the mean."""
    m = draw.setting(MEASURES)
    mean, sd = center_and_spread(draw, m)
    # The fence of 1.5 IQR lies beyond that of two SDs where quartiles are more than half an SD from the mean.
    q1, q3 = (Given(round(mean + way * draw.decimal(0.3, 0.75, 2) * sd, m.digits)) for way in (-1, 1))
    draw.need(q1 < mean < q3)
    iqr = q3 - q1
    stem = draw.ask(_STEM_OUTLIER_FENCE, m=m, mean=mean, sd=sd, q1=q1, q3=q3)

    def make(by_sd: int, lower: int) -> Sibling:
        side, limit, sign = (("above", "upper", 1), ("below", "lower", -1))[lower]
        base, name = (mean, "mean") if by_sd else (q1, "Q1") if lower else (q3, "Q3")
        step, shown, of = (2 * sd, f"2 * {sd}", "2 * SD") if by_sd else (1.5 * iqr, f"1.5 * {plain(iqr)}", "1.5 * IQR")
        value = base + sign * step
        op = "-" if lower else "+"
        steps = [
            (f"[The interquartile range is // First, the IQR is] `{q3} - {q1} = {plain(iqr)}`.",
             f"[The standard deviation is // The rule uses the mean and the standard deviation,] {sd}.")[by_sd],
            f"[The {limit} limit is // The rule puts the {limit} limit at] `{name} {op} {of} = {base} {op} {shown} = "
            f"{plain(value)}` {m.unit}.",
            f"[Values {side} {plain(value)} {m.unit} are outliers by this rule // By this rule, a {m.thing} {side} "
            f"{plain(value)} {m.unit} is an outlier].",
        ]
        return Sibling(
            f"{('1.5 IQR', '2 SD')[by_sd]}, {limit}",
            f"{stem} {draw.ask(_ASK_OUTLIER_FENCE, ('iqr', 'sd')[by_sd], side=side, limit=limit)}",
            steps,
            number(value, m.digits + 1, m.unit),
            "The 1.5 IQR rule starts at the quartiles; the rule of two standard deviations starts at the mean.",
        )

    return square(
        make,
        ("went two standard deviations from the mean", "went 1.5 IQR beyond the quartile"),
        ("gave the lower limit", "gave the upper limit"),
        {"q1": q1, "q3": q3, "mean": mean, "sd": sd},
    )


_STEM_SKEW_FROM_CENTER = wordings("""
    train: The {h.what} have mean {h_mean} and median {h_mid} {h.unit}. The {l.what} have mean {l_mean} and median
        {l_mid} {l.unit}.
    train: A report gives the mean and the median of two variables: {h_mean} and {h_mid} {h.unit} for the {h.what}, and
        {l_mean} and {l_mid} {l.unit} for the {l.what}.
    train: For the {l.what}, the median is {l_mid} {l.unit} and the mean {l_mean} {l.unit}. For the {h.what}, the median
        is {h_mid} {h.unit} and the mean {h_mean} {h.unit}.
    train: Two histograms, each with one peak, show the {l.what} (mean {l_mean}, median {l_mid} {l.unit}) and the
        {h.what} (mean {h_mean}, median {h_mid} {h.unit}).
    test: A planner notes two averages and two middle values: {h_mean} and {h_mid} {h.unit} for the {h.what}, but
        {l_mean} and {l_mid} {l.unit} for the {l.what}.
    test: With {l_mid} {l.unit} as the value in the middle, the {l.what} average {l_mean}. The {h.what} average {h_mean}
        {h.unit}, with {h_mid} in the middle.
    test: Average and median differ clearly in two one-peaked distributions. They are {h_mean} and {h_mid} {h.unit} for
        the {h.what}; for the {l.what} they are {l_mean} and {l_mid} {l.unit}.
""")
_ASK_SKEW_FROM_CENTER = wordings("""
    train/shape: What do these numbers suggest about the shape of the distribution of the {what}?
    train/shape: Which shape does the distribution of the {what} probably have?
    train/effect: A few of the most extreme values in the tail of the {what} are left out. What is the likely effect?
    train/effect: What probably happens when the most extreme values in the tail of the {what} are dropped?
    test/shape: To what shape do the numbers for the {what} point?
    test/shape: How would you expect a histogram of the {what} to look?
    test/effect: What is to be expected if the farthest values in the long tail of the {what} are deleted?
    test/effect: How would the summaries of the {what} respond to the loss of the farthest values in the long tail?
""")


@kind(1, ap="1.7")
def skew_from_center(draw: Draw) -> Siblings:
    """The direction of skew from mean and median, and what the tail does to the mean, for two variables."""
    h, low = draw.setting(TAILS), draw.setting(TAILS)
    draw.need(h.high and not low.high)
    middles, gaps = [draw.integer(*s.middle) for s in (h, low)], [draw.integer(*s.gap) for s in (h, low)]
    means = [middles[0] + gaps[0], middles[1] - gaps[1]]
    numbers = {"h_mean": means[0], "h_mid": middles[0], "l_mean": means[1], "l_mid": middles[1]}
    stem = draw.ask(_STEM_SKEW_FROM_CENTER, h=h, l=low, **numbers)
    facts = (("above", "right", "high", "falls"), ("below", "left", "low", "rises"))
    answers = [[f"It is skewed to the {side}: the long tail is on the {end} side of the median."
                for _, side, end, _ in facts],
               [f"The mean {way} toward the median, and the median changes by much less." for *_, way in facts]]

    def make(effect: int, k: int) -> Sibling:
        relation, side, end, _ = facts[k]
        what = (h, low)[k].what
        steps = [
            f"[For the {what}, // Among the {what},] the mean ({means[k]}) is {relation} the median ({middles[k]}).",
            f"Unusually {end} values, in a long tail on the {side}, [pull // draw] the mean {relation} the median.",
            ("[A distribution is named after its long tail // Skew has the direction of the long tail].",
             "[The median is resistant to such values // Such values hardly move the median, which is resistant]."
             )[effect],
        ]
        return Sibling(
            f"{('shape', 'effect')[effect]}, {what}",
            f"{stem} {draw.ask(_ASK_SKEW_FROM_CENTER, ('shape', 'effect')[effect], what=what)}",
            steps,
            words(answers[effect][k]),
            "The mean is pulled toward the long tail, and skew is named after that tail.",
        )

    return square(
        make,
        ("described the effect of the tail instead of the shape", 
         "described the shape instead of the effect of the tail"),
        ("took the tail to be on the low side", "took the tail to be on the high side"),
        {"means": means, "medians": middles, "names": (h.what, low.what)},
    )
