"""Binomial and geometric counts."""

from __future__ import annotations

import math

from .._draw import Draw, kind
from .._numerics import binomial_pmf
from .._problem import (
    Draft,
    Wrong,
    number,
    plain,
    probability,
    sig,
)
from .._settings import SHARES
from .._wording import wordings

# fmt: off


_ASK_BINOMIAL_PROBABILITY = wordings("""
    train: Suppose {p100:g}% of all {s.who} {s.does}. In a random sample of {n}, what is the probability that
        {asked} {s.does}?
    train: Of {s.who}, {p100:g}% {s.does}. Find the probability that {asked} of {n} {s.many} chosen at random
        {s.does}.
    test: A share of {p} of {s.who} {s.does}. Chance picks {n} {s.many}: how likely is it to find {asked} of
        this sort among them?
    test: Let X count those {s.rel} {s.does} among {n} {s.who} drawn by lot, each with success probability {p}.
        What is the chance that X is {asked}?
""")


@kind(2)
def binomial_probability(draw: Draw) -> Draft:
    """P(X = k) or P(X >= k) for a binomial count."""
    s = draw.setting(SHARES)
    n, p = draw.integer(6, 14), draw.decimal(*s.p, 2)
    k, at_least = draw.integer(2, n - 1), draw.choice((True, False))
    one = binomial_pmf(k, n, p)
    tail = sum(binomial_pmf(j, n, p) for j in range(k, n + 1))
    right = tail if at_least else one
    draw.need(0.004 < right < 0.99)
    asked = f"at least {k}" if at_least else f"exactly {k}"
    q = plain(1 - p)
    single_term = (f"P(X = {k}) = C({n}, {k}) * {p}^{k} * {q}^{n - k} = {math.comb(n, k)} * {p}^{k} * "
                   f"{q}^{n - k} = {one:.4f}.")
    start = f"The count X is binomial with n = {n} and p = {p}."
    full = ([start, f"P(X >= {k}) is the sum of C({n}, j) * {p}^j * {q}^({n} - j) for j = {k} to {n}, which "
                    f"is {tail:.4f}."] if at_least else [start, single_term])
    more = tail - one
    top = n if at_least else k
    swapped = sum(binomial_pmf(j, n, 1 - p) for j in range(k, top + 1))
    bare = p**k * (1 - p) ** (n - k)
    return Draft(
        draw.ask(_ASK_BINOMIAL_PROBABILITY, s=s, p=p, p100=p * 100, n=n, asked=asked),
        full,
        probability(right, 4, 0.0005),
        [
            Wrong(probability(bare), "left out the number of arrangements C(n, k)",
                  [start, f"P = {p}^{k} * {q}^{n - k} = {bare:.4f}."]),
            Wrong(probability(one if at_least else tail),
                  "gave P(X = k) instead of P(X >= k)" if at_least else "gave P(X >= k) instead of P(X = k)",
                  [start, single_term if at_least else f"P(X >= {k}) = {tail:.4f}."]),
            Wrong(probability(more if at_least else 1 - one),
                  "left out the value k itself" if at_least else "gave the complement",
                  [start, f"P(X > {k}) = {more:.4f}."] if at_least else ()),
            Wrong(probability(swapped), "exchanged success and failure",
                  [start,
                   f"With {q} for a success and {p} for a failure, the probability is {swapped:.4f}."]),
            Wrong(probability(k / n), "took k / n for the probability"),
            Wrong(probability(1 - tail), "gave the probability of fewer than k"),
        ],
        "A binomial probability counts arrangements and adds up all the counts that the words include.",
        {"n": n, "p": p, "k": k, "at_least": at_least},
    )


_ASK_BINOMIAL_SPREAD = wordings("""
    train: Suppose {p100:g}% of all {s.who} {s.does}. Let X be the number {s.rel} {s.does} in a random sample of
        {n}. What is the standard deviation of X?
    train: Of {s.who}, {p100:g}% {s.does}. A random sample of {n} is taken. Find the standard deviation of the
        number in it {s.rel} {s.does}.
    test: Time and again, {n} {s.many} are drawn by lot from {s.who}, where the share {s.rel} {s.does} is {p},
        and those in the draw {s.rel} {s.does} are counted. By how much does this count typically vary about its
        average?
    test: Let X count those {s.rel} {s.does} among {n} {s.who}, drawn by lot at a long-run share of {p}. Work
        out sigma for this binomial count.
""")


@kind(1)
def binomial_spread(draw: Draw) -> Draft:
    """The standard deviation of a binomial count."""
    s = draw.setting(SHARES)
    n, p = draw.integer(15, 250), draw.decimal(*s.p, 2)
    variance = n * p * (1 - p)
    right = math.sqrt(variance)
    product = f"n * p * (1 - p) = {n} * {p} * {plain(1 - p)} = {sig(variance)}"
    return Draft(
        draw.ask(_ASK_BINOMIAL_SPREAD, s=s, n=n, p=p, p100=p * 100),
        [f"A binomial count has variance {product}.", f"SD = sqrt({sig(variance)}) = {right:.2f} {s.many}."],
        number(right, 2, s.many, tolerance=0.02),
        [
            Wrong(number(variance, 2, s.many, tolerance=0.02), "gave the variance and forgot the square root",
                  ["The spread of a binomial count comes from n, p and 1 - p.",
                   f"It is {product} {s.many}."]),
            Wrong(number(n * p, 2, s.many, tolerance=0.02), "gave the mean of the count",
                  ["A binomial count is around n * p.", f"That is {n} * {p} = {n * p:.2f} {s.many}."]),
            Wrong(number(math.sqrt(n * p), 2, s.many, tolerance=0.02), "left the factor 1 - p out",
                  [f"A binomial count has variance n * p = {n} * {p} = {plain(n * p)}.",
                   f"SD = sqrt({plain(n * p)}) = {math.sqrt(n * p):.2f} {s.many}."]),
            Wrong(number(math.sqrt(p * (1 - p) / n), 2, s.many, tolerance=0.02),
                  "gave the standard deviation of the proportion instead of the count"),
        ],
        "A binomial count has mean np and standard deviation sqrt(np(1 - p)).",
        {"n": n, "p": p},
    )


_ASK_GEOMETRIC_PROBABILITY = wordings("""
    train: Suppose {p100:g}% of {s.who} {s.does}. {s.many!c} are checked at random, one after another. What is
        the probability that the {th} one checked is the first of those {s.rel} {s.does}?
    train: Of all {s.who}, {p100:g}% {s.does}. A clerk checks {s.many} in random order. Find the probability
        that the {th} {s.one} checked is the first of those {s.rel} {s.does}.
    test: A clerk keeps drawing {s.who} by lot until the draw hits one of the share of {p} {s.rel} {s.does}. How
        likely is it that this takes {k} draws, no more and no fewer?
    test: Let T be the number of {s.who} that have to be drawn by lot, one by one, to meet a first success,
        where a success is one of those {s.rel} {s.does} and has chance {p} each time. Work out P(T = {k}).
""")


@kind(2)
def geometric_probability(draw: Draw) -> Draft:
    """P(first success on trial k)."""
    s = draw.setting(SHARES)
    p, k = draw.decimal(*s.p, 2), draw.integer(3, 7)
    q, right = 1 - p, (1 - p) ** (k - 1) * p
    draw.need(right > 0.004)
    th = {3: "third", 4: "fourth", 5: "fifth", 6: "sixth", 7: "seventh"}[k]
    start = f"The first {k - 1} must fail and number {k} must succeed."
    return Draft(
        draw.ask(_ASK_GEOMETRIC_PROBABILITY, s=s, p=p, p100=p * 100, th=th, k=k),
        [start, f"P = {plain(q)}^{k - 1} * {p} = {right:.4f}."],
        probability(right, 4, 0.0005),
        [
            Wrong(probability(q**k * p), "counted one failure too many",
                  [f"There are {k} trials that fail before the success.",
                   f"P = {plain(q)}^{k} * {p} = {q**k * p:.4f}."]),
            Wrong(probability(p ** (k - 1) * q), "exchanged success and failure",
                  [start, f"P = {p}^{k - 1} * {plain(q)} = {p ** (k - 1) * q:.4f}."]),
            Wrong(probability(k * q ** (k - 1) * p),
                  "counted arrangements, as for exactly one success in k trials",
                  [f"One of {k} succeeds and {k - 1} fail.",
                   f"P = {k} * {plain(q)}^{k - 1} * {p} = {k * q ** (k - 1) * p:.4f}."]),
            Wrong(probability(1 - q**k), "gave the probability of a first success within k trials"),
            Wrong(probability(p), "gave the chance of success on a single trial"),
        ],
        "The first success on trial k means k - 1 failures in a row and then one success.",
        {"p": p, "k": k},
    )
