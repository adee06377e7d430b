"""The step `clean:boilerplate`: lines of documents that say nothing of their own.

A line that stands in many documents is found in two passes whose memory does not grow with them: the first counts all
lines in two tables of a fixed size, where lines may share a place, so that no count is too low (a count-min sketch,
Cormode and Muthukrishnan 2005); the second counts exactly those lines that may be frequent.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from statllama.config.keyed import keyed
from statllama.data.build.clean.prose import is_prose
from statllama.data.build.clean.sections import body, place, without
from statllama.data.build.clean.spec import BoilerplateSpec, LengthSpec
from statllama.data.build.records import Json, Kept, LeftOut, Outcome
from statllama.data.ngrams import words

NUMERICS = 1
PLACES = 1 << 22  # of a table: 16 MB each
LONGEST = 600  # characters of a line: longer ones are paragraphs of their own
SHOWN = 5  # lines in a detail
REPEATED, NOTICE = "lines: the same in many places", "lines: a publisher's notice"

_NOTICES = re.compile(
    r"""^[\W_]*(?:
      (?:this\ (?:content|article|paper|pdf)\ (?:was|has\ been)\ )?downloaded\ (?:from|by|on)\ \S+ .* (?:\d|http|www)
    | (?:(?:\(c\)|©|copyright)\W+)+(?:\d{4}|the\ authors?\b) .*
    | (?:.{0,80}\.\ )?all\ rights\ reserved\b .*
    | (?:this\ is\ an\ |an\ )?open[\ -]access\ article\ (?:is\ )?(?:distributed|published|under) .*
    | this\ (?:article|work|paper|book|chapter|preprint)\ is\ (?:made\ available\ |an\ open\ access\ .* )?
      (?:licen[sc]ed|distributed|published)\ under\ (?:a|the|an)\b .*
    | publisher['’]?s\ note\b .* (?:neutral|jurisdictional|claims) .*
    | springer\ nature\ remains\ neutral\b .*
    | (?:submitted|received|accepted|revised|published)(?:\ online)?\W+(?:\d{1,2}\ )?(?:jan|feb|mar|apr|may|jun|jul|aug
      |sep|oct|nov|dec)\w*\W+\d{1,4}\b .{0,160}
    | arxiv:\d{4}\.\d{4,5}(?:v\d+)?\s*\[ .{0,80}
    | preprint(?:\ submitted\ to|\.\ under\ review) .{0,120}
    | (?:p?-?e?-?issn|doi)\W+(?:\d{4}-\d{3}[\dx]|10\.\d{4,}) .{0,120}
    | (?:the\ )?authors?\ (?:declare|have\ declared)s?\ (?:that\ )?.{0,40}(?:no|not)\b.{0,60}
      (?:competing|conflicts?\ of)\ interests? .*
    | electronic\ copy\ available\ at .*
    | (?:terms\ (?:of\ use|and\ conditions)|reprints?\ and\ permissions?) .{0,200}
    )$""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True)
class Boilerplate:
    """The step. `length`: what is too short once its lines are gone."""

    spec: BoilerplateSpec
    length: LengthSpec
    name: str = "clean:boilerplate"
    block: int = 256
    threads: bool = False

    def material(self) -> Mapping[str, Any]:
        """Return what decides the result."""
        length = {name: getattr(self.length, name) for name in ("section", "document")}
        return {"step": "boilerplate", "numerics": NUMERICS, "spec": keyed(self.spec), "length": length}

    def plan(self, inputs: Callable[[], Iterator[Json]]) -> list[int]:
        """Return the hashes of the lines that stand in many documents, ascending."""
        if self.spec.documents is None:
            return []
        tables = (array("I", bytes(4 * PLACES)), array("I", bytes(4 * PLACES)))
        documents = 0
        for lines in self._of_documents(inputs):
            documents += 1
            for line in lines:
                for table, at in zip(tables, _places(line), strict=True):
                    table[at] += 1
        least = max(self.spec.documents, ceil(self.spec.share * documents))
        if documents < least:
            return []
        counts: Counter[int] = Counter()
        for lines in self._of_documents(inputs):
            counts.update(
                line for line in lines if all(t[at] >= least for t, at in zip(tables, _places(line), strict=True))
            )
        return sorted(line for line, count in counts.items() if count >= least)

    def _of_documents(self, inputs: Callable[[], Iterator[Json]]) -> Iterator[set[int]]:
        """Yield the hashes of each document's lines that may be boilerplate."""
        for record in inputs():
            if "sections" in record:
                found = (self._hash(line) for section in record["sections"] for line in section["text"].split("\n"))
                yield {line for line in found if line is not None}

    def _hash(self, line: str) -> int | None:
        """Return 64 bits of a line without its digits, case and spaces; None for one that is never boilerplate."""
        line = line.strip()
        if len(line) > LONGEST or not is_prose(line):
            return None
        if sum(not word[0].isdigit() for word in words(line)) < self.spec.least_words:
            return None
        plain = " ".join(re.sub(r"\d+", "0", line.lower()).split())
        return int.from_bytes(hashlib.blake2b(plain.encode("utf-8", "replace"), digest_size=8).digest(), "little")

    def apply(self, records: Sequence[Json], plan: Any, files: Path) -> Iterator[Outcome]:
        """Yield the documents without such lines; rows as they are."""
        known = frozenset(plan)
        for record in records:
            if "sections" not in record:
                yield Kept(record)
                continue
            yield from self._without_lines(record, known)

    def _without_lines(self, record: Json, known: frozenset[int]) -> Iterator[Outcome]:
        repeated = known | self._running(record)
        sections, bare = [], set()
        for i, section in enumerate(record["sections"]):
            kept, lost = self._split(section["text"], repeated)
            for reason, lines in lost.items():
                shown = " | ".join(line[:200] for line in lines[:SHOWN])
                yield LeftOut(reason, place(record, i), f"{len(lines)}: {shown}")
            sections.append({**section, "text": kept} if lost else section)
            size = len(words(kept))
            if lost and size < (self.length.section or 1):
                bare.add(i)
                if kept:
                    reason = f"section: fewer than {self.length.section} words"
                    yield LeftOut(reason, place(record, i), f"{size} words without its boilerplate")
        document = {**record, "sections": without(sections, (), bare)}
        size = len(words(body(document)))
        if not size:
            yield LeftOut("document: no text stays", place(record))
        elif size < (self.length.document or 1):
            reason = f"document: fewer than {self.length.document} words"
            yield LeftOut(reason, place(record), f"{size} words without its boilerplate")
        else:
            yield Kept(document)

    def _running(self, record: Json) -> frozenset[int]:
        """Return the hashes of lines that stand in many sections of the document."""
        if self.spec.sections is None or len(record["sections"]) < self.spec.sections:
            return frozenset()
        counts: Counter[int] = Counter()
        for section in record["sections"]:
            found = {self._hash(line) for line in section["text"].split("\n")}
            counts.update(line for line in found if line is not None)
        return frozenset(line for line, count in counts.items() if count >= self.spec.sections)

    def _split(self, text: str, repeated: frozenset[int]) -> tuple[str, dict[str, list[str]]]:
        """Return the text without boilerplate, and what was taken out of it by its reason."""
        kept: list[str] = []
        lost: dict[str, list[str]] = {}
        for line in text.split("\n"):
            plain = line.strip()
            if self.spec.notices and len(plain) <= LONGEST and _NOTICES.match(plain):
                lost.setdefault(NOTICE, []).append(plain)
            elif repeated and self._hash(line) in repeated:
                lost.setdefault(REPEATED, []).append(plain)
            else:
                kept.append(line)
        if not lost:
            return text, lost
        return re.sub(r"\n[ \t]*\n(?:[ \t]*\n)+", "\n\n", "\n".join(kept)).strip("\n"), lost


def _places(line: int) -> tuple[int, int]:
    return line % PLACES, (line >> 32) % PLACES
