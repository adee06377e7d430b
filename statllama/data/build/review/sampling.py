"""A sample of rows for a person: so many of those that were kept, and so many of each reason that left rows out."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from statllama.data.build.records import Json
from statllama.store.canonical import digest

KEPT = "kept"
"""The stratum of the rows that were kept; that of the others is their reason."""


@dataclass(frozen=True)
class Item:
    """A row to judge. `row`: the record with its provenance; `digest`: of what a person judges."""

    stratum: str
    row: Json
    detail: str
    digest: str

    @property
    def kept(self) -> bool:
        """Return whether the build kept it."""
        return self.stratum == KEPT

    @property
    def checks(self) -> Mapping[str, Json]:
        """Return what each check found."""
        found: Mapping[str, Json] = self.row["provenance"].get("checks", {})
        return found


@dataclass(frozen=True)
class Sample:
    """Items in the order to judge them, which says nothing of their strata."""

    items: tuple[Item, ...]
    sizes: Mapping[str, int]
    """{stratum: its rows in the build}"""
    unshown: Mapping[str, int]
    """{reason: records without a row, such as documents}: there is nothing to judge."""
    seed: int

    @property
    def name(self) -> str:
        """Return a name of these items, 12 hex digits."""
        return digest([self.seed, *sorted(item.digest for item in self.items)])[:12]


def row_digest(row: Mapping[str, Any]) -> str:
    """Return the digest of what a person judges, 64 hex digits: row, context and quotation, not what checks found."""
    judged = {name: row.get(name) for name in ("id", "format", "row", "context")}
    return digest({**judged, "quote": row["provenance"].get("quote")})


def draw(
    kept: Iterable[Json], left_out: Iterable[Json], *, of_kept: int = 30, of_reason: int = 10, seed: int = 0
) -> Sample:
    """Return a sample: `of_kept` rows of those kept, `of_reason` of each reason. One pass, memory of the sample alone.

    `left_out`: as `LeftOut.as_json` gives them. A row is drawn by the hash of seed and id, so neither the order of the
    rows nor the number of processes matters, a larger sample holds the smaller one, and rows that were judged stay in
    it when others come or go.
    """
    drawn: dict[str, list[tuple[int, str, Item]]] = defaultdict(list)
    sizes: Counter[str] = Counter()
    unshown: Counter[str] = Counter()
    for stratum, row, detail in _all(kept, left_out):
        if row is None:
            unshown[stratum] += 1
            continue
        sizes[stratum] += 1
        entry = (-_rank(seed, row["id"]), row["id"])
        heap, most = drawn[stratum], of_kept if stratum == KEPT else of_reason
        if len(heap) < most or (heap and entry > heap[0][:2]):
            item = Item(stratum, row, detail, row_digest(row))
            (heapq.heappush if len(heap) < most else heapq.heapreplace)(heap, (*entry, item))
    items = [item for heap in drawn.values() for _, _, item in heap]
    # By another hash: that of the draw is small for rows of a large stratum.
    items.sort(key=lambda item: (_rank(seed, f"order/{item.row['id']}"), item.row["id"]))
    return Sample(tuple(items), dict(sizes), dict(unshown), seed)


def _all(kept: Iterable[Json], left_out: Iterable[Json]) -> Iterable[tuple[str, Json | None, str]]:
    for row in kept:
        yield KEPT, row, ""
    for each in left_out:
        yield each["reason"], each.get("record"), each.get("detail", "")


def _rank(seed: int, row_id: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{row_id}".encode()).digest()[:8], "big")


def strata(sample: Sample) -> Sequence[str]:
    """Return the strata: kept, then the reasons, those of most rows first."""
    return sorted(sample.sizes, key=lambda name: (name != KEPT, -sample.sizes[name], name))
