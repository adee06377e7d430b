"""Whether a quotation stands in a text: word for word, or nearly.

Texts are compared as words and signs after folding (`data/folding.py`): case, punctuation, white space, words broken at
the end of a line and typographic letters make no difference. Nearly the same is a stretch of the text that a few
inserted, missing or other words turn into the quotation, with the same numbers, relations and negations in the same
order: these make a sentence say something else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from statllama.data.folding import folded
from statllama.data.ngrams import Ids

_BROKEN = re.compile(r"(?<=[a-z])-\s*\n\s*(?=[a-z])")
_ELLIPSIS = re.compile(r"\[\s*(?:\.{3}|…)\s*\]|\.{3,}|…")
_TOKEN = re.compile(
    r"(?:(?<![\w.)])-)?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?%?|(?:(?<![\w.)])-)?\.\d+%?"
    r"|[^\W\d_]+(?:'[^\W\d_]+)*|[<>=≤≥≠±+*/^]"
)
_NEGATIONS = frozenset(("not", "no", "never", "neither", "nor", "without", "cannot", "none"))
_RELATIONS = frozenset("<>=≤≥≠±")
MOST_WORDS = 2000  # of a quotation


@dataclass(frozen=True)
class Place:
    """Where a quotation stands. `similarity`: 1 less the words changed over the quotation's words, 1 for the same;
    `same_facts`: whether numbers, relations and negations agree; `text`: the words that stand there.
    """

    similarity: float
    same_facts: bool
    text: str


def words(text: str) -> list[str]:
    """Return the words, numbers and signs of a text as they are compared.

    >>> words("The p-value is 0.030 (<\\u2009.05), isn’t it?")
    ['the', 'p', 'value', 'is', '0.03', '<', '0.05', 'is', 'not', 'it']
    """
    plain = _BROKEN.sub("", text.replace("\r\n", "\n"))
    plain = re.sub(r"(?<=[a-z])-\s+(?=[a-z])", "", folded(plain).lower())
    plain = re.sub(r"n't\b", " not", plain)
    return [_number(token) if any(map(str.isdigit, token)) else token for token in _TOKEN.findall(plain)]


def _number(token: str) -> str:
    """Return a number in its shortest form: 1,250.50 is 1250.5, .5 is 0.5."""
    sign = "-" if token.startswith("-") else ""
    percent = "%" if token.endswith("%") else ""
    whole, _, part = token.strip("-%").replace(",", "").partition(".")
    part = part.rstrip("0")
    return f"{sign}{whole.lstrip('0') or '0'}{'.' + part if part else ''}{percent}"


def pieces(quote: str) -> list[str]:
    """Return the parts of a quotation between marks of omission."""
    return [piece for piece in _ELLIPSIS.split(quote) if words(piece)]


def place(quote: str, text: Sequence[str]) -> Place:
    """Return where a quotation, or its parts in order, stands best in a text's `words`.

    Of several parts: the least similarity, and the same facts only where all have them.
    """
    found = []
    start = 0
    for piece in pieces(quote):
        wanted = words(piece)[:MOST_WORDS]
        similarity, begin, end = window(wanted, text[start:])
        there = text[start + begin : start + end]
        found.append(Place(similarity, _facts(wanted) == _facts(there), " ".join(there)))
        start += end
    if not found:
        return Place(0.0, False, "")
    return Place(
        min(p.similarity for p in found), all(p.same_facts for p in found), " ... ".join(p.text for p in found)
    )


def _facts(found: Sequence[str]) -> list[str]:
    return [w for w in found if w[-1].isdigit() or w[-1] == "%" or w in _RELATIONS or w in _NEGATIONS]


def window(quote: Sequence[str], text: Sequence[str]) -> tuple[float, int, int]:
    """Return (similarity, start, end) of the stretch of the text that is nearest to the quotation, the first of
    several.

    The distance is that of Levenshtein in words; its start and end in the text are free (Sellers 1980, "The theory and
    computation of evolutionary distances: pattern recognition"). Memory is one row of the text's length.
    """
    if not quote or not text:
        return 0.0, 0, 0
    known: dict[str, int] = {}
    wanted = np.array([known.setdefault(word, len(known)) for word in quote])
    there = np.array([known.get(word, -1) for word in text])
    last = _distances(wanted, there)
    end = int(last[1:].argmin()) + 1
    distance = int(last[end])
    # The start: the end of the best match of both reversed, among those that end where the first one did.
    backward = _distances(wanted[::-1], there[:end][::-1], anchored=True)
    start = end - (int(backward[1:].argmin()) + 1)
    return max(0.0, 1.0 - distance / len(quote)), start, end


def _distances(quote: Ids, text: Ids, anchored: bool = False) -> Ids:
    """Return the int64 (len(text) + 1,): the distance of the quotation from the nearest stretch that ends there.

    `anchored`: the stretch begins at the text's start.
    """
    steps = np.arange(len(text) + 1)
    row = steps.copy() if anchored else np.zeros(len(text) + 1, dtype=np.int64)
    for i, word in enumerate(quote.tolist(), start=1):
        best = np.empty_like(row)
        best[0] = i
        best[1:] = np.minimum(row[:-1] + (text != word), row[1:] + 1)
        row = np.minimum.accumulate(best - steps) + steps  # a word more in the text costs 1
    return row
