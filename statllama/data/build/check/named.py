"""Statistics that a text names with the numbers that they are of: recomputed where both are certain.

- the mean, median, range, variance or standard deviation of a question's one list of numbers,
- the z-score of a value with a mean and a standard deviation,
- `P(Z < 1.25) = 0.8944` of the standard normal distribution.

A question that names two statistics, changes its list, or gives other numbers beside it is not certain.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from statllama.data.build.check.arithmetic import leaf, written
from statllama.data.build.check.equalities import numbers
from statllama.rewards.quantities import read_quantity

_NUMBER = r"-?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
_LIST = re.compile(
    rf"(?<![\w.,-])(?:{_NUMBER}(?:,\s+{_NUMBER})+(?:,?\s+and\s+{_NUMBER})?|{_NUMBER}(?:;\s+{_NUMBER})+)"
    r"(?![\d%]|\.\d|[,;]\s+\d)"
)
_SHORTEST_LIST = 4
_ASKS = re.compile(r"\b(?:what|find|compute|calculate|determine|give|state)\b", re.IGNORECASE)
_CHANGED = re.compile(
    r"\b(?:if|weight\w*|trimmed|remov\w*|without|add\w*|delet\w*|exclud\w*|replac\w*|new|each|every|differenc\w*|transform\w*|"
    r"sampling|confidence|interval|standard error|expected|frequenc\w*|probabilit\w*|class\w*|group\w*|two|both|"
    r"instead|multipl\w*|doubl\w*|increas\w*|decreas\w*|geometric|harmonic|absolute|moving|outlier\w*|missing|square\w*)\b",
    re.IGNORECASE,
)


def _either(one: Callable[[Sequence[float]], float], other: Callable[[Sequence[float]], float]) -> _Values:
    return lambda data: (one(data), other(data))


_Values = Callable[[Sequence[float]], tuple[float, ...]]
_STATISTICS: Mapping[str, tuple[str, _Values]] = {
    "standard deviation": (r"standard deviations?", _either(statistics.stdev, statistics.pstdev)),
    "variance": (r"variances?", _either(statistics.variance, statistics.pvariance)),
    "mean": (r"(?:mean|average)", lambda data: (statistics.fmean(data),)),
    "median": (r"median", lambda data: (statistics.median(data),)),
    "range": (r"range", lambda data: (max(data) - min(data),)),
}
"""{name: (how it is named, the values it may have)}: a sample's and a population's where both divisors are in use."""
_Z = re.compile(r"\bz[- ]?(?:score|value|statistic)|standardi[sz]ed (?:score|value)", re.IGNORECASE)
_MEAN = re.compile(rf"\b(?:mean|average)\s*(?:[a-z]+\s+){{0,4}}?(?:is|of|=|was|:)\s*({_NUMBER})", re.IGNORECASE)
_DEVIATION = re.compile(rf"\bstandard deviation\s*(?:[a-z]+\s+){{0,4}}?(?:is|of|=|was|:)\s*({_NUMBER})", re.IGNORECASE)
_NORMAL = re.compile(
    rf"(?<![-+*/^\d]\s)(?<![-+*/^\d])\bP\(\s*(?:(?P<low>{_NUMBER})\s*(?:<|<=|≤|≠)\s*)?Z\s*(?P<sign><=|>=|[<>≤≥])\s*(?P<high>{_NUMBER})\s*\)"
    r"\s*(?:=|≈)\s*(?P<said>0?\.\d+)(?![\d%]|\s*[-+*/^(])"
)
_Z_DIGITS = 0.005  # half a unit of the second decimal: tables have no more


@dataclass(frozen=True)
class Recomputed:
    """A statistic: its name, the number that the row states, and the values that are right."""

    name: str
    stated: str
    right: tuple[float, ...]
    agrees: bool


def recomputed(question: str, answer: str, reference: str) -> Iterator[Recomputed]:
    """Yield the statistics that can be worked out. `reference`: the final answer alone.

    >>> [(r.name, r.agrees) for r in recomputed("What is the mean of 2, 4, 6 and 8?", "Answer: 6", "6")]
    [('mean', False)]
    """
    for found in (_of_list(question, reference), _z_score(question, reference)):
        if found is not None:
            yield found
    yield from _normal(answer)


def _of_list(question: str, reference: str) -> Recomputed | None:
    text = written(question)
    lists = [found for found in _LIST.finditer(text) if len(_values(found[0])) >= _SHORTEST_LIST]
    named = [name for name, (pattern, _) in _STATISTICS.items() if re.search(rf"\b{pattern}\b", text, re.IGNORECASE)]
    if len(lists) != 1 or len(named) != 1 or _CHANGED.search(text) or not _ASKS.search(text):
        return None
    data = _values(lists[0][0])
    rest = text[: lists[0].start()] + " " + text[lists[0].end() :]
    if any(value != len(data) for value, _, _ in numbers(rest)):
        return None
    return _compared(named[0], reference, _STATISTICS[named[0]][1](data))


def _values(listed: str) -> list[float]:
    return [float(found.replace(",", "")) for found in re.findall(_NUMBER, listed)]


def _z_score(question: str, reference: str) -> Recomputed | None:
    text = written(question)
    means, deviations = _MEAN.findall(text), _DEVIATION.findall(text)
    if not _Z.search(text) or len(means) != 1 or len(deviations) != 1 or _CHANGED.search(text):
        return None
    mean, deviation = (float(found[0].replace(",", "")) for found in (means, deviations))
    others = [value for value, percent, _ in numbers(text) if value not in (abs(mean), deviation) and not percent]
    if len(others) != 1 or not deviation or "-" in reference.replace(" ", "")[1:] or min(mean, others[0]) < 0:
        return None
    return _compared("z-score", reference, ((others[0] - mean) / deviation,))


def _compared(name: str, reference: str, right: tuple[float, ...]) -> Recomputed | None:
    """Return the comparison of a final answer of one number; None where it states none, or in percent."""
    stated = read_quantity(reference)
    if stated is None or len(stated.numbers) != 1 or stated.unit.scale != 1.0:
        return None
    printed = numbers(reference)
    if len(printed) != 1:
        return None
    unit = 10.0 ** -leaf(printed[0][2]).decimals
    agrees = any(_same(stated.numbers[0], value, unit) for value in right)
    return Recomputed(name, printed[0][2], right, agrees)


def _same(stated: float, value: float, unit: float) -> bool:
    """Return whether a printed number is the value, rounded or cut off."""
    cut_off = abs(stated) <= abs(value) < abs(stated) + unit and stated * value >= 0
    return abs(stated - value) <= 0.5 * unit * (1 + 1e-9) + 1e-9 * abs(value) or cut_off


def _normal(answer: str) -> Iterator[Recomputed]:
    z = NormalDist()
    for found in _NORMAL.finditer(written(answer)):
        high, low = float(found["high"]), found["low"]
        below = found["sign"] in ("<", "<=", "≤")
        if low is not None and not below:
            continue
        values = []
        for move in (-_Z_DIGITS, 0.0, _Z_DIGITS):
            area = z.cdf(high + move) - (z.cdf(float(low) - move) if low is not None else 0.0)
            values.append(area if below else 1.0 - area)
        said, unit = float(found["said"]), 10.0 ** -leaf(found["said"]).decimals
        agrees = min(values) - unit <= said <= max(values) + unit
        yield Recomputed(found[0].partition(")")[0] + ")", found["said"], (values[1],), agrees)
