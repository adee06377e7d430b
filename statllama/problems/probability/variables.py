"""Discrete and normal random variables, sums and expected gain."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._numerics import normal_cdf
from .._problem import (
    Draft,
    Wrong,
    number,
    plain,
    probability,
    sig,
)
from .._scenarios import (
    PARTS,
    TALLIES,
)
from .._stories import WAGERS
from .._wording import wordings

# fmt: off


_ASK_DISCRETE_SPREAD = wordings("""
    train: Let X be {t.what} per {t.each}, with {table}. Find the standard deviation of X.
    train: Let X be {t.what} per {t.each}, with {table}. What is the standard deviation of X?
    train: The distribution of X, {t.what} per {t.each}, is {table}. Compute the standard deviation of X in
        {t.unit}.
    test: For {t.what} per {t.each} the chances are {table}. How widely does this number vary about its long-run
        average, measured by the standard deviation?
    test: {table}: these are the chances of each value of {t.what} per {t.each}. Work out sigma.
""")


@kind(2)
def discrete_spread(draw: Draw) -> Draft:
    """The standard deviation of a discrete random variable from its table."""
    t = draw.setting(TALLIES)
    cuts = sorted(draw.rng.sample(range(1, 20), 3))
    ps = [round((b - a) / 20, 2) for a, b in zip([0, *cuts], [*cuts, 20], strict=True)]
    mean = sum(x * p for x, p in enumerate(ps))
    square = sum(x * x * p for x, p in enumerate(ps))
    var = square - mean**2
    right = math.sqrt(var)
    table = ", ".join(f"P({x}) = {plain(p)}" for x, p in enumerate(ps))
    start = f"The mean is the sum of x * P(x), which is {plain(mean)}."
    flat = math.sqrt(sum((x - 1.5) ** 2 for x in range(4)) / 4)
    return Draft(
        draw.ask(_ASK_DISCRETE_SPREAD, t=t, table=table),
        [start, f"The variance is the sum of x^2 * P(x) minus the squared mean: {plain(square)} - "
                f"{plain(mean**2)} = {plain(var)}.", f"SD = sqrt({plain(var)}) = {right:.3f} {t.unit}."],
        number(right, 3, t.unit, tolerance=0.005),
        [
            Wrong(number(var, 3, t.unit), "gave the variance and forgot the square root",
                  [start, f"The spread is {plain(square)} - {plain(mean**2)} = {plain(var)} {t.unit}."]),
            Wrong(number(math.sqrt(square), 3, t.unit), "forgot to subtract the squared mean",
                  [start, f"The mean of X^2 is {plain(square)}.",
                   f"SD = sqrt({plain(square)}) = {math.sqrt(square):.3f} {t.unit}."]),
            Wrong(number(flat, 3, t.unit), "treated the four values as equally likely",
                  ["The values 0, 1, 2, 3 have mean 1.5.",
                   f"Their standard deviation is {flat:.3f} {t.unit}."]),
            Wrong(number(mean, 3, t.unit), "gave the mean instead of the standard deviation"),
        ],
        "The variance of X is the mean of X^2 minus the square of the mean, with probabilities as weights.",
        {"probabilities": ps},
    )


_ASK_EXPECTED_GAIN = wordings("""
    train: {w.offer} for {price} dollars. It pays {pay} dollars for {w.big}, which has probability {p1}, and
        {less} dollars for {w.small}, which has probability {p2}; the two never occur together. What is the
        expected gain of {w.gainer} per {w.per}?
    train: {w.offer} at a price of {price} dollars. The payment is {pay} dollars for {w.big} (probability {p1}),
        {less} dollars for {w.small} (probability {p2}) and nothing otherwise. Find how much {w.gainer} gains
        per {w.per} on average.
    test: Is it worth it for {w.gainer}? {w.offer}. The charge is {price} dollars; a payment of {pay} dollars
        falls due for {w.big} with chance {p1}, one of {less} for {w.small} with chance {p2}, and none
        otherwise. State the long-run average gain per {w.per}.
    test: With chance {p1} there are {pay} dollars to be paid out (for {w.big}), with chance {p2} only {less}
        (for {w.small}), else none; the charge is {price} dollars. {w.offer} on these terms. How much does
        {w.gainer} make per {w.per} in the long run?
""")


@kind(2)
def expected_gain(draw: Draw) -> Draft:
    """The expected gain of one side of an offer that pays one of two amounts."""
    w = draw.setting(WAGERS)
    price, pay, less = draw.integer(*w.price), draw.integer(*w.pay), draw.integer(*w.less)
    p1 = Given(draw.integer(*w.percent) / 100)
    p2 = Given(round(p1 * draw.integer(2, 4), 2))
    paid = p1 * pay + p2 * less
    sign = -1 if w.sells else 1
    right = sign * (paid - price)
    draw.need(0.1 < price - paid < 0.9 * price and p1 + p2 < 0.6)  # no seller offers a loss
    unit = "dollars"
    mean_paid = f"The expected payment is {p1} * {pay} + {p2} * {less} = {plain(paid)} dollars."

    def gain(paid: float, how: str) -> list[str]:
        sides = f"{price} - {plain(paid)}" if w.sells else f"{plain(paid)} - {price}"
        return [how, f"The expected gain is {sides} = {plain(sign * (paid - price))} dollars."]

    return Draft(
        draw.ask(_ASK_EXPECTED_GAIN, w=w, price=price, pay=pay, less=less, p1=p1, p2=p2),
        gain(paid, mean_paid),
        number(right, 2, unit),
        [
            Wrong(number(paid, 2, unit), "gave the expected payment and left out the price",
                  [mean_paid, "This is what changes hands on average, so it is the gain."]),
            Wrong(number(-right, 2, unit), "took the point of view of the other side",
                  [mean_paid, f"The expected gain is {plain(paid)} - {price} = {plain(-right)} dollars." if w.sells
                   else f"The expected gain is {price} - {plain(paid)} = {plain(-right)} dollars."]),
            Wrong(number(sign * (p1 * pay - price), 2, unit), "left out the smaller payment",
                  gain(p1 * pay, f"The expected payment is {p1} * {pay} = {plain(p1 * pay)} dollars.")),
            Wrong(number(sign * (p1 * (pay + less) - price), 2, unit),
                  "gave the smaller payment the probability of the larger one",
                  gain(p1 * (pay + less), f"The expected payment is {p1} * ({pay} + {less}) = "
                                          f"{plain(p1 * (pay + less))} dollars.")),
            Wrong(number(sign * (paid + price), 2, unit), "added the price instead of subtracting it"),
        ],
        "An expected gain weights each payment with its probability and counts the price.",
        {"price": price, "pay": pay, "less": less, "p1": p1, "p2": p2, "sells": w.sells},
    )


_ASK_SPREAD_OF_SUM = wordings("""
    train: {p.first!c} has mean {mean1} and standard deviation {sd1} {p.unit}; {p.second} has mean {mean2} and
        standard deviation {sd2} {p.unit}. The two are independent. What is the standard deviation of {asked}?
    train: {p.first!c} has mean {mean1} and standard deviation {sd1} {p.unit}; {p.second} has mean {mean2} and
        standard deviation {sd2} {p.unit}. The two are independent. Find the standard deviation of {asked}.
    test: Two amounts vary independently of one another: {p.first} around {mean1} {p.unit} with an SD of {sd1},
        {p.second} around {mean2} {p.unit} with an SD of {sd2}. By how much does {asked} typically vary? Give
        the SD.
    test: If {p.first} (average {mean1}, SD {sd1}) has no bearing on {p.second} (average {mean2}, SD {sd2}), all
        in {p.unit}, which SD belongs to {asked}?
""")


@kind(2)
def spread_of_sum(draw: Draw) -> Draft:
    """The standard deviation of a sum or a difference of independent variables."""
    p = draw.setting(PARTS)
    sd1, sd2 = draw.decimal(*p.sd, 1), draw.decimal(*p.sd, 1)
    mean1, mean2 = draw.decimal(*p.mean, 0), draw.decimal(*p.mean, 0)
    draw.need(abs(sd1 - sd2) >= 0.2 and min(sd1, sd2) * 4 < min(mean1, mean2))
    add = draw.choice((True, False))
    right = math.hypot(sd1, sd2)
    asked = p.total if add else f"the difference between {p.first} and {p.second}"
    squares = f"Variance = {sd1}^2 + {sd2}^2 = {plain(sd1**2 + sd2**2)}."
    rule = "For independent variables the variances add, for a sum and for a difference."
    minus = math.sqrt(abs(sd1**2 - sd2**2))
    return Draft(
        draw.ask(_ASK_SPREAD_OF_SUM, p=p, mean1=mean1, sd1=sd1, mean2=mean2, sd2=sd2, asked=asked),
        [rule, squares, f"SD = sqrt({plain(sd1**2 + sd2**2)}) = {right:.3f} {p.unit}."],
        number(right, 3, p.unit, tolerance=0.01),
        [
            Wrong(number(sd1 + sd2, 3, p.unit), "added the standard deviations",
                  ["Spreads of independent parts add up.",
                   f"SD = {sd1} + {sd2} = {plain(sd1 + sd2)} {p.unit}."]),
            Wrong(number(minus, 3, p.unit), "subtracted the variances",
                  ["The variances are combined like the variables.",
                   f"SD = sqrt(|{sd1}^2 - {sd2}^2|) = {minus:.3f} {p.unit}."]),
            Wrong(number(right**2, 3, p.unit), "gave the variance and forgot the square root",
                  [rule, f"SD = {sd1}^2 + {sd2}^2 = {plain(right**2)} {p.unit}."]),
            Wrong(number(abs(sd1 - sd2), 3, p.unit), "subtracted the standard deviations"),
            Wrong(number((sd1 + sd2) / 2, 3, p.unit), "averaged the standard deviations"),
        ],
        "For independent variables variances add, whether the variables are added or subtracted.",
        {"sd1": sd1, "sd2": sd2, "add": add},
    )


_ASK_NORMAL_SUM = wordings("""
    train: {p.first!c} is normal with mean {mean1} and standard deviation {sd1} {p.unit}; {p.second} is normal
        with mean {mean2} and standard deviation {sd2} {p.unit}. The two are independent. What is the
        probability that {p.total} is {side} {cut} {p.unit}?
    train: Two independent normal variables are {p.first} (mean {mean1}, SD {sd1}, in {p.unit}) and {p.second}
        (mean {mean2}, SD {sd2}). Find the probability that {p.total} is {side} {cut} {p.unit}.
    test: How often does {p.total} come out {side} {cut} {p.unit}, if {p.first} varies normally around {mean1}
        with an SD of {sd1}, {p.second} around {mean2} with an SD of {sd2}, and neither has a bearing on the
        other?
    test: Let T be {p.total} in {p.unit}. Its parts vary independently and normally: {p.first} has center
        {mean1} and SD {sd1}, {p.second} has center {mean2} and SD {sd2}. Work out P(T {sign} {cut}).
""")


@kind(3)
def normal_sum(draw: Draw) -> Draft:
    """P(sum of two independent normal variables above or below a value)."""
    p = draw.setting(PARTS)
    mean1, mean2 = draw.decimal(*p.mean, 0), draw.decimal(*p.mean, 0)
    sd1, sd2 = draw.decimal(*p.sd, 1), draw.decimal(*p.sd, 1)
    draw.need(max(sd1, sd2) * 4 < min(mean1, mean2))
    mean, sd = mean1 + mean2, math.hypot(sd1, sd2)
    cut = draw.decimal(mean - 2.2 * sd, mean + 2.2 * sd, 1)
    above = draw.choice((True, False))
    z = (cut - mean) / sd
    draw.need(abs(z) > 0.25)

    def tail(spread: float) -> float:
        score = (cut - mean) / spread
        return normal_cdf(-score if above else score)

    def work(spread: float, how: str) -> list[str]:
        return [f"The total has mean {mean1} + {mean2} = {plain(mean)} {p.unit}.", how,
                f"z = ({cut} - {plain(mean)}) / {sig(spread)} = {(cut - mean) / spread:.2f}, and the area "
                f"{'above' if above else 'below'} it is {tail(spread):.4f}."]

    right = tail(sd)
    rule = f"Its standard deviation is sqrt({sd1}^2 + {sd2}^2) = {sig(sd)}, because variances add."
    return Draft(
        draw.ask(_ASK_NORMAL_SUM, p=p, mean1=mean1, sd1=sd1, mean2=mean2, sd2=sd2, cut=cut,
                 side="above" if above else "below", sign=">" if above else "<"),
        work(sd, rule),
        probability(right),
        [
            Wrong(probability(tail(sd1 + sd2)), "added the standard deviations instead of the variances",
                  work(sd1 + sd2, f"Its standard deviation is {sd1} + {sd2} = {plain(sd1 + sd2)}.")),
            Wrong(probability(tail(sd * sd)), "standardized with the variance instead of the standard deviation",
                  work(sd * sd, f"Its spread is {sd1}^2 + {sd2}^2 = {plain(sd1**2 + sd2**2)}.")),
            Wrong(probability(1 - right), "gave the area on the wrong side of the value",
                  [rule, f"z = ({cut} - {plain(mean)}) / {sig(sd)} = {z:.2f}.",
                   f"The area on the other side is {right:.4f}, so P = 1 - {right:.4f} = {1 - right:.4f}."]),
            Wrong(probability(abs(0.5 - right)), "gave the area between the mean and the value"),
            Wrong(probability(tail((sd1 + sd2) / 2)), "averaged the standard deviations"),
        ],
        "A sum of independent normal variables is normal; means add and variances add.",
        {"mean1": mean1, "mean2": mean2, "sd1": sd1, "sd2": sd2, "cut": cut, "above": above},
    )
