"""Characters as a reader types them, where files have ligatures, odd spaces, split accents, letters of formulas."""

from __future__ import annotations

import re
import unicodedata

ACCENTS = {"\u00b4": "\u0301", "\u02cb": "\u0300", "\u00a8": "\u0308", "\u02c6": "\u0302", "\u02dc": "\u0303",
            "\u02c7": "\u030c", "\u00af": "\u0304", "\u02d9": "\u0307"}  # fmt: skip
"""Combining accents by the signs that stand for them apart from a letter."""
_OF_FORMULAS = "\u02c6\u02dc\u00af\u02d9"  # hats and bars, which a formula puts on any letter
_SPACES = (
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t\u000b\u000c"
)
_NOTHING = "\u00ad\u200b\u200c\u200d\u2060\ufeff\u200e\u200f\u2061\u2062\u2063\u2064"
_TABLE = {
    **{ord(c): " " for c in _SPACES},
    **{ord(c): None for c in _NOTHING},
    **dict.fromkeys((*range(9), *range(14, 32), *range(127, 160))),
    **{c: unicodedata.normalize("NFKC", chr(c)) for c in range(0xFB00, 0xFB07)},  # ligatures: ff, fi, fl, ffi, ffl, st
    **{c: unicodedata.normalize("NFKC", chr(c)) for c in range(0x1D400, 0x1D800)},  # letters of formulas
    **dict.fromkeys((*range(55296, 57344), *range(57344, 63744), 65534, 65535), "�"),  # no text, or a font's own
    **dict.fromkeys(range(0xF8E5, 0xF8FF)),  # parts of tall brackets, of which one stands for all
    **dict(zip((0xF8EB, 0xF8EE, 0xF8F1, 0xF8F6, 0xF8F9, 0xF8FC), "([{)]}", strict=True)),
    0x2010: "-", 0x2011: "-", 0x2028: "\n", 0x2029: "\n", 0x0D: "\n",
}  # fmt: skip
_ODD = re.compile("[^\n\x20-\x7e]")
_ACCENT = re.compile(f"([{''.join(ACCENTS)}])([^\\W\\d_])")
_RUNS = re.compile(r" {2,}")
_AROUND_LINES = re.compile(r" *\n *")
_EMPTY_LINES = re.compile(r"\n{3,}")


def plain(text: str) -> str:
    """Return text in Unicode's composed form without odd spaces, ligatures, invisible and control characters.

    >>> plain("e\\ufb03cient\\u00a0na\\u00a8ive")
    'efficient naïve'
    """
    if not _ODD.search(text):
        return text
    text = text.replace("\r\n", "\n").translate(_TABLE)
    return unicodedata.normalize("NFC", _ACCENT.sub(_put_on, text))


def _put_on(match: re.Match[str]) -> str:
    """Put an accent that stands before its letter, as TeX's fonts have it, on the letter."""
    accented = composed(match[2], match[1])
    return accented or (match[2] + ACCENTS[match[1]] if match[1] in _OF_FORMULAS else match[0])


def composed(letter: str, accent: str) -> str | None:
    """Return a letter with an accent as one character; None where there is no such character.

    >>> composed("u", "\u00a8")
    'ü'
    """
    one = unicodedata.normalize("NFC", letter + ACCENTS[accent])
    return one if len(one) == 1 and letter.isalpha() else None


def tidy(text: str) -> str:
    """Return `plain` text with single spaces, none around line ends, and at most one empty line in a row."""
    return _EMPTY_LINES.sub("\n\n", _AROUND_LINES.sub("\n", _RUNS.sub(" ", plain(text)))).strip()
