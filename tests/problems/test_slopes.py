"""Problems on slopes against scipy."""

from __future__ import annotations

import re

import numpy as np
from scipy import special, stats

from .checks import Params, check_topic


def _interval(p: Params) -> tuple[float, float]:
    margin = special.stdtrit(p["n"] - 2, 0.5 + p["confidence"] / 200) * p["se"]
    return float(p["slope"] - margin), float(p["slope"] + margin)


def _standard_error(p: Params) -> float:
    """The standard error that linregress gives for data with this s, sx and n."""
    n = p["n"]
    x = np.arange(n, dtype=float)
    x = p["sx"] * (x - x.mean()) / x.std(ddof=1)
    noise = np.cos(np.arange(n) * 1.7)
    noise = noise - np.polyval(np.polyfit(x, noise, 1), x)
    # linregress uses n - 2 for the residual standard deviation
    noise *= p["s"] / np.sqrt((noise**2).sum() / (n - 2))
    return float(stats.linregress(x, 3 * x + noise).stderr)


def _conclusion(p: Params) -> str:
    significant = 2 * special.stdtr(p["n"] - 2, -abs(p["slope"] / p["se"])) < 0.05
    return (
        "Zero is outside the interval, so there is convincing"
        if significant
        else "Zero is inside the interval, so there is not"
    )


def test_answers() -> None:
    check_topic(
        "slopes",
        {
            "slope_t_statistic": lambda p: p["slope"] / p["se"],
            "slope_interval": _interval,
            "slope_p_value": lambda p: float(2 * special.stdtr(p["n"] - 2, -abs(p["slope"] / p["se"]))),
            "standard_error_of_slope": _standard_error,
            "slope_conclusion": _conclusion,
            "interpret_slope_interval": lambda p: re.compile(
                rf"We are {p['confidence']}% confident that, over all .* goes with a mean .* "
                rf"{'higher' if p['slope'] > 0 else 'lower'}\.$"
            ),
            "residual_standard_deviation": lambda p: float(
                np.sqrt(np.full(p["n"], p["sse"] / p["n"]).sum() / (p["n"] - 2))
            ),
            "one_sided_slope_test": lambda p: float(
                special.stdtr(p["n"] - 2, -abs((p["slope"] - p["null"]) / p["se"]))
            ),
        },
    )
