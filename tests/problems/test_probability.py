"""Probability problems against scipy, direct enumeration and natural frequencies."""

from __future__ import annotations

import itertools
import math
import re
from fractions import Fraction

import numpy as np
from scipy import stats

from statllama.problems import kinds, make_problem

from .checks import Expected, Params, agree, check_topic
from .printed.probability import READ


def _cells(p: Params) -> tuple[float, float, float, float]:
    """Both, only A, only B, neither."""
    return p["both"], p["a"] - p["both"], p["b"] - p["both"], 1 - p["a"] - p["b"] + p["both"]


def _addition(p: Params) -> float:
    both, a, b, neither = _cells(p)
    return {"or": both + a + b, "neither": neither, "one": a + b, "most": a + b + neither}[p["asked"]]


def _exclusive_or_independent(p: Params) -> float:
    table = np.outer([p["a"], 1 - p["a"]], [p["b"], 1 - p["b"]])
    if "exclusive" in p["asked"]:
        table = np.array([[0, p["a"]], [p["b"], 1 - p["a"] - p["b"]]])
    return float(table[1, 1] if p["asked"].startswith("neither") else table.sum() - table[1, 1])


def _independence(p: Params) -> str:
    a, b, both = p["years"][p["asked"].startswith("this")]
    table = np.array([[both, a - both], [b - both, 1 - a - b + both]])
    independent = np.allclose(table, np.outer(table.sum(axis=1), table.sum(axis=0)))
    value = both / (b if "P(A | B)" in p["asked"] else a)
    return f"{'Independent' if independent else 'Not independent'}; the conditional probability is {value:.1f}."


def _relation(p: Params) -> str:
    product = p["a"] * p["b"]
    joint = {"in": product, "mu": 0.0}.get(p["asked"][:2], product + p["step"] * (1 if "more" in p["asked"] else -1))
    after = joint / p["a"]
    if math.isclose(after, p["b"]):
        return "They are independent"
    if after == 0:
        return "They are mutually exclusive"
    return f"They are dependent: knowing A makes B {'more' if after > p['b'] else 'less'} likely"


def _bayes(p: Params) -> float:
    """Natural frequencies in a million individuals."""
    sick = 1e6 * p["prevalence"]
    counts = {
        "C+": sick * p["sensitivity"],
        "C-": sick * (1 - p["sensitivity"]),
        "not C+": (1e6 - sick) * (1 - p["specificity"]),
        "not C-": (1e6 - sick) * p["specificity"],
    }
    name, sign = p["asked"][2:-1].split(" | ")
    return counts[name + sign] / (counts["C" + sign] + counts["not C" + sign])


def _row_or_column(p: Params) -> float:
    table = np.array(p["table"])
    kind, column = p["asked"].split(", column ")
    inside = np.zeros(table.shape, dtype=bool)
    inside[p["row"], :] = inside[:, int(column)] = True
    return float(table[~inside if kind == "neither" else inside].sum() / table.sum())


def _venn(p: Params) -> float:
    members = [(1, 0)] * p["only_a"] + [(0, 1)] * p["only_b"] + [(1, 1)] * p["both"] + [(0, 0)] * p["neither"]
    a, b = np.array(members, dtype=bool).T
    of = {"P(A or B)": a | b, "P(A and B)": a & b, "P(A | B)": a[b], "P(B | A)": b[a]}
    return float(of[p["asked"]].mean())


def _lot(p: Params) -> float:
    """Every ordered draw of k, counted."""
    bad = [i < p["bad"] for i in range(p["total"])]
    draws = itertools.product if p["asked"].startswith("with ") else itertools.permutations
    chosen = list(draws(bad, repeat=p["k"]) if draws is itertools.product else draws(bad, p["k"]))
    wanted = not p["asked"].endswith(_GOOD)
    return float(Fraction(sum(all(x is wanted for x in draw) for draw in chosen), len(chosen)))


_GOOD = ("sound", "intact", "blank", "whole")
_SIGNS = {
    "<": lambda x, k: x < k,
    "=": lambda x, k: x == k,
    ">=": lambda x, k: x >= k,
    "<=": lambda x, k: x <= k,
    ">": lambda x, k: x > k,
}
_WORDS = {"exactly": "=", "at least": ">=", "at most": "<=", "more than": ">"}


def _binomial(p: Params) -> float:
    x = np.arange(p["n"] + 1)
    return float(stats.binom.pmf(x, p["n"], p["p"])[_SIGNS[_WORDS[p["asked"]]](x, p["k"])].sum())


def _binomial_spread(p: Params) -> float:
    n = p["sizes"][p["asked"].endswith("second")]
    return float((stats.binom.var if p["asked"].startswith("variance") else stats.binom.std)(n, p["p"]))


def _geometric(p: Params) -> float:
    sign = p["asked"].split()[1]
    x = np.arange(1, 2000)
    return float(stats.geom.pmf(x, p["p"])[_SIGNS[sign](x, p["k"])].sum())


def _at_least_one(p: Params) -> float:
    chance = 1 - p["p"] if p["asked"].endswith("without") else p["p"]
    return float((stats.binom.cdf if p["asked"].startswith("none") else stats.binom.sf)(0, p["n"], chance))


def _spread_of_table(p: Params) -> float:
    one = np.array(p["probabilities"])
    ps = np.convolve(one, one) if p["asked"].endswith("two") else one
    variable = stats.rv_discrete(values=(range(len(ps)), ps))
    return float(variable.var() if p["asked"].startswith("variance") else variable.std())


def _event_of_table(p: Params) -> float:
    x, ps = np.arange(5), np.array(p["probabilities"])
    event, _, given = p["asked"].partition(", ")
    kept = ps * (x > 0) if given else ps
    return float(kept[_SIGNS[event.split()[1]](x, p["k"])].sum() / kept.sum())


def _mean_of_table(p: Params) -> float:
    variable = stats.rv_discrete(values=(range(4), p["tables"][p["asked"].endswith("Y")]))
    return float(variable.mean() if p["asked"].startswith("mean") else variable.std())


def _gain(p: Params) -> float:
    price, pay, less = p["offers"][p["asked"].endswith("B")]
    paid = float(np.dot([p["p1"], p["p2"]], [pay, less]))
    return paid if p["asked"].startswith("payment") else (price - paid) * (1 if p["sells"] else -1)


def _combination(p: Params) -> float:
    """The norm of the coefficients times the standard deviations, one for each observation."""
    asked, (sd1, sd2) = p["asked"], p["sds"]
    x = [2.0] if "2X" in asked else [1.0, 1.0] if "X1" in asked else [1.0]
    y = [2.0] if "2Y" in asked else [1.0, 1.0] if "Y1" in asked else [1.0]
    return float(np.linalg.norm([*(c * sd1 for c in x), *(c * sd2 for c in y)]))


def _normal(p: Params) -> float:
    gap = p["asked"].startswith("difference")
    tail = stats.norm.cdf if p["asked"].endswith("below") else stats.norm.sf
    mean = p["means"][0] + (-1 if gap else 1) * p["means"][1]
    return float(tail(p["cuts"][gap], mean, np.sqrt(p["sds"][0] ** 2 + p["sds"][1] ** 2)))


def _trial(p: Params) -> str:
    low = round(100 * p["p"])
    span = f"from {low} to 99" if p["asked"].endswith("without") else f"from 00 to {low - 1:02d}"
    if p["asked"].startswith("wait"):
        return f"Read random numbers until one is {span}, and"
    return f"Read {p['n']} random numbers in turn, and record how many of the numbers are {span}."


def _estimate(p: Params) -> float:
    results = np.repeat(p["values"], p["counts"])
    return float(np.mean(_SIGNS[_WORDS[p["asked"]]](results, p["k"])))


def _long_run(p: Params) -> Expected:
    n, chance = p["n"], p["p"]
    beginnings = {
        "law": r"The proportion .* settles down near ",
        "next": r"The next .* whatever came before",
        "spread": rf"In samples of {n}, .* by about {stats.binom.std(n, chance) / n:.3f}\.",
        "mean": rf"In samples of {n}, the number .* is about {stats.binom.mean(n, chance):.1f} on average",
    }
    return re.compile(beginnings[p["asked"]])


def test_answers() -> None:
    check_topic(
        "probability",
        {
            "addition_rule": _addition,
            "at_least_one": _at_least_one,
            "binomial_probability": _binomial,
            "binomial_spread": _binomial_spread,
            "discrete_spread": _spread_of_table,
            "distribution_event": _event_of_table,
            "distribution_mean": _mean_of_table,
            "event_relation": _relation,
            "exclusive_or_independent": _exclusive_or_independent,
            "expected_gain": _gain,
            "geometric_probability": _geometric,
            "independence_check": _independence,
            "long_run": _long_run,
            "normal_sum": _normal,
            "positive_predictive_value": _bayes,
            "simulation_estimate": _estimate,
            "simulation_trial": _trial,
            "spread_of_sum": _combination,
            "union_from_table": _row_or_column,
            "venn_counts": _venn,
            "without_replacement": _lot,
        },
    )


def test_the_printed_question_has_all_that_is_needed() -> None:
    """The answer follows from the words and numbers of a test question, read without the generator."""
    assert set(READ) == set(kinds("probability"))
    for kind, read in READ.items():
        for seed in range(900, 960):
            problem = make_problem("probability", kind, seed, "test")
            agree(problem, read(problem.question))
