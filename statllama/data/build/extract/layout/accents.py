"""Accents that a file draws apart from their letters, as TeX's older fonts have it: `fur ¨` is `für`."""

from __future__ import annotations

from collections.abc import Sequence

from statllama.data.build.extract.characters import ACCENTS, composed
from statllama.data.build.extract.layout.piece import Piece

_BACK = 60  # words before the accent among which its own is: PDFium puts accents at the end of a line


def with_accents(words: Sequence[Piece]) -> list[Piece]:
    """Return the words without those that are a mere accent; each is put on the letter that it stands over."""
    kept: list[Piece] = []
    for word in words:
        if word.text not in ACCENTS or not _put(kept, word):
            kept.append(word)
    return kept


def _put(words: list[Piece], accent: Piece) -> bool:
    """Put an accent on the letter of the words below it, in place; return whether there is one."""
    middle = (accent.left + accent.right) / 2
    for i in range(len(words) - 1, max(-1, len(words) - 1 - _BACK), -1):
        word = words[i]
        if abs(word.base - accent.base) < 0.5 * word.size and word.left - 1 <= middle <= word.right + 1:
            text = _accented(word, accent.text, middle)
            if text is not None:
                words[i] = word._replace(text=text)
                return True
    return False


def _accented(word: Piece, accent: str, middle: float) -> str | None:
    """Return a word's text with the accent on the letter nearest to `middle` that takes it; None: no letter does."""
    step = (word.right - word.left) / len(word.text)
    letters = [(abs(word.left + (k + 0.5) * step - middle), k) for k, c in enumerate(word.text) if composed(c, accent)]
    if not letters or min(letters)[0] > 1.5 * step:
        return None
    at = min(letters)[1]
    return word.text[:at] + (composed(word.text[at], accent) or "") + word.text[at + 1 :]
