"""Rows that are alike: those of one question, and those of one kind of question.

Rows of one question ask the same (folded, see `data/folding.py`) or nearly the same (MinHash of word 5-grams), and a
benchmark asks one of them. Where nearly the same are more rows than training can spare, as of one long text with
another number in each row, only the very same are one question.

Questions are of one kind where one gives the other away: they are the same but for numbers and names, or the search for
held-out questions found one in the row of the other, or much like it. Kinds grow as such pairs are found.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from statllama.data.contamination import MASKED_WORDS, SHORTEST_MASKED, plain
from statllama.data.duplicates import Duplicates
from statllama.data.ngrams import collapse, lowercase_words, masked_words, words
from statllama.runs.init.survey import Unit
from statllama.store.files import temporary_folder


class Sets:
    """Rows in sets that only grow."""

    def __init__(self, rows: Sequence[int]) -> None:
        self._parent = {row: row for row in rows}

    def find(self, row: int) -> int:
        """Return the row that stands for the set of this one."""
        parent = self._parent
        while parent[row] != row:
            parent[row] = row = parent[parent[row]]
        return row

    def unite(self, a: int, b: int) -> None:
        """Make one set of both rows' sets."""
        self._parent[self.find(a)] = self.find(b)

    def unite_alike(self, rows: Sequence[int], key: Callable[[int], object]) -> None:
        """Make a set of all rows of one key; rows whose key is None stay as they are."""
        first: dict[object, int] = {}
        for row in rows:
            if (mark := key(row)) is not None:
                self.unite(row, first.setdefault(mark, row))


def asked(unit: Unit) -> str:
    """Return the question that a row is told from others by: of a quiz without its choices."""
    return unit.stem or unit.question


def question_key(text: str) -> str:
    """Return the same text for questions that are the same."""
    return " ".join(words(plain(text).lower())) or text.strip()


def find_questions(units: Sequence[Unit], rows: Sequence[int], largest: float) -> tuple[dict[int, int], Sets]:
    """Return {row: its question, as the number of one of its rows}, and the rows in kinds.

    `largest`: rows above which only those that ask the very same are one question.
    """
    same, near = Sets(rows), Sets(rows)
    same.unite_alike(rows, lambda row: hashlib.sha256(question_key(asked(units[row])).encode()).digest())
    with temporary_folder() as folder:
        with (repeats := Duplicates("near", folder)):
            for row in rows:
                repeats.add(plain(asked(units[row])))
        for pair in repeats.find():
            near.unite(rows[pair.row], rows[pair.of])
    for row in rows:
        near.unite(row, same.find(row))
    sizes = Counter(near.find(row) for row in rows)
    question = {row: same.find(row) if sizes[near.find(row)] > largest else near.find(row) for row in rows}
    near.unite_alike(rows, _masks(units, rows).get)
    return question, near


def _masks(units: Sequence[Unit], rows: Sequence[int]) -> Mapping[int, bytes]:
    """Return {row: the same bytes for questions that are the same but for numbers and names}, as the search compares
    them: those of a few words are not.
    """
    known = {word for row in rows for word in lowercase_words(words(plain(asked(units[row]))))}
    ids, found = masked_words(known), {}
    for row in rows:
        said = words(plain(asked(units[row])))
        masked = collapse(ids.ids(said))[0]
        if len(said) >= SHORTEST_MASKED and len(masked) >= MASKED_WORDS:
            found[row] = hashlib.sha256(masked.tobytes()).digest()
    return found
