"""How long a run's parts will take: training of each stage, scores and drift of each stack. Loads torch only to count
what a benchmark that was never scored would compute; the workspace remembers that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from statllama.config.metrics import HOLDOUT
from statllama.config.stage import StageSpec, TrainingSpec
from statllama.data.generated import TRIES
from statllama.data.lengths import lengths
from statllama.data.work import Work
from statllama.evaluation.held_score import work_of
from statllama.evaluation.probe import probe_rows, probe_work
from statllama.model.identity import config_of
from statllama.model.precision import compute_type
from statllama.model.shape import Shape, shape_of
from statllama.runs.forecast.datasheet import datasheet
from statllama.runs.forecast.device import Device
from statllama.runs.forecast.expected import StageWork, expected, written
from statllama.runs.forecast.figure import Figure
from statllama.runs.forecast.machine import Machine, machine_of, this_machine
from statllama.runs.forecast.operations import Ranks, decoded_bytes
from statllama.runs.forecast.samples import Cost, Place, Sample, all_samples, cost_of, forecast_errors, kind_of
from statllama.runs.forecast.speed import figure, from_datasheet
from statllama.runs.subject import BASE, StackRef
from statllama.stages import stage_module
from statllama.store.canonical import digest
from statllama.store.memory import recall, remember
from statllama.train.steps import steps_of

if TYPE_CHECKING:
    from statllama.data.prepare import Prepared
    from statllama.recipe import Recipe
    from statllama.runs.loaded import Loaded
    from statllama.runs.plan import PlannedStage
    from statllama.runs.scorer import Scorer

What = Literal["train", "score", "drift"]
Part = tuple[What, str]
"""A part of a run: the training of a stage, the scores of a stack on all benchmarks, its drift; by its name."""
Lora = tuple[Sequence[str], int]
"""Modules and rank of an adapter."""
WRITTEN = {"low": 0.1, "usual": 0.5, "high": 1.0}
"""Mean lengths of completions that nobody has seen yet, as shares of the longest allowed."""
TRIED = {"low": 1.0, "usual": 1.25, "high": float(TRIES)}
"""Tries for each row that a model writes for a stage to replay; at worst all that are made."""
ENDS = ("low", "usual", "high")


class Timing:
    """Forecasts of the parts of a recipe's run on one machine."""

    def __init__(
        self,
        recipe: Recipe,
        loaded: Loaded,
        scorer: Scorer,
        prepare: Callable[[TrainingSpec], Prepared],
        machine: Machine | None = None,
    ) -> None:
        """Take `prepare`: returns a stage's rows. `machine`: None is this one; of another there are no samples, so a
        forecast for it is a range.
        """
        self.recipe, self.loaded, self.store, self.scorer = recipe, loaded, loaded.store, scorer
        self.prepare, self.machine = prepare, machine or this_machine()

    def on(self, device: Device) -> Timing:
        """Return the same for a device."""
        return Timing(self.recipe, self.loaded, self.scorer, self.prepare, machine_of(device))

    @property
    def backend(self) -> str:
        """Return the backend on the machine: another one is expected to have what is best on it."""
        if self.machine == this_machine():
            return self.loaded.backend
        return "unsloth" if self.machine.gpu else "transformers"

    @cached_property
    def shape(self) -> Shape:
        """Return the base's shape. ModelError where its config.json cannot be had."""
        model = self.recipe.base.model
        return shape_of(config_of(model, self.loaded.identity["model"]) or {}, model)

    def place(self, precision: str) -> Place:
        """Return where a stage of this `precision` trains, or stacks are scored with the recipe's."""
        there = self.machine.gpu and self.machine != this_machine()
        dtype = "bfloat16" if there and precision == "auto" else compute_type(precision)
        return Place(self.machine, self.loaded.identity, self.backend, dtype, self.shape)

    def run_seconds(
        self, planned: Sequence[PlannedStage], fresh: Sequence[PlannedStage] | None = None
    ) -> dict[Part, Figure]:
        """Return the seconds of every part of a run that is not in the workspace, in order.

        `fresh`: only the parts of these stages. A part is missing where nothing is known of it: an unmeasured GPU that
        is in no datasheet, or a blend.
        """
        found: dict[Part, Figure | None] = {}
        asked = bool(self.scorer.fingerprints)
        if asked and (fresh is None or len(fresh) == len(planned)):
            found["score", BASE] = self.scoring(StackRef(BASE, None))
        for stage in planned if fresh is None else fresh:
            if not stage.cached:
                begun = stage.begins.step if stage.begins else 0
                found["train", stage.spec.name] = self.training(stage.spec, below_of(stage, planned), begun)
            found["drift", stage.spec.name] = self.drift(stage)
            for stack in (stage.parent, stage.stack) if stage.joined else (stage.stack,):
                if asked and ("score", stack.name) not in found:
                    found["score", stack.name] = self.scoring(stack)
        return {part: made for part, made in found.items() if made is not None}

    # ------------------------------------------------------------------ stages

    def training(self, spec: StageSpec, below: Sequence[Lora], begun: int = 0) -> Figure | None:
        """Return the seconds of a stage's training on adapters `below`; None for one that trains nothing.

        `begun`: steps that it need not take, since it goes on from a kept state.
        """
        if not isinstance(spec, TrainingSpec):
            return None
        place = self.place(spec.train.precision)
        samples = all_samples(self.store, place)
        ranks = Ranks.of(spec.lora.target_modules, spec.lora.r, below, spec.lora.layers)
        works = {end: work.after(begun) for end, work in self.stage_work(spec).items()}
        recomputes = self._recomputes(spec)
        low, usual, high = (
            cost_of(self.shape, ranks, works[end].trained, works[end].read, units=works[end].steps, recomputes=r)
            for end, r in zip(ENDS, recomputes, strict=True)
        )
        last = next(iter([*forecast_errors(self.store, place, spec.type)][-1:]), None)
        rows = float(spec.train.micro_tokens // spec.train.max_length or 1)
        return self._figure(spec.type, (low, usual, high), samples, place, last, rows * spec.train.max_length)

    def stage_work(self, spec: TrainingSpec) -> dict[str, StageWork]:
        """Return {low, usual, high: what a stage computes}, from its prepared rows: its steps, and its validations as
        if none ended it early.
        """
        prepared = self.prepare(spec)
        data, replay = prepared.dataset, prepared.replay.lengths if prepared.replay is not None else None
        rows = lengths(data, stage_module(spec.type).DATA_KIND)
        joined = self.backend == "unsloth" and self.machine.gpu
        steps = steps_of(spec, len(data))
        shares = WRITTEN if spec.type == "grpo" else dict.fromkeys(ENDS, 1.0)
        found = {end: expected(spec, rows, steps, joined=joined, written=shares[end], replay=replay) for end in ENDS}
        awaited = None if prepared.replay is None else prepared.replay.awaited
        if awaited is not None and spec.generated is not None:
            prompt = int(awaited.tokens.min())
            for end in ENDS:
                work = written(spec.generated, prompt, WRITTEN[end], TRIED[end])
                found[end] += StageWork(Work(), work, 0)
        if spec.train.select is not None and spec.selects_on is not None:
            times = spec.train.select.validations(steps)
            for end, (work, _) in self.counted(spec.selects_on).items():
                found[end] += StageWork(Work(), work * times, 0)
        return found

    def _recomputes(self, spec: TrainingSpec) -> tuple[bool, bool, bool]:
        """Return whether activations are recomputed, at best, usually and at worst: `auto` decides on a GPU."""
        asked = spec.train.gradient_checkpointing
        if asked == "auto":
            return (False, self.machine.gpu, self.machine.gpu)
        return (asked, asked, asked)

    # ------------------------------------------------------------------ scores

    def scoring(self, stack: StackRef) -> Figure | None:
        """Return the seconds of a stack's scores on all benchmarks that the workspace does not have yet; None where all
        are there.
        """
        scorer = self.scorer
        known = scorer.known(stack)
        figures = [self.benchmark(task) for task in scorer.fingerprints if task not in known]
        if not figures or any(made is None for made in figures):
            return None
        total, *others = [made for made in figures if made is not None]
        for made in others:
            total = total + made
        return total

    def benchmark(self, task: str) -> Figure | None:
        """Return the seconds of one stack's score on a benchmark."""
        place = self.place(self.recipe.precision)
        counted = self.counted(task)
        costs = [cost_of(self.shape, Ranks(), Work(), work, units=requests) for work, requests in counted.values()]
        context = float(self.recipe.evaluate.max_length)
        return self._figure(kind_of(task), costs, all_samples(self.store, place), place, None, context)

    def counted(self, task: str) -> dict[str, tuple[Work, int]]:
        """Return {low, usual, high: (work, requests)} of a benchmark, counted once and remembered."""
        scorer = self.scorer
        if task.startswith(HOLDOUT):
            work = work_of(scorer.suite.holdout(task), self.recipe.evaluate.micro_tokens, on_cpu=not self.machine.gpu)
            rows = next(held.rows for held in scorer.held if held.name == task)
            return dict.fromkeys(ENDS, (work, rows))
        shares = self.backend == "transformers"
        asked = scorer.protocol(StackRef(BASE, None), task)
        about = [asked, self.recipe.evaluate.micro_tokens, self.machine.gpu, shares]
        question = f"work of {task} {digest(about)}"
        if (known := recall(self.store.memory).get(question)) is None:
            known = json.dumps(self._count(task, shares))
            remember(self.store.memory, question, known)
        return {end: (Work.from_json(work), requests) for end, (work, requests) in json.loads(known).items()}

    def _count(self, task: str, shares: bool) -> dict[str, tuple[dict[str, float], int]]:
        from statllama.evaluation.cost import count

        model = self.recipe.base.model
        config = config_of(model, self.loaded.identity["model"]) or {}
        with self.loaded.reporter.busy(f"counting what {task} asks"):
            made = count(
                self.scorer.suite.tasks[task],
                self.recipe.evaluate,
                self.loaded.tokenizer,
                config,
                on_cpu=not self.machine.gpu,
                shares=shares,
            )
        return {end: (spent.read.as_json(), spent.requests) for end, spent in made.items()}

    def drift(self, stage: PlannedStage) -> Figure | None:
        """Return the seconds in which a stage's drift is measured; None where it was."""
        if self.scorer.known_drift(stage.stack) is not None:
            return None
        place = self.place(self.recipe.precision)
        adapters = len(stage.below) + 1
        work = probe_work(probe_rows(self.loaded.tokenizer, 10**6), adapters)
        cost = cost_of(self.shape, Ranks(), Work(), work, units=0)
        return self._figure("drift", [cost] * 3, all_samples(self.store, place), place, None, 0.0)

    # ------------------------------------------------------------------ both

    def _figure(
        self,
        kind: str,
        costs: Sequence[Cost],
        samples: Sequence[Sample],
        place: Place,
        last: float | None,
        context: float,
    ) -> Figure | None:
        low, usual, high = costs
        if made := figure(kind, low, usual, high, samples, last):
            return made
        if (sheet := datasheet(self.machine)) is None:
            return None
        read = decoded_bytes(self.shape, 1, context, nf4=place.nf4, wide=place.wide)
        return from_datasheet(low, usual, high, sheet, read, self.shape.layers)


def below_of(stage: PlannedStage, planned: Sequence[PlannedStage]) -> list[Lora]:
    """Return (modules, rank) of each adapter below a stage that trains one, by the plan."""
    specs = [other.spec for key in stage.below for other in planned if other.key == key]
    return [(spec.lora.target_modules, spec.lora.r) for spec in specs if isinstance(spec, TrainingSpec)]


def total(parts: Mapping[Part, Figure]) -> Figure | None:
    """Return the seconds of all parts together; None for none."""
    figures = list(parts.values())
    if not figures:
        return None
    found = figures[0]
    for made in figures[1:]:
        found = found + made
    return found
