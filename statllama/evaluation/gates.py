"""Gates: the loss that a stage may cause on a benchmark, tested on the same items before and after. Pure, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from statllama.config.evaluate import GateSpec
from statllama.evaluation.paired import BudgetTest, breaks
from statllama.evaluation.scorecard import compare_scores
from statllama.evaluation.scores import TaskScore


@dataclass(frozen=True)
class Breach:
    """A gate that a stage broke, with its test."""

    stage: str
    task: str
    n: int
    """Items."""
    gate: GateSpec
    test: BudgetTest

    def __str__(self) -> str:
        test = self.test
        p = f"p = {test.p:.3f}" if test.p >= 0.001 else "p < 0.001"
        return (
            f"{self.stage} broke its gate on {self.task}: {test.difference:+.1f} points against the "
            f"{self.gate.against} where {test.budget:+g} are allowed (at most {test.upper:+.1f}, one-sided {p} on "
            f"{self.n} items)"
        )

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain JSON values."""
        return {
            "stage": self.stage,
            "task": self.task,
            "n": self.n,
            "gate": self.gate.model_dump(mode="json"),
            "test": asdict(self.test),
        }


def breaches(
    gates: Mapping[str, GateSpec],
    stage: str,
    scores: Sequence[TaskScore],
    base: Sequence[TaskScore],
    parent: Sequence[TaskScore],
) -> tuple[Breach, ...]:
    """Return the gates that `stage` broke. The scores are of the same benchmarks, in the same order.

    A gate breaks when the loss is shown to exceed the budget: noise within it, or too few items to tell, breaks none.
    """
    found = []
    for own, of_base, of_parent in zip(scores, base, parent, strict=True):
        gate = gates.get(own.task)
        if gate is None or (gate.stages is not None and stage not in gate.stages):
            continue
        before = of_base if gate.against == "base" else of_parent
        change = compare_scores(before, own)
        test = breaks(before.items, own.items, gate.budget, gate.level)
        if test.broken:
            found.append(Breach(stage, own.task, change.n, gate, test))
    return tuple(found)
