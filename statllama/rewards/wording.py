"""Answers in words: equal except for spelling, articles and punctuation, and never the opposite."""

from __future__ import annotations

import re
import unicodedata
from difflib import SequenceMatcher

from statllama.rewards.quantities import close

_FILLERS = frozenset({
    "a", "an", "the", "of", "is", "are", "was", "were", "be", "been", "it", "its", "this", "that", "these",
    "those", "to", "in", "on", "for", "by", "as", "at", "we", "there", "and", "so", "then", "will", "has",
    "have", "had", "do", "does", "did",
})  # fmt: skip
_WORD = re.compile(r"-?\d+(?:,\d{3})+(?:\.\d+)?|-?\d*\.?\d+|[^\W\d_]+|[<>≤≥≠±+*]")
_RELATIONS = {"<=": "≤", ">=": "≥", "!=": "≠", "\\leq": "≤", "\\geq": "≥", "\\neq": "≠", "\\le": "≤", "\\ge": "≥",
              "\\ne": "≠"}  # fmt: skip
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")
_NEGATED = re.compile(r"n['’]t\b")
_SAME_WORD = 0.85
MOST_WORDS = 200


def words(text: str) -> list[str]:
    """Return the words, numbers and relations of a text in lower case, without punctuation; `don't` becomes `do not`.

    >>> words("We don't reject H0; mean >= median.")
    ['we', 'do', 'not', 'reject', 'h', '0', 'mean', '≥', 'median']
    """
    text = (
        unicodedata.normalize("NFKC", re.sub(r"\*\*|(?<!\w)\*(?=\w)|(?<=\w)\*(?!\w)", "", text))
        .replace("−", "-")
        .casefold()
    )
    for written, relation in _RELATIONS.items():
        text = text.replace(written, relation)
    text = re.sub(r"\bcan['’]t\b", "can not", text).replace("cannot", "can not")
    text = re.sub(r"(?<=\w)-(?=\w)", " ", _NEGATED.sub(" not", text))
    return _WORD.findall(text)


def alike(reply: str, reference: str, least: float, rtol: float, atol: float) -> bool:
    """Return True when two texts say the same in nearly the same words.

    Their likeness (100 times difflib's ratio over the words that carry meaning) is at least `least`; their numbers
    agree one by one within the tolerances, whole numbers (a year, a count) exactly; and each word has nearly the
    spelling of the word at its place in the other text, beginning with the same two letters. That last rule is what
    tells `Type I` from `Type II`, `dependent` from `independent`, `increases` from `decreases` and `significant` from
    `not significant`, all of which are likelier spellings of one another than many a right answer.

    >>> alike("positive linear assocation", "A positive, linear association", 85, 1e-2, 1e-4)
    True
    >>> alike("negative linear association", "positive linear association", 85, 1e-2, 1e-4)
    False
    """
    one, other = words(reply), words(reference)
    if one == other:
        return True
    if not (0 < len(one) <= MOST_WORDS and 0 < len(other) <= MOST_WORDS):
        return False
    numbers = [[w.replace(",", "") for w in text if _NUMBER.fullmatch(w)] for text in (one, other)]
    if len(numbers[0]) != len(numbers[1]):
        return False
    if not all(_same_number(got, wanted, rtol, atol) for got, wanted in zip(*numbers, strict=True)):
        return False
    telling = [[w for w in text if w not in _FILLERS and not _NUMBER.fullmatch(w)] for text in (one, other)]
    if telling[0] == telling[1]:
        return bool(telling[0]) or one == other
    ratio = SequenceMatcher(None, " ".join(telling[0]), " ".join(telling[1]), autojunk=False).ratio()
    return 100 * ratio >= least and _same_words(*telling)


def _same_number(got: str, wanted: str, rtol: float, atol: float) -> bool:
    if "." in got or "." in wanted:
        return close(float(got), float(wanted), rtol, atol)
    return int(got) == int(wanted)


def _same_words(some: list[str], others: list[str]) -> bool:
    pairs = zip(some, others, strict=False)
    return len(some) == len(others) and all(word == other or _same_word(word, other) for word, other in pairs)


def _same_word(one: str, other: str) -> bool:
    """Return the spellings of one word; short ones have to be equal."""
    if min(len(one), len(other)) <= 3 or one[:2] != other[:2]:
        return False
    return SequenceMatcher(None, one, other, autojunk=False).ratio() >= _SAME_WORD
