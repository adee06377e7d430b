"""Which rows are held out: the same ones every time, and none that the training rows give away.

Rows that ask the same (folded, see `data/folding.py`) or nearly the same (MinHash of word 5-grams) are one cluster and
stay together. Clusters are drawn in the order of a hash of their question, so the draw depends on neither the order of
the files nor a random generator. Then the rest is searched, as `data check` searches it, for copies of the held-out
questions and for rows that strongly resemble one: such a question goes back to training and the next one is drawn. A
round searches all rows for the questions that are new to it, and those that came back for the others; the last one all
rows for all questions.
Where that would leave less than half of the questions, the rows that copy them leave training instead, if they are few.
Of rows that are all alike nothing can be held out.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from statllama.data.contamination import Question, Questions, plain
from statllama.data.duplicates import Duplicates
from statllama.data.folding import folded
from statllama.data.ngrams import words
from statllama.data.suspects import STRONG, Resembling
from statllama.runs.init.survey import Unit
from statllama.store.files import temporary_folder

FEWEST = 10
"""Clusters below which nothing is held out: the rows are too few to spare some."""
SHARE, LARGE = 0.2, 0.1
"""Share of the clusters that is held out: of up to 500, and at least of more."""
MOST = 200
"""Items of a benchmark that `init` makes unless told otherwise."""
ROUNDS = 6
"""Draws of other questions for those that training rows give away. After them, such questions just go."""
LARGEST = 0.05
"""Share of all rows above which a cluster, or the copies of held-out questions, are too many to lose from training."""
BATCH = 256
"""Rows that are searched at once."""

Form = str
Text = Callable[[Unit], str]
Forms = Callable[[Unit], Form | None]
"""The benchmark form that a row could be an item of; None for none."""
Progress = Callable[[int, int], None]
"""Takes how many rows are done, and of how many."""


@dataclass(frozen=True)
class Split:
    """Each row is in exactly one of these, by its number among all."""

    train: tuple[int, ...]
    items: Mapping[Form, tuple[int, ...]]
    """The rows that a benchmark asks, by its form: one of a cluster."""
    beside: tuple[int, ...]
    """The other rows of their clusters: kept out of training too."""
    left_out: Mapping[int, str]
    """{row: why it is used for nothing}: it repeats another word for word, or copies a held-out question."""
    suspected: int = 0
    """Held-out questions that a training row strongly resembles all the same."""

    @property
    def held_out(self) -> tuple[int, ...]:
        """Return all rows that are kept out of training to be asked, in order."""
        return tuple(sorted([*(row for rows in self.items.values() for row in rows), *self.beside]))


def wanted_items(clusters: int, asked: int | None = None) -> int:
    """Return the number of clusters to hold out of so many. `asked`: the user's number, at most half of them.

    >>> [wanted_items(n) for n in (3, 10, 100, 1000, 50_000)]
    [0, 2, 20, 100, 200]
    """
    if asked is not None:
        return min(asked, clusters // 2)
    if clusters < FEWEST:
        return 0
    return min(MOST, max(round(min(clusters, 500) * SHARE), round(clusters * LARGE)))


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
    left_out, texts = _repeats(units), [text_of(unit) for unit in units]
    alive = [row for row in range(len(units)) if row not in left_out]
    clusters = _clusters(units, alive)
    members: dict[int, list[int]] = defaultdict(list)
    for row in alive:
        members[clusters[row]].append(row)
    waiting = _candidates(units, members, form_of)
    chosen: dict[Form, list[int]] = {}  # clusters
    for form, found in waiting.items():
        number = wanted_items(len(found), asked)
        chosen[form], waiting[form] = found[:number], found[number:]
    representative = {
        cluster: next(row for row in rows if form_of(units[row]) is not None)
        for cluster, rows in members.items()
        if any(form_of(units[row]) is not None for row in rows)
    }
    suspected, least = 0, sum(map(len, chosen.values())) / 2
    kept: set[int] = set()  # clusters that were searched for, and not found
    back: set[int] = set()  # rows that those have not been searched for in
    for attempt in count():
        taken = {cluster for found in chosen.values() for cluster in found}
        rest = [row for row in alive if clusters[row] not in taken]
        searches = (
            ([representative[cluster] for cluster in sorted(taken - kept)], rest),
            ([representative[cluster] for cluster in sorted(kept)], [row for row in rest if row in back]),
        )
        copies, resembled = _given_away(texts, units, searches, progress)
        known = {clusters[row] for row in (*copies.values(), *resembled)}
        left = len(taken) - (len(known) if attempt >= ROUNDS else 0)
        if not known or (left < least and len(copies) <= LARGEST * len(alive)):
            if kept:  # a word weighs what it weighs among these questions: once more, for all of them in all rows
                kept, back = set(), set()
                continue
            left_out |= {row: f"copies a held-out question: {units[of].where}" for row, of in copies.items()}
            suspected = len(resembled)
            break
        kept, back = taken - known, {*copies, *(row for cluster in known for row in members[cluster])}
        for form, found in chosen.items():
            stay = [cluster for cluster in found if cluster not in known]
            lost = len(found) - len(stay) if attempt < ROUNDS else 0
            chosen[form], waiting[form] = stay + waiting[form][:lost], waiting[form][lost:]
    return _result(units, members, representative, chosen, left_out, suspected)


def _result(
    units: Sequence[Unit],
    members: Mapping[int, Sequence[int]],
    representative: Mapping[int, int],
    chosen: Mapping[Form, Sequence[int]],
    left_out: Mapping[int, str],
    suspected: int,
) -> Split:
    items = {form: tuple(sorted(representative[c] for c in found)) for form, found in chosen.items() if found}
    asked = {row for rows in items.values() for row in rows}
    taken = {row for found in chosen.values() for cluster in found for row in members[cluster]}
    gone = taken | set(left_out)
    train = tuple(row for row in range(len(units)) if row not in gone)
    return Split(train, items, tuple(sorted(taken - asked)), dict(left_out), suspected)


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


def _key(text: str) -> str:
    return " ".join(words(plain(text).lower())) or text.strip()


def _clusters(units: Sequence[Unit], rows: Sequence[int]) -> dict[int, int]:
    """Return {row: its cluster}: rows whose questions are the same, or nearly."""
    root = {row: row for row in rows}

    def find(row: int) -> int:
        while root[row] != row:
            root[row] = row = root[root[row]]
        return row

    same: dict[str, int] = {}
    with temporary_folder() as folder:
        with (near := Duplicates("near", folder)):
            for row in rows:
                question = units[row].stem or units[row].question
                root[find(row)] = find(same.setdefault(_key(question), row))
                near.add(plain(question))
        for pair in near.find():
            root[find(rows[pair.row])] = find(rows[pair.of])
    return {row: find(row) for row in rows}


def _candidates(units: Sequence[Unit], members: Mapping[int, Sequence[int]], form_of: Forms) -> dict[Form, list[int]]:
    """Return the clusters that each form could draw, in the order of the draw."""
    largest = max(1.0, LARGEST * len(units))
    found: dict[Form, list[tuple[str, int]]] = defaultdict(list)
    for cluster, rows in members.items():
        able = [row for row in rows if form_of(units[row]) is not None]
        if able and len(rows) <= largest:
            form = form_of(units[able[0]])
            assert form is not None
            drawn = hashlib.sha256(_key(min(units[row].question for row in rows)).encode()).hexdigest()
            found[form].append((drawn, cluster))
    return {form: [cluster for _, cluster in sorted(pairs)] for form, pairs in sorted(found.items())}


def _given_away(
    texts: Sequence[str],
    units: Sequence[Unit],
    searches: Sequence[tuple[Sequence[int], Sequence[int]]],
    progress: Progress | None,
) -> tuple[dict[int, int], set[int]]:
    """Return {training row: the held-out row that it copies}, and the held-out rows that training rows resemble.

    `searches`: held-out rows, and the training rows that are searched for them.
    """
    asked = [row for wanted, _ in searches for row in wanted]
    number = {row: i for i, row in enumerate(asked)}
    questions = [Question("init", i, texts[row]) for row, i in number.items()]
    resembling = Resembling(questions)
    copies: dict[int, int] = {}
    resembled: set[int] = set()
    done, total = 0, sum(len(rows) for wanted, rows in searches if wanted)
    for wanted, rows in searches:
        if not wanted:
            continue
        index, unseen = Questions([questions[number[row]] for row in wanted]), {number[row] for row in wanted}
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            said_as = [(str(row), plain(units[row].text)) for row in batch]
            split_ = [words(text) for _, text in said_as]
            hits = index.search_words(said_as, split_)
            copies |= {row: asked[hit.question.number] for row, hit in zip(batch, hits, strict=True) if hit}
            found = resembling.reached([split_[i] for i, hit in enumerate(hits) if hit is None], unseen, STRONG)
            unseen -= found
            resembled |= {asked[i] for i in found}
            done += len(batch)
            if progress is not None:
                progress(done, total)
    return copies, resembled
