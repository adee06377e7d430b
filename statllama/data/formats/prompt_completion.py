"""A prompt and its completion, as strings or as lists of messages.

    {"prompt": "What is the mean of 1 and 3?", "completion": "2"}
    {"prompt": [{"role": "user", "content": "..."}], "completion": [{"role": "assistant", "content": "2"}]}

Strings become a user and an assistant turn with `render: chat`, and stay as they are with `render: plain`. Of
messages only those in `completion` are learned, also when the prompt has assistant turns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.config.source import SourceSpec
from statllama.data.examples import Completion, Conversation
from statllama.data.formats._values import as_messages, as_text, decoded, is_list, one_turn
from statllama.errors import DataError

REQUIRED = ("prompt", "completion")
OPTIONAL = ()


def parse(values: Mapping[str, Any], source: SourceSpec) -> Conversation | Completion:
    """Return a Conversation, or with `render` plain and strings a Completion."""
    prompt, completion = decoded(values["prompt"]), decoded(values["completion"])
    if is_list(prompt) != is_list(completion):
        raise DataError("one of prompt and completion is a text, the other a list of messages; both must be the same")
    if is_list(prompt):
        turns = as_messages(prompt, "prompt")
        return Conversation(turns + as_messages(completion, "completion"), trained_from=len(turns))
    plain = Completion(as_text(prompt, "prompt"), as_text(completion, "completion"))
    return plain if source.render == "plain" else one_turn(plain.prompt, plain.completion)
