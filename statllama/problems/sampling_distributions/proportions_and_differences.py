"""Sampling distributions of proportions, counts and differences."""

from __future__ import annotations

import math

from .._draw import Draw, kind
from .._numerics import normal_cdf
from .._phrases import SO, THAT
from .._problem import plain, probability, sig, term
from .._settings import SHARES, VERSUS
from .._siblings import Sibling, Siblings, four, square
from .._wording import wordings
from ._shared import SIDES, WRONG_SIDE, tail

# fmt: off


_STEM_SAMPLE_PROPORTION_PROBABILITY = wordings("""
    train: Suppose {p100}% of all {s.who} {s.does}. Two independent random samples are taken, the first of {n1}
        {s.many} and the second of {n2}.
    train: Of {s.who}, {p100}% {s.does}. One researcher selects {n1} {s.many} at random (first sample), another selects
        {n2} (second sample).
    train: In a large population of {s.who}, the proportion {s.rel} {s.does} is {p}. A first random sample has size
        {n1} and a second one has size {n2}.
    train: The true proportion of {s.who} {s.rel} {s.does} is {p}. A researcher takes a random sample of {n1} {s.many}
        in one month (first sample) and of {n2} in the next (second sample).
    test: Let p = {p} be the proportion of {s.who} {s.rel} {s.does}. Two random samples of these {s.many} have {n1}
        (first) and {n2} (second) members.
    test: At random, {n1} {s.many} are drawn for a first sample and {n2} for a second, from {s.who}, of which {p100}%
        {s.does}.
    test: How close do samples come to the truth, if {p100}% of {s.who} {s.does}? The first has {n1} {s.many}, drawn at
        random, the second {n2}.
""")
_ASK_SAMPLE_PROPORTION_PROBABILITY = wordings("""
    train: Use a normal approximation to find the probability that the proportion {s.rel} {s.does} in the {which}
        sample is {side} {cut}.
    train: What is the approximate probability of a sample proportion {side} {cut} in the {which} sample?
    test: In the {which} sample, about how likely is a proportion {side} {cut} of {s.many} {s.rel} {s.does}?
    test: By the normal curve, compute the chance that the fraction of {s.many} {s.rel} {s.does} comes out {side} {cut}
        in the {which}.
""")


@kind(2, ap="5.5")
def sample_proportion_probability(draw: Draw) -> Siblings:
    """P(sample proportion above or below a value) by the normal approximation, for one of two sample sizes."""
    s = draw.setting(SHARES)
    p, sizes = draw.decimal(*s.p, 2), (10 * draw.integer(8, 45), 10 * draw.integer(8, 45))
    spreads = [math.sqrt(p * (1 - p) / n) for n in sizes]
    cut = draw.decimal(p - 2 * min(spreads), p + 2 * min(spreads), 3)
    scores = [(cut - p) / spread for spread in spreads]
    draw.need(all(n * min(p, 1 - p) >= 10 for n in sizes) and all(0.2 < abs(z) < 2.8 for z in scores))
    draw.need(max(sizes) > 1.2 * min(sizes))
    stem = draw.ask(_STEM_SAMPLE_PROPORTION_PROBABILITY, s=s, p=p, p100=round(100 * p), n1=sizes[0], n2=sizes[1])

    def make(b: int, below: int) -> Sibling:
        n, which, z, value = sizes[b], ("first", "second")[b], scores[b], tail(scores[b], below)
        steps = [
            f"The sample is random, and `n p = {n} * {p} = {plain(n * p)}` and `n (1 - p) = {n} * {plain(1 - p)} = "
            f"{plain(n * (1 - p))}` are at least 10, so p_hat is approximately normal with mean {p}.",
            f"[Its standard deviation is // Its spread is] `sqrt(p (1 - p) / n)`{THAT} `sqrt({p} * {plain(1 - p)} / "
            f"{n}) = {sig(spreads[b])}`.",
            f"[Standardizing, // The z-score is // For {cut},] `z = ({cut} - {p}) / {sig(spreads[b])} = {z:.2f}`.",
            f"The probability of a proportion {SIDES[below]} {cut} in the {which} sample is about {value:.4f}.",
        ]
        ask = draw.ask(_ASK_SAMPLE_PROPORTION_PROBABILITY, s=s, which=which, side=SIDES[below], cut=cut)
        return Sibling(f"{which} {SIDES[below]}", f"{stem} {ask}", steps, probability(value),
                       "A sample proportion has mean p and standard deviation `sqrt(p(1 - p) / n)`.")

    return square(make, ("used the size of the other sample",) * 2, WRONG_SIDE, {"p": p, "sizes": sizes, "cut": cut})


_STEM_NORMAL_APPROXIMATION_OF_COUNT = wordings("""
    train: Suppose {p100}% of all {s.who} {s.does}. Let X be the number {s.rel} {s.does} in a random sample of {n}
        {s.many}.
    train: Of {s.who}, {p100}% {s.does}. A random sample of {n} {s.many} is taken, and X is the number of them {s.rel}
        {s.does}.
    train: In a large population of {s.who}, the proportion {s.rel} {s.does} is {p}. Let X count the {s.many} {s.rel}
        {s.does} among {n} selected at random.
    train: Each of {n} {s.many}, selected at random, is one of those {s.rel} {s.does} with probability {p}, and X is
        their number. The population consists of {s.who}.
    test: Let p = {p} be the proportion of {s.who} {s.rel} {s.does}. For {n} {s.many} drawn at random, X stands for the
        count of those {s.rel} {s.does}.
    test: Of {s.who}, {p100}% {s.does}. Write X for how many {s.many} {s.does} among {n} drawn at random.
    test: How many of {n} randomly drawn {s.who} {s.does}? X counts these; for one {s.one}, the probability is {p}.
""")
_ASK_NORMAL_APPROXIMATION_OF_COUNT = wordings("""
    train: Use the normal approximation without a continuity correction to find the probability that X is {words}.
    train: What is the probability that X is {words}, by the normal approximation without a continuity correction?
    test: With a normal curve and no continuity correction, how likely is it that {number} of the {s.many} {s.does}?
    test: Approximate the chance that the number of {s.many} {s.rel} {s.does} is {words}, with a normal curve and no
        continuity correction.
""")


@kind(3)
def normal_approximation_of_count(draw: Draw) -> Siblings:
    """P(binomial count below, above, between or outside two values) by the normal approximation."""
    s = draw.setting(SHARES)
    p, n = draw.decimal(*s.p, 2), draw.integer(100, 600)
    mean, sd = n * p, math.sqrt(n * p * (1 - p))
    low, high = sorted(round(mean + draw.integer(-20, 20) / 10 * sd) for _ in range(2))
    z = [(x - mean) / sd for x in (low, high)]
    below, above = normal_cdf(z[0]), normal_cdf(-z[1])
    draw.need(min(mean, n - mean) >= 10 and z[1] - z[0] > 0.4 and min(map(abs, z)) > 0.2 and abs(below - above) > 0.01)
    stem = draw.ask(_STEM_NORMAL_APPROXIMATION_OF_COUNT, s=s, p=p, p100=round(100 * p), n=n)
    cases = {
        "below": (below, f"less than {low}", f"{below:.4f}"),
        "above": (above, f"greater than {high}", f"{above:.4f}"),
        "between": (1 - below - above, f"between {low} and {high}", f"1 - {below:.4f} - {above:.4f}"),
        "outside": (below + above, f"less than {low} or greater than {high}", f"{below:.4f} + {above:.4f}"),
    }

    def make(asked: str) -> Sibling:
        value, said, how = cases[asked]
        steps = [
            f"X is binomial; `n p = {n} * {p} = {plain(mean)}` and `n (1 - p) = {plain(n - mean)}` are at least 10, so "
            "X is approximately normal.",
            f"[Its mean is {plain(mean)} and its standard deviation is // The mean is {plain(mean)}, and "
            f"`sqrt(n p (1 - p))` gives the standard deviation] `sqrt({n} * {p} * {plain(1 - p)}) = {sig(sd)}`.",
            f"For {low}, `z = ({low} - {plain(mean)}) / {sig(sd)} = {z[0]:.2f}` with [ // area] {below:.4f} below it; "
            f"for {high}, `z = ({high} - {plain(mean)}) / {sig(sd)} = {z[1]:.2f}` with [ // area] {above:.4f} above "
            "it.",
            f"[The probability // {SO} the probability] that X is {said} is "
            + (f"`{how} = {value:.4f}`." if " " in how else f"{how}."),
        ]
        ask = draw.ask(_ASK_NORMAL_APPROXIMATION_OF_COUNT, s=s, words=said,
                       number=said.replace("less", "fewer").replace("greater", "more"))
        return Sibling(asked, f"{stem} {ask}", steps, probability(value),
                       "A binomial count is nearly normal with mean `n p` and standard deviation `sqrt(n p (1 - p))` "
                       "when both `n p` and `n (1 - p)` are at least 10.")

    names = ("below the lower value", "above the upper value", "between the two values", "outside the two values")
    return four([make(asked) for asked in cases], [f"gave the area {name}" for name in names],
                {"n": n, "p": p, "low": low, "high": high})


_STEM_DIFFERENCE_OF_MEANS_PROBABILITY = wordings("""
    train: With {v.a}, {v.y} is normal with mean {mean1} and standard deviation {sd1} {v.unit}; with {v.b}, it is
        normal with mean {mean2} and standard deviation {sd2} {v.unit}. Independent random samples of {n1} {v.units}
        (first) and {n2} {v.units} (second) are taken.
    train: A first random sample of {n1} {v.units} gets {v.a}, an independent second one of {n2} {v.units} gets {v.b}.
        The {v.y} is normally distributed, with mean {mean1} and standard deviation {sd1} {v.unit} for the first and
        with mean {mean2} and standard deviation {sd2} {v.unit} for the second.
    train: Let the {v.y} of {v.units} be normal: mean {mean1}, standard deviation {sd1} {v.unit} with {v.a} (first
        group), and mean {mean2}, standard deviation {sd2} {v.unit} with {v.b} (second group). The groups consist of
        {n1} and {n2} {v.units}, selected at random and independently.
    train: Two independent groups of {v.units} are selected at random, {n1} for {v.a} (first) and {n2} for {v.b}
        (second). In the two populations, {v.y} is normal with means of {mean1} and {mean2} {v.unit} and standard
        deviations of {sd1} and {sd2} {v.unit}.
    test: The first of two independent random samples has {n1} {v.units} with {v.a}, the second {n2} with {v.b}. Normal
        models for {v.y} have means {mean1} and {mean2} and SDs {sd1} and {sd2}, in {v.unit}.
    test: In the long run, {v.y} averages {mean1} {v.unit} (SD {sd1}) under {v.a} and {mean2} {v.unit} (SD {sd2}) under
        {v.b}, with normal shapes. At random and independently, {n1} {v.units} are drawn for the former and {n2} for
        the latter.
    test: How much may {v.a} and {v.b} differ in a study of {v.y}? With {n1} and {n2} {v.units}, drawn independently
        and at random, the populations are N({mean1}, {sd1}) and N({mean2}, {sd2}), in {v.unit}, with SDs given second.
""")
_ASK_DIFFERENCE_OF_MEANS_PROBABILITY = wordings("""
    train: What is the probability that the sample mean with {one} minus the sample mean with {other} is {side} than
        {cut} {v.unit}?
    train: Find the probability that the difference of sample means, {one} minus {other}, is {side} than {cut}
        {v.unit}.
    test: Let D be the average with {one} less the average with {other}. Compute P(D {sign} {cut}).
    test: How likely is it that the average with {one} less the average with {other} is {side} than {cut} {v.unit}?
""")


@kind(3, ap="5.8")
def difference_of_means_probability(draw: Draw) -> Siblings:
    """P(difference of two independent sample means, in one of two orders, above or below a value)."""
    v = draw.setting(VERSUS)
    mean2, sds = draw.decimal(*v.mean, v.digits), (draw.decimal(*v.sd, 1), draw.decimal(*v.sd, 1))
    mean1 = type(mean2)(round(mean2 + draw.choice((-1, 1)) * draw.decimal(*v.gain, v.digits) / 2, v.digits))
    sizes, names = (draw.integer(20, 60), draw.integer(20, 60)), (v.a, v.b)
    gap, se = mean1 - mean2, math.sqrt(sds[0]**2 / sizes[0] + sds[1]**2 / sizes[1])
    cut = draw.decimal(0, 2 * se, v.digits)
    scores = ((cut - gap) / se, (cut + gap) / se)
    draw.need(all(0.2 < abs(z) < 2.7 for z in scores) and gap != 0)
    stem = draw.ask(_STEM_DIFFERENCE_OF_MEANS_PROBABILITY, v=v, mean1=mean1, mean2=mean2, sd1=sds[0], sd2=sds[1],
                    n1=sizes[0], n2=sizes[1])
    means = (mean1, mean2)

    def make(turned: int, below: int) -> Sibling:
        one, other, z = names[turned], names[1 - turned], scores[turned]
        center, value = -gap if turned else gap, tail(z, below)
        steps = [
            "Both populations are normal and the samples are random and independent, so the difference of the sample "
            "means is normal.",
            f"[For {one} minus {other}, its mean is // Its mean, {one} minus {other}, is] `{means[turned]} - "
            f"{means[1 - turned]} = {plain(center)}` {v.unit}.",
            f"[Variances add: // For independent samples, variances add:] the standard deviation is `sqrt({sds[0]}^2 / "
            f"{sizes[0]} + {sds[1]}^2 / {sizes[1]}) = {sig(se)}` {v.unit}.",
            f"[Standardizing, // The z-score is // For {cut} {v.unit},] `z = ({cut} - {term(center)}) / {sig(se)} = "
            f"{z:.2f}`, and the area {SIDES[below]} it is {value:.4f}.",
        ]
        ask = draw.ask(_ASK_DIFFERENCE_OF_MEANS_PROBABILITY, v=v, one=one, other=other, cut=cut,
                       side=("greater", "less")[below], sign="><"[below])
        return Sibling(f"{('first', 'second')[turned]} minus {('second', 'first')[turned]}, {SIDES[below]}",
                       f"{stem} {ask}", steps, probability(value),
                       "For independent samples the variances of the two means add.")

    return square(make, ("subtracted in the wrong order",) * 2, WRONG_SIDE,
                  {"means": means, "sds": sds, "sizes": sizes, "cut": cut})


_STEM_DIFFERENCE_OF_PROPORTIONS_PROBABILITY = wordings("""
    train: Last year, {a100}% of {s.who} {s.does}; this year, {b100}% do. Independent random samples of {n1} {s.many}
        from last year and {n2} from this year are taken.
    train: The proportion of {s.who} {s.rel} {s.does} was {a} last year and is {b} this year. A researcher has records
        of {n1} {s.many} selected at random last year and, independently, {n2} this year.
    train: Suppose that {a100}% of {s.who} last year and {b100}% this year {s.does}. Random samples of {n1} and {n2}
        {s.many}, respectively, are selected independently.
    train: Two large populations of {s.who}, of last year and of this year, have proportions {a} and {b} {s.rel}
        {s.does}. Independent random samples of sizes {n1} and {n2} are drawn.
    test: At random, {n1} {s.who} were drawn last year, when {a100}% of all {s.many} {s.does}, and {n2} {s.many} this
        year, when {b100}% do.
    test: Among {s.who}, {a100}% last year and {b100}% this year {s.does}. Independent random samples of {s.many} have
        sizes {n1} (last year) and {n2} (this year).
    test: The proportion of {s.who} {s.rel} {s.does}, {a} last year, is {b} this year. Independent random samples have
        {n1} and {n2} {s.many}.
""")
_ASK_DIFFERENCE_OF_PROPORTIONS_PROBABILITY = wordings("""
    train: What is the probability that the sample proportion of {one} minus that of {other} is {side} than {cut}?
    train: Find the probability that the difference of sample proportions, {one} minus {other}, is {side} than {cut}.
    test: Let D be the sample proportion of {s.many} {s.rel} {s.does} {one} less that of {other}. Compute P(D {sign}
        {cut}).
    test: How likely is it that the sample fraction of {one}, less that of {other}, is {side} than {cut} for {s.many}
        {s.rel} {s.does}?
""")


@kind(3, ap="5.6")
def difference_of_proportions_probability(draw: Draw) -> Siblings:
    """P(difference of two sample proportions, in one of two orders, above or below a value)."""
    s = draw.setting(SHARES)
    p, sizes = (draw.decimal(*s.p, 2), draw.decimal(*s.p, 2)), (draw.integer(80, 300), draw.integer(80, 300))
    se = math.sqrt(sum(q * (1 - q) / n for q, n in zip(p, sizes, strict=True)))
    gap, cut = p[0] - p[1], draw.decimal(0.01, 0.08, 2)
    scores = ((cut - gap) / se, (cut + gap) / se)
    least = min(n * q for n, share in zip(sizes, p, strict=True) for q in (share, 1 - share))
    draw.need(0.005 < abs(gap) < 0.09 and all(0.2 < abs(z) < 2.7 for z in scores) and least >= 10)
    stem = draw.ask(_STEM_DIFFERENCE_OF_PROPORTIONS_PROBABILITY, s=s, a=p[0], b=p[1], a100=round(100 * p[0]),
                    b100=round(100 * p[1]), n1=sizes[0], n2=sizes[1])

    def make(turned: int, below: int) -> Sibling:
        one, other = ("last year", "this year")[turned], ("this year", "last year")[turned]
        center, z, value = -gap if turned else gap, scores[turned], tail(scores[turned], below)
        terms = " + ".join(f"{q} * {plain(1 - q)} / {n}" for q, n in zip(p, sizes, strict=True))
        steps = [
            "The samples are random and independent, and all expected counts of successes and failures are at least "
            "10, so the difference of the sample proportions is approximately normal.",
            f"[For {one} minus {other}, its mean is // Its mean, {one} minus {other}, is] `{p[turned]} - "
            f"{p[1 - turned]} = {plain(center)}`.",
            f"[Variances add: // For independent samples, variances add:] the standard deviation is `sqrt({terms}) = "
            f"{sig(se)}`.",
            f"[Standardizing, // The z-score is // For {cut},] `z = ({cut} - {term(center)}) / {sig(se)} = {z:.2f}`, "
            f"and the area {SIDES[below]} it is {value:.4f}.",
        ]
        ask = draw.ask(_ASK_DIFFERENCE_OF_PROPORTIONS_PROBABILITY, s=s, one=one, other=other, cut=cut,
                       side=("greater", "less")[below], sign="><"[below])
        return Sibling(f"{one} minus {other}, {SIDES[below]}", f"{stem} {ask}", steps, probability(value),
                       "For independent samples the variances of the two proportions add.")

    return square(make, ("subtracted in the wrong order",) * 2, WRONG_SIDE, {"p": p, "sizes": sizes, "cut": cut})
