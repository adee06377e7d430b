"""A survey of a source's texts: repeats, odd characters, scripts and languages. It counts and changes nothing."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

from statllama.data.ngrams import words

START = 500  # characters of a text whose script is looked at; twice as many for the language
SAMPLE = 5_000  # texts whose language is looked at
LONG_RUN = 50
RUNS = f"a character more than {LONG_RUN} times in a row"
FEW = 20  # words below which a language is not guessed

ODDITIES: dict[str, re.Pattern[str]] = {
    "replacement characters (text decoded wrongly)": re.compile("\ufffd"),
    "UTF-8 read as Latin-1 (such as â€™ for an apostrophe)": re.compile("â€|Ã[\u0080-\u00bf]|ï»¿"),
    "control characters": re.compile("[\x01-\x08\x0b\x0e-\x1f\x7f\u0080-\u009f]"),
    "invisible or text-direction characters": re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]"),
    "HTML tags or entities": re.compile(
        r"</?(?:p|br|div|span|td|tr|li|ul|table|font|strong|em|h[1-6])\b[^>]*>|&(?:amp|lt|gt|quot|nbsp|#\d+);", re.I
    ),
}
RULES = "-=_.*#~+"  # characters that lines are drawn with
_RUN = re.compile(rf"(.)\1{{{LONG_RUN}}}", re.DOTALL)
_ASCII_LETTERS = re.compile("[A-Za-z]")
# The commonest words that tell these languages apart; enough for a hint, not for a decision.
_COMMON = {
    "English": "the of and to is that it was for are with as his they at be this from have",
    "German": "der die und das ist nicht ein eine zu den mit sich des auf für dem werden",
    "French": "le les des est une du pas que dans qui sur avec pour sont au plus ce",
    "Spanish": "el los las una que es por con para del como más pero sus este son",
    "Italian": "il di che è della per una sono non con del gli anche questo nel alla",
    "Portuguese": "o os que é uma não para com do da em por mais como mas ao",
    "Dutch": "het een van niet dat zijn op te aan met voor er maar om hij worden",
}
_LANGUAGES = {word: language for language, text in _COMMON.items() for word in text.split()}


@dataclass
class Survey:
    """Counts over the texts of one source, in rows."""

    rows: int = 0
    duplicates: int = 0
    """Rows whose text is that of an earlier row of the source."""
    oddities: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    """Place of each oddity's first occurrence."""
    scripts: dict[str, int] = field(default_factory=dict)
    """Rows by the script of most of their letters."""
    languages: dict[str, int] = field(default_factory=dict)
    """Rows (of the first `SAMPLE`, with `FEW` words or more) by what their commonest words hint at."""

    def as_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the survey that `as_json` wrote."""
        return cls(**value)


class Surveyor:
    """Looks at one text after the other; `finish` gives the counts."""

    def __init__(self) -> None:
        self._oddities: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._scripts: Counter[str] = Counter()
        self._languages: Counter[str] = Counter()
        self._digests = array("Q")

    def add(self, text: str, where: str) -> None:
        """Add one row's text."""
        self._digests.append(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))
        for name, pattern in ODDITIES.items():
            if pattern.search(text):
                self._oddities[name] += 1
                self._first.setdefault(name, where)
        if has_long_run(text):
            self._oddities[RUNS] += 1
            self._first.setdefault(RUNS, where)
        self._scripts[script(text)] += 1
        if len(self._digests) <= SAMPLE and (language := guess_language(text)):
            self._languages[language] += 1

    def finish(self) -> Survey:
        """Return the counts so far."""
        rows = len(self._digests)
        different = len(np.unique(np.frombuffer(self._digests, dtype=np.uint64))) if rows else 0
        return Survey(
            rows, rows - different, dict(self._oddities), self._first, dict(self._scripts), dict(self._languages)
        )


def has_long_run(text: str) -> bool:
    """Return whether a character that is no rule or white space comes more than `LONG_RUN` times in a row.

    Such a run holds two places that are equal at every half of it, which is all that is looked at first.
    """
    half = LONG_RUN // 2
    return any(
        a not in RULES and not a.isspace() and _RUN.search(text, max(0, half * (i - 2)), half * (i + 4))
        for i, (a, b) in enumerate(zip(text[::half], text[half::half], strict=False))
        if a == b and text.startswith(a * half, half * i)
    )


def script(text: str) -> str:
    """Return the script of most letters of the text's start, by their Unicode names: `Latin`, `Cyrillic`, `Cjk`, ...

    `none` without letters.
    """
    start = text[:START]
    letters = len(_ASCII_LETTERS.findall(start))
    if start.isascii():
        return "Latin" if letters else "none"
    names = Counter(unicodedata.name(c, "unnamed").split()[0].title() for c in start if c > "\x7f" and c.isalpha())
    names["Latin"] += letters
    name, count = names.most_common(1)[0]
    return name if count else "none"


def guess_language(text: str) -> str | None:
    """Return a language hinted at by the commonest words of Latin text; None for short or undecided text."""
    found = words(text[: 2 * START])
    if len(found) < FEW:
        return None
    votes = Counter(_LANGUAGES[word] for word in map(str.lower, found) if word in _LANGUAGES)
    (language, count), *rest = [*votes.most_common(2), ("", 0)][:2]
    return language if count >= max(2, 0.04 * len(found)) and count > 1.5 * rest[0][1] else None
