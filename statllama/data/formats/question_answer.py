"""A question, its answer, and optionally the reasoning that leads there.

{"question": "What is the mean of 1 and 3?", "reasoning": "1 + 3 = 4, and 4 / 2 = 2.", "answer": "2"}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.data.examples import Conversation, Message
from statllama.data.formats._values import as_text

REQUIRED = ("question", "answer")
OPTIONAL = ("reasoning",)


def parse(values: Mapping[str, Any], render: str) -> Conversation:
    """The question as the user's turn; reasoning and answer, each under its heading, as the assistant's."""
    answer = as_text(values["answer"], "answer")
    reasoning = as_text(values.get("reasoning", ""), "reasoning").strip()
    if reasoning:
        answer = f"Reasoning:\n{reasoning}\n\nAnswer:\n{answer}"
    question = Message("user", as_text(values["question"], "question"))
    return Conversation((question, Message("assistant", answer)))
