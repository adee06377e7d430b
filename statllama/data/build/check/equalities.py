"""Equalities that a text states about numbers alone, such as `(182 - 190)^2 / 190 = 0.34`, and whether they hold.

An equality is `wrong` only where nothing excuses it: the printed digits (rounded or cut off), those of the numbers that
it was computed from (a decimal that the question does not give may itself be rounded), a percentage for a share, or
another reading of the expression. What cannot be read with certainty, since a variable, a unit or a word stands in it,
is no equality here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from statllama.data.build.check.arithmetic import (
    FUNCTIONS,
    Expression,
    NoExpression,
    Token,
    leaf,
    parse,
    tokens,
    written,
)

Verdict = Literal["right", "wrong", "unclear"]

_EXACT_DIGITS = 2  # a decimal with fewer significant digits is no rounded result: 0.5, 1.2
_ROUNDED_DECIMALS = 2
_TINY = 1e-12  # relative, for rounding in binary
_GIVING = frozenset((
    "is", "are", "was", "be", "gives", "give", "gave", "get", "got", "so", "thus", "then", "hence", "by", "equals",
    "have", "has", "therefore", "compute", "computing", "that", "yields", "obtain", "find", "calculate",
))  # fmt: skip
_NOT_BEFORE = frozenset((
    "or", "times", "plus", "minus", "over", "log", "lg", "sum", "mean", "average", "variance", "deviation", "sd", "min",
    "max",
))  # fmt: skip
_NOT_AFTER = frozenset((
    "million", "billion", "trillion", "thousand", "hundred", "dozen", "remainder", "r", "mod", "to", "or", "times",
    "plus", "minus", "over", "squared", "cubed", "x", "y", "z", "n", "k", "p", "q", "t", "i", "j", "e", "pi", "mu",
    "sigma", "sqrt", "log", "ln", "exp",
))  # fmt: skip
_ENDS = frozenset(".,;:)]}!?'\"|")
_BULLET = re.compile(r"^\s*[-*+•]\s+")
_LINE = re.compile(r"\n|(?<=[.!?;])\s+(?=[A-Z(])|(?<=[a-z)])\.\s+(?=[A-Z])")


@dataclass(frozen=True)
class Equality:
    """`text` as it was read (`written`); both sides' values; the sides that were single numbers hold for known."""

    text: str
    left: float
    right: float
    verdict: Verdict
    inputs: tuple[float, ...]
    """Numbers of the expression."""
    results: tuple[float, ...]
    """Values that follow from `inputs` where the equality holds: the printed one and the exact one."""


def equalities(text: str, given: Collection[float] = ()) -> list[Equality]:
    """Return the equalities of a text, in order. `given`: numbers of the question and its context, which are exact.

    >>> [(e.text, e.verdict) for e in equalities("So 3 * 4 = 12 and 7 / 2 = 3.4; x + 1 = 3.")]
    [('3 * 4 = 12', 'right'), ('7 / 2 = 3.4', 'wrong')]
    """
    return [found for line in _LINE.split(written(text)) for found in _of_line(line, frozenset(given))]


def numbers(text: str) -> list[tuple[float, bool, str]]:
    """Return the numbers of a text: value as printed, whether a percent sign follows, and how it is printed.

    A minus sign is no part of them.
    """
    found = tokens(written(text).replace("\n", " "))
    follows = [token.text for token in found[1:]] + [""]
    return [
        (leaf(token.text).value, after == "%", token.text)
        for token, after in zip(found, follows, strict=False)
        if token.kind == "number"
    ]


def _of_line(line: str, given: frozenset[float]) -> Iterator[Equality]:
    line = _BULLET.sub("", line)
    found = tokens(line)
    cuts = [i for i, token in enumerate(found) if token.kind in ("relation", "break") and token.text != "±"]
    edges = [-1, *cuts, len(found)]
    for k, cut in enumerate(cuts):
        if found[cut].kind == "relation":
            chained = k > 0 and found[cuts[k - 1]].kind == "relation"
            sides = found[edges[k] + 1 : cut], found[cut + 1 : edges[k + 2]]
            for left, right, whole in _aligned(*sides, chained):
                equality = _judged(line, _left(left, whole), found[cut], _right(right), given)
                if equality is not None:
                    yield equality


def _aligned(
    left: Sequence[Token], right: Sequence[Token], chained: bool
) -> Iterator[tuple[Sequence[Token], Sequence[Token], bool]]:
    """Yield the pairs that an equality equates: the sides, or what stands before and after `±` in each.

    `whole`, the third: whether the left one is all that stands there, between two signs.
    """
    places = [[i for i, token in enumerate(side) if token.text == "±"] for side in (left, right)]
    if not places[0] and not places[1]:
        yield left, right, chained
    elif len(places[0]) == len(places[1]) == 1:
        (one,), (other,) = places
        yield left[:one], right[:other], chained
        yield left[one + 1 :], right[other + 1 :], True


_Side = tuple[Sequence[Token], Expression]


def _parsed(part: Sequence[Token], tight_minus: bool = False) -> Expression | None:
    try:
        return parse(part, tight_minus=tight_minus)
    except NoExpression:
        return None


def _left(side: Sequence[Token], whole: bool) -> _Side | None:
    """Return the longest end of the side that is an expression, if nothing before it may belong to it."""
    for start in range(len(side)):
        if (expression := _parsed(side[start:])) is None:
            continue
        if start == 0:
            alone = whole or expression.operations
            return (side, expression) if alone else None
        if not expression.operations or not _clean_start(side, start):
            return None
        return side[start:], expression
    return None


def _clean_start(side: Sequence[Token], start: int) -> bool:
    before, first = side[start - 1], side[start]
    apart = before.end < first.start
    if before.kind == "word":
        word = before.text.lower()
        if word == "and":  # the result of another equality, or no number, stands before it
            return start < 2 or side[start - 2].kind != "number" or start == 2
        if len(word) < 2 or word in _NOT_BEFORE or word in FUNCTIONS or not word.isalpha() or not apart:
            return False
        if first.text in "+-":  # binary, unless it is set close to its number
            return first.end == side[start + 1].start
        return first.text != "(" or word in _GIVING
    if before.text in (",", ":"):
        return start < 2 or side[start - 2].kind != "number"
    return before.text == "(" and (start < 2 or side[start - 2].end < before.start) and apart is False


def _right(side: Sequence[Token]) -> _Side | None:
    """Return the longest beginning of the side that is an expression, if nothing after it may belong to it."""
    for end in range(len(side), 0, -1):
        if (expression := _parsed(side[:end])) is None:
            continue
        if side[end - 1].text == "!" and (shorter := _parsed(side[: end - 1])) is not None:  # or an exclamation mark
            return side[: end - 1], replace(shorter, doubtful=True)
        return (side[:end], expression) if end == len(side) or _clean_end(side, end) else None
    return None


def _clean_end(side: Sequence[Token], end: int) -> bool:
    last, after = side[end - 1], side[end]
    apart = last.end < after.start
    if after.kind == "word":
        word = after.text.lower()
        return apart and word not in _NOT_AFTER
    if after.text in _ENDS:
        follows = side[end + 1] if end + 1 < len(side) else None
        return follows is None or follows.kind != "number" or follows.start > after.end
    return after.text == "("


def _judged(
    line: str, left: _Side | None, relation: Token, right: _Side | None, given: frozenset[float]
) -> Equality | None:
    if left is None or right is None:
        return None
    one, other = left[1], right[1]
    if not (one.operations or other.operations or len(left[0]) != len(right[0])):
        return None
    text = line[left[0][0].start : right[0][-1].end].strip()
    try:
        values = one.value(), other.value()
        verdict = _verdict(one, other, relation.text == "≈", given)
    except (ArithmeticError, ValueError):
        return None
    running = other.operations and math.isclose(other.leaves[0].value, values[0], rel_tol=1e-6)  # 1600 / 200 = 8 * 100
    if verdict == "wrong" and (running or one.doubtful or other.doubtful or _is_range(left) or _is_range(right)):
        verdict = "unclear"
    if verdict == "wrong":
        again = [_parsed(side[0], tight_minus=True) or side[1] for side in (left, right)]
        try:
            verdict = _verdict(again[0], again[1], relation.text == "≈", given)
        except (ArithmeticError, ValueError):
            verdict = "unclear"
    inputs = tuple(leaf.value for side in (one, other) if side.operations for leaf in side.leaves)
    return Equality(text, *values, verdict, inputs, values)


def _is_range(side: _Side) -> bool:
    """Return whether the side may be a range, `10-12`, or a score."""
    texts = [token.text for token in side[0]]
    if len(texts) != 3 or texts[1] not in "-/":
        return False
    close = side[0][0].end == side[0][1].start and side[0][1].end == side[0][2].start
    return close and texts[1] == "-" and leaf(texts[0]).value < leaf(texts[2]).value


def _verdict(one: Expression, other: Expression, about: bool, given: frozenset[float]) -> Verdict:
    """Return whether both sides may be equal before rounding."""
    left, right = one.value(), other.value()
    slack = _slack(one, given, bool(one.operations)) + _slack(other, given, bool(other.operations))
    scales = (1.0, 100.0, 0.01) if one.percent or other.percent else (1.0,)
    for scale in scales:
        exact, printed, of = (left * scale, right, other) if not other.operations else (right / scale, left, one)
        if _near(exact, printed, of, slack * (scale if not other.operations else 1 / scale), about):
            return "right"
    return "wrong"


def _slack(expression: Expression, given: frozenset[float], counts: bool) -> float:
    """Return how far the value moves when the printed inputs move by half a unit of their last digit."""
    if not counts:
        return 0.0
    exact = [part.value for part in expression.leaves]
    middle, total = expression.value_of(exact), 0.0
    for i, part in enumerate(expression.leaves):
        short = part.decimals < _ROUNDED_DECIMALS and _significant(part.text) <= _EXACT_DIGITS
        if short or part.decimals < 1:
            continue
        if any(math.isclose(part.value, known, rel_tol=_TINY) for known in given):
            continue
        moved = []
        for sign in (-1, 1):
            shifted = [*exact[:i], part.value + sign * 0.5 * 10.0**-part.decimals, *exact[i + 1 :]]
            try:
                moved.append(abs(expression.value_of(shifted) - middle))
            except (ArithmeticError, ValueError):
                return math.inf
        total += max(moved)
    return total


def _significant(text: str) -> int:
    return len(re.sub(r"[eE].*|[.,]", "", text).lstrip("0"))


def _near(exact: float, printed: float, of: Expression, slack: float, about: bool) -> bool:
    """Return whether a printed number is the exact one, rounded or cut off; `of`: the side where it stands."""
    tiny = _TINY * max(abs(exact), abs(printed), 1e-12)
    if of.operations:  # two expressions
        return abs(exact - printed) <= slack + tiny
    unit = 10.0 ** -of.leaves[0].decimals * (0.01 if of.percent else 1.0)
    gap = abs(exact - printed)
    if about:
        zeros = len(of.leaves[0].text) - len(of.leaves[0].text.rstrip("0")) if of.leaves[0].decimals == 0 else 0
        return gap <= unit * 10.0**zeros + slack + tiny
    if gap <= 0.5 * unit + slack + tiny:
        return True
    cut_off = gap < unit - tiny and abs(exact) > abs(printed)
    rounded_up = (
        of.leaves[0].decimals == 0 and not of.percent and gap < unit - tiny and exact < printed
    )  # a sample size
    return cut_off or rounded_up
