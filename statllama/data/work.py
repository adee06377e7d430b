"""What a model computed: passes, tokens and positions, counted as they happen, of which a forecast makes operations.

Counts do not depend on the model, so those of one run serve to forecast another. Loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Work:
    """Counts of forward passes of one kind."""

    passes: float = 0
    tokens: float = 0
    """Tokens computed, padding included."""
    pairs: float = 0
    """Of attention: over all rows, queries times keys. A row of L tokens has L * L, whatever the mask hides."""
    logits: float = 0
    """Positions whose logits are computed."""
    decoded: float = 0
    """Steps of generation, each of which computes one token of every row. Their tokens are among `tokens`."""

    def __add__(self, other: Work) -> Work:
        """Return the sum of the counts."""
        return Work(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: Work) -> Work:
        """Return what was computed since `other`, an earlier count."""
        return self + other * -1

    def __mul__(self, factor: float) -> Work:
        """Return the counts of so many times the work."""
        return Work(*(getattr(self, f.name) * factor for f in fields(self)))

    @staticmethod
    def of_rows(rows: int, width: int, logits: float | None = None, known: int = 0) -> Work:
        """Return one pass over `rows` rows padded to `width` tokens, behind `known` tokens in a cache.

        `logits`: positions with logits; None: all.
        """
        tokens = rows * width
        return Work(1, tokens, tokens * (known + width), tokens if logits is None else logits)

    @staticmethod
    def of_replies(lengths: Sequence[int], prompt: int, known: int = 0) -> Work:
        """Return the generation of replies of so many tokens to prompts of `prompt` tokens each.

        The prompts' pass gives the first token of each. `known`: tokens before the prompts in a cache.
        """
        more = [max(length - 1, 0) for length in lengths]
        keys = sum(n * (known + prompt) + n * (n + 1) / 2 for n in more)
        first = Work.of_rows(len(lengths), prompt, len(lengths), known)
        return first + Work(0, sum(more), keys, sum(more), max(more, default=0))

    def as_json(self) -> dict[str, float]:
        """Return plain JSON values."""
        return asdict(self)

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Work:
        """Return what `as_json` wrote; counts that the record does not know are 0."""
        return Work(**{f.name: record[f.name] for f in fields(Work) if f.name in record})
