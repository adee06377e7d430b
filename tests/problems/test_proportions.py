"""Problems on proportions against scipy."""

from __future__ import annotations

import numpy as np
from scipy import stats

from .checks import Params, check_topic


def _interval(p: Params) -> tuple[float, float]:
    share = p["x"] / p["n"]
    low, high = stats.norm.interval(p["confidence"] / 100, share, np.sqrt(share * (1 - share) / p["n"]))
    return float(low), float(high)


def _size(p: Params) -> float:
    """The first n whose margin is small enough, by search."""
    z, n = stats.norm.isf((1 - p["confidence"] / 100) / 2), 1
    while z * np.sqrt(p["guess"] * (1 - p["guess"]) / n) > p["margin"]:
        n += 1
    return float(n)


def _p_value(p: Params) -> float:
    z = (p["x"] / p["n"] - p["null"]) / np.sqrt(p["null"] * (1 - p["null"]) / p["n"])
    return float(stats.norm.sf(abs(z)) * (2 if p["sides"] == "two" else 1))


def _pooled(p: Params) -> float:
    """The square root of the uncorrected chi-square statistic of the 2 x 2 table, with its sign."""
    table = [[p["x1"], p["n1"] - p["x1"]], [p["x2"], p["n2"] - p["x2"]]]
    chi2 = stats.chi2_contingency(table, correction=False).statistic
    return float(np.copysign(np.sqrt(chi2), p["x1"] / p["n1"] - p["x2"] / p["n2"]))


def _difference_interval(p: Params) -> tuple[float, float]:
    shares = [p["x1"] / p["n1"], p["x2"] / p["n2"]]
    spread = np.sqrt(sum(q * (1 - q) / p[n] for q, n in zip(shares, ("n1", "n2"), strict=True)))
    low, high = stats.norm.interval(p["confidence"] / 100, shares[0] - shares[1], spread)
    return float(low), float(high)


def _power(p: Params) -> float:
    tail, limit = (stats.norm.sf, stats.norm.isf) if p["true"] > p["null"] else (stats.norm.cdf, stats.norm.ppf)
    cut = limit(p["alpha"], p["null"], np.sqrt(p["null"] * (1 - p["null"]) / p["n"]))
    power = float(tail(cut, p["true"], np.sqrt(p["true"] * (1 - p["true"]) / p["n"])))
    return power if p["power"] else 1 - power


def test_answers() -> None:
    check_topic(
        "proportions",
        {
            "one_proportion_interval": _interval,
            "sample_size_for_margin": _size,
            "one_proportion_z": _p_value,
            "two_proportion_z": _pooled,
            "conclusion_of_test": lambda p: (
                "Reject the null" if p["p_value"] < p["alpha"] else "Do not reject the null"
            ),
            "error_type": lambda p: (
                f"Concluding that the proportion is above {p['null']} when in fact the"
                if p["type"] == "I"
                else "Failing to find that"
            ),
            "margin_from_interval": lambda p: float(np.ptp([p["low"], p["high"]]) / 2),
            "two_proportion_interval": _difference_interval,
            "power_of_test": _power,
            "raising_power": lambda p: f"Keep alpha at {p['alpha']:.2f} and take a sample larger than {p['n']}.",
        },
    )
