"""Sampling-distribution problems against scipy, covariance matrices and exact binomial sums."""

from __future__ import annotations

import re

import numpy as np
from scipy import stats

from statllama.problems import kinds, make_problem

from .checks import Expected, Params, agree, check_topic
from .printed.sampling_distributions import READ

_UNTIL_UNIT = r" [a-z]"


def _tail(p: Params, value: float, mean: float, sd: float) -> float:
    return float((stats.norm.cdf if p["asked"].endswith("below") else stats.norm.sf)(value, mean, sd))


def _of_mean_or_total(n: int, sd: float, total: bool, replaced: bool = True, population: int = 2) -> float:
    """The standard deviation of a mean or total from its n * n covariances."""
    covariance = np.full((n, n), 0.0 if replaced else -(sd**2) / (population - 1))
    np.fill_diagonal(covariance, sd**2)
    weights = np.full(n, 1.0 if total else 1.0 / n)
    return float(np.sqrt(weights @ covariance @ weights))


def _standard_error(p: Params) -> float:
    return _of_mean_or_total(p["sizes"][p["asked"].endswith("second")], p["sd"], p["asked"].startswith("total"))


def _one_or_mean(p: Params) -> float:
    n = p["n"] if p["asked"].startswith("mean") else 1
    return _tail(p, p["cut"], p["mean"], _of_mean_or_total(n, p["sd"], total=False))


def _total(p: Params) -> float:
    total, n = p["asked"].startswith("total"), p["n"]
    return _tail(p, p["cuts"][not total], n * p["mean"] if total else p["mean"], _of_mean_or_total(n, p["sd"], total))


def _size(p: Params) -> float:
    """The n at which a standard error of 1 / sqrt(n) is the given multiple of the present one."""
    times = {"half": 1 / 2, "a third": 1 / 3, "a quarter": 1 / 4, "a fifth": 1 / 5}
    times |= {"twice": 2, "three times": 3, "four times": 4, "five times": 5}
    wanted = times[p["asked"].removesuffix(" as large")] / np.sqrt(p["n"])
    return float(round(1 / wanted**2))


def _finite(p: Params) -> float:
    replaced = p["asked"].startswith("with ")
    return _of_mean_or_total(p["n"], p["sd"], p["asked"].endswith("total"), replaced, p["total"])


def _proportion(p: Params) -> float:
    n = p["sizes"][p["asked"].startswith("second")]
    return _tail(p, p["cut"], p["p"], stats.binom.std(n, p["p"]) / n)


def _count(p: Params) -> float:
    curve = stats.norm(stats.binom.mean(p["n"], p["p"]), stats.binom.std(p["n"], p["p"]))
    between = curve.cdf(p["high"]) - curve.cdf(p["low"])
    values = {"below": curve.cdf(p["low"]), "above": curve.sf(p["high"]), "between": between, "outside": 1 - between}
    return float(values[p["asked"]])


def _difference(p: Params, center: float, sds: list[float]) -> float:
    turned = p["asked"].startswith(("second", "this"))
    return _tail(p, p["cut"], -center if turned else center, float(np.hypot(*sds)))


def _difference_of_means(p: Params) -> float:
    sds = [_of_mean_or_total(n, sd, total=False) for n, sd in zip(p["sizes"], p["sds"], strict=True)]
    return _difference(p, p["means"][0] - p["means"][1], sds)


def _difference_of_proportions(p: Params) -> float:
    sds = [float(stats.binom.std(n, q)) / n for n, q in zip(p["sizes"], p["p"], strict=True)]
    return _difference(p, p["p"][0] - p["p"][1], sds)


def _clt(p: Params) -> Expected:
    name, n = p["asked"].split(", n = ")
    total = name == "total"
    center = int(n) * p["mean"] if total else p["mean"]
    spread = _of_mean_or_total(int(n), p["sd"], total)
    shape = "Approximately normal" if int(n) >= 30 else "Skewed to the (?:left|right)"
    return re.compile(rf"{shape}, with mean {center} and standard deviation {spread:.2f} ")


def _ratio(value: float) -> str:
    if np.isclose(value, 1):
        return "stays the same"
    return f"is 1/{round(1 / value)} as large" if value < 1 else f"is {round(value)} times as large"


def _effect(p: Params) -> str:
    sizes, chance = p["sizes"], p["p"]
    old, new = sizes[::-1] if p["asked"].endswith("smaller") else sizes
    scale = (old, new) if p["asked"].startswith("proportion") else (1, 1)
    means = [stats.binom.mean(n, chance) / unit for n, unit in zip((old, new), scale, strict=True)]
    sds = [stats.binom.std(n, chance) / unit for n, unit in zip((old, new), scale, strict=True)]
    return f"Its mean {_ratio(means[1] / means[0])}, and its standard deviation {_ratio(sds[1] / sds[0])}."


def _likelier(p: Params) -> str:
    """Exact binomial probabilities of a deviation in each sample."""
    far = []
    for n in p["sizes"]:
        x = np.arange(n + 1)
        off = np.abs(x - n * p["p"]) / (n if p["asked"].startswith("proportion") else 1)
        limit = p["d"] if p["asked"].startswith("proportion") else p["k"]
        far.append(stats.binom.pmf(x, n, p["p"])[off > limit + 1e-9].sum())
    close = p["asked"].endswith("close")
    best = int(np.argmin(far) if close else np.argmax(far))
    return f"In the sample of {p['sizes'][best]}, because there it varies {'less' if close else 'more'}."


def _interpretation(p: Params) -> Expected:
    n, se = p["n"], _of_mean_or_total(p["n"], p["sd"], total=False)
    of = {
        "population": rf"The \w.* of a single .* from {p['mean']:g} .* about {p['sd']:g}{_UNTIL_UNIT}",
        "sample": rf"The \w.* of one of these {n} .* from {p['xbar']:g} .* about {p['s']:g}{_UNTIL_UNIT}",
        "mean": rf"The mean .* of {n} randomly .* from {p['mean']:g} .* about {se:.2f}{_UNTIL_UNIT}",
        "error": rf"The mean .* of these {n} .* from {p['mean']:g} .* by {abs(p['xbar'] - p['mean']):.4g}{_UNTIL_UNIT}",
    }
    return re.compile(of[p["asked"]])


_DISTRIBUTIONS = {
    "population": "The distribution of the variable in the whole population.",
    "sample": "The distribution of the variable in a single random sample.",
    "exact": "The exact sampling distribution of the sample mean.",
    "simulated": "A simulated sampling distribution of the sample mean.",
}


def _estimator(p: Params) -> str:
    """The bias is the distance of the center from the mean; the two narrow spans have low variability."""
    biased = [abs(center - p["mean"]) > 1e-9 for center in p["centers"]]
    widths = [high - low for low, high in p["spans"]]
    wide = [width > np.median(widths) for width in widths]
    bias, spread = p["asked"].removesuffix(" variability").split(", ")
    at = [*zip(biased, wide, strict=True)].index((bias == "biased", spread == "high"))
    return f"Statistic {p['names'][at]}"


def test_answers() -> None:
    check_topic(
        "sampling_distributions",
        {
            "central_limit_theorem": _clt,
            "difference_of_means_probability": _difference_of_means,
            "difference_of_proportions_probability": _difference_of_proportions,
            "effect_of_sample_size": _effect,
            "estimator_quality": _estimator,
            "finite_population_spread": _finite,
            "interpret_sampling_spread": _interpretation,
            "normal_approximation_of_count": _count,
            "sample_mean_probability": _one_or_mean,
            "sample_proportion_probability": _proportion,
            "sample_size_effect": _size,
            "standard_error_of_mean": _standard_error,
            "total_of_sample": _total,
            "which_distribution": lambda p: _DISTRIBUTIONS[p["asked"]],
            "which_sample_size": _likelier,
        },
    )


def test_the_printed_question_has_all_that_is_needed() -> None:
    """The answer follows from the words and numbers of a test question, read without the generator."""
    assert set(READ) == set(kinds("sampling_distributions"))
    for kind, read in READ.items():
        for seed in range(900, 960):
            problem = make_problem("sampling_distributions", kind, seed, "test")
            agree(problem, read(problem.question))
