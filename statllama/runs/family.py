"""Families of changes: how many are judged together, so that one change has one p-value wherever it is shown.

A recipe fixes its family before anything is scored: each stack against the base and against what it was trained on, on
each of its benchmarks. Scorecard, report, card, `compare`, `attribute` and dial take the size from here. No torch.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from statllama.evaluation.compare import Comparison, Scored, compare
from statllama.runs.scorebook import scored
from statllama.runs.subject import StackRef, Subject
from statllama.store import Store

K = TypeVar("K")
Asked = tuple[StackRef, StackRef, str]
"""A change: the stack before, the stack after, the benchmark."""


@dataclass(frozen=True)
class Family:
    """The changes that a recipe asks about."""

    pairs: frozenset[frozenset[str]]
    """Both stacks of each comparison, by their identity. Two stacks are one comparison, whichever comes first."""
    comparisons: int
    """Number of comparisons that the recipe makes when all of its stages are trained."""
    tasks: tuple[str, ...]
    """Benchmarks and hold-outs of the recipe."""

    @classmethod
    def of(cls, subject: Subject) -> Family:
        """Return the family of a run; a model without stages asks about nothing."""
        pairs = frozenset(_pair(before, after) for before, after in subject.comparisons())
        held = (task["name"] for task in subject.record.get("holdouts", ()))
        tasks = (*subject.record.get("evaluate", {}).get("tasks", ()), *held)
        return cls(pairs, max(len(pairs), int(subject.record.get("comparisons", 0))), tasks)

    def size(self, before: StackRef, after: StackRef, task: str) -> int | None:
        """Return how many changes this one is judged with; None when the recipe does not ask about it.

        A benchmark that a command adds to the recipe's is a family by itself, however many are added.
        """
        if _pair(before, after) not in self.pairs:
            return None
        return self.comparisons * (len(self.tasks) if task in self.tasks else 1)

    def sizes(self, changes: Mapping[K, Asked]) -> dict[K, int]:
        """Return how many changes each is judged with. Those that the recipe does not ask about, such as scaled stacks,
        are a family of what is shown together: `changes`.
        """
        known = {key: self.size(*asked) for key, asked in changes.items()}
        others = sum(size is None for size in known.values())
        return {key: size or others for key, size in known.items()}


def card_sizes(
    family: Family, stacks: Mapping[str, StackRef], rows: Sequence[tuple[str, str | None]], tasks: Sequence[str]
) -> dict[tuple[str, str, str], int]:
    """Return, for each change of a scorecard (stack, what it is compared with, benchmark), how many it is judged with.

    `rows`: (name, parent's name), the base first.
    """
    base = rows[0][0]
    return family.sizes(
        {
            (name, other, task): (stacks[other], stacks[name], task)
            for name, parent in rows
            if parent is not None
            for other in dict.fromkeys((base, parent))
            for task in tasks
        }
    )


def compare_scored(
    store: Store, wanted: Sequence[tuple[str, Subject, StackRef]], only: Collection[str] | None = None
) -> Comparison:
    """Compare recorded scores of each (label, subject, its stack) with the first. See `scorebook.scored`, `compare`.

    `only`: benchmarks; None: all that are scored.
    """
    sizes: dict[tuple[str, str], int] = {}
    (_, first, reference), *others = wanted
    models = [
        Scored(model.name, {task: record for task, record in model.records.items() if only is None or task in only})
        for model in scored(store, wanted)
    ]
    for label, subject, stack in others:
        if subject.identity == first.identity:
            family, tasks = Family.of(subject), (task for model in models for task in model.records)
            found = {(task, label): family.size(reference, stack, task) for task in tasks}
            sizes |= {key: size for key, size in found.items() if size is not None}
    return compare(models, sizes)


def _pair(before: StackRef, after: StackRef) -> frozenset[str]:
    return frozenset(json.dumps(stack.identity) for stack in (before, after))
