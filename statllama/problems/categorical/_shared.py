"""What several modules of this topic use: tables drawn and printed, expected counts and the statistic."""

from __future__ import annotations

from collections.abc import Sequence

from .._draw import Draw, Given
from .._numerics import chi_square_upper_tail
from .._scenarios import TwoWay
from .._wording import wordings

# fmt: off

_COUNTED = wordings("""
    train: A random sample of {n} {t.who} is classified by {t.row} and {t.column}.
    train: The two-way table shows the {t.row} and the {t.column} of {n} randomly selected {t.who}.
    train: For each of {n} {t.who} in a random sample, the {t.row} and the {t.column} are recorded.
    train: In a random sample of {n} {t.who}, the counts by {t.row} and {t.column} are as follows.
    test: A simple random sample, taken from {t.who}, has size {n}; the table breaks it down by {t.row} and {t.column}.
    test: Are {t.row} and {t.column} related among {t.who}? Here are the counts for {n} of them, selected at random.
    test: {t.row!c} and {t.column} of {t.who} were noted in a survey with simple random sampling (sample size {n}).
    test: Sorted by {t.row} and by {t.column}, {n} {t.who}, drawn at random, give these counts.
""")


def statistic(observed: Sequence[float], expected: Sequence[float]) -> float:
    """Return the sum of (observed - expected)^2 / expected."""
    return sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))


def expected_counts(table: Sequence[Sequence[int]]) -> list[list[float]]:
    """Return row total times column total over the grand total, for each cell."""
    columns = [sum(column) for column in zip(*table, strict=True)]
    return [[sum(row) * c / sum(columns) for c in columns] for row in table]


def draw_table(draw: Draw, t: TwoWay, low: int = 12, high: int = 80) -> list[list[int]]:
    """Return counts from `low` to `high` for each row and column; all expected counts are at least 5."""
    table = [[draw.integer(low, high) for _ in t.columns] for _ in t.rows]
    draw.need(min(map(min, expected_counts(table))) >= 5)
    return table


def print_table(t: TwoWay, table: Sequence[Sequence[int]]) -> str:
    """Return the table as lines with bars between the cells, and with totals."""
    lines = [[t.row, *t.columns, "total"]]
    lines += [[name, *map(str, row), str(sum(row))] for name, row in zip(t.rows, table, strict=True)]
    totals = [sum(column) for column in zip(*table, strict=True)]
    lines.append(["total", *map(str, totals), str(sum(totals))])
    return "\n".join(" | ".join(line) for line in lines)


def counted(draw: Draw, t: TwoWay, table: Sequence[Sequence[int]]) -> str:
    """Return what was sampled and the table of its counts."""
    return f"{draw.ask(_COUNTED, t=t, n=sum(map(sum, table)))}\n\n{print_table(t, table)}\n\n"


def listed(names: Sequence[str], values: Sequence[object], unit: str = "") -> str:
    """Return "red 30%, green 20%"."""
    return ", ".join(f"{name} {value}{unit}" for name, value in zip(names, values, strict=True))


def cell(t: TwoWay, i: int, j: int) -> str:
    """Return the name of a cell: "day, bus"."""
    return f"{t.rows[i]}, {t.columns[j]}"


def chi_square_value(p: float, df: int) -> Given:
    """Return the statistic whose p-value is about p, to 2 decimals."""
    low, high = 0.0, 200.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if chi_square_upper_tail(middle, df) > p else (low, middle)
    return Given(round(low, 2))
