"""Finds training rows that copy the questions of a benchmark.

Rows and questions are compared as plain characters (`folding.py`). Two forms of each question are looked for, over all
rows, at any place in a row:

- the same words: 13 in a row (GPT-3, arXiv 2005.14165, appendix C), or the whole question where it has 8 to 12. A
  question of up to 7 words is found where it stands by itself, between ends of sentences or lines, with the same signs;
- the same but for numbers and names: at least half of the question's runs of five words, where every number is one
  word and every name is one word, within a stretch of about the question's length. For questions of 12 words and more.

Measured on GSM8K, of those runs of five: the question with all numbers and names replaced shares nearly all. No pair of
1,000 train rows and 200 test questions shares more than 0.35. On the whole sets that does not hold: three train rows
are near copies of test questions, with up to 0.63 of the runs or 13 words in a row, such as the train that travels 360
miles in 3 hours ("at the same rate, how many additional hours ...") and the plane that travels 1,200. A question in
other words is found by neither form: `suspects.py` looks for those.
"""

from __future__ import annotations

import glob
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2.sandbox
import numpy as np

from statllama.config.benchmarks import FILE_FORMATS, FunctionRef, TaskFile
from statllama.config.source import SourceSpec
from statllama.data.folding import folded
from statllama.data.ngrams import (
    Hashes,
    Ids,
    WordIds,
    collapse,
    gram_hashes,
    known_words,
    lowercase_words,
    masked_words,
    words,
)
from statllama.data.sources import rows
from statllama.errors import DataError

EXACT_WORDS = 13
SHORTEST_EXACT = 8  # of the questions that are looked for amid a sentence
MASKED_WORDS = 5
SHORTEST_MASKED = 12
SHARE = 0.5
QUESTION_COLUMNS = ("question", "problem", "query", "prompt")


@dataclass(frozen=True)
class Question:
    """One item of a benchmark: which, and its text."""

    task: str
    number: int
    """Number from 1, in the order of the benchmark's file."""
    text: str


@dataclass(frozen=True)
class Hit:
    """A row that copies a question. `share`: of the question's runs of words that were found, 0 to 1."""

    where: str
    question: Question
    form: str
    share: float
    passage: str
    """The words of the row where the copy is."""


_SIGNS = r"+*/=<>^%"
_MINUS = r"-(?=\s*[\d.(])"  # before a number: elsewhere it is a hyphen
_TOKEN = re.compile(rf"\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*|[{_SIGNS}]|{_MINUS}")
_GAP = rf"(?:(?!{_MINUS})[^\w{_SIGNS}])*"
_BETWEEN = re.compile(rf"(?!{_MINUS})[^\w{_SIGNS}]")
_LETTER = re.compile(r"\w")
_OPENS, _CLOSES = '\n.?!:;"(', '.?!:;")'
_LABEL = re.compile(r"^[ \t]*\(?[A-Ja-j1-9][.)][ \t]+", re.MULTILINE)


def plain(text: str) -> str:
    """Return the text as it is compared: folded, without the labels of options ("A. ", "(b) ")."""
    return _LABEL.sub("", folded(text))


class Questions:
    """An index of benchmark questions; `search` looks for them in a text."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = tuple(questions)
        split = [words(plain(q.text)) for q in self.questions]
        self._exact = known_words(word.lower() for found in split for word in found)
        self._masked = masked_words({word for found in split for word in lowercase_words(found)})
        self._lengths = [len(found) for found in split]
        self._runs: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        self._grams: dict[int, list[int]] = defaultdict(list)
        self._sizes: list[int] = []
        for i, found in enumerate(split):
            size = min(EXACT_WORDS, len(found))
            if size:
                for run in set(gram_hashes(self._exact.ids(found), size)[0].tolist()):
                    self._runs[size][run].append(i)
            grams = set(gram_hashes(collapse(self._masked.ids(found))[0], MASKED_WORDS)[0].tolist())
            self._sizes.append(len(grams) if len(found) >= SHORTEST_MASKED else 0)
            if self._sizes[i]:
                for gram in grams:
                    self._grams[gram].append(i)
        self._known = {size: _sorted(self._runs[size]) for size in sorted(self._runs, reverse=True)}
        self._known_grams = _sorted(self._grams)

    @property
    def looked_for(self) -> dict[str, int]:
        """Return {benchmark: its questions that have words, so that they can be found}."""
        return dict(Counter(q.task for q, length in zip(self.questions, self._lengths, strict=True) if length))

    def search(self, text: str, where: str) -> Hit | None:
        """Return the question that the text copies most of; None when it copies none."""
        text = plain(text)
        return self._search(text, words(text), where)

    def _search(self, text: str, found: list[str], where: str) -> Hit | None:
        return self._same_words(text, found, where) or self._same_but_numbers(found, where)

    def search_batch(self, texts: Sequence[tuple[str, str]]) -> list[Hit | None]:
        """Return `search` of each (where, text), the same answers in less than half the time: most texts share too
        little.
        """
        folded_ = [(where, plain(text)) for where, text in texts]
        return self.search_words(folded_, [words(text) for _, text in folded_])

    def search_words(self, texts: Sequence[tuple[str, str]], split: Sequence[list[str]]) -> list[Hit | None]:
        """Return `search` of each (where, `plain` text), whose words are known.

        All texts are hashed at once, with a gap between them that no run of words crosses.
        """
        starts = np.cumsum([0, *(len(found) + 1 for found in split)])
        suspects: set[int] = set()
        exact = _joined(self._exact, split)
        for size, known in self._known.items():
            hashes, at = gram_hashes(exact, size)
            suspects.update((np.searchsorted(starts, at[_contains(known, hashes)], side="right") - 1).tolist())
        masked, before = collapse(_joined(self._masked, split))
        hashes, at = gram_hashes(masked, MASKED_WORDS)
        matches = before[at[_contains(self._known_grams, hashes)]]
        counts = np.bincount(np.searchsorted(starts, matches, side="right") - 1, minlength=len(texts))
        least = SHARE * min((size for size in self._sizes if size), default=1)
        suspects.update(np.flatnonzero(counts >= max(1.0, least)).tolist())
        found: list[Hit | None] = [None] * len(texts)
        for i in suspects:
            where, text = texts[i]
            found[i] = self._search(text, split[i], where)
        return found

    def _same_words(self, text: str, found: list[str], where: str) -> Hit | None:
        ids = self._exact.ids(found)
        for size, known in self._known.items():
            hashes, starts = gram_hashes(ids, size)
            at = np.flatnonzero(_contains(known, hashes))
            for place in at[np.sort(np.unique(hashes[at], return_index=True)[1])].tolist():
                start = int(starts[place])
                for question in (self.questions[i] for i in self._runs[size][int(hashes[place])]):
                    if size < SHORTEST_EXACT and not stands_alone(question.text, text):
                        continue
                    form = f"{size} words in a row are the same" if size >= SHORTEST_EXACT else "the whole question"
                    passage = " ".join(found[max(0, start - 3) : start + size + 12])
                    return Hit(where, question, form, 1.0, passage)
        return None

    def _same_but_numbers(self, found: list[str], where: str) -> Hit | None:
        ids, before = collapse(self._masked.ids(found))
        hashes, starts = gram_hashes(ids, MASKED_WORDS)
        at = np.flatnonzero(_contains(self._known_grams, hashes))
        places: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for place, gram in zip(starts[at].tolist(), hashes[at].tolist(), strict=True):
            for i in self._grams[gram]:
                places[i].append((place, gram))
        best: Hit | None = None
        for i, matches in places.items():
            if len(matches) < SHARE * self._sizes[i]:
                continue
            count, first, last = _densest(matches, 2 * self._lengths[i] + 20)
            share = count / self._sizes[i]
            if share >= SHARE and (best is None or share > best.share):
                passage = " ".join(found[int(before[first]) : int(before[last]) + MASKED_WORDS + 2])
                best = Hit(where, self.questions[i], "the same except for numbers and names", share, passage)
        return best


def stands_alone(question: str, text: str) -> bool:
    """Return whether the text asks the short question by itself: between ends of sentences or lines, the signs too.

    >>> stands_alone("What is 2 + 3?", "Solve this. what is 2+3"), stands_alone("What is 2 + 3?", "What is 2 + 3 * 4?")
    (True, False)
    """
    tokens = _GAP.join(map(re.escape, _TOKEN.findall(plain(question).lower())))
    said = plain(text).lower()
    return any(
        _begins(said, found.start()) and _finishes(said, found.end(1)) for found in re.finditer(f"(?=({tokens}))", said)
    )


def _begins(said: str, place: int) -> bool:
    """Return whether a sentence or line begins before this place, with nothing but signs and spaces between."""
    while place and _BETWEEN.match(said, place - 1):
        place -= 1
        if said[place] in _OPENS:
            return True
    return place == 0


def _finishes(said: str, place: int) -> bool:
    """Return whether a sentence or line ends after this place, with nothing but signs and spaces between."""
    while place < len(said) and _BETWEEN.match(said, place):
        if said[place] == "\n" or (said[place] in _CLOSES and not _LETTER.match(said, place + 1)):
            return True
        place += 1
    return place == len(said)


def _joined(vocabulary: WordIds, split: Sequence[Sequence[str]]) -> Ids:
    """Return the ids of all texts, an OTHER after each."""
    return vocabulary.ids(word for found in split for word in (*found, ""))


def _sorted(grams: Iterable[int]) -> Hashes:
    return np.array(sorted(grams), dtype=np.uint64)


def _contains(known: Hashes, hashes: Hashes) -> Any:
    """Return the bool (len(hashes),): which are in the sorted array `known`."""
    if not len(known):
        return np.zeros(len(hashes), dtype=bool)
    at = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    return known[at] == hashes


def _densest(matches: list[tuple[int, int]], span: int) -> tuple[int, int, int]:
    """Return the most different grams within `span` words: their number, the first and the last place."""
    best, left = (0, 0, 0), 0
    inside: dict[int, int] = defaultdict(int)
    for place, gram in matches:
        inside[gram] += 1
        while place - matches[left][0] > span:
            gone = matches[left][1]
            inside[gone] -= 1
            if not inside[gone]:
                del inside[gone]
            left += 1
        if len(inside) > best[0]:
            best = (len(inside), matches[left][0], place)
    return best


def read_questions(tasks: Iterable[TaskFile]) -> tuple[Question, ...]:
    """Return the items that each benchmark scores (its test split, else its validation split), not those of its train
    split.

    DataError when they cannot be read: what is not known cannot be kept out of the training data.
    """
    found: list[Question] = []
    for task in tasks:
        try:
            texts = [_text(task, row, where) for where, row in read_items(task)]
        except DataError as error:
            raise DataError(
                f"benchmark {task.name}: its questions cannot be read, so data cannot be checked against them: "
                f"{error.message}",
                remedy=error.remedy or "fix the benchmark, or set `decontaminate: ignore` for the stage",
            ) from None
        found += [Question(task.name, number, text) for number, text in enumerate(texts, start=1)]
    return tuple(found)


def read_items(task: TaskFile) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (where, row) of the items that a benchmark scores. DataError for rows that cannot be had."""
    config = task.config
    split = str(config.get("test_split") or config.get("validation_split"))
    options = config.get("dataset_kwargs") or {}
    if config["dataset_path"] not in FILE_FORMATS:
        hub = SourceSpec(
            hub=config["dataset_path"], config=config.get("dataset_name"), split=split, revision=options["revision"]
        )
        yield from rows(hub, Path())
        return
    for pattern in options["data_files"][split]:  # escaped for `datasets`, which takes patterns
        for file in glob.glob(pattern):
            yield from rows(SourceSpec(path=file), Path())


def _text(task: TaskFile, row: dict[str, Any], where: str) -> str:
    """Return the question alone; with its choices where it is too short to be told from others.

    It is what `doc_to_decontamination_query` says, else a column with the name of one, else `doc_to_text`, which may
    hold the choices too.
    """
    named = next((name for name in QUESTION_COLUMNS if isinstance(row.get(name), str)), None)
    template = task.config.get("doc_to_decontamination_query") or named or task.config["doc_to_text"]
    if isinstance(template, FunctionRef):
        raise DataError(
            f"{where}: none of the columns {', '.join(QUESTION_COLUMNS)}",
            remedy="name the question's column: `doc_to_decontamination_query: COLUMN` in the task file",
        )
    if template in row:
        text = str(row[template])
    else:
        try:
            text = jinja2.sandbox.SandboxedEnvironment().from_string(str(template)).render(**row)
        except jinja2.TemplateError as error:
            raise DataError(f"{where}: `doc_to_text` cannot be rendered: {error}") from None
    choices = row.get("choices")
    if isinstance(choices, dict):
        choices = choices.get("text")
    if isinstance(choices, list) and len(words(text)) < SHORTEST_EXACT:
        text = "\n".join([text, *map(str, choices)])
    return text


def explain(hits: Sequence[Hit], total: int) -> DataError:
    """Return the error that stops a run: the first hits with both texts, and what to do."""
    shown = [
        f"{hit.where} copies question {hit.question.number} of {hit.question.task} ({hit.form}, {hit.share:.0%}):\n"
        f"    row:      {_cut(hit.passage)}\n    question: {_cut(hit.question.text)}"
        for hit in hits[:3]
    ]
    more = f"\n(and {total - len(shown)} more; `statllama data check` lists them all)" if total > len(shown) else ""
    return DataError(
        f"{'1 row copies' if total == 1 else f'{total:,} rows copy'} a question of a benchmark that the recipe scores, "
        "so its scores would mean nothing\n" + "\n".join(shown) + more,
        remedy="remove those rows, or set the stage's `decontaminate: drop` (leaves them out) or `ignore`",
    )


def _cut(text: str, size: int = 300) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= size else f"{flat[:size]} ..."
