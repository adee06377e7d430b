"""Renders conversations with a chat template and finds the characters that the assistant wrote.

The template's date is fixed, so that the same conversation gives the same bytes on every day: evaluation and
export must render with `TEMPLATE_VARIABLES` too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import jinja2

from statllama.data.examples import Conversation, Message, as_json
from statllama.data.masking import Span
from statllama.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DATE = datetime(2024, 7, 26)
DATE_STRING = "26 Jul 2024"  # what Llama 3.2's template itself falls back to
TEMPLATE_VARIABLES: dict[str, Any] = {"date_string": DATE_STRING, "strftime_now": DATE.strftime}


Tools = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Opening:
    """Where a user's text stands in a chat: what the template writes before it, and the text that ends it."""

    before: str
    stop: str


class Chat:
    """A tokenizer's chat template, or `template` in its place (Jinja text).

    DataError when there is no template.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: str | None = None) -> None:
        self.tokenizer = tokenizer
        self.template = template or tokenizer.chat_template
        if not self.template:
            raise DataError(
                f"the tokenizer {tokenizer.name_or_path or ''} has no chat template for conversations",
                remedy="set `base.chat_template: FILE`, use an Instruct model, or use `render: plain` or "
                "`format: text`",
            )
        self.special = special_text(tokenizer)

    def render(self, messages: Sequence[Message], *, tools: Tools = (), generation_prompt: bool = False) -> str:
        """Return the text of the turns, ending with the assistant's header when `generation_prompt`.

        DataError when the template refuses them.
        """
        try:
            text = self.tokenizer.apply_chat_template(
                [turn(message) for message in messages],
                tools=[dict(tool) for tool in tools] or None,
                chat_template=self.template,
                tokenize=False,
                add_generation_prompt=generation_prompt,
                **TEMPLATE_VARIABLES,
            )
        except jinja2.TemplateError as error:
            raise DataError(
                f"the chat template refuses the conversation: {error}",
                remedy="change the rows, or set `base.chat_template: FILE`",
            ) from None
        return str(text)

    def prompt(self, messages: Sequence[Message], tools: Tools = ()) -> str:
        """Return the text that a reply follows: the turns and the assistant's header. DataError as `learned`."""
        refuse_special(self.special, [*messages, *map(as_json, tools)])
        text = self.render(messages, tools=tools, generation_prompt=True)
        if text == self.render(messages, tools=tools):
            raise DataError(
                "the chat template writes no assistant's header after the prompt, so the model could not know that it "
                "should answer",
                remedy="set `base.chat_template: FILE` to a template that heeds `add_generation_prompt`",
            )
        return text

    def learned(self, conversation: Conversation) -> tuple[str, list[Span]]:
        """Return the rendered text, and the span of each learned turn: its content and end-of-turn token.

        A span begins where the rendering of the turns before it, with the generation prompt, ends.
        """
        messages, tools = conversation.messages, conversation.tools
        refuse_special(self.special, [*messages, *map(as_json, tools)])
        text = self.render(messages, tools=tools)
        if tools and text == self.render(messages):
            raise DataError(
                "the chat template does not write the tools, so the model would learn to call tools it never saw",
                remedy="set `base.chat_template: FILE` to a template that does, or remove the column `tools`",
            )
        spans = []
        for i, message in enumerate(messages):
            if message.role == "assistant" and message.learned and i >= conversation.trained_from:
                upto = text if i + 1 == len(messages) else self.render(messages[: i + 1], tools=tools)
                prefix = self.render(messages[:i], tools=tools, generation_prompt=True)
                spans.append(self._span(text, upto, prefix, message))
        return text, spans

    def opening(self) -> Opening:
        """Return where the text of a user's first turn begins and what ends it, so that a model can write it.

        DataError for a template that writes nothing before or behind it, or another form of it.
        """
        one, other = "Quokka", "Wombat"  # words that no template writes by itself
        texts = [self.render([Message("user", word)], generation_prompt=True) for word in (one, other)]
        before, _, behind = texts[0].partition(one)
        found = self.special.search(behind)
        lines = behind.split("\n") if found is None or behind[: found.start()].strip() else [found.group()]
        stop = next(filter(None, map(str.strip, lines)), "")
        if not before.strip() or not stop or texts[1] != f"{before}{other}{behind}":
            raise DataError(
                "the chat template does not write a user's text between a header and an end of its own, so a model "
                "cannot be made to write one",
                remedy="give `replay.generations.prompts` (sources of questions), or set `base.chat_template: FILE`",
            )
        return Opening(before.rstrip(" "), stop)  # a space would be a part of the text's first token

    @property
    def end_of_turn(self) -> int | None:
        """Return the id of the special token that the template ends an assistant's turn with; None for none."""
        question, reply = "Quokka", "Wombat"  # words that no template writes by itself
        try:
            text = self.render([Message("user", question), Message("assistant", reply)])
        except Exception:  # a template is a program of somebody else's; it may fail in any way
            return None
        found = self.special.search(text, text.rindex(reply)) if reply in text else None
        return None if found is None else int(self.tokenizer.convert_tokens_to_ids(found.group()))

    def _span(self, text: str, upto: str, prefix: str, message: Message) -> Span:
        if not text.startswith(prefix):
            raise DataError(
                "the chat template is not prefix-preserving: what it writes for the first turns (with the "
                "generation prompt) changes when a turn is added, so training and inference would differ",
                remedy="set `base.chat_template: FILE` to a template that only appends",
            )
        # A template may close the whole conversation (with eos, say): only what is also there when more turns
        # follow belongs to this turn.
        own = common_start(text, upto)
        start = position = len(prefix)
        written, content = "", message.content.strip()
        if message.calls:
            return start, self._end_of_calls(text[:own], start, message)
        for match in self.special.finditer(text, start, own):
            written += text[position : match.start()]
            if content in written:
                self._refuse_second(match.group(), text[match.end() : own])
                return start, match.end()
            position = match.end()
        if content in text[start:own]:
            raise DataError(
                "the chat template ends an assistant turn without a special token (it ends with "
                f"{text[start:own][-30:]!r}), so the model could not learn to stop",
                remedy="set `base.chat_template: FILE` to a template that writes eos_token after the turn",
            )
        raise DataError(
            "the chat template does not write the assistant's turn as it is",
            remedy="set `base.chat_template: FILE` to a template that keeps the whole turn",
        )

    def _end_of_calls(self, text: str, start: int, message: Message) -> int:
        """Return the end of a turn that calls tools: the last special token, since a template may write others inside
        it.
        """
        ends = [match.span() for match in self.special.finditer(text, start)]
        last, end = ends[-1] if ends else (start, start)
        for part in (message.content.strip(), *(call.name for call in message.calls)):
            if part not in text[start:last]:
                raise DataError(
                    f"the chat template does not write the assistant's tool call as it is: {part[:60]!r} is missing",
                    remedy="set `base.chat_template: FILE` to a template that writes it and an end of turn",
                )
        return end

    @staticmethod
    def _refuse_second(end: str, rest: str) -> None:
        """Raise DataError when what the template writes after an assistant turn's end holds its end token again."""
        if end in rest:
            raise DataError(
                f"the chat template writes {end} twice after an assistant turn, which has just one end",
                remedy="set `base.chat_template: FILE` to a template that writes it once",
            )


def turn(message: Message) -> dict[str, Any]:
    """Return the message as chat templates take it. Arguments of calls stay objects: templates write the JSON
    themselves.
    """
    plain: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:  # templates look for the key itself
        calls = [{"name": call.name, "arguments": dict(call.arguments)} for call in message.calls]
        plain["tool_calls"] = [{"type": "function", "function": call} for call in calls]
    return plain


def common_start(text: str, other: str) -> int:
    """Return the length of the longest common start."""
    if text.startswith(other):
        return len(other)
    return next((i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), len(text))


def special_text(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    """Return an expression that matches the text of every special token of the tokenizer."""
    tokens = {str(t) for t in tokenizer.added_tokens_decoder.values() if t.special}
    tokens.update(map(str, tokenizer.all_special_tokens))
    longest_first = sorted(filter(None, tokens), key=lambda t: (-len(t), t))
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def refuse_special(special: re.Pattern[str], parts: Sequence[Message | str]) -> None:
    """Raise DataError when a text holds a special token's text, which would become a control token."""
    for part in parts:
        name, text = ("text", part) if isinstance(part, str) else (f"{part.role} turn", part.text)
        if found := special.search(text):
            raise DataError(
                f"the {name} contains {found.group()!r} (at character {found.start()}), which the tokenizer "
                "would read as a control token",
                remedy="remove it from the row or write it differently, for example with a space inside",
            )
