"""Measure how fast this machine is: a few real steps of each type of stage, a few items of each benchmark.

Real base, slice, rows and trainer, at two sizes: the recipe's steps, and steps of a quarter of their rows and tokens.
What is measured is remembered a part at a time; nothing is trained that anybody keeps, and no score is recorded.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from statllama.config.metrics import HOLDOUT
from statllama.config.stage import TrainingSpec
from statllama.data.work import Work
from statllama.errors import Interrupted, UsageError
from statllama.evaluation.probe import probe_work
from statllama.runs.forecast.device import Device
from statllama.runs.forecast.operations import Ranks
from statllama.runs.forecast.samples import Place, Sample, cost_of, keep, kind_of
from statllama.runs.forecast.timing import Lora, Timing, below_of
from statllama.runs.subject import BASE, StackRef
from statllama.stages import stage_module
from statllama.train.job import Job, StepEvent

if TYPE_CHECKING:
    from statllama.data.holdout import Holdout
    from statllama.model.adapter import Adapter
    from statllama.model.base_model import Base
    from statllama.runs.plan import PlannedStage
    from statllama.runs.signals import StopSignal

QUARTERS = (4, 1)  # of a step's rows and tokens
STEPS = 8  # at most, after the first, which warms up
SECONDS = 6.0  # after which one more step ends it
ITEMS = (8, 32)  # of a benchmark
TEXTS = (12, 4)  # every so many of the probe texts


def require_here(device: Device) -> None:
    """Raise UsageError for a device that is not this machine's: it cannot be measured."""
    if not device.here:
        raise UsageError(
            f"--calibrate measures this machine, and --on names another device ({device.name})",
            remedy="leave --on out here; or give --calibrate on the machine that has it",
        )


def calibrate(
    timing: Timing, planned: Sequence[PlannedStage], stop: StopSignal, known: Collection[str] = ()
) -> list[Sample]:
    """Measure every type of stage that would be trained, and every benchmark, and remember it in the workspace.

    `known`: kinds of samples that are left out. Interrupted when asked to stop: what was measured by then is kept.
    """
    found: list[Sample] = []
    waiting = [stage for stage in planned if not stage.cached] or list(planned)
    for stage in {s.spec.type: s for s in reversed(waiting) if isinstance(s.spec, TrainingSpec)}.values():
        if stage.spec.type in known:
            continue
        with timing.loaded.reporter.busy(f"calibrating {stage.spec.type} stages"):
            found += _kept(timing, stage.spec, _stage(timing, stage, planned, stop))
    for task in {kind_of(task): task for task in timing.scorer.fingerprints}.values():
        stop.obey()
        if kind_of(task) in known:
            continue
        with timing.loaded.reporter.busy(f"calibrating {task}"):
            found += _kept(timing, None, _benchmark(timing, task))
    stop.obey()
    if "drift" not in known:
        with timing.loaded.reporter.busy("calibrating drift"):
            found += _kept(timing, None, _drift(timing))
    return found


def _kept(timing: Timing, spec: object, samples: Iterator[Sample]) -> list[Sample]:
    precision = spec.train.precision if isinstance(spec, TrainingSpec) else timing.recipe.precision
    found = list(samples)
    keep(timing.store, timing.place(precision), found)
    return found


# ------------------------------------------------------------------ stages


@dataclass
class _Watch:
    """When each step of a short training ended, and when to stop it."""

    stop: StopSignal
    began: float
    events: list[tuple[float, StepEvent]] = field(default_factory=list)

    def step(self, event: StepEvent) -> None:
        self.events.append((time.monotonic(), event))

    def enough(self) -> bool:
        """Return whether to stop after the step under way, whose event is still to come."""
        if self.stop.requested():
            return True
        return len(self.events) >= STEPS or (bool(self.events) and self.events[-1][0] - self.began > SECONDS)


def _stage(timing: Timing, stage: PlannedStage, planned: Sequence[PlannedStage], stop: StopSignal) -> Iterator[Sample]:
    """Yield the samples of short trainings of a stage: its start with the first step, then each further step."""
    from statllama.train import training

    spec = stage.spec
    assert isinstance(spec, TrainingSpec)
    base, below = timing.loaded.base(spec.train.precision), below_of(stage, planned)
    lora = spec.lora
    ranks, parents = Ranks.of(lora.target_modules, lora.r, below, lora.layers), _blank(base, below)
    prepared, place = timing.prepare(spec), timing.place(spec.train.precision)
    dataset = prepared.dataset
    for quarters in QUARTERS:
        watch = _Watch(stop, time.monotonic())
        with timing.store.scratch() as folder, suppress(Interrupted), stop.deferred():
            job = Job(
                spec=_short(spec, quarters, len(dataset)),
                base=base,
                parents=parents,
                dataset=dataset,
                left_out=prepared.report.left_out > 0,
                data_kind=stage_module(spec.type).DATA_KIND,
                folder=folder,
                root=timing.recipe.root,
                trust_local_code=timing.recipe.trust_local_code,
                on_step=watch.step,
                stop_requested=watch.enough,
            )
            watch.began = time.monotonic()
            training.run(job, stage_module(spec.type))
        stop.obey()
        yield from _steps(place, spec, ranks, watch)


def _short(spec: TrainingSpec, quarters: int, rows: int) -> TrainingSpec:
    """Return the stage with so many quarters of its rows and tokens a step, and no end of its own."""
    unit = getattr(spec, "generations", 1)  # completions of one prompt stay together
    batch = spec.train.batch_size * quarters // 4 // unit * unit
    batch = min(spec.train.batch_size, max(unit, 2, batch))  # kto compares an answer with another row's
    train = spec.train.model_copy(
        update={
            "steps": max(3, min(10 * STEPS, rows // batch)),  # no row twice: its reference would be computed first
            "epochs": None,
            "warmup": 0.0,
            "batch_size": batch,
            "micro_tokens": max(1, spec.train.micro_tokens * quarters // 4),
            "checkpoint_every": 10**6,
            "select": None,
        }
    )
    return spec.model_copy(update={"train": train, "drift": None, "replay": None, "anchor": None})


def _steps(place: Place, spec: TrainingSpec, ranks: Ranks, watch: _Watch) -> Iterator[Sample]:
    then, trained, read = watch.began, Work(), Work()
    for number, (now, event) in enumerate(watch.events):
        cost = cost_of(
            place.shape,
            ranks,
            event.trained - trained,
            event.read - read,
            units=1,
            starts=not number,
            recomputes=event.recomputes,
        )
        yield Sample(spec.type, cost, now - then, "calibrated")
        then, trained, read = now, event.trained, event.read


def _blank(base: Base, below: Sequence[Lora]) -> tuple[Adapter, ...]:
    """Return adapters without effect, of the sizes that those below the stage will have."""
    import torch

    from statllama.model.adapter import Adapter, Slice

    found = []
    for modules, rank in below:
        slices = {}
        for name, module in base.model.named_modules():
            if name.rpartition(".")[2] in modules:
                a, b = torch.randn(rank, module.in_features), torch.zeros(module.out_features, rank)
                slices[name] = Slice(a, b, 1.0)
        found.append(Adapter(slices))
    return tuple(found)


# ------------------------------------------------------------------ scores


def _benchmark(timing: Timing, task: str) -> Iterator[Sample]:
    """Yield the samples of scoring the first items of a benchmark, or rows of a hold-out, with the bare base."""
    from statllama.evaluation.suite import Suite

    place, asked = timing.place(timing.recipe.precision), timing.recipe.evaluate
    for items in ITEMS:
        if asked.limit is not None and items > asked.limit:
            return
        if task.startswith(HOLDOUT):
            suite = Suite((), asked, holdouts=partial(_first_rows, timing.scorer.suite.holdout(task), items))
        else:
            suite = Suite([timing.scorer.suite.tasks[task]], asked.model_copy(update={"limit": items}))
        suite.load(task)
        with timing.scorer.attached(StackRef(BASE, None)) as model:
            score = suite.score(task, model, timing.loaded.tokenizer)
        cost = cost_of(place.shape, Ranks(), Work(), suite.spent.read, units=suite.spent.asked)
        yield Sample(kind_of(task), cost, score.seconds, "calibrated")
        if score.n < items:
            return


def _first_rows(held: Holdout, count: int) -> tuple[Holdout]:
    rows = min(count, len(held.ids))
    return (replace(held, dataset=held.dataset.select(range(rows)), ids=held.ids[:rows]),)


def _drift(timing: Timing) -> Iterator[Sample]:
    """Yield the samples of measuring the drift of a slice without effect on a part of the probe texts."""
    from statllama.evaluation.drift import measure, rows_for
    from statllama.model.base_model import scoring

    place, base = timing.place(timing.recipe.precision), timing.loaded.base(timing.recipe.precision)
    adapters = _blank(base, [(tuple(place.shape.matrices), 16)])
    with scoring(base, adapters) as model:
        for every in TEXTS:
            rows = rows_for(base)[::every]
            began = time.perf_counter()
            measure(model, adapters, rows)
            seconds = time.perf_counter() - began
            cost = cost_of(place.shape, Ranks(), Work(), probe_work(rows, len(adapters)), units=0)
            yield Sample("drift", cost, seconds, "calibrated")
