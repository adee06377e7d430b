"""What a recipe's benchmarks can show, before it runs: the smallest change, and whether its gates can be held.

From the scores that the workspace has of its stacks, else of its base, else from the number of items. Loads no torch.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from statllama.config.benchmarks import TaskFile, task_fingerprint
from statllama.config.evaluate import GateSpec
from statllama.config.metrics import by_likelihood
from statllama.data.contamination import read_items
from statllama.errors import DataError
from statllama.evaluation.paired import Change
from statllama.evaluation.power import POWER, Design, assumed, measured, of_base
from statllama.evaluation.scorecard import compare_scores
from statllama.evaluation.scores import TaskScore, clusters_of
from statllama.model.precision import compute_type
from statllama.recipe import Recipe
from statllama.runs.plan import PlannedStage
from statllama.runs.scorebook import ScoreBook
from statllama.runs.subject import BASE, StackRef
from statllama.store import Store
from statllama.store.memory import recall, remember


@dataclass(frozen=True)
class GateSight:
    """A gate's chance to be judged."""

    task: str
    gate: GateSpec
    design: Design
    """The benchmark's, for the stack that the gate measures from."""
    held: float
    """Chance that it comes out `held` when the true change is zero."""
    enough: int | None
    """Number of items with which that chance is 80 %; None where no number is."""

    @property
    def weak(self) -> bool:
        """Return whether that chance is below 80 %: then the gate is likely to stay undecided."""
        return self.held < POWER

    def __str__(self) -> str:
        design, gate = self.design, self.gate
        clusters = (
            f" in {design.clusters:,} cluster{'s' * (design.clusters > 1)}" if design.clusters < design.items else ""
        )
        text = (
            f"gate on {self.task}, {gate.budget:+g} points against the {gate.against}: with {design.items:,} items"
            f"{clusters} it comes out held in {100 * self.held:.0f} % of runs that lose nothing"
        )
        if design.basis != "measured":
            text += f", if {100 * design.discordance:.0f} % of the answers change"
        if not self.weak:
            return text
        if not gate.budget:
            return f"{text}: a budget of 0 is held by a gain alone, so allow a loss"
        return f"{text}; " + (f"{self.enough:,} items would do" if self.enough else "no number of items would do")


@dataclass(frozen=True)
class Sight:
    """What one benchmark of a recipe can show."""

    task: str
    tests: int
    """Number of changes that are judged together."""
    design: Design | None
    """For changes from the base. None while the number of items is not known: a hub dataset that was never read."""
    gate: GateSight | None = None

    @property
    def smallest(self) -> float | None:
        """Return the smallest change from the base, in points, that is shown with 80 % power; 100 where none is."""
        return None if self.design is None else self.design.smallest_change(self.tests)


def foresee(recipe: Recipe, store: Store, planned: Sequence[PlannedStage]) -> tuple[Sight, ...]:
    """Return what each benchmark of a planned recipe can show, but for likelihoods, of which nothing is known before.

    Reads scores and rows of benchmarks; scores nothing.
    """
    tasks = recipe.tasks()
    if not tasks:
        return ()
    compute = compute_type(recipe.precision)
    book = ScoreBook(store, planned[0].fixed.own["base"], tasks, recipe.evaluate, compute)
    stacks = {ref.name: ref for p in planned for ref in (StackRef(BASE, None), p.parent, p.stack)}
    scores = {name: book.known(stack) for name, stack in stacks.items()}
    tests = recipe.comparisons * len(tasks)
    return tuple(
        _sight(recipe, store, task, tests, planned, scores) for task in tasks if not by_likelihood(task.config)
    )


def _sight(
    recipe: Recipe,
    store: Store,
    task: TaskFile,
    tests: int,
    planned: Sequence[PlannedStage],
    scores: Mapping[str, Mapping[str, TaskScore]],
) -> Sight:
    found = {name: known[task.name] for name, known in scores.items() if task.name in known}
    base = found.get(BASE)
    before = _assumed(task, recipe.evaluate.limit, store) if base is None else of_base(base)
    if before is None:
        return Sight(task.name, tests, None)
    from_base = _design(before, list(_changes(planned, found, parent=False)))
    if (gate := recipe.evaluate.gates.get(task.name)) is None:
        return Sight(task.name, tests, from_base)
    stages = [stage for stage in planned if gate.stages is None or stage.spec.name in gate.stages]
    design = _design(before, list(_changes(stages, found, parent=gate.against == "parent")))
    held, enough = design.held(gate.budget, gate.level), design.items_to_hold(gate.budget, gate.level)
    return Sight(task.name, tests, from_base, GateSight(task.name, gate, design, held, enough))


def _design(before: Design, changes: Sequence[Change]) -> Design:
    return measured(before.accuracy, changes) if changes else before


def _changes(stages: Sequence[PlannedStage], found: Mapping[str, TaskScore], *, parent: bool) -> Iterator[Change]:
    """Yield the measured changes of stages from the base, or each from its parent."""
    for stage in stages:
        other = stage.parent.name if parent else BASE
        if stage.spec.name in found and other in found:
            yield compare_scores(found[other], found[stage.spec.name])


def _assumed(task: TaskFile, limit: int | None, store: Store) -> Design | None:
    sizes = _cluster_sizes(task, limit, store)
    return assumed(sizes) if sizes else None


def _cluster_sizes(task: TaskFile, limit: int | None, store: Store) -> list[int]:
    """Return the number of items in each cluster of what is scored; empty where the rows cannot be had.

    Remembered by the benchmark's content, since rows of the hub come over the network. BenchmarkError for a column of
    clusters that is missing or constant.
    """
    if task.config.get("process_docs") is not None:  # code that may leave rows out
        return []
    name = f"clusters of {task_fingerprint(task)}, limit {limit}"
    if (known := recall(store.memory).get(name)) is None:
        try:
            items = read_items(task)
            rows = [row for _, row in islice(items, limit)]
            whole = next(items, None) is None
        except DataError:
            return []
        if not rows:
            return []
        clusters = clusters_of(task, rows, whole=whole)
        sizes = Counter(clusters).values() if clusters else [1] * len(rows)
        known = json.dumps(sorted(Counter(sizes).items()))
        remember(store.memory, name, known)
    return [size for size, times in json.loads(known) for _ in range(times)]
