"""Windows: sections of documents cut to a size that a model reads well."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from statllama.data.build.records import Json, LeftOut
from statllama.data.build.write.spec import PartSpec

_PARAGRAPHS = re.compile(r"\n[ \t]*\n\s*")
_SENTENCES = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9(\[\"'$\\])")


@dataclass(frozen=True)
class Window:
    """A section of a document, or a part of a long one. `section` and `number` count from 0."""

    document: Mapping[str, Any]
    section: int
    number: int
    text: str

    @property
    def id(self) -> str:
        """Return a name that no other window of a build has: `arxiv:2601.09718v1#3.0`."""
        return f"{self.document['id']}#{self.section}.{self.number}"

    @property
    def where(self) -> str:
        """Return the place, for people."""
        return f"{self.document['id']}, section {self.section + 1}, window {self.number + 1}"

    @property
    def heading(self) -> str:
        """Return the section's heading; empty above the first one."""
        return str(self.document["sections"][self.section]["heading"])

    @property
    def title(self) -> str:
        """Return the document's title; empty where none is known."""
        return str(self.document["origin"].get("title") or "")

    @property
    def provenance(self) -> Json:
        """Return where the text comes from, as rows say it."""
        origin, section = self.document["origin"], self.document["sections"][self.section]
        found: Json = {"document": self.document["id"], "place": origin["place"], "section": self.heading}
        known = {"licence": origin.get("licence"), "pages": section.get("pages")}
        return found | {name: value for name, value in known.items() if value}


def windows(document: Mapping[str, Any], spec: PartSpec) -> Iterator[Window | LeftOut]:
    """Yield what of a document is written about, and what is not with the reason, in the document's order."""
    if spec.topics and not set(spec.topics) & set(document.get("topics", ())):
        topics = ", ".join(document.get("topics", ())) or "no topic"
        yield LeftOut("about none of the topics", document["id"], topics)
        return
    if not document["sections"]:
        yield LeftOut("a document without sections", document["id"])
    for place, section in enumerate(document["sections"]):
        where = f"{document['id']}, section {place + 1}"
        if section["kind"] not in spec.sections:
            yield LeftOut(
                "a section of a kind that is not written about", where, f"{section['kind']}: {section['heading']}"
            )
            continue
        parts = cut(section["text"], spec.max_words)
        short = f"fewer than {spec.min_words} words"
        if not parts:
            yield LeftOut(short, where, section["heading"])
        for number, text in enumerate(parts):
            if len(text.split()) < spec.min_words:
                yield LeftOut(short, f"{where}, window {number + 1}", text)
            else:
                yield Window(document, place, number, text)


def cut(text: str, most: int) -> list[str]:
    """Return a text as windows of at most `most` words, about equally long: cut between paragraphs; within one that is
    longer, between sentences; within a sentence that is longer, between words.

    >>> cut("One two.\\n\\nThree four. Five six.", 2)
    ['One two.', 'Three four.', 'Five six.']
    """
    words = len(text.split())
    if words <= most:
        return [text.strip()] if words else []
    goal = words / math.ceil(words / most)
    found: list[str] = []
    for paragraph in _joined(_PARAGRAPHS.split(text), "\n\n", goal, most):
        sentences = [paragraph] if _count(paragraph) <= most else _joined(_SENTENCES.split(paragraph), " ", goal, most)
        for sentence in sentences:
            if _count(sentence) <= most:
                found.append(sentence)
                continue
            split = sentence.split()
            found += [" ".join(split[i : i + most]) for i in range(0, len(split), most)]
    return found


def _joined(pieces: Iterable[str], between: str, goal: float, most: int) -> Iterator[str]:
    """Yield pieces, joined while they are below the goal together and no longer than `most` words. One that is longer
    by itself stays by itself.
    """
    held: list[str] = []
    for piece in (each.strip() for each in pieces if each.strip()):
        if held and (_total(held) >= goal or _total(held) + _count(piece) > most):
            yield between.join(held)
            held = []
        held.append(piece)
    if held:
        yield between.join(held)


def _count(text: str) -> int:
    return len(text.split())


def _total(texts: Sequence[str]) -> int:
    return sum(map(_count, texts))
