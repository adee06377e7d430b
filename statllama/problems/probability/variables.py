"""Discrete random variables: a distribution table read, and an expected gain."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .._draw import Draw, Given, kind
from .._problem import number, plain, probability
from .._settings_probability import SMALL_COUNTS
from .._siblings import Sibling, Siblings, square
from .._stories import WAGERS
from .._wording import wordings

# fmt: off


def _probabilities(draw: Draw, values: int) -> list[float]:
    """Return that many probabilities, multiples of 0.05 that add up to 1."""
    cuts = sorted(draw.rng.sample(range(1, 20), values - 1))
    return [round((b - a) / 20, 2) for a, b in zip([0, *cuts], [*cuts, 20], strict=True)]


def _table(ps: Sequence[float]) -> str:
    """Return a distribution on 0, 1, 2, ... as text: "0 (0.25), 1 (0.4), 2 (0.35)"."""
    return ", ".join(f"{x} ({plain(p)})" for x, p in enumerate(ps))


def _weighted(ps: Sequence[float], center: float | None = None) -> str:
    """Return the sum that gives the mean, or the variance around `center`; terms of weight 0 are left out."""
    terms = [(x, p) for x, p in enumerate(ps) if p]
    if center is None:
        return " + ".join(f"{x} * {plain(p)}" for x, p in terms)
    return " + ".join(f"({x} - {plain(center)})^2 * {plain(p)}" for x, p in terms)


def _plural(each: str) -> str:
    """Return the plural of what a tally is counted in: days, nest boxes."""
    return f"{each}es" if each.endswith("x") else f"{each}s"


def _moments(ps: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the variance of a distribution on 0, 1, 2, ..."""
    mean = sum(x * p for x, p in enumerate(ps))
    return mean, sum((x - mean) ** 2 * p for x, p in enumerate(ps))


_STEM_DISCRETE_SPREAD = wordings("""
    train: Let X be {t.what} per {t.each}. The values of X, with their probabilities in parentheses, are {table}.
    train: The distribution of X, {t.what} per {t.each}, is as follows, with probabilities in parentheses. {table}.
    train: In the long run, {t.what} per {t.each} has this distribution, value (probability). {table}.
    train: A probability model for {t.what} per {t.each} has the values and probabilities {table}.
    test: {table}. These are the values, with probabilities in parentheses, of {t.what} per {t.each}.
    test: How variable is {t.what} per {t.each}? Past records suggest the probabilities in parentheses for the values
        {table}.
    test: A student models {t.what} per {t.each}. The possible values, each with its probability, are {table}.
""")
_ASK_DISCRETE_SPREAD = wordings("""
    train/one: Find the {measure} of the number of {t.unit} in one {t.each}.
    train/one: What is the {measure} of the number of {t.unit} for a single {t.each}?
    train/two: Find the {measure} of the total number of {t.unit} in two independent {eaches}.
    train/two: What is the {measure} of the number of {t.unit} for two independent {eaches} taken together?
    test/one: Compute the {measure} of {t.what} in one {t.each}.
    test/one: For one randomly selected {t.each}, what is the {measure} of {t.what}?
    test/two: Compute the {measure} of {t.what} in two independent {eaches}, taken together.
    test/two: If {t.what} is added up over two independent {eaches}, what is the {measure}?
""")


@kind(2, ap="4.8, 4.9")
def discrete_spread(draw: Draw) -> Siblings:
    """The standard deviation or variance of one value from a table, or of the sum of two."""
    t = draw.setting(SMALL_COUNTS)
    ps = _probabilities(draw, 4)
    mean, variance = _moments(ps)
    draw.need(abs(variance - 1) > 0.05 and abs(variance - 0.5) > 0.03)
    stem = draw.ask(_STEM_DISCRETE_SPREAD, t=t, table=_table(ps))

    def make(squared: int, b: int) -> Sibling:
        measure, times = ("standard deviation", "variance")[squared], b + 1
        value = times * variance if squared else math.sqrt(times * variance)
        inside = f"{times} * {plain(variance)}" if b else plain(variance)
        how = inside if squared else f"sqrt({inside})"
        amount = (f"one {t.each}", f"two independent {_plural(t.each)}")[b]
        end = f"{value:.3f}." if squared and not b else f"`{how} = {value:.3f}`."
        steps = [
            f"[The mean for one {t.each} is // Weighting the values with their probabilities, the mean for one "
            f"{t.each} is] `{_weighted(ps)} = {plain(mean)}`.",
            f"[Its variance is // The variance is] `{_weighted(ps, mean)} = {plain(variance)}`.",
            "[Variances of independent variables add, and the standard deviation is the square root of the variance. "
            f"// For independent {_plural(t.each)}, variances add; a square root gives the standard deviation.] For "
            f"{amount}, the {measure} is {end}",
        ]
        ask = draw.ask(_ASK_DISCRETE_SPREAD, ("one", "two")[b], t=t, eaches=_plural(t.each), measure=measure)
        return Sibling(f"{measure}, {('one', 'two')[b]}", f"{stem} {ask}", steps, number(value, 3, tolerance=0.005),
                       "The variance weights squared distances from the mean with the probabilities.")

    return square(
        make,
        ("forgot the square root", "took a square root although the variance is asked for"),
        ("added a second independent value", "left out the second independent value"),
        {"probabilities": ps},
    )


_STEM_DISTRIBUTION_EVENT = wordings("""
    train: Let X be {t.what} per {t.each}. The values of X, with their probabilities in parentheses, are {table}.
    train: The probability distribution of X, {t.what} per {t.each}, is given as value (probability). {table}.
    train: For {t.what} per {t.each}, called X, the following probabilities are in parentheses. {table}.
    train: From long experience, X, {t.what} per {t.each}, takes the values {table}, with probabilities in parentheses.
    test: {table}. This is the distribution, with probabilities in parentheses, of X, {t.what} per {t.each}.
    test: Records of {t.what} per {t.each} lead to a distribution for X with the following values (and probabilities).
        {table}.
    test: {t.what!c} per {t.each} is modeled by X, with values (and probabilities) {table}.
""")
_ASK_DISTRIBUTION_EVENT = wordings("""
    train/all: What is the probability that X is {words} {k}?
    train/all: Find P(X {sign} {k}).
    train/given: Given that X is not 0, what is the probability that X is {words} {k}?
    train/given: Find P(X {sign} {k} | X > 0).
    test/all: Compute P(X {sign} {k}) for {t.what} in a randomly selected {t.each}.
    test/all: In what proportion of all {eaches} is the number of {t.unit} {words} {k}?
    test/given: Compute P(X {sign} {k} | X > 0) for {t.what} in a randomly selected {t.each}.
    test/given: Of the {eaches} in which X is not 0, in what proportion is the number of {t.unit} {words} {k}?
""")


@kind(1, ap="4.7")
def distribution_event(draw: Draw) -> Siblings:
    """The probability of an event from a table, with or without a condition."""
    t = draw.setting(SMALL_COUNTS)
    ps, k = _probabilities(draw, 5), draw.choice((2, 3))
    stem, positive = draw.ask(_STEM_DISTRIBUTION_EVENT, t=t, table=_table(ps)), round(1 - ps[0], 2)

    def make(given: int, tail: int) -> Sibling:
        said, sign = (("less than", "<"), ("at least", ">="))[tail]
        kept = ps[k:] if tail else ps[given:k]  # with X > 0, from 1 on
        part = sum(kept)
        value = part / positive if given else part
        steps = [
            f"The values with X {sign} {k}{' and X > 0' if given else ''} have [probability // together the "
            "probability] "
            + (f"`{' + '.join(map(plain, kept))} = {plain(part)}`." if len(kept) > 1 else f"{plain(part)}."),
            f"The condition X > 0 has probability `1 - {plain(ps[0])} = {plain(positive)}`." if given
            else "[There is no condition, so all values of X are possible // Without a condition, nothing has to be "
            "divided].",
            f"[Dividing, // So // ] `P(X {sign} {k} | X > 0) = {plain(part)} / {plain(positive)} = {value:.4f}`."
            if given else f"[So // Hence // ] P(X {sign} {k}) is {value:.4f}.",
        ]
        ask = draw.ask(_ASK_DISTRIBUTION_EVENT, ("all", "given")[given], t=t, eaches=_plural(t.each), words=said,
                       sign=sign, k=k)
        return Sibling(f"X {sign} k{', given X > 0' if given else ''}", f"{stem} {ask}", steps,
                       probability(value, 4, 0.0005),
                       "A condition restricts the table to some values and divides by their total probability.")

    return square(
        make,
        ("divided by the probability that X is not 0", "left out the condition that X is not 0"),
        ("gave the probability of at least k", "gave the probability of less than k"),
        {"probabilities": ps, "k": k},
    )


_STEM_DISTRIBUTION_MEAN = wordings("""
    train: Let X be {t.what} per {t.each} this year and Y the same number last year. With probabilities in parentheses,
        the values of X are {first}, and the values of Y are {second}.
    train: Two models, X and Y, are proposed for {t.what} per {t.each}. The values, with probabilities in parentheses,
        are {first} for X and {second} for Y.
    train: A new model X for {t.what} per {t.each} replaces an old model Y. With probabilities in parentheses, X has
        the values {first}, and Y has the values {second}.
    train: The probability distributions of X and Y, {t.what} per {t.each} in summer and in winter, are as follows,
        value (probability). X: {first}. Y: {second}.
    test: X has the values (and probabilities) {first}, and Y has {second}; both are models of {t.what} per {t.each}.
    test: Is {t.what} per {t.each} better described by X, with values (and probabilities) {first}, or by Y, with
        {second}?
    test: For {t.what} per {t.each}, one student proposes X, with values (and probabilities) {first}; another proposes
        Y, with {second}.
""")
_ASK_DISTRIBUTION_MEAN = wordings("""
    train: What is the {measure} of {name}?
    train: Find the {measure} of {name}, in {t.unit}.
    test: According to {name}, what is the {measure} of {t.what} per {t.each}, in {t.unit}?
    test: Compute the {measure} of {name}, in {t.unit} per {t.each}.
""")


@kind(2, ap="4.8")
def distribution_mean(draw: Draw) -> Siblings:
    """The mean or the standard deviation of one of two distribution tables."""
    t = draw.setting(SMALL_COUNTS)
    tables = (_probabilities(draw, 4), _probabilities(draw, 4))
    stem = draw.ask(_STEM_DISTRIBUTION_MEAN, t=t, first=_table(tables[0]), second=_table(tables[1]))

    def make(spread: int, b: int) -> Sibling:
        name, measure, ps = "XY"[b], ("mean", "standard deviation")[spread], tables[b]
        mean, variance = _moments(ps)
        value = math.sqrt(variance) if spread else mean
        steps = [
            f"The mean of {name} is the sum of each value times its probability[, // :] `{_weighted(ps)} = "
            f"{plain(mean)}`.",
            "[Its variance is // The variance is] the sum of each squared distance from the mean times its "
            f"probability[, // :] `{_weighted(ps, mean)} = {plain(variance)}`.",
            f"So the standard deviation is `sqrt({plain(variance)}) = {math.sqrt(variance):.3f}`.",
            f"The {measure} of {name} is {value:.3f} {t.unit} per {t.each}.",
        ]
        ask = draw.ask(_ASK_DISTRIBUTION_MEAN, t=t, measure=measure, name=name)
        return Sibling(f"{measure} of {name}", f"{stem} {ask}", steps, number(value, 3, t.unit, tolerance=0.005),
                       "A mean weights the values, and a variance the squared distances, with the probabilities.")

    return square(
        make,
        ("gave the standard deviation instead of the mean", "gave the mean instead of the standard deviation"),
        ("read the other table",) * 2,
        {"tables": tables},
    )


_STEM_EXPECTED_GAIN = wordings("""
    train: {w.offer}. Offer A costs {price0} dollars and pays {pay0} dollars for {w.big} and {less0} dollars for
        {w.small}; offer B costs {price1} dollars and pays {pay1} and {less1} dollars. Per {w.per}, {w.big} has
        probability {p1} and {w.small} has probability {p2}; the two never occur together.
    train: {w.offer}, in two versions. A: the price is {price0} dollars, with {pay0} dollars for {w.big} and {less0}
        dollars for {w.small}. B: the price is {price1} dollars, with {pay1} and {less1} dollars. Always, {w.big} has
        probability {p1} and {w.small} {p2}, never both.
    train: With probability {p1} there is {w.big}, with probability {p2} there is {w.small}, otherwise neither.
        {w.offer}. Offer A, for {price0} dollars, pays {pay0} dollars in the first case and {less0} in the second;
        offer B, for {price1} dollars, pays {pay1} and {less1}.
    train: {w.offer}. The price is {price0} dollars under offer A and {price1} dollars under offer B. For {w.big}
        (probability {p1}), A pays {pay0} dollars and B pays {pay1}; for {w.small} (probability {p2}), A pays {less0}
        dollars and B pays {less1}; nothing is paid otherwise.
    test: Is A or B better for {w.gainer}? {w.offer}: A at {price0} dollars, B at {price1}. If there is {w.big}, with
        probability {p1}, A pays {pay0} dollars and B {pay1}; if there is {w.small}, with probability {p2}, A pays
        {less0} and B {less1}.
    test: {w.offer}. Under A, {price0} dollars buy {pay0} dollars in case of {w.big} and {less0} in case of {w.small};
        under B, {price1} dollars buy {pay1} and {less1}. The chance of {w.big} is {p1} and that of {w.small} is {p2}.
    test: For {w.big}, of probability {p1}, A pays {pay0} dollars and B {pay1}; for {w.small}, of probability {p2}, A
        pays {less0} and B {less1}. {w.offer} on these terms, with a price of {price0} dollars for A and {price1} for
        B.
""")
_ASK_EXPECTED_GAIN = wordings("""
    train/gain: What is the expected gain of {w.gainer} per {w.per} under offer {name}?
    train/gain: Find how much {w.gainer} gains per {w.per}, on average, under offer {name}.
    train/pay: What is the expected payment per {w.per} under offer {name}?
    train/pay: Find how much is paid out per {w.per}, on average, under offer {name}.
    test/gain: Compute the expected net gain of {w.gainer} per {w.per} from {name}.
    test/gain: In the long run, what does {w.gainer} make per {w.per} with {name}?
    test/pay: Per {w.per}, what payment for {w.big} or {w.small} is to be expected from {name}?
    test/pay: Leaving the price aside, what does {name} pay out per {w.per} in the long run?
""")


@kind(2, ap="4.8")
def expected_gain(draw: Draw) -> Siblings:
    """The expected payment, or the expected gain of one side, under one of two offers."""
    w = draw.setting(WAGERS)
    offers = [(draw.integer(*w.price), draw.integer(*w.pay), draw.integer(*w.less)) for _ in "AB"]
    p1 = Given(draw.integer(*w.percent) / 100)
    p2 = Given(round(p1 * draw.integer(2, 4), 2))
    paid = [p1 * pay + p2 * less for _, pay, less in offers]
    draw.need(all(0.1 < price - out < 0.9 * price for (price, _, _), out in zip(offers, paid, strict=True)))
    draw.need(p1 + p2 < 0.6 and offers[0][0] != offers[1][0])  # no seller offers a loss
    names = ("price", "pay", "less")
    shown = {f"{name}{i}": x for i, offer in enumerate(offers) for name, x in zip(names, offer, strict=True)}
    stem = draw.ask(_STEM_EXPECTED_GAIN, w=w, p1=p1, p2=p2, **shown)

    def make(net: int, b: int) -> Sibling:
        name, (price, pay, less), out = "AB"[b], offers[b], paid[b]
        gain = price - out if w.sells else out - price
        sides = f"{price} - {plain(out)}" if w.sells else f"{plain(out)} - {price}"
        steps = [
            f"[The expected payment under {name} is // Under {name}, the payment has expected value] `{p1} * {pay} + "
            f"{p2} * {less} = {plain(out)}` dollars.",
            f"The gain of {w.gainer} counts the price of {price} dollars, so it is `{sides} = {plain(gain)}` dollars "
            "on average." if net else "The question is what is paid out, so the price does not enter.",
            f"[In the long run, // On average, over many cases,] {w.gainer} gains {number(gain, 2).text} dollars per "
            f"{w.per}." if net
            else f"[In the long run, // On average, over many cases,] {number(out, 2).text} dollars are paid out per "
            f"{w.per}.",
        ]
        ask = draw.ask(_ASK_EXPECTED_GAIN, ("pay", "gain")[net], w=w, name=name)
        return Sibling(f"{('payment', 'gain')[net]}, {name}", f"{stem} {ask}", steps,
                       number(gain if net else out, 2, "dollars"),
                       "An expected gain weights each payment with its probability and counts the price.")

    return square(
        make,
        ("counted the price, although the payment is asked for", "gave the expected payment and left out the price"),
        ("used the terms of the other offer",) * 2,
        {"offers": offers, "p1": p1, "p2": p2, "sells": w.sells},
    )
