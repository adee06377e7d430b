"""What a user's files hold: each file's format, its rows as examples, and what each row would be used for."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from statllama.config.source import SourceSpec
from statllama.data.examples import Conversation, Document, Example, Judgement, Message, Preference, Question, texts
from statllama.data.formats import format_module, parse_row
from statllama.data.readers import Row, data_kind
from statllama.data.sources import check_text
from statllama.errors import DataError, UsageError, near
from statllama.runs.init.columns import (
    QUIZ,
    Reading,
    choices_of,
    counts_from_one,
    mapping_of,
    right_choice,
    stringified,
    with_labels,
)
from statllama.runs.init.reading import DOCUMENTS, TABS, Contents, Named, read

Use = Literal["cpt", "sft", "dpo", "kto"]
USES: dict[Use, str] = {
    "cpt": "documents, for a cpt stage",
    "sft": "answers to learn, for an sft stage",
    "dpo": "preferences, for a dpo stage",
    "kto": "judged answers, for a kto stage",
}
MOST_FAULTY = 0.2  # share of unusable rows above which a file is refused
FINAL = re.compile(r"[-+]?[$€£]?\d[\d,. ]*(?:/\d+)?\s*%?")
"""A number, as a reward can check it."""
SENTENCE_ENDS = ("?", ".", "!")
LONGEST_NAME = 60  # characters of a column's name
NAMES = "if it is data, put a first line with names above it, as question,answer"
FEW_WORDS = 6  # of an answer that can be compared word for word
PIECE = 4000  # characters: a longer document is cut at paragraphs where documents are few
FEW_DOCUMENTS = 20
_PARAGRAPH = re.compile(r"\n[ \t]*\n")


def writable(name: str) -> str:
    """Return a file's name with a `?` for each byte that is not UTF-8, which no file of text takes."""
    return name.encode(errors="replace").decode()


@dataclass(frozen=True)
class Unit:
    """One row, or one piece of a document."""

    file: str
    """The file as the user named it."""
    row: int
    """From 1; of pieces, the document's."""
    example: Example
    question: str
    """What it asks: the text by which it is told from others. Of a document all of it."""
    answer: str = ""
    """What is learned; empty for documents and for a judged answer that is bad."""
    choices: tuple[str, ...] = ()
    """Choices of a quiz, with their letters."""
    right: int = 0
    """The right one, from 0."""
    final: str | None = None
    """The answer as a number that a reward can check; None where there is none."""
    plain: bool = True
    """Whether it is one question and its answer, so that a benchmark may ask it as it is."""
    stem: str = ""
    """The question of a quiz without its choices."""

    @property
    def where(self) -> str:
        """Return the place in the user's file."""
        return f"{writable(self.file)}, row {self.row}"

    @property
    def use(self) -> Use:
        """Return the stage type that trains on it."""
        kinds: dict[type, Use] = {Document: "cpt", Preference: "dpo", Judgement: "kto"}
        return kinds.get(type(self.example), "sft")

    @property
    def text(self) -> str:
        """Return all its text, as `data check` compares it."""
        return "\n".join(texts(self.example))


@dataclass(frozen=True)
class Fault:
    """A row that cannot be used, and why."""

    file: str
    row: int
    why: str
    content: Row


@dataclass(frozen=True)
class Found:
    """One of the user's files, or the documents of one folder."""

    name: str
    files: tuple[Path, ...]
    format: str
    reading: Reading
    encodings: tuple[str, ...]
    delimiter: str
    units: tuple[Unit, ...]
    faults: tuple[Fault, ...] = ()
    quiz: bool = False
    note: str = ""
    """What a reader should know of how it was read; empty for nothing."""

    @property
    def use(self) -> Use:
        """Return the stage type of its rows."""
        return self.units[0].use


def survey(
    named: Iterable[Named], scratch: Path, columns: Mapping[str, Mapping[str, str]] | None = None
) -> list[Found]:
    """Read all files and say what each is. `columns`: {file name, or empty for any: {format's name: file's}}.

    DataError for a file that cannot be read, whose columns make no sense, or most of whose rows cannot be used.
    """
    found: list[Found] = []
    named = list(named)
    names = {name for group in named for path in group.files for name in (path.name, str(path))}
    for name in columns or ():
        if name and name not in names:
            raise UsageError(f"--columns {name}: not among the files of --data; {near(name, names)}")
    for group in named:
        documents = [path for path in group.files if data_kind(path) in DOCUMENTS]
        found += [_found(read(path, scratch), columns or {}) for path in group.files if path not in documents]
        if documents:
            found.append(_documents(group.argument, [read(path, scratch) for path in documents]))
    whole = sum(len(each.units) for each in found if each.use == "cpt")
    return [_in_pieces(each) if each.use == "cpt" and whole < FEW_DOCUMENTS else each for each in found]


def _found(contents: Contents, columns: Mapping[str, Mapping[str, str]]) -> Found:
    path, whole = contents.path, len(contents.rows) + len(contents.broken)
    if len(contents.broken) > MOST_FAULTY * whole:
        raise contents.broken[0][1]
    rows = with_labels([row for _, row in contents.rows])
    given = columns.get(path.name) or columns.get(str(path)) or columns.get("")
    if given and path.name not in columns and not set(given.values()) & {name for row in rows[:1] for name in row}:
        given = None  # said of another file
    reading = mapping_of(rows, given)
    if reading is None and "" in columns:
        mapping_of(rows, columns[""])  # which says what is wrong with them
    headless = _headless(path, list(rows[0]))
    if reading is None:
        listed = ", ".join(rows[0]) or "none"
        option = shlex.quote(f"{path.name}:question=COLUMN,answer=COLUMN")
        if headless:
            raise DataError(f"{path}: no known format; {headless}", remedy=NAMES)
        raise DataError(
            f"{path}: no known format; columns found: {listed}",
            remedy=f"say which is which: --columns {option} (or prompt, chosen and rejected; or text)",
        )
    units: list[Unit] = []
    faults = [
        Fault(str(path), number, error.message.removeprefix(f"{path}, row {number}").partition(": ")[2], row)
        for number, error, row in contents.broken
    ]
    from_one = reading.format == QUIZ and counts_from_one(rows, reading)
    for (number, _), row in zip(contents.rows, rows, strict=True):
        try:
            check_text(row, "it")
            units.append(_unit(str(path), number, row, reading, from_one))
        except DataError as error:
            faults.append(Fault(str(path), number, error.message.removeprefix("it: "), row))
    faults.sort(key=lambda fault: fault.row)
    if len(faults) > MOST_FAULTY * whole or not units:
        said = "; ".join(f"row {fault.row}: {fault.why}" for fault in faults[:3])
        raise DataError(
            f"{path}: {len(faults)} of {whole} rows cannot be used as {reading.format}: {said}",
            remedy="mend or remove them; a file should hold rows of one format (split mixed rows into files)",
        )
    format = "multiple choice" if reading.format == QUIZ else reading.format
    name = str(path)
    encodings = (contents.encoding,) if contents.encoding else ()
    return Found(
        name, (path,), format, reading, encodings, contents.delimiter, tuple(units), tuple(faults),
        reading.format == QUIZ, f"{path}: {headless}; {NAMES}" if headless else "",
    )  # fmt: skip


def _headless(path: Path, header: Sequence[str]) -> str:
    """Return what is said of a table whose first row, taken for the names of its columns, looks like data; else
    nothing.
    """
    like_data = [name for name in header if name.rstrip().endswith(SENTENCE_ENDS) or len(name) > LONGEST_NAME]
    if data_kind(path) not in (".csv", TABS) or not like_data:
        return ""
    shown = like_data[0] if len(like_data[0]) <= LONGEST_NAME else f"{like_data[0][:LONGEST_NAME]}..."
    return f"the first row was taken for the names of columns, but looks like data: {shown!r}"


def _documents(argument: str, contents: Sequence[Contents]) -> Found:
    units, faults = [], []
    for each in contents:
        row = each.rows[0][1]
        try:
            check_text(row, "it")
            if not (text := str(row["text"]).strip()):
                raise DataError("no text")
            units.append(Unit(str(each.path), 1, Document(text), text))
        except DataError as error:
            faults.append(Fault(str(each.path), 1, error.message.removeprefix("it: "), row))
    if not units:
        raise DataError(f"{argument}: no document can be used: {faults[0].why}", remedy="mend it, or leave it out")
    encodings = tuple(sorted({each.encoding for each in contents}))
    files = tuple(each.path for each in contents)
    return Found(argument, files, "text", Reading("text"), encodings, "", tuple(units), tuple(faults))


def _in_pieces(found: Found) -> Found:
    """Cut long documents between paragraphs, so that some text can be held out of few documents."""
    units = [
        Unit(unit.file, unit.row, Document(piece), piece) for unit in found.units for piece in pieces(unit.question)
    ]
    return replace(found, units=tuple(units))


def pieces(text: str, size: int = PIECE) -> list[str]:
    """Return a text in pieces of about `size` characters, cut between paragraphs; joined by blank lines they are it.

    >>> pieces("one\\n\\ntwo\\n\\nthree", size=8)
    ['one\\n\\ntwo', 'three']
    """
    found: list[str] = []
    for paragraph in _PARAGRAPH.split(text):
        if found and len(found[-1]) + 2 + len(paragraph) <= size:
            found[-1] += f"\n\n{paragraph}"
        elif paragraph.strip():
            found.append(paragraph)
    return found


def _unit(file: str, number: int, row: Row, reading: Reading, from_one: bool) -> Unit:
    if reading.format == QUIZ:
        return _quiz_unit(file, number, row, reading, from_one)
    row = stringified(row, reading.columns.values()) if reading.how != "format" else row
    example = parse_row(SourceSpec(path=file, format=reading.format, columns=dict(reading.columns)), row, "it")
    if isinstance(example, Document):
        return Unit(file, number, example, example.text)
    if isinstance(example, Preference | Judgement):
        prompt = example.prompt
        asked = prompt if isinstance(prompt, str) else _asked(prompt)
        if isinstance(example, Preference):
            return Unit(file, number, example, asked, example.chosen, plain=_is_plain(prompt))
        return Unit(file, number, example, asked, example.completion if example.label else "", plain=_is_plain(prompt))
    if isinstance(example, Question):
        turns = (Message("user", example.prompt),) if isinstance(example.prompt, str) else example.prompt
        said = str(example.columns["answer"]).strip()
        example = Conversation((*turns, Message("assistant", said)), columns={"answer": said})
    assert isinstance(example, Conversation)
    asked, answer, plain = _first_exchange(example)
    stated = str(example.columns.get("answer", "")).strip()
    final = stated if FINAL.fullmatch(stated) else None
    return Unit(file, number, example, asked, answer, final=final, plain=plain)


def _quiz_unit(file: str, number: int, row: Row, reading: Reading, from_one: bool) -> Unit:
    asked = str(row.get(reading.columns["question"]) or "").strip()
    choices, labels = choices_of(row, reading)
    if not asked or len(choices) < 2 or not all(choices):
        raise DataError("a question without text, or without two choices")
    if len(set(choices)) < len(choices):
        raise DataError(f"two choices are the same: {choices}"[:200])
    right = right_choice(row.get(reading.columns["answer"]), choices, labels, from_one=from_one)
    lettered = tuple(f"{letter}. {text}" for letter, text in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", choices, strict=False))
    prompt = "\n".join((asked, "", *lettered))
    example = Conversation((Message("user", prompt), Message("assistant", lettered[right])))
    return Unit(file, number, example, prompt, lettered[right], lettered, right, stem=asked)


def _asked(turns: Sequence[Message]) -> str:
    return "\n\n".join(turn.content for turn in turns if turn.role != "system")


def _is_plain(prompt: Sequence[Message] | str) -> bool:
    return isinstance(prompt, str) or [turn.role for turn in prompt] == ["user"]


def _first_exchange(example: Conversation) -> tuple[str, str, bool]:
    """Return the first question, its answer, and whether a benchmark may ask it so: no system prompt, no tools."""
    turns = example.messages
    start = 1 if turns[0].role == "system" else 0
    asked, answer = turns[start].content, turns[start + 1]
    bare = start == 0 and not answer.calls and bool(answer.content.strip()) and example.trained_from <= 1
    return asked, answer.content, bare and not example.tools


def example_row(unit: Unit) -> dict[str, str]:
    """Return a row in words, for the table of what was found: question and answer, or the text."""
    if unit.use == "cpt":
        return {"text": unit.question}
    if isinstance(unit.example, Preference):
        return {"prompt": unit.question, "chosen": unit.example.chosen, "rejected": unit.example.rejected}
    if isinstance(unit.example, Judgement):
        return {"prompt": unit.question, "answer": unit.example.completion, "judged": "good" if unit.answer else "bad"}
    return {"question": unit.question, "answer": unit.answer}


def known_columns(reading: Reading) -> dict[str, str]:
    """Return {the format's name: the file's} that a reader is shown: the options of a quiz too."""
    if reading.options:
        return {**reading.columns, "choices": ", ".join(reading.options)}
    if reading.columns or reading.format == QUIZ:
        return dict(reading.columns)
    return {name: name for name in format_module(reading.format).REQUIRED}
