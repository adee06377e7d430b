"""Chi-square from one variable, degrees of freedom and p-values."""

from __future__ import annotations

from .._draw import Draw, kind
from .._numerics import chi_square_upper_tail
from .._phrases import decision
from .._problem import count, fixed, number, plain, probability
from .._scenarios import BROAD_TABLES
from .._settings_categorical import CLAIMS, Claims
from .._siblings import Claim, Sibling, Siblings, four, square
from .._wording import wordings
from ._shared import listed, statistic

# fmt: off


_TWO_CLAIMS = wordings("""
    train: Two reports describe how {c.who} are distributed by {c.variable}. Report A: {a}. Report B: {b}. In a random
        sample of {n}, the counts are {seen}.
    train: A random sample of {n} {c.who} has these counts by {c.variable}: {seen}. Report A claims the percentages {a};
        report B claims {b}.
    train: The {c.variable} of {n} randomly selected {c.who} is recorded: {seen}. According to report A the population
        has {a}; according to report B it has {b}.
    train: By {c.variable}, the distribution of {c.who} is {a} in report A and {b} in report B. The counts in a random
        sample of {n} are {seen}.
    test: How are {c.who} distributed by {c.variable}? Claim A says {a}, claim B says {b}, and a simple random sample
        contains {seen} ({n} in all).
    test: A simple random sample of {n} {c.who} shows {seen} by {c.variable}. It can be compared with {a} (claim A) or
        with {b} (claim B).
    test: Claim A: {a}. Claim B: {b}. These concern the {c.variable} of {c.who}, and {n} of them, drawn by simple random
        sampling, include {seen}.
""")


def _counts(draw: Draw, low: int, high: int) -> tuple[Claims, int, list[int], list[list[float]], str]:
    """Return two claims, a sample with its counts, the counts expected under each claim, and the text of it all."""
    c = draw.setting(CLAIMS)
    n = 20 * draw.integer(low, high)
    mean = [n * (p + q) / 200 for p, q in zip(*c.claims, strict=True)]
    head = [max(1, round(e + draw.rng.gauss(0, 1.3) * e**0.5)) for e in mean[:-1]]
    observed = [*head, n - sum(head)]
    expected = [[n * percent / 100 for percent in claim] for claim in c.claims]
    draw.need(min(observed) > 3 and min(map(min, expected)) >= 5)
    a, b = (listed(c.names, claim, "%") for claim in c.claims)
    return c, n, observed, expected, draw.ask(_TWO_CLAIMS, c=c, n=n, a=a, b=b, seen=listed(c.names, observed))


_ASK_GOODNESS_OF_FIT_STATISTIC = wordings("""
    train/whole: Compute the chi-square goodness-of-fit statistic for report {r}.
    train/whole: What is the chi-square statistic for testing report {r}?
    train/one: Compute the contribution of the category {name} to the chi-square goodness-of-fit statistic for report
        {r}.
    train/one: How much does the category {name} add to the chi-square statistic for testing report {r}?
    test/whole: Take claim {r} as H0 and work out chi-square.
    test/whole: How far are the counts from claim {r}, measured by chi-square?
    test/one: Take claim {r} as H0 and work out the part of chi-square that is due to {name}.
    test/one: How far is the count of {name} from claim {r}, measured by its term in chi-square?
""")
_SOURCE = {"train": "report", "test": "claim"}  # as the questions of the split call it

_OTHER_CLAIM = (
    "computed the expected counts from the second claim instead of the first",
    "computed the expected counts from the first claim instead of the second",
)


@kind(2, ap="8.3")
def goodness_of_fit_statistic(draw: Draw) -> Siblings:
    """The goodness-of-fit statistic or one category's part in it, for one of two claims."""
    c, _, observed, expected, stem = _counts(draw, 5, 20)
    source = _SOURCE[draw.split]
    j = draw.integer(0, len(observed) - 1)

    def make(a: int, b: int) -> Sibling:
        terms = [(o - e) ** 2 / e for o, e in zip(observed, expected[a], strict=True)]
        value = (sum(terms), terms[j])[b]
        draw.need(0.1 < value < 40)
        steps = [
            f"H0: the percentages of {source} {'AB'[a]} hold for all {c.who}[. // ; Ha: they do not all hold.]",
            "The expected counts, [n times the claimed proportions, // sample size times claimed proportion,] are "
            f"{listed(c.names, list(map(plain, expected[a])))}[. // , all at least 5.]",
            (f"The statistic adds `(observed - expected)^2 / expected` over all categories: "
             f"`{' + '.join(fixed(term, 3) for term in terms)} = {value:.2f}`.",
             f"The category {c.names[j]} adds `(observed - expected)^2 / expected`: `({observed[j]} - "
             f"{plain(expected[a][j])})^2 / {plain(expected[a][j])} = {value:.2f}`.")[b],
            (f"[ // The sum measures how far all counts together are from {source} {'AB'[a]}.]",
             f"[ // {c.names[j].capitalize()} was observed {'more' if observed[j] > expected[a][j] else 'less'} often "
             f"than {source} {'AB'[a]} says.]")[b],
        ]
        ask = draw.ask(_ASK_GOODNESS_OF_FIT_STATISTIC, ("whole", "one")[b], r="AB"[a], name=c.names[j])
        return Sibling(f"claim {'AB'[a]}, {('all categories', 'one category')[b]}", f"{stem} {ask}", steps,
                       number(value, 2, tolerance=0.03),
                       "The chi-square statistic adds `(observed - expected)^2 / expected` over the categories.")

    return square(
        make,
        _OTHER_CLAIM,
        (f"took only the category {c.names[j]}", "added all categories although one is asked for"),
        {"observed": observed, "claims": [list(claim) for claim in c.claims], "category": j},
    )


_ASK_GOODNESS_OF_FIT_P_VALUE = wordings("""
    train/once: What is the p-value of a chi-square goodness-of-fit test of report {r}?
    train/once: Find the p-value for testing report {r} with these counts.
    train/twice: If all counts had been twice as large, what would be the p-value of a chi-square goodness-of-fit test
        of report {r}?
    train/twice: Find the p-value for testing report {r} with a sample of {twice} in which each count is doubled.
    test/once: Judge claim {r} by the p-value from chi-square.
    test/once: With claim {r} as H0, how probable is a value of chi-square at least as large as the one observed?
    test/twice: Suppose that each count is doubled. Judge claim {r} by the p-value from chi-square.
    test/twice: With claim {r} as H0 and twice as many of each sort ({twice} in all), how probable is a value of
        chi-square at least as large as the one that results?
""")


@kind(3, ap="8.3")
def goodness_of_fit_p_value(draw: Draw) -> Siblings:
    """The p-value of a goodness-of-fit test of one of two claims, with the counts or with twice the counts."""
    c, n, observed, expected, stem = _counts(draw, 5, 12)
    source = _SOURCE[draw.split]
    df = len(observed) - 1

    def make(a: int, b: int) -> Sibling:
        x = (b + 1) * statistic(observed, expected[a])
        value = chi_square_upper_tail(x, df)
        draw.need(0.001 < value < 0.95)
        terms = " + ".join(fixed((b + 1) * (o - e) ** 2 / e, 3) for o, e in zip(observed, expected[a], strict=True))
        steps = [
            f"[H0: the percentages of {source} {'AB'[a]} hold for all {c.who}; Ha: they do not all hold. // We test "
            f"H0, that the percentages of {source} {'AB'[a]} hold for all {c.who}, against Ha, that they do not.]",
            f"The sample is random, and for a sample of {(b + 1) * n} the expected counts are "
            f"{', '.join(plain((b + 1) * e) for e in expected[a])}, all at least 5.",
            f"[The statistic is // With `(observed - expected)^2 / expected` for each category,] `chi-square = {terms} "
            f"= {x:.2f}`, with {len(observed)} - 1 = {df} degrees of freedom.",
            f"[If H0 is true, a statistic of {x:.2f} or more has probability {value:.4f} // The p-value, the area to "
            f"the right of {x:.2f}, is {value:.4f}].",
            decision(value, f"the percentages of {source} {'AB'[a]} do not all hold for all {c.who}"),
        ]
        ask = draw.ask(_ASK_GOODNESS_OF_FIT_P_VALUE, ("once", "twice")[b], r="AB"[a], twice=2 * n)
        return Sibling(f"claim {'AB'[a]}, {('counts as given', 'counts doubled')[b]}", f"{stem} {ask}", steps,
                       probability(value, 4, 0.003),
                       "A goodness-of-fit test has one degree of freedom fewer than categories, whatever the sample "
                       "size.",
                       Claim(f"the percentages of {source} {'AB'[a]} do not hold for all {c.who}"))

    return square(
        make,
        _OTHER_CLAIM,
        ("doubled the counts, and with them the statistic", "used the counts as given, without doubling them"),
        {"observed": observed, "claims": [list(claim) for claim in c.claims]},
    )


_STEM_CHI_SQUARE_DEGREES_OF_FREEDOM = wordings("""
    train: A random sample of {n} {t.who} is classified by {t.row} ({r} categories) and by {t.column} ({c} categories),
        which gives a table of {k} cells.
    train: For {n} randomly selected {t.who}, a two-way table has {r} rows for the {t.row} and {c} columns for the
        {t.column}, so {k} cells.
    train: A two-way table with {r} rows ({t.row}) and {c} columns ({t.column}) shows the counts of {n} randomly
        selected {t.who}.
    train: The {t.row} (one of {r} categories) and the {t.column} (one of {c} categories) are recorded for {n} {t.who}
        in a random sample.
    test: A survey asks {n} {t.who}, selected by simple random sampling, about {t.row} ({r} possible answers) and
        {t.column} ({c} possible answers).
    test: With {r} levels of {t.row} down the side and {c} levels of {t.column} across the top, a table sorts {n}
        {t.who} from a simple random sample.
    test: {t.row!c} has {r} levels and {t.column} has {c}. The answers of {n} {t.who}, a simple random sample, fill a
        table of {r} by {c} cells.
""")
_ASK_CHI_SQUARE_DEGREES_OF_FREEDOM = wordings("""
    train/both: How many degrees of freedom are there in a chi-square test of independence?
    train/both: What are the degrees of freedom for testing whether {t.row} and {t.column} are associated?
    train/cells: How many degrees of freedom are there in a chi-square test of whether all {k} cells are equally likely?
    train/cells: What are the degrees of freedom for testing a claim that gives a percentage for each of the {k} cells?
    train/row: How many degrees of freedom are there in a chi-square test of whether all {r} categories of {t.row} are
        equally likely?
    train/row: What are the degrees of freedom for testing a claim that gives the percentages of the {t.row} alone?
    train/column: How many degrees of freedom are there in a chi-square test of whether all {c} categories of {t.column}
        are equally likely?
    train/column: What are the degrees of freedom for testing a claim that gives the percentages of the {t.column}
        alone?
    test/both: Which df goes with chi-square when the question is whether the two variables are related?
    test/both: For the hypothesis of no association, state the degrees of freedom.
    test/cells: Which df goes with chi-square when the question is whether the {k} combinations are equally frequent?
    test/cells: For the hypothesis that the {k} cells have certain given probabilities, state the degrees of freedom.
    test/row: Which df goes with chi-square when the question is whether the levels of {t.row} are equally frequent?
    test/row: For the hypothesis that {t.row}, on its own, has certain given probabilities, state the degrees of
        freedom.
    test/column: Which df goes with chi-square when the question is whether the levels of {t.column} are equally
        frequent?
    test/column: For the hypothesis that {t.column}, on its own, has certain given probabilities, state the degrees of
        freedom.
""")


@kind(1, ap="8.3, 8.6")
def chi_square_degrees_of_freedom(draw: Draw) -> Siblings:
    """Degrees of freedom of a test of independence and of three goodness-of-fit tests on one table."""
    t = draw.setting(BROAD_TABLES)
    r, c = draw.rng.sample(range(3, 8), 2)
    n, k = 10 * draw.integer(20, 90), r * c
    stem = draw.ask(_STEM_CHI_SQUARE_DEGREES_OF_FREEDOM, t=t, n=n, r=r, c=c, k=k)
    fit = "A goodness-of-fit test has one degree of freedom fewer than categories"
    about = {
        "both": ((r - 1) * (c - 1), "A test of independence has `(rows - 1) * (columns - 1)` degrees of freedom",
                 f"({r} - 1) * ({c} - 1)"),
        "cells": (k - 1, fit, f"{k} - 1"),
        "row": (r - 1, fit, f"{r} - 1"),
        "column": (c - 1, fit, f"{c} - 1"),
    }
    of = [
        Sibling(asked, f"{stem} {draw.ask(_ASK_CHI_SQUARE_DEGREES_OF_FREEDOM, asked, t=t, r=r, c=c, k=k)}",
                [f"[The table has {r} rows and {c} columns, so {k} cells // There are {k} cells, in {r} rows and {c} "
                 f"columns // {t.row.capitalize()} has {r} categories and {t.column} has {c}].",
                 f"{rule}[; the sample size does not matter // , whatever the sample size // ].",
                 f"[Here // So // With these numbers,] `df = {how} = {value}`."], count(value), f"{rule}.")
        for asked, (value, rule, how) in about.items()
    ]
    slips = ["used the rule for a test of independence", "took one less than the number of cells",
             f"took one less than the number of categories of {t.row}",
             f"took one less than the number of categories of {t.column}"]
    return four(of, slips, {"rows": r, "columns": c, "n": n})


_STEM_CHI_SQUARE_P_VALUE = wordings("""
    train: Random samples of {t.who}, taken in {y1} and in {y2}, are classified by {t.row} ({r} categories) and
        {t.column} ({c} categories). A chi-square statistic is {x1} for {y1} and {x2} for {y2}.
    train: In {y1} and again in {y2}, a random sample of {t.who} is arranged in a table with {r} rows ({t.row}) and {c}
        columns ({t.column}). Chi-square is {x1} in {y1} and {x2} in {y2}.
    train: For {t.who}, a table of {t.row} ({r} categories) by {t.column} ({c} categories) gives a chi-square statistic
        of {x1} in a random sample from {y1} and of {x2} in one from {y2}.
    train: Two random samples of {t.who} lead to {r} by {c} tables of {t.row} and {t.column}. The chi-square statistics
        are {x1} ({y1}) and {x2} ({y2}).
    test: {y1}: chi-square = {x1}. {y2}: chi-square = {x2}. Each value comes from a simple random sample of {t.who} that
        was sorted by {t.row} into {r} rows and by {t.column} into {c} columns.
    test: Simple random samples in two years ask {t.who} about {t.row} ({r} answers) and {t.column} ({c} answers). The
        value of chi-square turns out to be {x1} in {y1}, as against {x2} in {y2}.
    test: {t.row!c} ({r} levels) and {t.column} ({c} levels) of {t.who} were surveyed twice by simple random sampling,
        with chi-square values of {x1} ({y1}) and {x2} ({y2}).
""")
_ASK_CHI_SQUARE_P_VALUE = wordings("""
    train/both: Find the p-value for {y} if the statistic belongs to a test of independence.
    train/both: If H0 says that the two variables are independent, what is the p-value for {y}?
    train/cells: Find the p-value for {y} if the statistic belongs to a test of whether all {k} cells are equally
        likely.
    train/cells: If H0 says that all {k} cells have the same probability, what is the p-value for {y}?
    test/both: Turn the value of {y} into a p-value for the hypothesis of no association.
    test/both: Suppose that the aim was to detect an association. Which p-value goes with {y}?
    test/cells: Turn the value of {y} into a p-value for the hypothesis that the {k} cells are equally frequent.
    test/cells: Suppose that the aim was to test equal frequencies of the {k} cells. Which p-value goes with {y}?
""")


@kind(2, ap="8.3, 8.6")
def chi_square_p_value(draw: Draw) -> Siblings:
    """The p-value of one of two statistics, for a test of independence or of given probabilities of all cells."""
    t = draw.setting(BROAD_TABLES)
    r, c = draw.integer(2, 4), draw.integer(3, 5)
    k, both = r * c, (r - 1) * (c - 1)
    y1 = draw.integer(2008, 2020)
    years = (y1, y1 + draw.integer(2, 5))
    x = [draw.decimal(both + 0.5, k - 1 + 2.5 * (2 * k) ** 0.5, 2) for _ in years]
    stem = draw.ask(_STEM_CHI_SQUARE_P_VALUE, t=t, r=r, c=c, y1=years[0], y2=years[1], x1=x[0], x2=x[1])

    def make(a: int, b: int) -> Sibling:
        df = (both, k - 1)[b]
        value = chi_square_upper_tail(x[a], df)
        draw.need(0.001 < value < 0.95)
        steps = [
            (f"H0: {t.row} and {t.column} are independent among all {t.who}. A test of independence has `(rows - 1) * "
             "(columns - 1)` degrees of freedom.",
             f"H0: all {k} cells are equally likely. A goodness-of-fit test has one degree of freedom fewer than "
             "cells.")[b],
            f"`df = {(f'({r} - 1) * ({c} - 1)', f'{k} - 1')[b]} = {df}`, and for {years[a]} chi-square is {x[a]}. [The "
            "sample is random; all expected counts should be at least 5. // This holds for a random sample with "
            "expected counts of at least 5.]",
            f"[If H0 is true, a statistic of {x[a]} or more has probability {value:.4f} // The p-value is the area to "
            f"the right of {x[a]}, {value:.4f} // The area above {x[a]} is the p-value, {value:.4f}].",
            decision(value, (
                f"{t.row} and {t.column} were associated in {years[a]}",
                f"the {k} combinations of {t.row} and {t.column} were not equally likely in {years[a]}")[b]),
        ]
        ask = draw.ask(_ASK_CHI_SQUARE_P_VALUE, ("both", "cells")[b], y=years[a], k=k)
        return Sibling(f"{('first', 'second')[a]} year, {('independence', 'equal cells')[b]}", f"{stem} {ask}", steps,
                       probability(value, 4, 0.001),
                       "A chi-square p-value is the area to the right of the statistic, with the test's degrees of "
                       "freedom.",
                       Claim((f"{t.row} and {t.column} are associated among all {t.who}",
                              f"the {k} cells are not equally likely among all {t.who}")[b]))

    return square(
        make,
        (f"used the statistic of {years[1]}", f"used the statistic of {years[0]}"),
        (f"used {k - 1} degrees of freedom, as for {k} given probabilities",
         f"used {both} degrees of freedom, as for a test of independence"),
        {"rows": r, "columns": c, "x": x},
    )
