"""Sampling-distribution problems against scipy."""

from __future__ import annotations

import numpy as np
from scipy import stats

from .checks import Params, check_topic


def _tail(mean: float, sd: float, p: Params) -> float:
    return float((stats.norm.sf if p["above"] else stats.norm.cdf)(p["cut"], mean, sd))


def _difference(p: Params) -> float:
    sd = np.sqrt(p["sd1"] ** 2 / p["n1"] + p["sd2"] ** 2 / p["n2"])
    return float(stats.norm.sf(p["cut"], p["mean1"] - p["mean2"], sd))


def _clt(p: Params) -> str:
    se = np.sqrt(p["sd"] ** 2 / p["n"])
    return f"Approximately normal, with mean {p['mean']} and standard deviation {se:.2f} "


def _finite(p: Params) -> float:
    """The variance of a mean without replacement from its n * n covariances."""
    n, total = p["n"], p["total"]
    covariance = np.full((n, n), -(p["sd"] ** 2) / (total - 1))
    np.fill_diagonal(covariance, p["sd"] ** 2)
    return float(np.sqrt(covariance.sum()) / n)


def _difference_of_proportions(p: Params) -> float:
    spread = np.hypot(*(stats.binom.std(p[n], p[q]) / p[n] for n, q in (("n1", "a"), ("n2", "b"))))
    return float(stats.norm.sf(p["cut"], p["a"] - p["b"], spread))


def test_answers() -> None:
    check_topic(
        "sampling_distributions",
        {
            "standard_error_of_mean": lambda p: float(np.sqrt(p["sd"] ** 2 / p["n"])),
            "sample_mean_probability": lambda p: _tail(p["mean"], np.sqrt(p["sd"] ** 2 / p["n"]), p),
            "sample_proportion_probability": lambda p: _tail(p["p"], stats.binom.std(p["n"], p["p"]) / p["n"], p),
            "sample_size_effect": lambda p: float(round((p["factor"] * np.sqrt(p["n"])) ** 2)),
            "difference_of_means_probability": _difference,
            "central_limit_theorem": _clt,
            "normal_approximation_of_count": lambda p: float(
                (stats.norm.sf if p["above"] else stats.norm.cdf)(
                    p["k"], stats.binom.mean(p["n"], p["p"]), stats.binom.std(p["n"], p["p"])
                )
            ),
            "total_of_sample": lambda p: float(stats.norm.sf(p["cut"], p["n"] * p["mean"], np.sqrt(p["n"]) * p["sd"])),
            "finite_population_spread": _finite,
            "difference_of_proportions_probability": _difference_of_proportions,
        },
    )
