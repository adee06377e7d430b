"""What would stop a planned run, in the words in which `run` says it, and what is likely to spoil it. Loads no torch.

Unless torch is a build for GPUs and has to say whether this machine has one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from statllama.config.stage import TrainingSpec
from statllama.errors import StatllamaError
from statllama.model.identity import config_of
from statllama.recipe import Recipe
from statllama.runs.plan import PlannedStage
from statllama.stages import stage_module
from statllama.train.preflight import require_layers, require_length, require_optimizer
from statllama.train.trackers import require_trackers

# Learning rates of LoRA in practice: QLoRA (arXiv 2305.14314, table 9) and Unsloth's guide have 2e-4 for supervised
# tuning and 5e-6 for preferences and rewards; small models take about ten times that (the quickstart's 3.5 M
# parameters: 3e-3, 8e-4). (usual, the most that is not warned of)
RATES: Mapping[str, tuple[float, float]] = {
    "documents": (2e-4, 5e-3),
    "conversations": (2e-4, 5e-3),
    "preferences": (5e-6, 1e-3),
    "judgements": (5e-6, 1e-3),
    "questions": (5e-6, 1e-3),
}
MANY_PASSES = 20
LONG_WARMUP = 0.5  # of all steps


@dataclass(frozen=True)
class Advice:
    """One thing that is wrong with a planned run."""

    text: str
    remedy: str | None
    stops: bool
    """Whether `run` would stop because of it."""

    def __str__(self) -> str:
        return self.text if self.remedy is None else f"{self.text} ({self.remedy})"


def advise(
    recipe: Recipe, planned: Sequence[PlannedStage], sizes: Mapping[str, tuple[int, int]], cuda: bool | None = None
) -> tuple[Advice, ...]:
    """Return everything that would stop the stages that are to run, then what is likely to spoil them.

    `sizes`: {stage: (prepared rows, optimizer steps)} of those that train. `cuda`: whether the machine that they are to
    run on has CUDA; None asks this one.
    """
    waiting = [stage for stage in planned if not stage.cached and isinstance(stage.spec, TrainingSpec)]
    if not waiting:
        return ()
    positions, width, layers = limits(recipe, waiting[0].fixed.own["base"])
    found = list(_stopping(partial(require_trackers, recipe.report_to)))
    for spec in (stage.spec for stage in waiting):
        assert isinstance(spec, TrainingSpec)
        found += _stopping(partial(require_optimizer, spec, cuda))
        found += _stopping(partial(require_length, spec, positions)) if positions is not None else ()
        found += _stopping(partial(require_layers, spec, layers)) if layers is not None else ()
        found += warnings(spec, *sizes[spec.name], width)
    return tuple(sorted(found, key=lambda advice: not advice.stops))


def limits(recipe: Recipe, identity: Mapping[str, Any]) -> tuple[int | None, int | None, int | None]:
    """Return the positions, the width (hidden size) and the layers of the recipe's base; None for what its config does
    not say.
    """
    config = config_of(recipe.base.model, identity["model"]) or {}
    found = (config.get(name) for name in ("max_position_embeddings", "hidden_size", "num_hidden_layers"))
    positions, width, layers = (value if type(value) is int and value > 0 else None for value in found)
    return positions, width, layers


def _stopping(check: Callable[[], Any]) -> Iterator[Advice]:
    try:
        check()
    except StatllamaError as error:
        yield Advice(error.message, error.remedy, stops=True)


def warnings(spec: TrainingSpec, rows: int, steps: int, width: int | None = None) -> Iterator[Advice]:
    """Yield what is likely to spoil a stage of so many steps over so many prepared rows.

    `width`: the base's hidden size.
    """
    train, field = spec.train, f"--set stages.{spec.name}.train"

    def warn(text: str, remedy: str) -> Advice:
        return Advice(f"stage {spec.name}: {text}", remedy, stops=False)

    usual, most = RATES[stage_module(spec.type).DATA_KIND]
    if train.learning_rate > most:
        yield warn(
            f"a learning rate of {train.learning_rate:g} is far above what {spec.type} with LoRA is trained with "
            f"(about {usual:g}, small models ten times that), so the loss is likely to run away",
            f"{field}.learning_rate={usual:g}",
        )
    warm = math.ceil(train.warmup * steps) if train.warmup < 1 else int(train.warmup)
    if train.learning_rate and warm >= steps:
        which = "its only step is" if steps == 1 else f"all its {steps:,} steps are"
        yield warn(
            f"{which} warm-up, which begins at a rate of 0, so it never reaches its learning rate",
            f"{field}.warmup=0",
        )
    elif warm > LONG_WARMUP * steps:
        yield warn(f"{warm:,} of its {steps:,} steps are warm-up", f"{field}.warmup=0.1")
    each = spec.rows_per_epoch(rows)
    if train.batch_size > each:
        yield warn(
            f"batch_size {train.batch_size:,} is above its {each:,} {spec.rows_are}, so a pass over them is one step",
            f"{field}.batch_size={max(1, each // 8)}",
        )
    elif (passes := steps * train.batch_size / max(1, each)) > MANY_PASSES:
        yield warn(
            f"{steps:,} steps of {train.batch_size:,} are {passes:,.0f} passes over {each:,} {spec.rows_are}, which it "
            "will learn by heart",
            f"{field}.epochs=3" if train.steps is None else f"{field}.steps={math.ceil(3 * each / train.batch_size)}",
        )
    if width is not None and spec.lora.r > width:
        yield warn(
            f"rank {spec.lora.r:,} is above the base's width of {width:,}: no more than that can be learned",
            f"--set stages.{spec.name}.lora.r=16",
        )
