"""Answers to problems on probability from the printed question alone."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from scipy import stats

from ._chance import Expected, asked, below, find, has, pairs, share, values


def _addition(q: str) -> Expected:
    if "%" in q:
        a, b, both = (x / 100 for x in values(q, r"that #%.*that #%.*have #%"))
    else:
        a, b, both = values(q, r"probability #.*probability #\. Both .* probability #", r"of #.* of #.*overlap of #")
    ask = asked(q)
    if has(ask, "at least one"):
        return a + b - both
    if has(ask, "neither"):
        return 1 - a - b + both
    return 1 - both if has(ask, "no more than one|does not have both") else a + b - 2 * both


def _at_least_one(q: str) -> Expected:
    ask, p = asked(q), share(q)
    n = int(find(q, r"Take (\d+)", r"consists of (\d+)", r", (\d+) [a-z]+ are selected")[0])
    chance = 1 - p if has(ask, "do not|are not") else p
    none = (1 - chance) ** n
    return none if has(ask, "without any|getting no ") else 1 - none


def _binomial(q: str) -> Expected:
    n = int(find(q, r"random sample of (\d+)", r"among (\d+)", r"How many of (\d+)")[0])
    sign, k = find(q, r"P\(X (=|>=|<=|>) (\d+)\)")
    x = np.arange(n + 1)
    keep = {"=": x == int(k), ">=": x >= int(k), "<=": x <= int(k), ">": x > int(k)}[sign]
    return float(stats.binom.pmf(x, n, share(q))[keep].sum())


def _binomial_spread(q: str) -> Expected:
    first, second = values(q, r"sizes # \(first\) and # ", r"# \w+ in the first and # ", r"has # \w+, the second #")
    n = first if has(asked(q), "first") else second
    variance = n * share(q) * (1 - share(q))
    return float(variance if "variance" in asked(q) else np.sqrt(variance))


def _geometric(q: str) -> Expected:
    k, q_fail = int(find(asked(q), r"(\d+)")[0]), 1 - share(q)
    ask = asked(q)
    if has(ask, "exactly|no more and no fewer"):
        return float(stats.geom.pmf(k, 1 - q_fail))
    if has(ask, "at most|or fewer"):
        return float(stats.geom.cdf(k, 1 - q_fail))
    return float(q_fail**k if has(ask, "more than|not enough") else q_fail ** (k - 1))


def _table(text: str) -> tuple[np.ndarray, np.ndarray]:
    x, p = np.array(pairs(text)).T
    assert np.isclose(p.sum(), 1)
    return x, p


def _spread_of_table(q: str) -> Expected:
    x, p = _table(q)
    variance = float(p @ x**2 - (p @ x) ** 2) * (2 if "two independent" in q else 1)
    return variance if "variance" in q else variance**0.5


def _event_of_table(q: str) -> Expected:
    x, p = _table(q)
    symbol = re.search(r"P\(X (<|>=) (\d)", q)
    word = re.search(r"is the number of \w+ (less than|at least) (\d)", q)
    sign, k = symbol.groups() if symbol else word.groups()  # type: ignore[union-attr]
    event = x >= int(k) if sign in (">=", "at least") else x < int(k)
    given = x > 0 if has(q, r"\| X > 0|X is not 0") else x >= 0
    return float(p[event & given].sum() / p[given].sum())


def _mean_of_table(q: str) -> Expected:
    name = find(q, "(?:According to|deviation of|mean of) ([XY])")[0]
    four = pairs(q)
    x, p = np.array(four[:4] if name == "X" else four[4:]).T
    mean = float(p @ x)
    return float(np.sqrt(p @ (x - mean) ** 2)) if "standard deviation" in q else mean


def _gain(q: str) -> Expected:
    numbers = values(
        q,
        r"A at # dollars, B at #\. If .* probability #, A pays # dollars and B #; .* probability #, A pays # and B #\.",
        r"A, # dollars buy # dollars .* and # in case .* B, # dollars buy # and #\. The chance .* is # and .* is #\.",
        r"probability #, A pays # dollars and B #; .* probability #, A pays # and B #\. .* # dollars for A and # for",
    )
    if "better for" in q:
        (price_a, price_b, p1, big_a, big_b, p2, small_a, small_b) = numbers
    elif "Under A" in q:
        (price_a, big_a, small_a, price_b, big_b, small_b, p1, p2) = numbers
    else:
        (p1, big_a, big_b, p2, small_a, small_b, price_a, price_b) = numbers
    name = find(asked(q), r"(?:from|with|does) ([AB])\b")[0]
    price, big, small = (price_a, big_a, small_a) if name == "A" else (price_b, big_b, small_b)
    paid = p1 * big + p2 * small
    if has(asked(q), "payment|pay out"):
        return paid
    return price - paid if has(asked(q), "airline|cooperative") else paid - price


def _combination(q: str) -> Expected:
    if "variances" in q:
        sd = [x**0.5 for x in values(q, "variances are # and #")]
    else:
        sd = values(q, "sigma is #.*sigma is #", r"SD #;.*SD #\.")
    form = asked(q)
    variances = [sd[0] ** 2, sd[1] ** 2]
    for i, name in enumerate("XY"):
        variances[i] *= 4 if f"2{name}" in form else 2 if f"{name}1" in form else 1
    return float(np.sqrt(sum(variances)))


def _normal(q: str) -> Expected:
    numbers = values(
        q,
        r"mean #, SD # .*mean #, SD #",
        r"means # and # \w+ and SDs # and #",
        r"around # \w+ with an SD of #, the latter around # with an SD of #",
    )
    m1, s1, m2, s2 = (numbers[0], numbers[2], numbers[1], numbers[3]) if "means" in q else numbers
    ask = asked(q)
    cut = values(ask, r"[<>] #\)", "than # ")[0]
    mean = m1 - m2 if " minus " in ask else m1 + m2
    curve = stats.norm(mean, np.hypot(s1, s2))
    return float(curve.cdf(cut) if below(ask) else curve.sf(cut))


def _exclusive_or_independent(q: str) -> Expected:
    if "%" in q:
        a, b = (x / 100 for x in values(q, "#%.* #%"))
    else:
        a, b = values(q, r"probability #; event B, .* probability #", r"P\(A\) = # and P\(B\) = #")
    none = 1 - a - b if "mutually exclusive" in q else (1 - a) * (1 - b)
    return none if has(q, "neither") else 1 - none


def _independence(q: str) -> Expected:
    numbers = values(
        q,
        r"both are #, # and #; in this year's records, they are #, # and #\.",
        r"A #, B #, both #, and for this year, A #, B #, both #\.",
        r"had probability # last year and has # this year; B, .* had # and has #; both together had # and have #\.",
    )
    years = {"last": numbers[:3], "this": numbers[3:]}
    if "had probability" in q:
        years = {"last": numbers[::2], "this": numbers[1::2]}
    a, b, both = years[find(q, "With the probabilities of (last|this) year", "Judging by (last|this) year")[0]]
    given = find(q, r"likely is ([AB]) given [AB]", r"P\(([AB]) \| [AB]\)")[0]
    verdict = "Independent" if np.isclose(both, a * b) else "Not independent"
    return f"{verdict}; the conditional probability is {both / (b if given == 'A' else a):.1f}."


def _relation(q: str) -> Expected:
    if "%" in q:
        a, b = (x / 100 for x in values(q, "#%.* #%"))
    else:
        a, b = values(q, r"P\(A\) = #.*P\(B\) = #", r"With probability #.*With probability #")
    both = values(q, r"with probability #\?$", r"With a probability of # that")[0]
    if np.isclose(both, a * b):
        return "They are independent"
    if both == 0:
        return "They are mutually exclusive"
    return f"They are dependent: knowing A makes B {'more' if both > a * b else 'less'} likely"


def _trial(q: str) -> Expected:
    n = int(find(q, r"samples of (\d+) ", r"when (\d+) ", r"can (\d+) ")[0])
    last = round(100 * share(q)) - 1
    span = f"from {last + 1:02d} to 99" if has(asked(q), "do not|are not") else f"from 00 to {last:02d}"
    if "it takes" in asked(q):
        return f"Read random numbers until one is {span}, and record how many numbers were read."
    return f"Read {n} random numbers in turn, and record how many of the numbers are {span}."


def _estimate(q: str) -> Expected:
    if "dot" in q:
        results = [(int(x), int(c)) for c, x in re.findall(r"(\d+) dots? at (\d+)", q)]
    else:
        results = [(int(x), int(c)) for x, c in re.findall(r"(\d+) \((\d+) times?\)", q)]
    trials = int(find(q, r"(\d+) simulated", r"simulates (\d+)")[0])
    assert sum(c for _, c in results) == trials
    said, k = find(asked(q), r"(exactly|at least|at most|more than) (\d+)")
    keep = {"exactly": int.__eq__, "at least": int.__ge__, "at most": int.__le__, "more than": int.__gt__}[said]
    return sum(c for x, c in results if keep(x, int(k))) / trials


def _long_run(q: str) -> Expected:
    ask = asked(q)
    if has(ask, "large numbers|more and more"):
        return re.compile("The proportion .* settles down near ")
    if has(ask, "independence|influence those"):
        return re.compile("The next .* whatever came before")
    p = share(q) if "%" in q else values(q, "true proportion is #")[0]
    n = int(find(q, r"out of (\d+)", r"After (\d+) draws", r"Out of (\d+)")[0])
    if has(ask, "variation|far off"):
        return re.compile(rf"In samples of {n}, the proportion .* {p:g} by about {(p * (1 - p) / n) ** 0.5:.3f}\.")
    return re.compile(rf"In samples of {n}, the number .* is about {n * p:.1f} on average")


def _union(q: str) -> Expected:
    table = {
        row.lower(): {name: int(c) for name, c in re.findall(r"([a-z][a-z ]*?) (\d+)", cells)}
        for row, cells in re.findall(r"([A-Z][a-z ]+): ((?:[a-z ]+ \d+(?:, )?)+)", q)
    }
    total = sum(map(sum, (row.values() for row in table.values())))
    ask = asked(q)
    row = next(name for name in table if name in ask)
    column = next(name for name in table[row] if name in ask.replace(row, "", 1))
    union = sum(table[row].values()) + sum(cells[column] for name, cells in table.items() if name != row)
    return 1 - union / total if "neither" in ask else union / total


def _venn(q: str) -> Expected:
    if "alone" in q:
        only_a, only_b, both, neither = values(q, "# in the part .* # in the part .* # in the overlap, # outside")
    elif "four groups" in q:
        both, only_a, only_b, neither = values(q, "groups: # .*, # do just the first, # do just the second, and # do")
    else:
        total, a, b, both = values(q, "Out of # .* there are # .* and # .* include # ")
        only_a, only_b, neither = a - both, b - both, total - a - b + both
    a, b, total = only_a + both, only_b + both, only_a + only_b + both + neither
    ask = asked(q)
    if "P(" in ask:
        event = find(ask, r"P\(([^)]*)\)")[0]
    elif "Of the" in ask:
        given, wanted = find(ask, r"(?:who|that) (.*), what .* also (.*)\?")
        event = "A | B" if q.index(given) > q.index(wanted) else "B | A"
    else:
        event = "A and B" if " both " in ask.replace("do both", "") else "A or B"
    return {"A or B": (a + b - both) / total, "A and B": both / total, "A | B": both / b, "B | A": both / a}[event]


def _bayes(q: str) -> Expected:
    if "sensitivity" in q:
        sens, spec, prior = values(q, "sensitivity # and specificity #.*proportion of #")
    elif "%" in q:
        prior, sens, alarm = (x / 100 for x in values(q, "#% have .* #% test positive; without it, #%"))
        spec = 1 - alarm
    else:
        prior, sens, alarm = values(q, r"P\(C\) = #.*rate of #.*rate of #")
        spec = 1 - alarm
    ask = asked(q)
    negative = "negative" in ask
    ill, well = prior * (1 - sens if negative else sens), (1 - prior) * (spec if negative else 1 - spec)
    return (well if has(ask, "absence|without") else ill) / (ill + well)


def _lot(q: str) -> Expected:
    names = "sound|rotten|intact|blown|blank|marked|whole|cracked"
    lot = re.split("The draws|Not one|Each of", q)[0]
    sorts = {sort: int(c) for c, sort in re.findall(rf"(\d+) (?:[a-z]+ )*?({names})\b", lot)}
    wanted = find(q, r"drawn are (\w+)\?", r"How likely are (\w+) ")[0]
    if "the rest" in q:
        total = int(find(q, r"Of (\d+)")[0])
        (known,) = sorts
        good = sorts[known] if known == wanted else total - sorts[known]
    else:
        total, good = sum(sorts.values()), sorts[wanted]
    k = int(find(q, r"takes out (\d+)", r"picks (\d+)", r"(\d+) are drawn", r"(\d+) are to be drawn")[0])
    if has(q, "with replacement|put back at once"):
        return (good / total) ** k
    return float(stats.hypergeom.pmf(k, total, good, k))


READ: dict[str, Callable[[str], Expected]] = {
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
    "union_from_table": _union,
    "venn_counts": _venn,
    "without_replacement": _lot,
}
