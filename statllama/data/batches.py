"""Rows in batches that are bounded by their number and by their text, so that long rows do not fill the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
ROWS = 256
CHARACTERS = 4_000_000


def batches(items: Iterable[T], characters: Callable[[T], int]) -> Iterator[list[T]]:
    """Yield the consecutive items: at most `ROWS`, and (unless it is one alone) at most `CHARACTERS` together."""
    batch: list[T] = []
    size = 0
    for item in items:
        length = characters(item)
        if batch and (len(batch) == ROWS or size + length > CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield batch
