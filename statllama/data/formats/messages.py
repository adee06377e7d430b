"""A conversation as a list of messages.

{"messages": [{"role": "system", "content": "Be brief."},
              {"role": "user", "content": "What is the mean of 1 and 3?"},
              {"role": "assistant", "content": "2"}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.data.examples import Conversation
from statllama.data.formats._values import as_messages

REQUIRED = ("messages",)
OPTIONAL = ()


def parse(values: Mapping[str, Any], render: str) -> Conversation:
    """A Conversation in which every assistant turn is learned; `render` does not matter."""
    return Conversation(as_messages(values["messages"], "messages"))
