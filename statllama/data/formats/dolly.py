"""An instruction, a text it refers to (may be empty), and the answer, as in Databricks Dolly.

{"instruction": "Which average is robust?", "context": "The median ignores outliers.", "response": "The median.",
 "category": "closed_qa"}

To train on some categories only, filter: `where: {category: closed_qa}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.config.source import SourceSpec
from statllama.data.examples import Conversation
from statllama.data.formats._values import as_text, one_turn, with_context

REQUIRED = ("instruction", "response")
OPTIONAL = ("context",)


def parse(values: Mapping[str, Any], source: SourceSpec) -> Conversation:
    """Return the instruction and context, with a blank line between them, as the user's turn; the response as the
    assistant's.
    """
    question = with_context(values["instruction"], values.get("context", ""), "context")
    return one_turn(question, as_text(values["response"], "response"))
