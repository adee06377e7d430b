"""A problem with its solution in steps and a final answer.

    {"question": "Two fair dice are rolled. ...", "reasoning": "There are 36 ...\\n6 of them ...", "answer": "1/6"}

As the format `question_answer` lays it out, the answer stands below `Answer:`, where rewards look for it; in a grpo
stage it is the answer that they check.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from statllama.data.build.records import Json
from statllama.data.build.write.kinds._reply import Grounded, Short, Text

FORMAT = "question_answer"
_MARK = re.compile(
    r"\A\W*(?:(?:the|my)\s+)?(?:final\s+)?answer\s*(?:is\b\s*:?|[:=])\W*?(?=[\w$\\(\[{<>≤≥−+-]|\.\d)", re.IGNORECASE
)
_NUMBERED = re.compile(r"\A(?:step\s*)?\d{1,2}\s*[.):]\s+", re.IGNORECASE)

Step = Annotated[str, StringConstraints(min_length=3, max_length=2000)]


class Reply(Grounded):
    """What the model says."""

    question: Text
    steps: Annotated[list[Step], Field(min_length=2, max_length=12)]
    answer: Short

    @field_validator("answer")
    @classmethod
    def _without_its_mark(cls, answer: str) -> str:
        bare = _MARK.sub("", answer).strip()
        if "answer:" in bare.lower():
            raise ValueError("more than one final answer")
        return bare or answer


def row(reply: Reply, seed: int) -> Json:
    """Return the columns of `question_answer`, with the steps as its reasoning."""
    steps = (_NUMBERED.sub("", step) for step in reply.steps)
    return {"question": reply.question, "reasoning": "\n".join(steps), "answer": reply.answer}
