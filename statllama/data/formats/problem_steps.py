"""A problem and its solution step by step, as one text or as a list of steps.

{"problem": "Find the mean of 1 and 3.", "steps": ["The sum is 4.", "Half of it is 2."]}
{"problem": "Find the mean of 1 and 3.", "steps": "The sum is 4. Half of it is 2."}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.config.source import SourceSpec
from statllama.data.examples import Conversation
from statllama.data.formats._values import as_text, is_list, one_turn

REQUIRED = ("problem", "steps")
OPTIONAL = ()


def parse(values: Mapping[str, Any], source: SourceSpec) -> Conversation:
    """Return the problem as the user's turn, the steps (one a line) as the assistant's."""
    steps = values["steps"]
    if is_list(steps):
        text = "\n".join(as_text(step, f"step {number}") for number, step in enumerate(steps, start=1))
    else:
        text = as_text(steps, "steps")
    return one_turn(as_text(values["problem"], "problem"), text)
