"""What a benchmark could show of a planned run, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from statllama.runs.foresight import Sight
from statllama.runs.tables import Shown, Table


@dataclass(frozen=True, repr=False)
class Foresight(Table):
    """What the benchmarks of a recipe can show, before it runs."""

    name: str
    sights: tuple[Sight, ...]
    """A benchmark each."""

    @property
    def title(self) -> str:
        """Return the name."""
        return f"{self.name}: what its benchmarks can show"

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each benchmark, shares in points (0 to 100); None for what is not known yet."""
        return [_sight(sight) for sight in self.sights]

    def shown(self) -> Shown:
        """Return items, what they are worth, and the smallest change that they show."""
        return [
            {
                "benchmark": row["task"],
                "items": "" if row["items"] is None else f"{row['items']:,}",
                "effective": "" if row["effective"] is None else f"{row['effective']:,.0f}",
                "flips": "" if row["flips"] is None else f"{row['flips']:.0f} %",
                "smallest change": "" if row["smallest_change"] is None else f"{row['smallest_change']:.1f}",
                "from": row["basis"] or "",
            }
            for row in self.rows()
        ]

    def notes(self) -> Sequence[str]:
        """Return the meaning of the smallest change, and the gates that cannot be judged."""
        tests = self.sights[0].tests if self.sights else 0
        meant = f"Points, shown with 80 % power among {tests} changes; 100 where none is."
        return (meant, *(str(sight.gate) for sight in self.sights if sight.gate is not None and sight.gate.weak))


def _sight(sight: Sight) -> dict[str, Any]:
    design, gate = sight.design, sight.gate
    return {
        "task": sight.task,
        "tests": sight.tests,
        "items": design and design.items,
        "clusters": design and design.clusters,
        "effective": design and design.effective,
        "base": design and 100 * design.accuracy,
        "flips": design and 100 * design.discordance,
        "smallest_change": sight.smallest,
        "basis": design and design.basis,
        "budget": gate and gate.gate.budget,
        "held_at_no_loss": gate and 100 * gate.held,
        "items_to_hold": gate and gate.enough,
    }
