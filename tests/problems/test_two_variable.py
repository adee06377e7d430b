"""Two-variable problems against numpy and scipy."""

from __future__ import annotations

import re

import numpy as np
from scipy import stats

from .checks import Params, check_topic


def _slope(p: Params) -> float:
    """Fit real data that has exactly the given correlation and standard deviations."""
    x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    e = np.array([1.0, -2.0, 0.0, 2.0, -1.0])  # no correlation with x
    x, e = x / x.std(), e / e.std()
    y = p["r"] * x + np.sqrt(1 - p["r"] ** 2) * e
    return float(stats.linregress(x * p["sx"], y * p["sy"]).slope)


def _slope_in_words(p: Params) -> re.Pattern[str]:
    way = "higher" if p["b"] > 0 else "lower"
    start = f"For each extra unit of {p['explanatory']} .*, the predicted {p['response']} is "
    return re.compile(rf"{start}{abs(p['b']):g} .*{way}\.")


def _conditional(p: Params) -> float:
    table = np.array(p["table"], dtype=float)
    return float((table / table.sum(axis=1, keepdims=True))[p["row"], p["column"]])


def test_answers() -> None:
    check_topic(
        "two_variable",
        {
            "residual": lambda p: float(p["y"] - np.polyval([p["b"], p["a"]], p["x"])),
            "slope_from_summary": _slope,
            "interpret_slope": _slope_in_words,
            "interpret_r_squared": lambda p: f"About {100 * p['r'] ** 2:.1f}% of the variation in",
            "correlation_from_data": lambda p: float(stats.pearsonr(p["xs"], p["ys"]).statistic),
            "conditional_proportion": _conditional,
        },
    )
