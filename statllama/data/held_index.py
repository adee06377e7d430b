"""Finds rows that copy a held-out row: the same prompt, the same text, or nearly the same.

Near duplicates are texts whose runs of five words have a Jaccard similarity of at least 0.8, as in `duplicates.py`, but
found without chance: the held-out side is known and small, so all of its runs are in memory (8 bytes each), and a row
is compared with every text that shares runs with it. It rarely comes to that: a near duplicate has at least 0.8 of its
runs among those of the held-out rows, which one look-up tells of a whole batch of rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from statllama.config.holdout import Held
from statllama.data.held_rows import HeldRows, Progress, held_descriptions, held_key, held_rows, together
from statllama.data.likeness import SIMILAR, Likeness, runs_of
from statllama.data.mixture import Ints

SAME_PROMPT = "the same prompt"
SAME_TEXT = "the same text"
NEAR = "nearly the same text"


class HeldIndex:
    """An index of held-out rows; `find` looks for copies of them."""

    def __init__(self, parts: Sequence[HeldRows]) -> None:
        known = together(parts)
        self._prompts = set(known["prompts"].tolist())
        self._texts = set(known["texts"].tolist())
        order = np.argsort(known["runs"], kind="stable")
        self._runs: npt.NDArray[np.uint32] = known["runs"][order]
        self._of: npt.NDArray[np.int32] = known["of"][order]
        self._sizes: npt.NDArray[np.int32] = known["sizes"]

    def find(self, rows: Sequence[Likeness]) -> list[str | None]:
        """Return of each row in what it copies a held-out one; None of one that copies none."""
        found = [self._exact(row) for row in rows]
        open_ = [(i, words) for i, row in enumerate(rows) if found[i] is None for words in row.words]
        runs, of = runs_of([words for _, words in open_])
        if not len(runs) or not len(self._runs):
            return found
        first = np.searchsorted(self._runs, runs)
        inside = self._runs[np.minimum(first, len(self._runs) - 1)] == runs
        size, known = np.bincount(of, minlength=len(open_)), np.bincount(of[inside], minlength=len(open_))
        bounds = np.searchsorted(of, np.arange(len(open_) + 1))
        for k in np.flatnonzero((size > 0) & (known >= SIMILAR * size)).tolist():
            mine = slice(bounds[k], bounds[k + 1])
            if self._nearest(runs[mine], first[mine]) >= SIMILAR:
                found[open_[k][0]] = NEAR
        return found

    def _exact(self, row: Likeness) -> str | None:
        if row.prompt is not None and row.prompt in self._prompts:
            return SAME_PROMPT
        return SAME_TEXT if any(text in self._texts for text in row.texts) else None

    def _nearest(self, runs: npt.NDArray[np.uint32], first: npt.NDArray[np.int64]) -> float:
        """Return the greatest similarity of a text with a held-out one. `first`: where each of its runs is in the
        index, or would be.
        """
        counts = np.searchsorted(self._runs, runs, side="right") - first
        places = np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
        others, both = np.unique(self._of[places], return_counts=True)
        return float(np.max(both / (len(runs) + self._sizes[others] - both), initial=0.0))


class HeldOut:
    """All that a recipe holds out: read, and indexed, when it is first asked for."""

    def __init__(
        self,
        held: Sequence[Held],
        root: Path,
        cache: Path | None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take `held` with settled sources, and the workspace `cache` that keeps what is read of them."""
        self.held, self._root, self._cache, self._note = tuple(held), root, cache, note
        self._rows: tuple[HeldRows, ...] | None = None

    def read(self, progress: Progress | None = None) -> tuple[HeldRows, ...]:
        """Return the rows that each source gives, read at the first call. DataError: see `held_rows`."""
        if self._rows is None:
            self._rows = tuple(
                held_rows(held, self._root, cache=self._cache, progress=progress, note=self._note) for held in self.held
            )
        return self._rows

    @property
    def rows(self) -> tuple[HeldRows, ...]:
        """Return the rows that each source gives."""
        return self.read()

    @cached_property
    def index(self) -> HeldIndex:
        """Return the index of all of them."""
        return HeldIndex(self.rows)

    @cached_property
    def descriptions(self) -> list[dict[str, Any]]:
        """Return what decides which rows these are, in an order that does not depend on the recipe's."""
        return held_descriptions(self.held, self._root)

    @property
    def keys(self) -> list[str]:
        """Return the keys of the entries of the workspace's cache that hold the rows."""
        return [held_key(held, self._root) for held in self.held]

    def own(self, stage: str) -> dict[int, Ints]:
        """Return {index of a source of the stage: its rows that are held out}."""
        pairs = zip(self.held, self.rows, strict=True)
        return {held.place: rows.rows for held, rows in pairs if held.share is not None and held.name == stage}

    def shares(self, stage: str) -> list[list[float]]:
        """Return [index of a source of the stage, its share] of those that have a share."""
        mine = (held for held in self.held if held.name == stage)
        return [[held.place, held.share] for held in mine if held.share is not None]

    def counts(self) -> dict[str, int]:
        """Return {hold-out: rows}."""
        found = Counter[str]()
        for held, rows in zip(self.held, self.rows, strict=True):
            found[held.name] += len(rows.rows)
        return dict(found)
