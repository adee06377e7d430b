"""What the functions of `statllama` return: tables of a run, a plan, scores and a comparison. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statllama.evaluation.compare import Comparison
from statllama.evaluation.paired import Judged
from statllama.evaluation.scorecard import Cell, Row, Scorecard
from statllama.runs.plan import PlannedStage
from statllama.runs.runner import Measure
from statllama.runs.subject import BASE
from statllama.runs.tables import Shown, Table, change, p_value, place, points

PAIRED = "Points ± standard error; paired changes with 95 % interval and p after Holm over all {tests}."


@dataclass(frozen=True, repr=False)
class Scores(Table):
    """Scores of stacks on benchmarks, each compared with the base and with its parent."""

    name: str
    """Of the run or model."""
    scorecard: Scorecard
    """All of it, scores as shares between 0 and 1."""

    @property
    def title(self) -> str:
        """Return the name and the benchmarks."""
        return f"{self.name}: scores on {', '.join(self.scorecard.tasks)}"

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each benchmark and stack. Scores and changes are points (0 to 100), drift nats a token."""
        return [_cell(row, row.cells[i]) for i in range(len(self.scorecard.tasks)) for row in self.scorecard.rows]

    def shown(self) -> Shown:
        """Return score and change from the base of each stack, by benchmark."""
        return [
            {
                "benchmark": cell.task,
                "stack": row.name,
                "score": points(cell.value, cell.stderr),
                **_judged(cell.from_base),
            }
            for i in range(len(self.scorecard.tasks))
            for row in self.scorecard.rows
            for cell in (row.cells[i],)
        ]

    def notes(self) -> Sequence[str]:
        """Return how the figures are meant, and which benchmarks were scored in part."""
        limited = sorted({cell.task for row in self.scorecard.rows for cell in row.cells if cell.limited})
        part = [f"Only a part of the items of {', '.join(limited)} was scored."] if limited else []
        tested = PAIRED.format(tests=self.scorecard.tests) if self.scorecard.tests else "Points ± standard error."
        return (tested, *part)


def _cell(row: Row, cell: Cell) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "stack": row.name,
        "parent": row.parent,
        "task": cell.task,
        "metric": cell.metric,
        "items": cell.n,
        "limited": cell.limited,
        "score": 100 * cell.value,
        "stderr": None if cell.stderr is None else 100 * cell.stderr,
    }
    for name, judged in (("base", cell.from_base), ("parent", cell.from_parent)):
        figures |= {
            f"from_{name}": judged and judged.change.difference,
            f"from_{name}_low": judged and judged.change.low,
            f"from_{name}_high": judged and judged.change.high,
            f"from_{name}_p": judged and judged.p_holm,
            f"from_{name}_verdict": judged and judged.verdict,
        }
    drift = row.drift
    return figures | {"drift_to_parent": drift and drift.to_parent, "drift_to_base": drift and drift.to_base}


def _judged(judged: Judged | None) -> dict[str, str]:
    if judged is None:
        return {"from base": "", "p": "", "verdict": ""}
    difference = change(judged.change.difference, judged.change.low, judged.change.high)
    return {"from base": difference, "p": p_value(judged.p_holm), "verdict": judged.verdict}


@dataclass(frozen=True, repr=False)
class Run(Table):
    """A finished run."""

    name: str
    """The recipe's, by which the other functions know the run."""
    workspace: Path
    stages: Mapping[str, Path]
    """{stage: folder of its result: the adapter in PEFT's format, `manifest.json`, `history.json`}."""
    metrics: Mapping[str, Mapping[str, Any]]
    """{stage: what its manifest records: steps, tokens, seconds, first and last loss or reward}."""
    scores: Scores | None
    """None when the recipe has no benchmarks."""

    @property
    def title(self) -> str:
        """Return the name, the stages and the workspace."""
        return f"{self.name}: {' -> '.join((BASE, *self.stages))} in {place(self.workspace)}"

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of `scores`; without benchmarks a row for each stage with what training it recorded."""
        if self.scores is not None:
            return self.scores.rows()
        names = ("steps", "tokens", "seconds", "first_loss", "loss", "first_reward", "reward")
        return [{"stack": s} | {n: self.metrics[s].get(n) for n in names} for s in self.stages]

    def shown(self) -> Shown:
        """Return the scores; without benchmarks the steps and the loss, or the reward, of each stage."""
        if self.scores is not None:
            return self.scores.shown()
        return [{"stage": name, **_learned(self.metrics[name])} for name in self.stages]

    def notes(self) -> Sequence[str]:
        """Return the notes of `scores`."""
        return () if self.scores is None else self.scores.notes()


def _learned(metrics: Mapping[str, Any]) -> dict[str, str]:
    what = "reward" if "reward" in metrics else "loss"
    known = metrics.get(what) is not None  # not of a blend
    pair = f"{what} {metrics[f'first_{what}']:.4f} -> {metrics[what]:.4f}" if known else ""
    return {"steps": f"{metrics['steps']:,}", "learned": pair}


@dataclass(frozen=True, repr=False)
class Plan(Table):
    """What a run would do."""

    name: str
    workspace: Path
    stages: tuple[PlannedStage, ...]
    sizes: Mapping[str, Measure]
    """{stage: examples and tokens of one pass over its data, optimizer steps in all}."""

    @property
    def title(self) -> str:
        """Return the name and how many stages would run."""
        waiting = sum(not stage.cached for stage in self.stages)
        return f"{self.name}: {waiting} of {len(self.stages)} stages would run in {place(self.workspace)}"

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each stage."""
        return [
            {
                "stage": stage.spec.name,
                "type": stage.spec.type,
                "parents": list(stage.parents) or [BASE],
                "runs": not stage.cached,
                "why": stage.why,
                "examples": self.sizes[stage.spec.name].examples,
                "tokens": self.sizes[stage.spec.name].tokens,
                "steps": self.sizes[stage.spec.name].steps,
                "key": stage.key,
            }
            for stage in self.stages
        ]

    def shown(self) -> Shown:
        """Return the rows without the key."""
        return [
            {
                "stage": row["stage"],
                "type": row["type"],
                "on": ", ".join(row["parents"]),
                "runs": "yes" if row["runs"] else "cached",
                "why": row["why"],
                **{name: f"{row[name]:,}" if row[name] else "" for name in ("examples", "tokens", "steps")},
            }
            for row in self.rows()
        ]


@dataclass(frozen=True, repr=False)
class Compared(Table):
    """Scored models, each compared with the first, item by item."""

    comparison: Comparison
    """All of it, with topics and each flipped item."""

    @property
    def title(self) -> str:
        """Return the reference."""
        return f"compared with {self.comparison.reference}"

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each benchmark and model. Scores and differences are points (0 to 100)."""
        return [
            {
                "task": c.task,
                "metric": c.metric,
                "reference": self.comparison.reference,
                "model": c.other,
                "reference_score": 100 * c.overall.before,
                "score": 100 * c.overall.after,
                "difference": c.overall.change.difference,
                "low": c.overall.change.low,
                "high": c.overall.change.high,
                "items": c.overall.change.n,
                "gained": c.overall.change.gained,
                "lost": c.overall.change.lost,
                "p": c.overall.change.p,
                "p_holm": c.overall.p_holm,
                "verdict": c.overall.verdict,
            }
            for c in self.comparison.contrasts
        ]

    def shown(self) -> Shown:
        """Return the columns that the verdict rests on."""
        return [
            {
                "benchmark": row["task"],
                "model": row["model"],
                "reference": f"{row['reference_score']:.1f}",
                "score": f"{row['score']:.1f}",
                "difference": change(row["difference"], row["low"], row["high"]),
                "gained": str(row["gained"]),
                "lost": str(row["lost"]),
                "p": p_value(row["p_holm"]),
                "verdict": row["verdict"],
            }
            for row in self.rows()
        ]

    def notes(self) -> Sequence[str]:
        """Return how the figures are meant, and which benchmarks not all models have."""
        missing = [f"{task} is scored for {', '.join(have)} only." for task, have in self.comparison.left_out.items()]
        return (f"Points, paired by item; p after Holm over {len(self.comparison.contrasts)}.", *missing)
