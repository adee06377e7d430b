"""The records that statistics problems are made of; no randomness, no input and no output."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ._answer import Answer
from ._formulas import plain as without_marks
from ._siblings import Sibling
from ._solution import solutions

#: Parameters of a question's form, not of its data: they are left out when numbers are compared.
FORM_PARAMETERS = frozenset({"confidence", "alpha"})
_BUCKETS = 5


class Redraw(Exception):
    """A draw gave no fit problem (an impossible number, two equal options): draw again."""


@dataclass(frozen=True)
class Problem:
    """A statistics problem with a computed answer.

    topic, kind: the module and function it comes from. difficulty: 1 (one step) to 3 (several steps). held_out: true
    when the kind occurs in the test split only. split: "train" or "test". setting: keys of the settings used. steps:
    the worked solution, a sentence each, formulas between backquotes. answer: its text with the unit; value: its one
    number, unrounded, or None when the answer is a sentence or an interval; tolerance: absolute, how far from `value` a
    reply may be. distractors: three (text, misconception) pairs. rejected_steps: the worked steps to `rejected_answer`,
    which is wrong; error: the slip they make. idea: the principle in one sentence. parameters: the numbers and labels
    the answer follows from. asked: which of four siblings it is, in a few words; family: equal for siblings, and for
    problems that differ in nothing else. siblings: all four, the one asked among them; stream: names the draws of
    their solutions' wordings; covered: the topics of the AP course that cover each ("7.5, 7.9"), "" when it is off the
    syllabus.

    Raises `ValueError` when the parts contradict one another.
    """

    topic: str
    kind: str
    difficulty: int
    held_out: bool
    split: str
    setting: str
    question: str
    steps: tuple[str, ...]
    answer: str
    value: float | None
    tolerance: float
    distractors: tuple[tuple[str, str], ...]
    rejected_steps: tuple[str, ...]
    rejected_answer: str
    error: str
    idea: str
    parameters: Mapping[str, object] = field(hash=False)
    asked: str
    family: str
    siblings: tuple[Sibling, ...] = field(repr=False, hash=False)
    stream: str = field(repr=False)
    covered: tuple[str, ...]

    def __post_init__(self) -> None:
        options = [self.answer, *(text for text, _ in self.distractors)]
        if len(options) != 4 or len(set(options)) != 4:
            raise ValueError(f"{self.kind}: needs four different options, got {options}")
        if self.difficulty not in (1, 2, 3):
            raise ValueError(f"{self.kind}: difficulty must be 1, 2 or 3, got {self.difficulty}")
        if not (self.question and self.steps and self.rejected_steps and self.error):
            raise ValueError(f"{self.kind}: question, steps, rejected steps and error must not be empty")
        if self.rejected_answer == self.answer:
            raise ValueError(f"{self.kind}: the rejected solution ends in the right answer")

    @cached_property
    def solutions(self) -> list[tuple[str, ...]]:
        """Return the worked steps of each sibling."""
        return solutions(self.siblings, range(4), self.stream)

    @property
    def ap(self) -> str:
        """Return the topics of the AP course that cover the question, "" when it is off the syllabus."""
        return self.covered[[sibling.asked for sibling in self.siblings].index(self.asked)]

    @property
    def solution(self) -> str:
        """Return the worked solution as text, ending in a line `Answer: ...`."""
        return solution_text(self.steps, self.answer)

    @property
    def rejected(self) -> str:
        """Return the worked solution that ends in a wrong answer."""
        return solution_text(self.rejected_steps, self.rejected_answer)


def solution_text(steps: Sequence[str], answer: str, write: Callable[[str], str] = without_marks) -> str:
    """Return the worked steps, one a line, and a last line `Answer: ...`; `write` turns marked formulas into text."""
    return write("\n".join([*steps, f"Answer: {answer}"]))


def number(
    value: float,
    digits: int,
    unit: str = "",
    *,
    low: float = -math.inf,
    high: float = math.inf,
    tolerance: float | None = None,
) -> Answer:
    """Return a number rounded to `digits` decimals with its unit; the tolerance is one unit of the last decimal.

    Refused outside `low` to `high`, and halfway between two roundings, where readers may round differently.
    """
    text = f"{fixed(value, digits)} {unit}".rstrip()
    allowed = 10.0**-digits if tolerance is None else tolerance
    return Answer(text, (value,), allowed, math.isfinite(value) and low <= value <= high and not _tie(value, digits))


def probability(value: float, digits: int = 4, tolerance: float = 0.002) -> Answer:
    """Return a probability or proportion, refused when it would print as 0 or 1; tolerance as for table look-up."""
    edge = 0.5 * 10.0**-digits
    slack = min(tolerance, max(10.0**-digits, 0.05 * min(value, 1.0 - value)))
    return Answer(fixed(value, digits), (value,), slack, edge < value < 1.0 - edge and not _tie(value, digits))


def count(value: int, unit: str = "") -> Answer:
    """Return a whole number that must be exact, at least 0."""
    return Answer(f"{value} {unit}".rstrip(), (float(value),), 0.0, value >= 0)


def interval(low: float, high: float, digits: int, unit: str = "") -> Answer:
    """Return an interval as "(low, high) unit" with `digits` decimals."""
    text = f"({fixed(low, digits)}, {fixed(high, digits)}) {unit}".rstrip()
    return Answer(text, (low, high), 1.5 * 10.0**-digits, low < high)


def share_interval(low: float, high: float, digits: int = 3) -> Answer:
    """Return an interval for a proportion, refused when it leaves 0 to 1."""
    answer = interval(low, high, digits)
    return Answer(answer.text, answer.numbers, answer.tolerance, 0.0 < low < high < 1.0)


def words(text: str) -> Answer:
    """Return an answer that is a sentence or a name."""
    return Answer(text)


def _tie(value: float, digits: int) -> bool:
    """Return True when `value` lies halfway between two numbers with `digits` decimals, up to rounding error."""
    return math.isfinite(value) and abs(abs(value) * 10.0**digits % 1.0 - 0.5) < 1e-7


def fixed(value: float, digits: int) -> str:
    """Return `value` with `digits` decimals and never a negative zero."""
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("-") and float(text) == 0.0 else text


def sig(value: float, digits: int = 4) -> str:
    """Return `value` to `digits` significant figures, without an exponent: 0.03464, 12.35, 1235."""
    if value == 0.0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    return fixed(value, max(0, digits - 1 - magnitude))


def plain(value: float) -> str:
    """Return a given number without trailing zeros: 12.5, 12, 0.04."""
    text = fixed(value, 6).rstrip("0").rstrip(".")
    return text or "0"


def term(value: float) -> str:
    """Return a number to be subtracted or multiplied: in brackets when it is negative."""
    return f"({plain(value)})" if value < 0 else plain(value)


def article(noun: str) -> str:
    """Return a noun with its indefinite article: an apartment, a tree."""
    return f"{'an' if noun[0] in 'aeioAEIO' else 'a'} {noun}"


def ordinal(number: int) -> str:
    """Return a whole number as an ordinal: 3rd, 11th, 22nd."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if 10 <= number % 100 <= 20 else ending}"


def single(unit: str) -> str:
    """Return a unit after "per": hours -> hour, degrees Celsius -> degree Celsius, square meters -> square meter."""
    if unit.startswith("degrees"):
        return unit.replace("degrees", "degree", 1)
    return unit.removesuffix("s")


def fingerprint(kind: str, parameters: Mapping[str, object]) -> str | None:
    """Return the numbers of a problem as text, or None without any; labels and `FORM_PARAMETERS` are left out."""
    numbers = {
        name: value for name, value in sorted(parameters.items()) if name not in FORM_PARAMETERS and _numeric(value)
    }
    return f"{kind} {json.dumps(numbers)}" if numbers else None


def number_split(kind: str, parameters: Mapping[str, object]) -> str | None:
    """Return the split that owns these numbers (one set in five is test), or None when there are no numbers."""
    text = fingerprint(kind, parameters)
    if text is None:
        return None
    return "test" if hashlib.sha256(text.encode()).digest()[0] % _BUCKETS == 0 else "train"


def _numeric(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and all(_numeric(item) for item in value)
    return isinstance(value, (int, float)) and not isinstance(value, bool)
