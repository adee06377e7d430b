"""What the functions of `statllama` return: tables of a run, a plan, scores and a comparison. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statllama.evaluation.compare import Comparison, Contrast
from statllama.evaluation.meaning import floors, sentences
from statllama.evaluation.paired import Judged, spoken_level
from statllama.evaluation.power import Smallest
from statllama.evaluation.scorecard import Cell, Row, Scorecard
from statllama.evaluation.unit import Unit
from statllama.runs.advice import Advice
from statllama.runs.forecast.forecast import StageForecast
from statllama.runs.forecast.outlook import Outlook
from statllama.runs.plan import PlannedStage
from statllama.runs.prospect import Prospect
from statllama.runs.releasing import AheadRelease
from statllama.runs.runner import Measure
from statllama.runs.sights import Foresight
from statllama.runs.subject import BASE
from statllama.runs.tables import Shown, Table, change, p_value, place


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
        """Return a row for each benchmark and stack. Scores and changes are points (0 to 100), drift nats a token; of a
        hold-out's rows loss and its changes, nats a token, lower is better.
        """
        card = self.scorecard
        return [
            _cell(row, row.cells[i], card.smallest.get(task)) for i, task in enumerate(card.tasks) for row in card.rows
        ]

    def shown(self) -> Shown:
        """Return score and change from the base of each stack, by benchmark."""
        return [
            {
                "benchmark": cell.task,
                "stack": row.name,
                "score": cell.unit.spoken(cell.value, cell.stderr),
                **_judged(cell.from_base, cell.unit),
            }
            for i in range(len(self.scorecard.tasks))
            for row in self.scorecard.rows
            for cell in (row.cells[i],)
        ]

    def notes(self) -> Sequence[str]:
        """Return how the figures are meant, and which benchmarks were scored in part."""
        limited = sorted({cell.task for row in self.scorecard.rows for cell in row.cells if cell.limited})
        part = [f"Only a part of the items of {', '.join(limited)} was scored."] if limited else []
        tested = f"; changes are paired, {self.scorecard.level}" if self.scorecard.tests else ""
        seen = [f"{task}: {seen}." for task, seen in self.scorecard.smallest.items()]
        known = {cell.task: floors(cell.chance, cell.blind) for cell in self.scorecard.rows[0].cells}
        against = [f"{task}: {text}." for task, text in known.items() if text]
        losses = ", of losses nats a token" if any(cell.unit.loss for cell in self.scorecard.rows[0].cells) else ""
        return (f"Points{losses} ± standard error{tested}.", *part, *against, *seen, *sentences(self.scorecard.notes))


def _floors(scored: Cell | Contrast) -> dict[str, float | None]:
    """Return chance and the blind baseline in points."""
    return {
        "chance": None if scored.chance is None else 100 * scored.chance,
        "blind": None if scored.blind is None else 100 * scored.blind.value,
    }


def _cell(row: Row, cell: Cell, smallest: Smallest | None) -> dict[str, Any]:
    unit = cell.unit
    figures: dict[str, Any] = {
        "stack": row.name,
        "parent": row.parent,
        "task": cell.task,
        "metric": unit.metric,
        "items": cell.n,
        "limited": cell.limited,
        "selected_on": bool(cell.selected),
        "score": unit.score(cell.value),
        "stderr": None if cell.stderr is None else unit.error(cell.stderr),
        "perplexity": cell.perplexity,
        "smallest_change": smallest and abs(unit.change(smallest.change)),
        **_floors(cell),
    }
    for name, judged in (("base", cell.from_base), ("parent", cell.from_parent)):
        figures |= {
            f"from_{name}": judged and unit.change(judged.change.difference),
            f"from_{name}_low": judged and unit.bounds(judged.change.low, judged.change.high)[0],
            f"from_{name}_high": judged and unit.bounds(judged.change.low, judged.change.high)[1],
            f"from_{name}_p": judged and judged.p_adjusted,
            f"from_{name}_verdict": judged and judged.verdict,
        }
    drift = row.drift
    return figures | {"drift_to_parent": drift and drift.to_parent, "drift_to_base": drift and drift.to_base}


def _judged(judged: Judged | None, unit: Unit) -> dict[str, str]:
    if judged is None:
        return {"from base": "", "p": "", "verdict": ""}
    difference = change(judged.change, unit)
    return {"from base": difference, "p": p_value(judged.p_adjusted), "verdict": judged.verdict}


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
    releases: tuple[Path, ...] = ()
    """Folders of the releases that the recipe asks for."""

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

    ahead: Prospect
    workspace: Path

    @property
    def name(self) -> str:
        """Return the recipe's name."""
        return self.ahead.recipe.name

    @property
    def stages(self) -> tuple[PlannedStage, ...]:
        """Return the stages, parents first."""
        return self.ahead.stages

    @property
    def sizes(self) -> Mapping[str, Measure]:
        """Return {stage: examples and tokens of one pass over its data, optimizer steps in all}."""
        return self.ahead.measures

    @property
    def benchmarks(self) -> Foresight:
        """Return the smallest change that each benchmark can show, and its gate's chance to be judged."""
        return Foresight(self.name, tuple(self.ahead.sights))

    @property
    def time(self) -> Outlook:
        """Return how long each part takes, and what trained stages took beside what was forecast."""
        return self.ahead.outlook

    @property
    def needs(self) -> Mapping[str, StageForecast]:
        """Return {stage: its memory, the token budget that fits, and its disk}."""
        return self.ahead.needs

    @property
    def releases(self) -> tuple[AheadRelease, ...]:
        """Return what would be released, where to, and about how many bytes it takes."""
        return self.ahead.releases

    @property
    def advice(self) -> tuple[Advice, ...]:
        """Return what would stop the run, then what is likely to spoil it."""
        return self.ahead.advice

    @property
    def title(self) -> str:
        """Return the name and how many stages would run."""
        waiting = sum(not stage.cached for stage in self.stages)
        return f"{self.name}: {waiting} of {len(self.stages)} stages would run in {place(self.workspace)}"

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each stage. `seconds`: forecast of its training, of a trained one just before it began;
        `took`: None until it is trained. `memory`: forecast of its peak, in bytes.
        """
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
                **self._seconds(stage.spec.name),
                **self._memory(stage.spec.name),
                "key": stage.key,
            }
            for stage in self.stages
        ]

    def _memory(self, stage: str) -> dict[str, Any]:
        made = self.needs[stage].memory
        return {"memory": made and made.usual, "memory_high": made and made.high}

    def _seconds(self, stage: str) -> dict[str, Any]:
        taken = self.time.taken.get(stage)
        made = taken.forecast if taken else self.time.training(stage)
        return {
            "seconds": made and made.usual,
            "seconds_low": made and made.low,
            "seconds_high": made and made.high,
            "seconds_from": made and made.basis,
            "took": taken and taken.seconds,
        }

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
                **{name: _spoken(row[key]) for name, key in (("forecast", "seconds"), ("took", "took"))},
            }
            for row in self.rows()
        ]

    def notes(self) -> Sequence[str]:
        """Return what would stop or spoil the run, and the gates that cannot be judged."""
        gates = (sight.gate for sight in self.ahead.sights)
        told = [*map(str, self.advice), *(str(gate) for gate in gates if gate is not None and gate.weak)]
        if any(not made.measured for made in self.time.parts.values()):
            told.append("The time is not measured here: calibrate=True takes a few real steps on this machine.")
        return told


def _spoken(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:,.0f} s"


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
        """Return a row for each benchmark and model. Scores and differences are points (0 to 100), of a hold-out's rows
        losses in nats a token.
        """
        return [
            {
                "task": c.task,
                "metric": c.unit.metric,
                "reference": self.comparison.reference,
                "model": c.other,
                "reference_score": c.unit.score(c.overall.before),
                "score": c.unit.score(c.overall.after),
                **_floors(c),
                "difference": c.unit.change(c.overall.change.difference),
                "low": c.unit.bounds(c.overall.change.low, c.overall.change.high)[0],
                "high": c.unit.bounds(c.overall.change.low, c.overall.change.high)[1],
                "items": c.overall.change.n,
                "gained": c.overall.change.gained,
                "lost": c.overall.change.lost,
                "p": c.overall.change.p,
                "p_adjusted": c.overall.p_adjusted,
                "verdict": c.overall.verdict,
            }
            for c in self.comparison.contrasts
        ]

    def shown(self) -> Shown:
        """Return the columns that the verdict rests on."""
        return [
            {
                "benchmark": c.task,
                "model": c.other,
                "reference": c.unit.spoken(c.overall.before),
                "score": c.unit.spoken(c.overall.after),
                "difference": change(c.overall.change, c.unit),
                "gained": str(c.overall.change.gained),
                "lost": str(c.overall.change.lost),
                "p": p_value(c.overall.p_adjusted),
                "verdict": c.overall.verdict,
            }
            for c in self.comparison.contrasts
        ]

    def notes(self) -> Sequence[str]:
        """Return how the figures are meant, and which benchmarks not all models have."""
        missing = [f"{task} is scored for {', '.join(have)} only." for task, have in self.comparison.left_out.items()]
        known = {c.task: floors(c.chance, c.blind) for c in self.comparison.contrasts}
        against = [f"{task}: {text}." for task, text in known.items() if text]
        level = spoken_level(c.overall.change for c in self.comparison.contrasts)
        losses = " (losses in nats a token)" if any(c.unit.loss for c in self.comparison.contrasts) else ""
        return (f"Points{losses}, paired by item: {level}.", *against, *missing, *sentences(self.comparison.notes))
