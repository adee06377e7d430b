"""A prompt with a chosen and a rejected answer, as strings or as lists of messages.

    {"prompt": "What is the mean of 1 and 3?", "chosen": "2", "rejected": "3"}
    {"prompt": [{"role": "user", "content": "..."}],
     "chosen": [{"role": "assistant", "content": "2"}], "rejected": [{"role": "assistant", "content": "3"}]}
    {"chosen": [{"role": "user", ...}, {"role": "assistant", ...}],
     "rejected": [{the same user turn}, {"role": "assistant", ...}]}

In the last form the prompt is the turns that chosen and rejected share. Strings become turns with `render:
chat` and stay as they are with `render: plain`. The prompt is never part of chosen and rejected.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.data.examples import Message, Preference
from statllama.data.formats._values import as_messages, as_text, is_messages
from statllama.errors import DataError

REQUIRED = ("chosen", "rejected")
OPTIONAL = ("prompt",)


def parse(values: Mapping[str, Any], render: str) -> Preference:
    """A Preference; its prompt is a string only for strings with `render` plain."""
    chosen, rejected = values["chosen"], values["rejected"]
    if is_messages(chosen) != is_messages(rejected):
        raise DataError("one of chosen and rejected is a text, the other a list of messages; both must be the same")
    if "prompt" not in values:
        return _shared_prefix(chosen, rejected)
    prompt = values["prompt"]
    if is_messages(chosen):
        turns = _prompt_turns(prompt)
        left, right = as_messages(chosen, "chosen"), as_messages(rejected, "rejected")
        return Preference(turns, _answer(left, turns, "chosen"), _answer(right, turns, "rejected"))
    text_chosen, text_rejected = as_text(chosen, "chosen"), as_text(rejected, "rejected")
    if is_messages(prompt) or render == "chat":
        return Preference(_prompt_turns(prompt), text_chosen, text_rejected)
    return Preference(as_text(prompt, "prompt"), text_chosen, text_rejected)


def _prompt_turns(prompt: Any) -> tuple[Message, ...]:
    if is_messages(prompt):
        return as_messages(prompt, "prompt")
    return (Message("user", as_text(prompt, "prompt")),)


def _answer(turns: tuple[Message, ...], prompt: tuple[Message, ...], name: str) -> str:
    """The content of the single assistant turn in `turns`, which may begin with the prompt's turns."""
    if turns[: len(prompt)] == prompt:
        turns = turns[len(prompt) :]
    if len(turns) != 1 or turns[0].role != "assistant":
        roles = ", ".join(t.role for t in turns) or "nothing"
        raise DataError(
            f"{name} must be one assistant turn after the prompt; it is {roles}",
            remedy="move the earlier turns into `prompt`, and cut what follows the first answer that differs",
        )
    return turns[0].content


def _shared_prefix(chosen: Any, rejected: Any) -> Preference:
    """A pair without a prompt column: the turns that both share are the prompt."""
    if not is_messages(chosen):
        raise DataError(
            "no column 'prompt', and chosen and rejected are texts",
            remedy="set `columns: {prompt: name_in_the_file}`",
        )
    left, right = as_messages(chosen, "chosen"), as_messages(rejected, "rejected")
    shared = 0
    while shared < min(len(left), len(right)) and left[shared] == right[shared]:
        shared += 1
    if left == right:
        raise DataError("chosen equals rejected: such a pair prefers nothing", remedy="remove the row")
    if shared == 0:
        raise DataError("chosen and rejected share no turn, so there is no prompt", remedy="add a `prompt` column")
    prompt = left[:shared]
    return Preference(prompt, _answer(left, prompt, "chosen"), _answer(right, prompt, "rejected"))
