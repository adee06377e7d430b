"""Problems on categorical data against scipy."""

from __future__ import annotations

import numpy as np
from scipy import stats

from .checks import check_topic


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
        },
    )
