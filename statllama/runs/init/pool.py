"""The questions that could be held out, and which of them are: draws from it are the same whatever the rows' order.

Questions that are alone in their kind (see `kinds.py`) come first, in the order of a hash of their text. Where they do
not suffice, whole kinds follow, the smaller ones first, and the questions are spread over them.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from statllama.runs.init.kinds import find_questions, question_key
from statllama.runs.init.survey import Unit

FEWEST = 10
"""Questions below which nothing is held out: the rows are too few to spare some."""
SHARE, LARGE = 0.2, 0.1
"""Share of the questions that is held out: of up to 500, and at least of more."""
MOST = 200
"""Items of a benchmark that `init` makes unless told otherwise."""
LARGEST = 0.05
"""Share of all rows above which those of one question, of one kind, or documents that hold questions are many to lose
from training."""
SPARED = 0.2
"""Share of all rows that whole kinds may take from training, unless the user asked for a larger share."""
SPREAD = 20
"""Kinds that the questions of whole kinds are spread over, where there are so many."""

Form = str
Forms = Callable[[Unit], Form | None]
"""The benchmark form that a row could be an item of; None for none."""


@dataclass(frozen=True)
class Chosen:
    """A draw: the rows that are asked, by form, in the order of the draw, and all rows that training must not see."""

    items: Mapping[Form, Sequence[int]]
    held: frozenset[int]

    @property
    def asked(self) -> list[int]:
        """Return the rows that are asked."""
        return [row for rows in self.items.values() for row in rows]


@dataclass(frozen=True)
class _Kind:
    """`questions`: those that can be asked, in the order of the draw; `alone`: its rows are all of one question."""

    questions: Sequence[int]
    rows: Sequence[int]
    alone: bool


def wanted_items(questions: int, asked: int | None = None) -> int:
    """Return the number of questions to hold out of so many. `asked`: the user's number, at most half of them.

    >>> [wanted_items(n) for n in (3, 10, 100, 1000, 50_000)]
    [0, 2, 20, 100, 200]
    """
    if asked is not None:
        return min(asked, questions // 2)
    if questions < FEWEST:
        return 0
    return min(MOST, max(round(min(questions, 500) * SHARE), round(questions * LARGE)))


class Pool:
    """All rows but repeats, by their questions and kinds."""

    def __init__(self, units: Sequence[Unit], rows: Sequence[int], form_of: Forms, asked: int | None) -> None:
        self.rows = rows
        self._largest = max(1.0, LARGEST * len(units))
        self._question, self._kinds = find_questions(units, rows, self._largest)
        forms = {row: form_of(units[row]) for row in rows}
        self._documents = {row for row in rows if units[row].use == "cpt" and forms[row] is None}
        members: dict[int, list[int]] = defaultdict(list)
        for row in rows:
            members[self._question[row]].append(row)
        drawn: list[tuple[str, int]] = []
        self._items: dict[int, tuple[Form, int]] = {}  # question -> its form and the row that is asked
        for question, found in members.items():
            able = [(row, form) for row in found if (form := forms[row])]
            if able and len(found) <= self._largest:
                row, form = min(able, key=lambda each: (units[each[0]].question, each[0]))
                self._items[question] = (form, row)
                text = question_key(min(units[row].question for row in found))
                drawn.append((hashlib.sha256(text.encode()).hexdigest(), question))
        self._order = [question for _, question in sorted(drawn)]
        counts = Counter(form for form, _ in self._items.values())
        self.wanted = {form: wanted_items(number, asked) for form, number in sorted(counts.items())}
        asked_for = sum(self.wanted.values()) * len(rows) / max(1, len(self._items))
        self._most = max(SPARED * len(rows), asked_for)
        self._barred: set[int] = set()  # questions that are asked no more
        self.holding: set[int] = set()
        """Documents in which a question that was drawn was found."""
        self.gone: frozenset[int] = frozenset()
        """Documents that are out of training, so that the questions in them can be asked."""

    def choose(self) -> Chosen:
        """Return the draw by all that is known of the kinds."""
        taken = self._taken()
        items: dict[Form, list[int]] = {}
        for form, wanted in self.wanted.items():
            ranked = [  # first of each kind its first question, then its second
                (rank, place, row)
                for place, kind in enumerate(taken)
                for rank, row in enumerate(self._rows_of(kind, form))
            ]
            if asked := [row for _, _, row in sorted(ranked)[:wanted]]:
                items[form] = asked
        held = {self._kinds.find(row) for rows in items.values() for row in rows}
        return Chosen(items, frozenset(row for row in self.rows if self._kinds.find(row) in held))

    def link(self, row: int, item: int) -> None:
        """Take down that a training row gives away the held-out `item`."""
        if row in self._documents:
            self.holding.add(row)
            self._barred.add(self._question[item])
        else:
            self._kinds.unite(row, item)

    def linked(self, row: int, item: int) -> bool:
        """Return whether that is known."""
        if row in self._documents:
            return self._question[item] in self._barred
        return self._kinds.find(row) == self._kinds.find(item)

    def keep(self, items: Sequence[int]) -> None:
        """Draw no other questions than these from now on."""
        self._barred = set(self._items) - {self._question[row] for row in items}

    def spare_documents(self, chosen: Chosen) -> bool:
        """Take documents that hold questions out of training, where less than half of the questions can be held out
        else and such documents are few. Return whether that is so, for the first time.
        """
        short = 2 * len(chosen.asked) < sum(self.wanted.values())
        if self.gone or not self.holding or not short or len(self.holding) > LARGEST * len(self.rows):
            return False
        self.gone, self._barred = frozenset(self.holding), set()
        return True

    def kind_rows(self, chosen: Chosen) -> int:
        """Return the number of all rows of those kinds."""
        return sum(len(kind.rows) for kind in self._all_kinds() if not kind.alone and kind.rows[0] in chosen.held)

    def kinds_of(self, chosen: Chosen) -> dict[int, int]:
        """Return {row that is asked: its kind, from 0}, of those in whose kind there are other questions."""
        of = {row: kind.rows[0] for kind in self._all_kinds() if not kind.alone for row in kind.rows}
        number: dict[int, int] = {}
        return {row: number.setdefault(of[row], len(number)) for row in sorted(chosen.asked) if row in of}

    def more(self, chosen: Chosen) -> int | None:
        """Return the number of questions to ask for, so that one more kind may be held out; None where none would."""
        kinds = [kind for kind in self._all_kinds() if not kind.alone]
        spent = sum(len(kind.rows) for kind in kinds if kind.rows[0] in chosen.held)
        others = [
            len(kind.rows)
            for kind in kinds
            if kind.rows[0] not in chosen.held and any(self._worth(kind, form) for form in self.wanted)
        ]
        number = -(-(spent + min(others, default=0)) * len(self._items) // max(1, len(self.rows)))
        return number if others and number <= len(self._items) // 2 else None

    def _all_kinds(self) -> list[_Kind]:
        rows: dict[int, list[int]] = defaultdict(list)
        questions: dict[int, list[int]] = {}
        for row in self.rows:
            rows[self._kinds.find(row)].append(row)
        for question in self._order:
            if question not in self._barred:
                questions.setdefault(self._kinds.find(self._items[question][1]), []).append(question)
        return [
            _Kind(found, rows[kind], len({self._question[row] for row in rows[kind]}) == 1)
            for kind, found in questions.items()
        ]

    def _taken(self) -> list[_Kind]:
        """Return the kinds that are held out, in the order of the draw."""
        kinds = sorted(self._all_kinds(), key=lambda kind: 0 if kind.alone else len(kind.rows).bit_length())
        got: Counter[Form] = Counter()
        taken, spent = [], 0
        for kind in kinds:
            counts = Counter(self._items[question][0] for question in kind.questions)
            short = [form for form in counts if got[form] < self.wanted[form]]
            if not kind.alone:
                if len(kind.rows) > self._largest:
                    short = [form for form in short if 2 * got[form] < self.wanted[form] and self._worth(kind, form)]
                if spent + len(kind.rows) > self._most:
                    continue
            if not short:
                continue
            spent += 0 if kind.alone else len(kind.rows)
            for form, number in counts.items():
                got[form] += min(number, -(-self.wanted[form] // SPREAD))
            taken.append(kind)
        return taken

    def _worth(self, kind: _Kind, form: Form) -> bool:
        """Return whether a kind of many rows has questions enough to be lost from training."""
        return len(self._rows_of(kind, form)) >= min(FEWEST, self.wanted[form] / 2)

    def _rows_of(self, kind: _Kind, form: Form) -> list[int]:
        found = (self._items[question] for question in kind.questions)
        return [row for of, row in found if of == form]
