"""Siblings: four procedures on one set of data, four questions, and each procedure is right for one of them.

A multiple-choice problem whose wrong options are made from its right one can be solved without the question: the right
option is the one that the others resemble. Here each option is the right answer to a question that could as well have
been asked of the same data. The four are drawn and rejected as a set, and only then is the question drawn that is
asked, so P(right | options) = 1/4: nobody who sees the options alone can beat chance. A pair of worked solutions is
symmetrical in the same way: what is right under one question is wrong under the other.

Mostly the four are a square, two choices of two: z or t, mean or single value, above or below.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ._answer import Answer

Step = str | tuple[str, str]
"""A sentence of a worked solution, or two that may stand in either order; `_solution.py` tells how they are written."""

LEVELS = ((90, 95), (95, 99), (90, 99))
"""Pairs of confidence levels in percent, for kinds in which the level is one of the choices."""


@dataclass(frozen=True)
class Claim:
    """What a significance test is about, for a free response that goes on to a decision.

    `words` completes "convincing evidence that ...". `null` and `alternative` are formulas such as "mu = 83" and
    "mu > 83", or "" where the hypotheses are sentences. `p`: the two-sided p-value where the answer is the statistic;
    None where the answer is the p-value itself.
    """

    words: str
    null: str = ""
    alternative: str = ""
    p: float | None = None


@dataclass(frozen=True)
class Sibling:
    """One of the four: the question that asks for it, its worked steps, and its answer.

    `asked` names it in a few words ("t interval, 95%"). `steps` argue as if it were asked for, in one template with
    those of the other three, so that they read as well under another's question; wordings to choose from stand in
    brackets. `idea`: the principle, in a sentence.
    `claim`: where the answer is a p-value or a test statistic, what is tested.
    """

    asked: str
    question: str
    steps: Sequence[Step]
    answer: Answer
    idea: str
    claim: Claim | None = None


@dataclass(frozen=True)
class Siblings:
    """What the function of a multiple-choice kind returns.

    `slips[i][j]` completes "The student ..." for one who was asked `of[i]` and answered `of[j]`, in the past tense;
    "" where i is j. `parameters`: all that an independent computation of the four answers needs, the same for each.
    """

    of: tuple[Sibling, Sibling, Sibling, Sibling]
    slips: Sequence[Sequence[str]]
    parameters: Mapping[str, object]


def square(
    make: Callable[[int, int], Sibling],
    first: tuple[str, str],
    second: tuple[str, str],
    parameters: Mapping[str, object],
) -> Siblings:
    """Return the four of two choices of two: `make(a, b)` with a and b of 0 and 1.

    `first` and `second` are the slips in the first and the second choice: of one who took 1 where 0 was asked, and of
    one who took 0 where 1 was asked.
    """
    places = list(itertools.product((0, 1), repeat=2))

    def slip(asked: tuple[int, int], taken: tuple[int, int]) -> str:
        made = [names[a] for names, a, t in zip((first, second), asked, taken, strict=True) if a != t]
        return " and ".join(made)

    of = tuple(make(a, b) for a, b in places)
    return Siblings(of, [[slip(i, j) for j in places] for i in places], parameters)  # type: ignore[arg-type]


def four(of: Sequence[Sibling], slips: Sequence[str], parameters: Mapping[str, object]) -> Siblings:
    """Return four siblings; `slips[j]` is the slip of one who took the j-th, whatever was asked."""
    rows = [["" if i == j else slips[j] for j in range(4)] for i in range(4)]
    return Siblings(tuple(of), rows, parameters)  # type: ignore[arg-type]


def other_level(levels: tuple[int, int]) -> tuple[str, str]:
    """Return the slips of a choice between two confidence levels."""
    low, high = levels
    return (
        f"used the critical value of a {high}% interval for one at {low}%",
        f"used the critical value of a {low}% interval for one at {high}%",
    )
