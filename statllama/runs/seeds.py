"""The further runs of a study's recipes: each a recipe of its own, the same but for its name and some seeds.

Run 1 is the recipe itself, so results that are there count. In run k every repeated stage has its own seed plus k - 1.
Stages that are not repeated keep theirs, and with it their key: what stands below the first repeated stage is trained
once. What stands on a repeated stage is trained anew in each run, under its own seed where it is not repeated itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from statllama.config.stage import StageSpec, TrainingSpec
from statllama.errors import UsageError
from statllama.recipe import Recipe

SEEDS = 2**32
"""A seed is below this."""
LONGEST = 64
"""Characters of a recipe's name."""


@dataclass(frozen=True)
class RecipeRun:
    """One training of a recipe."""

    of: str
    """Name of the recipe."""
    number: int
    """From 1."""
    recipe: Recipe
    """In run 1 the recipe itself; in a later one called `NAME.run2`, with other seeds."""
    repeated: frozenset[str] = frozenset()
    """Names of the stages that have other seeds in other runs."""

    def repeats(self, part: Recipe) -> bool:
        """Return whether some stage of this part of the recipe is repeated."""
        return any(stage.name in self.repeated for stage in part.stages)


def runs_of(recipe: Recipe, seeds: int, stages: Sequence[str] | None) -> tuple[RecipeRun, ...]:
    """Return `seeds` runs of a recipe; one where it has none of `stages` (None: all that draw numbers).

    UsageError when its name is too long to name its runs.
    """
    chosen = [stage for stage in recipe.stages if stages is None or stage.name in stages]
    repeated = frozenset(stage.name for stage in chosen if _seed(stage) is not None)
    found = [RecipeRun(recipe.name, 1, recipe, repeated)]
    for number in range(2, seeds + 1) if repeated else ():
        name = f"{recipe.name}.run{number}"
        if len(name) > LONGEST:
            raise UsageError(f"the recipe's run {number} would be called {name!r}: give the recipe a shorter `name`")
        found.append(RecipeRun(recipe.name, number, _reseeded(recipe, name, repeated, number - 1), repeated))
    return tuple(found)


def _seed(stage: StageSpec) -> int | None:
    """Return the stage's seed; None for a stage that draws nothing."""
    if isinstance(stage, TrainingSpec):
        return stage.train.seed
    return stage.seed if getattr(stage, "method", None) == "dare" else None  # type: ignore[attr-defined, no-any-return]


def _reseeded(recipe: Recipe, name: str, repeated: frozenset[str], step: int) -> Recipe:
    """Return the recipe under that name, the seeds of its repeated stages higher by `step`; its overrides say so."""
    stages, said = list(recipe.stages), [f"name={name}"]
    for i, stage in enumerate(stages):
        before = _seed(stage)
        if stage.name not in repeated or before is None:
            continue
        seed = (before + step) % SEEDS
        update: dict[str, Any] = {"seed": seed}
        if isinstance(stage, TrainingSpec):
            update = {"train": stage.train.model_copy(update=update)}
        stages[i] = stage.model_copy(update=update)
        said.append(f"stages.{stage.name}.{'train.seed' if 'train' in update else 'seed'}={seed}")
    changes = {"name": name, "stages": tuple(stages), "overrides": (*recipe.overrides, *said)}
    return recipe.model_copy(update=changes)
