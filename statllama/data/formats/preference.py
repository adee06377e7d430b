"""A prompt with a chosen and a rejected answer, as strings, as lists of messages or in ShareGPT's style.

    {"prompt": "What is the mean of 1 and 3?", "chosen": "2", "rejected": "3"}
    {"prompt": [{"role": "user", "content": "..."}],
     "chosen": [{"role": "assistant", "content": "2"}], "rejected": [{"role": "assistant", "content": "3"}]}
    {"chosen": [{"role": "user", ...}, {"role": "assistant", ...}],
     "rejected": [{the same user turn}, {"role": "assistant", ...}]}
    {"conversations": [{"from": "human", "value": "..."}],
     "chosen": {"from": "gpt", "value": "2"}, "rejected": {"from": "gpt", "value": "3"}}

In the third form the prompt is the turns that chosen and rejected share. Strings become turns with `render: chat` and
stay as they are with `render: plain`. The prompt is never part of chosen and rejected. In the last form there may be
columns `system` and `tools`, as in `sharegpt`; `tools` may stand beside messages too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from statllama.config.source import SourceSpec
from statllama.data.examples import Message, Preference
from statllama.data.formats._values import as_messages, as_text, as_tools, decoded, has_keys, is_list
from statllama.data.formats.sharegpt import as_turns, with_system
from statllama.errors import DataError

REQUIRED = ("chosen", "rejected")
OPTIONAL = ("prompt", "conversations", "system", "tools")
Turns = tuple[Message, ...]


def parse(values: Mapping[str, Any], source: SourceSpec) -> Preference:
    """Return a Preference; its prompt is a string only for strings with `render` plain."""
    chosen, rejected = decoded(values["chosen"]), decoded(values["rejected"])
    tools = as_tools(values.get("tools"))
    if "conversations" in values:
        turns = with_system(as_turns(values["conversations"], "conversations"), values.get("system"))
        return Preference(turns, *_answers(chosen, rejected, turns, as_turns), tools)
    if values.get("system"):
        raise DataError("the column `system` belongs to `conversations`; there is none", remedy="put it into `prompt`")
    if is_list(chosen) != is_list(rejected):
        raise DataError("one of chosen and rejected is a text, the other a list of messages; both must be the same")
    if "prompt" not in values:
        return _shared_prefix(chosen, rejected, tools)
    prompt = decoded(values["prompt"])
    if is_list(chosen):
        turns = prompt_turns(prompt)
        return Preference(turns, *_answers(chosen, rejected, turns, as_messages), tools)
    text_chosen, text_rejected = as_text(chosen, "chosen"), as_text(rejected, "rejected")
    if is_list(prompt) or source.render == "chat":
        return Preference(prompt_turns(prompt), text_chosen, text_rejected, tools)
    return Preference(as_text(prompt, "prompt"), text_chosen, text_rejected)


def recognises(values: Mapping[str, Any]) -> bool:
    """Return whether there is a prompt, or turns before the answers, or the answers hold the prompt."""
    return "prompt" in values or "conversations" in values or has_keys(values["chosen"], "role")


def prompt_turns(prompt: Any) -> Turns:
    """Return a prompt as turns: a list of messages, or a text as the user's."""
    if is_list(prompt):
        return as_messages(prompt, "prompt")
    return (Message("user", as_text(prompt, "prompt")),)


def _answers(chosen: Any, rejected: Any, prompt: Turns, read: Callable[[Any, str], Turns]) -> tuple[str, str]:
    return answer_after(read(chosen, "chosen"), prompt, "chosen"), answer_after(
        read(rejected, "rejected"), prompt, "rejected"
    )


def answer_after(turns: Turns, prompt: Turns, name: str) -> str:
    """Return the content of the single assistant turn in `turns`, which may begin with the prompt's turns."""
    if turns[: len(prompt)] == prompt:
        turns = turns[len(prompt) :]
    if len(turns) != 1 or turns[0].role != "assistant":
        roles = ", ".join(t.role for t in turns) or "nothing"
        raise DataError(
            f"{name} must be one assistant turn after the prompt; it is {roles}",
            remedy="move earlier turns into the prompt, and cut everything after the first answer that differs",
        )
    if not turns[0].learned:
        raise DataError(
            f"{name} says `train: false` or `weight: 0`, but an answer that is compared is learned from",
            remedy="remove the key, or the row",
        )
    if turns[0].calls:
        raise DataError(f"{name} calls a tool; preferred answers are texts", remedy="remove the row")
    return turns[0].content


def _shared_prefix(chosen: Any, rejected: Any, tools: tuple[Mapping[str, Any], ...]) -> Preference:
    """Return a pair without a prompt column: the turns that both share are the prompt."""
    if not is_list(chosen):
        raise DataError(
            "no column 'prompt', and chosen and rejected are texts",
            remedy="set `columns: {prompt: name_in_the_file}`",
        )
    left, right = as_messages(chosen, "chosen"), as_messages(rejected, "rejected")
    shared = 0
    while shared < min(len(left), len(right)) and left[shared] == right[shared]:
        shared += 1
    if left == right:
        raise DataError("chosen equals rejected, so the pair states no preference", remedy="remove the row")
    if shared == 0:
        raise DataError("chosen and rejected share no turn, so there is no prompt", remedy="add a `prompt` column")
    prompt = left[:shared]
    return Preference(prompt, answer_after(left, prompt, "chosen"), answer_after(right, prompt, "rejected"), tools)
