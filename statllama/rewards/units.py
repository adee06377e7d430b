"""Units of an answer: words that are a unit, and equality of units."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Words that no unit has: they make what stands beside a number a statement about it, or a second answer.
HEDGES = frozenset({
    "or", "and", "not", "nor", "but", "either", "neither", "isn't", "except", "instead", "unless", "versus",
    "vs", "is", "are", "was", "were", "equals", "because", "since", "so", "which", "that", "than", "above",
    "below", "pi", "π", "least", "most", "under", "over", "st", "nd", "rd", "th", "sqrt", "ln", "log",
})  # fmt: skip
_FILLERS = frozenset({
    "approximately", "approx", "about", "roughly", "around", "exactly", "on", "average", "total", "in",
    "altogether", "each", "of", "the", "left", "remaining", "only", "now", "more", "overall",
})  # fmt: skip
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "bn": 1e9}
_PERCENT = frozenset({"%", "percent", "pct"})
_NAMES = {
    "$": "dollar", "usd": "dollar", "buck": "dollar", "€": "euro", "eur": "euro", "£": "pound", "gbp": "pound",
    "¥": "yen", "¢": "cent", "ct": "cent", "mm": "millimeter", "cm": "centimeter", "m": "meter", "km": "kilometer",
    "millimetre": "millimeter", "centimetre": "centimeter", "metre": "meter", "kilometre": "kilometer",
    "in": "inch", "inches": "inch", "ft": "foot", "feet": "foot", "yd": "yard", "mi": "mile", "mg": "milligram",
    "g": "gram", "kg": "kilogram", "kilo": "kilogram", "lb": "pound", "lbs": "pound", "oz": "ounce",
    "ml": "milliliter", "l": "liter", "litre": "liter", "millilitre": "milliliter", "ms": "millisecond",
    "s": "second", "sec": "second", "min": "minute", "h": "hour", "hr": "hour", "°c": "celsius", "°f": "fahrenheit",
    "c": "celsius", "f": "fahrenheit", "°": "degree", "people": "person", "men": "man", "women": "woman",
    "children": "child", "sd": "deviation", "pp": "point", "hz": "hertz",
}  # fmt: skip
_WHOLE = {"mph": "mile per hour", "kph": "kilometer per hour", "bpm": "beat per minute", "degree celsius": "celsius",
          "degree fahrenheit": "fahrenheit", "us dollar": "dollar", "standard deviation": "deviation",
          "percentage point": "point", "percent point": "point", "per cent": "percent"}  # fmt: skip
_CHANGES_THE_UNIT = frozenset({"per", "squared", "cubed"})
_MOST_WORDS = 8
_WORD = re.compile(r"%|°[cf]?|[$€£¥¢]|[^\W\d_]+(?:['-][^\W\d_]+)*|\S")


@dataclass(frozen=True)
class Unit:
    """A unit: its words in the singular, and what one of it is worth in the number it is written with.

    `scale` is 0.01 for percent and 1e6 for million; `percent` says that the first word is percent.
    """

    words: tuple[str, ...] = ()
    scale: float = 1.0
    percent: bool = False


NO_UNIT = Unit()


def read_unit(text: str) -> Unit | None:
    """Return the unit that `text` writes, `NO_UNIT` for none, or None when it is no unit but a statement.

    >>> read_unit("km/h") == read_unit("kilometers per hour")
    True
    >>> read_unit("million dollars")
    Unit(words=('dollar',), scale=1000000.0, percent=False)
    """
    text = text.lower().strip(" .,;:!()[]\"'")
    text = re.sub(r"\^\{?2\}?", " squared ", text)
    text = re.sub(r"\^\{?3\}?", " cubed ", text).replace("/", " per ").replace("percentage points", "pp")
    text = re.sub(r"\b(?:square|sq\.?)\s+([a-z]+)", r"\1 squared", text)
    text = re.sub(r"\b(?:cubic|cu\.?)\s+([a-z]+)", r"\1 cubed", text)
    tokens = _WORD.findall(text)
    if not all(map(_of_a_unit, tokens)):
        return None
    if len(tokens) == 1 and tokens[0] == "in":
        return Unit(("inch",))
    words = " ".join(_singular(token) for token in _said(tokens))
    for long, short in _WHOLE.items():
        words = re.sub(rf"\b{long}\b", short, words)
    found = words.split()
    if len(found) > _MOST_WORDS:
        return None
    scale = 1.0
    while found and found[0] in _SCALES:
        scale *= _SCALES[found.pop(0)]
    percent = bool(found) and found[0] in _PERCENT
    return Unit(tuple(found), scale * 0.01 if percent else scale, percent)


def _of_a_unit(token: str) -> bool:
    """Return False for digits, operators and hedges, and for single letters that are variables, as in `2x`."""
    if token[0] in "%°$€£¥¢":
        return True
    return token[0].isalpha() and token not in HEDGES and (len(token) > 1 or token in _NAMES or token == "a")


def _said(tokens: list[str]) -> list[str]:
    """Return the words without fillers; `a` and `an` between two words mean `per`."""
    last = len(tokens) - 1
    words = ["per" if t in ("a", "an", "every") and 0 < i < last else t for i, t in enumerate(tokens)]
    return [t for t in words if t not in _FILLERS and t not in ("a", "an", "every")]


def _singular(word: str) -> str:
    if word in _PERCENT:
        return "percent"
    if word in _NAMES:
        return _NAMES[word]
    short = word.removesuffix("s") if len(word) > 3 and not word.endswith(("ss", "us", "is")) else word
    return _NAMES.get(short, short)


def same_unit(one: Unit, other: Unit) -> bool:
    """Return True when the units are the same, one says more about the same unit, or one is left out.

    >>> same_unit(Unit(("dollar",)), Unit(("dollar", "per", "hour")))
    False
    """
    short, long = sorted((one.words, other.words), key=len)
    if not short:
        return True
    rest = long[len(short) :]
    return long[: len(short)] == short and not (rest and rest[0] in _CHANGES_THE_UNIT)
