"""The scale of a blend, chosen on hold-outs: each is measured on the stack, and the best that keeps enough is taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from statllama.config.scale_choice import ScaleChoice
from statllama.config.selection import PREFIX
from statllama.config.stage import StageSpec
from statllama.data.holdout import Holdout
from statllama.errors import TrainingError
from statllama.evaluation.chosen import Figure, Scaled, Tried, chosen_scale
from statllama.evaluation.held_loss import per_token, prefers, row_losses
from statllama.model.base_model import scoring
from statllama.recipe import Recipe
from statllama.runs.held import HeldBack
from statllama.runs.loaded import Loaded
from statllama.runs.reporting import Reporter
from statllama.stages import stage_module

if TYPE_CHECKING:
    from statllama.model.adapter import Adapter
    from statllama.model.base_model import Base
    from statllama.runs.plan import PlannedStage


@dataclass(frozen=True)
class Found:
    """What a stack does on a hold-out."""

    loss: float
    """Nats per supervised token; of pairs that of the chosen completions."""
    accuracy: float | None
    """Of pairs the share that is ranked right."""

    @property
    def figure(self) -> Figure:
        """Return what scales are compared by."""
        return "holdout_loss" if self.accuracy is None else "holdout_accuracy"

    @property
    def value(self) -> float:
        """Return the value of that figure."""
        return self.loss if self.accuracy is None else self.accuracy


Measure = Callable[[str, Sequence["Adapter"]], Mapping[str, Found]]
"""Measures a stack, named for messages: {hold-out: what it does on it}."""


def settled_scale(
    stage: PlannedStage,
    adapters: Sequence[Adapter],
    loaded: Loaded,
    held: HeldBack,
    recipe: Recipe,
    reporter: Reporter,
) -> tuple[StageSpec, dict[str, Any]]:
    """Return a blend with one scale, and what its metrics say of the choice; where it chooses none as it is.

    `adapters`: those that it blends. TrainingError where every scale loses more than `choose.keep` allows, with all
    that was measured.
    """
    spec, choice = stage.spec, getattr(stage.spec, "choose", None)
    if not isinstance(choice, ScaleChoice):
        return spec, {}
    whole = stage_module(spec.type).make_adapter(spec, adapters, lambda *_: None).adapter
    sets = [held.holdout(name.removeprefix(PREFIX)) for name in choice.names]
    base, parents = loaded.base(recipe.precision), loaded.adapters(stage.parent.parts)
    measure = partial(_measured, spec.name, base, sets, recipe.evaluate.micro_tokens, reporter)
    found = choose_scale(spec.name, choice, spec.scales, whole, parents, measure)  # type: ignore[attr-defined]
    base.check_unchanged()
    settled = spec.model_copy(update={"scale": found.scale, "scales": (), "choose": None})
    return settled, {"scaled": found.as_json()}


def choose_scale(
    name: str,
    choice: ScaleChoice,
    scales: Sequence[float],
    whole: Adapter,
    parents: Sequence[Adapter],
    measure: Measure,
) -> Scaled:
    """Return the choice among `scales` of the blend `whole`, which is at scale 1. See `settled_scale`."""
    before = measure("the stack below", parents)
    tried = []
    for scale in scales:
        after = measure(f"scale {scale:g}", (*parents, whole.scaled(scale)))
        lost = {each: after[each].loss - before[each].loss for each in choice.keep}
        tried.append(Tried(scale, after[choice.on].value, lost))
    figure = before[choice.on].figure
    found = chosen_scale(choice.on, figure, before[choice.on].value, tried, choice.keep)
    if found is None:
        most = ", ".join(f"{nats:g} on {each}" for each, nats in choice.keep.items())
        table = "\n".join(f"  {one.said(figure, choice.on)}" for one in tried)
        smaller = ", ".join(f"{scale:g}" for scale in (min(scales) / 4, min(scales) / 2, *scales))
        raise TrainingError(
            f"stage {name}: each of its scales loses more than `choose.keep` allows (nats per token: {most}):\n{table}",
            remedy=f"try smaller ones, as in --set 'stages.{name}.scales=[{smaller}]', or allow more in `choose.keep`",
        )
    return found


def _measured(
    stage: str,
    base: Base,
    sets: Sequence[Holdout],
    micro_tokens: int,
    reporter: Reporter,
    what: str,
    adapters: Sequence[Adapter],
) -> Mapping[str, Found]:
    with scoring(base, adapters) as model:
        return dict(_each(stage, model, base, sets, micro_tokens, reporter, what))


def _each(
    stage: str,
    model: Any,
    base: Base,
    sets: Sequence[Holdout],
    micro_tokens: int,
    reporter: Reporter,
    what: str,
) -> Iterator[tuple[str, Found]]:
    for held in sets:
        on, pairs = PREFIX + held.name, held.kind == "preferences"
        with reporter.busy(f"{stage}: {what} on {on}"):
            rows: Any = held.dataset
            pad: Any = base.tokenizer.pad_token_id or 0
            losses = row_losses(model, rows, held.kind, micro_tokens=micro_tokens, pad=pad)
        parts = [part for one in losses for part in (one if pairs else (one,))]
        if not all(math.isfinite(part.loss) for part in parts):
            raise TrainingError(
                f"stage {stage}: the predictions of {what} on {on} are not numbers, so it has no loss",
                remedy=f"leave that scale out of `scales` of stage {stage}, or train what it blends more gently",
            )
        accuracy = sum(map(prefers, losses)) / len(losses) if pairs else None
        yield on, Found(per_token([one[0] for one in losses] if pairs else losses), accuracy)
