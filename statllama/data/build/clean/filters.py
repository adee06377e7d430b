"""The step `clean`: judges each document, section and row by itself, cheap rules first.

    kind -> length -> language -> quality -> personal data -> questions of benchmarks

A section that falls is left out by the first rule that it breaks, and the rest of its document stays. A document falls
when it has another language, or when what stays of it is too short or breaks a rule as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from statllama.config.keyed import keyed
from statllama.data.build.clean.benchmarks import Benchmarks, Finding, findings, index
from statllama.data.build.clean.benchmarks import words_of as copied
from statllama.data.build.clean.language import check_language, detector_version, language_of
from statllama.data.build.clean.pii import redacted, words_of
from statllama.data.build.clean.prose import Text
from statllama.data.build.clean.quality import faults
from statllama.data.build.clean.sections import body, changed, place, strings, without
from statllama.data.build.clean.spec import CleanSpec
from statllama.data.build.records import Json, Kept, LeftOut, Outcome
from statllama.data.ngrams import words

NUMERICS = 1
"""Raised when the same settings would leave out something else."""
OTHER_STEPS = ("duplicates", "boilerplate")


@dataclass
class _State:
    """A record on its way through the rules."""

    record: Json
    lost: list[LeftOut] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)
    """Sections that are left out."""
    bare: set[int] = field(default_factory=set)
    """Sections of which only the heading may stay."""
    whole: bool = False
    """Whether all of it is left out."""

    @property
    def open(self) -> list[int]:
        """Sections that still stand."""
        return [i for i in range(len(self.record["sections"])) if i not in self.gone and i not in self.bare]

    def lose(self, reason: str, detail: str = "", section: int | None = None) -> None:
        """Leave out a section, or the whole record."""
        unit = "section" if section is not None else "document" if "sections" in self.record else "row"
        record = self.record if unit == "row" and not reason.startswith("personal") else None
        self.lost.append(LeftOut(f"{unit}: {reason}", place(self.record, section), detail, record))
        if section is None:
            self.whole = True
        else:
            self.gone.add(section)


@dataclass(frozen=True)
class Filters:
    """The step. `benchmarks`: those whose questions are looked for."""

    spec: CleanSpec
    benchmarks: Benchmarks
    name: str = "clean"
    block: int = 64
    threads: bool = False

    def material(self) -> Mapping[str, Any]:
        """Return what decides the result: the rules of this step, the questions, the detector's version."""
        return {
            "step": "clean",
            "numerics": NUMERICS,
            "spec": {name: value for name, value in keyed(self.spec).items() if name not in OTHER_STEPS},
            "benchmarks": list(self.benchmarks.fingerprints),
            "detector": None if self.spec.language is None else detector_version(),
        }

    def plan(self, inputs: Callable[[], Iterator[Json]]) -> None:
        """Find out, before any block is made, whether the language is known and all questions can be read."""
        if self.spec.language is not None:
            check_language(self.spec.language)
        if self.benchmarks.tasks:
            index(self.benchmarks)

    def apply(self, records: Sequence[Json], plan: Any, files: Path) -> Iterator[Outcome]:
        """Yield what is left out of each record, then the rest of it."""
        states = [_State(dict(record)) for record in records]
        for state in states:
            (self._judge_document if "sections" in state.record else self._judge_row)(state)
        self._look_for_questions(states)
        for state in states:
            if "sections" in state.record and not state.whole:
                self._finish(state)
            yield from state.lost
            if not state.whole:
                yield Kept(state.record)

    def _judge_document(self, state: _State) -> None:
        sections = state.record["sections"]
        for i, section in enumerate(sections):
            if section["kind"] in self.spec.drop_sections:
                state.lose(section["kind"], section=i)
        texts = {i: Text(sections[i]["text"]) for i in state.open}
        for i in state.open:
            self._judge_length(state, i, texts[i].size)
        if not self._judge_language(state, {i: texts[i] for i in state.open}):
            return
        for i in state.open if self.spec.quality is not None else ():
            for reason, detail in faults(texts[i], self.spec.quality, self.spec.language):
                state.lose(reason, detail, section=i)
                break
        for i in state.open:
            self._judge_personal_data(state, i)

    def _judge_length(self, state: _State, i: int, size: int) -> None:
        """Leave out a section that is too short or too long; of one without text only a heading is lost."""
        length = self.spec.length
        if length.section is not None and size < length.section:
            if state.record["sections"][i]["text"].strip():
                state.lose(f"fewer than {length.section} words", f"{size} words", section=i)
                state.gone.discard(i)
            state.bare.add(i)
        elif length.most_section is not None and size > length.most_section:
            state.lose(f"more than {length.most_section} words", f"{size} words", section=i)

    def _judge_language(self, state: _State, texts: Mapping[int, Text]) -> bool:
        """Leave out sections in another language, or the document when most words are; return whether it stays."""
        if self.spec.language is None:
            return True
        told = {i: found for i, text in texts.items() if (found := language_of(text)) is not None}
        if not told:  # sections too short to tell by themselves
            whole = Text("\n".join(text.text for text in texts.values()))
            found = language_of(whole)
            if found is not None and self._is_other(found):
                state.lose(f"language is not {self.spec.language}", _language(found))
            return not state.whole
        size = {i: len(texts[i].words) for i in told}
        other = [i for i, found in told.items() if self._is_other(found)]
        if 2 * sum(size[i] for i in other) > sum(size.values()):
            most = max(other, key=lambda i: size[i])
            share = sum(size[i] for i in other) / sum(size.values())
            state.lose(f"language is not {self.spec.language}", f"{_language(told[most])}, {share:.0%} of its words")
            return False
        for i in other:
            state.lose(f"language is not {self.spec.language}", _language(told[i]), section=i)
        return True

    def _is_other(self, found: tuple[str, float]) -> bool:
        return found[0] != self.spec.language and found[1] >= self.spec.language_certainty

    def _judge_personal_data(self, state: _State, i: int) -> None:
        if self.spec.pii == "keep":
            return
        section = dict(state.record["sections"][i])
        counts: Counter[str] = Counter()
        for part in ("heading", "text"):
            section[part], found = redacted(section[part], self.spec.pii_kinds)
            counts.update(found)
        self._replace_personal_data(state, counts, i)
        if counts and i not in state.gone:
            state.record["sections"] = [section if j == i else each for j, each in enumerate(state.record["sections"])]

    def _replace_personal_data(self, state: _State, counts: Mapping[str, int], section: int | None) -> None:
        """Note what was replaced, or leave out what holds it. The data themselves are in no detail."""
        for kind, count in counts.items():
            if self.spec.pii == "drop":
                state.lose(f"personal data: {words_of(kind)}", f"{count} of it", section)
                return
            where = place(state.record, section)
            state.lost.append(LeftOut(f"replaced: {words_of(kind)}", where, f"{count} of it"))

    def _judge_row(self, state: _State) -> None:
        spec, record = self.spec, state.record
        texts = list(strings(record["row"]))
        size = sum(len(words(text)) for text in texts)
        if spec.length.row is not None and size < spec.length.row:
            return state.lose(f"fewer than {spec.length.row} words", f"{size} words")
        if spec.length.most_row is not None and size > spec.length.most_row:
            return state.lose(f"more than {spec.length.most_row} words", f"{size} words")
        if spec.language is not None:
            found = language_of(Text("\n".join(texts)))
            if found is not None and self._is_other(found):
                return state.lose(f"language is not {spec.language}", _language(found))
        if spec.quality is not None:
            # One by one: a reply repeats its question, a rejected reply the chosen one.
            for text in texts:
                for reason, detail in faults(Text(text), spec.quality, spec.language):
                    return state.lose(reason, detail)
        if spec.pii != "keep":
            counts: Counter[str] = Counter()

            def redact(text: str) -> str:
                plain, found = redacted(text, spec.pii_kinds)
                counts.update(found)
                return plain

            replaced: Json = {name: changed(record[name], redact) for name in ("row", "context") if name in record}
            self._replace_personal_data(state, counts, None)
            if not state.whole:
                state.record = {**record, **replaced}
        return None

    def _look_for_questions(self, states: Sequence[_State]) -> None:
        """Leave out the sections and rows of a block that copy a question; note those that may ask one."""
        asked: list[tuple[_State, int | None, str]] = []
        for state in states:
            if state.whole:
                continue
            if "sections" in state.record:
                asked += [(state, i, state.record["sections"][i]["text"]) for i in state.open]
            else:
                asked.append((state, None, "\n".join(strings(state.record["row"]))))
        found = findings(
            [(place(state.record, i), text) for state, i, text in asked], self.benchmarks, self.spec.suspects
        )
        for (state, i, _), finding in zip(asked, found, strict=True):
            _take(state, i, finding)

    def _finish(self, state: _State) -> None:
        """Put what stays of a document together and judge it as a whole."""
        spec, record = self.spec, state.record
        record["sections"] = without(record["sections"], state.gone, state.bare)
        text = Text(body(record))
        if not text.text:
            return state.lose("no text stays")
        if spec.length.document is not None and text.size < spec.length.document:
            return state.lose(f"fewer than {spec.length.document} words", f"{text.size} words")
        if spec.length.most_document is not None and text.size > spec.length.most_document:
            return state.lose(f"more than {spec.length.most_document} words", f"{text.size} words")
        if spec.quality is not None:
            for reason, detail in faults(text, spec.quality, spec.language, whole=True):
                return state.lose(reason, detail)
        return None


def _take(state: _State, section: int | None, finding: Finding) -> None:
    """Leave out what copies a question; write a suspect into the record's `checks`."""
    if finding.copy is not None:
        state.lose("copies a benchmark question", copied(finding.copy), section)
    elif finding.suspect is not None:
        holder = "checks" if section is not None else "provenance"
        state.record[holder] = holding = dict(state.record.get(holder, {}))
        if section is None:
            holding["checks"] = holding = dict(holding.get("checks", {}))
        holding["suspects"] = [*holding.get("suspects", []), finding.suspect]


def _language(found: tuple[str, float]) -> str:
    return f"{found[0]} with {found[1]:.2f}"
