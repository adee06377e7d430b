"""Mixtures: the rows of each source that train, and their order. Pure and deterministic.

All randomness is the raw output of NumPy's Philox4x64, whose stream is fixed for all versions, sorted: the
rows of a source are drawn in an order that depends on the seed and on its number of rows alone, so another
source, or a larger `limit`, does not change which rows come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from statllama.config.source import SourceSpec
from statllama.data.sources import source_name
from statllama.errors import DataError

Ints = npt.NDArray[np.int64]
DRAW, ORDER, PIECES, ROWS = range(4)  # what a permutation is for: the second half of the Philox key


@dataclass(frozen=True)
class Mixture:
    """`sources[k]`, `rows[k]`: source and row (from 0) of the k-th use. `counts`: uses of each source."""

    sources: Ints
    rows: Ints
    counts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def placed(self, kept: Sequence[Ints]) -> Mixture:
        """Return the same uses, with rows counted over all rows of a source: `kept[i]` are those that were drawn
        from.
        """
        rows = np.empty_like(self.rows)
        for i, indices in enumerate(kept):
            mine = self.sources == i
            rows[mine] = indices[self.rows[mine]]
        return Mixture(self.sources, rows, self.counts)


def permutation(seed: int, purpose: int, size: int) -> Ints:
    """Return a permutation of range(size), int64, the same for ever for the same arguments. `seed`: uint64."""
    raw = np.random.Philox(key=np.array([seed, purpose], dtype=np.uint64)).random_raw(size)
    return np.argsort(raw, kind="stable").astype(np.int64)


def mix(row_counts: Sequence[int], sources: Sequence[SourceSpec], seed: int) -> Mixture:
    """Return the uses of all sources, shuffled. `row_counts`: rows that may be used of each source.

    Of a source at most `limit` rows are drawn, each used at most `repeat` times. Without weights all those
    uses are in. With weights the sources' shares are their weights', and the mixture is the largest in which
    no source runs out; a source then goes through its drawn rows whole pass by whole pass. DataError when a
    weight gives no row.
    """
    drawn = [min(n, s.limit or n) for n, s in zip(row_counts, sources, strict=True)]
    capacities = [d * s.repeat for d, s in zip(drawn, sources, strict=True)]
    weights = [s.weight for s in sources]
    given = [w for w in weights if w is not None]
    counts = _weighted(capacities, given) if len(given) == len(weights) else capacities
    for count, source in zip(counts, sources, strict=True):
        if not count:
            name = source_name(source)
            raise DataError(f"{name}: weight {source.weight} gives it no row at all", remedy="raise its `weight`")
    uses = [_uses(n, d, c, seed) for n, d, c in zip(row_counts, drawn, counts, strict=True)]
    which = np.repeat(np.arange(len(uses), dtype=np.int64), counts)
    order = permutation(seed, ORDER, len(which))
    return Mixture(which[order], np.concatenate(uses)[order], tuple(counts))


def _uses(rows: int, drawn: int, count: int, seed: int) -> Ints:
    """Return the first `count` row indices of the endless sequence that repeats the `drawn` rows."""
    return np.resize(permutation(seed, DRAW, rows)[:drawn], count)


def _weighted(capacities: Sequence[int], weights: Sequence[float]) -> list[int]:
    """Return the exact shares by largest remainder. Weights count as the decimals they are written as."""
    exact = [Fraction(repr(w)) for w in weights]
    whole = sum(exact)
    total = int(min(c * whole / w for c, w in zip(capacities, exact, strict=True)))
    shares = [total * w / whole for w in exact]
    counts = [int(s) for s in shares]
    # Only sources with a remainder are rounded up, and such a source is below its capacity.
    by_remainder = sorted(range(len(shares)), key=lambda i: (counts[i] - shares[i], i))
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return counts
