"""Reward `correctness`: does a completion's final answer agree with the answer of its own row?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from statllama.config.spec import NonNegative
from statllama.errors import TrainingError
from statllama.rewards import latex
from statllama.rewards.completions import column, final_answer, texts
from statllama.rewards.plain import plain
from statllama.rewards.quantities import Quantity, agree, read_quantity
from statllama.rewards.spec import Reward, RewardSpec
from statllama.rewards.units import read_unit
from statllama.rewards.wording import alike, words

Outcome = Literal["correct", "wrong", "no answer"]
Points = Annotated[float, Field(ge=-100, le=100)]


class Spec(RewardSpec):
    """Tolerances and points; the defaults are the paper's."""

    name: Literal["correctness"]
    column: str = "answer"
    """Column of the data that holds the right answer."""
    rtol: NonNegative = 1e-2
    """Tolerance of a number, as a share of the right one. Rows with their own `tolerance` use that."""
    atol: NonNegative = 1e-4
    """Tolerance of a number, in the unit of the right answer; the larger of the two tolerances counts."""
    fuzzy: Annotated[float, Field(gt=0, le=100)] = 85.0
    """Required similarity of an answer in words (100: the same words)."""
    last_number: bool = False
    """Without tags and without a mark such as `Answer:`, take the completion's last number as its answer."""
    whole: bool = False
    """Without all of these, take the whole completion as its answer: for models that answer in a word or two."""
    correct: Points = 2.0
    """Reward of a right answer."""
    wrong: Points = -1.5
    """Reward of a wrong one."""
    no_answer: Points = -1.0
    """Reward of a completion without an answer."""

    @model_validator(mode="after")
    def _right_pays_most(self) -> Self:
        if self.correct <= max(self.wrong, self.no_answer):
            raise ValueError(f"`correct` {self.correct:g} must be above `wrong` and `no_answer`")
        return self


def make(spec: Spec) -> Reward:
    """Return the reward function. `tolerance` and `value`, columns of generated problems, are used where a row has
    them.

    >>> reward = make(Spec(name="correctness"))
    >>> replies = ["<answer>25 %</answer>", "The answer is 0.3.", "I do not know."]
    >>> reward(prompts=["p", "p", "q"], completions=replies, answer=["1/4", "1/4", "7"])
    [2.0, -1.5, -1.0]
    """
    points = {"correct": spec.correct, "wrong": spec.wrong, "no answer": spec.no_answer}

    def correctness(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        answers = column(spec.column, columns, spec.name)
        nothing = [None] * len(answers)
        rows = zip(
            texts(completions),
            answers,
            columns.get("value", nothing),
            columns.get("tolerance", nothing),
            strict=True,
        )
        return [points[_outcome(spec, row, *cells)] for row, cells in enumerate(rows, start=1)]

    return correctness


def _outcome(spec: Spec, row: int, text: str, answer: object, value: object, tolerance: object) -> Outcome:
    reference = "" if answer is None else str(answer).strip()
    if not reference:
        raise TrainingError(
            f"reward {spec.name!r}: row {row} of the batch has no `{spec.column}` to compare with",
            remedy=f"filter such rows out, for example with `where: {{{spec.column}: .}}`",
        )
    reply = final_answer(text, spec.last_number)
    if reply is None and spec.whole:
        reply = text.strip() or None
    exact = float(value) if isinstance(value, int | float) else None
    if exact is not None and isinstance(tolerance, int | float):
        return judge(reply, reference, 0.0, float(tolerance), spec.fuzzy, exact)
    if isinstance(tolerance, int | float) and tolerance > 0:  # of the ends of an interval
        return judge(reply, reference, 0.0, float(tolerance), spec.fuzzy)
    return judge(reply, reference, spec.rtol, spec.atol, spec.fuzzy)


_LETTERED = re.compile(r"^\(?([A-J])(?:[).:]\s*|\]\s*|$)(.*)$", re.DOTALL)
_CHOSEN = re.compile(
    r"^(?:(?:option|choice|answer|letter)\s+)?[(\[]?([A-Ja-j])(?:[)\].:].*|\s+-\s.*|,?\s+(?:because|since|is)\b.*)?$",
    re.DOTALL | re.IGNORECASE,
)
_NOTHING = re.compile(
    r"(?:no answer\b.*|none|null|nan|n a|unknown|unclear|undetermined|(?:i am |i m )?not sure"
    r"|i (?:do not|don t) know\b.*|(?:it )?can ?not be (?:determined|answered|calculated|computed|found)"
    r"|not enough information)?"
)
_YES_NO = {"yes": "no", "no": "yes", "true": "false", "false": "true"}


def judge(
    reply: str | None,
    reference: str,
    rtol: float = 1e-2,
    atol: float = 1e-4,
    fuzzy: float = 85.0,
    value: float | None = None,
) -> Outcome:
    r"""Return whether an answer agrees with a reference.

    The kind of the reference decides how: a letter of a choice; a quantity (numbers within the tolerances, the same
    unit or none); an expression (math-verify); yes or no; other words (`wording.alike`). When the whole answer does
    not agree, its first sentence may: an explanation after it does no harm. `value` is the exact number behind a
    rounded reference. A reply that says that there is no answer is `no answer`, unless the reference says the same.

    >>> judge("$\\frac{3}{4}$", "75%"), judge("B) The median", "B"), judge("5 km", "5 miles"), judge("", "5")
    ('correct', 'correct', 'wrong', 'no answer')
    """
    reference = _core(reference)
    if reply is not None and words(reply) == words(reference) and plain(reply) == plain(reference):
        return "correct"
    if reply is None or (_NOTHING.fullmatch(" ".join(words(reply))) and not re.search(r"\\[a-zA-Z]|π|√", reply)):
        return "no answer"
    for said in dict.fromkeys((reply, _first_sentence(reply))):
        if _agrees(said, reference, rtol, atol, fuzzy, value):
            return "correct"
    return "wrong"


def _agrees(reply: str, reference: str, rtol: float, atol: float, fuzzy: float, value: float | None) -> bool:
    if lettered := _LETTERED.match(reference):
        return _chooses(reply, lettered[1], lettered[2], fuzzy, rtol, atol)
    if wanted := read_quantity(reference, strict=True) or _evaluated(reference):
        readings = (read_quantity(reply), _evaluated(reply))  # `5!` may be a cheer or a factorial
        return any(got is not None and agree(got, wanted, rtol, atol, value) for got in readings)
    if latex.is_mathematics(reference):
        return latex.equivalent(_right_side(reply, reference), reference, rtol)
    said, wanted_words = words(reply), words(reference)
    if len(wanted_words) == 1 and (opposite := _YES_NO.get(wanted_words[0])):
        return said[:1] == wanted_words and opposite not in said
    return alike(plain(reply), plain(reference), fuzzy, rtol, atol)


def _core(reference: str) -> str:
    """Return the answer in a reference that is a whole solution, as GSM8K's and MATH's are."""
    marked = re.search(r"####|\\boxed\s*\{|<answer>|^\s*answer\s*:", reference, re.IGNORECASE)
    return (final_answer(reference) or reference) if marked else reference


def _first_sentence(text: str) -> str:
    """Return the text up to the first line break, or full stop before a capital letter."""
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])|\n", text.strip(), maxsplit=1)[0]


def _chooses(reply: str, letter: str, option: str, fuzzy: float, rtol: float, atol: float) -> bool:
    """Return a choice by its letter, by letter and text, or by the option's text when the reference has it."""
    chosen = _CHOSEN.match(plain(reply))
    if chosen:
        return chosen[1].upper() == letter
    return bool(option) and _agrees(reply, option, rtol, atol, fuzzy, None)


def _evaluated(text: str) -> Quantity | None:
    """Return the quantity that an expression works out to, such as `2\\sqrt{3}` cm or `\\frac{2}{\\pi}\\%`."""
    expression, after = text.strip().rstrip("."), ""
    if found := re.search(r"\\?(%)\s*\$?$|\\(?:text|mathrm)\s*\{([^{}]*)\}\s*\$?$", expression):
        expression, after = expression[: found.start()], found[1] or found[2]
    expression = re.split(r"(?<![<>!\\])=|≈|\\approx(?![a-z])", expression)[-1]
    if not latex.is_mathematics(expression) or (unit := read_unit(after)) is None:
        return None
    number = latex.number_of(expression)
    return None if number is None else Quantity((number,), unit)


def _right_side(reply: str, reference: str) -> str:
    """Return the part after the reply's `f(x) =` when the reference is an expression without a relation."""
    return reply if re.search(r"[=<>]|\\[lg]e", reference) else reply.rpartition("=")[2]
