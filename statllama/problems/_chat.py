"""Short exchanges about a problem, for light tuning towards conversation: no long working, an idea named each time."""

from __future__ import annotations

import random

from ._problem import Problem
from ._rows import Row, message, to_multiple_choice

_LETTERS = "ABCD"
_NAMES = ("Ana", "Ben", "Chen", "Dora", "Emil", "Fatima", "Goran", "Hana")


def to_chat(problem: Problem) -> Row:
    """Return a short exchange of a form drawn from the question: a slip to spot, two answers to judge, options, an
    answer.
    """
    draw = random.Random(f"chat/{problem.question}")
    question, reply = draw.choice((_spot_the_slip, _which_is_right, _letter, _letter, _short_answer))(problem, draw)
    return {"messages": [message("user", question), message("assistant", reply)]}


def _spot_the_slip(problem: Problem, draw: random.Random) -> tuple[str, str]:
    """Return a wrong answer, what went wrong, and the right answer."""
    wrong, slip = draw.choice(problem.distractors)
    right = f"{problem.idea} The right answer: {_stop(problem.answer)}"
    if draw.random() < 1 / 3:
        ask = f"My answer is: {_stop(wrong)} Is that right?"
        return f"{problem.question}\n\n{ask}", f"That is not right: the answer given {slip}. {right}"
    ask = draw.choice(("A student answered: {} What went wrong?", "A classmate got this: {} Where is the mistake?"))
    return f"{problem.question}\n\n{ask.format(_stop(wrong))}", f"The student {slip}. {right}"


def _which_is_right(problem: Problem, draw: random.Random) -> tuple[str, str]:
    """Return two answers, one of them right, with the reason."""
    wrong, slip = draw.choice(problem.distractors)
    said = dict(zip(draw.sample(_NAMES, 2), (problem.answer, wrong), strict=True))
    right_name, wrong_name = said
    first, second = draw.sample(list(said), 2)
    heard = f"{first} says: {_stop(said[first])} {second} says: {_stop(said[second])}"
    return (
        f"{problem.question}\n\n{heard} Who is right, and why?",
        f"{right_name} is right. {problem.idea} {wrong_name} {slip}.",
    )


def _letter(problem: Problem, draw: random.Random) -> tuple[str, str]:
    """Return a four-option item answered by its letter and the option."""
    item = to_multiple_choice(problem, draw.randrange(2**31))
    listed = "\n".join(f"{letter}. {text}" for letter, text in zip(_LETTERS, item["choices"], strict=True))
    return f"{problem.question}\n{listed}\nAnswer:", f"{_LETTERS[item['answer']]}. {problem.answer}"


def _short_answer(problem: Problem, draw: random.Random) -> tuple[str, str]:
    """Return the answer with the one idea behind it, without the working."""
    ask = draw.choice(("Just the answer and the main idea, please.", "Answer in short.", "Give a brief answer."))
    return f"{problem.question} {ask}", f"{_stop(problem.answer)} {problem.idea}"


def _stop(text: str) -> str:
    """Return the text with a full stop at its end."""
    return text if text.endswith((".", "?")) else f"{text}."
