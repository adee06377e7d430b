"""A row as the checks read it: what is asked, what is answered, and what it was written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from statllama.config.source import SourceSpec
from statllama.data.build.check.findings import Finding, failed
from statllama.data.examples import (
    Completion,
    Conversation,
    Document,
    Example,
    Judgement,
    Message,
    Preference,
    Question,
)
from statllama.data.formats import parse_row
from statllama.errors import DataError
from statllama.rewards.completions import final_answer

EMPTY = "a turn or text is empty"
UNREADABLE = "cannot be read in its format"


@dataclass(frozen=True)
class Reading:
    """What a row says. Of a preference the better answer is the answer, the other one `rejected`."""

    prompt: tuple[Message, ...]
    """Turns before the last answer; empty for running text."""
    answer: str
    """The last answer that is learned as a right one; empty where there is none."""
    rejected: str
    reference: str
    """The final answer alone, as far as the row marks it: the column `answer`, what follows `Answer:`; else all."""
    earlier: tuple[str, ...]
    """Answers of earlier turns."""
    context: str
    quote: str | None
    """Words of the context that the row rests on, as its writer says; None where the writer was not asked for any."""
    value: float | None = None
    tolerance: float | None = None
    """Of rows that have such columns."""

    @cached_property
    def question(self) -> str:
        """Return what the last user's turn asks."""
        return next((turn.content for turn in reversed(self.prompt) if turn.role == "user"), "")

    @cached_property
    def asked(self) -> str:
        """Return all turns before the last answer."""
        return "\n\n".join(turn.text for turn in self.prompt)

    @cached_property
    def answers(self) -> str:
        """Return all answers."""
        return "\n\n".join((*self.earlier, self.answer))

    @cached_property
    def whole(self) -> str:
        """Return all that the row says."""
        return "\n\n".join(part for part in (self.asked, self.answer, self.rejected) if part)

    @cached_property
    def work(self) -> str:
        """Return the answer's text before its final answer, empty where it marks none."""
        at = self.answer.rfind(self.reference) if self.reference != self.answer.strip() else 0
        return self.answer[:at] if at > 0 else ""


def read(row: Mapping[str, Any]) -> Reading | Finding:
    """Return a row's reading; the finding that leaves it out where its format refuses it, as a stage would that trained
    on it.
    """
    try:
        example = parse_row(SourceSpec(path="-", format=row["format"]), row["row"], str(row["id"]))
    except DataError as error:
        reason = EMPTY if "is empty" in error.message else UNREADABLE
        return failed(reason, error.message.removeprefix(f"{row['id']}: "))
    prompt, answer, rejected = _parts(example)
    columns = row["row"]
    named = columns.get("answer")
    if not answer and isinstance(named, str):
        answer = named
    quote = row["provenance"].get("quote")
    value, tolerance = columns.get("value"), columns.get("tolerance")
    return Reading(
        prompt,
        answer,
        rejected,
        _final(named if isinstance(named, str) and named.strip() else answer),
        tuple(turn.content for turn in prompt if turn.role == "assistant"),
        str(row.get("context") or ""),
        None if quote is None else str(quote),
        float(value) if isinstance(value, int | float) else None,
        float(tolerance) if isinstance(tolerance, int | float) else None,
    )


def _final(text: str) -> str:
    return (final_answer(text) or text).strip()


def _parts(example: Example) -> tuple[tuple[Message, ...], str, str]:
    """Return the prompt, the answer that is right, and the one that is wrong."""
    if isinstance(example, Document):
        return (), example.text, ""
    if isinstance(example, Conversation):
        return example.messages[:-1], example.messages[-1].content, ""
    prompt = (Message("user", example.prompt),) if isinstance(example.prompt, str) else example.prompt
    if isinstance(example, Preference):
        return prompt, example.chosen, example.rejected
    if isinstance(example, Question):
        return prompt, str(example.columns.get("answer") or ""), ""
    if isinstance(example, Completion):
        return prompt, example.completion, ""
    assert isinstance(example, Judgement)
    return (prompt, example.completion, "") if example.label else (prompt, "", example.completion)
