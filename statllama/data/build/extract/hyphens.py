"""Words that a line end has cut in two."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_CUT = re.compile(r"([^\W\d_]+)([-\u00ad\u2010])$")
_TIGHT = re.compile(r"\S[-\u2010/]$")  # no minus sign between spaces
_FIRST = re.compile(r"[^\W\d_]+")
_SHORTEST = 3  # letters of a half that counts as a word by itself: `re`, `in` and `de` begin many words


def words_of(lines: Iterable[str]) -> frozenset[str]:
    """Return the words of lines in lower case, with the compounds that stand within a line (`well-known`) and their
    parts; the halves of a cut word are not among them.
    """
    words = set[str]()
    cut = False
    for line in lines:
        line = line.strip()
        found = [word.lower() for word in _WORD.findall(line)]
        if cut and line[:1].isalpha():
            del found[:1]
        cut = _CUT.search(line) is not None
        if cut:
            del found[-1:]
        words.update(found)
        words.update(part for word in found if "-" in word for part in word.split("-"))
    return frozenset(words)


def joined(first: str, second: str, words: Collection[str]) -> str:
    """Return two lines of one paragraph as one.

    A hyphen at the end of `first` is the line's own and goes away, unless the document (its `words`) writes the
    compound with it, or knows both halves as words and not the whole. Before a capital or a digit it stays.

    >>> joined("the esti-", "mator of a", {"the", "estimator"}), joined("a well-", "known", {"well", "known"})
    ('the estimator of a', 'a well-known')
    """
    first, second = first.rstrip(), second.lstrip()
    cut, after = _CUT.search(first), _FIRST.match(second)
    if cut is None or after is None:
        tight = _TIGHT.search(first) is not None and second[:1].isalnum()
        return first + second if tight else f"{first} {second}".strip()
    left, right, before = cut[1].lower(), after[0].lower(), first[: cut.start(2)]
    if cut[2] == "\u00ad":  # a soft hyphen says itself that it is the line's
        return before + second
    if after[0][0].isupper() and not cut[1].isupper():
        return f"{before}-{second}"
    compound = f"{left}-{right}" in words or (
        min(len(left), len(right)) >= _SHORTEST and left in words and right in words
    )
    return f"{before}-{second}" if compound and left + right not in words else before + second
