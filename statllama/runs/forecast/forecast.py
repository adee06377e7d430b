"""What each stage of a plan will need: memory of a device, the token budget that fits it, disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from statllama.config.stage import StageSpec, TrainingSpec
from statllama.data.budget import split
from statllama.data.generated import ROWS
from statllama.data.lengths import lengths
from statllama.model.architectures import architecture_of
from statllama.model.identity import config_of
from statllama.model.shape import Shape, shape_of
from statllama.runs.forecast.device import Device
from statllama.runs.forecast.disk import Disk, disk
from statllama.runs.forecast.figure import Figure
from statllama.runs.forecast.remedies import Remedy, remedies, smallest
from statllama.stages import stage_module
from statllama.train.fit import (
    Place,
    Rows,
    device_bytes,
    largest_budget,
    needs_beside,
    recomputed,
    setting_of,
    stage_need,
)
from statllama.train.memory import Pass, generation, need
from statllama.train.steps import steps_of

if TYPE_CHECKING:
    from statllama.data.prepare import Prepared
    from statllama.recipe import Recipe
    from statllama.runs.plan import PlannedStage

SAMPLED = 64  # optimizer steps whose passes are drawn, for what is usual
BASES = {  # where: (what the figure rests on, its error when last checked: `benchmarks/memory_forecast.py`)
    "transformers": ("arithmetic, checked on 12 published runs of a GPU", 0.014),
    "unsloth": ("arithmetic; of Unsloth's kernels not measured", None),
    "cpu": ("arithmetic, checked on stages on a CPU", 0.2),
}


@dataclass(frozen=True)
class StageForecast:
    """What a stage will need."""

    name: str
    type: str
    disk: Disk
    memory: Figure | None = None
    """Bytes of the device at the peak; None for a stage that trains nothing, or not again."""
    static: float = 0.0
    """Bytes of it that are held all through training."""
    phase: str = ""
    """When that is: `loss`, `last layer`, `generation` and so on."""
    recompute: bool = False
    """Whether activations are recomputed."""
    budget: int = 0
    """The largest token budget whose worst case fits, 0 where not even one row does."""
    whole: bool = False
    """Whether a whole optimizer step fits as one pass."""
    asked: int = 0
    """`train.micro_tokens`."""
    least: float = 0.0
    """Bytes of the smallest device of this kind on which its smallest pass fits at worst."""
    remedies: tuple[Remedy, ...] = ()
    """What would make it fit, where it does not."""
    cached: bool = False
    """Whether its result is in the workspace."""

    @property
    def fits(self) -> bool:
        """Return whether at least one row at a time fits."""
        return self.budget > 0


def forecast(
    recipe: Recipe,
    planned: Sequence[PlannedStage],
    prepare: Callable[[TrainingSpec], Prepared],
    device: Device,
) -> dict[str, StageForecast]:
    """Return what each planned stage will need on a device.

    `prepare`: returns a stage's rows; not asked for a stage with a result, unless the device is another machine's.
    ModelError where the base's config.json cannot be had.
    """
    base = planned[0].material["base"]
    body = config_of(recipe.base.model, base["model"])
    shape = shape_of(body or {}, f"the base model {recipe.base.model}")
    backend = _backend(device, architecture_of(body or {}, recipe.base.model).unsloth)
    ranks: dict[str, int] = {}
    with_rows = {one.key for one in planned if isinstance(one.spec, TrainingSpec) and one.spec.lora.token_rows}
    found: dict[str, StageForecast] = {}
    earlier = 0.0
    for stage in planned:
        spec = stage.spec
        ranks[stage.key] = _rank(spec, [ranks[key] for key in stage.siblings])
        if not isinstance(spec, TrainingSpec) or (stage.cached and device.here):
            wrote = Disk(disk(shape, spec, 0, rank=ranks[stage.key]).adapter)
            found[spec.name] = StageForecast(spec.name, spec.type, wrote, cached=stage.cached)
            continue
        place = Place(
            cuda=device.cuda,
            backend=backend,
            quantization=recipe.base.quantization,
            compute=device.compute_type(spec.train.precision),
            below=sum(ranks[key] for key in stage.below),
            rows_below=any(key in with_rows for key in stage.below),
        )
        made = _of_stage(shape, spec, place, device, prepare(spec))
        assert made.memory is not None
        left = place.overhead.left * earlier
        memory = replace(made.memory, usual=made.memory.usual + left, high=made.memory.high + left)
        found[spec.name] = replace(made, memory=memory)
        earlier = max(earlier, made.memory.low - place.overhead.fixed - made.static)
    return found


def _of_stage(shape: Shape, spec: TrainingSpec, place: Place, device: Device, data: Prepared) -> StageForecast:
    known = lengths(data.dataset, stage_module(spec.type).DATA_KIND)
    joined = place.cuda and place.backend == "unsloth" and spec.type in ("cpt", "sft")
    replay = None if data.replay is None else data.replay.lengths
    rows, steps = Rows.of(spec, known, joined=joined, replay=replay), steps_of(spec, len(data.dataset))
    free = device.free
    again = recomputed(shape, spec, free, place, rows)
    budget = largest_budget(shape, spec, free, place, rows, again)
    used = max(rows.item(spec), min(spec.train.micro_tokens, budget))
    worst = stage_need(shape, spec, place, rows, used, again, free)
    setting = setting_of(shape, spec, place, rows, again)
    drawn = [need(setting, one, free - place.overhead.fixed).allocated for one in _drawn(spec, rows, used)]
    # Of so many steps the largest: half of all runs stay below it.
    usual = float(np.quantile(drawn, 0.5 ** (1 / max(1, steps)))) if drawn else worst.allocated
    beside = needs_beside(setting, spec, rows, used, free - place.overhead.fixed)
    usual = max([usual, *(one.allocated for one in beside)])
    most = worst.allocated
    if data.replay is not None and data.replay.awaited is not None:  # fewer rows at a time if need be
        writing = generation(replace(setting, generated=ROWS), int(data.replay.awaited.tokens.max()))
        writing = min(writing, free - place.overhead.fixed)
        usual, most = max(usual, writing), max(most, writing)
    high = device_bytes(most, place)[1]
    low, middle = place.overhead.fixed + usual, device_bytes(min(usual, most), place)[0]
    figure = Figure(middle, min(low, middle), high, *BASES[place.backend if place.cuda else "cpu"])
    return StageForecast(
        name=spec.name,
        type=spec.type,
        disk=disk(shape, spec, steps, float(data.dataset.data.nbytes)),
        memory=figure,
        static=worst.static,
        phase=worst.phase,
        recompute=again,
        budget=budget,
        whole=budget >= rows.whole(spec),
        asked=spec.train.micro_tokens,
        least=smallest(shape, spec, place, rows, free),
        remedies=remedies(shape, spec, place, rows, free),
    )


def _drawn(spec: TrainingSpec, rows: Rows, budget: int) -> list[Pass]:
    """Return the largest passes of some steps whose rows are drawn as an epoch draws them; none where lengths are not
    known.
    """
    known = rows.lengths
    if known is None or rows.joined or spec.type == "grpo":
        return []
    draw, batch = np.random.default_rng(spec.train.seed), spec.train.batch_size
    found = []
    for _ in range(SAMPLED):
        sizes = known.tokens[draw.permutation(len(known))[:batch]].tolist()
        groups = split(sizes, budget, known.rows)
        passes = [(len(group) * known.rows, max(sizes[i] for i in group)) for group in groups]
        tokens, width = max((count * width, width) for count, width in passes)
        found.append(Pass(tokens, width, alone=len(groups) == 1))
    return found


def _backend(device: Device, supported: bool) -> Literal["transformers", "unsloth"]:
    """Return the backend that a run on the device takes: the one of this computer's, else Unsloth where it can."""
    wanted = os.environ.get("STATLLAMA_BACKEND")
    if not device.cuda:
        return "transformers"
    if device.here or wanted:
        from statllama.model.base_model import choose_backend

        return choose_backend()
    return "unsloth" if supported else "transformers"


def _rank(spec: StageSpec, siblings: Sequence[int]) -> int:
    """Return the rank of a stage's adapter; a blend has that of its siblings together, unless it says another."""
    if isinstance(spec, TrainingSpec):
        return spec.lora.r
    return getattr(spec, "rank", None) or sum(siblings)
