"""A question with a good answer and one that has a flaw, which is named.

{"prompt": "What is a p value?", "chosen": "The probability of ...", "rejected": "The probability that H0 ..."}
"""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from statllama.data.build.records import Json
from statllama.data.build.write.kinds._reply import Answer, Grounded, Short, Text

FORMAT = "preference"
NOTED = ("flaw",)


class Reply(Grounded):
    """What the model says."""

    prompt: Text
    chosen: Answer
    flaw: Short
    rejected: Answer

    @model_validator(mode="after")
    def _two_answers(self) -> Self:
        if self.chosen.casefold().split() == self.rejected.casefold().split():
            raise ValueError("the same answer twice")
        return self


def row(reply: Reply, seed: int) -> Json:
    """Return the columns of `preference`."""
    return {"prompt": reply.prompt, "chosen": reply.chosen, "rejected": reply.rejected}
