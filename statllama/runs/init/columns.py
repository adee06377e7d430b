"""Which column of a file is which: a quiz's by their names, of others what `data/formats` recognises or guesses."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

from statllama.data.folding import folded
from statllama.data.formats import format_module, format_names, guess_columns, recognise
from statllama.data.readers import Row
from statllama.errors import DataError, UsageError, near

QUIZ = "quiz"
"""A question, its choices and the right one: no format of `data/formats`, so `init` turns such rows into turns."""

# Words that the columns of a quiz are called by, beside those of `data/formats/_guess.py`.
ROLES = {
    "choices": "choices options alternatives candidates optionen opciones",
    "question": "question prompt query problem frage aufgabe pregunta domanda q stem item",
    "answer": "answer antwort solution target gold correct key right losung respuesta reponse risposta label",
}
OPTION = re.compile(r"^(?:(?:option|choice|answer|antwort)_?)?([a-h]|[1-8])$")
JUDGEMENTS = {"label", "rating", "feedback", "verdict", "judgement", "judgment", "thumbs", "vote", "good", "urteil"}
GOOD = {"true", "1", "1.0", "yes", "good", "up", "like", "liked", "right", "ja", "+1", "\U0001f44d"}
BAD = {"false", "0", "0.0", "no", "bad", "down", "dislike", "disliked", "wrong", "nein", "-1", "\U0001f44e"}
SAMPLE = 50  # rows that are looked at

How = Literal["format", "guessed", "given"]


@dataclass(frozen=True)
class Reading:
    """How the rows of a file are read. `how`: recognised as they are, guessed, or as the user said."""

    format: str
    columns: Mapping[str, str] = field(default_factory=dict)
    """{the format's name: the file's}, those that differ; of a quiz all of them."""
    options: tuple[str, ...] = ()
    """Columns that hold one choice each, of a quiz."""
    how: How = "format"


def mapping_of(rows: Sequence[Row], given: Mapping[str, str] | None = None) -> Reading | None:
    """Return how rows of one file are to be read; None where no reading of their columns makes sense.

    `given`: {name a format expects: name in the file}, of the user's. UsageError where no format reads those.
    """
    kinds = Counter(map(tuple, rows[:SAMPLE]))  # an odd first row says nothing of the others
    sample = sorted(rows[:SAMPLE], key=lambda row: tuple(row) != kinds.most_common(1)[0][0])
    header = list(dict.fromkeys(name for row in sample for name in row))
    if given:
        return _as_given(sample, header, given)
    if (quiz := _quiz(header, roles_of(header))) and _has_choices(sample[0], quiz):
        return quiz
    try:
        return Reading(recognise(sample[0], {}))
    except DataError:
        pass
    guess = guess_columns(header, [stringified(row, header) for row in sample])
    return None if guess is None else Reading(guess[0], guess[1], how="guessed")


def normal(name: str) -> str:
    """Return a column's name in lower case without accents, its words joined by `_`.

    >>> normal("Prompt text"), normal("answerKey"), normal("Réponse")
    ('prompt_text', 'answer_key', 'reponse')
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", folded(name.replace("ß", "ss")))
    return "_".join(re.findall(r"[a-z0-9]+", spaced.lower()))


def roles_of(header: Sequence[str]) -> dict[str, str]:
    """Return {role: column}, each column in one role at most: same names first, then same words, then near ones."""
    found: dict[str, str] = {}
    for matches in (_same, _shares, _near):
        for role, words in ROLES.items():
            if role in found:
                continue
            known = words.split()
            column = next((c for c in header if c not in found.values() and matches(normal(c), known)), None)
            if column is not None:
                found[role] = column
    return found


def _same(name: str, words: Sequence[str]) -> bool:
    return name in words


def _shares(name: str, words: Sequence[str]) -> bool:
    return any(part in words for part in name.split("_") if len(part) > 1)


def _near(name: str, words: Sequence[str]) -> bool:
    return len(name) > 3 and bool(get_close_matches(name, [word for word in words if len(word) > 3], 1, 0.8))


def _quiz(header: Sequence[str], roles: Mapping[str, str]) -> Reading | None:
    options = tuple(column for column in header if OPTION.match(normal(column)))
    if len(options) >= 2:
        roles = roles_of([column for column in header if column not in options])
    elif "choices" not in roles:
        return None
    if "question" not in roles or "answer" not in roles:
        return None
    wanted = ("question", "answer") if len(options) >= 2 else ("question", "answer", "choices")
    return Reading(QUIZ, {role: roles[role] for role in wanted}, options if len(options) >= 2 else (), "guessed")


def _has_choices(row: Row, quiz: Reading) -> bool:
    try:
        return len(choices_of(row, quiz)[0]) > 1
    except DataError:
        return False


def _as_given(rows: Sequence[Row], header: Sequence[str], given: Mapping[str, str]) -> Reading:
    if missing := [used for used in given.values() if used not in header]:
        raise UsageError(f"--columns: no column {missing[0]!r}; {near(missing[0], header)}")
    if {"question", "answer", "choices"} == set(given):
        return Reading(QUIZ, dict(given), how="given")
    known = {name: {*format_module(name).REQUIRED, *format_module(name).OPTIONAL} for name in format_names()}
    if not any(set(given) <= names for names in known.values()):
        wrong = next((key for key in given if not any(key in names for names in known.values())), next(iter(given)))
        allowed = sorted(set().union(*known.values()) | {"choices"})
        raise UsageError(f"--columns: no format reads {', '.join(given)} together; {wrong}: {near(wrong, allowed)}")
    try:
        return Reading(recognise(stringified(rows[0], given.values()), dict(given)), dict(given), how="given")
    except DataError as error:
        raise UsageError(f"--columns: {error.message}", remedy="write NAME_OF_THE_FORMAT=COLUMN_OF_THE_FILE") from None


def stringified(row: Row, columns: Any) -> Row:
    """Return the row with numbers in these columns as texts: an answer may be 42."""
    wanted = set(columns)
    return {
        name: str(value) if name in wanted and isinstance(value, int | float) and not isinstance(value, bool) else value
        for name, value in row.items()
    }


def with_labels(rows: Sequence[Row]) -> list[Row]:
    """Return rows with words that judge an answer (`good`, `down`, ...) as true and false, in columns of judgements."""
    judging = [name for name in rows[0] if normal(name).split("_")[-1] in JUDGEMENTS]
    words = {name: {str(row.get(name)).strip().lower() for row in rows} for name in judging}
    taken = [name for name, said in words.items() if len(said) > 1 and said <= GOOD | BAD]
    return [{k: str(v).strip().lower() in GOOD if k in taken else v for k, v in row.items()} for row in rows]


def choices_of(row: Row, mapping: Reading) -> tuple[list[str], list[str]]:
    """Return the choices of a quiz's row and what each is called by. DataError where there are none.

    A cell may hold a list, JSON, `{text: [...], label: [...]}`, or choices between bars, semicolons or lines.
    """
    if mapping.options:
        texts = [str(row[column]).strip() for column in mapping.options if str(row.get(column) or "").strip()]
        return texts, [OPTION.match(normal(column))[1].upper() for column in mapping.options][: len(texts)]  # type: ignore[index]
    value = row.get(mapping.columns["choices"])
    if isinstance(value, str):
        value = _parsed(value)
    labels = list(_letters())
    if isinstance(value, Mapping):
        inner = value.get("text")
        if isinstance(inner, list):
            labels, value = [str(label) for label in value.get("label") or labels], inner
        else:
            labels, value = [str(key) for key in value], list(value.values())
    if not isinstance(value, list) or len(value) < 2:
        raise DataError(f"column {mapping.columns['choices']!r} holds no list of choices: {str(value)[:60]!r}")
    return [str(text).strip() for text in value], labels[: len(value)]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    for mark in ("\n", "|", ";"):
        if mark in text:
            return [part.strip() for part in text.split(mark) if part.strip()]
    return text


def _letters() -> Iterator[str]:
    yield from "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def right_choice(value: Any, choices: Sequence[str], labels: Sequence[str], *, from_one: bool) -> int:
    """Return the place of the right choice, from 0: by its text, its label or letter, or its number. DataError else."""
    text = str(value).strip()
    letter = text.strip("().").upper()
    for names in (choices, labels, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(choices)]):
        if text in names and list(names).count(text) == 1 and not (names is choices and isinstance(value, int)):
            return list(names).index(text)
    if len(letter) == 1 and letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(choices)]:
        return ord(letter) - ord("A")
    if re.fullmatch(r"\d+(?:\.0)?", text) and 0 <= (place := int(float(text)) - from_one) < len(choices):
        return place
    raise DataError(f"the answer {text[:60]!r} is none of the {len(choices)} choices")


def counts_from_one(rows: Sequence[Row], mapping: Reading) -> bool:
    """Return whether a quiz's answers are numbers from 1: none is 0, and one is as large as its choices are many."""
    reached = False
    for row in rows:
        text = str(row.get(mapping.columns["answer"])).strip()
        if not re.fullmatch(r"\d+(?:\.0)?", text):
            continue
        if int(float(text)) == 0:
            return False
        try:
            reached = reached or int(float(text)) == len(choices_of(row, mapping)[0])
        except DataError:
            continue
    return reached
