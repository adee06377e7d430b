"""Probability problems against scipy and direct enumeration."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from .checks import Params, check_topic


def _union(p: Params) -> float:
    cells = [p["both"], p["a"] - p["both"], p["b"] - p["both"]]
    return float(np.sum(cells))


def _predictive(p: Params) -> float:
    """Bayes' rule by natural frequencies in a million individuals."""
    sick = 1e6 * p["prevalence"]
    true, false = sick * p["sensitivity"], (1e6 - sick) * (1 - p["specificity"])
    return true / (true + false)


def _binomial(p: Params) -> float:
    if p["at_least"]:
        return float(stats.binom.sf(p["k"] - 1, p["n"], p["p"]))
    return float(stats.binom.pmf(p["k"], p["n"], p["p"]))


def test_answers() -> None:
    check_topic(
        "probability",
        {
            "addition_rule": _union,
            "independence_check": lambda p: (
                "Yes: P(A and B) equals" if math.isclose(p["both"], p["a"] * p["b"]) else "No: P(A and B) is"
            ),
            "positive_predictive_value": _predictive,
            "binomial_probability": _binomial,
            "geometric_probability": lambda p: float(stats.geom.pmf(p["k"], p["p"])),
            "discrete_spread": lambda p: float(stats.rv_discrete(values=(range(4), p["probabilities"])).std()),
            "spread_of_sum": lambda p: float(np.linalg.norm([p["sd1"], p["sd2"]])),
        },
    )
