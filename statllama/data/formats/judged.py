"""A prompt, one answer and its label, as strings or as lists of messages.

    {"prompt": "What is the mean of 1 and 3?", "completion": "2", "label": true}
    {"prompt": [{"role": "user", "content": "..."}],
     "completion": [{"role": "assistant", "content": "3"}], "label": false}

Strings become turns with `render: chat` and stay as they are with `render: plain`. `label` is true or false, also as
1 or 0, or as text (the cells of a CSV are texts). `tools` may stand beside messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.config.source import SourceSpec
from statllama.data.examples import Judgement
from statllama.data.formats._values import as_messages, as_text, as_tools, decoded, is_list
from statllama.data.formats.preference import answer_after, prompt_turns
from statllama.errors import DataError

REQUIRED = ("prompt", "completion", "label")
OPTIONAL = ("tools",)
LABELS = {"true": True, "false": False, "1": True, "0": False}


def parse(values: Mapping[str, Any], source: SourceSpec) -> Judgement:
    """Return a Judgement; its prompt is a string only for strings with `render` plain."""
    label = _label(values["label"])
    if label is None:
        raise DataError(f"label is {values['label']!r}, expected true or false")
    prompt, completion, tools = decoded(values["prompt"]), decoded(values["completion"]), as_tools(values.get("tools"))
    if is_list(completion):
        turns = prompt_turns(prompt)
        return Judgement(turns, answer_after(as_messages(completion, "completion"), turns, "completion"), label, tools)
    text = as_text(completion, "completion")
    if is_list(prompt) or source.render == "chat":
        return Judgement(prompt_turns(prompt), text, label, tools)
    return Judgement(as_text(prompt, "prompt"), text, label)


def recognises(values: Mapping[str, Any]) -> bool:
    """Return whether the label is a judgement: a number or another word could label anything."""
    return isinstance(values["label"], bool) or str(values["label"]).strip().lower() in ("true", "false")


def _label(value: Any) -> bool | None:
    """Return the label; None for anything else. A table turns 1 into 1.0 in a column with gaps."""
    if isinstance(value, float) and value in (0.0, 1.0):
        value = int(value)
    return LABELS.get(str(value).strip().lower()) if isinstance(value, bool | int | str) else None
