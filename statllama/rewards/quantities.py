"""Numbers with units, intervals and lists of numbers, read from an answer and compared."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from statllama.rewards.plain import plain
from statllama.rewards.units import HEDGES, NO_UNIT, Unit, read_unit, same_unit

MOST_CHARACTERS = 300  # of an answer that is read as a quantity
_OF_THE_WIDTH = 0.1  # an end of an interval is never further off than this share of its width
_SLACK = 1e-9  # relative, so that rounding in binary does not decide at the edge of a tolerance

_DECIMAL = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d*)?|\.\d+"
_NUMBER = re.compile(
    rf"(?:(?<![\w%.)\]/])(?P<sign>[-+])(?=[\d.$€£¥]))?(?P<currency>[$€£¥])?\s?(?P<minus>(?<=[$€£¥])-)?"
    rf"(?<![\w.^])(?:(?P<whole>\d+) (?P<top>\d+)/(?P<bottom>\d+)(?!\d)"
    rf"|(?P<number>{_DECIMAL})(?:e(?P<exponent>[-+]?\d{{1,3}})(?!\d))?(?:\s?/\s?(?P<over>{_DECIMAL}))?)",
    re.IGNORECASE,
)
_PERCENTAGE = r"\d+(?:\.\d+)?\s?(?:%|percent)\s?"
_CONFIDENCE = re.compile(
    rf"(?:\b(?:we are|i am|with|at)\s(?:the\s|a\s)?)?{_PERCENTAGE}"
    r"(?:confident(?:\sthat)?|confidence(?:\s(?:level|interval))?|ci\b)[,:]?\s?",
    re.IGNORECASE,
)
_ABOUT = re.compile(r"^(?:about|approximately|approx\.?|roughly|around|nearly|exactly|only|≈|~|=|:)\s*", re.IGNORECASE)
_VERB = re.compile(r"\b(?:is|are|was|were|equals|be|lies|gives|comes to)\b|≈", re.IGNORECASE)
_REMARK = re.compile(
    r"\s*\((?:rounded|approx|about|to |correct to|nearest|\d+ ?d\.?p|in |\w+ decimal)[^()]*\)\s*$", re.IGNORECASE
)
_ROUNDED = re.compile(r",?\s(?:rounded|correct|accurate|to the nearest|to \w+ decimal)\b.*$", re.IGNORECASE)
_TWICE = re.compile(r"^(.+?)(?:\s*\(([^()]+)\)|,?\s(?:or|i\.e\.,?|that is,?|which is)\s(.+))$", re.IGNORECASE)
_ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th)$", re.IGNORECASE)
_OUT_OF = re.compile(r"(?<![\d./])(\d+)\sout\sof\s(\d+)(?![\d./])")
_PARTS = {"half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "eighth": 8, "tenth": 10}
_PART = re.compile(
    rf"^(?:(a|an|one|two|three|four)[\s-])?({'|'.join(_PARTS)})s?(?=\s(?:of|a|an|the)\b|$)", re.IGNORECASE
)
_GAP = re.compile(
    r"(?P<unit>.*?)\s*(?P<by>;|,\s*and\b|,|±|\+/-|\bplus or minus\b|\bto\b|\band\b|\bthrough\b|:|-"
    r"|(?:<|≤|<=)\s*[^\d<>≤]{1,30}?\s*(?:<|≤|<=))\s*",
    re.IGNORECASE,
)
_FEW = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = (
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)  # fmt: skip
_COUNTED = re.compile(
    rf"\b(?:(?P<tens>{'|'.join(_TENS)})(?:[- ](?P<ones>{'|'.join(_FEW[1:10])}))?|(?P<few>{'|'.join(_FEW)}))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Quantity:
    """One number, or several in order (an interval has two), as written, and their unit."""

    numbers: tuple[float, ...]
    unit: Unit = NO_UNIT


def read_quantity(text: str, strict: bool = False) -> Quantity | None:
    """Return the quantity that an answer states, or None when it states none, or more than one.

    Words around it may stand there (`The mean is 5 cm.`) unless `strict`, which allows a label (`x = 5`) alone: a
    reference that is a sentence must be met as a sentence.

    >>> read_quantity("about $1,250.50").numbers, read_quantity("2 ± 0.5").numbers, read_quantity("5 or 6")
    ((1250.5,), (1.5, 2.5), None)
    """
    if len(text) > MOST_CHARACTERS:
        return None
    line = plain(text)
    if not strict:
        line = _CONFIDENCE.sub(" ", line).strip(" ,:")
    line = _REMARK.sub("", line)
    if not strict:
        line = _ROUNDED.sub("", line)
    twice = _TWICE.match(line)
    if twice and re.search(r"\d", twice[1]):
        again = twice[2] or twice[3]
        main, other = _read(twice[1], strict), _read(again, strict)
        if main and other:  # `1/4 (0.25)` and `0.5, or 50%` say one thing twice; `5 (6)` says two things
            return main if agree(other, main, 1e-2, 1e-4) else None
        if main and twice[2] and not re.search(r"\d", again):
            return main
    return _read(line, strict)


def _read(line: str, strict: bool) -> Quantity | None:
    line = _unlabelled(line, strict)
    line = _ABOUT.sub("", _ABOUT.sub("", line))
    line = re.sub(r"^([(\[])(-?\d{1,3}),(-?\d+)([)\]])$", r"\1\2, \3\4", line)  # (1,200) is a pair
    line = _OUT_OF.sub(r"\1/\2", _ORDINAL.sub("", line))
    if not re.search(r"\d", line):
        line = _PART.sub(_part, line)
    if not re.search(r"\d", line):
        line = _COUNTED.sub(_digits, line, count=2)
    found = list(_NUMBER.finditer(line))
    if not found or len(found) > 12:
        return None
    values = [_value(number) for number in found]
    if not all(value is not None and math.isfinite(value) for value in values):
        return None
    edges = [0, *(edge for number in found for edge in number.span()), len(line)]
    gaps = [line[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]
    numbers = tuple(value for value in values if value is not None)
    written = found[0]["currency"] or ""
    return _single(numbers, gaps, written, strict) if len(found) == 1 else _several(numbers, gaps, written, strict)


def _unlabelled(line: str, strict: bool) -> str:
    """Return the text after a label: `x = 5`, `P(X > 2) ≈ 0.45`, `Mean: 5`; in replies also `The mean is 5`."""
    outside = re.sub(r"\([^()]*\)|\|[^|]*\|", lambda found: "_" * len(found[0]), line)
    listed = re.search(r"[,;]|\b(?:and|or)\b", outside)
    ends = [match.end() for match in re.finditer(r"(?<![<>!])=|≈", outside)]
    if ends and (len(ends) == 1 or not listed) and (not listed or listed.start() > ends[-1]):
        return line[ends[-1] :].strip()
    if label := re.match(r"[^:\d]{1,60}:\s+", outside):
        return line[label.end() :].strip()
    verbs = list(_VERB.finditer(outside))
    if not strict and len(verbs) == 1 and re.search(r"\d", line[verbs[0].end() :]):
        return line[verbs[0].end() :].strip()
    return line.strip()


def _single(numbers: tuple[float, ...], gaps: list[str], written: str, strict: bool) -> Quantity | None:
    before, after = gaps[0].strip(), gaps[1].strip()
    if before in ("(", "[") and after[:1] in (")", "]"):
        before, after = "", after[1:]
    if before == "-":
        numbers, before = (-numbers[0],), ""
    words = re.findall(r"[^\W\d_]+(?:'[a-z]+)?", before.lower())
    if before and (strict or any(word in HEDGES for word in words) or not re.fullmatch(r"[\w\s',:-]+", before)):
        return None
    unit = _unit(written, after)
    return None if unit is None else Quantity(numbers, unit)


def _several(numbers: tuple[float, ...], gaps: list[str], written: str, strict: bool) -> Quantity | None:
    parts = [_GAP.fullmatch(gap.strip()) for gap in gaps[1:-1]]
    opened = re.sub(r"^(?:between|from)$", "", gaps[0].strip().lower().rstrip("(["))
    if not strict:
        opened = re.sub(r"^[a-z\s,']*\b(?:between|from|interval|range)\b.{0,3}$", "", opened)
    closed = re.sub(r"^\s*[)\]]", "", gaps[-1])
    if opened or not all(parts):
        return None
    links = [re.sub(r"\s", "", part["by"]).lower() for part in parts if part]
    stated = [part["unit"] for part in parts if part]
    units = [_unit(written, text) for text in (*stated, closed)]
    said = {unit for unit in units if unit is not None and unit.words}
    if None in units or len(said) > 1:
        return None
    unit = said.pop() if said else next((u for u in units if u and u.scale != 1), NO_UNIT)
    if links[0] in ("±", "+/-", "plusorminus"):
        middle, margin = numbers[:2]
        return Quantity((middle - margin, middle + margin), unit) if len(numbers) == 2 else None
    if len(numbers) > 2 and not all(link in (",", ";", "and", ",and") for link in links):
        return None
    return Quantity(numbers, unit)


def _unit(written: str, after: str) -> Unit | None:
    """Return the unit of a number with a currency sign before it and words after it."""
    unit = read_unit(re.sub(r"^k\b", "thousand", after.strip()))
    money = read_unit(written) if written else NO_UNIT
    if unit is None or money is None or not money.words:
        return unit
    if unit.words[:1] in (money.words, ()):
        return replace(unit, words=unit.words or money.words)
    return replace(unit, words=(*money.words, *unit.words))


def _value(found: re.Match[str]) -> float | None:
    sign = -1.0 if found["sign"] == "-" or found["minus"] else 1.0
    if found["whole"]:
        top, bottom = float(found["top"]), float(found["bottom"])
        return sign * (float(found["whole"]) + top / bottom) if bottom else None
    value = float(found["number"].replace(",", "") + (f"e{found['exponent']}" if found["exponent"] else ""))
    if found["over"]:
        below = float(found["over"].replace(",", ""))
        return sign * value / below if below else None
    return sign * value


def _part(found: re.Match[str]) -> str:
    times = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4}[(found[1] or "a").lower()]
    return f"{times}/{_PARTS[found[2].lower()]}"


def _digits(found: re.Match[str]) -> str:
    if found["few"]:
        return str(_FEW.index(found["few"].lower()))
    ones = _FEW.index(found["ones"].lower()) if found["ones"] else 0
    return str(20 + 10 * _TENS.index(found["tens"].lower()) + ones)


def close(got: float, wanted: float, rtol: float, atol: float) -> bool:
    """Return whether |got - wanted| is at most the larger of `atol` and `rtol` times |wanted|."""
    allowed = max(atol, rtol * abs(wanted))
    return abs(got - wanted) <= allowed + _SLACK * max(allowed, abs(wanted))


def agree(reply: Quantity, reference: Quantity, rtol: float, atol: float, value: float | None = None) -> bool:
    """Return True when a reply states the reference's numbers in its unit or in none, within the tolerances.

    Tolerances are in the reference's own unit: percentage points for a reference in percent. An end of an interval may
    be off by a tenth of its width at most, and the ends are in order. `value` is the exact
    number behind the reference's rounded one; a reply may be near either. A percentage and a bare number agree as a
    share (12 % = 0.12); as the same number (12 % = 12) only above 1, where a share is out of the question.

    >>> agree(Quantity((0.12,)), read_quantity("12 %"), 1e-2, 1e-4)
    True
    """
    one, other = reply.unit, reference.unit
    if len(reply.numbers) != len(reference.numbers) or not same_unit(one, other):
        bare_against_percent = one.percent != other.percent and not (one.words and other.words)
        if len(reply.numbers) != len(reference.numbers) or not bare_against_percent:
            return False
    factors = [one.scale / other.scale]
    if one.percent != other.percent:
        if all(abs(number) > 1 for number in reference.numbers):
            factors.append(1.0)
    elif one.scale != other.scale and NO_UNIT in (one, other) and (one.words or other.words):
        factors.append(1.0)  # `thousand dollars` may be left out as a whole, a `million` without a unit may not
    wanted = [reference.numbers, *([(value,)] if value is not None and len(reference.numbers) == 1 else [])]
    if _ascending(reference.numbers):
        width = reference.numbers[1] - reference.numbers[0]
        # 1 % of an end far from zero may be more than the interval is wide
        most = {want: max(atol, min(rtol * abs(want), _OF_THE_WIDTH * width)) for want in reference.numbers}
        return _ascending(reply.numbers) and any(
            all(
                close(got * f, want, 0.0, most[want])
                for got, want in zip(reply.numbers, reference.numbers, strict=True)
            )
            for f in factors
        )
    return any(
        all(close(got * factor, want, rtol, atol) for got, want in zip(reply.numbers, numbers, strict=True))
        for factor in factors
        for numbers in wanted
    )


def _ascending(numbers: tuple[float, ...]) -> bool:
    return len(numbers) == 2 and numbers[0] < numbers[1]
