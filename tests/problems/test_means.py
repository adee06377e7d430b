"""Problems on means against scipy; `p["asked"]` says which of four siblings is asked."""

from __future__ import annotations

import re

import numpy as np
from scipy import special, stats

from statllama.problems import kinds, make_problem

from .checks import Params, agree, check_topic
from .printed.means import READ

_ALTERNATIVE = {"greater": "greater", "less": "less", "different": "two-sided"}


def _sample(mean: float, sd: float, n: int) -> np.ndarray:
    """Data with exactly this mean and standard deviation."""
    raw = np.arange(n, dtype=float)
    return mean + sd * (raw - raw.mean()) / raw.std(ddof=1)


def _level(p: Params) -> float:
    return float(p["asked"].split(", ")[1].rstrip("%")) / 100


def _interval(p: Params) -> tuple[float, float]:
    if p["asked"].startswith("z"):
        low, high = stats.norm.interval(_level(p), p["mean"], p["sd"] / np.sqrt(p["n"]))
        return float(low), float(high)
    found = stats.ttest_1samp(_sample(p["mean"], p["sd"], p["n"]), 0).confidence_interval(_level(p))
    return float(found.low), float(found.high)


def _one_mean_t(p: Params) -> float:
    null = p["nulls"][p["asked"].endswith("website")]
    if p["asked"].startswith("z"):
        return float((p["mean"] - null) / (p["sigma"] * p["n"] ** -0.5))
    return float(stats.ttest_1samp(_sample(p["mean"], p["sd"], p["n"]), null).statistic)


def _p_value(p: Params) -> float:
    letter, way = p["asked"].split(", ")
    curve = stats.norm() if letter == "Z" else stats.t(p["n"] - 1)
    return float({"greater": curve.sf(p["t"]), "less": curve.cdf(p["t"]), "different": 2 * curve.sf(abs(p["t"]))}[way])


def _groups(p: Params) -> tuple[np.ndarray, np.ndarray]:
    """Data of both groups in the order of subtraction that is asked for."""
    groups = [_sample(p[f"mean{i}"], p[f"sd{i}"], p[f"n{i}"]) for i in (1, 2)]
    turned = p["orders"].index(p["asked"].split(", ")[0])
    return (groups[1], groups[0]) if turned else (groups[0], groups[1])


def _welch(p: Params) -> float:
    first, second = _groups(p)
    null = float(p["asked"].split("null ")[1])
    return float(stats.ttest_ind(first - null, second, equal_var=False).statistic)


def _difference_interval(p: Params) -> tuple[float, float]:
    first, second = _groups(p)
    spread = np.sqrt(first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second))
    df = min(len(first), len(second)) - 1
    low, high = stats.t.interval(_level(p), df, first.mean() - second.mean(), spread)
    return float(low), float(high)


def _lists(p: Params) -> tuple[list[int], list[int]]:
    return (p["after"], p["before"]) if "after minus" in p["asked"] else (p["before"], p["after"])


def _paired_t(p: Params) -> float:
    first, second = _lists(p)
    found = stats.ttest_rel(first, second) if "paired" in p["asked"] else stats.ttest_ind(first, second)
    return float(found.statistic)


def _paired_interval(p: Params) -> tuple[float, float]:
    found = stats.ttest_rel(*_lists(p)).confidence_interval(_level(p))
    return float(found.low), float(found.high)


def _size(p: Params) -> float:
    """The first n whose interval is short enough, by search."""
    source, what = p["asked"].split(", ")
    sd, n = p["sd"][source == "older report"], 1
    while True:
        low, high = stats.norm.interval(p["confidence"] / 100, 0, sd / np.sqrt(n))
        if (high - low) / (1 if what == "width" else 2) <= p["reach"]:
            return float(n)
        n += 1


def _confidence(p: Params) -> re.Pattern[str]:
    level, n = p["confidence"], p["n"]
    margin = special.stdtrit(n - 1, 0.5 + level / 200) * p["se"]
    low, high = f"{p['mean'] - margin:.1f}", f"{p['mean'] + margin:.1f}"
    return re.compile(
        {
            "interval": rf"We are {level}% confident that the mean .* of all .* is between {low} and {high} ",
            "level": rf"In the long run, about {level}% of the intervals from random samples of {n} .* capture ",
            "margin": rf"With {level}% confidence, the sample mean is within {margin:.1f} .* of the mean ",
            "se": rf"Means of random samples of {n} .* typically differ from the mean .* by about {p['se']} ",
        }[p["asked"]]
    )


def _error(p: Params) -> re.Pattern[str]:
    rejected, false = {"I": (1, 0), "II": (0, 1), "power": (1, 1), "right": (0, 0)}[p["asked"]]
    truth = {"greater": "is greater than", "less": "is less than", "different": "differs from"}[p["way"]]
    return re.compile(
        re.escape(f"{p['act' if rejected else 'keep']}, and the true mean {truth if false else 'is'} {p['null']} ")
    )


def _probability(p: Params) -> re.Pattern[str]:
    more = "more" if p["mean"] > p["null"] else "less"
    event = {
        "p": rf"a sample mean of {p['mean']} [a-z ]+ or {more}",
        "alpha": "rejecting the null hypothesis",
        "power": "rejecting the null hypothesis",
        "beta": "not rejecting the null hypothesis",
    }[p["asked"]]
    given = p["null"] if p["asked"] in ("p", "alpha") else p["true"]
    return re.compile(rf"The probability of {event} when the population mean is {given} [a-z ]+\.$")


def _hypotheses(p: Params) -> re.Pattern[str]:
    design, way = p["asked"].split(", ")
    above = (way == "higher") != (p["flipped"] and design != "one")
    symbol, null = {"one": ("mu", p["k"]), "paired": ("mu_d", 0), "two": ("mu_1 - mu_2", 0)}[design]
    return re.compile(rf"H0: {symbol} = {null} and Ha: {symbol} {'>' if above else '<'} {null}, ")


def _procedure(p: Params) -> str:
    name = {"one": "One-sample t {}", "paired": "Paired t {}", "two": "Two-sample t {}", "slope": "t {} for the slope"}
    return name[p["asked"]].format("test" if p["test"] else "interval")


def _condition(p: Params) -> re.Pattern[str]:
    return re.compile(
        {
            "sample": rf"All {2 * p['n']} .* were selected at random\.$",
            "tenth": rf"There are {p['population']} .* in the population",
            "normal": r"Each group has .* more than 30\.$|The values of .* no strong skew\.$",
            "assign": r"A coin toss decided which ",
        }[p["asked"]]
    )


def _entry(p: Params) -> float:
    row = p["asked"].startswith("sample B")
    data = _sample(p["means"][row], p["sds"][row], p["sizes"][row])
    return float(stats.sem(data) if p["asked"].endswith("SE") else stats.ttest_1samp(data, p["null"]).statistic)


def _other_p_value(p: Params) -> float:
    """From the printed two-sided value; that one is checked as well."""
    row, way = p["asked"].startswith("sample B"), p["asked"].split(", ")[1]
    n, t, printed = p["sizes"][row], p["ts"][row], p["printed"][row]
    result = stats.ttest_1samp(_sample(t, np.sqrt(n), n), 0, alternative=_ALTERNATIVE[way])
    one_sided = printed / 2 if result.pvalue < 0.5 else 1 - printed / 2
    answer = printed if way == "different" else one_sided
    assert abs(answer - result.pvalue) < 0.00051
    return float(answer)


def test_answers() -> None:
    check_topic(
        "means",
        {
            "one_mean_interval": _interval,
            "interpret_confidence": _confidence,
            "sample_size_for_mean": _size,
            "one_mean_t": _one_mean_t,
            "t_p_value": _p_value,
            "two_mean_interval": _difference_interval,
            "two_sample_t": _welch,
            "paired_t": _paired_t,
            "paired_interval": _paired_interval,
            "errors_of_mean_test": _error,
            "probabilities_of_t_test": _probability,
            "hypotheses_for_mean": _hypotheses,
            "choose_t_procedure": _procedure,
            "conditions_for_t": _condition,
            "complete_t_output": _entry,
            "p_value_from_output": _other_p_value,
        },
    )


def test_the_printed_question_has_all_that_is_needed() -> None:
    """The answer follows from the words and numbers of the question, read without the generator."""
    assert set(READ) == set(kinds("means"))
    for kind, read in READ.items():
        for seed in range(900, 960):
            problem = make_problem("means", kind, seed, "test")
            agree(problem, read(problem.question))
