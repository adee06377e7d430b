"""Problems on proportions against scipy."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import stats

from statllama.problems import kinds, make_problem

from .checks import Params, agree, check_topic
from .printed.proportions import READ


def _number(text: str) -> float:
    """The last number in a text."""
    return float(re.findall(r"\d+(?:\.\d+)?", text)[-1])


def _z_interval(estimate: float, variance: float, level: float) -> tuple[float, float]:
    low, high = stats.norm.interval(level / 100, estimate, np.sqrt(variance))
    return float(low), float(high)


def _interval(p: Params) -> tuple[float, float]:
    hits = p["x"] if p["asked"].startswith("with the trait") else p["n"] - p["x"]
    share = hits / p["n"]
    return _z_interval(share, share * (1 - share) / p["n"], _number(p["asked"]))


def _difference_interval(p: Params) -> tuple[float, float]:
    shares = [p["x1"] / p["n1"], p["x2"] / p["n2"]]
    variance = sum(q * (1 - q) / p[n] for q, n in zip(shares, ("n1", "n2"), strict=True))
    way = 1 if p["asked"].startswith("first minus second") else -1
    return _z_interval(way * (shares[0] - shares[1]), variance, _number(p["asked"]))


def _part(p: Params) -> float:
    """The part of an interval that is asked for, from its two limits."""
    half = float(np.ptp([p["low"], p["high"]]) / 2)
    quantile, other = (float(stats.norm.isf((1 - p[name] / 100) / 2)) for name in ("confidence", "other"))
    return {
        "estimate": float(np.mean([p["low"], p["high"]])),
        "margin": half,
        "se": half / quantile,
        "other": half * other / quantile,
    }[p["asked"]]


def _size(p: Params) -> float:
    """The first n whose margin is small enough, by search."""
    plan = 0 if "plan A" in p["asked"] else 1
    share = p["guess"] if "earlier" in p["asked"] else 0.5
    z, n = stats.norm.isf((1 - p["levels"][plan] / 100) / 2), 1
    while z * np.sqrt(share * (1 - share) / n) > p["margins"][plan]:
        n += 1
    return float(n)


def _p_value(p: Params) -> float:
    null = p["nulls"][0 if "report A" in p["asked"] else 1]
    z = (p["x"] / p["n"] - null) / np.sqrt(null * (1 - null) / p["n"])
    if "two-sided" in p["asked"]:
        return float(stats.chi2.sf(z**2, 1))
    return float(stats.norm.sf(z) if p["up"] else stats.norm.cdf(z))


def _two_z(p: Params) -> float:
    """Pooled: the root of the uncorrected chi-square statistic of the 2 x 2 table. Unpooled: the Wald statistic."""
    x, n = np.array([p["x1"], p["x2"]]), np.array([p["n1"], p["n2"]])
    gap = float(np.subtract(*(x / n))) * (1 if p["asked"].startswith("first") else -1)
    if "unpooled" in p["asked"]:
        return gap / float(np.sqrt(np.sum(x * (n - x) / n**3)))
    chi2 = stats.chi2_contingency([x, n - x], correction=False).statistic
    return float(np.copysign(np.sqrt(chi2), gap))


def _two_p_value(p: Params) -> float:
    """From the chi-square statistic of the 2 x 2 table, which is z squared."""
    times = 2 if "doubled" in p["asked"] else 1
    z = _two_z({**{name: times * p[name] for name in ("x1", "n1", "x2", "n2")}, "asked": "first, pooled"})
    if p["asked"].startswith("two-sided"):
        return float(stats.chi2.sf(z**2, 1))
    return float(stats.norm.sf(z) if p["up"] else stats.norm.cdf(z))


def _difference_shown(p: Params) -> re.Pattern[str]:
    """There is evidence when both limits have one sign."""
    year = 0 if p["asked"].startswith("first") else 1
    low, high = p["limits"][year][p["levels"].index(_number(p["asked"]))]
    return re.compile(rf"There is {'' if low * high > 0 else 'not '}convincing .* in {p['years'][year]}\.$")


def _power(p: Params, alpha: float) -> float:
    tail, limit = (stats.norm.sf, stats.norm.isf) if p["true"] > p["null"] else (stats.norm.cdf, stats.norm.ppf)
    cut = limit(alpha, p["null"], np.sqrt(p["null"] * (1 - p["null"]) / p["n"]))
    return float(tail(cut, p["true"], np.sqrt(p["true"] * (1 - p["true"]) / p["n"])))


def _power_or_error(p: Params) -> float:
    power = _power(p, _number(p["asked"]))
    return power if p["asked"].startswith("power") else 1 - power


def _conclusion(p: Params) -> re.Pattern[str]:
    group = 0 if p["asked"].startswith("first") else 1
    decision = "Reject" if p["p_values"][group] < _number(p["asked"]) else "Fail to reject"
    return re.compile(f"{decision} H0: .*{p['groups'][group]}")


def _meaning(p: Params) -> re.Pattern[str]:
    """Which value of p the probability is computed for, of which event, and how large it is."""
    z = (p["x"] / p["n"] - p["null"]) / np.sqrt(p["null"] * (1 - p["null"]) / p["n"])
    value = stats.norm.sf(z) if p["up"] else stats.norm.cdf(z)
    power = round(_power(p, p["alpha"]), 2)
    at, event, size = {
        "value": (p["null"], f"gives a p_hat of {p['x'] / p['n']:.3f} or", f"{value:.3f}"),
        "alpha": (p["null"], "leads to a rejection", f"{p['alpha']:.2f}"),
        "power": (p["true"], "leads to a rejection", f"{power:.2f}"),
        "beta": (p["true"], "leads to no rejection", f"{1 - power:.2f}"),
    }[p["asked"]]
    return re.compile(rf"If p = {at}, the probability is {size} that a random sample of {p['n']} \w+ {event}")


def _change(p: Params) -> re.Pattern[str]:
    """What moves P(Type I error) and the power as asked: both are computed before and after each change."""
    wanted = {"more": (0, 1), "fewer": (0, -1), "up": (1, 1), "down": (-1, -1)}[p["asked"]]
    before, texts = _power(p, p["alpha"]), []
    for n in (2 * p["n"], p["n"] // 2):
        if (0, np.sign(_power({**p, "n": n}, p["alpha"]) - before)) == wanted:
            texts.append(f"Keep alpha at .* sample size to {n}\\.")
    for alpha in (0.001, 0.01, 0.05, 0.1):
        if (np.sign(alpha - p["alpha"]), np.sign(_power(p, alpha) - before)) == wanted:
            texts.append(f"Keep the sample size at .* alpha to {alpha}0?\\.")
    return re.compile("|".join(texts))


def _hypotheses(p: Params) -> str:
    """The claim and its direction, turned around when p is the proportion without the trait."""
    value, up = p["null"], "more" in p["asked"]
    if "without" in p["asked"]:
        value, up = round(1 - value, 2), not up
    return f"H0: p = {value}; Ha: p {'>' if up else '<'} {value}"


def _two_hypotheses(p: Params) -> str:
    if p["asked"] == "single":
        return f"H0: p1 = {p['null']}; Ha: p1 {'>' if p['up'] else '<'} {p['null']}"
    sign = {"more": ">", "less": "<", "differ": "!="}[p["asked"]]
    return f"H0: p1 = p2; Ha: p1 {sign} p2"


def _large_count(p: Params) -> float:
    share = p["null"] if p["asked"].startswith("test") else p["x"] / p["n"]
    return float(round(p["n"] * (share if "successes" in p["asked"] else 1 - share)))


def _error(p: Params) -> re.Pattern[str]:
    start = "Concluding" if p["asked"] in ("I", "power") else "Not concluding"
    truth = "equal to" if p["asked"] in ("I", "kept") else "higher than" if p["up"] else "lower than"
    return re.compile(rf"{start} .*actually {truth} {p['null']}\.$")


def _consequence(p: Params) -> re.Pattern[str]:
    does = p["act"] if p["asked"] in ("I", "power") else p["pause"]
    share = "exactly" if p["asked"] in ("I", "kept") else "more than" if p["up"] else "less than"
    return re.compile(rf"The \w+ {does}, and in fact {share} ")


_DIFFERENCE_MEANING = {"interval": "We are", "level": "In the long run", "margin": "With", "se": "In repeated sampling"}
_PURPOSE = {
    "random": re.compile(".*generalized"),
    "ten": re.compile(".*independent"),
    "large": re.compile(".*normal"),
    "null": re.compile(".*under the assumption that H0 is true"),
}
_IN_WORDS = {
    "null": re.compile(".*equal to"),
    "differ": re.compile(".*different from"),
    "more": re.compile(".*greater than"),
    "less": re.compile(".*is less than"),
}


def _procedure(p: Params) -> str:
    samples, aim = p["asked"].split()
    return f"{samples.capitalize()}-sample z {aim} for a "


def test_answers() -> None:
    check_topic(
        "proportions",
        {
            "one_proportion_interval": _interval,
            "two_proportion_interval": _difference_interval,
            "margin_from_interval": _part,
            "difference_interval_meaning": lambda p: _DIFFERENCE_MEANING[p["asked"]],
            "conclusion_from_interval": _difference_shown,
            "sample_size_for_margin": _size,
            "raising_power": _change,
            "power_of_test": _power_or_error,
            "one_proportion_z": _p_value,
            "two_proportion_z": _two_z,
            "two_proportion_p_value": _two_p_value,
            "conclusion_of_test": _conclusion,
            "p_value_meaning": _meaning,
            "error_type": _error,
            "error_consequence": _consequence,
            "hypotheses_for_one_proportion": _hypotheses,
            "hypotheses_for_two_proportions": _two_hypotheses,
            "hypotheses_in_words": lambda p: _IN_WORDS[p["asked"]],
            "large_counts_condition": _large_count,
            "condition_purpose": lambda p: _PURPOSE[p["asked"]],
            "choose_proportion_procedure": _procedure,
        },
    )


@pytest.mark.parametrize("kind", kinds("proportions"))
def test_printed_questions(kind: str) -> None:
    """The answer also follows from the printed question alone."""
    for seed in range(60):
        problem = make_problem("proportions", kind, 900 + seed, "test")
        agree(problem, READ[kind](problem.question))


def test_what_follows_is_what_follows_from_the_decision_in_question() -> None:
    for seed in range(40):
        problem = make_problem("proportions", "error_consequence", seed)
        for sibling, solution in zip(problem.siblings, problem.solutions, strict=True):
            act = str(problem.parameters["pause" if sibling.asked in ("II", "kept") else "act"])
            assert act in sibling.answer.text, solution
            assert act in " ".join(step for step in solution if step != sibling.answer.text), solution
