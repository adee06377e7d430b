"""Problems on categorical data against scipy."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import stats

from statllama.problems import kinds, make_problem

from .checks import Params, agree, check_topic
from .printed.categorical import READ


def _residuals(table: list[list[int]]) -> np.ndarray:
    """The Pearson residuals under independence."""
    expected = stats.contingency.expected_freq(table)
    return (np.array(table) - expected) / np.sqrt(expected)


def _percentage(p: Params) -> float:
    table, i, j = np.array(p["table"]), p["row"], p["column"]
    joint, rows, columns = table / table.sum(), table.sum(1), table.sum(0)
    marginal = (rows[i] if p["by_row"] else columns[j]) / table.sum()
    return 100 * float(
        {
            "joint": joint[i, j],
            "marginal": marginal,
            "row": joint[i, j] / joint[i].sum(),
            "column": joint[i, j] / joint[:, j].sum(),
        }[p["asked"]]
    )


def _place(p: Params) -> tuple[int, int]:
    """Where the asked cell is: "(3, 1)" counts rows and columns from 1."""
    i, j = (int(number) - 1 for number in re.findall(r"\d+", p["asked"]))
    return i, j


def _expected(p: Params) -> float:
    return float(stats.contingency.expected_freq(p["table"])[_place(p)])


def _contribution(p: Params) -> float:
    return float(_residuals(p["table"])[_place(p)] ** 2)


def _two_way(p: Params) -> float:
    table = np.array(p["table"])
    even = np.full(table.shape, table.mean())
    expected = stats.contingency.expected_freq(table) if "independence" in p["asked"] else even
    terms = (table - expected) ** 2 / expected
    return float(terms[p["row"]].sum() if "one row" in p["asked"] else terms.sum())


def _claimed(p: Params) -> np.ndarray:
    return np.array(p["claims"]["AB".index(p["asked"][6])]) / 100


def _fit(p: Params) -> float:
    observed, j = np.array(p["observed"]), p["category"]
    share = _claimed(p)
    if "all categories" in p["asked"]:
        return float(stats.chisquare(observed, share * observed.sum()).statistic)
    return float((observed[j] - share[j] * observed.sum()) ** 2 / (share[j] * observed.sum()))


def _fit_p_value(p: Params) -> float:
    observed = np.array(p["observed"]) * (2 if "doubled" in p["asked"] else 1)
    return float(stats.chisquare(observed, _claimed(p) * observed.sum()).pvalue)


def _degrees(p: Params) -> float:
    """Free cells: of a table with fixed margins as scipy counts them, of a list one fewer than its length."""
    if p["asked"] == "both":
        return float(stats.chi2_contingency(np.arange(1, 1 + p["rows"] * p["columns"]).reshape(p["rows"], -1)).dof)
    return float({"cells": p["rows"] * p["columns"], "row": p["rows"], "column": p["columns"]}[p["asked"]] - 1)


def _p_value(p: Params) -> float:
    x = p["x"][0 if p["asked"].startswith("first") else 1]
    df = (p["rows"] - 1) * (p["columns"] - 1) if "independence" in p["asked"] else p["rows"] * p["columns"] - 1
    return float(stats.chi2.sf(x, df))


def _conclusion(p: Params) -> re.Pattern[str]:
    year = 0 if p["asked"].startswith("first") else 1
    reject = stats.chi2.sf(p["x"][year], p["df"]) < float(p["asked"].split()[-1])
    return re.compile(rf"{'Reject' if reject else 'Fail to reject'} H0: .* in {p['years'][year]}\.$")


_HYPOTHESES = {
    "null both": re.compile("There is no association"),
    "alternative both": re.compile("There is an association"),
    "null fit": re.compile("The categories of .* are all equally common"),
    "alternative fit": re.compile("The categories of .* are not all equally common"),
}


def _cell(p: Params) -> str:
    table = np.array(p["table"])
    expected = stats.contingency.expected_freq(table)
    place = {
        "contribution": np.argmax(np.abs(_residuals(p["table"]))),
        "condition": np.argmin(expected),
        "short": np.argmin(table - expected),
        "most": np.argmax(table),
    }[p["asked"]]
    return p["names"][int(place)]


def _meaning(p: Params) -> re.Pattern[str]:
    found = stats.chi2_contingency(p["table"], correction=False)
    part = _residuals(p["table"])[p["row"], p["column"]] ** 2
    return re.compile(
        {
            "statistic": rf"The sum .* is {found.statistic:.2f}\.$",
            "df": rf"The distribution .* {found.dof} degrees of freedom\.$",
            "p": rf"The probability .* {found.statistic:.2f} or more.* is {found.pvalue:.3f}\.$",
            "contribution": rf"The part .* is {part:.2f}\.$",
        }[p["asked"]]
    )


def test_answers() -> None:
    check_topic(
        "categorical",
        {
            "two_way_percentage": _percentage,
            "expected_count": _expected,
            "cell_contribution": _contribution,
            "two_way_statistic": _two_way,
            "goodness_of_fit_statistic": _fit,
            "goodness_of_fit_p_value": _fit_p_value,
            "chi_square_degrees_of_freedom": _degrees,
            "chi_square_p_value": _p_value,
            "choose_chi_square_test": lambda p: {
                "independence": "A chi-square test of independence",
                "homogeneity": "A chi-square test of homogeneity",
                "fit": "A chi-square test of goodness of fit",
                "one": "A one-sample z test",
            }[p["asked"]],
            "chi_square_hypotheses": lambda p: _HYPOTHESES[p["asked"]],
            "chi_square_conclusion": _conclusion,
            "chi_square_output": _cell,
            "chi_square_output_meaning": _meaning,
        },
    )


@pytest.mark.parametrize("kind", kinds("categorical"))
def test_printed_questions(kind: str) -> None:
    """The answer also follows from the printed question alone."""
    for seed in range(60):
        problem = make_problem("categorical", kind, 900 + seed, "test")
        agree(problem, READ[kind](problem.question))
