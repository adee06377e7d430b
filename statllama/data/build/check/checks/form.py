"""The row has the form of an exercise: nothing empty, no refusal, no talk of a text that is not there, whole.

What is looked for is patterns (regular expressions, whatever the case) under the reason that a row with one is left out
for; a user's own come beside or in place of the ones here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from statllama.config.spec import Spec as Settings
from statllama.data.build.check.findings import Finding, cut, failed, passed
from statllama.data.build.check.quoting import words
from statllama.data.build.check.reading import Reading

KIND, COST, NUMERICS = "alone", 10, 1

REFUSES = "the answer refuses"
META = "speaks of a text that the reader does not have"
PLACEHOLDER = "has a placeholder in place of text"
GIVEN_AWAY = "the question gives its answer away"
SHORT_QUESTION, LONG_QUESTION = "the question is too short", "the question is too long"
SHORT_ANSWER, LONG_ANSWER = "the answer is too short", "the answer is too long"
TRUNCATED = "the answer ends in the middle"

_TEXT = "(?:text|passage|excerpt|section|paragraph|document|extract)"
_TELLS = (
    "(?:says?|states?|mentions?|describes?|notes?|explains?|reports?|suggests?|argues?|uses?|proposes?|finds?|claims?)"
)
REFUSALS = (
    r"\bas an? (?:AI|artificial intelligence|(?:large )?language model)\b",
    r"\bI(?:['’]m| am) (?:just |only )?an? (?:AI|language model)\b",
    r"\A\W*(?:I(?:['’]m| am) (?:sorry|afraid|unable)|sorry\b"
    r"|I (?:can(?:not|['’]t| not)|could(?: not|n['’]t)|won['’]t)\b"
    r"|I (?:do not|don['’]t) have (?:access|enough)|unfortunately,? I\b)",
    r"\bI can(?:not|['’]t) (?:assist|help|provide|answer|comply|fulfil)",
    rf"\b(?:the|this) (?:given |provided )?(?:{_TEXT}|context) does(?: not|n['’]t) "
    r"(?:provide|contain|mention|specify|give|include|say)\b",
)
METAS = (
    r"\b(?:according to|based on|as (?:described|stated|mentioned|shown|given|discussed|reported) in|from|in|per|using)"
    rf" (?:the|this) (?:(?:given|provided|above|following|preceding) )?{_TEXT}\b",
    r"\b(?:according to|based on|from|using) (?:the|this) (?:(?:given|provided|above) )?context\b"
    r"|\bthe (?:given|provided) context\b",
    rf"\b{_TEXT} (?:above|below)\b|\bthe above {_TEXT}\b",
    rf"\b(?:the|this) (?:given |provided )?{_TEXT} {_TELLS}\b",
    rf"\b(?:the|these) authors {_TELLS}\b|\b(?:the|this) (?:paper|article) {_TELLS}\b",
    r"\b(?:in|see|from) (?:figure|fig\.|table|equation|eq\.|section|chapter|theorem|lemma) \d",
)
PLACEHOLDERS = (
    r"\[(?:insert|your|fill in)[^\]]{0,40}\]|\[(?:name|number|value|answer|question|topic|date)\]",
    r"\b(?:TODO|TBD|FIXME|lorem ipsum|XXX+)\b",
    r"\{\{[^{}]{0,60}\}\}|<(?:insert|question|answer|placeholder)>",
)
_ENDS = re.compile(r"[.!?:;)\]}>\"'”’»`$%*_|°²³]$|\\[\])]$")
_DANGLING = re.compile(
    r"\b(?:a|an|the|and|or|but|of|to|in|on|for|with|by|at|from|as|is|are|was|were|that|which|because|if|than|its|their|so"
    r"|we|this|these|between|not)$|[,(\[{=<~]$|\s[-+*/]$|\\$",
    re.IGNORECASE,
)
_OPTION = re.compile(r"^\s*\(?[A-Ea-e][.)]\s", re.MULTILINE)
_PASSAGE = 40  # words
_LABELLED = re.compile(r"\s*(?:[-*+•#|>]|\(?\w{1,3}[.)]\s|[^\s:][^:.]{0,40}:\s|####|    )")
_GIVEN = re.compile(r"\b(?:answer|solution|result)\s*(?:is|:|=)\s*", re.IGNORECASE)


class Spec(Settings):
    """Rows without the form of an exercise are left out. Lengths are in words."""

    question_words: tuple[int, int] = Field(default=(3, 800), strict=False)
    """Fewest and most words of a question."""
    answer_words: tuple[int, int] = Field(default=(1, 1500), strict=False)
    """Fewest and most words of an answer."""
    refusals: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Patterns of answers that refuse, beside the ones here."""
    meta: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Patterns of talk about a text that the reader does not have, beside the ones here. Looked for in rows whose
    question does not contain its context; without a context, in questions of less than 40 words."""
    patterns: dict[str, Annotated[tuple[str, ...], Field(strict=False)]] = Field(default_factory=dict)
    """{reason: patterns} of your own, looked for in question and answer."""
    own_only: bool = False
    """Use your own patterns alone."""
    given_away: bool = True
    """Leave out rows whose question states the final answer that it asks for."""
    truncated: bool = True
    """Leave out rows whose answer ends in the middle of a sentence."""

    @model_validator(mode="after")
    def _patterns_are_sound(self) -> Self:
        for name in ("question_words", "answer_words"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"`{name}` is [{low}, {high}]; write the fewest words, then the most")
        for pattern in (*self.refusals, *self.meta, *(p for patterns in self.patterns.values() for p in patterns)):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return self


def prepare(spec: Spec, folder: Path) -> None:
    """Return None: a row has all that is needed."""


def make(spec: Spec, prepared: Any) -> Callable[[Mapping[str, Any], Reading], Finding]:
    """Return the check of a row."""
    refusals, metas = _any(spec, REFUSALS, spec.refusals), _any(spec, METAS, spec.meta)
    placeholders = _any(spec, PLACEHOLDERS, ())
    own = {reason: _compiled(patterns) for reason, patterns in spec.patterns.items()}

    def check(row: Mapping[str, Any], reading: Reading) -> Finding:
        alone = reading.context.strip() not in reading.asked if reading.context else _is_short(reading.question)
        asked_and_said = f"{reading.question}\n\n{reading.answers}"
        looked_for = [
            (REFUSES, refusals, [*reading.earlier, reading.answer]),
            (META, metas, [reading.question, reading.answers] if alone and reading.prompt else []),
            (PLACEHOLDER, placeholders, [asked_and_said]),
            *((reason, pattern, [asked_and_said]) for reason, pattern in own.items()),
        ]
        for reason, pattern, texts in looked_for:
            for text in texts:
                if pattern is not None and (found := pattern.search(text)):
                    return failed(reason, _around(text, found))
        return _lengths(spec, reading) or _ends(spec, reading) or passed()

    return check


def _is_short(question: str) -> bool:
    """Return whether a question has no room for the passage that it speaks of."""
    return len(words(question)) < _PASSAGE


def _any(spec: Spec, ours: tuple[str, ...], own: tuple[str, ...]) -> re.Pattern[str] | None:
    return _compiled(own if spec.own_only else (*ours, *own))


def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    """Return one pattern for any of several; None for none."""
    if not patterns:
        return None
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


def _around(text: str, found: re.Match[str]) -> str:
    return cut(text[max(0, found.start() - 40) : found.end() + 40])


def _lengths(spec: Spec, reading: Reading) -> Finding | None:
    parts = [(reading.answer, spec.answer_words, SHORT_ANSWER, LONG_ANSWER)] if reading.answer else []
    if reading.prompt:
        parts.insert(0, (reading.question, spec.question_words, SHORT_QUESTION, LONG_QUESTION))
    for text, (low, high), short, long in parts:
        count = len(words(text))
        if not low <= count <= high:
            return failed(short if count < low else long, f"{count:,} words; allowed: {low:,} to {high:,}")
    return None


def _ends(spec: Spec, reading: Reading) -> Finding | None:
    if spec.given_away and (given := _given_away(reading)):
        return failed(GIVEN_AWAY, given)
    last = reading.answer.rstrip().rpartition("\n")[2].rstrip()
    if spec.truncated and reading.prompt and last:
        if _DANGLING.search(last) or not _finished(reading.answer, last):
            return failed(TRUNCATED, f"ends: {cut(last[-60:])}")
        if reading.answer.count("```") % 2:
            return failed(TRUNCATED, "a block of code is not closed")
    return None


def _finished(answer: str, last: str) -> bool:
    """Return whether a last line ends as a sentence, a formula, an item of a list or a final answer ends.

    Only an answer that has whole sentences is known to want an end to the last one.
    """
    if _ENDS.search(last) or last[-1].isdigit() or _LABELLED.match(last) or len(words(last)) < 5:
        return True
    return not re.search(r"[a-z)]\.(?:\s|$)", answer[: -len(last)] or last)


def _given_away(reading: Reading) -> str:
    """Return the words of the question that state its answer: after `the answer is`, or as half of its words."""
    wanted = words(reading.reference)
    if not wanted:
        return ""
    for found in _GIVEN.finditer(reading.question):
        if words(reading.question[found.end() :])[: len(wanted)] == wanted:
            return cut(reading.question[max(0, found.start() - 40) :])
    if _OPTION.search(reading.question):  # a choice has its answer among the options
        return ""
    asked = words(reading.question)
    size = len(wanted)
    if (
        size >= 6
        and 2 * size >= len(asked)
        and any(asked[i : i + size] == wanted for i in range(len(asked) - size + 1))
    ):
        return cut(reading.reference)
    return ""
