"""A question with four options, answered by the right one's letter and text.

    {"question": "Which is robust?\\nA. mean\\nB. median\\nC. range\\nD. variance\\nAnswer:", "answer": "B. median"}

As in the exchanges of `statllama data problems`. The right option's place is drawn: models put it first.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from statllama.data.build.records import Json
from statllama.data.build.write.kinds._reply import Grounded, Short, Text

FORMAT = "question_answer"
LETTERS = "ABCD"


class Reply(Grounded):
    """What the model says."""

    question: Text
    right: Short
    wrong: Annotated[list[Short], Field(min_length=3, max_length=3)]

    @model_validator(mode="after")
    def _four_options(self) -> Self:
        if len({option.casefold().strip(" .") for option in (self.right, *self.wrong)}) < len(LETTERS):
            raise ValueError("two options that are the same")
        return self


def row(reply: Reply, seed: int) -> Json:
    """Return the columns of `question_answer`."""
    place = seed % len(LETTERS)
    options = [*reply.wrong[:place], reply.right, *reply.wrong[place:]]
    listed = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=True))
    return {"question": f"{reply.question}\n{listed}\nAnswer:", "answer": f"{LETTERS[place]}. {reply.right}"}
