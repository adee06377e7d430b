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


def _row_or_column(p: Params) -> float:
    table = np.array(p["table"])
    inside = np.zeros(table.shape, dtype=bool)
    inside[p["row"], :] = inside[:, p["column"]] = True
    return float(table[inside].sum() / table.sum())


def _gain(p: Params) -> float:
    buyer = stats.rv_discrete(values=((0, 1, 2), (1 - p["p1"] - p["p2"], p["p1"], p["p2"])))
    mean = buyer.expect(lambda i: np.choose(i.astype(int), [0, p["pay"], p["less"]])) - p["price"]
    return float(-mean if p["sells"] else mean)


def _sum_tail(p: Params) -> float:
    tail = stats.norm.sf if p["above"] else stats.norm.cdf
    return float(tail(p["cut"], p["mean1"] + p["mean2"], np.sqrt(p["sd1"] ** 2 + p["sd2"] ** 2)))


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
            "union_from_table": _row_or_column,
            "at_least_one": lambda p: float(stats.binom.sf(0, p["n"], p["p"])),
            "without_replacement": lambda p: float(stats.hypergeom.pmf(0, p["total"], p["bad"], p["k"])),
            "expected_gain": _gain,
            "normal_sum": _sum_tail,
            "binomial_spread": lambda p: float(stats.binom.std(p["n"], p["p"])),
        },
    )
