"""What a problem looks like as a row for training or evaluation; no randomness beyond the order of options."""

from __future__ import annotations

import random
from typing import Any

from ._formulas import latex, plain
from ._problem import Problem, solution_text

#: The forms of `rows`: worked solutions, short exchanges, preference pairs, prompts with a checkable answer,
#: four-option items, free response in parts with a rubric.
FORMS = ("sft", "chat", "dpo", "grpo", "mc", "frq")

#: How the formulas of worked solutions are written.
MATHS = {"plain": plain, "latex": latex}

Row = dict[str, Any]


def to_messages(problem: Problem, math: str = "plain") -> Row:
    """Return a chat example for SFT: the question, and the worked solution ending in `Answer: ...`."""
    solution = solution_text(problem.steps, problem.answer, MATHS[math])
    return {"messages": [message("user", problem.question), message("assistant", solution)]}


def to_preference(problem: Problem, math: str = "plain") -> Row:
    """Return a preference pair for DPO: the right worked solution over one that makes the slip `problem.error`."""
    chosen = solution_text(problem.steps, problem.answer, MATHS[math])
    rejected = solution_text(problem.rejected_steps, problem.rejected_answer, MATHS[math])
    return {
        "prompt": [message("user", problem.question)],
        "chosen": [message("assistant", chosen)],
        "rejected": [message("assistant", rejected)],
    }


def to_prompt_answer(problem: Problem) -> Row:
    """Return a prompt with a checkable answer for GRPO.

    `answer` is the text with its unit. `value` is its one number, unrounded, and `tolerance` how far from it a
    reply may be, in the unit of the answer; `value` is None when the answer is a sentence or an interval.
    """
    return {
        "prompt": [message("user", problem.question)],
        "answer": problem.answer,
        "value": problem.value,
        "tolerance": problem.tolerance,
        "topic": problem.topic,
        "kind": problem.kind,
        "difficulty": problem.difficulty,
    }


def to_multiple_choice(problem: Problem, seed: int = 0, place: int | None = None) -> Row:
    """Return a four-option item: `answer` is the index of the right one of the `choices`.

    `misconceptions` names, in the order of the choices, the misconception behind each wrong one, and is "" at the
    right one. `place`, 0 to 3, puts the right choice there; otherwise it is drawn with `seed`. `held_out` is true for a
    kind of problem that the train split never shows.
    """
    draw = random.Random(f"{seed}/{problem.question}")
    options = list(problem.distractors)
    draw.shuffle(options)
    right = (problem.answer, "")  # not None: pyarrow 26 loses one that is the first thing in a file
    options.insert(draw.randrange(4) if place is None else place, right)
    choices = [text for text, _ in options]
    return {
        "question": problem.question,
        "choices": choices,
        "answer": choices.index(problem.answer),
        "misconceptions": [slip for _, slip in options],
        "topic": problem.topic,
        "kind": problem.kind,
        "difficulty": problem.difficulty,
        "held_out": problem.held_out,
    }


def message(role: str, content: str) -> dict[str, str]:
    """Return one turn of a conversation."""
    return {"role": role, "content": content}
