"""The p-value of a statistic for each of the three alternatives, and what is said about it."""

from __future__ import annotations

from ._numerics import normal_cdf, t_upper_tail

WAYS = (("greater", "less"), ("greater", "different"), ("less", "different"))
"""Pairs of alternatives, for kinds in which the alternative is one of the choices."""

SIGN = {"greater": ">", "less": "<", "different": "!="}
THAN = {"greater": "is greater than", "less": "is less than", "different": "differs from"}


def p_value(statistic: float, df: float | None, way: str) -> float:
    """Return the p-value of a t statistic, or of a z statistic where `df` is None, for one of the `WAYS`."""

    def above(value: float) -> float:
        return normal_cdf(-value) if df is None else t_upper_tail(value, df)

    if way == "different":
        return 2.0 * above(abs(statistic))
    return above(statistic if way == "greater" else -statistic)


def area(letter: str, shown: str, way: str) -> str:
    """Return the p-value as a formula: P(T >= 1.82), P(T <= 1.82) or 2 P(T >= |-1.82|)."""
    if way == "different":
        return f"2 P({letter} >= {shown.removeprefix('-')})"
    return f"P({letter} {'>=' if way == 'greater' else '<='} {shown})"


def other_way(ways: tuple[str, str]) -> tuple[str, str]:
    """Return the slips of a choice between two alternatives."""
    if "different" not in ways:
        return ("gave the area on the other side of the statistic",) * 2
    return "gave a two-sided p-value for a one-sided test", "gave a one-sided p-value for a two-sided test"
