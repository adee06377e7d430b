"""A question that the section answers, and the answer.

{"question": "When is the t test used?", "answer": "When the population's variance is not known."}
"""

from __future__ import annotations

from statllama.data.build.records import Json
from statllama.data.build.write.kinds._reply import Answer, Grounded, Text

FORMAT = "question_answer"


class Reply(Grounded):
    """What the model says."""

    question: Text
    answer: Answer


def row(reply: Reply, seed: int) -> Json:
    """Return the columns of `question_answer`."""
    return {"question": reply.question, "answer": reply.answer}
