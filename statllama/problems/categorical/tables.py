"""Chi-square for two-way tables."""

from __future__ import annotations

from collections.abc import Sequence

from .._draw import Draw, kind
from .._numerics import chi_square_upper_tail
from .._problem import (
    Draft,
    Wrong,
    count,
    fixed,
    number,
    probability,
)
from .._scenarios import (
    BROAD_TABLES,
    TABLES,
    TwoWay,
)
from .._wording import wordings
from ._shared import _statistic

# fmt: off


def _show(t: TwoWay, table: Sequence[Sequence[int]]) -> str:
    rows = (f"{name} (" + ", ".join(f"{c} {k}" for c, k in zip(t.columns, row, strict=True)) + ")"
            for name, row in zip(t.rows, table, strict=True))
    return "; ".join(rows)


def _table(draw: Draw, t: TwoWay) -> list[list[int]]:
    return [[draw.integer(12, 80) for _ in t.columns] for _ in t.rows]


_ASK_EXPECTED_COUNT = wordings("""
    train: A random sample of {t.who} is counted by {t.row} and {t.column}: {shown}. If the two variables are
        independent, what is the expected count for {row_name} and {column_name}?
    train: A random sample of {t.who} is counted by {t.row} and {t.column}: {shown}. Find the expected count of
        the cell {row_name}, {column_name} for a chi-square test of independence.
    test: Suppose {t.column} had nothing to do with {t.row}. How many of these {t.who}, drawn by lot, would one
        then expect to see in the cell ({row_name}, {column_name})? The counts found are {shown}.
    test: {shown}: so many {t.who}, picked by chance, fall into the classes of {t.row} by {t.column}. Which
        count would independence lead one to expect where {row_name} meets {column_name}?
""")


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
        draw.ask(_ASK_EXPECTED_COUNT, t=t, shown=_show(t, table), row_name=t.rows[i], column_name=t.columns[j]),
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


_ASK_CELL_CONTRIBUTION = wordings("""
    test: {shown}: such are the counts of {t.who}, drawn by lot, by {t.row} and {t.column}. How much does the
        cell where {row_name} meets {column_name} add to chi-square in a check for independence?
    test: A check for independence of {t.row} and {t.column} among {t.who} drawn by lot starts from the counts
        {shown}. Work out the part of chi-square that comes from the cell ({row_name}, {column_name}).
""")


@kind(2, held_out=True)
def cell_contribution(draw: Draw) -> Draft:
    """The contribution of one cell to the chi-square statistic of a two-way table."""
    t = draw.setting(TABLES)
    table = _table(draw, t)
    i, j = draw.integer(0, len(t.rows) - 1), draw.integer(0, len(t.columns) - 1)
    row, column, total = sum(table[i]), sum(line[j] for line in table), sum(map(sum, table))
    seen, mean = table[i][j], row * column / total
    gap = seen - mean
    right = gap**2 / mean
    draw.need(0.15 < right < 30)
    start = f"The expected count is {row} * {column} / {total} = {mean:.2f}."
    even = total / (len(t.rows) * len(t.columns))
    return Draft(
        draw.ask(_ASK_CELL_CONTRIBUTION, t=t, shown=_show(t, table), row_name=t.rows[i], column_name=t.columns[j]),
        [start, f"The cell adds (observed - expected)^2 / expected = ({seen} - {mean:.2f})^2 / {mean:.2f} = "
                f"{right:.2f}."],
        number(right, 2, tolerance=0.02),
        [
            Wrong(number(gap**2 / seen, 2, tolerance=0.02), "divided by the observed count instead of the expected one",
                  [start, f"The cell adds (observed - expected)^2 / observed = ({seen} - {mean:.2f})^2 / {seen} = "
                          f"{gap**2 / seen:.2f}."]),
            Wrong(number(abs(gap) / mean, 2, tolerance=0.02), "forgot to square the difference",
                  [start, f"The cell adds |observed - expected| / expected = |{seen} - {mean:.2f}| / {mean:.2f} = "
                          f"{abs(gap) / mean:.2f}."]),
            Wrong(number(gap**2, 2, tolerance=0.02), "did not divide by the expected count",
                  [start, f"The cell adds (observed - expected)^2 = ({seen} - {mean:.2f})^2 = {gap**2:.2f}."]),
            Wrong(number((seen - even) ** 2 / even, 2, tolerance=0.02), "expected the same count in every cell"),
            Wrong(number(right / (len(t.rows) - 1) / (len(t.columns) - 1) / 2, 2, tolerance=0.02),
                  "divided the contribution among the degrees of freedom"),
        ],
        "A cell adds (observed - expected)^2 / expected to chi-square.",
        {"table": table, "row": i, "column": j},
    )


def _expected(table: Sequence[Sequence[int]]) -> list[list[float]]:
    columns = [sum(column) for column in zip(*table, strict=True)]
    return [[sum(row) * c / sum(columns) for c in columns] for row in table]


_ASK_TWO_WAY_STATISTIC = wordings("""
    train: A random sample of {t.who} is counted by {t.row} and {t.column}: {shown}. Compute the chi-square
        statistic for a test of independence.
    train: A random sample of {t.who} is counted by {t.row} and {t.column}: {shown}. What is the chi-square
        statistic of the test of independence?
    test: Is {t.column} related to {t.row}? Among {t.who} drawn by lot the counts are {shown}. Work out
        chi-square.
    test: {shown}: so many {t.who}, picked by chance, fall into the classes of {t.row} by {t.column}. Measure by
        chi-square how far these figures are from what no association would make one expect.
""")


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
    by_observed = [(o - e) ** 2 / o for o, e in zip(flat, means, strict=True)]
    bare = [abs(o - e) / e for o, e in zip(flat, means, strict=True)]
    even = sum(flat) / len(flat)

    def added(how: str, terms: Sequence[float]) -> str:
        return f"The sum of {how} over the cells is {' + '.join(fixed(x, 3) for x in terms)} = {sum(terms):.2f}."

    def option(terms: Sequence[float], slip: str, how: str, start: str = listed) -> Wrong:
        return Wrong(number(sum(terms), 2, tolerance=0.05), slip, [start, added(how, terms)])

    square = "(observed - expected)^2 / expected"
    return Draft(
        draw.ask(_ASK_TWO_WAY_STATISTIC, t=t, shown=_show(t, table)),
        [listed, added(square, [(o - e) ** 2 / e for o, e in zip(flat, means, strict=True)])],
        number(right, 2, tolerance=0.05),
        [
            option(by_observed, "divided by the observed counts instead of the expected ones",
                   "(observed - expected)^2 / observed"),
            option([(o - even) ** 2 / even for o in flat], "expected the same count in every cell", square,
                   f"The expected count in each of the {len(flat)} cells is {sum(flat)} / {len(flat)} = {even:.2f}."),
            option(bare, "forgot to square the differences", "|observed - expected| / expected"),
            Wrong(number(right / len(flat), 2, tolerance=0.05), "averaged the terms instead of adding them"),
        ],
        "Expected counts come from the margins, and the statistic adds (observed - expected)^2 / expected.",
        {"table": table},
    )


_ASK_CHI_SQUARE_DEGREES_OF_FREEDOM = wordings("""
    train: A random sample of {n} {t.who} is sorted by {t.row} into {r} groups and by {t.column} into {c}
        groups. How many degrees of freedom does the chi-square test of independence have?
    train: For {n} {t.who}, a two-way table of {t.row} ({r} categories) and {t.column} ({c} categories) is
        tested for independence. What are the degrees of freedom?
    test: An analyst asks {n} {t.who}, drawn by lot, about {t.row} ({r} possible answers) and {t.column} ({c}
        possible answers). Which df goes with chi-square when the question is whether the two are related?
    test: With {r} levels of {t.row} down the side, {c} levels of {t.column} across the top and {n} {t.who}
        spread over the cells, how many cells are free to vary once the margins are fixed?
""")


@kind(1)
def chi_square_degrees_of_freedom(draw: Draw) -> Draft:
    """Degrees of freedom of a chi-square test of independence."""
    t = draw.setting(BROAD_TABLES)
    r, c, n = draw.integer(2, 6), draw.integer(3, 6), 10 * draw.integer(12, 60)
    right = (r - 1) * (c - 1)
    return Draft(
        draw.ask(_ASK_CHI_SQUARE_DEGREES_OF_FREEDOM, t=t, n=n, r=r, c=c),
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


_ASK_CHI_SQUARE_P_VALUE = wordings("""
    train: A test of independence between {t.row} and {t.column} for {t.who} uses a table with {r} rows and {c}
        columns. The chi-square statistic is {x}. Find the p-value.
    train: A test of independence between {t.row} and {t.column} for {t.who} uses a table with {r} rows and {c}
        columns. The chi-square statistic is {x}. What is the p-value?
    test: Suppose {t.column} and {t.row} are unrelated among {t.who}. How probable is it then that a sample
        sorted into {r} by {c} cells has chi-square at least as large as {x}?
    test: Chi-square came to {x} when {t.who}, drawn by lot, were cross-classified by {t.row} ({r} levels) and
        {t.column} ({c} levels). Turn it into a p-value for the hypothesis of no association.
""")


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
        draw.ask(_ASK_CHI_SQUARE_P_VALUE, t=t, r=r, c=c, x=x),
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
