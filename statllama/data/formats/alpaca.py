"""An instruction, its input (may be empty), and the answer, as in Stanford Alpaca.

{"instruction": "Compute the mean.", "input": "1, 3", "output": "2"}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.config.source import SourceSpec
from statllama.data.examples import Conversation
from statllama.data.formats._values import as_text, one_turn, with_context

REQUIRED = ("instruction", "output")
OPTIONAL = ("input",)


def parse(values: Mapping[str, Any], source: SourceSpec) -> Conversation:
    """Return the instruction and input, with a blank line between them, as the user's turn; the output as the
    assistant's.
    """
    question = with_context(values["instruction"], values.get("input", ""), "input")
    return one_turn(question, as_text(values["output"], "output"))
