"""A sentence with a blank, and what belongs there.

{"question": "Fill in the blank.\\n\\nThe _____ splits sorted data in half.", "answer": "median"}
"""

from __future__ import annotations

import re
from typing import Self

from pydantic import model_validator

from statllama.data.build.records import Json
from statllama.data.build.write.kinds._reply import Grounded, Short, Text

FORMAT = "question_answer"
BLANK = "_____"
MOST_WORDS = 6
_BLANK = re.compile(r"(?:\\?_){2,}|\[blank\]|<blank>", re.IGNORECASE)


class Reply(Grounded):
    """What the model says."""

    sentence: Text
    answer: Short

    @model_validator(mode="after")
    def _one_blank_for_a_few_words(self) -> Self:
        if len(_BLANK.findall(self.sentence)) != 1:
            raise ValueError("a sentence without exactly one blank")
        if len(self.answer.split()) > MOST_WORDS:
            raise ValueError(f"more than {MOST_WORDS} words for a blank")
        if re.search(rf"(?<!\w){re.escape(self.answer.strip(' .'))}(?!\w)", self.sentence, re.IGNORECASE):
            raise ValueError("a sentence that says what its blank asks for")
        return self


def row(reply: Reply, seed: int) -> Json:
    """Return the columns of `question_answer`."""
    return {"question": f"Fill in the blank.\n\n{_BLANK.sub(BLANK, reply.sentence)}", "answer": reply.answer}
