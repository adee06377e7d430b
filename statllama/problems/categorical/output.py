"""Reading what software prints for a chi-square test of independence."""

from __future__ import annotations

from .._draw import Draw, kind
from .._numerics import chi_square_upper_tail
from .._phrases import recalled
from .._problem import fixed, words
from .._scenarios import TwoWay
from .._settings_categorical import TABLES
from .._siblings import Sibling, Siblings, four
from .._wording import wordings
from ._shared import cell, draw_table, expected_counts

# fmt: off

_PRINTED = wordings("""
    train: Software prints the following for a chi-square test of independence of {t.row} and {t.column}, with a random
        sample of {n} {t.who}.
    train: A random sample of {n} {t.who} was classified by {t.row} and {t.column}. Here is the output of a chi-square
        test.
    train: Output of a chi-square test for {t.row} and {t.column} of {t.who} (random sample, n = {n}):
    train: To test whether {t.row} and {t.column} of {t.who} are associated, a student enters the counts of a random
        sample of {n} and gets this output.
    test: Are {t.row} and {t.column} independent among {t.who}? Chi-square output for {n} of them, selected at random,
        reads:
    test: The printout belongs to a simple random sample ({n} {t.who}) sorted by {t.row} and {t.column}.
    test: {t.who!c} were surveyed by simple random sampling, and a program then compared {t.row} with {t.column} (sample
        size {n}).
""")


def _printed(draw: Draw, t: TwoWay, table: list[list[int]], x: float, p: float) -> str:
    """Return the sample and the output: a line for each cell, and the test."""
    expected = expected_counts(table)
    lines = ["cell | observed | expected | contribution"]
    for i, row in enumerate(table):
        for j, seen in enumerate(row):
            e = expected[i][j]
            lines.append(f"{cell(t, i, j)} | {seen} | {e:.2f} | {(seen - e) ** 2 / e:.2f}")
    df = (len(t.rows) - 1) * (len(t.columns) - 1)
    lines.append(f"Chi-Sq = {x:.2f}, DF = {df}, P-Value = {p:.3f}")
    return f"{draw.ask(_PRINTED, t=t, n=sum(map(sum, table)))}\n\n" + "\n".join(lines) + "\n\n"


def _tested(draw: Draw, t: TwoWay) -> tuple[list[list[int]], float, int, float]:
    """Return a table with a moderate association, its statistic, degrees of freedom and p-value."""
    table = draw_table(draw, t, 15, 60)
    df = (len(t.rows) - 1) * (len(t.columns) - 1)
    x = sum((o - e) ** 2 / e for r, s in zip(table, expected_counts(table), strict=True)
            for o, e in zip(r, s, strict=True))
    p = chi_square_upper_tail(x, df)
    draw.need(0.002 < p < 0.6)
    return table, x, df, p


_ASK_CHI_SQUARE_OUTPUT = wordings("""
    train/contribution: Which cell contributes most to the chi-square statistic?
    train/contribution: Which cell deviates most from independence, as measured by chi-square?
    train/condition: Which cell has to be checked first for the condition that all expected counts are at least 5?
    train/condition: Which cell has the smallest count expected under H0?
    train/short: Which cell has an observed count farthest below its expected count?
    train/short: In which cell does the observed count fall short of the expected count by most?
    train/most: Which cell holds the most members of the sample?
    train/most: Which combination of categories is the most frequent in the sample?
    test/contribution: Identify the cell to which the value of chi-square owes the most.
    test/contribution: In which cell is the squared deviation largest relative to the expected count?
    test/condition: Identify the cell that comes closest to violating the condition of large expected counts.
    test/condition: For which cell does the hypothesis of no association predict the lowest count?
    test/short: Identify the cell with the greatest deficit in comparison with H0.
    test/short: For which cell does the hypothesis of no association overestimate the count by most?
    test/most: Identify the cell that was observed most often.
    test/most: Into which cell do more of those surveyed fall than into any other?
""")


@kind(1, ap="8.6")
def chi_square_output(draw: Draw) -> Siblings:
    """Cells picked from the output: by contribution, expected count, shortfall and observed count."""
    t = draw.setting(TABLES)
    table, x, _, p = _tested(draw, t)
    expected = expected_counts(table)
    places = [(i, j) for i in range(len(t.rows)) for j in range(len(t.columns))]
    columns = {
        "contribution": ("largest contribution",
                         [(table[i][j] - expected[i][j]) ** 2 / expected[i][j] for i, j in places]),
        "condition": ("smallest expected count", [-expected[i][j] for i, j in places]),
        "short": ("largest shortfall, expected minus observed,", [expected[i][j] - table[i][j] for i, j in places]),
        "most": ("largest observed count", [float(table[i][j]) for i, j in places]),
    }
    stem = _printed(draw, t, table, x, p)
    of = []
    for asked, (what, values) in columns.items():
        first, second = sorted(range(len(places)), key=lambda k: -values[k])[:2]
        draw.need(values[first] - values[second] > 0.05)
        name, value = cell(t, *places[first]), abs(values[first])
        shown = fixed(value, 0 if asked == "most" else 2)
        steps = [f"[The line of a cell gives // Each line of the output gives] its observed count, its expected count "
                 f"[under H0 // if {t.row} and {t.column} are independent] and its contribution "
                 "`(observed - expected)^2 / expected`.",
                 f"[The {what} is {shown}, in the cell {name} // The cell {name} has the "
                 f"{what.rstrip(',')}: {shown}]."]
        of.append(Sibling(asked, stem + draw.ask(_ASK_CHI_SQUARE_OUTPUT, asked), steps, words(name),
                          "Contributions show where the data depart from H0; counts alone do not."))
    slips = ["picked the cell with the largest contribution", "picked the cell with the smallest expected count",
             "picked the cell with the largest shortfall", "picked the cell with the largest observed count"]
    return four(of, slips, {"table": table, "names": [cell(t, i, j) for i, j in places]})


_ASK_CHI_SQUARE_OUTPUT_MEANING = wordings("""
    train/statistic: Which statement says what the value of Chi-Sq is?
    train/statistic: How is the value of Chi-Sq to be interpreted?
    train/df: Which statement says what the value of DF is?
    train/df: How is the value of DF to be interpreted?
    train/p: Which statement says what the P-Value is?
    train/p: How is the P-Value to be interpreted?
    train/contribution: Which statement says what the number at the end of the line {name} is?
    train/contribution: How is the contribution of the cell {name} to be interpreted?
    test/statistic: Choose the correct reading of the number after Chi-Sq.
    test/statistic: What does the program mean by Chi-Sq?
    test/df: Choose the correct reading of the number after DF.
    test/df: What does the program mean by DF?
    test/p: Choose the correct reading of the number after P-Value.
    test/p: What does the program mean by P-Value?
    test/contribution: Choose the correct reading of the last number in the line of the cell {name}.
    test/contribution: What does the program mean by the contribution of {name}?
""")


@kind(2, ap="8.6")
def chi_square_output_meaning(draw: Draw) -> Siblings:
    """What the statistic, the degrees of freedom, the p-value and a contribution in the output say."""
    t = draw.setting(TABLES)
    table, x, df, p = _tested(draw, t)
    i, j = draw.integer(0, len(t.rows) - 1), draw.integer(0, len(t.columns) - 1)
    name, e, k = cell(t, i, j), expected_counts(table)[i][j], len(t.rows) * len(t.columns)
    part = (table[i][j] - e) ** 2 / e
    draw.need(part > 0.05)
    stem = _printed(draw, t, table, x, p)
    about = {
        "statistic": (f"The sum of (observed - expected)^2 / expected over all {k} cells of the table is {x:.2f}.",
                      "The statistic measures how far all counts together are from those expected under H0."),
        "df": (f"The distribution of the statistic under H0 is approximately chi-square with {df} degrees of freedom.",
               "The degrees of freedom, `(rows - 1) * (columns - 1)`, say which chi-square distribution applies."),
        "p": (f"The probability of a statistic of {x:.2f} or more, if the variables are independent, is {p:.3f}.",
              "The p-value is the probability, if H0 is true, of a statistic at least as large as the observed one."),
        "contribution": (f"The part of the statistic, which is {x:.2f} in all, that comes from the cell {name} is "
                         f"{part:.2f}.",
                         "A contribution is `(observed - expected)^2 / expected` for one cell."),
    }
    shown = {"statistic": f"{x:.2f}", "df": str(df), "p": f"{p:.3f}", "contribution": f"{part:.2f}"}
    of = [
        Sibling(asked, stem + draw.ask(_ASK_CHI_SQUARE_OUTPUT_MEANING, asked, name=name),
                [f"[H0: {t.row} and {t.column} are independent // The null hypothesis is that {t.row} and {t.column} "
                 f"are independent] in the population of {t.who}.", recalled(idea),
                 f"[In the output, it is {shown[asked]} // The output prints {shown[asked]} for it]."], words(text),
                idea)
        for asked, (text, idea) in about.items()
    ]
    slips = ["described the statistic", "described the degrees of freedom", "described the p-value",
             "described the contribution of one cell"]
    return four(of, slips, {"table": table, "row": i, "column": j})
