"""Runs of consecutive words as hashes, to find contamination and near duplicates. Loads no torch."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

OTHER, NUMBER, NAME = -1, 0, 1
"""Ids of a word that is not known, of any number and of any name."""
# A Han, kana or hangul character is a word of its own: such text has no spaces.
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_CJK}]|[^\W\d_{_CJK}]+(?:['’][^\W\d_{_CJK}]+)*|\d+(?:[.,:/]\d+)*")
_NUMBER_WORDS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion half twice double triple
thrice dozen once
"""
_NUMBERS = frozenset(_NUMBER_WORDS.split())
_REMEMBERED = 1 << 20  # words an id is kept for; beyond it ids are computed again, so memory stays bounded
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def words(text: str) -> list[str]:
    """Return the words and numbers of a text, as they are written."""
    return _WORD.findall(text)


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return where each of `words` begins and ends in the text, in characters."""
    return [found.span() for found in _WORD.finditer(text)]


def is_number(word: str) -> bool:
    """Return whether a word is a number, in digits or letters."""
    return word[0].isdigit() or word.lower() in _NUMBERS


class WordIds(dict[str, int]):
    """Word -> id, worked out at a word's first use by `of`."""

    def __init__(self, of: Callable[[str], int]) -> None:
        super().__init__()
        self._of = of

    def __missing__(self, word: str) -> int:
        found = self._of(word)
        if len(self) < _REMEMBERED:
            self[word] = found
        return found

    def ids(self, found: Iterable[str]) -> Ids:
        """Return int64 (n,)."""
        return np.fromiter(map(self.__getitem__, found), dtype=np.int64)


def every_word() -> WordIds:
    """Give each word its own id, whatever its case (CRC-32: the same in every process)."""
    return WordIds(lambda word: zlib.crc32(word.lower().encode()))


def known_words(known: Iterable[str]) -> WordIds:
    """Return the ids of the words and numbers in `known` (lowercase); OTHER for all else."""
    numbered = {word: i for i, word in enumerate(sorted(set(known)), start=2)}
    return WordIds(lambda word: numbered.get(word.lower(), OTHER))


def masked_words(known: Iterable[str]) -> WordIds:
    """Return `known_words`, with NUMBER for every number, also in letters, and NAME for an unknown word with a
    capital.
    """
    numbered = {word: i for i, word in enumerate(sorted(set(known)), start=2)}

    def of(word: str) -> int:
        if not word:
            return OTHER
        return NUMBER if is_number(word) else numbered.get(word.lower(), NAME if word[0].isupper() else OTHER)

    return WordIds(of)


def lowercase_words(found: Iterable[str]) -> set[str]:
    """Return the words that begin in lower case: what `masked_words` may know, so that names are not among them."""
    return {word.lower() for word in found if not word[0].isupper() and not word[0].isdigit()}


def collapse(ids: Ids) -> tuple[Ids, Ids]:
    """Merge runs of NUMBER and runs of NAME into one ("twenty-five", "New York"); also return each id's earlier
    index.
    """
    keep = np.ones(len(ids), dtype=bool)
    keep[1:] = (ids[1:] != ids[:-1]) | ((ids[1:] != NUMBER) & (ids[1:] != NAME))
    return ids[keep], np.flatnonzero(keep)


def gram_hashes(ids: Ids, n: int) -> tuple[Hashes, Ids]:
    """Hash of every run of `n` ids without OTHER, and where it begins: uint64 (m,) and int64 (m,)."""
    if len(ids) < n:
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)
    size = len(ids) - n + 1
    hashes = np.zeros(size, dtype=np.uint64)
    sound = np.ones(size, dtype=bool)
    for k in range(n):
        part = ids[k : k + size]
        sound &= part != OTHER
        hashes = hashes * _FACTOR + part.astype(np.uint64) + np.uint64(1)
    hashes ^= hashes >> np.uint64(32)
    hashes *= _FACTOR
    hashes ^= hashes >> np.uint64(29)
    starts = np.flatnonzero(sound)
    return hashes[starts], starts
