"""Finds rows that may ask a benchmark question in other words: suspects, for a person or a model to judge.

A question is compared with every stretch of a row of about its length, wherever it is, as vectors of words weighted by
log TF times IDF. Numbers have no weight, and a word is its first five letters. The cosine is multiplied by
k / (k + 8), k the number of different words with a meaning of their own that both share: two short questions on one
topic share most of the few words that they have.

Nothing is left out because of it: of two problems on one topic a reader has to say whether they are the same. Problems
of one template resemble each other by construction, so a question has its nearest rows and a count, not a list of all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from statllama.data.contamination import Question, plain
from statllama.data.ngrams import Ids, WordIds, is_number, word_spans, words

Floats = npt.NDArray[np.float64]

SUSPECT = 0.26
"""Least similarity of a suspect. 23 of 24 rewordings by hand reach it (`tests/data/rewordings.jsonl`). Of 1,000 rows of
GSM8K's train split, which are of the same kind, 3 reach it against 200 test questions; 1 % against 800 questions."""
STRONG = 0.35
"""Similarity that none of those 1,000 rows reaches, and 20 of the 24 rewordings do."""
CANDIDATE = 0.4  # least share of a question's weight that a stretch of its size holds, to be looked at closely
SHRINK = 8
STEM = 5  # letters
WIDTHS = (0.8, 1.0, 1.25)  # of a stretch, in lengths of the question
BLOCK = 128  # words that are first looked at together; longer for questions of more than half of it
NEAREST = 3  # rows kept for each question
PASSAGE = 1200  # characters
WEIGHTLESS, UNKNOWN = 0, 1  # ids of a number, and of a word that no question has
_SENTENCE_END = re.compile(r"[.?!](?=\s)|\n")
_COMMON_TEXTS = 100  # that a question is imagined among, of which 70 % hold each common word: few questions say little
_COMMON_SHARE = 0.7
_COMMON = """
a an the of to in on at for from by with as and or but if then than that this these those it its is are was were be been
being have has had do does did not no he she they we you i his her their our your my him them who whom which what when
where how why there here will would can could may might must shall should so up out off over into about after before
between each every all any some more most much many other another one two first same only also per just too very such
both few own while during through
"""


@dataclass(frozen=True)
class Suspect:
    """A row that may ask a question in other words. `similarity`: 0 to 1; `passage`: the text of that stretch."""

    where: str
    similarity: float
    passage: str


@dataclass(frozen=True)
class Suspects:
    """The rows that resemble one question more than any other: their number, and the nearest `NEAREST`."""

    question: Question
    rows: int
    nearest: tuple[Suspect, ...]


@dataclass(frozen=True)
class _Profile:
    """A question: its stems ascending, their weights (of length 1), which are content, and its length in words."""

    stems: Ids
    weights: Floats
    content: npt.NDArray[np.bool_]
    length: int


@dataclass
class _Group:
    rows: int = 0
    nearest: list[Suspect] = field(default_factory=list)

    def add(self, suspect: Suspect) -> None:
        self.rows += 1
        self.nearest = sorted([*self.nearest, suspect], key=lambda s: -s.similarity)[:NEAREST]


class Resembling:
    """An index of questions that collects the rows which resemble them."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = tuple(questions)
        self._groups: dict[int, _Group] = {}
        split = [words(plain(q.text)) for q in self.questions]
        common = {word[:STEM] for word in _COMMON.split()}
        known = sorted({w.lower()[:STEM] for found in split for w in found if not is_number(w)} | common)
        self._ids = _stem_ids(known)
        ids = [self._ids.ids(found) for found in split]
        self._content = np.array([False, False, *(stem not in common for stem in known)])
        self._idf = _idf(ids, self._content)
        self._profiles = [self._profile(found) for found in ids]
        self._classes = self._by_length()

    def add(self, rows: Sequence[tuple[str, str]], split: Sequence[Sequence[str]]) -> None:
        """Take rows: (where, `plain` text) of each, and the words of the texts."""
        for _, i, suspect in self._nearest(rows, split):
            self._groups.setdefault(i, _Group()).add(suspect)

    def nearest(
        self, rows: Sequence[tuple[str, str]], split: Sequence[Sequence[str]]
    ) -> list[tuple[int, Question, Suspect]]:
        """Return (row from 0, question, suspect) of each row that resembles a question, the one that it resembles most.

        Takes what `add` takes, and collects nothing.
        """
        return [(row, self.questions[i], suspect) for row, i, suspect in self._nearest(rows, split)]

    def _nearest(
        self, rows: Sequence[tuple[str, str]], split: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, int, Suspect]]:
        if not rows:  # of a batch whose rows are all copies
            return
        best: dict[int, tuple[float, int, int, int]] = {}
        ids = [self._ids.ids(found) for found in split]
        for size, members, weights in self._classes:
            for row, start, question in _candidates(ids, size, weights):
                i = members[question]
                similarity, first, last = self._similarity(self._profiles[i], ids[row][start : start + size])
                if similarity >= SUSPECT and similarity > best.get(row, (0.0,))[0]:
                    best[row] = (similarity, i, start + first, start + last)
        for row, (similarity, i, first, last) in sorted(best.items()):
            where, text = rows[row]
            yield row, i, Suspect(where, round(similarity, 3), _passage(text, first, last))

    def resembled(
        self,
        split: Sequence[Sequence[str]],
        least: float,
        known: Callable[[int, int], bool],
    ) -> Iterator[tuple[int, int]]:
        """Yield (text, question), by their numbers from 0, where a text resembles a question at least so much.

        `split`: the words of each `plain` text. `known`: pairs that need not be compared; asked again for each pair, so
        what was yielded may count.
        """
        ids = [self._ids.ids(words_) for words_ in split]
        for size, members, weights in self._classes if ids else ():
            for row, start, column in _candidates(ids, size, weights):
                if not known(row, members[column]):
                    i = members[column]
                    similarity, _, _ = self._similarity(self._profiles[i], ids[row][start : start + size])
                    if round(similarity, 3) >= least:
                        yield row, i

    def found(self) -> tuple[Suspects, ...]:
        """Return the questions that rows resemble, the nearest first."""
        groups = [Suspects(self.questions[i], g.rows, tuple(g.nearest)) for i, g in sorted(self._groups.items())]
        return tuple(sorted(groups, key=lambda group: -group.nearest[0].similarity))

    def _profile(self, ids: Ids) -> _Profile:
        stems, counts = np.unique(ids[ids > UNKNOWN], return_counts=True)
        weights = (1 + np.log(counts)) * self._idf[stems]
        return _Profile(stems, weights / (np.linalg.norm(weights) or 1.0), self._content[stems], len(ids))

    def _by_length(self) -> list[tuple[int, list[int], Any]]:
        """Return (words of a block, questions, sparse (stems, questions)) for each class of lengths: of a question's
        content, the share that each stem is.
        """
        from scipy import sparse

        classes: dict[int, list[int]] = {}
        for i, profile in enumerate(self._profiles):
            if profile.content.any():
                size = max(BLOCK, 1 << int(2 * profile.length - 1).bit_length())
                classes.setdefault(size, []).append(i)
        found = []
        for size, members in sorted(classes.items()):
            stems = [self._profiles[i].stems[self._profiles[i].content] for i in members]
            shares = [self._idf[held] / self._idf[held].sum() for held in stems]
            columns = np.repeat(np.arange(len(members)), [len(held) for held in stems])
            shape = (len(self._idf), len(members))
            weights = sparse.csr_array((np.concatenate(shares), (np.concatenate(stems), columns)), shape=shape)
            found.append((size, members, weights))
        return found

    def _similarity(self, question: _Profile, ids: Ids) -> tuple[float, int, int]:
        """Return the similarity of the nearest stretch of the ids, where it begins and where it ends."""
        at = np.minimum(np.searchsorted(question.stems, ids), len(question.stems) - 1)
        shared = question.stems[at] == ids
        counts = np.zeros((len(ids) + 1, len(question.stems)))
        counts[np.flatnonzero(shared) + 1, at[shared]] = 1
        counts = counts.cumsum(axis=0)
        others = np.concatenate([[0.0], np.where(shared, 0.0, self._idf[ids] ** 2).cumsum()])
        idf = self._idf[question.stems]
        best = (0.0, 0, 0)
        for width in WIDTHS:
            length = min(len(ids), max(1, round(width * question.length)))
            inside = counts[length:] - counts[:-length]
            weights = np.where(inside > 0, 1 + np.log(np.maximum(inside, 1)), 0.0) * idf
            norms = np.sqrt((weights**2).sum(axis=1) + others[length:] - others[:-length])
            k = ((inside > 0) & question.content).sum(axis=1)
            similarities = weights @ question.weights / np.maximum(norms, 1e-9) * k / (k + SHRINK)
            start = int(similarities.argmax())
            best = max(best, (float(similarities[start]), start, start + length))
        return best


def _stem_ids(known: Sequence[str]) -> WordIds:
    """Return the ids of words by their stems in `known`; WEIGHTLESS for a number, UNKNOWN for all else."""
    numbered = {stem: i for i, stem in enumerate(known, start=UNKNOWN + 1)}
    return WordIds(lambda word: WEIGHTLESS if is_number(word) else numbered.get(word.lower()[:STEM], UNKNOWN))


def _idf(questions: Sequence[Ids], content: npt.NDArray[np.bool_]) -> Floats:
    """Return the inverse document frequency of each id, float64 (ids,), from the questions among `_COMMON_TEXTS`."""
    counts = Counter(i for ids in questions for i in np.unique(ids).tolist())
    frequency = np.array([counts[i] for i in range(len(content))], dtype=np.float64)
    frequency[~content] += _COMMON_SHARE * _COMMON_TEXTS
    idf: Floats = np.log((1 + len(questions) + _COMMON_TEXTS) / (1 + frequency))
    idf[WEIGHTLESS] = 0.0
    idf[UNKNOWN] = np.log(1 + len(questions) + _COMMON_TEXTS)
    return idf


def _candidates(texts: Sequence[Ids], size: int, weights: Any) -> Iterable[tuple[int, int, int]]:
    """Yield (text, word, column of `weights`) where a block of `size` words holds `CANDIDATE` of a question's
    content.

    Blocks overlap by half, so whatever has half a block's length lies in one.
    """
    from scipy import sparse

    half = size // 2
    halves = [max(1, -(-len(ids) // half)) for ids in texts]
    firsts = np.cumsum([0, *halves])
    total = int(firsts[-1])
    place = np.concatenate([first + np.arange(len(ids)) // half for first, ids in zip(firsts, texts, strict=False)])
    ids = np.concatenate(texts)
    holds = sparse.csr_array((np.ones(len(ids), dtype=np.float32), (place, ids)), shape=(total, weights.shape[0]))
    alone = np.zeros(total, dtype=bool)
    alone[firsts[1:] - 1] = True  # the last half of a text has no other after it
    follows = sparse.diags_array((~alone[:-1]).astype(np.float32), offsets=1, shape=(total, total))
    blocks = holds + follows @ holds
    blocks.data[:] = 1.0
    shares = (blocks @ weights).tocoo()
    near = shares.data >= CANDIDATE
    owner = np.searchsorted(firsts, shares.row[near], side="right") - 1
    starts = (shares.row[near] - firsts[owner]) * half
    yield from zip(owner.tolist(), starts.tolist(), shares.col[near].tolist(), strict=True)


def _passage(text: str, first: int, last: int) -> str:
    """Return the sentences of the text that hold its words from `first` up to `last`."""
    spans = word_spans(text)
    start, end = spans[first][0], spans[last - 1][1]
    before = [found.end() for found in _SENTENCE_END.finditer(text, 0, start)]
    after = _SENTENCE_END.search(text, end)
    return text[before[-1] if before else 0 : after.end() if after else None].strip()[:PASSAGE]
