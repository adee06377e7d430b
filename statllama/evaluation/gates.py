"""Gates: the loss that a stage may cause on a benchmark, tested on the same items before and after. Pure, no torch.

A gate has three answers. `broken`: the loss is beyond the budget. `held`: it is within it, by a non-inferiority test.
`undecided`: the items cannot tell, which is no proof of either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from statllama.config.evaluate import GateSpec
from statllama.evaluation.paired import BudgetTest, Held, judge_budget
from statllama.evaluation.power import Design, measured
from statllama.evaluation.scorecard import compare_scores
from statllama.evaluation.scores import TaskScore
from statllama.evaluation.unit import SHARE, Unit


@dataclass(frozen=True)
class GateAnswer:
    """The answer of a gate on a stage, with its test."""

    stage: str
    task: str
    n: int
    """Items."""
    gate: GateSpec
    test: BudgetTest
    design: Design
    """What the measured change says of the benchmark's power."""
    unit: Unit = SHARE
    """What its figures are told in."""

    @property
    def enough(self) -> int | None:
        """Return the number of items that would have held it with 80 % power, had nothing been lost; None where no
        number would, and where there are as many.
        """
        if self.unit.loss:  # a design counts answers that change, and all losses do
            return None
        items = self.design.items_to_hold(self.gate.budget, self.gate.level)
        return None if items is None or items <= self.n else items

    @property
    def answer(self) -> Held:
        """Return `held`, `broken` or `undecided`."""
        return self.test.answer

    @property
    def stops(self) -> bool:
        """Return whether the run stops at it."""
        if self.answer == "broken":
            return self.gate.on_break == "stop"
        return self.answer == "undecided" and self.gate.on_undecided == "stop"

    @property
    def leaves_out(self) -> bool:
        """Return whether later stages train on the stage's parent instead."""
        return self.answer == "broken" and self.gate.on_break == "parent"

    def __str__(self) -> str:
        test, said = self.test, {"held": "held", "broken": "broke", "undecided": "may or may not have held"}
        shown, (lower, upper) = self.unit.spoken_change, sorted((test.lower, test.upper), key=self.unit.change)
        bounds = f"one-sided bounds {shown(lower)} and {shown(upper)} on {self.n} items"
        if self.answer != "undecided":
            p = test.p_broken if self.answer == "broken" else test.p_held
            bounds = f"{'p < 0.001' if p < 0.001 else f'p = {p:.3f}'}, {bounds}"
        elif (enough := self.enough) is not None:
            bounds += f"; {enough:,} would hold it with 80 % power if nothing were lost"
        return (
            f"{self.stage} {said[self.answer]} its gate on {self.task}: {shown(test.difference)} "
            f"{self.unit.of_changes} against the {self.gate.against} where {self.unit.change(test.budget):+g} are "
            f"allowed ({bounds})"
        )

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain JSON values."""
        return {
            "stage": self.stage,
            "task": self.task,
            "n": self.n,
            "gate": self.gate.model_dump(mode="json"),
            "answer": self.answer,
            "test": asdict(self.test),
        }


def answers(
    gates: Mapping[str, GateSpec],
    stage: str,
    scores: Sequence[TaskScore],
    base: Sequence[TaskScore],
    parent: Sequence[TaskScore],
) -> tuple[GateAnswer, ...]:
    """Return the answers of the gates that hold `stage`. The scores are of the same benchmarks, in the same order."""
    found = []
    for own, of_base, of_parent in zip(scores, base, parent, strict=True):
        gate = gates.get(own.task)
        if gate is None or (gate.stages is not None and stage not in gate.stages):
            continue
        before = of_base if gate.against == "base" else of_parent
        allowed = 100 * gate.budget if own.unit.loss else gate.budget  # of a loss it is in nats
        test = judge_budget(before.items, own.items, allowed, gate.level, own.clusters, own.smooth, own.weights)
        design = measured(before.value, [compare_scores(before, own)])
        found.append(GateAnswer(stage, own.task, own.n, gate, test, design, own.unit))
    return tuple(found)
