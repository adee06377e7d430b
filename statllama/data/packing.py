"""Packing sequences into rows: best fit decreasing (Johnson et al. 1974). Pure and deterministic."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence


def pack(lengths: Sequence[int], max_length: int) -> list[list[int]]:
    """Return the rows of indices into `lengths`; the lengths (tokens) of a row sum to at most `max_length`.

    From the longest sequence to the shortest, each goes into the fullest row that has room for it. Indices
    within a row ascend, and rows are ordered by their first index. O(n log n) for a fixed `max_length`.
    ValueError for a length that is not in 1..max_length.
    """
    if any(not 1 <= n <= max_length for n in lengths):
        raise ValueError(f"lengths must be in 1..{max_length}")
    rows: list[list[int]] = []
    by_room: dict[int, list[int]] = {}  # {free tokens: numbers of the rows with just that room}
    rooms: list[int] = []  # the keys of by_room, sorted: never more than max_length of them
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        at = bisect_left(rooms, lengths[i])
        if at == len(rooms):
            row, room = len(rows), max_length
            rows.append([])
        else:
            room = rooms[at]
            row = by_room[room].pop()
            if not by_room[room]:
                del by_room[room], rooms[at]
        rows[row].append(i)
        if left := room - lengths[i]:
            if left not in by_room:
                by_room[left] = []
                insort(rooms, left)
            by_room[left].append(row)
    return sorted(sorted(row) for row in rows)


def utilisation(lengths: Sequence[int], rows: int, max_length: int) -> float:
    """Return the share of `rows` x `max_length` token places that are filled, 0 to 1."""
    return sum(lengths) / (rows * max_length) if rows else 0.0
