"""The rows of a source that are held out of training, and what is known of them: their places and their likenesses.

Which rows a share takes depends on what they say alone: rows are grouped by their prompt, groups are in order of the
hash of it, and the first are taken that fit into the share. So the order of the rows, the names of the files and the
seeds of the stages do not matter, two stages that hold rows out of the same data hold out the same ones, and a larger
share holds out what a smaller one does.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from statllama.config.holdout import Held
from statllama.data.cache import DRAWING, described
from statllama.data.filters import usable
from statllama.data.likeness import Liken, Likeness, runs_of
from statllama.data.mixture import Ints
from statllama.data.sources import source_name
from statllama.errors import DataError
from statllama.store import Store
from statllama.store.canonical import digest

HOLDOUT_NUMERICS = 1
"""Raised when other rows would be held out of the same sources, or others be found to copy them: in the keys of stages
of recipes that hold rows out."""
FILE = "{}.npy"
TEXTS = 256  # whose runs of words are computed together
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class HeldRows:
    """The rows that one source gives to a hold-out."""

    rows: Ints
    """Their indices in what is read (from 0), ascending."""
    read: int
    """Usable rows of the source, these among them."""
    prompts: npt.NDArray[np.uint64]
    """Hashes of their prompts, ascending, each once. See `Likeness`."""
    texts: npt.NDArray[np.uint64]
    """Hashes of their texts, ascending, each once."""
    runs: npt.NDArray[np.uint32]
    """Hashes of the runs of words of each text, and in `of` the index of the text. See `likeness.runs_of`."""
    of: npt.NDArray[np.int32]
    sizes: npt.NDArray[np.int32]
    """Runs of each text."""

    def write(self, folder: Path) -> None:
        """Write arrays into a folder."""
        for field in fields(self):
            np.save(folder / FILE.format(field.name), np.asarray(getattr(self, field.name)), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `write` wrote."""
        found = {f.name: np.load(folder / FILE.format(f.name), allow_pickle=False) for f in fields(cls)}
        return cls(**{**found, "read": int(found["read"])})


def held_description(held: Held, root: Path) -> dict[str, Any]:
    """Return everything that decides which rows are held out, as plain data: the bytes of what is read and the share,
    not its name or place. Reads no row. `held`: with a settled source.
    """
    (read,) = described([held.source], root)
    kept = {name: value for name, value in read.items() if name not in DRAWING}
    return {"numerics": HOLDOUT_NUMERICS, "read": kept, "share": held.share}


def held_key(held: Held, root: Path) -> str:
    """Return the key under which a workspace's cache keeps the rows. `held`: with a settled source."""
    return digest({"held_out": held_description(held, root)})


def held_descriptions(held: Sequence[Held], root: Path) -> list[dict[str, Any]]:
    """Return the description of each, once, in an order that does not depend on theirs."""
    by_hash = {digest(found): found for found in (held_description(one, root) for one in held)}
    return [by_hash[key] for key in sorted(by_hash)]


def held_rows(
    held: Held,
    root: Path,
    *,
    cache: Path | None,
    progress: Progress | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> HeldRows:
    """Return the rows that are held out, as the workspace `cache` keeps them. `held`: with a settled source.

    DataError for a row that cannot be read, and for a share that takes no row or leaves none.
    """
    if cache is None:
        return _held_rows(held, root, progress)
    store, key = Store(cache), held_key(held, root)

    def make() -> dict[str, Any]:
        found = _held_rows(held, root, progress)
        found.write(store.fresh_out("cache", key))
        return {"what": "held-out rows", "sources": [source_name(held.source)]}

    def damaged(wrong: str) -> None:
        note(f"held-out rows in the workspace: {wrong}, so they are made again")

    return HeldRows.load(store.obtain("cache", key, make, damaged).path)


def _held_rows(held: Held, root: Path, progress: Progress | None) -> HeldRows:
    name, liken = source_name(held.source), Liken()
    numbers, groups = array("q"), array("Q")
    for number, _, example in usable(held.source, root) if held.share is not None else ():
        numbers.append(number)
        groups.append(liken(example).group)
        if progress is not None and not len(numbers) % TEXTS:
            progress(f"hold out of {name}", len(numbers), len(numbers))
    chosen: set[int] | None = None
    if held.share is not None:
        taken = choose(np.frombuffer(groups, dtype=np.uint64), held.share, name)
        chosen = set(np.frombuffer(numbers, dtype=np.int64)[taken].tolist())
    rows, known = array("q"), _Known()
    for number, _, example in usable(held.source, root):
        if chosen is None or number in chosen:
            rows.append(number)
            known.add(liken(example))
            if len(rows) == len(chosen or ()):
                break
    if not rows:
        raise DataError(
            f"{name}: none of its rows is usable, so nothing is held out", remedy="loosen its filters, or give another"
        )
    return known.finish(np.array(rows, dtype=np.int64), len(numbers) or len(rows))


class _Known:
    """Collects likenesses of held-out rows."""

    def __init__(self) -> None:
        self.prompts, self.texts = set[int](), list[int]()
        self._words: list[npt.NDArray[np.int64]] = []
        self._runs, self._of = [np.empty(0, dtype=np.uint32)], [np.empty(0, dtype=np.int64)]
        self._done = 0

    def add(self, likeness: Likeness) -> None:
        if likeness.prompt is not None:
            self.prompts.add(likeness.prompt)
        self.texts += likeness.texts
        self._words += likeness.words
        if len(self._words) >= TEXTS:
            self._flush()

    def _flush(self) -> None:
        runs, of = runs_of(self._words)
        self._runs.append(runs)
        self._of.append(of + self._done)
        self._done += len(self._words)
        self._words = []

    def finish(self, rows: Ints, read: int) -> HeldRows:
        self._flush()
        runs, of = np.concatenate(self._runs), np.concatenate(self._of)
        sizes = np.bincount(of, minlength=self._done).astype(np.int32)
        prompts, texts = (np.array(sorted(set(v)), dtype=np.uint64) for v in (self.prompts, self.texts))
        return HeldRows(rows, read, prompts, texts, runs, of.astype(np.int32), sizes)


def choose(groups: npt.NDArray[np.uint64], share: float, name: str) -> npt.NDArray[np.bool_]:
    """Return which rows a share takes, boolean (rows,). `groups`: the hash that rows share which belong together.

    Groups are looked at in order of their hash, and those are taken that fit into what is left of the share, which is
    `round(share * rows)` rows and at least 1. Where each row has a prompt of its own it is met exactly, else it falls
    short by less than the smallest group that is left. Where no group fits, the smallest is taken.
    DataError when none would be left to train on.
    """
    rows = len(groups)
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    wanted = max(1, round(share * rows))
    if rows and wanted >= rows:
        raise DataError(
            f"{name}: `holdout` {share:g} of its {rows:,} usable {'row' if rows == 1 else 'rows'} is {wanted:,}, which "
            "leaves none to train on",
            remedy="lower `holdout`, name a file there, or add rows",
        )
    taken, left = np.zeros(len(sizes), dtype=bool), wanted
    for i, size in enumerate(sizes.tolist()):
        if size <= left:
            taken[i] = True
            left -= size
        if not left:
            break
    if rows and not taken.any():
        taken[int(np.argmin(sizes))] = True
    if len(sizes) == 1:
        raise DataError(
            f"{name}: all of its {rows:,} usable rows have the same prompt, so no share of them can be held out: rows "
            "with the same prompt stay together",
            remedy="name a file of other rows in `holdout`",
        )
    return np.asarray(taken[group])


def together(parts: Sequence[HeldRows]) -> Mapping[str, npt.NDArray[Any]]:
    """Return the hashes of several sources' rows as one: `prompts`, `texts`, `runs`, `of`, `sizes`."""
    shift = np.cumsum([0, *(len(part.sizes) for part in parts)])
    return {
        "prompts": np.unique(np.concatenate([part.prompts for part in parts])),
        "texts": np.unique(np.concatenate([part.texts for part in parts])),
        "runs": np.concatenate([part.runs for part in parts]),
        "of": np.concatenate([part.of + first for part, first in zip(parts, shift, strict=False)]).astype(np.int32),
        "sizes": np.concatenate([part.sizes for part in parts]),
    }
