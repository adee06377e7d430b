"""A question for the model to answer by itself, and the answer that the rewards of a grpo stage check.

    {"prompt": "What is the mean of 1 and 3?", "answer": "2"}
    {"prompt": [{"role": "user", "content": "..."}], "answer": "2", "value": 2.0, "tolerance": 0.005}

All columns but the prompt reach the rewards as they are, save those of a name that TRL keeps for itself
(`questions.RESERVED`). A string is the user's turn with `render: chat`, and stays
as it is with `render: plain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.config.source import SourceSpec
from statllama.data.examples import Message, Question
from statllama.data.formats._values import as_messages, as_text, decoded, is_list, kind_of
from statllama.errors import DataError

REQUIRED = ("prompt", "answer")
OPTIONAL = ()
WHOLE_ROW = True
OTHERS = ("completion", "chosen", "rejected")  # with these a row is to be learned from, not to be answered


def parse(values: Mapping[str, Any], source: SourceSpec) -> Question:
    """Return a Question. An answer that is a number becomes its text."""
    prompt, answer = decoded(values["prompt"]), values["answer"]
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise DataError(f"answer is {kind_of(answer)}, expected a text or a number")
    columns = {**{name: value for name, value in values.items() if name != "prompt"}, "answer": str(answer)}
    if is_list(prompt):
        return Question(as_messages(prompt, "prompt"), columns)
    text = as_text(prompt, "prompt")
    return Question(text if source.render == "plain" else (Message("user", text),), columns)


def recognises(values: Mapping[str, Any]) -> bool:
    """Return whether no column holds something to learn from."""
    return not any(values.get(name) is not None for name in OTHERS)
