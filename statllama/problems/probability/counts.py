"""Binomial and geometric counts, and the event that at least one succeeds."""

from __future__ import annotations

import math

from .._draw import Draw, kind
from .._numerics import binomial_pmf
from .._problem import number, ordinal, plain, probability
from .._settings import SHARES
from .._settings_probability import negated
from .._siblings import Sibling, Siblings, four, square
from .._wording import wordings

# fmt: off


_STEM_BINOMIAL_PROBABILITY = wordings("""
    train: Suppose {p100}% of all {s.who} {s.does}. A random sample of {n} {s.many} is taken.
    train: Of {s.who}, {p100}% {s.does}. Then {n} {s.many} are chosen at random and independently of one another.
    train: A company knows that {p100}% of {s.who} {s.does}. It selects {n} of them at random.
    train: The proportion {s.rel} {s.does} in a large population of {s.who} is {p}. A simple random sample of {n}
        {s.many} is drawn.
    test: Let p = {p} be the proportion of {s.who} {s.rel} {s.does}, and let X count the {s.many} {s.rel} {s.does} in a
        random sample of {n}.
    test: Let X be the number of {s.many} {s.rel} {s.does} among {n} selected at random from {s.who}. The proportion in
        this large population is {p}.
    test: How many of {n} randomly selected {s.who} {s.does}? Call this number X. In the long run, {p100}% of all such
        {s.many} {s.does}.
""")
_ASK_BINOMIAL_PROBABILITY = wordings("""
    train: What is the probability that {words} {k} of the {n} {s.many} {s.does}?
    train: Find the probability that the number {s.rel} {s.does} is {words} {k}.
    test: Calculate P(X {sign} {k}) for these {s.many}.
    test: Find P(X {sign} {k}).
""")


@kind(2, ap="4.10")
def binomial_probability(draw: Draw) -> Siblings:
    """P(X = k), P(X >= k), P(X <= k) or P(X > k) for a binomial count."""
    s = draw.setting(SHARES)
    n, p = draw.integer(5, 9), draw.decimal(*s.p, 2)
    k = draw.integer(2, n - 2)
    pmf = [binomial_pmf(j, n, p) for j in range(n + 1)]
    stem = draw.ask(_STEM_BINOMIAL_PROBABILITY, s=s, n=n, p=p, p100=round(100 * p))
    cases = {
        "exactly": ("=", range(k, k + 1)),
        "at least": (">=", range(k, n + 1)),
        "at most": ("<=", range(k + 1)),
        "more than": (">", range(k + 1, n + 1)),
    }

    def make(asked: str) -> Sibling:
        sign, values = cases[asked]
        value = sum(pmf[j] for j in values)
        terms = (f"{math.comb(n, k)} * {p}^{k} * {plain(1 - p)}^{n - k}" if asked == "exactly"
                 else " + ".join(f"{pmf[j]:.4f}" for j in values))
        steps = [
            f"The {n} {s.many} are selected at random and independently, so X, the number {s.rel} {s.does}, is "
            f"binomial with n = {n} and p = {p}.",
            f"`P(X = k) = C(n, k) * p^k * (1 - p)^(n - k)`, and the values asked for are those with X {sign} {k}.",
            f"[This gives // Hence // ] `P(X {sign} {k}) = {terms} = "
            f"{value:.4f}`.",
            f"[The probability // So the probability] that {asked} {k} of the {n} {s.many} {s.does} is {value:.4f}.",
        ]
        ask = draw.ask(_ASK_BINOMIAL_PROBABILITY, s=s, n=n, k=k, words=asked, sign=sign)
        return Sibling(asked, f"{stem} {ask}", steps, probability(value, 4, 0.0005),
                       "A binomial probability counts arrangements and adds up all the counts that the words include.")

    return four([make(asked) for asked in cases],
                [f"gave P(X {sign} k)" for sign, _ in cases.values()],
                {"n": n, "p": p, "k": k})


_STEM_BINOMIAL_SPREAD = wordings("""
    train: Suppose {p100}% of all {s.who} {s.does}. Two independent random samples are planned, the first of {n1}
        {s.many} and the second of {n2}.
    train: Of {s.who}, {p100}% {s.does}. One researcher takes a random sample of {n1} {s.many}; a second researcher
        takes a random sample of {n2}.
    train: The proportion of {s.who} {s.rel} {s.does} is {p}. A first random sample has {n1} {s.many} and a second one
        has {n2}.
    train: Each month, two random samples are taken from {s.who}, where {p100}% {s.does}: {n1} {s.many} in the first
        and {n2} in the second.
    test: Let p = {p} be the proportion of {s.who} {s.rel} {s.does}. Two samples of {s.many}, selected at random, have
        sizes {n1} (first) and {n2} (second).
    test: From {s.who}, two random samples are selected: {n1} {s.many} in the first and {n2} {s.many} in the second. In
        the long run, {p100}% {s.does}.
    test: How much do counts vary when samples are taken from {s.who}? In this large population, {p100}% {s.does}; the
        first sample has {n1} {s.many}, the second {n2}.
""")
_ASK_BINOMIAL_SPREAD = wordings("""
    train: What is the {measure} of the number {s.rel} {s.does} in the {which} sample?
    train: Let X be the number of {s.many} {s.rel} {s.does} in the {which} sample. Find the {measure} of X.
    test: Compute the {measure} of the count of {s.many} {s.rel} {s.does} for the {which} of the two.
    test: For the {which} sample, how large is the {measure} of the number of {s.many} {s.rel} {s.does}?
""")


@kind(1, ap="4.11")
def binomial_spread(draw: Draw) -> Siblings:
    """The standard deviation or the variance of a binomial count, for one of two samples."""
    s = draw.setting(SHARES)
    sizes, p = (draw.integer(12, 90), draw.integer(12, 90)), draw.decimal(*s.p, 2)
    draw.need(abs(sizes[0] - sizes[1]) > 4 and all(n * p * (1 - p) > 1.5 for n in sizes))
    stem = draw.ask(_STEM_BINOMIAL_SPREAD, s=s, n1=sizes[0], n2=sizes[1], p=p, p100=round(100 * p))

    def make(squared: int, b: int) -> Sibling:
        n, which = sizes[b], ("first", "second")[b]
        measure = ("standard deviation", "variance")[squared]
        variance = n * p * (1 - p)
        product = f"{n} * {p} * {plain(1 - p)}"
        value = variance if squared else math.sqrt(variance)
        steps = [
            f"The {n} {s.many} of the {which} sample are selected at random and independently, so [the number {s.rel} "
            f"{s.does} // the number of those {s.rel} {s.does}] is binomial with n = {n} and p = {p}.",
            "[Its variance is `n * p * (1 - p)`, and its standard deviation is `sqrt(n * p * (1 - p))` // A binomial "
            "count has variance `n * p * (1 - p)`, and the standard deviation is its square root].",
            f"[The {measure} is // Here the {measure} is // With the numbers, the {measure} is] "
            f"`{product if squared else f'sqrt({product})'} = {value:.2f}`.",
        ]
        ask = draw.ask(_ASK_BINOMIAL_SPREAD, s=s, measure=measure, which=which)
        return Sibling(f"{measure}, {which}", f"{stem} {ask}", steps, number(value, 2, tolerance=0.02),
                       "A binomial count has variance `n p (1 - p)` and standard deviation `sqrt(n p (1 - p))`.")

    return square(
        make,
        ("forgot the square root", "took a square root although the variance is asked for"),
        ("used the size of the other sample",) * 2,
        {"sizes": sizes, "p": p},
    )


_STEM_GEOMETRIC_PROBABILITY = wordings("""
    train: Suppose {p100}% of {s.who} {s.does}. {s.many!c} are checked at random, one after another, until one of those
        {s.rel} {s.does} is found.
    train: Of all {s.who}, {p100}% {s.does}. An assistant checks {s.many} in random order.
    train: A researcher selects {s.who} at random, one at a time. The probability of getting one of those {s.rel}
        {s.does} is {p} each time.
    train: A student goes through {s.who} in random order and notes whether they {s.does}; this is true of {p100}%.
    test: One by one, {s.who} are drawn at random. A draw is a success if it brings one of those {s.rel} {s.does}, with
        probability {p}.
    test: How long does it take to come across the first of those {s.many} {s.rel} {s.does}, if {p100}% of {s.who} do
        and they come in random order?
    test: Some {s.who} {s.does}, namely {p100}% of all {s.many}. They are selected at random until the first of those
        {s.rel} {s.does} turns up.
""")
_ASK_GEOMETRIC_PROBABILITY = wordings("""
    train/exactly: What is the probability that the {th} one is the first of those {s.rel} {s.does}?
    train/exactly: Find the probability that the first of those {s.rel} {s.does} is number {k}.
    train/within: What is the probability that the first of those {s.rel} {s.does} is among the first {k}?
    train/within: Find the probability that at most {k} have to be checked to find the first of those {s.rel} {s.does}.
    train/more: What is the probability that none of the first {k} is one of those {s.rel} {s.does}?
    train/more: Find the probability that more than {k} have to be checked to find the first of those {s.rel} {s.does}.
    train/least: What is the probability that at least {k} have to be checked to find the first of those {s.rel}
        {s.does}?
    train/least: Find the probability that the first of those {s.rel} {s.does} is number {k} or comes later.
    test/exactly: How likely is it that exactly {k} {s.many} are needed?
    test/exactly: Compute the probability that it takes {k} {s.many}, no more and no fewer.
    test/within: How likely is it that at most {k} {s.many} are needed?
    test/within: Compute the probability that it takes {k} {s.many} or fewer.
    test/more: How likely is it that more than {k} {s.many} are needed?
    test/more: Compute the probability that {k} {s.many} are not enough.
    test/least: How likely is it that at least {k} {s.many} are needed?
    test/least: Compute the probability that it takes {k} {s.many} or more.
""")


@kind(2, ap="4.12")
def geometric_probability(draw: Draw) -> Siblings:
    """P(X = k), P(X <= k), P(X > k) or P(X >= k) for the trial of the first success."""
    s = draw.setting(SHARES)
    p, k = draw.decimal(*s.p, 2), draw.integer(3, 6)
    q = 1 - p
    shown = plain(q)
    stem = draw.ask(_STEM_GEOMETRIC_PROBABILITY, s=s, p=p, p100=round(100 * p))
    cases = {
        "exactly": (q ** (k - 1) * p, "=", f"the first {k - 1} fail and number {k} succeeds", f"{shown}^{k - 1} * {p}"),
        "within": (1 - q**k, "<=", f"not all of the first {k} fail", f"1 - {shown}^{k}"),
        "more": (q**k, ">", f"all of the first {k} fail", f"{shown}^{k}"),
        "least": (q ** (k - 1), ">=", f"all of the first {k - 1} fail", f"{shown}^{k - 1}"),
    }

    def make(asked: str) -> Sibling:
        value, sign, means, how = cases[asked]
        steps = [
            f"Let X be the number of the first of those {s.rel} {s.does}. The trials are independent with p = {p}, so "
            "X is geometric.",
            f"[X {sign} {k} means that {means} // The event X {sign} {k} occurs when {means}], and a trial fails with "
            f"probability `1 - {p} = {shown}`.",
            f"[Multiplying, // Hence // ] `P(X {sign} {k}) = {how} = {value:.4f}`.",
        ]
        ask = draw.ask(_ASK_GEOMETRIC_PROBABILITY, asked, s=s, k=k, th=ordinal(k))
        return Sibling(f"X {sign} k", f"{stem} {ask}", steps, probability(value, 4, 0.0005),
                       "Failures in a row multiply: the first success comes after trial k with probability `(1 - "
                       "p)^k`.")

    return four([make(asked) for asked in cases], [f"gave P(X {sign} k)" for _, sign, _, _ in cases.values()],
                {"p": p, "k": k})


_STEM_AT_LEAST_ONE = wordings("""
    train: Suppose {p100}% of all {s.who} {s.does}. A random sample of {n} {s.many} is taken.
    train: Of {s.who}, {p100}% {s.does}. Then {n} {s.many} are chosen at random and independently of one another.
    train: The proportion of {s.who} {s.rel} {s.does} is {p}, and {n} {s.many} are selected at random.
    train: Every day, {n} {s.many} are picked at random from {s.who}, of which {p100}% {s.does}.
    test: Let p = {p} be the proportion of {s.who} {s.rel} {s.does}. Take {n} of these {s.many} at random.
    test: In a large population of {s.who}, {p100}% {s.does}. A sample consists of {n} {s.many}, selected at random.
    test: From {s.who}, {n} {s.many} are selected at random. About the population it is known that {p100}% {s.does} and
        the others do not.
""")
_ASK_AT_LEAST_ONE = wordings("""
    train/least: What is the probability that at least one of the {n} is among those {s.rel} {does}?
    train/least: Find the probability that the sample includes at least one of those {s.rel} {does}.
    train/none: What is the probability that not one of the {n} is among those {s.rel} {does}?
    train/none: Find the probability that the sample includes not even one of those {s.rel} {does}.
    test/least: How likely is a sample with one or more {s.many} {s.rel} {does}?
    test/least: Compute the probability of getting one or more of the {s.many} {s.rel} {does}.
    test/none: How likely is a sample without any {s.many} {s.rel} {does}?
    test/none: Compute the probability of getting no {s.many} {s.rel} {does}.
""")


@kind(2, ap="4.10")
def at_least_one(draw: Draw) -> Siblings:
    """P(at least one) or P(none), of those with a trait or of those without it."""
    s = draw.setting(SHARES)
    p, n = draw.decimal(*s.p, 2), draw.integer(2, 5)
    draw.need(abs(p - 0.5) > 0.02)
    stem = draw.ask(_STEM_AT_LEAST_ONE, s=s, p=p, p100=round(100 * p), n=n)

    def make(none: int, without: int) -> Sibling:
        does = (s.does, negated(s.does))[without]
        chance = 1 - p if without else p
        miss = 1 - chance
        absent = miss**n
        steps = [
            f"The {n} {s.many} are selected at random and independently; each is one of those {s.rel} {does} with "
            f"probability {plain(chance)}, and is not with probability {plain(miss)}.",
            f"[The probability of none is // To get none, all {n} must miss:] `{plain(miss)}^{n} = {absent:.4f}`.",
            f"[So the probability // The probability] that the sample includes none of them is {absent:.4f}." if none
            else f"[At least one is the complement, // The complement of none is at least one:] `1 - {absent:.4f} = "
            f"{1 - absent:.4f}`.",
        ]
        ask = draw.ask(_ASK_AT_LEAST_ONE, ("least", "none")[none], s=s, does=does, n=n)
        return Sibling(f"{('at least one', 'none')[none]} {('with', 'without')[without]}", f"{stem} {ask}", steps,
                       probability(absent if none else 1 - absent, 4, 0.0005),
                       "At least one is the complement of none, and none means that every single one misses.")

    return square(
        make,
        ("gave the probability of none", "gave the probability of at least one"),
        ("exchanged those with the trait and those without it",) * 2,
        {"p": p, "n": n},
    )
