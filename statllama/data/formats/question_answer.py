"""A question, its answer, and optionally the reasoning that leads there.

{"question": "What is the mean of 1 and 3?", "reasoning": "1 + 3 = 4, and 4 / 2 = 2.", "answer": "2"}

With reasoning, both stand under headings (`LAYOUT`), or as `layout` says: text with `{reasoning}` and `{answer}`, in
which write a literal brace twice. Without reasoning it is the answer alone, or `layout` without
the paragraphs that hold `{reasoning}`. In a grpo stage the question alone is given to the model, and answer and
reasoning to the rewards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.config.source import SourceSpec
from statllama.data.examples import Conversation
from statllama.data.formats import gsm8k
from statllama.data.formats._layout import lay_out
from statllama.data.formats._values import as_text, one_turn

REQUIRED = ("question", "answer")
OPTIONAL = ("reasoning",)
LAYOUT = "Reasoning:\n{reasoning}\n\nAnswer:\n{answer}"


def parse(values: Mapping[str, Any], source: SourceSpec) -> Conversation:
    """Return the question as the user's turn; reasoning and answer as the assistant's."""
    answer = as_text(values["answer"], "answer")
    reasoning = as_text(values.get("reasoning", ""), "reasoning")
    question = as_text(values["question"], "question")
    columns = {"answer": answer.strip(), "reasoning": reasoning.strip()}
    return one_turn(question, lay_out(source.layout, LAYOUT, reasoning, answer), columns)


def recognises(values: Mapping[str, Any]) -> bool:
    """Return the question and answer are texts, and the answer is not one of GSM8K's."""
    texts = isinstance(values["question"], str) and isinstance(values["answer"], str)
    return texts and ("reasoning" in values or not gsm8k.recognises(values))
