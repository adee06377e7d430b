"""Two-way tables: percentages, expected counts and the statistic."""

from __future__ import annotations

from collections.abc import Sequence

from .._draw import Draw, kind
from .._phrases import THAT
from .._problem import number
from .._settings_categorical import TABLES
from .._siblings import Sibling, Siblings, four, square
from .._wording import wordings
from ._shared import cell, counted, draw_table, expected_counts

# fmt: off


_ASK_TWO_WAY_PERCENTAGE = wordings("""
    train/joint: What percentage of all those in the sample {row} and {column}?
    train/joint: Find the joint relative frequency, in percent, of those {t.rel} {row} and {column}.
    train/marginal: What percentage of all those in the sample {one}?
    train/marginal: Find the marginal relative frequency, in percent, of those {t.rel} {one}.
    train/row: Of those {t.rel} {row}, what percentage {column}?
    train/row: Find the conditional relative frequency, in percent, of those {t.rel} {column}, given that they {row}.
    train/column: Of those {t.rel} {column}, what percentage {row}?
    train/column: Find the conditional relative frequency, in percent, of those {t.rel} {row}, given that they {column}.
    test/joint: Among all {n}, what percent both {row} and {column}?
    test/joint: As a percentage of the whole sample, how large is the group of those {t.rel} {row} and {column}?
    test/marginal: Among all {n}, what percent {one}?
    test/marginal: As a percentage of the whole sample, how large is the group of those {t.rel} {one}?
    test/row: Looking only at those {t.rel} {row}, what percent {column}?
    test/row: As a percentage of those {t.rel} {row}, how large is the group of those {t.rel} {column}?
    test/column: Looking only at those {t.rel} {column}, what percent {row}?
    test/column: As a percentage of those {t.rel} {column}, how large is the group of those {t.rel} {row}?
""")


@kind(1, ap="2.3")
def two_way_percentage(draw: Draw) -> Siblings:
    """Joint, marginal and both conditional percentages of one cell of a two-way table."""
    t = draw.setting(TABLES)
    table = draw_table(draw, t)
    i, j, by_row = draw.integer(0, len(t.rows) - 1), draw.integer(0, len(t.columns) - 1), draw.choice((True, False))
    hits, row, column = table[i][j], sum(table[i]), sum(line[j] for line in table)
    n, stem = sum(map(sum, table)), counted(draw, t, table)
    one, one_total = (t.in_row(i), row) if by_row else (t.in_column(j), column)
    about = {
        "joint": (hits, n, f"all {n} in the sample, of whom {hits} {t.in_row(i)} and {t.in_column(j)}"),
        "marginal": (one_total, n, f"all {n} in the sample, of whom {one_total} {one}"),
        "row": (hits, row, f"the {row} {t.rel} {t.in_row(i)}, of whom {hits} {t.in_column(j)}"),
        "column": (hits, column, f"the {column} {t.rel} {t.in_column(j)}, of whom {hits} {t.in_row(i)}"),
    }
    of = []
    for asked, (part, whole, base) in about.items():
        ask = draw.ask(_ASK_TWO_WAY_PERCENTAGE, asked, t=t, row=t.in_row(i), column=t.in_column(j), one=one, n=n)
        base = base.replace("of whom", "of which") if t.rel == "that" else base
        steps = [f"[The percentage is taken of // The whole to compare with is // The denominator counts] {base}.",
                 f"[The proportion is // As a decimal, this is // ] `{part} / {whole} = {part / whole:.5f}`.",
                 f"[That is // As a percentage, this is // Times 100, this gives] {100 * part / whole:.1f} percent."]
        of.append(Sibling(asked, stem + ask, steps, number(100 * part / whole, 1, "percent"),
                          "A conditional percentage has a row or column total below it, the others the grand total."))
    slips = ["gave the joint percentage", "gave the marginal percentage", "took the percentage of the row total",
             "took the percentage of the column total"]
    return four(of, slips, {"table": table, "row": i, "column": j, "by_row": by_row})


_ASK_EXPECTED_COUNT = wordings("""
    train: Find the expected count of the cell ({cell}) under the null hypothesis of independence.
    train: If {t.row} and {t.column} are independent, what count is expected in the cell ({cell})?
    test: Which count would the hypothesis of no association predict for the cell ({cell})?
    test: For the chi-square test of independence, work out what is expected in the cell ({cell}).
""")


@kind(1, ap="8.4")
def expected_count(draw: Draw) -> Siblings:
    """The expected count of one of four cells of a two-way table under independence."""
    t = draw.setting(TABLES)
    table = draw_table(draw, t)
    rows, columns = draw.rng.sample(range(len(t.rows)), 2), draw.rng.sample(range(len(t.columns)), 2)
    n, stem = sum(map(sum, table)), counted(draw, t, table)

    def make(a: int, b: int) -> Sibling:
        i, j = rows[a], columns[b]
        row, column = sum(table[i]), sum(line[j] for line in table)
        value = row * column / n
        steps = [
            f"[H0: {t.row} and {t.column} are independent // The null hypothesis is that {t.row} and {t.column} are "
            f"independent] in the population of {t.who}.",
            f"The row total of {t.rows[i]} is {row}, the column total of {t.columns[j]} is {column}, and the grand "
            f"total is {n}.",
            f"[Then // If H0 is true,] `expected count = row total * column total / grand total`{THAT} `{row} * "
            f"{column} / {n} = {value:.2f}`.",
            "[ // An expected count need not be a whole number.]",
        ]
        return Sibling(f"row {i + 1}, column {j + 1}", stem + draw.ask(_ASK_EXPECTED_COUNT, t=t, cell=cell(t, i, j)),
                       steps, number(value, 2),
                       "An expected count is row total times column total over the grand total.")

    return square(
        make,
        _taken("row", t.rows, rows),
        _taken("column", t.columns, columns),
        {"table": table, "rows": rows, "columns": columns},
    )


def _taken(line: str, names: Sequence[str], two: Sequence[int]) -> tuple[str, str]:
    """Return the slips of taking the second for the first of two lines of a table, and the other way round."""
    first, second = (names[k] for k in two)
    return f"used the {line} {second} instead of {first}", f"used the {line} {first} instead of {second}"


_ASK_CELL_CONTRIBUTION = wordings("""
    test: How much does the cell ({cell}) add to chi-square in a test of independence?
    test: Work out the part of the chi-square statistic for independence that comes from the cell ({cell}).
""")


@kind(2, held_out=True, ap="8.6")
def cell_contribution(draw: Draw) -> Siblings:
    """The contribution of one of four cells to the chi-square statistic of a two-way table."""
    t = draw.setting(TABLES)
    table = draw_table(draw, t)
    rows, columns = draw.rng.sample(range(len(t.rows)), 2), draw.rng.sample(range(len(t.columns)), 2)
    expected, stem, n = expected_counts(table), counted(draw, t, table), sum(map(sum, table))

    def make(a: int, b: int) -> Sibling:
        i, j = rows[a], columns[b]
        seen, mean = table[i][j], expected[i][j]
        value = (seen - mean) ** 2 / mean
        draw.need(0.05 < value < 30)
        steps = [
            f"[H0: {t.row} and {t.column} are independent // The null hypothesis is that {t.row} and {t.column} are "
            f"independent] in the population of {t.who}.",
            f"The expected count is `row total * column total / grand total`{THAT} `{sum(table[i])} * "
            f"{sum(line[j] for line in table)} / {n} = {mean:.2f}`.",
            f"The cell adds `(observed - expected)^2 / expected`{THAT} `({seen} - {mean:.2f})^2 / {mean:.2f} = "
            f"{value:.2f}`.",
        ]
        return Sibling(f"row {i + 1}, column {j + 1}", stem + draw.ask(_ASK_CELL_CONTRIBUTION, cell=cell(t, i, j)),
                       steps, number(value, 2, tolerance=0.02),
                       "A cell adds `(observed - expected)^2 / expected` to chi-square.")

    return square(
        make,
        _taken("row", t.rows, rows),
        _taken("column", t.columns, columns),
        {"table": table, "rows": rows, "columns": columns},
    )


_ASK_TWO_WAY_STATISTIC = wordings("""
    train/whole independent: Compute the chi-square statistic for a test of independence.
    train/whole independent: Find the chi-square statistic for H0: {t.row} and {t.column} are independent.
    train/whole even: Compute the chi-square statistic for a test of whether all {k} cells are equally likely.
    train/whole even: Find the chi-square statistic for H0: each of the {k} cells has probability 1/{k}.
    train/row independent: What do the cells of the row {row} together contribute to the chi-square statistic for a test
        of independence?
    train/row independent: Find the total contribution of the row {row} to the chi-square statistic for H0: {t.row} and
        {t.column} are independent.
    train/row even: What do the cells of the row {row} together contribute to the chi-square statistic for a test of
        whether all {k} cells are equally likely?
    train/row even: Find the total contribution of the row {row} to the chi-square statistic for H0: each of the {k}
        cells has probability 1/{k}.
    test/whole independent: Work out chi-square for the hypothesis of no association.
    test/whole independent: How large is chi-square when the expected counts come from the row and column totals?
    test/whole even: Work out chi-square for the hypothesis that the {k} combinations are equally frequent.
    test/whole even: How large is chi-square when the expected counts are the same in all {k} cells?
    test/row independent: Work out how much of chi-square, for the hypothesis of no association, comes from the row
        {row}.
    test/row independent: How much does the row {row} add to chi-square when the expected counts come from the row and
        column totals?
    test/row even: Work out how much of chi-square, for the hypothesis that the {k} combinations are equally frequent,
        comes from the row {row}.
    test/row even: How much does the row {row} add to chi-square when the expected counts are the same in all {k} cells?
""")


@kind(3, ap="8.3, 8.6")
def two_way_statistic(draw: Draw) -> Siblings:
    """The chi-square statistic of a table or one row's part in it, for independence or for equal probabilities."""
    t = draw.setting(TABLES)
    table = draw_table(draw, t)
    i, n = draw.integer(0, len(t.rows) - 1), sum(map(sum, table))
    k, stem = len(t.rows) * len(t.columns), counted(draw, t, table)
    even = [[n / k] * len(t.columns) for _ in t.rows]

    def make(a: int, b: int) -> Sibling:
        expected = (expected_counts(table), even)[b]
        pick = [i] if a else range(len(t.rows))
        pairs = [(o, e) for r in pick for o, e in zip(table[r], expected[r], strict=True)]
        value = sum((o - e) ** 2 / e for o, e in pairs)
        draw.need(0.3 < value < 80)
        part = f"in the row {t.rows[i]}" if a else "in all cells"
        steps = [
            (f"H0: {t.row} and {t.column} are independent, so an expected count is `row total * column total / {n}`.",
             f"H0: all {k} cells are equally likely, so each expected count is `{n} / {k}`.")[b],
            f"[The sample is random. // The counts are from a random sample.] The expected counts {part} are "
            f"{', '.join(f'{e:.2f}' for _, e in pairs)}[. // , all at least 5.]",
            "[Each cell adds // The contribution of a cell is] `(observed - expected)^2 / expected`: "
            f"`{' + '.join(f'{(o - e) ** 2 / e:.3f}' for o, e in pairs)} = {value:.2f}`.",
        ]
        ask = draw.ask(_ASK_TWO_WAY_STATISTIC, f"{('whole', 'row')[a]} {('independent', 'even')[b]}", t=t, k=k,
                       row=t.rows[i])
        return Sibling(f"{('whole table', 'one row')[a]}, {('independence', 'equal probabilities')[b]}", stem + ask,
                       steps,
                       number(value, 2, tolerance=0.05),
                       "Expected counts follow from H0, and the statistic adds `(observed - expected)^2 / expected`.")

    return square(
        make,
        (f"added only the cells of the row {t.rows[i]}", "added the cells of all rows"),
        ("took the same expected count for every cell", "took the expected counts of a test of independence"),
        {"table": table, "row": i},
    )
