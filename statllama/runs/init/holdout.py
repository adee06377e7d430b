"""Which rows are held out: the same ones every time, and none that the training rows give away.

Questions are drawn (see `pool.py`). Then the rest is searched, as `data check` searches it, for copies of the held-out
questions and for rows that strongly resemble one. Such a row and the question are of one kind from then on (see
`kinds.py`), and the draw is made again: of questions that are alone in their kind, or of whole kinds. The last search
is of all training rows for all held-out questions: it finds nothing, and so will a run.

A document that holds a question is no question itself: another one is drawn. Only where less than half of the questions
could be held out so do such documents leave training, if they are few.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, count

from statllama.data.contamination import Question, Questions, plain
from statllama.data.folding import folded
from statllama.data.ngrams import words
from statllama.data.suspects import STRONG, Resembling
from statllama.runs.init.pool import Form, Forms, Pool
from statllama.runs.init.survey import Unit

ROUNDS = 6
"""Draws of other questions for those that training rows give away. After them, such questions just go."""
BATCH = 256
"""Rows that are searched at once."""

Text = Callable[[Unit], str]
Progress = Callable[[int, int], None]
"""Takes how many rows are done, and of how many."""


@dataclass(frozen=True)
class Split:
    """Each row is in exactly one of these, by its number among all."""

    train: tuple[int, ...]
    items: Mapping[Form, tuple[int, ...]]
    """The rows that a benchmark asks, by its form: one of a question."""
    beside: tuple[int, ...]
    """The other rows of their questions and kinds: kept out of training too."""
    left_out: Mapping[int, str]
    """{row: why it is used for nothing}: it repeats another word for word, or holds a held-out question."""
    wanted: Mapping[Form, int] = field(default_factory=dict)
    """The number of items that a benchmark of each form should have."""
    kinds: Mapping[int, int] = field(default_factory=dict)
    """{row that is asked: its kind, from 0}, where the kind has other questions too and is held out whole."""
    kind_rows: int = 0
    """All rows of those kinds."""
    more: int | None = None
    """Number of questions to ask for, so that one more kind may be held out; None where none would."""

    @property
    def short(self) -> bool:
        """Return whether less than half of the questions that should be asked could be held out."""
        return 2 * sum(map(len, self.items.values())) < sum(self.wanted.values())

    @property
    def held_out(self) -> tuple[int, ...]:
        """Return all rows that are kept out of training to be asked, in order."""
        return tuple(sorted([*(row for rows in self.items.values() for row in rows), *self.beside]))


def split(
    units: Sequence[Unit],
    form_of: Forms,
    text_of: Text,
    asked: int | None = None,
    progress: Progress | None = None,
) -> Split:
    """Return the split of all rows.

    `form_of`: which benchmark a row could be an item of. `text_of`: what training rows are searched for when it is held
    out. `asked`: number of items of each benchmark; None: see `wanted_items`. `progress`: told of rows searched.
    """
    left_out = _repeats(units)
    pool = Pool(units, [row for row in range(len(units)) if row not in left_out], form_of, asked)
    search = _Search(units, text_of, pool, progress)
    for attempt in count():
        chosen = pool.choose()
        rest = [row for row in pool.rows if row not in chosen.held and row not in pool.gone]
        found = search.find(chosen.asked, rest)
        if attempt >= ROUNDS:
            given = {item for _, item in found}
            pool.keep([item for item in chosen.asked if item not in given])
        if not found and not pool.spare_documents(chosen):
            break
    kinds, kind_rows, more = pool.kinds_of(chosen), pool.kind_rows(chosen), pool.more(chosen)
    holding = _Search(units, text_of, pool, None).find(chosen.asked, sorted(pool.gone))
    left_out |= {row: f"holds a held-out question: {units[item].where}" for row, item in holding}
    gone = chosen.held | set(left_out)
    train = tuple(row for row in range(len(units)) if row not in gone)
    items = {form: tuple(sorted(rows)) for form, rows in chosen.items.items()}
    beside = tuple(sorted(chosen.held.difference(chosen.asked)))
    return Split(train, items, beside, left_out, pool.wanted, kinds, kind_rows, more)


def _repeats(units: Sequence[Unit]) -> dict[int, str]:
    """Return {row: why} of rows whose whole text is that of an earlier one of the same use."""
    first: dict[tuple[str, str], int] = {}
    found = {}
    for row, unit in enumerate(units):
        marks = [getattr(unit.example, name, "") for name in ("label", "tools")]
        of = first.setdefault((unit.use, f"{' '.join(folded(unit.text).split())} {marks}"), row)
        if of != row:
            found[row] = f"repeats {units[of].where}"
    return found


@dataclass
class _Search:
    """Searches training rows for held-out questions, and links in `pool` those that give one away."""

    units: Sequence[Unit]
    text_of: Text
    pool: Pool
    progress: Progress | None
    clean: set[int] = field(default_factory=set)
    """Items that no row of `seen` resembles, as the words weighed when they were compared."""
    seen: set[int] = field(default_factory=set)

    def find(self, items: Sequence[int], rows: Sequence[int]) -> list[tuple[int, int]]:
        """Return the pairs that were not known: (row, item that it copies or strongly resembles).

        A word weighs what it weighs among these items, so pairs that were compared among others are compared again
        before nothing is found.
        """
        found = self._find(items, rows)
        given = {item for _, item in found}
        again = bool(self.clean.intersection(items)) and not found
        self.seen = set() if again else self.seen.intersection(rows) if self.clean else set(rows)
        self.clean = set() if again else set(items) - given
        return self.find(items, rows) if again else found

    def _find(self, items: Sequence[int], rows: Sequence[int]) -> list[tuple[int, int]]:
        questions = [Question("init", number, self.text_of(self.units[item])) for number, item in enumerate(items)]
        index, resembling = Questions(questions), Resembling(questions)
        found: list[tuple[int, int]] = []
        for start in range(0, len(rows) if items else 0, BATCH):
            batch = rows[start : start + BATCH]
            said_as = [(str(row), plain(self.units[row].text)) for row in batch]
            split_ = [words(text) for _, text in said_as]
            copies = enumerate(index.search_words(said_as, split_))
            for i, number in chain(
                ((i, copy.question.number) for i, copy in copies if copy),
                resembling.resembled(split_, STRONG, partial(self._known, batch, items)),
            ):
                self.pool.link(batch[i], items[number])
                found.append((batch[i], items[number]))
            if self.progress is not None:
                self.progress(min(start + BATCH, len(rows)), len(rows))
        return found

    def _known(self, rows: Sequence[int], items: Sequence[int], i: int, number: int) -> bool:
        row, item = rows[i], items[number]
        return (item in self.clean and row in self.seen) or self.pool.linked(row, item)
