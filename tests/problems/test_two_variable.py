"""Two-variable problems against numpy and scipy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from statllama.problems import kinds, make_problem
from statllama.problems._problem import article

from .checks import Params, agree, check_topic
from .printed.two_variable import READ

ORDER = ("first", "second")


def _exact(p: Params, my: float = 0.0, mx: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Real data that have exactly the given means, standard deviations and correlation."""
    x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    e = np.array([1.0, -2.0, 0.0, 2.0, -1.0])  # no correlation with x
    x, e = x / x.std(ddof=1), e / e.std(ddof=1)
    y = p["r"] * x + np.sqrt(1 - p["r"] ** 2) * e
    return mx + x * p["sx"], my + y * p["sy"]


def _residual(p: Params) -> float:
    which, _, what = p["asked"].partition(", ")
    k = ORDER.index(which)
    left = float(p["ys"][k] - np.polyval([p["b"], p["a"]], p["xs"][k]))
    return -left if what == "overprediction" else left


def _slope(p: Params) -> float:
    """Fit real data that have the given summaries."""
    x, y = _exact(p)
    if p["asked"].startswith("x"):
        x, y = y, x
    fit = stats.linregress(x, y)
    step = x.std(ddof=1) if p["asked"].endswith("SD") else 1.0
    return float(fit.slope * step)


def _deviation(p: Params) -> float:
    x, y = _exact(p, p["my"], p["mx"])
    which, _, base = p["asked"].partition(", from the ")
    k = ORDER.index(which)
    fit = stats.linregress(x, y)
    at = fit.intercept + fit.slope * p["xs"][k] if base == "line" else y.mean()
    return float(p["ys"][k] - at)


def _interpretation(p: Params) -> re.Pattern[str]:
    x, y, a, b, s, share = (
        re.escape(p[k]) if isinstance(p[k], str) else f"{abs(p[k]):g}" for k in ("x", "y", "a", "b", "s", "share")
    )
    minus = "-" if p["a"] < 0 else ""
    return re.compile(
        {
            "slope": f"The predicted {y} is {b} .* {'higher' if p['b'] > 0 else 'lower'} for each additional .* of {x}",
            "intercept": f"The predicted {y} is {minus}{a} .* for an? .* with {x} of 0 ",
            "standard deviation of the residuals": f"The actual {y} typically differs by about {s} ",
            "value of r squared": f"About {share}% of the variation in {y} is explained",
        }[p["asked"]]
    )


def _explained(p: Params) -> float:
    given, _, part = p["asked"].partition(" given, ")
    share = 100 * (p["v"] ** 2 if given == "r" else abs(p["v"]))
    return float(share if part == "explained" else 100 - share)


def _correlation(p: Params) -> float:
    x, y = np.array(p["xs"]), np.array(p["ys"])
    r = float(stats.pearsonr(x, y).statistic)
    fits = {"r": r, "square": r**2, "y": stats.linregress(x, y).slope, "x": stats.linregress(y, x).slope}
    return float(fits[p["asked"]])


def _proportion(p: Params) -> float:
    table, i, j = np.array(p["table"], dtype=float), p["row"], p["column"]
    shares = table / table.sum()
    return float(
        {
            "row": shares[i, j] / shares[i].sum(),
            "column": shares[i, j] / shares[:, j].sum(),
            "joint": shares[i, j],
            "margin": shares[:, j].sum(),
        }[p["asked"]]
    )


def _influence(p: Params) -> str:
    """What really happens to slope and r when such a point joins data with this correlation."""
    x = stats.norm.ppf((np.arange(p["n"]) + 0.5) / p["n"])
    e = np.cos(np.arange(p["n"]) * 1.7)
    e -= np.polyval(np.polyfit(x, e, 1), x)
    y = p["r"] * x / x.std() + np.sqrt(1 - p["r"] ** 2) * e / e.std()
    before = stats.linregress(x, y)
    at = {
        "in line": (5.0, before.slope * 5),
        "flat": (5.0, 0.0),
        "middle": (0.0, 5.0),
        "steep": (5.0, before.slope * 10),
    }
    after = stats.linregress(*(np.append(v, w) for v, w in zip((x, y), at[p["asked"]], strict=True)))
    ratio = after.slope / before.slope
    slope = "stays about as it was" if abs(ratio - 1) < 0.1 else "becomes steeper" if ratio > 1 else "becomes flatter"
    r = "weaker" if abs(after.rvalue) < abs(before.rvalue) else "stronger"
    return f"The slope {slope}, and the correlation becomes {r}."


def _back(p: Params) -> float:
    base, _, x = p["asked"].partition(", ")
    power = p["a"] + p["b"] * int(x)
    return float(np.exp(power) if base == "base e" else np.logspace(0, power, 2)[1])


def _model(p: Params) -> float:
    name, _, x = p["asked"].partition(", ")
    k = ("exponential", "power").index(name)
    factor = int(x) ** p["b"][1] if k else 10 ** (p["b"][0] * int(x))
    return float(10 ** p["a"][k] * factor)


def _property(p: Params) -> str:
    """What an exact model of this form does when x grows by one unit or is doubled."""
    v, _, u = p["asked"].partition(" on ")
    forward: Callable[[float], float] = math.log if u == "log(x)" else float
    back: Callable[[float], float] = math.exp if v == "log(y)" else float
    at = [back(1.0 + 0.3 * forward(x)) for x in (2.0, 3.0, 4.0, 8.0, 9.0)]
    by_unit, by_double = (at[0], at[1], at[3], at[4]), (at[0], at[2], at[2], at[3])
    for start, (a, b, c, d) in (("An increase of one ", by_unit), ("A twofold increase ", by_double)):
        if math.isclose(b - a, d - c):
            return rf"{start}.* adds the same amount"
        if math.isclose(b / a, d / c):
            return rf"{start}.* multiplies "
    raise AssertionError(p)


def _seen(p: Params) -> str:
    text = p["seen"]["ABCD".index(p["asked"])]
    weak, bent, down = re.search("cloud|scatter|loosely", text), "curve" in text, re.search("fall|down|drop", text)
    names = "weak" if weak else "strong", "negative" if down else "positive", "nonlinear" if bent else "linear"
    return f"A {names[0]}, {names[1]}, {names[2]} association."


def _conclusion(p: Params) -> str | re.Pattern[str]:
    text = p["seen"]["ABCD".index(p["asked"])]
    if re.search("in the middle|at both ends", text):
        return "A line is not suitable for these cases"
    if fan := re.search("for (small|large) ones|(wider|narrower) as", text):
        end = fan[1] or ("large" if fan[2] == "wider" else "small")
        return f"A line is suitable for all cases, but with less precise predictions for {end} values"
    if point := re.search("one is far (above|below)|single point very far (above|below)", text):
        return re.compile(
            rf"A line is suitable for all cases but one, an? {p['one']} with .* far {point[1] or point[2]} the"
        )
    return "A line is suitable for all cases, with equally precise predictions"


def _unusual(p: Params) -> str:
    x, y = p["points"]["ABCD".index(p["asked"])]
    z = (x - p["mx"]) / p["sx"]
    size = abs(y - p["a"] - p["b"] * x) / p["s"]
    assert (abs(z) < 1.5 or abs(z) > 2.5) and (size < 1.5 or size > 2.5), p
    return (
        f"It has {'high' if abs(z) > 2 else 'low'} leverage and {'an' if size > 2 else 'no'} unusually large residual."
    )


def _reach(p: Params) -> str:
    study, _, x = p["asked"].partition(", ")
    cause = "supports a causal effect" if study == "experiment" else "shows an association only"
    place = "within" if p["low"] <= int(x) <= p["high"] else "outside"
    return f"The study {cause}, and the prediction is {place} the range of the data."


def _output(p: Params) -> float:
    r = float(np.sign(p["b"]) * np.sqrt(p["share"] / 100))
    return float({"slope": p["b"], "intercept": p["a"], "s": p["s"], "r": r}[p["asked"]])


def test_answers() -> None:
    check_topic(
        "two_variable",
        {
            "residual": _residual,
            "slope_from_summary": _slope,
            "line_from_summary": _deviation,
            "interpret_slope": _interpretation,
            "interpret_r_squared": _explained,
            "regression_output": _output,
            "cause_and_range": _reach,
            "correlation_from_data": _correlation,
            "influential_point": _influence,
            "conditional_proportion": _proportion,
            "log_prediction": _back,
            "power_or_exponential": _model,
            "transformed_model": lambda p: re.compile(_property(p)),
            "describe_scatterplot": _seen,
            "residual_plot": _conclusion,
            "unusual_points": _unusual,
        },
    )


def test_a_proper_noun_has_its_article() -> None:
    assert [article(noun) for noun in ("April temperature", "apple", "Monday")] == [
        "an April temperature", "an apple", "a Monday"]  # fmt: skip


@pytest.mark.parametrize("kind", kinds("two_variable"))
def test_answers_follow_from_the_printed_question(kind: str) -> None:
    for seed in range(60):
        problem = make_problem("two_variable", kind, seed, "test")
        agree(problem, READ[kind](problem.question))
