"""The question that a card's examples ask: one of the user's own, fit to be published. Loads no torch.

In this order: the first of the recipe's `evaluate.prompts`; a question of a benchmark that the recipe scores, those of
its domain first, never with its choices or its answer; a question that fits every model. Rows that a stage was trained
on are never shown: they may be private.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from statllama.config.benchmarks import TaskFile, chosen_tasks
from statllama.config.shipped import shipped_root
from statllama.data.contamination import QUESTION_COLUMNS, read_items
from statllama.errors import StatllamaError

if TYPE_CHECKING:
    from statllama.runs.subject import Subject

ANY = "What can you help me with?"
LOOKED_AT = 200  # items of a benchmark
LENGTHS = range(15, 241)  # characters of a question that stands in a line of code
_OF_CHOICES = re.compile(r"\b(following|these|above|below|choices?|options?|statements?)\b", re.IGNORECASE)
"""Words of a question that makes no sense without the choices or the passage beside it."""


@dataclass(frozen=True)
class Asked:
    """A question and where it is from."""

    text: str = ANY
    source: str = ""
    """Such as `question 3 of the benchmark mine_test`, in plain words; empty: it fits every model."""
    private: bool = False
    """It is from a benchmark of the user's own, so the user should know that the card shows it."""


def question_for(subject: Subject) -> Asked:
    """Return the question that the card of `subject`'s releases asks."""
    for prompt in subject.evaluate.prompts:
        return Asked(str(prompt), "the first prompt of the recipe")
    try:
        tasks = chosen_tasks(subject.evaluate, subject.root)
    except StatllamaError:  # its card says that the benchmarks cannot be read
        return Asked()
    domain = subject.evaluate.domain or subject.evaluate.tasks[:1]
    return next(_of_benchmarks(sorted(tasks, key=lambda task: task.name not in domain)), Asked())


def _of_benchmarks(tasks: Iterable[TaskFile]) -> Iterator[Asked]:
    for task in tasks:
        if not task.is_local:  # a card needs no network
            continue
        own = task.replaced or not task.path.is_relative_to(shipped_root().resolve())
        try:
            for number, (_, row) in enumerate(islice(read_items(task), LOOKED_AT), start=1):
                text = next((row[name] for name in QUESTION_COLUMNS if isinstance(row.get(name), str)), "").strip()
                if len(text) in LENGTHS and text.isprintable() and not _OF_CHOICES.search(text):
                    yield Asked(text, f"question {number} of the benchmark {task.name}", own)
        except StatllamaError:  # as above
            continue
