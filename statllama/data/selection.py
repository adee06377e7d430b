"""What selecting rows found: of each source the rows that may be used, and the reasons against the others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

from statllama.data.contamination import Hit, Question, explain
from statllama.data.mixture import Ints
from statllama.data.survey import Survey
from statllama.data.suspects import Suspect, Suspects
from statllama.errors import DataError

SHOWN = 20  # hits, duplicates and faults that are kept
COPIES = "copies a benchmark question"
REPEATS = "repeats an earlier row"
HELD_OUT = "held out"
COPIES_HELD = "copies a held-out row"


@dataclass(frozen=True)
class Repeat:
    """A row left out because it repeats another. Sources and rows are indices, from 0."""

    source: int
    row: int
    of_source: int
    of_row: int
    similarity: float


@dataclass(frozen=True)
class HeldCopy:
    """A row left out because it copies a held-out one. `how`: see `HeldIndex.find`."""

    where: str
    how: str


@dataclass
class SelectedSource:
    """One source: its usable rows, and the reasons against the others."""

    name: str
    read: int
    kept: Ints
    """Indices of the rows that may be used (from 0), ascending."""
    dropped: dict[str, int]
    survey: Survey
    faults: list[str] = field(default_factory=list)
    """Rows that cannot be read or parsed; only collected when asked for, at most `SHOWN`."""
    faulty: int = 0


@dataclass(frozen=True)
class Selection:
    """All sources of a stage. `hits` and `repeats`: the first ones."""

    sources: tuple[SelectedSource, ...]
    hits: tuple[Hit, ...]
    copies: int
    """Rows that copy a benchmark question, dropped or not."""
    repeats: tuple[Repeat, ...]
    looked_for: Mapping[str, int] = field(default_factory=dict)
    """{benchmark: questions that were looked for}."""
    suspects: tuple[Suspects, ...] = ()
    """Questions that rows may ask in other words, the nearest first. They are to be judged: no row is left out."""
    held_copies: tuple[HeldCopy, ...] = ()
    """The first rows that copy a held-out row."""
    copied_by: Mapping[str, int] = field(default_factory=dict)
    """{in what: rows that copy a held-out one}."""
    kept_in: str = field(default="", compare=False)
    """Key of the entry of a workspace's cache that holds the choice; empty when it is not kept."""

    @property
    def suspected(self) -> int:
        """Return the rows that may ask a benchmark question in other words."""
        return sum(group.rows for group in self.suspects)

    @property
    def held_out(self) -> int:
        """Return the rows that are held out."""
        return sum(source.dropped.get(HELD_OUT, 0) for source in self.sources)

    @property
    def held_copied(self) -> int:
        """Return the rows that copy a held-out row, of any stage of the recipe."""
        return sum(source.dropped.get(COPIES_HELD, 0) for source in self.sources)

    def contamination(self) -> dict[str, Any]:
        """Return what the search for benchmark questions found, for a manifest."""
        found = {"looked_for": dict(self.looked_for), "copies": self.copies, "suspects": self.suspected}
        return {**found, "nearest": self.suspects[0].nearest[0].similarity if self.suspects else None}

    def held_back(self) -> dict[str, Any]:
        """Return what the search for held-out rows found, for a manifest."""
        return {"rows": self.held_out, "copies": self.held_copied, "by": dict(sorted(self.copied_by.items()))}

    def as_json(self) -> dict[str, Any]:
        """Return plain values without the row indices."""
        sources = [{**vars(s), "kept": len(s.kept), "survey": s.survey.as_json()} for s in self.sources]
        return {
            "sources": sources,
            "hits": [asdict(h) for h in self.hits],
            "copies": self.copies,
            "repeats": [asdict(r) for r in self.repeats],
            "looked_for": dict(self.looked_for),
            "suspects": [asdict(group) for group in self.suspects],
            "held_copies": [asdict(copy) for copy in self.held_copies],
            "copied_by": dict(self.copied_by),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], kept: Sequence[Ints]) -> Self:
        """Read `as_json`'s value, with the row indices of each source."""
        sources = tuple(
            SelectedSource(**{**s, "kept": rows_, "survey": Survey.from_json(s["survey"])})
            for s, rows_ in zip(value["sources"], kept, strict=True)
        )
        hits = tuple(Hit(**{**h, "question": Question(**h["question"])}) for h in value["hits"])
        suspects = tuple(
            Suspects(Question(**g["question"]), g["rows"], tuple(Suspect(**s) for s in g["nearest"]))
            for g in value["suspects"]
        )
        repeats = tuple(Repeat(**r) for r in value["repeats"])
        held = tuple(HeldCopy(**copy) for copy in value.get("held_copies", ()))  # not in records made before hold-outs
        copied_by = value.get("copied_by", {})
        return cls(sources, hits, value["copies"], repeats, value["looked_for"], suspects, held, copied_by)

    def require_rows(self) -> None:
        """Raise DataError when a source has no row left that may be used."""
        for source in self.sources:
            if not len(source.kept):
                raise self._nothing(source)

    def _nothing(self, source: SelectedSource) -> DataError:
        reasons = ", ".join(f"{reason}: {n:,}" for reason, n in source.dropped.items())
        said = f"{source.name}: none of its {source.read:,} rows is usable ({reasons})"
        if COPIES_HELD not in source.dropped:
            return DataError(said)
        first = f"; {self.held_copies[0].where} has {self.held_copies[0].how}" if self.held_copies else ""
        return DataError(
            f"{said}: no stage of a recipe is trained on what any of them holds out{first}",
            remedy="hold fewer rows out, or others (`holdout` of the stages' sources, `evaluate.holdouts`), or take "
            "this source out of the stage",
        )

    def require_clean(self) -> None:
        """Raise DataError when a row that may be used copies a benchmark question."""
        if self.copies and not any(COPIES in s.dropped for s in self.sources):
            raise explain(self.hits, self.copies)

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the rows that may be used."""
        found = hashlib.sha256()
        for source in self.sources:
            found.update(np.ascontiguousarray(source.kept, dtype="<i8").tobytes() + b"|")
        return found.hexdigest()
