"""Inference for categorical data: chi-square tests."""

from __future__ import annotations

from collections.abc import Sequence

from ._draw import Draw, kind
from ._numerics import chi_square_upper_tail
from ._problem import Draft, Wrong, count, number, plain, probability, sig, words
from ._scenarios import BROAD_TABLES, CATEGORIES, TABLES, TwoWay

# fmt: off


def _show(t: TwoWay, table: Sequence[Sequence[int]]) -> str:
    rows = (f"{name} (" + ", ".join(f"{c} {k}" for c, k in zip(t.columns, row, strict=True)) + ")"
            for name, row in zip(t.rows, table, strict=True))
    return f"A random sample of {t.who} is counted by {t.row} and {t.column}: " + "; ".join(rows) + ". "


def _table(draw: Draw, t: TwoWay) -> list[list[int]]:
    return [[draw.integer(12, 80) for _ in t.columns] for _ in t.rows]


def _expected(table: Sequence[Sequence[int]]) -> list[list[float]]:
    columns = [sum(column) for column in zip(*table, strict=True)]
    return [[sum(row) * c / sum(columns) for c in columns] for row in table]


def _statistic(observed: Sequence[float], expected: Sequence[float]) -> float:
    return sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))


@kind(1)
def expected_count(draw: Draw) -> Draft:
    """One expected count of a two-way table under independence."""
    t = draw.setting(TABLES)
    table = _table(draw, t)
    i, j = draw.integer(0, len(t.rows) - 1), draw.integer(0, len(t.columns) - 1)
    row, column, total = sum(table[i]), sum(r[j] for r in table), sum(map(sum, table))
    cells = len(t.rows) * len(t.columns)
    totals = f"The row total is {row}, the column total is {column} and the grand total is {total}."
    return Draft(
        _show(t, table) + draw.wording("If the two variables are independent, what is the expected count "
                                       f"for {t.rows[i]} and {t.columns[j]}?",
                                       f"Find the expected count of the cell {t.rows[i]}, {t.columns[j]} for "
                                       "a chi-square test of independence."),
        [totals, f"Expected count = {row} * {column} / {total} = {row * column / total:.2f}."],
        number(row * column / total, 2),
        [
            Wrong(number(table[i][j], 2), "gave the observed count",
                  [f"The cell has the count {table[i][j]}.",
                   "This is the count to expect when the variables are independent."]),
            Wrong(number(total / cells, 2), "spread the total evenly over the cells",
                  [f"There are {cells} cells and {total} counts.",
                   f"Expected count = {total} / {cells} = {total / cells:.2f}."]),
            Wrong(number(row / len(t.columns), 2), "spread the row total evenly over the columns",
                  [f"The row total is {row}, and there are {len(t.columns)} columns.",
                   f"Expected count = {row} / {len(t.columns)} = {row / len(t.columns):.2f}."]),
            Wrong(number(column / len(t.rows), 2), "spread the column total evenly over the rows"),
        ],
        "An expected count is row total times column total over the grand total.",
        {"table": table, "row": i, "column": j},
    )


@kind(2)
def goodness_of_fit_statistic(draw: Draw) -> Draft:
    """The chi-square statistic of a goodness-of-fit test."""
    c = draw.setting(CATEGORIES)
    n = 100 * draw.integer(1, 4)
    expected = [n * percent / 100 for percent in c.percents]
    head = [max(1, round(e + draw.rng.gauss(0, 1.3) * e**0.5)) for e in expected[:-1]]
    observed = [*head, n - sum(head)]
    draw.need(min(observed) > 3)
    right = _statistic(observed, expected)
    draw.need(1 < right < 18)
    claim = ", ".join(f"{name} {percent}%" for name, percent in zip(c.names, c.percents, strict=True))
    seen = ", ".join(f"{name} {o}" for name, o in zip(c.names, observed, strict=True))
    listed = f"The expected counts are {', '.join(map(plain, expected))}."

    def work(value: float, how: str, terms: list[float]) -> list[str]:
        return [listed, how, f"The sum is {' + '.join(sig(term, 3) for term in terms)} = {value:.2f}."]

    by_observed = [(o - e) ** 2 / o for o, e in zip(observed, expected, strict=True)]
    square = [(o - e) ** 2 / e for o, e in zip(observed, expected, strict=True)]
    bare = [abs(o - e) / e for o, e in zip(observed, expected, strict=True)]
    return Draft(
        f"A claim about {c.who} gives these shares by {c.variable}: {claim}. A random sample of {n} has "
        f"{seen}. "
        + draw.wording("Compute the chi-square goodness-of-fit statistic.",
                       "What is the chi-square statistic for testing the claim?"),
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


@kind(1)
def chi_square_degrees_of_freedom(draw: Draw) -> Draft:
    """Degrees of freedom of a chi-square test of independence."""
    t = draw.setting(BROAD_TABLES)
    r, c, n = draw.integer(2, 6), draw.integer(3, 6), 10 * draw.integer(12, 60)
    right = (r - 1) * (c - 1)
    return Draft(
        draw.wording(
            f"A random sample of {n} {t.who} is sorted by {t.row} into {r} groups and by {t.column} into {c} "
            "groups. How many degrees of freedom does the chi-square test of independence have?",
            f"For {n} {t.who}, a two-way table of {t.row} ({r} categories) and {t.column} ({c} categories) "
            "is tested for independence. What are the degrees of freedom?",
        ),
        ["For a two-way table, df = (rows - 1) * (columns - 1).", f"df = ({r} - 1) * ({c} - 1) = {right}."],
        count(right),
        [
            Wrong(count(r * c - 1), "took one less than the number of cells, as for goodness of fit",
                  ["The degrees of freedom are one less than the number of cells.",
                   f"df = {r} * {c} - 1 = {r * c - 1}."]),
            Wrong(count(r * c), "counted the cells",
                  ["Each cell adds one term.", f"df = {r} * {c} = {r * c}."]),
            Wrong(count(n - 1), "took one less than the sample size",
                  ["The degrees of freedom are one less than the sample size.", f"df = {n} - 1 = {n - 1}."]),
            Wrong(count(r + c - 2), "added the two factors instead of multiplying them",
                  ["Each variable gives its number of categories minus one.",
                   f"df = ({r} - 1) + ({c} - 1) = {r + c - 2}."]),
        ],
        "A two-way table has (rows - 1) * (columns - 1) degrees of freedom, whatever the sample size.",
        {"rows": r, "columns": c, "n": n},
    )


@kind(3)
def two_way_statistic(draw: Draw) -> Draft:
    """The chi-square statistic of a two-way table."""
    t = draw.setting(TABLES)
    table = _table(draw, t)
    expected = _expected(table)
    flat = [x for row in table for x in row]
    means = [e for row in expected for e in row]
    right = _statistic(flat, means)
    draw.need(0.8 < right < 60)
    listed = (f"The expected counts, row total * column total / {sum(flat)}, are "
              f"{', '.join(f'{e:.2f}' for e in means)}.")
    by_observed = sum((o - e) ** 2 / o for o, e in zip(flat, means, strict=True))
    bare = sum(abs(o - e) / e for o, e in zip(flat, means, strict=True))
    even = _statistic(flat, [sum(flat) / len(flat)] * len(flat))
    return Draft(
        _show(t, table) + draw.wording("Compute the chi-square statistic for a test of independence.",
                                       "What is the chi-square statistic of the test of independence?"),
        [listed, f"The sum of (observed - expected)^2 / expected over the {len(flat)} cells is {right:.2f}."],
        number(right, 2, tolerance=0.05),
        [
            Wrong(number(by_observed, 2, tolerance=0.05),
                  "divided by the observed counts instead of the expected ones",
                  [listed, "The sum of (observed - expected)^2 / observed over the cells is "
                           f"{by_observed:.2f}."]),
            Wrong(number(even, 2, tolerance=0.05), "expected the same count in every cell",
                  [f"The expected count in each of the {len(flat)} cells is {sum(flat)} / {len(flat)} = "
                   f"{sum(flat) / len(flat):.2f}.",
                   f"The sum of (observed - expected)^2 / expected is {even:.2f}."]),
            Wrong(number(bare, 2, tolerance=0.05), "forgot to square the differences",
                  [listed, f"The sum of |observed - expected| / expected over the cells is {bare:.2f}."]),
            Wrong(number(right / len(flat), 2, tolerance=0.05), "averaged the terms instead of adding them"),
        ],
        "Expected counts come from the margins, and the statistic adds (observed - expected)^2 / expected.",
        {"table": table},
    )


@kind(2)
def chi_square_p_value(draw: Draw) -> Draft:
    """The p-value of a chi-square statistic."""
    t = draw.setting(BROAD_TABLES)
    r, c = draw.integer(2, 5), draw.integer(2, 5)
    df = (r - 1) * (c - 1)
    x = draw.decimal(df * 0.7 + 0.5, df + 3.5 * (2 * df) ** 0.5, 2)
    right, other, cells = (chi_square_upper_tail(x, k) for k in (df, r * c - 1, r * c))
    draw.need(0.001 < right < 0.9)
    start = f"df = ({r} - 1) * ({c} - 1) = {df}."
    return Draft(
        f"A test of independence between {t.row} and {t.column} for {t.who} uses a table with {r} rows and "
        f"{c} columns. The chi-square statistic is {x}. " + draw.wording("Find the p-value.",
                                                                         "What is the p-value?"),
        [start, f"The area to the right of {x} under the chi-square curve with {df} degrees of freedom is "
                f"{right:.4f}."],
        probability(right, 4, 0.001),
        [
            Wrong(probability(1 - right, 4, 0.001), "took the area to the left of the statistic",
                  [start, f"The area to the left of {x} is {1 - right:.4f}."]),
            Wrong(probability(other, 4, 0.001), "used the number of cells minus one as degrees of freedom",
                  [f"df = {r} * {c} - 1 = {r * c - 1}.", f"The area to the right of {x} is {other:.4f}."]),
            Wrong(probability(2 * right, 4, 0.001), "doubled the tail, as for a two-sided z test",
                  [start, f"Twice the area to the right of {x} is {2 * right:.4f}."]),
            Wrong(probability(right / 2, 4, 0.001), "halved the tail"),
            Wrong(probability(cells, 4, 0.001), "used the number of cells as degrees of freedom"),
        ],
        "A chi-square p-value is the area to the right of the statistic, never doubled.",
        {"rows": r, "columns": c, "x": x},
    )


_TESTS = {
    "independence": "A chi-square test of independence: one sample, two categorical variables.",
    "homogeneity": "A chi-square test of homogeneity: several samples, one categorical variable.",
    "fit": "A chi-square goodness-of-fit test: one sample, one variable with claimed shares.",
    "t": "A two-sample t test: the means of a quantitative variable in two groups.",
}


@kind(2)
def choose_chi_square_test(draw: Draw) -> Draft:
    """Which test answers a question about categorical data."""
    t = draw.setting(TABLES)
    n, test = 10 * draw.integer(8, 50), draw.choice(("independence", "homogeneity", "fit"))
    kinds = ", ".join(t.columns[:-1]) + f" and {t.columns[-1]}"
    story = {
        "independence": f"One random sample of {n} {t.who} is taken, and for each both {t.row} and "
                        f"{t.column} are noted. Are the two related?",
        "homogeneity": f"A separate random sample of {n} {t.who} is taken for each {t.row} "
                       f"({', '.join(t.rows)}), and the {t.column} is noted. Is the distribution of "
                       f"{t.column} the same for all?",
        "fit": f"A report claims that {kinds} occur equally often as {t.column} among {t.who}. A random "
               f"sample of {n} is counted. Does the claim hold?",
    }[test]
    clue = {"independence": "There is one sample, and each individual is classified in two ways.",
            "homogeneity": "There are several samples, and one variable is compared among them.",
            "fit": "There is one sample and one variable, and a claim gives its distribution.", "t": "Two "
                                                                                                     "groups "
                                                                                                     "are "
                                                                                                     "compared."}
    names = ({"independence": "a test of independence", "homogeneity": "a test of homogeneity",
              "fit": "a goodness-of-fit test", "t": "a t test"})
    return Draft(
        f"{story} " + draw.wording("Which test fits?", "Which test should be used?"),
        [clue[test], f"That calls for {names[test]}."],
        words(_TESTS[test]),
        [Wrong(words(text), f"chose {names[name]} where {names[test]} is needed",
               [clue[name], f"That calls for {names[name]}."]) for name,
               text in _TESTS.items() if name != test],
        "Count the samples and the variables: they tell the three chi-square tests apart.",
        {"test": test, "n": n},
    )
