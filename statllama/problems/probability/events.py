"""Probabilities of events: addition, complement, independence and Bayes."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._problem import (
    Draft,
    Wrong,
    plain,
    probability,
    sig,
    words,
)
from .._scenarios import (
    EVENTS,
    SCREENINGS,
    TABLES,
)
from .._settings import SHARES
from .._stories import LOTS
from .._wording import wordings

# fmt: off


_ASK_ADDITION_RULE = wordings("""
    train: Among {e.who}, the probability that {e.one!a} {e.a} is {a}, that the {e.one} {e.b} is {b}, and that
        both hold is {both}. What is the probability that at least one of the two holds?
    train: For {e.one!a} chosen at random from {e.who}, the probabilities are {a} for "{e.a}", {b} for "{e.b}"
        and {both} for both. Find the probability of one or the other or both.
    test: A share of {a} of {e.who} are such that the {e.one} {e.a}; a share of {b} are such that the {e.one}
        {e.b}; for {both} the two coincide. Picking one by chance, how likely is it to meet either description?
    test: Let A mean that {e.one!a}, taken by lot from {e.who}, {e.a}, and B that the {e.one} {e.b}. With P(A) =
        {a}, P(B) = {b} and P(A and B) = {both}, work out P(A or B).
""")


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
        draw.ask(_ASK_ADDITION_RULE, e=e, a=a, b=b, both=both),
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


_ASK_UNION_FROM_TABLE = wordings("""
    train: The {t.who} of a survey are counted by {t.row} and {t.column}: {shown}. One of them is chosen at
        random. What is the probability that this one is counted as {row_name} or as {column_name}, or both?
    train: A table counts {t.who} by {t.row} and {t.column}: {shown}. For one chosen at random, find
        P({row_name} or {column_name}).
    test: {shown}. From these {t.who}, classed by {t.row} and {t.column}, one is taken by lot. How likely is it
        to belong to the class {row_name}, to the class {column_name}, or to both at once?
    test: Which fraction of the {t.who} in the following two-way table meets at least one of the conditions
        "{t.row}: {row_name}" and "{t.column}: {column_name}"? The counts are {shown}.
""")


@kind(2)
def union_from_table(draw: Draw) -> Draft:
    """P(row or column) from a two-way table of counts."""
    t = draw.setting(TABLES)
    table = [[draw.integer(8, 70) for _ in t.columns] for _ in t.rows]
    i, j = draw.integer(0, len(t.rows) - 1), draw.integer(0, len(t.columns) - 1)
    row, column, cell = sum(table[i]), sum(line[j] for line in table), table[i][j]
    total = sum(map(sum, table))
    right = (row + column - cell) / total
    shown = "; ".join(f"{name} (" + ", ".join(f"{c} {k}" for c, k in zip(t.columns, line, strict=True)) + ")"
                      for name, line in zip(t.rows, table, strict=True))
    margins = f"Of {total}, {row} are counted as {t.rows[i]} and {column} as {t.columns[j]}."
    return Draft(
        draw.ask(_ASK_UNION_FROM_TABLE, t=t, shown=shown, row_name=t.rows[i], column_name=t.columns[j]),
        [margins, f"Counted as both are {cell}, which must not count twice.",
         f"P = ({row} + {column} - {cell}) / {total} = {right:.4f}."],
        probability(right),
        [
            Wrong(probability((row + column) / total), "counted those in both classes twice",
                  [margins, "The word \"or\" means that the two are added.",
                   f"P = ({row} + {column}) / {total} = {(row + column) / total:.4f}."]),
            Wrong(probability(cell / total), "gave the probability of both classes together",
                  [f"Counted as {t.rows[i]} and as {t.columns[j]} are {cell} of {total}.",
                   f"P = {cell} / {total} = {cell / total:.4f}."]),
            Wrong(probability((row + column - 2 * cell) / total), "left out those in both classes",
                  [margins, f"Those in both, {cell}, are taken off each of the two.",
                   f"P = ({row} + {column} - 2 * {cell}) / {total} = {(row + column - 2 * cell) / total:.4f}."]),
            Wrong(probability(cell / row), "gave a conditional probability"),
            Wrong(probability(1 - right), "gave the probability of neither class"),
        ],
        "P(A or B) counts everything in A or in B once: add the margins and take away the cell.",
        {"table": table, "row": i, "column": j},
    )


_ASK_AT_LEAST_ONE = wordings("""
    train: Suppose {p100:g}% of all {s.who} {s.does}. What is the probability that at least one of {n} {s.many}
        chosen at random is among those {s.rel} {s.does}?
    train: Of {s.who}, {p100:g}% {s.does}. Find the probability that a random sample of {n} includes at least
        one of those {s.rel} {s.does}.
    test: A share of {p} of {s.who} {s.does}. How likely is it that {n} draws by lot do not all miss this group?
    test: What are the chances of meeting one or more {s.many} {s.rel} {s.does} when {n} are drawn by lot from
        {s.who}, where the long-run share is {p}?
""")


@kind(2)
def at_least_one(draw: Draw) -> Draft:
    """P(at least one success) through the complement."""
    s = draw.setting(SHARES)
    p, n = draw.decimal(*s.p, 2), draw.integer(3, 9)
    q = 1 - p
    none = q**n
    right = 1 - none
    draw.need(right < 0.995)
    one = n * p * q ** (n - 1)
    start = f"All of {n} fail with probability {plain(q)}^{n} = {none:.4f}."
    return Draft(
        draw.ask(_ASK_AT_LEAST_ONE, s=s, p=p, p100=p * 100, n=n),
        [start, f"At least one is the complement: 1 - {none:.4f} = {right:.4f}."],
        probability(right, 4, 0.0005),
        [
            Wrong(probability(none), "gave the probability of no success at all",
                  [f"The probability of a miss is 1 - {p} = {plain(q)}.",
                   f"For {n} draws this gives {plain(q)}^{n} = {none:.4f}."]),
            Wrong(probability(1 - p**n), "took the complement of all instead of the complement of no success",
                  [f"All of {n} succeed with probability {p}^{n} = {p**n:.4f}.",
                   f"The complement is 1 - {p**n:.4f} = {1 - p**n:.4f}."]),
            Wrong(probability(one), "gave the probability of exactly one",
                  [f"One of the {n} must succeed and the others must not.",
                   f"P = {n} * {p} * {plain(q)}^{n - 1} = {one:.4f}."]),
            Wrong(probability(n * p), "added the single probabilities, which counts some outcomes more than once",
                  [f"Each of the {n} draws has probability {p}.", f"Together that is {n} * {p} = {plain(n * p)}."]),
            Wrong(probability(p), "gave the probability for a single draw"),
            Wrong(probability(p**n), "gave the probability that all of them do"),
        ],
        "At least one success is the complement of no success at all.",
        {"p": p, "n": n},
    )


_ASK_INDEPENDENCE_CHECK = wordings("""
    train: Among {e.who}, let A be that {e.one!a} {e.a} and B that the {e.one} {e.b}. P(A) = {pa}, P(B) = {pb}
        and P(A and B) = {both}. Are A and B independent?
    train: Among {e.who}, let A be that {e.one!a} {e.a} and B that the {e.one} {e.b}. P(A) = {pa}, P(B) = {pb}
        and P(A and B) = {both}. Do A and B meet the definition of independence?
    test: Does knowing that {e.one!a} {e.a} (event A) change how likely it is that the {e.one} {e.b} (event B)?
        For {e.who} drawn by lot the chances are {pa} for A, {pb} for B and {both} for the two jointly. Decide
        whether the events are independent.
    test: Of {e.who}, a share of {pa} have property A (the {e.one} {e.a}), a share of {pb} have property B (the
        {e.one} {e.b}), and a share of {both} have A as well as B. Is either property independent of the other?
""")


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
        draw.ask(_ASK_INDEPENDENCE_CHECK, e=e, pa=pa, pb=pb, both=both),
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


_ASK_POSITIVE_PREDICTIVE_VALUE = wordings("""
    train: Among {s.who}, {prior100:g}% have {s.condition}. {s.test!c} is positive for {sens100:g}% of those
        with it and negative for {spec100:g}% of those without it. One {s.one} tests positive. What is the
        probability that the {s.one} has {s.condition}?
    train: Among {s.who}, {prior100:g}% have {s.condition}. {s.test!c} is positive for {sens100:g}% of those
        with it and negative for {spec100:g}% of those without it. What proportion of those that test positive
        have {s.condition}?
    test: How far can a positive result be trusted? {s.test!c} for {s.condition} has sensitivity {sens:g} and
        specificity {spec:g}, and it is applied to {s.who}, of which a share of {prior:g} have {s.condition}.
        Given a positive result, how likely is {s.condition}?
    test: Let C stand for {s.condition} and + for a positive outcome of {s.test}. For {s.who} drawn by lot, P(C)
        = {prior:g}, P(+ | C) = {sens:g} and P(+ | not C) = {alarm:g}. Work out P(C | +).
""")


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
        draw.ask(_ASK_POSITIVE_PREDICTIVE_VALUE, s=s, prior=prior, sens=sens, spec=spec,
                 prior100=prior * 100, sens100=sens * 100, spec100=spec * 100, alarm=round(1 - spec, 2)),
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


_ASK_WITHOUT_REPLACEMENT = wordings("""
    test: In {l.place} there are {total} {l.many}, and {bad} of them are {l.bad}. A hand takes out {k}, one
        after another, and puts none back. How likely is it that {every} are {l.good}?
    test: Of {total} {l.many} in {l.place}, {bad} are {l.bad} and the rest {l.good}. If {k} are taken at once,
        without looking, what are the chances of getting {l.good} ones only?
""")


@kind(2, held_out=True)
def without_replacement(draw: Draw) -> Draft:
    """P(all of k are good) when drawing without replacement."""
    lot = draw.setting({"train": LOTS["test"], **LOTS})
    total, k = draw.integer(10, 24), draw.choice((2, 3))
    bad = draw.integer(3, total // 2)
    good = total - bad
    right = math.prod((good - i) / (total - i) for i in range(k))
    again, stuck = (good / total) ** k, math.prod(good / (total - i) for i in range(k))
    factors = " * ".join(f"({good - i} / {total - i})" for i in range(k))
    same = " * ".join([f"({good} / {total})"] * k)
    fixed_top = " * ".join(f"({good} / {total - i})" for i in range(k))
    start = f"The first is {lot.good} with probability {good} / {total}."
    return Draft(
        draw.ask(_ASK_WITHOUT_REPLACEMENT, l=lot, total=total, bad=bad, k=k,
                 every="both" if k == 2 else f"all {k}"),
        [start, "After each draw there is one fewer of this sort and one fewer in all.",
         f"P = {factors} = {right:.4f}."],
        probability(right, 4, 0.0005),
        [
            Wrong(probability(again), "multiplied as if each were put back before the next is drawn",
                  [start, "The same holds for each of the others.", f"P = {same} = {again:.4f}."]),
            Wrong(probability(stuck), "took one off the total after each draw but not off those of this sort",
                  [start, "After each draw there is one fewer in all.", f"P = {fixed_top} = {stuck:.4f}."]),
            Wrong(probability(1 - right), "gave the probability that at least one is of the other sort",
                  [start, f"All of this sort has probability {right:.4f}.",
                   f"The answer is 1 - {right:.4f} = {1 - right:.4f}."]),
            Wrong(probability(good / total), "gave the probability for the first draw alone"),
            Wrong(probability(math.prod((bad - i) / (total - i) for i in range(k))), "exchanged the two sorts"),
        ],
        "Without replacement both the favorable and the total number go down by one after each draw.",
        {"total": total, "bad": bad, "k": k},
    )
