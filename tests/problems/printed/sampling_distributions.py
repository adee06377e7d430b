"""Answers to problems on sampling distributions from the printed question alone."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from scipy import stats

from ._chance import Expected, asked, below, find, has, share, values


def _area(curve: stats.rv_continuous, cut: float, ask: str) -> float:
    return float(curve.cdf(cut) if below(ask) else curve.sf(cut))


def _standard_error(q: str) -> Expected:
    sd = values(q, "SD # ", "sigma = #", "SD of #")[0]
    sizes = values(q, r"samples, of # and # ", r"random: # \w+ \(first\) and # ", r"consists of # \w+, a second of #")
    n = sizes[0 if "first" in asked(q) else 1]
    return float(sd * np.sqrt(n) if "total" in asked(q) else sd / np.sqrt(n))


def _one_or_mean(q: str) -> Expected:
    mean, sd = values(q, r"N\(#, #\)", "centered at # .* SD of # ", "mean #, SD #")
    n = values(q, "consists of # ", "sample of # ", "; # ")[0]
    ask = asked(q)
    cut = values(ask, "(?:above|below) #")[0]
    return _area(stats.norm(mean, sd / np.sqrt(n if "average" in ask else 1)), cut, ask)


def _total(q: str) -> Expected:
    mean, sd = values(q, "average # .* SD of #", "expected value # and SD #", r"expected [a-z ]+ is # .* SD is #")
    n = values(q, "Now # ", "Take # ", "sample has # ")[0]
    ask = asked(q)
    cut = values(ask, "than #")[0]
    if " total" in ask:
        return _area(stats.norm(n * mean, np.sqrt(n) * sd), cut, ask)
    return _area(stats.norm(mean, sd / np.sqrt(n)), cut, ask)


def _size(q: str) -> Expected:
    n = values(q, "With # ", "from # ", "It had # ")[0]
    words = {"half": 4, "a third": 9, "a quarter": 16, "a fifth": 25}
    words |= {"twice": 1 / 4, "three times": 1 / 9, "four times": 1 / 16, "five times": 1 / 25}
    return float(round(n * words[find(asked(q), "would (?:be|the SE be) (.*) as large")[0]]))


def _finite(q: str) -> Expected:
    total = values(q, "only # ", "Out of # ", "no more than # ", "consists of # ")[0]
    n = values(q, "and # are selected", "in all, # ", "sample of # ")[0]
    sd = values(q, "deviation of #", "SD of # ", "sigma = #")[0]
    share_left = 1.0 if has(q, "no correction") else (total - n) / (total - 1)
    return float(sd * np.sqrt(share_left) * (np.sqrt(n) if "total" in asked(q) else 1 / np.sqrt(n)))


def _proportion(q: str) -> Expected:
    p = share(q)
    sizes = values(q, r"have # \(first\) and # ", r"random, # .* and # for a second", r"first has # .* the second #")
    ask = asked(q)
    n = sizes[0 if "first" in ask else 1]
    return _area(stats.norm(p, np.sqrt(p * (1 - p) / n)), values(ask, "(?:above|below) #")[0], ask)


def _count(q: str) -> Expected:
    p, n = share(q), values(q, "For # ", "among # ", "How many of # ")[0]
    curve = stats.norm(n * p, np.sqrt(n * p * (1 - p)))
    ask = asked(q)
    if "between" in ask:
        low, high = values(ask, "between # and #")
        return float(curve.cdf(high) - curve.cdf(low))
    low_side = re.search(r"(?:fewer|less) than (\d+)", ask)
    high_side = re.search(r"(?:more|greater) than (\d+)", ask)
    return float((curve.cdf(int(low_side[1])) if low_side else 0) + (curve.sf(int(high_side[1])) if high_side else 0))


def _difference_of_means(q: str) -> Expected:
    if "two independent" in q:
        n1, n2, m1, m2, s1, s2 = values(q, r"has # .* second # .* means # and # and SDs # and #")
        first = find(q, r"random samples has \d+ [a-z ]+? with (.*), the second")[0]
    elif "averages" in q.split(".")[0] or "In the long run" in q:
        m1, s1, m2, s2, n1, n2 = values(q, r"averages # \w.* \(SD #\) .* # \w.* \(SD #\) .* # .* former and # ")
        first = find(q, r"\) under (.*?) and [\d.]+ ")[0]
    else:
        n1, n2, m1, s1, m2, s2 = values(q, r"With # and # .* N\(#, #\) and N\(#, #\)")
        first = find(q, "How much may (.*?) and ")[0]
    ask = asked(q)
    sign = 1 if find(q, "the average with (.*) less the average")[0] == first else -1
    cut = values(q, r"P\(D [<>] #\)", "is (?:greater|less) than #")[0]
    curve = stats.norm(sign * (m1 - m2), np.hypot(s1 / np.sqrt(n1), s2 / np.sqrt(n2)))
    return _area(curve, cut, q[q.rindex("P(D") :] if "P(D" in q else ask)


def _difference_of_proportions(q: str) -> Expected:
    n1, n2 = values(q, r"random, # .* and # \w+ this year", r"sizes # \(last year\) and # ", r"have # and # ")
    if "%" in q:
        a, b = (x / 100 for x in values(q, "#%.* #%"))
    else:
        a, b = values(q, ", # last year, is # this year")
    sign = 1 if find(q, r"fraction of (last|this) year, less", r"(last|this) year less that of")[0] == "last" else -1
    curve = stats.norm(sign * (a - b), np.sqrt(a * (1 - a) / n1 + b * (1 - b) / n2))
    cut = values(q, r"P\(D [<>] #\)", "is (?:greater|less) than #")[0]
    return _area(curve, cut, find(q, r"(P\(D.*)$", r"(is (?:greater|less) than .*)$")[0])


def _clt(q: str) -> Expected:
    mean, sd = values(q, "mean is # and the SD #", "mean # and SD #", "mean # .* and SD #")
    name, n_text = find(asked(q), r"(mean|total) of (\d+)")
    n, total = int(n_text), name == "total"
    side = find(q, "long (left|right) tail", "tail on the (left|right)")[0]
    shape = "Approximately normal" if n >= 30 else f"Skewed to the {side}"
    center, spread = (n * mean, sd * np.sqrt(n)) if total else (mean, sd / np.sqrt(n))
    return re.compile(rf"{shape}, with mean {center:.0f} and standard deviation {spread:.2f} ")


def _effect(q: str) -> Expected:
    ask = asked(q)
    if "Going from" in ask:
        old, new = values(ask, "from # to #")
    else:
        new, old = values(ask, r"with # \w+ in place of #")
    root = round(np.sqrt(max(old, new) / min(old, new)))
    larger, smaller = f"{root} times as large", f"1/{root} as large"
    if has(ask, "proportion"):
        return f"Its mean stays the same, and its standard deviation is {smaller if new > old else larger}."
    mean = f"{root**2} times as large" if new > old else f"1/{root**2} as large"
    return f"Its mean is {mean}, and its standard deviation is {larger if new > old else smaller}."


def _likelier(q: str) -> Expected:
    sizes = values(q, "random, # .* another #", "with # and # ", "One has # .* other #")
    ask, p = asked(q), share(q)
    far = []
    for n in sizes:
        x = np.arange(n + 1)
        unit = n if "fraction" in ask else 1
        limit = values(ask, r"(?:over|no more than|farther than) #")[0]
        far.append(stats.binom.pmf(x, n, p)[np.abs(x - n * p) / unit > limit + 1e-9].sum())
    close = has(ask, "no more than|no farther than")
    best = int(np.argmin(far) if close else np.argmax(far))
    return f"In the sample of {sizes[best]:.0f}, because there it varies {'less' if close else 'more'}."


def _interpretation(q: str) -> Expected:
    if "Population" in q:
        mean, sd, n, xbar, s = values(q, r"mean [a-z ]+ # .*?, SD #\. Sample of # .* mean [a-z ]+ # .*, SD #\.")
    elif "Is a sample" in q:
        n, xbar, s, mean, sd = values(q, r"sample of # .* averages # .* \(SD #\), against # .* \(SD #\)")
    else:
        n, xbar, s, mean, sd = values(q, r"In [a-z ]+, # .* of # \(SD #\), .* average of # \(SD #\)")
    ask = asked(q)
    if has(ask, r"sampling distribution|sigma / sqrt"):
        return re.compile(rf"The mean .* of {n:.0f} randomly .* {mean:g} .* about {sd / np.sqrt(n):.2f} ")
    if has(ask, "difference|minus"):
        return re.compile(rf"The mean .* of these {n:.0f} .* {mean:g} .* by {abs(xbar - mean):.4g} ")
    if has(ask, r"population SD|sigma"):
        return re.compile(rf"The .* of a single .* {mean:g} .* about {sd:g} ")
    return re.compile(rf"The .* of one of these {n:.0f} .* {xbar:g} .* about {s:g} ")


def _which_distribution(q: str) -> Expected:
    if "drawn by software" in q or "Software" in q:
        return "A simulated sampling distribution"
    if has(q, "each set|Every set"):
        return "The exact sampling distribution"
    total = find(q, r"of (\d+) [a-z]", r"From (\d+)", r"of the .* of (\d+)")[0]
    shown = find(q, r"each of the (\d+)", r"Every one of the (\d+)")[0]
    group = "the whole population" if shown == total else "a single random sample"
    return f"The distribution of the variable in {group}."


def _estimator(q: str) -> Expected:
    truth = values(q, "in truth #", "is # ", r"average [a-z ]+ \(# ")[0]
    statistics = {
        name: (float(center), float(high) - float(low))
        for name, center, low, high in re.findall(r"([WXYZ]) ([\d.]+) \(([\d.]+) to ([\d.]+)\)", q)
    }
    typical = np.median([width for _, width in statistics.values()])
    unbiased, low = has(asked(q), r"\bunbiased"), has(asked(q), "low variability")
    (name,) = (
        name
        for name, (center, width) in statistics.items()
        if np.isclose(center, truth) == unbiased and (width < typical) == low
    )
    return f"Statistic {name}"


READ: dict[str, Callable[[str], Expected]] = {
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
    "which_distribution": _which_distribution,
    "which_sample_size": _likelier,
}
