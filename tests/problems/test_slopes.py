"""Problems on slopes against scipy; `p["asked"]` says which of four siblings is asked."""

from __future__ import annotations

import re

import numpy as np
from scipy import special, stats

from statllama.problems import kinds, make_problem

from .checks import Params, agree, check_topic
from .printed.slopes import READ


def _p_value(t: float, n: int, way: str) -> float:
    below = special.stdtr(n - 2, t)
    return float({"greater": 1 - below, "less": below, "different": 2 * special.stdtr(n - 2, -abs(t))}[way])


def _term(p: Params) -> tuple[float, float, str]:
    """Estimate and standard error of the term that is asked for, and what else is asked."""
    what, rest = p["asked"].split(", ")
    return p[what], p[f"{what}_se"], rest


def _interval(p: Params) -> tuple[float, float]:
    estimate, error, level = _term(p)
    low, high = stats.t.interval(float(level.rstrip("%")) / 100, p["n"] - 2, estimate, error)
    return float(low), float(high)


def _term_p_value(p: Params) -> float:
    estimate, error, way = _term(p)
    return _p_value(estimate / error, p["n"], way)


def _row(p: Params) -> int:
    return int(p["asked"].startswith("sample B"))


def _statistic(p: Params) -> float:
    row, null = _row(p), float(p["asked"].split("null ")[1])
    return float((p["slopes"][row] - null) / p["errors"][row])


def _one_sided(p: Params) -> float:
    source, way = p["asked"].split(", ")
    null = p["nulls"][source == "older study"]
    return _p_value((p["slope"] - null) / p["se"], p["n"], way)


def _data(n: int, sx: float, s: float) -> tuple[np.ndarray, np.ndarray]:
    """Data with exactly this spread of x and this residual standard deviation."""
    x = np.arange(n, dtype=float)
    x = sx * (x - x.mean()) / x.std(ddof=1)
    noise = np.cos(np.arange(n) * 1.7)
    noise = noise - np.polyval(np.polyfit(x, noise, 1), x)
    return x, 3 * x + noise * s / np.sqrt((noise**2).sum() / (n - 2))


def _standard_error(p: Params) -> float:
    n, sx = (float(part) for part in p["asked"].split(", "))
    return float(stats.linregress(*_data(int(n), sx, p["s"])).stderr)


def _scatter(p: Params) -> float:
    """About the line, from data whose residuals have this sum of squares; about the mean, from such a list."""
    row = _row(p)
    n, sse, sst = p["sizes"][row], p["about_line"][row], p["about_mean"][row]
    if p["asked"].endswith("SSE"):
        x, y = _data(n, 1.0, np.sqrt(sse / (n - 2)))
        rest = y - np.polyval(np.polyfit(x, y, 1), x)
        return float(np.sqrt((rest @ rest) / (n - np.linalg.matrix_rank(np.vander(x, 2)))))
    y = np.arange(n) - (n - 1) / 2
    return float(np.std(y * np.sqrt(sst / (y @ y)), ddof=1))


def _meaning(p: Params) -> re.Pattern[str]:
    n, level = p["n"], p["confidence"]
    low, high = stats.t.interval(level / 100, n - 2, p["slope"], p["se"])
    return re.compile(
        {
            "interval": rf"We are {level}% confident that, .* changes by {low:.2f} to {high:.2f} ",
            "level": rf"In the long run, about {level}% of the intervals from random samples of {n} ",
            "margin": rf"With {level}% confidence, .* is within {(high - low) / 2:.2f} .* of the sample slope\.$",
            "se": rf"Slopes from random samples of {n} .* typically differ from .* by about {p['se']:.2f} ",
        }[p["asked"]]
    )


def _conclusion(p: Params) -> re.Pattern[str]:
    """By a t test whose interval is the printed one: any degrees of freedom will do."""
    (low, high), claim = p["ends"][_row(p)], float(p["asked"].split("claim ")[1])
    level = p["confidence"] / 100
    error = (high - low) / 2 / stats.norm.isf((1 - level) / 2)
    rejected = 2 * stats.norm.sf(abs((low + high) / 2 - claim) / error) < 1 - level
    verdict = "convincing" if rejected else "no convincing"
    return re.compile(rf"There is {verdict} evidence that the true slope differs from {claim:g}\.$")


def _printed(p: Params) -> float:
    numbers = {"intercept": p["intercept"], "slope": p["slope"], "se": p["slope_se"], "s": p["s"]}
    return float({**numbers, "t": round(p["slope"] / p["slope_se"], 3)}[p["asked"]])


def _saying(p: Params) -> re.Pattern[str]:
    """The p-value and R-Sq are recomputed; r is found from t by inverting scipy's test of a correlation."""
    t, n = p["slope"] / p["slope_se"], p["n"]
    r2 = 1 / (1 + (n - 2) / t**2)
    chance = stats.beta(n / 2 - 1, n / 2 - 1, loc=-1, scale=2).cdf(-np.sqrt(r2)) * 2
    return re.compile(
        {
            "slope": rf"With each additional .* changes by about {p['slope']:.3f} ",
            "se": rf"Slopes from random samples of {n} .* differ from the true slope by about {p['slope_se']:.3f}\.$",
            "p": rf"If the true slope were 0, .* would be about {chance:.3f}\.$",
            "s": rf"Observed values .* differ from the values on the line by about {p['s']:.3f} ",
            "share": rf"The linear relation .* explains about {100 * r2:.1f}% of the variation ",
        }[p["asked"]]
    )


def _condition(p: Params) -> re.Pattern[str]:
    good, bad = {
        "linear": ("The residual plot shows no curved", "The residual plot shows a curved"),
        "spread": ("Residuals have a similar spread", "Residuals have a larger spread"),
        "normal": (r"A histogram .* symmetric", r"A histogram .* skewed"),
        "random": (rf"The {p['n']} .* selected at random", rf"The {p['n']} .* easiest ones to get"),
    }[p["asked"]]
    return re.compile(good if p["good"] else bad)


def test_answers() -> None:
    check_topic(
        "slopes",
        {
            "slope_t_statistic": _statistic,
            "slope_p_value": _term_p_value,
            "one_sided_slope_test": _one_sided,
            "slope_interval": _interval,
            "interpret_slope_interval": _meaning,
            "slope_conclusion": _conclusion,
            "standard_error_of_slope": _standard_error,
            "residual_standard_deviation": _scatter,
            "read_regression_output": _printed,
            "interpret_regression_output": _saying,
            "conditions_for_slope": _condition,
        },
    )


def test_the_printed_question_has_all_that_is_needed() -> None:
    """The answer follows from the words and numbers of the question, read without the generator."""
    assert set(READ) == set(kinds("slopes"))
    for kind, read in READ.items():
        for seed in range(900, 960):
            problem = make_problem("slopes", kind, seed, "test")
            agree(problem, read(problem.question))
