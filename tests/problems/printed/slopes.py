"""Answers to problems on slopes from the printed question alone, without anything of the generator."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from scipy import stats

from ._find import Expected, ask, choose, find, table, tail, value

_SIGNS = {"is greater than": ">", "is less than": "<", "differs from": "!="}
_SIZE = (r"n = (\d+)", r"of size (\d+)", r"(?:data are|horizontal one,|compared with|given|of|sample of) (\d+) [a-z]")


def _sign(q: str) -> str:
    found = re.search("(?:>|<|!=) ", ask(q))
    return found[0].strip() if found else _SIGNS[find(ask(q), "(is greater than|is less than|differs from)")]


def _row(q: str) -> dict[str, str]:
    return table(q)[find(ask(q), r"row ([AB])", r"sample ([AB])")]


def _term(q: str) -> tuple[float, float]:
    """Estimate and standard error of the term that is asked for."""
    constant, other = table(q).values()
    row = constant if "intercept" in ask(q) else other
    return float(row["Coef"]), float(row["SE Coef"])


def _slope_t(q: str) -> Expected:
    null = 0.0 if "flat" in ask(q) else value(ask(q), "beta = (#)", "slope (#) is")
    return (float(_row(q)["Slope"]) - null) / float(_row(q)["SE of slope"])


def _slope_p(q: str) -> Expected:
    estimate, error = _term(q)
    return tail(estimate / error, value(q, *_SIZE) - 2, _sign(q))


def _one_sided(q: str) -> Expected:
    b = value(q, "coefficient (#)", "coefficient is (#)", "comes out as (#)")
    se = value(q, r"SE (#)")
    textbook = value(q, "textbook's rule, .*? changes by (#)", "(#) in a textbook", "textbook has (#)")
    study = value(q, "older study, it changes by (#)", "(#) in an older study", "older study has (#)")
    null = {"textbook": textbook, "older study": study}[find(q, "(?:from|one in) the (textbook|older study)")]
    return tail(
        (b - null) / se, value(q, r"n = (\d+)", r"compared with (\d+)", r"random sample of (\d+)") - 2, _sign(q)
    )


def _interval(q: str) -> Expected:
    estimate, error = _term(q)
    level = value(ask(q), r"(\d+)%") / 100
    low, high = stats.t.interval(level, value(q, *_SIZE) - 2, estimate, error)
    return float(low), float(high)


def _interpret_interval(q: str) -> Expected:
    asked = choose(
        q,
        ("interval", "interval itself|interpretation of the interval"),
        ("level", r'(?:should|of) "\d+% confidence"'),
        ("margin", "margin of error"),
        ("se", "(?:should|of) the SE"),
    )
    level = find(q, r"(\d+)%")
    low, high = (
        find(q, r"\((#), #\)", "interval (#) to", "between (#) and"),
        find(q, r"\(#, (#)\)", "# to (#)", "# and (#)"),
    )
    se = find(q, "SE (?:of )?(#)")
    return re.compile(
        {
            "interval": rf"We are {level}% confident .* changes by {low} to {high} ",
            "level": rf"In the long run, about {level}% of the intervals ",
            "margin": rf"With {level}% confidence, .* is within .* of the sample slope\.$",
            "se": rf"Slopes from random samples .* typically differ from .* by about {se} ",
        }[asked]
    )


def _conclusion(q: str) -> Expected:
    claim, row = find(ask(q), "beta = (#)"), _row(q)
    inside = float(row["Lower limit"]) < float(claim) < float(row["Upper limit"])
    return re.compile(rf"There is {'no ' if inside else ''}convincing evidence .* differs from {re.escape(claim)}\.$")


def _standard_error(q: str) -> Expected:
    last = q[max(q.rfind("Compute"), q.rfind("With sx")) :]
    s = value(q, r"\bs = (#)", "expected to be (#)")
    return float(s / (value(last, "sx = (#)") * np.sqrt(value(last, r"n = (\d+)") - 1)))


def _scatter(q: str) -> Expected:
    row, about_line = _row(q), bool(re.search("residuals|about the line", ask(q)))
    n = int(row["n"])
    return float(np.sqrt(float(row["SSE"]) / (n - 2) if about_line else float(row["SST"]) / (n - 1)))


def _read(q: str) -> Expected:
    constant, other = table(q).values()
    place = choose(
        ask(q),
        ("intercept", "estimated intercept|vertical axis"),
        ("slope", "estimated coefficient|How steep"),
        ("se", "standard error of|typically vary"),
        ("t", "t statistic|distance of the coefficient"),
        ("s", "deviation of the residuals|typical error"),
    )
    numbers = {"intercept": constant["Coef"], "slope": other["Coef"], "se": other["SE Coef"], "t": other["T-Value"]}
    return float(numbers[place]) if place in numbers else value(q, r"S = (#)")


def _interpret(q: str) -> Expected:
    _, row = table(q).values()
    asked = choose(
        ask(q),
        ("slope", "under Coef|interpretation of the slope"),
        ("se", "under SE Coef|standard error of"),
        ("p", "P-[Vv]alue"),
        ("s", r"value of S\b|interpretation of S\b"),
        ("share", "R-Sq"),
    )
    return re.compile(
        {
            "slope": rf"With each additional .* predicted .* changes by about {row['Coef']} ",
            "se": rf"Slopes from random samples .* differ from the true slope by about {row['SE Coef']}\.$",
            "p": rf"If the true slope were 0, .* this far from 0 would be about {row['P-Value']}\.$",
            "s": rf"Observed values .* differ from the values on the line by about {find(q, 'S = (#)')} ",
            "share": rf"The linear relation .* explains about {find(q, 'R-Sq = (#)')}% of the variation ",
        }[asked]
    )


def _conditions(q: str) -> Expected:
    about = choose(
        q,
        ("linear", "straight line|linearity"),
        ("spread", "same at every|constant variability"),
        ("normal", "normal distribution|normal errors"),
        ("random", "more than the cases|representative"),
    )
    good = choose(q, ("yes", "speaks for|in favor of"), ("no", "speaks against|questionable")) == "yes"
    return re.compile(
        {
            "linear": ("The residual plot shows a curved", "The residual plot shows no curved"),
            "spread": ("Residuals have a larger spread", "Residuals have a similar spread"),
            "normal": (r"A histogram .* skewed", r"A histogram .* symmetric"),
            "random": (r"The \d+ .* were the easiest ones", r"The \d+ .* were selected at random"),
        }[about][good]
    )


READ: dict[str, Callable[[str], Expected]] = {
    "slope_t_statistic": _slope_t,
    "slope_p_value": _slope_p,
    "one_sided_slope_test": _one_sided,
    "slope_interval": _interval,
    "interpret_slope_interval": _interpret_interval,
    "slope_conclusion": _conclusion,
    "standard_error_of_slope": _standard_error,
    "residual_standard_deviation": _scatter,
    "read_regression_output": _read,
    "interpret_regression_output": _interpret,
    "conditions_for_slope": _conditions,
}
