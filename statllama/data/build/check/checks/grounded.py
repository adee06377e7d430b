"""The row rests on its context: its quotation stands there, and its numbers come from somewhere.

A number of the answer comes from the context, from the question, from an equality of the answer that holds and whose
own numbers come from somewhere, or (`steps: 1`) from one operation on two numbers that are given. Small whole numbers
and customary levels need no source. Values of tables and distributions have none: of rows with inference many are
reported.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from statllama.config.spec import Count
from statllama.config.spec import Spec as Settings
from statllama.data.build.check.arithmetic import leaf
from statllama.data.build.check.equalities import equalities, numbers
from statllama.data.build.check.findings import Finding, cut, failed, passed, unchecked
from statllama.data.build.check.quoting import place, words
from statllama.data.build.check.reading import Reading

KIND, COST, NUMERICS = "alone", 20, 1

NOT_FOUND = "the quotation is not in its context"
CHANGED = "the quotation changes a number, sign or negation of its context"
SHORT = "the quotation is too short to show anything"
NONE = "no quotation"
NUMBERS = "a number of the answer is in neither context nor question, and follows from neither"
NOTHING_TO_GROUND = "no quotation was asked for"
_CUSTOMARY = frozenset((
    0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 0.75, 0.8, 0.9, 0.95, 0.98, 0.99, 1.28, 1.282, 1.5, 1.64, 1.645, 1.96,
    2.33, 2.326, 2.576, 2.58, 80, 90, 95, 98, 99, 100,
))  # fmt: skip
_SMALL = 12  # whole numbers up to it are counts of words, parts and steps
_MOST_GIVEN = 60  # numbers that are combined in pairs: with more, anything follows from something


class Spec(Settings):
    """Rows whose quotation is not in their context are left out."""

    similarity: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Least share of the quotation's words that must stand in the context in this order, with all its numbers,
    relations and negations. 1: word for word."""
    fewest_words: Count = 4
    """A shorter quotation shows nothing."""
    require_quote: bool = False
    """Leave out rows without a quotation too; else they are not checkable."""
    numbers: Literal["report", "leave_out", "ignore"] = "report"
    """What becomes of rows with a number in the answer that comes from nowhere: they are kept and say so, they are left
    out, or such numbers are not looked for."""
    steps: Literal[0, 1] = 1
    """Operations on given numbers that need not be written down: 0, or one (a sum, difference, product, quotient,
    share, square or root)."""


def prepare(spec: Spec, folder: Path) -> None:
    """Return None: a row has all that is needed."""


def make(spec: Spec, prepared: Any) -> Callable[[Mapping[str, Any], Reading], Finding]:
    """Return the check of a row."""

    def check(row: Mapping[str, Any], reading: Reading) -> Finding:
        figures: dict[str, Any] = {}
        if spec.numbers != "ignore" and reading.context and reading.answer:
            figures = {"unexplained": unexplained(reading, spec.steps)}
        finding = _quoted(spec, reading, figures)
        if finding.passed is not False and spec.numbers == "leave_out" and figures.get("unexplained"):
            return failed(NUMBERS, ", ".join(figures["unexplained"][:10]), **finding.figures)
        return finding

    return check


def _quoted(spec: Spec, reading: Reading, figures: Mapping[str, Any]) -> Finding:
    if reading.quote is None:
        return failed(NONE, **figures) if spec.require_quote else unchecked(NOTHING_TO_GROUND, **figures)
    if not reading.quote.strip():
        return failed(NONE, **figures)
    if len(words(reading.quote)) < spec.fewest_words:
        return failed(SHORT, cut(reading.quote), **figures)
    found = place(reading.quote, words(reading.context))
    figures = {"similarity": round(found.similarity, 4), **figures}
    if found.similarity < spec.similarity:
        return failed(NOT_FOUND, f"nearest in the context: {cut(found.text)}", **figures)
    if not found.same_facts:
        return failed(CHANGED, f"in the context: {cut(found.text)}", **figures)
    return passed(**figures)


def unexplained(reading: Reading, steps: int = 1) -> list[str]:
    """Return the numbers of the answer, as printed, that come from nowhere, each once."""
    given = {value for text in (reading.context, reading.asked) for value, _, _ in numbers(text)}
    known = set(given)
    exact = {value for value, _, _ in numbers(reading.asked)}
    holding = [e for e in equalities(reading.answer, exact) if e.verdict == "right"]
    for _ in range(3):  # an equality may rest on one that stands after it
        if steps:
            known |= _complements(known)
        for equality in holding:
            if all(_explained(value, 9, known) for value in equality.inputs):
                known.update(equality.results)
    if steps:
        known |= _one_step(given)
    found = numbers(reading.answer)
    odd = [text for value, _, text in found if not _explained(value, leaf(text).decimals, known)]
    return list(dict.fromkeys(odd))


def _explained(value: float, decimals: int, known: set[float]) -> bool:
    """Return whether a printed number is customary, or one that is known, as a share or percentage too, rounded."""
    if value in _CUSTOMARY or (value == int(value) and value <= _SMALL):
        return True
    allowed = 0.5 * 10.0**-decimals * (1 + 1e-9) + 1e-12
    return any(
        abs(value - abs(other) * scale) <= min(allowed, 0.05 * value) or math.isclose(value, abs(other) * scale)
        for other in known
        for scale in (1.0, 100.0, 0.01)
    )


def _complements(known: set[float]) -> set[float]:
    return {1 - value for value in known if 0 < value < 1} | {100 - value for value in known if 1 < value < 100}


def _one_step(given: set[float]) -> set[float]:
    """Return what one operation makes of one or two of the numbers."""
    some = sorted(given)[:_MOST_GIVEN]
    made = {value**2 for value in some if abs(value) < 1e150} | {math.sqrt(value) for value in some if value >= 0}
    for one, other in itertools.combinations(some, 2):
        made |= {one + other, other - one, one * other}
        made |= {one / other for one, other in ((one, other), (other, one)) if other}
    return {value for value in made if math.isfinite(value)} | {value - 1 for value in some}
