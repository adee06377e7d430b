"""One-variable problems against numpy and scipy."""

from __future__ import annotations

import numpy as np
from scipy import stats

from .checks import Params, check_topic


def test_answers() -> None:
    check_topic(
        "one_variable",
        {
            "z_score": lambda p: float(stats.norm.ppf(stats.norm.cdf(p["x"], p["mean"], p["sd"]))),
            "normal_tail": lambda p: float(
                (stats.norm.sf if p["above"] else stats.norm.cdf)(p["cut"], p["mean"], p["sd"])
            ),
            "normal_between": lambda p: float(np.diff(stats.norm.cdf([p["low"], p["high"]], p["mean"], p["sd"]))[0]),
            "normal_percentile": lambda p: float(stats.norm.ppf(p["percent"] / 100, p["mean"], p["sd"])),
            "sample_standard_deviation": lambda p: float(np.std(p["data"], ddof=1)),
            "outlier_fence": lambda p: (
                p["q3"] + 1.5 * (p["q3"] - p["q1"]) if p["upper"] else p["q1"] - 1.5 * (p["q3"] - p["q1"])
            ),
            "linear_change": _changed,
            "skew_from_center": lambda p: "Skewed to the right" if p["mean"] > p["median"] else "Skewed to the left",
        },
    )


def _changed(p: Params) -> float:
    """The measure of real data that has the given value, after the change."""
    data = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]) * 1.7 + 40
    measures = {
        "mean": np.mean,
        "median": np.median,
        "standard deviation": np.std,
        "interquartile range": lambda x: np.subtract(*np.percentile(x, [75, 25])),
    }
    measure = measures[p["measure"]]
    center = p["measure"] in ("mean", "median")
    data = data + (p["old"] - measure(data)) if center else data * (p["old"] / measure(data))
    return float(measure(p["a"] + p["b"] * data))
