"""A conversation as a list of messages, as OpenAI writes them.

{"messages": [{"role": "system", "content": "Be brief."},
              {"role": "user", "content": "What is the mean of 1 and 3?"},
              {"role": "assistant", "content": "2"}]}

An assistant's message may call tools (`"tool_calls": [{"function": {"name": "mean", "arguments": "{}"}}]`, content
null); what a tool answers is a message of role `tool`. The column `tools` says which there are. One with
`"train": false`, or with OpenAI's `"weight": 0`, is part of the context and carries no loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.config.source import SourceSpec
from statllama.data.examples import Conversation
from statllama.data.formats._values import as_messages, as_tools, has_keys

REQUIRED = ("messages",)
OPTIONAL = ("tools",)


def parse(values: Mapping[str, Any], source: SourceSpec) -> Conversation:
    """Return a Conversation in which every assistant turn is learned that does not say `train: false`."""
    return Conversation(as_messages(values["messages"], "messages"), tools=as_tools(values.get("tools")))


def recognises(values: Mapping[str, Any]) -> bool:
    """Return whether the first message has a role."""
    return has_keys(values["messages"], "role")
