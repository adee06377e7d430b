"""One-variable problems against numpy and scipy."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from statllama.problems import kinds, make_problem

from .checks import Params, agree, check_topic
from .printed.one_variable import READ

YEARS = ("first year", "second year")


def _year(p: Params) -> int:
    return YEARS.index(p["asked"].partition(",")[0])


def _z_score(p: Params) -> float:
    k, x = _year(p), float(p["asked"].partition(", ")[2])
    return float(stats.norm.ppf(stats.norm.cdf(x, p["means"][k], p["sds"][k])))


def _tail(p: Params) -> float:
    side = stats.norm.sf if p["asked"].endswith("above") else stats.norm.cdf
    return float(side(p["cut"], p["means"][_year(p)], p["sds"][_year(p)]))


def _percentile(p: Params) -> float:
    find = stats.norm.isf if p["asked"].endswith("highest") else stats.norm.ppf
    return float(find(p["share"] / 100, p["means"][_year(p)], p["sds"][_year(p)]))


def _between(p: Params) -> float:
    place, low, _, high = p["asked"].split()
    inside = float(np.diff(stats.norm.cdf([float(low), float(high)], p["mean"], p["sd"]))[0])
    return inside if place == "between" else 1 - inside


def _cumulative_percent(p: Params) -> float:
    values, k = np.repeat(range(len(p["counts"])), p["counts"]), p["k"]
    asked = {f"{k} or less": values <= k, f"less than {k}": values < k, f"{k} or more": values >= k}
    return float(100 * np.mean(asked.get(p["asked"], values > k)))


def _comparison(p: Params) -> str:
    """By z-scores or by distances, how far apart the two results are; which one is named follows from the question."""
    by, _, name = p["asked"].partition(", ")
    away = np.subtract(p["x"], p["m"]) / (p["s"] if by == "z-scores" else 1)
    gap = abs(float(np.diff(away)[0]))
    return f"{name[0].upper()}{name[1:]}, by " + (
        f"{gap:.2f} standard deviations." if by == "z-scores" else f"{gap:.0f} "
    )


def _weighted(p: Params) -> float:
    by, _, k = p["asked"].partition(", ")
    means, sizes = p["means"][: int(k)], p["sizes"][: int(k)]
    return float(np.repeat(means, sizes).mean() if by == "values" else np.mean(means))


def _fence(p: Params) -> float:
    rule, _, limit = p["asked"].partition(", ")
    step = np.array([-1, 1]) * (2 * p["sd"] if rule == "2 SD" else 1.5 * (p["q3"] - p["q1"]))
    base = np.array([p["mean"], p["mean"]] if rule == "2 SD" else [p["q1"], p["q3"]])
    return float((base + step)[int(limit == "upper")])


def _changed(p: Params) -> float:
    """The measure of real data that have the given value, after the change."""
    data = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]) * 1.7 + 40
    measures: dict[str, Callable[[np.ndarray], float]] = {
        "mean": np.mean,
        "median": np.median,
        "standard deviation": np.std,
        "interquartile range": lambda x: np.subtract(*np.percentile(x, [75, 25])),
    }
    name, _, rule = p["asked"].partition(", ")
    measure, k = measures[name], p["rules"].index(rule)
    center = name in ("mean", "median")
    data = data + (p["center"] - measure(data)) if center else data * (p["spread"] / measure(data))
    return float(measure(p["a"][k] + p["b"][k] * data))


def _corrected(p: Params) -> float:
    """The mean of a list with the reported mean, after the change."""
    a, b = p["values"]
    old = {"forward": a, "backward": b, "removed": a, "added": p["mean"]}[p["asked"]]
    values = np.full(p["n"], (p["n"] * p["mean"] - old) / (p["n"] - 1))
    values[0] = old
    assert np.isclose(values.mean(), p["mean"])
    new = {"forward": [b], "backward": [a], "removed": [], "added": [old, b]}[p["asked"]]
    return float(np.append(values[1:], new).mean())


def _skew(p: Params) -> str:
    asked, _, name = p["asked"].partition(", ")
    k = p["names"].index(name)
    high = p["means"][k] > p["medians"][k]
    if asked == "shape":
        side, end = ("right", "high") if high else ("left", "low")
        return f"It is skewed to the {side}: the long tail is on the {end} side"
    return f"The mean {'falls' if high else 'rises'} toward the median"


def _effect(p: Params) -> str:
    """What really happens in data with this mean and standard deviation that contain the value, or get it."""
    how, x = p["asked"].split()
    sign = np.array([1.0, -1.0] * p["n"])[: p["n"] - 1 if how == "remove" else p["n"]]
    rest = sign - sign.mean()
    x = float(x)
    if how == "add":
        before = p["mean"] + p["sd"] * rest / rest.std(ddof=1)
        after = np.append(before, x)
    else:
        n, move = p["n"], (x - p["mean"]) / (p["n"] - 1)
        left = (n - 1) * p["sd"] ** 2 - (x - p["mean"]) ** 2 - (n - 1) * move**2
        after = p["mean"] - move + rest * np.sqrt(left / (rest**2).sum())
        before = np.append(after, x)
    assert np.isclose(before.mean(), p["mean"]) and np.isclose(before.std(ddof=1), p["sd"])
    names = {1: "increases", 0: "stays the same", -1: "decreases"}
    moved = [
        np.sign(round(b - a, 9)) for a, b in ((before.mean(), after.mean()), (before.std(ddof=1), after.std(ddof=1)))
    ]
    return f"The mean {names[moved[0]]}, and the standard deviation {names[moved[1]]}."


def _histogram_share(p: Params) -> float:
    values, words = np.repeat(p["limits"][:-1], p["counts"]), p["asked"].split()
    tests = {
        "from": lambda: (values >= int(words[1])) & (values < int(words[-1])),
        "less": lambda: values < int(words[-1]),
    }
    return float(100 * np.mean(tests.get(words[0], lambda: values >= int(words[0]))()))


def _histogram_quartile(p: Params) -> str:
    asked = p["asked"]
    quartile = {"first quartile": 25, "median": 50, "third quartile": 75}.get(asked)
    p_of = quartile or (100 - int(asked[11:13]) if asked.endswith("exceed") else int(asked[:2]))
    start = int(np.percentile(np.repeat(p["limits"][:-1], p["counts"]), p_of, method="inverted_cdf"))
    return (
        f"{start} to {2 * start - p['limits'][p['limits'].index(start) - 1]} "
        if start != p["limits"][0]
        else f"{start} "
    )


def _stem_and_leaf(p: Params) -> float:
    data = np.array(p["data"])
    halves = np.median(data[:5]), np.median(data[6:])
    return {
        "median": float(np.median(data)),
        "mean": float(np.mean(data)),
        "range": float(np.ptp(data)),
        "interquartile range": float(halves[1] - halves[0]),
    }[p["asked"]]


def _cumulative(p: Params) -> float:
    each = np.diff([0, *p["shares"]])
    limits, words = np.array(p["limits"]), p["asked"].split()
    if "but" in words:
        return float(each[(limits > int(words[1])) & (limits <= int(words[-1]))].sum())
    return float(each[(limits > int(words[-1])) if words[0] == "above" else (limits <= int(words[-1]))].sum())


def _shape(p: Params) -> str:
    """Skewness, gaps and peaks of the counts themselves."""
    counts = np.array(p["tables"]["ABCD".index(p["asked"])])
    if 0 in counts:
        return f"One peak and little skew, apart from a {'high' if counts[-1] == 1 else 'low'} outlier"
    if counts.max() < 1.6 * counts.min():
        return "Roughly uniform"
    skew = stats.skew(np.repeat(range(8), counts))
    if abs(skew) > 0.6:
        return f"Skewed to the {'right' if skew > 0 else 'left'}"
    return f"Roughly symmetric, with {'two peaks' if counts[3:5].sum() < counts[1:3].sum() / 2 else 'a single peak'}"


def _summary(p: Params) -> re.Pattern[str]:
    z = (p["x"] - p["mean"]) / p["sd"]
    return re.compile(
        {
            "standard deviation": rf"The .* typically differs from the mean by about {p['sd']:g} ",
            "interquartile range": rf"The .* of the middle half of .* extends over {p['iqr']:g} ",
            "percentile": rf"The .* of about {p['percent']}% of .* is at or below {p['x']:g} ",
            "z-score": rf"The .* of {p['x']:g} .* is {abs(z):.2f} standard deviations {'above' if z > 0 else 'below'} ",
        }[p["asked"]]
    )


def _box_spread(p: Params) -> float:
    low, q1, middle, q3, high = p["five"]
    return float({"range": high - low, "iqr": q3 - q1, "upper": high - middle, "lower": middle - low}[p["asked"]])


def _box_count(p: Params) -> float:
    """Counts in data with the given quartiles, a quarter of them between each two neighbors."""
    k = _year(p)
    q1, middle, q3 = p["boxes"][k]
    values = np.repeat([q1 - 1, (q1 + middle) / 2, (middle + q3) / 2, q3 + 1], p["sizes"][k] // 4)
    return float(np.sum(values > p["cut"] if p["asked"].endswith("above") else values < p["cut"]))


def _box_comparison(p: Params) -> str:
    of = {
        "median": lambda f: f[2],
        "interquartile range": lambda f: f[3] - f[1],
        "range": lambda f: f[4] - f[0],
        "maximum": lambda f: f[4],
    }[p["asked"]]
    gap = of(p["plots"][0]) - of(p["plots"][1])
    return f"The {YEARS[int(gap < 0)]}, by {abs(round(gap, 6)):g} "


def test_answers() -> None:
    check_topic(
        "one_variable",
        {
            "z_score": _z_score,
            "compare_z_scores": _comparison,
            "cumulative_percent": _cumulative_percent,
            "normal_tail": _tail,
            "normal_percentile": _percentile,
            "normal_between": _between,
            "sample_standard_deviation": lambda p: float(
                (np.std if p["asked"].endswith("deviation") else np.var)(
                    p["data"], ddof=int(p["asked"].startswith("sample"))
                )
            ),
            "weighted_mean": _weighted,
            "outlier_fence": _fence,
            "skew_from_center": _skew,
            "linear_change": _changed,
            "mean_after_correction": _corrected,
            "effect_of_a_value": _effect,
            "histogram_shares": _histogram_share,
            "histogram_quartiles": _histogram_quartile,
            "stem_and_leaf": _stem_and_leaf,
            "cumulative_graph": _cumulative,
            "describe_distribution": _shape,
            "interpret_summary": _summary,
            "box_plot_spread": _box_spread,
            "box_plot_counts": _box_count,
            "compare_box_plots": _box_comparison,
        },
    )


@pytest.mark.parametrize("kind", kinds("one_variable"))
def test_answers_follow_from_the_printed_question(kind: str) -> None:
    for seed in range(60):
        problem = make_problem("one_variable", kind, seed, "test")
        agree(problem, READ[kind](problem.question))


def test_printed_z_scores_agree_with_the_printed_gap() -> None:
    """The gap of two scores is what their printed values give, rounded to its digits."""
    for seed in range(60):
        problem = make_problem("one_variable", "compare_z_scores", seed)
        for solution in problem.solutions:
            scores = re.findall(r"/ [\d.]+ = (-?\d\.\d+)", "\n".join(solution))
            gap = re.search(r"by (\d\.\d\d) standard deviations", "\n".join(solution))
            if gap and len(scores) == 2:
                assert abs(abs(float(scores[0]) - float(scores[1])) - float(gap[1])) < 0.0065, solution
