"""Sequences of token ids on the disk while a dataset is being made: appended once, then read in any order."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
BYTES = 4  # of an id


class Scratch:
    """One flat int32 file a column in `folder`. A context manager: append inside it, read after it."""

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._paths = {name: folder / f"{name}.int32" for name in columns}
        self._ends = {name: array("q", [0]) for name in columns}

    def __enter__(self) -> Self:
        self._files = {name: path.open("wb") for name, path in self._paths.items()}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for file in self._files.values():
            file.close()

    def __len__(self) -> int:
        return len(next(iter(self._ends.values()))) - 1

    def append(self, columns: Mapping[str, Sequence[int] | Ids]) -> int:
        """Add one sequence (all columns of it) and return its index."""
        for name, values in columns.items():
            self._files[name].write(np.asarray(values, dtype=np.int32).tobytes())
            self._ends[name].append(self._ends[name][-1] + len(values))
        return len(self) - 1

    def column(self, name: str, index: int) -> Ids:
        """Return the ids of one column of one sequence, int32 (n,), read from the file: a mapping would fill the
        memory.
        """
        start, end = self._ends[name][index], self._ends[name][index + 1]
        return np.fromfile(self._paths[name], dtype=np.int32, count=end - start, offset=BYTES * start)

    def whole(self, name: str) -> Ids:
        """Return one column of all sequences, one after the other."""
        return np.fromfile(self._paths[name], dtype=np.int32)

    def lengths(self, name: str) -> npt.NDArray[np.int64]:
        """Return the number of ids in that column of each sequence, (len(self),)."""
        ends = np.array(self._ends[name], dtype=np.int64)
        return ends[1:] - ends[:-1]
