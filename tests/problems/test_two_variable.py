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
    start = f"When the {p['explanatory']} goes up by one .*, the predicted {p['response']} is "
    return re.compile(rf"{start}{abs(p['b']):g} .*{way}\.")


def _conditional(p: Params) -> float:
    table = np.array(p["table"], dtype=float)
    return float((table / table.sum(axis=1, keepdims=True))[p["row"], p["column"]])


def _residual_from_summary(p: Params) -> float:
    """Fit real data that has exactly the given means, standard deviations and correlation."""
    x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    e = np.array([1.0, -2.0, 0.0, 2.0, -1.0])  # no correlation with x
    x, e = x / x.std(ddof=1), e / e.std(ddof=1)
    y = p["r"] * x + np.sqrt(1 - p["r"] ** 2) * e
    fit = stats.linregress(p["mx"] + x * p["sx"], p["my"] + y * p["sy"])
    return float(p["y"] - (fit.intercept + fit.slope * p["x"]))


def _influence(p: Params) -> str:
    """What really happens to slope and r when such a point joins data with this correlation."""
    x = stats.norm.ppf((np.arange(p["n"]) + 0.5) / p["n"])
    e = np.cos(np.arange(p["n"]) * 1.7)
    e -= np.polyval(np.polyfit(x, e, 1), x)
    y = p["r"] * x / x.std() + np.sqrt(1 - p["r"] ** 2) * e / e.std()
    before = stats.linregress(x, y)
    point = {"in line": (5.0, before.slope * 5), "off line": (5.0, 0.0), "middle": (0.0, 5.0)}[p["place"]]
    after = stats.linregress(np.append(x, point[0]), np.append(y, point[1]))
    steady = abs(after.slope / before.slope - 1) < 0.1
    flatter, weaker = abs(after.slope) < 0.9 * abs(before.slope), abs(after.rvalue) < abs(before.rvalue)
    assert steady or flatter
    slope = "The slope stays about as it was" if steady else "The slope becomes flatter"
    return f"{slope}, and the correlation becomes {'weaker' if weaker else 'stronger'}."


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
            "line_from_summary": _residual_from_summary,
            "influential_point": _influence,
            "log_prediction": lambda p: float(np.logspace(p["a"], p["a"] + p["b"] * p["x"], 2)[1]),
        },
    )
