"""Answers to problems on means from the printed question alone, without anything of the generator."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from scipy import stats

from ._find import Expected, ask, choose, find, table, tail, value, values

_LIST = re.compile(r"(?:-?\d+, ){5}-?\d+")


def _one_mean_interval(q: str) -> Expected:
    n = value(q, r"sample of size (\d+)", r": (\d+) of them", r"random sample of (\d+)")
    mean = value(q, r"(?:average [a-z -]+ of|averaged|average of) (#)")
    sd = value(q, r"With s(?:igma)? = (#)", r"standard deviation of the (?:sample is|population.* given as) (#)")
    level = value(q, r"(#)%") / 100
    curve = stats.norm if re.search("sigma =|of the population, a", q) else stats.t(n - 1)
    margin = curve.isf((1 - level) / 2) * sd / np.sqrt(n)
    return mean - margin, mean + margin


def _interpret_confidence(q: str) -> Expected:
    asked = choose(
        q,
        ("interval", r"interval itself|interpretation of the interval"),
        ("level", r'(?:should|of) "\d+% confidence"'),
        ("margin", "margin of error"),
        ("se", r"(?:should|interpretation of) the standard error"),
    )
    level = find(q, r"(\d+)%")
    return re.compile(
        {
            "interval": rf"We are {level}% confident that the mean .* of all .* is between ",
            "level": rf"In the long run, about {level}% of the intervals from random samples ",
            "margin": rf"With {level}% confidence, the sample mean is within ",
            "se": r"Means of random samples of \d+ .* typically differ from the mean ",
        }[asked]
    )


def _sample_size(q: str) -> Expected:
    source = find(q, "sigma from the (pilot study|older report)", "If the (pilot study|older report) is right")
    pilot = value(q, "pilot study says (#)", "(#) [a-z ]+, as in a pilot study", "(#) [a-z ]+ in the pilot study")
    past = value(
        q, "older report says sigma = (#)", "(#) [a-z ]+, as in an older report", "(#) [a-z ]+ in an older report"
    )
    reach = value(q, "no more than (#)", "to within (#)", "no wider than (#)", "total width of (#)")
    margin = reach / 2 if re.search("wider|width", q) else reach
    z = stats.norm.isf((1 - value(q, "(#)%") / 100) / 2)
    return float(np.ceil((z * {"pilot study": pilot, "older report": past}[source] / margin) ** 2))


def _complete_t_output(q: str) -> Expected:
    row = table(q)[find(ask(q), r"row ([AB])")]
    null = value(q, "null value is (#)", "compared with (#)", "H0: mu = (#)")
    error = float(row["StDev"]) / np.sqrt(float(row["N"]))
    return float(error if "SE Mean" in ask(q) else (float(row["Mean"]) - null) / error)


def _p_value_from_output(q: str) -> Expected:
    row, sign = table(q)[find(ask(q), r"row ([AB])")], find(ask(q), "Ha: mu (>|<|!=)")
    printed = float(row["P-Value"])
    if sign == "!=":
        return printed
    return printed / 2 if (float(row["T-Value"]) > 0) == (sign == ">") else 1 - printed / 2


def _lists(q: str) -> tuple[list[int], list[int]]:
    before, after = ([int(x) for x in text.split(", ")] for text in _LIST.findall(q))
    return (after, before) if "after minus before" in q else (before, after)


def _paired_t(q: str) -> Expected:
    design = choose(q, ("paired", "come from the same|at the same place"), ("apart", "come from different|in common"))
    return float((stats.ttest_rel if design == "paired" else stats.ttest_ind)(*_lists(q)).statistic)


def _paired_interval(q: str) -> Expected:
    limits = stats.ttest_rel(*_lists(q)).confidence_interval(value(q, "(#)%") / 100)
    return float(limits.low), float(limits.high)


def _turned(stem: str, first: str, second: str) -> bool:
    """Whether the first of two treatments is the second in the story."""
    return stem.lower().index(first.lower()) > stem.lower().index(second.lower())


def _two_mean_interval(q: str) -> Expected:
    sds = values(q, "s = (#)")
    sizes = values(q, r"n = (\d+)") or values(q, r"(?:assignment|;) (\d+)")
    means = values(q, "(?:averaged|x-bar =) (#)") or values(q, "the (?:former|latter), with (?:average [a-z ]+ )?(#)")
    order = find(q, r"means \((.*)\) with", r"for the effect, (.*)\?")
    df = value(q, r"on (\d+) degrees", r"df = (\d+)")
    stem = q[: q.index(order)]
    gap = (means[0] - means[1]) * (-1 if _turned(stem, *order.split(" minus ")) else 1)
    error = np.sqrt(sds[0] ** 2 / sizes[0] + sds[1] ** 2 / sizes[1])
    margin = stats.t.isf((1 - value(q, "(#)%") / 100) / 2, df) * error
    return float(gap - margin), float(gap + margin)


def _two_sample_t(q: str) -> Expected:
    sizes = values(q, r"n = (\d+)")
    means = values(q, "x-bar = (#)") or values(q, r"(#) \+/-") or values(q, r"(#) [a-z ]+ \(s =")
    sds = values(q, r"\bs = (#)") or values(q, r"\+/- (#)")
    null = value(q, r"mu_1 - mu_2 = (#)")
    parts = re.search(r"mu_1 (?:for|belongs to) (.*) and mu_2 (?:for|to) (.*?)(?:,|\.$)", q)
    assert parts is not None, q
    gap = (means[0] - means[1]) * (-1 if _turned(q[: parts.start()], parts[1], parts[2]) else 1)
    return float((gap - null) / np.sqrt(sds[0] ** 2 / sizes[0] + sds[1] ** 2 / sizes[1]))


def _one_mean_t(q: str) -> Expected:
    letter = find(q, "one-sample (t|z) statistic", "the value of (t|z)")
    source = find(q, "the (report|website)'s figure is", "that the (report|website) is right")
    report = value(q, "(#) [a-z ]+ in a report", r"(#) [a-z ]+ \(report\)", "report's (#)")
    website = value(q, "(#) [a-z ]+ on a website", r"(#) [a-z ]+ \(website\)", "website's (#)")
    n = value(q, r"n = (\d+)", r"Data from (\d+)")
    mean = value(q, "x-bar = (#)", "nearly normal, average (#)")
    spread = value(q, r"\bs = (#)") if letter == "t" else value(q, "sigma (?:=|is) (#)")
    return float((mean - (report if source == "report" else website)) / (spread / np.sqrt(n)))


def _t_p_value(q: str) -> Expected:
    n = value(q, r"From (\d+) of them", r"sample of size (\d+)", r"sample of (\d+) is")
    t = value(q, "came out as (#)", "the statistic equals (#)")
    known = choose(q, ("z", "sigma is known|the known sigma"), ("t", "sigma is unknown|x-bar and s,")) == "z"
    return tail(t, None if known else n - 1, find(q, "Ha: mu (>|<|!=)"))


def _errors(q: str) -> Expected:
    act = find(q, "if H0 is rejected, (.*?);", "H0 is rejected and (.*?), or", r"random sample of \d+, (.*?)\.")
    keep = find(q, r"if it is not, (.*?)\.", r"H0 is not rejected and (.*?)\.", r"After a large one, (.*?)\.")
    way, null = find(q, "(is less than|is greater than|differs from)"), find(q, "average .*? (#) ")
    asked = choose(
        q,
        ("I", "Type I error"),
        ("II", "Type II error"),
        ("power", "powerful|high power"),
        ("right", "correct (?:fail|dec)"),
    )
    done, truth = act if asked in ("I", "power") else keep, way if asked in ("II", "power") else "is"
    return f"{done[0].upper()}{done[1:]}, and the true mean {truth} {null} "


def _probabilities(q: str) -> Expected:
    null = find(q, "H0: mu = (#)", "(?:is greater than|is less than) (#)")
    true = find(q, r"Suppose that the average .*? is (#)", r"mu is (#)\.", "the value for all .* is (#)")
    mean = find(q, "x-bar = (#)", "have an average .*? of (#)", "averages (#)")
    asked = choose(q, ("p", "the p-value"), ("alpha", "of alpha|by alpha"), ("power", "the power"), ("beta", "Type II"))
    more = "more" if float(mean) > float(null) else "less"
    event = {"p": rf"a sample mean of {mean} .* or {more}", "beta": "not rejecting the null hypothesis"}
    given = null if asked in ("p", "alpha") else true
    return re.compile(
        rf"The probability of {event.get(asked, 'rejecting the null hypothesis')} when the population mean is {given} "
    )


def _hypotheses(q: str) -> Expected:
    design = choose(
        q,
        ("one", "measured once, at the end|from the time after"),
        ("paired", "measured at the start and|A first and a last value"),
        ("two", "Chance splits|Two groups"),
    )
    up = find(q, "(higher|lower)") == "higher"
    sign, turned = "><" if up else "<>"
    if design == "one":
        k = find(q, r"(\d+) [a-z ]+ on average", r"average[sd] (\d+)")
        return re.compile(rf"H0: mu = {k} and Ha: mu {sign} {k}, ")
    if design == "paired":
        return re.compile(rf"H0: mu_d = 0 and Ha: mu_d (?:{sign} 0, .*after minus|{turned} 0, .*before minus)")
    symbol = "mu_1 - mu_2"
    return re.compile(rf"H0: {symbol} = 0 and Ha: {symbol} (?:{sign} 0, .* one with |{turned} 0, .* one without )")


def _procedure(q: str) -> Expected:
    form = "test" if re.search(r"\bto test\b", q) else "interval"
    return choose(
        q,
        (f"One-sample t {form}", "observed once, at the end|are single values"),
        (f"Paired t {form}", "observed twice|first and later values"),
        (f"Two-sample t {form}", "Chance splits|others without it"),
        (f"t {form} for the slope", r"\bage of each|against age"),
    )


def _conditions(q: str) -> Expected:
    return re.compile(
        choose(
            q,
            (r"All \d+ .* were selected at random\.$", "speak of all|extended to the population"),
            (r"There are \d+ .* in the population", "drawn twice|without replacement"),
            (
                r"Each group has .* more than 30\.$|The values .* no strong skew\.$",
                "justifies a t dist|the sampling dist",
            ),
            ("A coin toss decided", "cause and effect|only likely explanations"),
        )
    )


READ: dict[str, Callable[[str], Expected]] = {
    "one_mean_interval": _one_mean_interval,
    "interpret_confidence": _interpret_confidence,
    "sample_size_for_mean": _sample_size,
    "complete_t_output": _complete_t_output,
    "p_value_from_output": _p_value_from_output,
    "paired_t": _paired_t,
    "paired_interval": _paired_interval,
    "two_mean_interval": _two_mean_interval,
    "two_sample_t": _two_sample_t,
    "one_mean_t": _one_mean_t,
    "t_p_value": _t_p_value,
    "errors_of_mean_test": _errors,
    "probabilities_of_t_test": _probabilities,
    "hypotheses_for_mean": _hypotheses,
    "choose_t_procedure": _procedure,
    "conditions_for_t": _conditions,
}
