"""Answers to one-variable problems of the test split, from the printed question alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats

from ._reading import Expected, find, numbers, words

YEARS = ("first", "second")


def _z_score(q: str) -> Expected:
    m1, s1, m2, s2 = find(
        q,
        r"was # .* in the first year, when the SD was #, and # .* in the second, when the SD was #\.",
        r"x-bar = # and s = # under \"first year\" and x-bar = # and s = #",
        r"average of # .* and an SD of # .*; the second year's average of # and SD of # ",
    )
    (x,) = find(q, r"the mean is .* at #", r"Convert #")
    (year,) = words(q, r"In the (\w+) year, how", r"of the (\w+) year, to standard")
    return float((x - (m1, m2)[YEARS.index(year)]) / (s1, s2)[YEARS.index(year)])


def _compare_z_scores(q: str) -> Expected:
    names = words(
        q,
        r"from (the .*?) \(.*?from (the .*?) \(",
        r"for (the .*?) shows .*; for (the .*?), ",
        r"fields: (the .*?) averages .*while (the .*?) averages",
    )
    if "comes home" in q:
        x1, m1, s1, x2, m2, s2 = find(q, r"with # .*?\(field average #, SD #\) and # .*?\(field average #, SD #\)")
    else:
        m1, s1, m2, s2, x1, x2 = find(
            q,
            r"average of # .*? and an SD of #; for .*?, # and #\..* with # and # ",
            r"averages # .*? with SD #, while .*? averages # with SD #\..* scores # in one and # ",
        )
    raw = re.search("Ignoring how much|before any standardizing", q) is not None
    away = [x1 - m1, x2 - m2] if raw else [(x1 - m1) / s1, (x2 - m2) / s2]
    wanted = max(away) if re.search("stronger|larger", q) else min(away)
    gap = abs(away[0] - away[1])
    name = names[away.index(wanted)]
    return f"{name[0].upper()}{name[1:]}, by " + (f"{gap:.0f} " if raw else f"{gap:.2f} standard deviations.")


def _cumulative_percent(q: str) -> Expected:
    counts = numbers(" ".join(re.findall(r"\((\d+) times\)", q)))
    if not counts:
        counts = list(find(q, r"bars of height #, #, #, # and #"))
    k = int(re.findall(r"\d+", q)[-1])
    test = {"less than": np.less, "or less": np.less_equal, "more than": np.greater, "or more": np.greater_equal}
    (name,) = words(q.rpartition(".")[0] + q[-60:], r"(less than|or less|more than|or more)[^?]*\?")
    values = np.repeat(range(5), [int(c) for c in counts])
    return float(100 * np.mean(test[name](values, k)))


def _two_normals(q: str) -> Mapping[str, tuple[float, float]]:
    m1, s1, m2, s2 = find(
        q,
        r"first year's is centered at # .* with SD #, the second year's at # .* with SD #\.",
        r"N\(#, #\) in the first year and N\(#, #\) in the second",
        r"averaged # .* with SD #, in the first year, and # .*, with SD #, in the second",
    )
    return {"first": (m1, s1), "second": (m2, s2)}


def _normal_tail(q: str) -> Expected:
    year, side = (
        words(q, r"for the (\w+) year, what fraction of all values lies (\w+)")
        if "According" in q
        else (words(q, r"of the (\w+) year\?$") + words(q, r"a value (\w+) "))
    )
    (cut,) = find(q, rf"(?:lies|value) {side} #")
    area = stats.norm.sf if side == "above" else stats.norm.cdf
    return float(area(cut, *_two_normals(q)[year]))


def _normal_percentile(q: str) -> Expected:
    (year,) = words(q, r"In the (\w+) year, where", r"value of the (\w+) year marks")
    (percent,) = find(q, r"(?:lowest|highest) #%", r"marks the #\w\w percentile")
    share = 1 - percent / 100 if "highest" in q else percent / 100
    return float(stats.norm.ppf(share, *_two_normals(q)[year]))


def _normal_between(q: str) -> Expected:
    model = find(q, r"average # .*, with SD #,", r"N\(#, #\)", r"peak at # .* and an SD of #")
    low, high = find(
        q, r"from # up to #", r"at least # and at most #", r"range from # to #", r"less than # or more than #"
    )
    inside = float(stats.norm.cdf(high, *model) - stats.norm.cdf(low, *model))
    return 1 - inside if re.search("outside|either less", q) else inside


def _standard_deviation(q: str) -> Expected:
    data = numbers(max(re.findall(r"\d[\d.]*(?:, \d[\d.]*)+", q), key=len))
    sample = re.search("does the sample have|are a random sample", q) is not None
    variance = float(np.var(data, ddof=int(sample)))
    return variance if "variance" in q else variance**0.5


def _weighted_mean(q: str) -> Expected:
    pairs = find(
        q,
        r"first day # .*? averaged # .*? on a second day # others averaged #, and on a third day # averaged #\.",
        r"n = #, x-bar = #\. .* n = #, x-bar = #\. .* n = #, x-bar = #\.",
        r"one has # values with average # .*?, one has # with average #, and one has # with average #\.",
    )
    k = 2 if "first two groups" in q else 3
    sizes, means = pairs[0::2][:k], pairs[1::2][:k]
    equal = re.search("as much weight|only the averages", q) is not None
    return float(np.average(means, weights=None if equal else sizes))


def _outlier_fence(q: str) -> Expected:
    if "x-bar" in q:
        mean, sd, q1, q3 = find(q, r"x-bar = #, s = #, Q1 = #, Q3 = #")
    else:
        q1, q3, mean, sd = find(
            q,
            r"from # to # .*, the two quartiles\. The average is # and the SD #\.",
            r"from # to # .*average, #, and the SD, #\.",
        )
    way = 1 if re.search("upper cutoff|values above", q) else -1
    if "two SDs" in q:
        return mean + way * 2 * sd
    return (q3 if way > 0 else q1) + way * 1.5 * (q3 - q1)


def _skew(q: str) -> Expected:
    stem, ask = re.split(r"(?<=\.) (?=To what|How would|What is to)", q)
    if "as the value in the middle" in q:
        mid1, one, mean1, mean2, mid2 = re.search(  # type: ignore[union-attr]
            r"With (\d+) .*? middle, the (.*) average (\d+)\. .* average (\d+) .*, with (\d+) in", stem
        ).groups()
    elif "They are" in q:
        mean1, mid1, one, mean2, mid2 = re.search(  # type: ignore[union-attr]
            r"They are (\d+) and (\d+) \w+ for the (.*?); for the .* they are (\d+) and (\d+) ", stem
        ).groups()
    else:
        mean1, mid1, one, mean2, mid2 = re.search(  # type: ignore[union-attr]
            r"values: (\d+) and (\d+) \w+ for the (.*?), but (\d+) and (\d+) ", stem
        ).groups()
    mean, mid = (int(mean1), int(mid1)) if one in ask else (int(mean2), int(mid2))
    if re.search("shape|histogram", ask):
        return f"It is skewed to the {'right' if mean > mid else 'left'}:"
    return f"The mean {'falls' if mean > mid else 'rises'} toward the median,"


def _linear_change(q: str) -> Expected:
    first, a1, b1, second, a2, b2 = re.search(  # type: ignore[union-attr]
        r"With (.*?), each entry x becomes ([\d.]+) \+ ([\d.]+) x .*?; with (.*?), ([\d.]+) \+ ([\d.]+) x "
        if "each entry" in q
        else r"().* are ([\d.]+) \+ ([\d.]+) x with .*?() and ([\d.]+) \+ ([\d.]+) x with "
        if "values of x" in q
        else r"()of ([\d.]+) plus ([\d.]+) for every unit.*?()or ([\d.]+) plus ([\d.]+) for every unit",
        q,
    ).groups()
    if not first:
        first, second = re.findall(r"for every unit \((.*?)\)", q) or re.findall(r"\d x with (.*?)(?: and \d|\. A)", q)
    measures = "mean|median|standard deviation|interquartile range"
    old = {name: float(x) for name, x in re.findall(rf"({measures})(?: comes)?(?: to)? (\d[\d.]*\d|\d)", q)}
    name, rule = words(
        q, rf"What ({measures}) do .* under the rule of (.*)\?$", rf"State the ({measures}) of .* results with (.*)\.$"
    )
    a, b = (float(a1), float(b1)) if rule == first else (float(a2), float(b2))
    assert rule in (first, second)
    return b * old[name] + (a if name in ("mean", "median") else 0)


def _mean_after_correction(q: str) -> Expected:
    n, mean = find(q, r"of # .* was reported as # ", r"check, # .* average # ", r"note on # .* gives # ")
    out = find(q, r"(?:entered as|entry of|value of) #") if "overlooked" not in q and "joins" not in q else ()
    into = find(q, r"(?:should have been|error for) #") if re.search("should have|error for", q) else ()
    if not out:
        into = find(q, r"value of # .* overlooked", r"with # .* joins")
    return float((n * mean - sum(out) + sum(into)) / (n - len(out) + len(into)))


def _effect(q: str) -> Expected:
    if "x-bar" in q:
        mean, sd, n = find(q, r"x-bar = # and s = # .* among # ")
    else:
        n, mean, sd = find(
            q, r"^# .*? average # .*SD of these data is #\.", r"holds # values .* average is # .*, their SD #"
        )
    (x,) = find(q, r"new entry, # ", r"measured, with # ", r"entries, # ", r"of the group, with # ")
    joins = re.search("comes in|joins", q) is not None
    squares, way = (n - 1) * sd**2, 1 if joins else -1
    m = n + way
    new_mean = (n * mean + way * x) / m
    new_squares = squares + n * mean**2 + way * x**2 - m * new_mean**2
    moves = [new_mean - mean, (new_squares / (m - 1)) ** 0.5 - sd]
    said = ["stays the same" if abs(d) < 1e-9 else "increases" if d > 0 else "decreases" for d in moves]
    return f"The mean {said[0]}, and the standard deviation {said[1]}."


def _bars(q: str) -> tuple[list[int], list[int]]:
    found = re.findall(r"(\d+) to (\d+): (\d+)", q)
    return [int(a) for a, _, _ in found] + [int(found[-1][1])], [int(c) for _, _, c in found]


def _histogram_shares(q: str) -> Expected:
    limits, counts = _bars(q)
    starts = np.array(limits[:-1])
    ask = q[q.rindex(",") :] if "Out of" in q else q[q.rindex("Which") :]
    ends = [int(x) for x in re.findall(r"\d+", ask)]
    inside = starts >= ends[0] if "above" in ask else starts < ends[-1]
    if "from" in ask:
        inside &= starts >= ends[0]
    return float(100 * np.dot(inside, counts) / sum(counts))


def _histogram_quartiles(q: str) -> Expected:
    limits, counts = _bars(q)
    (name,) = words(q, "Where in the table is the (.*) to be found", "into which the (.*) falls")
    percent = {"first quartile": 25.0, "median": 50.0, "third quartile": 75.0}.get(name) or numbers(name)[0]
    share = (100 - percent if "exceed" in name else percent) / 100
    i = int(np.searchsorted(np.cumsum(counts), share * sum(counts)))
    return f"{limits[i]} to {limits[i + 1]} "


def _stem_and_leaf(q: str) -> Expected:
    rows = re.search(r"\d+ \|[ \d]*(?:; \d+ \|[ \d]*)+", q).group().split("; ")  # type: ignore[union-attr]
    data = np.array([int(row.split("|")[0]) * 10 + int(leaf) for row in rows for leaf in row.split("|")[1].split()])
    (name,) = words(q, "State the (.*) of the data", "compute the (.*)\\.$")
    half = len(data) // 2
    return float(
        {
            "mean": np.mean(data),
            "median": np.median(data),
            "range": np.ptp(data),
            "interquartile range": np.median(data[-half:]) - np.median(data[:half]),
        }[name]
    )


def _cumulative_graph(q: str) -> Expected:
    shares = {int(x): float(p) for x, p in re.findall(r"\((\d+), (\d\.\d+)\)", q)}
    low, high = words(q, r"is (?:above (\d+))?(?: but )?(?:at most (\d+))? [a-z ]+\?$")
    return float((shares[int(high)] if high else 1.0) - (shares[int(low)] if low else 0.0))


def _describe_distribution(q: str) -> Expected:
    (name,) = words(q, r"set ([A-D])(?:\.| look)")
    counts = numbers(re.search(rf"Set {name}: ([\d, ]+)\.", q).group(1))  # type: ignore[union-attr]
    if 0 in counts:
        return f"One peak and little skew, apart from a {'high' if counts[-2] == 0 else 'low'} outlier"
    if max(counts) - min(counts) <= 4:
        return "Roughly uniform,"
    if abs(counts[0] - counts[-1]) > 10:
        return f"Skewed to the {'right' if counts[0] > counts[-1] else 'left'}, with a single peak"
    return f"Roughly symmetric, with {'two peaks' if counts[3] + counts[4] < counts[1] else 'a single peak'}"


def _interpret_summary(q: str) -> Expected:
    sd, iqr = find(q, r"s = # and IQR = #", r"SD is #, the IQR #\.", r"SD # and IQR # ")
    (x,) = find(q, r"at # \D*, has", r"percentile is # ", r"One of them, # ")
    z, percent = (
        find(q, r"z = # and belongs to the #", r"z = #, #\w\w percentile")
        if "for which" not in q
        else (find(q, r"for which z = #\.") + find(q, r"The #\w\w percentile is"))
    )
    (name,) = words(q, "How should the (.*) be read", "interpretation of the (.*)\\.$")
    side = "above" if z > 0 else "below"
    return re.compile(
        {
            "standard deviation": rf"The .* typically differs from the mean by about {sd:g} ",
            "interquartile range": rf"The .* of the middle half of .* extends over {iqr:g} ",
            "percentile": rf"The .* of about {percent:g}% of these .* is at or below {x:g} ",
            "z-score": rf"The .* of {x:g} .* is {abs(z):.2f} standard deviations {side} the mean",
        }[name]
    )


def _box_plot_spread(q: str) -> Expected:
    if "goes from" in q:
        low, high, middle, q1, q3 = find(
            q, r"goes from # up to # .*, with # as the middle value and quartiles of # and #\."
        )
    else:
        low, q1, middle, q3, high = find(
            q,
            r"Min = #, Q1 = #, Med = #, Q3 = #, Max = #:",
            r"line from # .* starts at #, is divided at # and stops at #; another line goes on to #\.",
        )
    ask = q[max(q.rindex("Over what") if "Over what" in q else 0, q.rindex("How many") if "How many" in q else 0) :]
    parts = {
        "whole|two extreme": high - low,
        "middle half|two quartiles": q3 - q1,
        "upper half|from the largest": high - middle,
        "lower half|the smallest": middle - low,
    }
    return float(next(width for pattern, width in parts.items() if re.search(pattern, ask)))


def _box_plot_counts(q: str) -> Expected:
    if "year by year" in q:
        n1, a1, c1, _, n2, a2, c2, _ = find(
            q, r"half of the # .* from # to # .* median of #, half of the # .* from # to # around #\."
        )
    elif "calculator" in q:
        a1, _, c1, n1, n2, a2, _, c2 = find(
            q, r"Q1 = #, Med = #, Q3 = # for .* among # .* first year; for # .* Q1 = #, Med = #, Q3 = #\."
        )
    else:
        n1, a1, _, c1, n2, a2, _, c2 = find(
            q,
            r"first year's # .* at #, is divided at # and stops at # .* year's # starts at #, .* at # and stops at #\.",
        )
    year, side = (words(q, r"(?:the|In the) (\w+) year(?:, what| have)")[0], words(q, r"(above|below) #?")[0])
    (cut,) = find(q, rf"{side} #")
    n, q1, q3 = ((n1, a1, c1), (n2, a2, c2))[YEARS.index(year)]
    assert cut in (q1, q3)
    return float(n * (0.25 if (cut == q1) == (side == "below") else 0.75))


def _compare_box_plots(q: str) -> Expected:
    one, two = (numbers(text) for text in re.findall(r"-?\d[\d.]*(?:, \d[\d.]*){4}", q))
    (name,) = words(q, "greater (.*), and how great", "with the larger (.*), and say")
    of: Mapping[str, Callable[[list[float]], float]] = {
        "median": lambda f: f[2],
        "maximum": lambda f: f[4],
        "range": lambda f: f[4] - f[0],
        "interquartile range": lambda f: f[3] - f[1],
    }
    gap = of[name](one) - of[name](two)
    return f"The {YEARS[int(gap < 0)]} year, by {round(abs(gap), 6):g} "


READ: Mapping[str, Callable[[str], Expected]] = {
    "z_score": _z_score,
    "compare_z_scores": _compare_z_scores,
    "cumulative_percent": _cumulative_percent,
    "normal_tail": _normal_tail,
    "normal_percentile": _normal_percentile,
    "normal_between": _normal_between,
    "sample_standard_deviation": _standard_deviation,
    "weighted_mean": _weighted_mean,
    "outlier_fence": _outlier_fence,
    "skew_from_center": _skew,
    "linear_change": _linear_change,
    "mean_after_correction": _mean_after_correction,
    "effect_of_a_value": _effect,
    "histogram_shares": _histogram_shares,
    "histogram_quartiles": _histogram_quartiles,
    "stem_and_leaf": _stem_and_leaf,
    "cumulative_graph": _cumulative_graph,
    "describe_distribution": _describe_distribution,
    "interpret_summary": _interpret_summary,
    "box_plot_spread": _box_plot_spread,
    "box_plot_counts": _box_plot_counts,
    "compare_box_plots": _compare_box_plots,
}
