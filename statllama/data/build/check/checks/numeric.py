"""The row is numerically right, as far as it can be recomputed.

Equalities of numbers in the answer (`equalities.py`) are worked out, statistics that the question names with their data
(`named.py`) are computed, and the final answer must stand in the work that leads to it. Only what is certainly wrong
leaves a row out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from statllama.config.spec import Spec as Settings
from statllama.data.build.check.arithmetic import leaf
from statllama.data.build.check.equalities import equalities, numbers
from statllama.data.build.check.findings import Finding, failed, passed, unchecked
from statllama.data.build.check.named import recomputed
from statllama.data.build.check.reading import Reading

KIND, COST, NUMERICS = "alone", 30, 1

ARITHMETIC = "an equality of the answer does not hold"
STATISTIC = "a statistic is not what its data give"
NOT_REACHED = "the final answer is not what the work arrives at"
NOTHING = "nothing in it can be recomputed"


class Spec(Settings):
    """Rows that are certainly wrong in a number are left out."""

    final_answer: bool = True
    """Leave out rows whose marked final answer, one number, stands nowhere in the work before it: an answer that was
    changed or miscopied."""


def prepare(spec: Spec, folder: Path) -> None:
    """Return None: a row has all that is needed."""


def make(spec: Spec, prepared: Any) -> Callable[[Mapping[str, Any], Reading], Finding]:
    """Return the check of a row."""

    def check(row: Mapping[str, Any], reading: Reading) -> Finding:
        given = {value for value, _, _ in numbers(reading.asked)}  # a context may have rounded results
        found = [e for e in equalities(reading.answers, given) if e.verdict != "unclear"]
        named = list(recomputed(reading.question, reading.answer, reading.reference))
        reached = _reached(reading, given) if spec.final_answer else None
        figures = {"checked": len(found) + len(named) + (reached is not None)}
        for equality in found:
            if equality.verdict == "wrong":
                sides = f"the sides are {equality.left:.6g} and {equality.right:.6g}"
                return failed(ARITHMETIC, f"{equality.text}; {sides}", **figures)
        for statistic in named:
            if not statistic.agrees:
                right = " or ".join(f"{value:.6g}" for value in statistic.right)
                return failed(STATISTIC, f"{statistic.name}: {statistic.stated}; computed: {right}", **figures)
        if reached is False:
            return failed(NOT_REACHED, f"final answer: {reading.reference}", **figures)
        return passed(**figures) if figures["checked"] else unchecked(NOTHING, **figures)

    return check


def _reached(reading: Reading, given: set[float]) -> bool | None:
    """Return whether the final answer's one number stands in the work, rounded or not; None where that cannot be told,
    as of work with a single number, which may leave the last step to the reader.
    """
    said, shown = numbers(reading.reference), numbers(reading.work)
    holding = [e for e in equalities(reading.work, given) if e.verdict == "right"]
    if len(said) != 1 or len(shown) < 2:
        return None
    value, _, printed = said[0]
    allowed = 0.5 * 10.0 ** -leaf(printed).decimals * (1 + 1e-9)
    values = {other for other, _, _ in shown} | {abs(v) for e in holding for v in e.results} | given
    return any(
        abs(value - other * scale) <= allowed + 1e-12
        or math.isclose(value, other * scale)
        or abs(value - other * scale) <= 0.5 * 10.0 ** -leaf(text).decimals * scale
        for other, text in [*((v, printed) for v in values), *((v, t) for v, _, t in shown)]
        for scale in (1.0, 100.0, 0.01)
    )
