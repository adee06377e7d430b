"""Problems on means against scipy."""

from __future__ import annotations

import re

import numpy as np
from scipy import special, stats

from .checks import Params, check_topic


def _sample(mean: float, sd: float, n: int) -> np.ndarray:
    """Data with exactly this mean and standard deviation."""
    raw = np.arange(n, dtype=float)
    return mean + sd * (raw - raw.mean()) / raw.std(ddof=1)


def _interval(p: Params) -> tuple[float, float]:
    found = stats.ttest_1samp(_sample(p["mean"], p["sd"], p["n"]), 0).confidence_interval(p["confidence"] / 100)
    return float(found.low), float(found.high)


def _welch(p: Params) -> float:
    first, second = _sample(p["mean1"], p["sd1"], p["n1"]), _sample(p["mean2"], p["sd2"], p["n2"])
    return float(stats.ttest_ind(first, second, equal_var=False).statistic)


def _difference_interval(p: Params) -> tuple[float, float]:
    spread = np.sqrt(p["sd1"] ** 2 / p["n1"] + p["sd2"] ** 2 / p["n2"])
    df = min(p["n1"], p["n2"]) - 1
    low, high = stats.t.interval(p["confidence"] / 100, df, p["mean1"] - p["mean2"], spread)
    return float(low), float(high)


def _paired_interval(p: Params) -> tuple[float, float]:
    found = stats.ttest_rel(p["after"], p["before"]).confidence_interval(p["confidence"] / 100)
    return float(found.low), float(found.high)


def _size(p: Params) -> float:
    """The first n whose margin is small enough, by search."""
    z, n = stats.norm.isf((1 - p["confidence"] / 100) / 2), 1
    while z * p["sd"] / np.sqrt(n) > p["margin"]:
        n += 1
    return float(n)


def test_answers() -> None:
    check_topic(
        "means",
        {
            "one_mean_interval": _interval,
            "one_mean_t": lambda p: float(stats.ttest_1samp(_sample(p["mean"], p["sd"], p["n"]), p["null"]).statistic),
            "t_p_value": lambda p: float(special.stdtr(p["n"] - 1, -abs(p["t"])) * (2 if p["sides"] == "two" else 1)),
            "paired_t": lambda p: float(stats.ttest_rel(p["after"], p["before"]).statistic),
            "two_sample_t": _welch,
            "interpret_confidence": lambda p: re.compile(
                rf"We are {p['confidence']}% confident that the mean .* of all "
            ),
            "two_mean_interval": _difference_interval,
            "paired_interval": _paired_interval,
            "sample_size_for_mean": _size,
        },
    )
