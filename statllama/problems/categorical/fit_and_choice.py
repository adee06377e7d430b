"""Goodness of fit, and which chi-square test to use."""

from __future__ import annotations

from .._draw import Draw, kind
from .._numerics import chi_square_upper_tail
from .._problem import (
    Draft,
    Wrong,
    fixed,
    number,
    plain,
    probability,
    words,
)
from .._scenarios import (
    CATEGORIES,
    TABLES,
    Categories,
)
from .._wording import wordings
from ._shared import _statistic

# fmt: off


def _claim(draw: Draw) -> tuple[Categories, int, list[float], list[int]]:
    """A claim about shares, the size of a sample, and the counts that are expected and observed in it."""
    c = draw.setting(CATEGORIES)
    n = 100 * draw.integer(1, 4)
    expected = [n * percent / 100 for percent in c.percents]
    head = [max(1, round(e + draw.rng.gauss(0, 1.3) * e**0.5)) for e in expected[:-1]]
    observed = [*head, n - sum(head)]
    draw.need(min(observed) > 3 and min(expected) >= 5)
    return c, n, expected, observed


_ASK_GOODNESS_OF_FIT_STATISTIC = wordings("""
    train: A claim about {c.who} gives these shares by {c.variable}: {claim}. A random sample of {n} has {seen}.
        Compute the chi-square goodness-of-fit statistic.
    train: A claim about {c.who} gives these shares by {c.variable}: {claim}. A random sample of {n} has {seen}.
        What is the chi-square statistic for testing the claim?
    test: Among {n} {c.who} picked by chance, the counts by {c.variable} are {seen}. How far are they, measured
        by chi-square, from the supposed percentages {claim}?
    test: Does the breakdown {claim} describe {c.who} by {c.variable}? Chance draws {n} of them and yields
        {seen}. Work out chi-square.
""")


@kind(2)
def goodness_of_fit_statistic(draw: Draw) -> Draft:
    """The chi-square statistic of a goodness-of-fit test."""
    c, n, expected, observed = _claim(draw)
    right = _statistic(observed, expected)
    draw.need(1 < right < 18)
    claim = ", ".join(f"{name} {percent}%" for name, percent in zip(c.names, c.percents, strict=True))
    seen = ", ".join(f"{name} {o}" for name, o in zip(c.names, observed, strict=True))
    listed = f"The expected counts are {', '.join(map(plain, expected))}."

    def work(value: float, how: str, terms: list[float]) -> list[str]:
        return [listed, how, f"The sum is {' + '.join(fixed(term, 3) for term in terms)} = {value:.2f}."]

    by_observed = [(o - e) ** 2 / o for o, e in zip(observed, expected, strict=True)]
    square = [(o - e) ** 2 / e for o, e in zip(observed, expected, strict=True)]
    bare = [abs(o - e) / e for o, e in zip(observed, expected, strict=True)]
    return Draft(
        draw.ask(_ASK_GOODNESS_OF_FIT_STATISTIC, c=c, n=n, claim=claim, seen=seen),
        work(right, "Each category adds (observed - expected)^2 / expected.", square),
        number(right, 2, tolerance=0.05),
        [
            Wrong(number(sum(by_observed), 2, tolerance=0.05),
                  "divided by the observed counts instead of the expected ones",
                  work(sum(by_observed), "Each category adds (observed - expected)^2 / observed.",
                       by_observed)),
            Wrong(number(sum(bare), 2, tolerance=0.05), "forgot to square the differences",
                  work(sum(bare), "Each category adds |observed - expected| / expected.", bare)),
            Wrong(number(_statistic(observed, [n / len(observed)] * len(observed)), 2, tolerance=0.05),
                  "took all categories as equally likely, not with the claimed shares"),
            Wrong(number(right / (len(observed) - 1), 2, tolerance=0.05),
                  "divided the sum by the degrees of freedom"),
            Wrong(number(right / len(observed), 2, tolerance=0.05),
                  "averaged the terms instead of adding them"),
        ],
        "The chi-square statistic adds (observed - expected)^2 / expected over the categories.",
        {"observed": observed, "percents": list(c.percents)},
    )


_ASK_GOODNESS_OF_FIT_P_VALUE = wordings("""
    train: A claim about {c.who} gives these shares by {c.variable}: {claim}. A random sample of {n} has {seen}.
        Find the p-value of the chi-square goodness-of-fit test.
    train: According to a report, {c.who} are distributed by {c.variable} as follows: {claim}. In a random
        sample of {n}, the counts are {seen}. What is the p-value of a chi-square test of the report?
    test: Suppose {claim} were the true breakdown of {c.who} by {c.variable}. How probable is it then that {n}
        of them, drawn by lot, deviate in chi-square at least as much as {seen} does?
    test: Chance draws {n} {c.who} and yields {seen} by {c.variable}. Judge the supposed breakdown {claim} by a
        p-value from chi-square.
""")


@kind(3)
def goodness_of_fit_p_value(draw: Draw) -> Draft:
    """The p-value of a goodness-of-fit test, from the counts."""
    c, n, expected, observed = _claim(draw)
    x, k = _statistic(observed, expected), len(observed)
    df = k - 1
    right = chi_square_upper_tail(x, df)
    draw.need(0.002 < right < 0.9)
    terms = " + ".join(fixed((o - e) ** 2 / e, 3) for o, e in zip(observed, expected, strict=True))
    first = f"The expected counts are {', '.join(map(plain, expected))}, and chi-square is {terms} = {x:.2f}."
    more, many = chi_square_upper_tail(x, k), chi_square_upper_tail(x, n - 1)
    return Draft(
        draw.ask(_ASK_GOODNESS_OF_FIT_P_VALUE, c=c, n=n,
                 claim=", ".join(f"{name} {percent}%" for name, percent in zip(c.names, c.percents, strict=True)),
                 seen=", ".join(f"{name} {o}" for name, o in zip(c.names, observed, strict=True))),
        [first, f"With {k} categories there are {df} degrees of freedom, and the area to the right of {x:.2f} is "
                f"{right:.4f}."],
        probability(right, 4, 0.003),
        [
            Wrong(probability(more, 4, 0.003), "used the number of categories as degrees of freedom",
                  [first, f"With {k} categories there are {k} degrees of freedom, and the area to the right of {x:.2f} "
                          f"is {more:.4f}."]),
            Wrong(probability(1 - right, 4, 0.003), "took the area to the left of the statistic",
                  [first, f"With {df} degrees of freedom, the area to the left of {x:.2f} is {1 - right:.4f}."]),
            Wrong(probability(2 * right, 4, 0.003), "doubled the tail, as for a two-sided z test",
                  [first, f"With {df} degrees of freedom, twice the area to the right of {x:.2f} is {2 * right:.4f}."]),
            Wrong(probability(right / 2, 4, 0.003), "halved the tail"),
            Wrong(probability(many, 4, 0.003), "used the sample size minus one as degrees of freedom"),
        ],
        "A goodness-of-fit test has one degree of freedom fewer than there are categories.",
        {"observed": observed, "percents": list(c.percents)},
    )


_TESTS = {
    "independence": "A chi-square test of independence: one sample, two categorical variables.",
    "homogeneity": "A chi-square test of homogeneity: several samples, one categorical variable.",
    "fit": "A chi-square goodness-of-fit test: one sample, one variable with claimed shares.",
    "t": "A two-sample t test: the means of a quantitative variable in two groups.",
}


_ASK_CHOOSE_CHI_SQUARE_TEST = wordings("""
    train/independence: One random sample of {n} {t.who} is taken, and for each both {t.row} and {t.column} are
        noted. Are the two related? Which test should be used?
    train/independence: A researcher draws {n} {t.who} at random and records the {t.row} and the {t.column} of
        each, to see whether they are associated. Which test fits?
    train/homogeneity: A separate random sample of {n} {t.who} is taken for each {t.row} ({rows}), and the
        {t.column} is noted. Is the distribution of {t.column} the same for all? Which test should be used?
    train/homogeneity: To compare {t.column} between groups, a researcher draws {n} {t.who} at random from each
        {t.row} ({rows}). Which test fits?
    train/fit: A report claims that {kinds} are equally frequent as {t.column} among {t.who}. A random sample of
        {n} is counted. Does the claim hold? Which test should be used?
    train/fit: A researcher counts the {t.column} of {n} randomly chosen {t.who} and asks whether {kinds} occur
        equally often. Which test fits?
    test/independence: There is one list of {t.who} and one draw by lot of {n}; {t.row} and {t.column} of each
        are written down side by side. Name the procedure that tells whether the two go together.
    test/homogeneity: Lists of {t.who} are kept by {t.row} ({rows}), and {n} names are drawn by lot from each
        list. Name the procedure that tells whether {t.column} is split up alike in all of them.
    test/fit: Chance picks {n} {t.who}. If the {t.column} were split evenly among {kinds}, the counts should be
        nearly alike. Name the procedure that checks this.
""")


@kind(2)
def choose_chi_square_test(draw: Draw) -> Draft:
    """Which test answers a question about categorical data."""
    t = draw.setting(TABLES)
    n, test = 10 * draw.integer(8, 50), draw.choice(("independence", "homogeneity", "fit"))
    kinds = ", ".join(t.columns[:-1]) + f" and {t.columns[-1]}"
    clue = {"independence": "There is one sample, and each individual is classified in two ways.",
            "homogeneity": "There are several samples, and one variable is compared among them.",
            "fit": "There is one sample and one variable, and a claim gives its distribution."}
    misread = {"independence": "The question names two variables, so it asks whether they are independent.",
               "homogeneity": "The question is whether things are alike, and to be alike is to be homogeneous.",
               "fit": "The counts are compared with those that a hypothesis expects, so their fit is tested.",
               "t": "The question is whether there is a difference, which is what a t test finds out."}
    names = {"independence": "a test of independence", "homogeneity": "a test of homogeneity",
             "fit": "a goodness-of-fit test", "t": "a t test"}
    return Draft(
        draw.ask(_ASK_CHOOSE_CHI_SQUARE_TEST, test, t=t, n=n, rows=', '.join(t.rows), kinds=kinds),
        [clue[test], f"That calls for {names[test]}."],
        words(_TESTS[test]),
        [Wrong(words(text), f"chose {names[name]} where {names[test]} is needed",
               [misread[name], f"That calls for {names[name]}."])
         for name, text in _TESTS.items() if name != test],
        "Count the samples and the variables: they tell the three chi-square tests apart.",
        {"test": test, "n": n},
    )
