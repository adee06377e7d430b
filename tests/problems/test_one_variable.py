"""One-variable problems against numpy and scipy."""

from __future__ import annotations

import numpy as np
from scipy import stats

from .checks import Params, check_topic


def _relatively_better(p: Params) -> str:
    """The result that fewer of a normal crowd of competitors beat."""
    beaten = [stats.norm.sf(p[f"x{i}"], p[f"m{i}"], p[f"s{i}"]) for i in (1, 2)]
    z = np.subtract(p["x1"], p["m1"]) / p["s1"]
    return f"In {p['better'] if beaten[0] < beaten[1] else p['other']}: {z:.2f} standard deviations above"


def _corrected(p: Params) -> float:
    """The mean of a list with the reported mean, after one entry is replaced."""
    values = np.full(p["n"], (p["n"] * p["mean"] - p["false"]) / (p["n"] - 1))
    values[0] = p["false"]
    assert np.isclose(values.mean(), p["mean"])
    values[0] = p["true"]
    return float(values.mean())


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
            "compare_z_scores": _relatively_better,
            "cumulative_percent": lambda p: float(
                stats.percentileofscore(np.repeat(range(len(p["counts"])), p["counts"]), p["k"], kind="weak")
            ),
            "weighted_mean": lambda p: float(np.repeat([p["mean1"], p["mean2"]], [p["n1"], p["n2"]]).mean()),
            "mean_after_correction": _corrected,
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
