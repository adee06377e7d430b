"""Problems on categorical data against scipy."""

from __future__ import annotations

import numpy as np
from scipy import stats

from .checks import Params, check_topic


def _contribution(p: Params) -> float:
    """The squared Pearson residual of the cell."""
    expected = stats.contingency.expected_freq(p["table"])
    return float((((np.array(p["table"]) - expected) / np.sqrt(expected)) ** 2)[p["row"], p["column"]])


def test_answers() -> None:
    check_topic(
        "categorical",
        {
            "expected_count": lambda p: float(stats.contingency.expected_freq(p["table"])[p["row"], p["column"]]),
            "goodness_of_fit_statistic": lambda p: float(
                stats.chisquare(p["observed"], np.array(p["percents"]) / 100 * sum(p["observed"])).statistic
            ),
            "chi_square_degrees_of_freedom": lambda p: float(
                stats.chi2_contingency(np.arange(1, 1 + p["rows"] * p["columns"]).reshape(p["rows"], -1)).dof
            ),
            "two_way_statistic": lambda p: float(stats.chi2_contingency(p["table"], correction=False).statistic),
            "chi_square_p_value": lambda p: float(stats.chi2.sf(p["x"], (p["rows"] - 1) * (p["columns"] - 1))),
            "choose_chi_square_test": lambda p: {
                "independence": "A chi-square test of independence",
                "homogeneity": "A chi-square test of homogeneity",
                "fit": "A chi-square goodness-of-fit",
            }[p["test"]],
            "cell_contribution": _contribution,
            "goodness_of_fit_p_value": lambda p: float(
                stats.chisquare(p["observed"], np.array(p["percents"]) / 100 * sum(p["observed"])).pvalue
            ),
        },
    )
