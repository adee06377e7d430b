"""Proportions: answers computed from printed test questions alone, by regular expressions and scipy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats

Expected = float | tuple[float, float] | str | re.Pattern[str]
Group = tuple[str, int, int]  # its name, sample size, count of successes

_ONE = (
    r"sample of size (?P<n>\d+) there are (?P<x>\d+) (?:who|that) do\.",
    r"(?P<x>\d+) of the (?P<n>\d+) \w+ selected",
    r": (?P<x>\d+) [^,]+, and the other (?P<rest>\d+) do not\.",
)
_TWO = (
    r"show (?P<x1>\d+) out of (?P<n1>\d+) among (?P<a>.+?) and (?P<x2>\d+) out of (?P<n2>\d+) among (?P<b>.+?)\.",
    r"Of the (?P<n1>\d+) (?P<a>.+?) surveyed, (?P<x1>\d+) .+?; of the (?P<n2>\d+) (?P<b>.+?), (?P<x2>\d+) do\.",
    r"are (?P<x1>\d+) of (?P<n1>\d+) sampled (?P<a>.+?) and (?P<x2>\d+) of (?P<n2>\d+) sampled (?P<b>.+?)\.",
)


def _find(patterns: tuple[str, ...], question: str) -> re.Match[str]:
    """The match of the only pattern that fits."""
    found = [match for pattern in patterns if (match := re.search(pattern, question))]
    assert len(found) == 1, question
    return found[0]


def _one(question: str) -> tuple[int, int]:
    found = _find(_ONE, question).groupdict()
    x = int(found["x"])
    return (int(found["n"]) if "n" in found else x + int(found["rest"])), x


def _two(question: str) -> tuple[Group, Group]:
    g = _find(_TWO, question).groupdict()
    return (g["a"], int(g["n1"]), int(g["x1"])), (g["b"], int(g["n2"]), int(g["x2"]))


def _in_order(question: str) -> tuple[Group, Group]:
    """The two groups, the one first from which the other is subtracted."""
    a, b = _two(question)
    if f"{a[0]} minus {b[0]}" in question or f"p1 belong to all {a[0]}" in question:
        return a, b
    assert f"{b[0]} minus {a[0]}" in question or f"p1 belong to all {b[0]}" in question, question
    return b, a


def _last(pattern: str, question: str) -> str:
    return str(re.findall(pattern, question)[-1])


def _level(question: str) -> float:
    return float(_last(r"(\d+)%", question)) / 100


def _limits(estimate: float, variance: float, level: float) -> tuple[float, float]:
    low, high = stats.norm.interval(level, estimate, np.sqrt(variance))
    return float(low), float(high)


def one_proportion_interval(question: str) -> Expected:
    n, x = _one(question)
    ask = re.split(r"(?=Estimate, with|Among all)", question)[-1]
    p = (n - x if "do not" in ask else x) / n
    return _limits(p, p * (1 - p) / n, _level(question))


def two_proportion_interval(question: str) -> Expected:
    (_, n, x), (_, m, y) = _in_order(question)
    return _limits(x / n - y / m, x * (n - x) / n**3 + y * (m - y) / m**3, _level(question))


def margin_from_interval(question: str) -> Expected:
    between = _find(
        (r"between (\d\.\d+) and (\d\.\d+)", r"^\((\d\.\d+), (\d\.\d+)\)", r"(\d\.\d+) < p < (\d\.\d+)"), question
    )
    low, high = map(float, between.groups())
    levels = [float(level) / 100 for level in re.findall(r"(\d+)%", question)]
    half, critical = (high - low) / 2, float(stats.norm.isf((1 - levels[0]) / 2))
    if len(levels) == 2:
        return half / critical * float(stats.norm.isf((1 - levels[1]) / 2))
    return half if "margin" in question else half / critical if "standard error" in question else (low + high) / 2


def difference_interval_meaning(question: str) -> Expected:
    ask = question.rpartition(". ")[2]
    if "margin" in ask:
        return re.compile(r"With \d+% confidence, the difference in sample proportions.* is within")
    if "standard error" in ask:
        return re.compile(r"In repeated sampling, the difference in sample proportions.* typically misses")
    method = "% confidence" in ask
    return re.compile(r"In the long run, \d+% of all pairs" if method else r"We are \d+% confident that .*population")


def conclusion_from_interval(question: str) -> Expected:
    ask = re.split(r"(?=Judge by|Which conclusion)", question)[-1]
    stem = question.removesuffix(ask)
    year, level = re.findall(r"\d{4}", ask)[-1], re.findall(r"(\d+)%", ask)[-1]
    years, levels = re.findall(r"\b20\d\d\b", stem), re.findall(r"(\d+)%", stem)
    limits = re.findall(r"\((-?\d\.\d+), (-?\d\.\d+)\)", stem)  # in each wording year by year, level by level
    low, high = map(float, limits[2 * years.index(year) + levels.index(level)])
    return re.compile(rf"There is {'' if low * high > 0 else 'not '}convincing .* in {year}\.$")


def sample_size_for_margin(question: str) -> Expected:
    ask = re.split(r"(?=Taking the|Find n for|Assuming nothing)", question)[-1]
    stem = question.removesuffix(ask)
    designs = re.findall(r"confidence level (\d+)%\) tolerates a margin of error of (\d\.\d+)", stem)
    designs += re.findall(r"Plan [AB]: (\d+)% confidence, margin of error (\d\.\d+)", stem)
    designs += [(b, a) for a, b in re.findall(r"within (\d\.\d+)(?: of the true value)? with (\d+)%", stem)]
    second = re.search(r"plan B \(confidence level (\d+)%\) one of (\d\.\d+)", stem)
    designs += [second.groups()] if second else []
    assert len(designs) == 2, question
    level, margin = map(float, designs["plan B" in ask])
    guess = _find((r"was (\d\.\d+)(?: in a pilot study)?\. $", r"at (\d\.\d+)\. The main"), stem).group(1)
    share = 0.5 if "nothing" in ask or "conservative" in ask else float(guess)
    return float(np.ceil(share * (1 - share) * (stats.norm.isf((1 - level / 100) / 2) / margin) ** 2))


def raising_power(question: str) -> Expected:
    ask = question.rpartition(". ")[2] if question.endswith("?") else question.rpartition("effect: ")[2]
    if "effect: " in question:
        more_power = "II error) falls" in ask
        alpha = re.search(r"Type I error\) (falls|rises|stays)", ask)
        assert alpha, question
        moved = alpha.group(1)
    else:
        more_power = "gain power" in ask
        moved = "stays" if "stays" in ask else "rises" if "larger P(Type I" in ask else "falls"
    if moved == "stays":
        return re.compile(rf"Keep alpha .* and {'increase' if more_power else 'decrease'} the sample size")
    return re.compile(rf"Keep the sample size .* and {'increase' if moved == 'rises' else 'decrease'} alpha")


def power_of_test(question: str) -> Expected:
    alpha = float(_last(r"[Ll]evel(?: of)? (\d\.\d+)", question))
    n = int(_find((r"to have (\d+)", r"^(\d+) randomly", r"samples of size (\d+)"), question).group(1))
    true = float(
        _find((r"take p = (\d\.\d+) as", r"in reality p = (\d\.\d+)", r"were (\d\.\d+), how"), question).group(1)
    )
    null = float(
        _find((r"test of p = (\d\.\d+)", r"H0 \(a proportion of (\d\.\d+)", r"H0: p = (\d\.\d+)"), question).group(1)
    )
    up = bool(re.search(r"p > \d|is above", question))
    tail, limit = (stats.norm.sf, stats.norm.isf) if up else (stats.norm.cdf, stats.norm.ppf)
    cut = limit(alpha, null, np.sqrt(null * (1 - null) / n))
    power = float(tail(cut, true, np.sqrt(true * (1 - true) / n)))
    return 1 - power if "Type II" in question or "fail to reject" in question else power


def one_proportion_z(question: str) -> Expected:
    n, x = _one(question)
    asked = _last(r"value of report ([AB])", question)
    pattern = rf"report {asked} gives (\d\.\d+)|{asked} says p = (\d\.\d+)"
    null = float(next(filter(None, re.findall(pattern, question)[0])))
    z = (x / n - null) / np.sqrt(null * (1 - null) / n)
    if "two-sided" in question or "not equal" in question:
        return float(2 * stats.norm.sf(abs(z)))
    return float(stats.norm.sf(z) if "above it" in question else stats.norm.cdf(z))


def two_proportion_z(question: str) -> Expected:
    (_, n, x), (_, m, y) = _in_order(question)
    if "keeps the two" in question or "not pooled" in question:
        variance = x * (n - x) / n**3 + y * (m - y) / m**3
    else:
        both = (x + y) / (n + m)
        variance = both * (1 - both) * (1 / n + 1 / m)
    return float((x / n - y / m) / np.sqrt(variance))


def two_proportion_p_value(question: str) -> Expected:
    ask = re.split(r"(?=Let Ha|Test with|Double all)", question)[-1]
    times = 2 if "Double" in question or "twice as large" in ask else 1
    (_, n, x), (_, m, y) = ((name, times * size, times * hits) for name, size, hits in _two(question))
    both = (x + y) / (n + m)
    z = float((x / n - y / m) / np.sqrt(both * (1 - both) * (1 / n + 1 / m)))
    if "two-sided" in ask or "any difference" in ask:
        return float(2 * stats.norm.sf(abs(z)))
    return float(stats.norm.sf(z) if "higher" in ask else stats.norm.cdf(z))


def conclusion_of_test(question: str) -> Expected:
    found = _find(
        (
            r"p-values of (?P<p>\d\.\d+) \((?P<a>.+?)\) and (?P<q>\d\.\d+) \((?P<b>.+?)\)",
            r'^"(?P<a>.+?): P = (?P<p>\d\.\d+)\. (?P<b>.+?): P = (?P<q>\d\.\d+)\."',
            r"populations, (?P<a>.+?) and (?P<b>.+?), are .* p-values (?P<p>\d\.\d+) and (?P<q>\d\.\d+)",
        ),
        question,
    )
    ask = re.split(r"(?=State the conclusion|If \d)", question)[-1]
    first = found["a"].lower() in ask
    group, value = (found["a"], found["p"]) if first else (found["b"], found["q"])
    alpha = float(_last(r"(0\.\d\d)\b(?!\d)", ask))
    decision = "Reject H0: there is" if float(value) < alpha else "Fail to reject H0: there is not"
    return re.compile(rf"{decision} convincing.*{group.lower()}")


def p_value_meaning(question: str) -> Expected:
    ask = re.split(r"(?=How should|Choose the)", question)[-1]
    stem = question.removesuffix(ask)
    numbers = {
        "alpha": r"(?:alpha = |significance level is )(\d\.\d+)",
        "power": r"power (?:of|is) (\d\.\d+)",
        "value": r"(?:P = |p-value )(\d\.\d+)",
        "null": r"(?:H0 p = |test of p = |is (?:above|below) )(\d\.\d+)",
        "true": r"(?:at|against) p = (\d\.\d+)",
    }
    given = {name: _find((pattern,), stem).group(1) for name, pattern in numbers.items()}
    if "Type II" in ask:
        miss = f"{1 - float(given['power']):.2f}"
        return re.compile(rf"If p = {given['true']}, the probability is {miss} .*leads to no rejection")
    if "power" in ask:
        return re.compile(rf"If p = {given['true']}, the probability is {given['power']} .*leads to a rejection")
    if "alpha" in ask or "level" in ask:
        return re.compile(rf"If p = {given['null']}, the probability is {given['alpha']} .*leads to a rejection")
    return re.compile(rf"If p = {given['null']}, the probability is {given['value']} .*gives a p_hat")


def error_type(question: str) -> Expected:
    null = _find((r"H0:? p = (\d\.\d+)", r"is (?:above|below) (\d\.\d+)"), question).group(1)
    up = bool(re.search(r"p > |is above", question))
    ask = re.split(r"(?=Describe|Which outcome)", question)[-1]
    rejected = "Type I " in ask or "power" in ask or "correct rejection" in ask
    true = "Type I " in ask or "failure" in ask or "true null" in ask
    truth = "equal to" if true else "higher than" if up else "lower than"
    return re.compile(rf"{'Concluding' if rejected else 'Not concluding'} .*actually {truth} {null}")


def error_consequence(question: str) -> Expected:
    ask = re.split(r"(?=Identify|Raising|Lowering|Taking)", question)[-1]
    found = _find(
        (
            r"%[^,]+, the (?P<who>\w+) (?P<act>.+?), and when it does not, the \w+ (?P<pause>.+?)\.",
            r"means that the (?P<who>\w+) (?P<act>.+?); failing to reject it, that it (?P<pause>.+?)\.",
            r"What an? (?P<who>\w+) does next.*?\. It (?P<act>.+?) when the sample.* other case it (?P<pause>.+?)\.",
        ),
        question,
    )
    more = "more than" if re.search(r"p > |more than", question) else "less than"
    act = bool(re.search(r"Type I error|rejecting H0 correctly|Raising|Taking", ask))
    true = bool(re.search(r"Type I error|correctly not|H0 is true", ask))
    return re.compile(
        rf"The {found['who']} {found['act' if act else 'pause']}, and in fact {'exactly' if true else more}"
    )


def hypotheses_for_one_proportion(question: str) -> Expected:
    percent = re.search(r"(\d+)%", question)
    claim = int(percent.group(1)) / 100 if percent else float(_find((r"at (\d\.\d+)\.",), question).group(1))
    up = "higher" in question
    if "do not" in question:
        claim, up = round(1 - claim, 2), not up
    return f"H0: p = {claim}; Ha: p {'>' if up else '<'} {claim}"


def hypotheses_for_two_proportions(question: str) -> Expected:
    names = _find(
        (
            r"How do (?P<a>.+?) compare with (?P<b>.+?)\?",
            r"Among all (?P<a>.+?), a proportion p1 .*; among all (?P<b>.+?), a",
            r"samples, \d+ (?P<a>.+?) \(true proportion p1\) and \d+ (?P<b>.+?) \(true",
        ),
        question,
    )
    ask = re.split(r"(?=Write down|What are H0)", question)[-1]
    percent, share = re.search(r"(more|less) than (\d+)%", ask), re.search(r"is (above|below) (\d\.\d+)", ask)
    if percent or share:
        word, value = percent.groups() if percent else share.groups()  # type: ignore[union-attr]
        null = float(value) / 100 if percent else float(value)
        return f"H0: p1 = {null}; Ha: p1 {'>' if word in ('more', 'above') else '<'} {null}"
    if f"proportion of {names['a']} is the greater" in ask or "p1 exceeds p2" in ask:
        return "H0: p1 = p2; Ha: p1 > p2"
    if f"proportion of {names['b']} is the greater" in ask or "p2 exceeds p1" in ask:
        return "H0: p1 = p2; Ha: p1 < p2"
    return "H0: p1 = p2; Ha: p1 != p2"


def hypotheses_in_words(question: str) -> Expected:
    names = _find(
        (
            r"that of (?P<a>\w[\w-]* \w+) (?:who|that) .+ and that of (?P<b>.+?)\.",
            r"^\d+ (?P<a>.+?) and \d+ (?P<b>.+?), selected",
            r"how (?P<a>.+?) and (?P<b>.+?) compare",
        ),
        question,
    )
    ask = re.split(r"(?=Put H|Which statement)", question)[-1]
    ahead = re.search(r"conjecture that (.+?) have the higher", ask)
    behind = re.search(r"if (.+?) are believed to have the lower", ask)
    if ahead or behind:
        greater = ahead.group(1) == names["a"] if ahead else names["b"] in ask
        sign = "greater" if greater else "less"
        return re.compile(f"The proportion of all {names['a']} .* is {sign} than")
    equal = "H0" in ask or "assumed" in ask
    return re.compile(f"The proportion of all {names['a']} .* is {'equal to' if equal else 'different from'}")


def large_counts_condition(question: str) -> Expected:
    n, x = _one(question)
    null = float(_find((r"sets it at (\d\.\d+)", r"proportion at (\d\.\d+)"), question).group(1))
    ask = re.split(r"(?=Check the|Which count)", question)[-1]
    hits = n * null if "test" in ask else x
    return float(round(n - hits if "failures" in ask else hits))


def condition_purpose(question: str) -> Expected:
    ask = re.split(r"(?=Explain|What purpose)", question)[-1]
    if "random selection" in ask:
        return re.compile(".*generalized to all")
    if "large population" in ask or "10% of" in ask:
        return re.compile(".*treated as independent")
    return re.compile(".*approximately normal" if "expected counts" in ask else ".*assumption that H0")


def choose_proportion_procedure(question: str) -> Expected:
    a, b = (group[0] for group in _two(question))
    ask = re.split(r"(?=Name the|The value of|The percentage for|That |The gap)", question)[-1]
    both = (a in ask and b in ask) or "two true" in ask
    test = "deciding" in ask or "in doubt" in ask
    return f"{'Two' if both else 'One'}-sample z {'test' if test else 'interval'}"


READ: Mapping[str, Callable[[str], Expected]] = {
    of.__name__: of
    for of in (
        one_proportion_interval,
        two_proportion_interval,
        margin_from_interval,
        difference_interval_meaning,
        conclusion_from_interval,
        sample_size_for_margin,
        raising_power,
        power_of_test,
        one_proportion_z,
        two_proportion_z,
        two_proportion_p_value,
        conclusion_of_test,
        p_value_meaning,
        error_type,
        error_consequence,
        hypotheses_for_one_proportion,
        hypotheses_for_two_proportions,
        hypotheses_in_words,
        large_counts_condition,
        condition_purpose,
        choose_proportion_procedure,
    )
}
