"""The report of a mixture: counts for each source, kept as JSON beside the prepared data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class SourceReport:
    """One source. Counts from `rows_used` on count a row as often as it is used."""

    name: str
    rows_read: int
    """Rows that the source has."""
    rows_used: int
    """Uses of rows in the mixture: after `limit`, `repeat` and `weight`."""
    examples: int
    """Sequences (pieces of documents, pairs) that are trained on."""
    tokens: int
    """Tokens of those; of a pair, those of both sequences."""
    supervised_tokens: int
    """Tokens that carry loss."""
    truncated: int
    """Examples cut at `max_length`."""
    dropped: Mapping[str, int]
    """{reason: rows left out}."""
    sample: str
    """The first example, with the tokens that carry loss between ⟦ and ⟧."""
    left_out: int = 0
    """Assistant turns that say `train: false` or `weight: 0`, and so carry no loss."""

    @property
    def share(self) -> float:
        """Return the share of the source's tokens that carry loss, 0 to 1."""
        return self.supervised_tokens / self.tokens if self.tokens else 0.0


@dataclass(frozen=True)
class MixtureReport:
    """The whole mixture. `rows`: rows of the dataset; with packing one holds several examples."""

    sources: tuple[SourceReport, ...]
    rows: int
    utilisation: float
    """Share of the token places that hold tokens when every row is `max_length` long, 0 to 1."""

    @property
    def examples(self) -> int:
        """Return the sequences of all sources."""
        return sum(s.examples for s in self.sources)

    @property
    def tokens(self) -> int:
        """Return the tokens of all sources: what one epoch trains on."""
        return sum(s.tokens for s in self.sources)

    @property
    def supervised_tokens(self) -> int:
        """Return the tokens of all sources that carry loss."""
        return sum(s.supervised_tokens for s in self.sources)

    @property
    def left_out(self) -> int:
        """Return the assistant turns of all sources that say that they carry no loss."""
        return sum(s.left_out for s in self.sources)

    def as_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the report that `as_json` wrote. KeyError or TypeError for anything else."""
        sources = tuple(SourceReport(**s) for s in value["sources"])
        return cls(sources, int(value["rows"]), float(value["utilisation"]))
