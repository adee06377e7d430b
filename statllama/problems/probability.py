"""Probability, random variables and probability distributions."""

from __future__ import annotations

import math

from ._draw import Draw, Given, kind
from ._numerics import binomial_pmf
from ._problem import Draft, Wrong, article, number, plain, probability, sig, words
from ._scenarios import EVENTS, PARTS, SCREENINGS, TALLIES
from ._settings import SHARES

# fmt: off


@kind(1)
def addition_rule(draw: Draw) -> Draft:
    """P(A or B) from P(A), P(B) and P(A and B)."""
    e = draw.setting(EVENTS)
    a, b = draw.decimal(0.2, 0.6, 2), draw.decimal(0.2, 0.6, 2)
    both = draw.decimal(0.05, min(a, b) - 0.04, 2)
    right = a + b - both
    draw.need(right < 0.97 and abs(both - a * b) > 0.01)
    rule = "By the addition rule, P(A or B) = P(A) + P(B) - P(A and B)."
    return Draft(
        draw.wording(
            f"Among {e.who}, the probability that {article(e.one)} {e.a} is {a}, that the {e.one} {e.b} is "
            f"{b}, and that both hold is {both}. What is the probability that at least one of the two holds?",
            f"For {article(e.one)} chosen at random from {e.who}, P({e.a}) = {a}, P({e.b}) = {b} and P(both) "
            f"= {both}. Find the probability of one or the other or both.",
        ),
        [rule, f"P = {a} + {b} - {both} = {plain(right)}."],
        probability(right, 2, 0.0),
        [
            Wrong(probability(a + b, 2), "added the two probabilities and counted the overlap twice",
                  ["The word \"or\" means that the probabilities are added.",
                   f"P = {a} + {b} = {plain(a + b)}."]),
            Wrong(probability(a + b - a * b, 2), "assumed independence although the overlap is given",
                  [rule, f"P(A and B) = {a} * {b} = {plain(a * b)}, so P = {a} + {b} - {plain(a * b)} = "
                         f"{plain(a + b - a * b)}."]),
            Wrong(probability(a + b - 2 * both, 2), "left out those for whom both hold",
                  ["Take away the overlap from each part.",
                   f"P = ({a} - {both}) + ({b} - {both}) = {plain(a + b - 2 * both)}."]),
            Wrong(probability(1 - right, 2), "gave the probability that neither holds"),
            Wrong(probability(a * b, 2), "multiplied, as for \"and\" with independent events"),
        ],
        "The addition rule takes away the overlap once, because adding counts it twice.",
        {"a": a, "b": b, "both": both},
    )


@kind(1)
def independence_check(draw: Draw) -> Draft:
    """Are two events independent, given their joint probability?"""
    e = draw.setting(EVENTS)
    a, b = draw.decimal(2, 7, 0) / 10, draw.decimal(2, 7, 0) / 10
    product = round(a * b, 4)
    independent = draw.choice((True, False))
    both = (Given(product if independent else round(product + draw.choice((-0.05, -0.03, 0.03, 0.05, 0.08)),
                                                    4)))
    draw.need(0.02 < both < min(a, b) - 0.02 and a + b - both < 0.98)
    pa, pb = plain(a), plain(b)
    compare = f"P(A) * P(B) = {pa} * {pb} = {plain(product)}, and P(A and B) = {both}."
    yes = f"Yes: P(A and B) equals P(A) * P(B), which is {plain(product)}."
    no = f"No: P(A and B) is {both}, but P(A) * P(B) is {plain(product)}."
    swapped = (f"No: P(A and B) is {both}, so the two can happen together." if independent else "Yes: "
                                                                                                "knowing one "
                                                                                                "tells "
                                                                                                "nothing, as "
                                                                                                "both are "
                                                                                                "traits of "
                                                                                                "the same "
                                                                                                "group.")
    return Draft(
        f"Among {e.who}, let A be that {article(e.one)} {e.a} and B that the {e.one} {e.b}. P(A) = {pa}, "
        f"P(B) = {pb} and P(A "
        f"and B) = {both}. " + draw.wording("Are A and B independent?",
                                            "Do A and B meet the definition of independence?"),
        [compare, "Events are independent exactly when these two numbers are equal."],
        words(yes if independent else no),
        [
            Wrong(words(swapped),
                  "confused independent with mutually exclusive" if independent else "judged independence by "
                                                                                     "the story and not by "
                                                                                     "the numbers",
                  ["Events that can happen together influence each other."] if independent else ["The two "
                                                                                                 "traits "
                                                                                                 "have "
                                                                                                 "nothing to "
                                                                                                 "do with "
                                                                                                 "one "
                                                                                                 "another in "
                                                                                                 "the "
                                                                                                 "description."]),
            Wrong(words(f"Only if P(A) + P(B) is 1, and here it is {plain(a + b)}."),
                  "took independent events for complementary ones",
                  [f"P(A) + P(B) = {pa} + {pb} = {plain(a + b)}.",
                   "Independent events share the whole probability between them."]),
            Wrong(words("It cannot be told without P(A or B)."),
                  "thought that the definition needs P(A or B)"),
            Wrong(words(f"No: P(A) and P(B) are different, {pa} and {pb}.") if a != b else words("Yes: P(A) "
                                                                                                 "and P(B) "
                                                                                                 "are "
                                                                                                 "equal."),
                                                                                                 "compared "
                                                                                                 "P(A) with "
                                                                                                 "P(B)"),
        ],
        "Two events are independent exactly when P(A and B) = P(A) * P(B).",
        {"a": a, "b": b, "both": both, "independent": independent},
    )


@kind(3)
def positive_predictive_value(draw: Draw) -> Draft:
    """P(condition | positive test) by Bayes' rule."""
    s = draw.setting(SCREENINGS)
    prior = draw.integer(*s.prevalence) / 1000
    sens, spec = draw.integer(80, 98) / 100, draw.integer(84, 97) / 100
    hit, false = prior * sens, (1 - prior) * (1 - spec)
    right = hit / (hit + false)
    given = ([f"P(condition and positive) = {prior:g} * {sens:g} = {sig(hit)}.",
              f"P(no condition and positive) = {1 - prior:g} * {1 - spec:.2f} = {sig(false)}."])
    return Draft(
        f"Among {s.who}, {prior * 100:g}% have {s.condition}. {s.test[0].upper()}{s.test[1:]} is positive "
        f"for {sens * 100:g}% of those with it and negative for {spec * 100:g}% of those without it. "
        + draw.wording(f"One {s.one} tests positive. What is the probability that the {s.one} has "
                       f"{s.condition}?", f"What proportion of positive results comes from {article(s.one)} "
                                          f"that has {s.condition}?"),
        [*given, f"P(condition | positive) = {sig(hit)} / ({sig(hit)} + {sig(false)}) = {right:.4f}."],
        probability(right),
        [
            Wrong(probability(sens), "turned the condition around and gave P(positive | condition)",
                  [f"The test finds {sens * 100:g}% of those with the condition.",
                   f"So a positive result is right with probability {sens:.4f}."]),
            Wrong(probability(hit), "gave the joint probability and did not divide by P(positive)",
                  [given[0], f"This is the probability asked for: {hit:.4f}."]),
            Wrong(probability(hit + false), "gave the probability of a positive result"),
            Wrong(probability(hit / (hit + (1 - prior) * spec)),
                  "used the specificity where its complement belongs",
                  [given[0], f"P(no condition and positive) = {1 - prior:g} * {spec:g} = "
                             f"{sig((1 - prior) * spec)}.",
                             f"P = {sig(hit)} / ({sig(hit)} + {sig((1 - prior) * spec)}) = "
                             f"{hit / (hit + (1 - prior) * spec):.4f}."]),
            Wrong(probability(1 - right), "gave the probability of a false alarm among the positives"),
        ],
        "A positive result must be weighed against all ways to be positive; a rare condition makes false "
        "alarms count.",
        {"prevalence": prior, "sensitivity": sens, "specificity": spec},
    )


@kind(2)
def binomial_probability(draw: Draw) -> Draft:
    """P(X = k) or P(X >= k) for a binomial count."""
    s = draw.setting(SHARES)
    n, p = draw.integer(6, 14), draw.decimal(*s.p, 2)
    k, at_least = draw.integer(1, n - 1), draw.choice((True, False))
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
        draw.wording(
            f"Suppose {p * 100:g}% of all {s.who} {s.does}. In a random sample of {n}, what is the "
            f"probability that {asked} {s.does}?",
            f"Of {s.who}, {p * 100:g}% {s.does}. Find the probability that {asked} of {n} {s.many} chosen at "
            f"random {s.does}.",
        ),
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


@kind(2)
def geometric_probability(draw: Draw) -> Draft:
    """P(first success on trial k)."""
    s = draw.setting(SHARES)
    p, k = draw.decimal(*s.p, 2), draw.integer(2, 6)
    q, right = 1 - p, (1 - p) ** (k - 1) * p
    draw.need(right > 0.004)
    th = {2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth"}[k]
    start = f"The first {k - 1} must fail and number {k} must succeed."
    return Draft(
        draw.wording(
            f"Suppose {p * 100:g}% of {s.who} {s.does}. {s.many.capitalize()} are checked at random, one "
            f"after another. What is the probability that the {th} one checked is the first of those {s.rel} "
            f"{s.does}?",
            f"Of all {s.who}, {p * 100:g}% {s.does}. A clerk checks {s.many} in random order. Find the "
            f"probability that the {th} {s.one} checked is the first of those {s.rel} {s.does}.",
        ),
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
        f"Let X be {t.what} per {t.each}, with {table}. " + draw.wording("Find the standard deviation of X.",
                                                                         "What is the standard deviation of "
                                                                         "X?"),
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
        f"{p.first[0].upper()}{p.first[1:]} has mean {mean1} and standard deviation {sd1} {p.unit}; "
        f"{p.second} has mean {mean2} and standard deviation {sd2} {p.unit}. The two are independent. "
        + draw.wording(f"What is the standard deviation of {asked}?",
                       f"Find the standard deviation of {asked}."),
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
