"""What the sample size does to the shape, the center and the spread of a sampling distribution."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._numerics import binomial_pmf
from .._problem import fixed, plain, words
from .._settings import SHARES
from .._settings_probability import LOPSIDED
from .._siblings import Sibling, Siblings, Step, square
from .._wording import wordings

# fmt: off


_STEM_CENTRAL_LIMIT_THEOREM = wordings("""
    train: The distribution of the {s.what} is strongly skewed to the {tail}, with mean {mean} {s.unit} and standard
        deviation {sd} {s.unit}. Random samples of {n1} and of {n2} are considered.
    train: The {s.what} are strongly skewed to the {tail}; their mean is {mean} {s.unit} and their standard deviation
        is {sd} {s.unit}. One plan is to take random samples of {n1}, another to take random samples of {n2}.
    train: Suppose that the {s.what} have mean {mean} {s.unit}, standard deviation {sd} {s.unit} and a histogram that
        is strongly skewed to the {tail}. Two designs use random samples of size {n1} and of size {n2}.
    train: A strongly {tail}-skewed population, the {s.what}, has mean {mean} {s.unit} and standard deviation {sd}
        {s.unit}. Random samples may have {n1} or {n2} values.
    test: A long {tail} tail is typical of the {s.what}; in {s.unit}, the mean is {mean} and the SD {sd}. Random
        samples have size {n1} or {n2}.
    test: The distribution of the {s.what} has a long {tail} tail, mean {mean} and SD {sd} {s.unit}. Either {n1} or {n2}
        of them are drawn at random.
    test: The {s.what} are far from symmetric, with a long tail on the {tail}, mean {mean} {s.unit} and SD {sd}
        {s.unit}. Both {n1} and {n2} are possible sizes of a random sample.
""")
_ASK_CENTRAL_LIMIT_THEOREM = wordings("""
    train: For samples of {n}, describe the sampling distribution of the sample {name}.
    train: Which describes the sampling distribution of the {name} of {n} values?
    test: What are the shape, center and SD of the {name} of {n} {s.what}, drawn at random?
    test: How is the {name} of {n} of the {s.what} distributed?
""")


@kind(2, ap="5.3, 5.7")
def central_limit_theorem(draw: Draw) -> Siblings:
    """Shape, center and spread of a mean or a total of a few or of many values from a skewed population."""
    s = draw.setting(LOPSIDED)
    gap = draw.integer(*s.gap)
    mean, side = (draw.integer(*s.middle) + (gap if s.high else -gap), "right" if s.high else "left")
    sd = Given(round(gap * draw.decimal(1.4, 2.4, 1), 1))
    sizes = (draw.choice((2, 3, 4)), draw.choice((36, 40, 49, 64, 81, 100, 121, 144)))
    turned = draw.choice((1, -1))
    stem = draw.ask(_STEM_CENTRAL_LIMIT_THEOREM, s=s, tail=side, mean=mean, sd=sd, n1=sizes[::turned][0],
                    n2=sizes[::turned][1])

    def make(large: int, total: int) -> Sibling:
        n, name = sizes[large], ("mean", "total")[total]
        center, spread = (n * mean, sd * math.sqrt(n)) if total else (mean, sd / math.sqrt(n))
        shape = "Approximately normal" if large else f"Skewed to the {side}"
        worked = (f"{n} * {mean} = {center}", f"sqrt({n}) * {sd}") if total else (str(mean), f"{sd} / sqrt({n})")
        why = ("far below 30, so the distribution",
               "at least 30, so by the central limit theorem the distribution")[large]
        steps: list[Step] = [
            f"The population is strongly skewed, and n = {n} is {why} of the sample {name} is {shape.lower()}.",
            (f"[The mean of the sampling distribution is // It has mean // Its center is the mean,] "
             f"{f'`{worked[0]}`' if total else worked[0]} {s.unit}.",
             f"[Its standard deviation is // The standard deviation of the sample {name} is] `{worked[1]} = "
             f"{fixed(spread, 2)}` {s.unit}."),
        ]
        answer = words(f"{shape}, with mean {center} and standard deviation {fixed(spread, 2)} {s.unit}.")
        ask = draw.ask(_ASK_CENTRAL_LIMIT_THEOREM, s=s, n=n, name=name)
        return Sibling(f"{name}, n = {n}", f"{stem} {ask}", steps, answer,
                       "For large samples, means and totals are nearly normal, whatever the shape of the population.")

    return square(
        make,
        ("described the large samples", "described the small samples"),
        ("described the total", "described the mean"),
        {"mean": mean, "sd": sd, "sizes": sizes},
    )


_STEM_EFFECT_OF_SAMPLE_SIZE = wordings("""
    train: Suppose {p100}% of all {s.who} {s.does}. A random sample may have {n1} or {n2} {s.many}.
    train: Of {s.who}, {p100}% {s.does}. One design uses random samples of {n1} {s.many}, another uses random samples
        of {n2}.
    train: The proportion of {s.who} {s.rel} {s.does} is {p}. Random samples of {n1} {s.many} are compared with random
        samples of {n2}.
    train: In a large population of {s.who}, {p100}% {s.does}. Samples are selected at random; their size is either
        {n1} or {n2} {s.many}.
    test: Let p = {p} be the proportion of {s.who} {s.rel} {s.does}. Two random samples of {s.many} differ in size: {n1}
        against {n2}.
    test: Should {n1} or {n2} {s.many} be drawn at random from {s.who}? In this large population, {p100}% {s.does}.
    test: Of all {s.who}, {p100}% {s.does}. A class draws random samples of {n1} and of {n2} {s.many}.
""")
_ASK_EFFECT_OF_SAMPLE_SIZE = wordings("""
    train: What happens to the sampling distribution of the {name} {s.rel} {s.does} if the sample size changes from
        {old} to {new}?
    train: How does a change from n = {old} to n = {new} affect the sampling distribution of the {name} {s.rel}
        {s.does}?
    test: Going from {old} to {new} {s.many}, what becomes of the distribution of the sample {name} {s.rel} {s.does}?
    test: How would the distribution of the {name} of {s.many} {s.rel} {s.does} differ with {new} {s.many} in place of
        {old}?
""")


@kind(2, ap="4.11, 5.5")
def effect_of_sample_size(draw: Draw) -> Siblings:
    """What a larger or smaller sample does to the mean and standard deviation of a proportion or a count."""
    s = draw.setting(SHARES)
    p, root = draw.decimal(*s.p, 2), draw.integer(2, 5)
    small = draw.integer(40, 150)
    sizes, turned = (small, small * root**2), draw.choice((1, -1))
    draw.need(small * min(p, 1 - p) >= 10)
    stem = draw.ask(_STEM_EFFECT_OF_SAMPLE_SIZE, s=s, p=p, p100=round(100 * p), n1=sizes[::turned][0],
                    n2=sizes[::turned][1])
    times = f"{root} times as large"
    part, square_part = f"1/{root} as large", f"1/{root**2} as large"

    def make(count: int, shrinks: int) -> Sibling:
        name, (old, new) = ("proportion", "number")[count], sizes[::-1] if shrinks else sizes
        up = bool(count) is not bool(shrinks)
        center = (f"is {square_part if shrinks else f'{root**2} times as large'}" if count else "stays the same")
        formulas = ("n p", "sqrt(n p (1 - p))") if count else ("p", "sqrt(p (1 - p) / n)")
        statement = f"Its mean {center}, and its standard deviation is {times if up else part}."
        steps = [
            f"[For random samples, the // In random samples of n, the] {name} {s.rel} {s.does} has mean "
            f"`{formulas[0]}` and standard deviation `{formulas[1]}`.",
            f"[The sample size // From n = {old} to n = {new}, the sample size] changes by the factor `{new} / {old} = "
            f"{plain(new / old)}`." if not shrinks
            else f"[The sample size // From n = {old} to n = {new}, the sample size] is divided by `{old} / {new} = "
            f"{plain(old / new)}`.",
            f"The mean is {'proportional to n' if count else 'p for every n'}; the standard deviation is "
            f"{'' if count else 'inversely '}proportional to [the square root of n // `sqrt(n)`], and `sqrt({root**2}) "
            f"= {root}`.",
            statement,
        ]
        ask = draw.ask(_ASK_EFFECT_OF_SAMPLE_SIZE, s=s, name=name, old=old, new=new)
        return Sibling(f"{name}, {'smaller' if shrinks else 'larger'}", f"{stem} {ask}", steps, words(statement),
                       "A larger sample narrows the distribution of a proportion and widens that of a count.")

    return square(
        make,
        ("described the number instead of the proportion", "described the proportion instead of the number"),
        ("described a smaller sample instead of a larger one", "described a larger sample instead of a smaller one"),
        {"p": p, "sizes": sizes},
    )


_STEM_WHICH_SAMPLE_SIZE = wordings("""
    train: Suppose {p100}% of all {s.who} {s.does}. One random sample has {n1} {s.many}, another has {n2}.
    train: Of {s.who}, {p100}% {s.does}. Two students select {n1} and {n2} {s.many} at random.
    train: In a large population of {s.who}, the proportion {s.rel} {s.does} is {p}. Two studies are based on random
        samples of {n1} and of {n2} {s.many}.
    train: The true proportion of {s.who} {s.rel} {s.does} is {p}. A small study and a large one use random samples;
        their sizes are {n1} and {n2} {s.many}.
    test: Let p = {p} be the proportion of {s.who} {s.rel} {s.does}. At random, {n1} {s.many} are drawn first, then
        another {n2}.
    test: Compare two random samples from {s.who}, with {n1} and {n2} {s.many}. In this population, {p100}% {s.does}.
    test: Two studies of {s.who}, of which {p100}% {s.does}, use random samples. One has {n1} {s.many}, the other {n2}.
""")
_ASK_WHICH_SAMPLE_SIZE = wordings("""
    train/proportion far: In which sample is the proportion {s.rel} {s.does} more likely to differ from {p} by more
        than {d}?
    train/proportion far: Which sample is more likely to have a proportion that misses {p} by more than {d}?
    train/proportion close: In which sample is the proportion {s.rel} {s.does} more likely to be within {d} of {p}?
    train/proportion close: Which sample is more likely to have a proportion that misses {p} by at most {d}?
    train/number far: In which sample is the number {s.rel} {s.does} more likely to differ from its expected value by
        more than {k}?
    train/number far: Which sample is more likely to have a number of such {s.many} that misses its expected value by
        more than {k}?
    train/number close: In which sample is the number {s.rel} {s.does} more likely to be within {k} of its expected
        value?
    train/number close: Which sample is more likely to have a number of such {s.many} that misses its expected value by
        at most {k}?
    test/proportion far: For which of the two is it more probable that the fraction {s.rel} {s.does} deviates from {p}
        by over {d}?
    test/proportion far: Which is the likelier of the two to give a fraction of {s.many} {s.rel} {s.does} farther than
        {d} from {p}?
    test/proportion close: For which of the two is it more probable that the fraction {s.rel} {s.does} deviates from
        {p} by no more than {d}?
    test/proportion close: Which is the likelier of the two to give a fraction of {s.many} {s.rel} {s.does} no farther
        than {d} from {p}?
    test/number far: For which of the two is it more probable that the count of those {s.rel} {s.does} deviates from
        its mean by over {k}?
    test/number far: Which is the likelier of the two to give a count of {s.many} {s.rel} {s.does} farther than {k}
        from its mean?
    test/number close: For which of the two is it more probable that the count of those {s.rel} {s.does} deviates from
        its mean by no more than {k}?
    test/number close: Which is the likelier of the two to give a count of {s.many} {s.rel} {s.does} no farther than
        {k} from its mean?
""")


@kind(2, ap="4.11, 5.5")
def which_sample_size(draw: Draw) -> Siblings:
    """Whether a large or a small deviation is likelier in the smaller or in the larger of two samples."""
    s = draw.setting(SHARES)
    p, sizes = draw.decimal(*s.p, 2), (10 * draw.integer(3, 8), 10 * draw.integer(12, 30))
    d, k = draw.choice((0.04, 0.05, 0.06, 0.08)), draw.integer(3, 6)
    far = {name: [_far(n, p, d * n if name == "proportion" else k) for n in sizes] for name in ("proportion", "number")}
    draw.need(far["proportion"][0] > far["proportion"][1] + 0.08 and far["number"][1] > far["number"][0] + 0.08)
    turned = draw.choice((1, -1))
    stem = draw.ask(_STEM_WHICH_SAMPLE_SIZE, s=s, p=p, p100=round(100 * p), n1=sizes[::turned][0],
                    n2=sizes[::turned][1])
    spreads = {"proportion": ("sqrt(p (1 - p) / n)", [math.sqrt(p * (1 - p) / n) for n in sizes], 3),
               "number": ("sqrt(n p (1 - p))", [math.sqrt(n * p * (1 - p)) for n in sizes], 2)}

    def make(count: int, close: int) -> Sibling:
        name, distance = ("proportion", "number")[count], ("far", "close")[close]
        formula, sds, digits = spreads[name]
        n = sizes[count is not close]
        statement = f"In the sample of {n}, because there it varies {'less' if close else 'more'}."
        steps = [
            f"The {name} {s.rel} {s.does} has standard deviation `{formula}`.",
            f"[That is // With p = {p}, this is] {fixed(sds[0], digits)} for n = {sizes[0]} and "
            f"{fixed(sds[1], digits)} for n = {sizes[1]}.",
            f"A {'small' if close else 'large'} deviation is more likely where the [standard deviation // spread] is "
            f"{'smaller' if close else 'larger'}[. // , here for n = {n}.]",
            statement,
        ]
        ask = draw.ask(_ASK_WHICH_SAMPLE_SIZE, f"{name} {distance}", s=s, p=p, d=plain(d), k=k)
        return Sibling(f"{name} {distance}", f"{stem} {ask}", steps, words(statement),
                       "As n grows, a proportion varies less and a count varies more.")

    return square(
        make,
        ("thought of the number instead of the proportion", "thought of the proportion instead of the number"),
        ("looked for the likelier small deviation", "looked for the likelier large deviation"),
        {"p": p, "sizes": sizes, "d": d, "k": k},
    )


def _far(n: int, p: float, distance: float) -> float:
    """Return the probability that a binomial count is off its mean by more than `distance`."""
    return sum(binomial_pmf(x, n, p) for x in range(n + 1) if abs(x - n * p) > distance + 1e-9)
