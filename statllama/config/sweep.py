"""What a study varies by itself: a grid of values, or a search through ranges."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from statllama.config.spec import Count, Spec

Number = Annotated[int | float, Field(allow_inf_nan=False)]
Values = Annotated[tuple[Any, ...], Field(min_length=1, strict=False)]
Grid = Annotated[dict[str, Values], Field(min_length=1)]
"""{field, as `--set` names it: the values that it takes}."""


class Range(Spec):
    """The numbers from `low` to `high`, both included: whole ones where both are."""

    low: Number
    high: Number
    log: bool = False
    """Draw evenly on a logarithmic scale, as for a learning rate."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"`low` {self.low:g} is not below `high` {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"`low` {self.low:g}: a logarithmic scale has no place for 0 and below")
        return self

    @property
    def whole(self) -> bool:
        """Return whether its numbers are whole ones."""
        return isinstance(self.low, int) and isinstance(self.high, int)


class SearchSpec(Spec):
    """A search for the best values, one trial after the other, each chosen by what the earlier ones scored."""

    space: Annotated[dict[str, Range | Values], Field(min_length=1)]
    """{field, as `--set` names it: a range `{low, high, log}`, or a list of values}."""
    trials: Annotated[int, Field(ge=2, le=10_000)]
    """Number of trials, pruned ones too."""
    sampler: Literal["tpe", "random"] = "tpe"
    """`tpe`: tree-structured Parzen estimators (Bergstra et al. 2011), whose first 10 trials are random; `random`."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """The same seed and scores give the same trials."""
    together: Count = 1
    """Trials that are chosen at a time, without knowing each other's scores, so that several workers have work."""
    prune: bool = False
    """End a trial early whose validation (`train.select`) is worse than the median of the earlier trials at that
    step."""

    @field_validator("space", mode="after")
    @classmethod
    def _varies(cls, value: dict[str, Any]) -> dict[str, Any]:
        for field, values in value.items():
            if isinstance(values, tuple) and len(values) < 2:
                raise ValueError(f"`{field}` has one value alone: set it in the recipe, or give a second")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.together > self.trials:
            raise ValueError(f"`together` {self.together} is above `trials` {self.trials}")
        if self.prune and self.together > 1:
            raise ValueError("`prune` compares a trial with earlier ones while it trains: set `together: 1`")
        return self


class FrontierSpec(Spec):
    """What a study's pipelines are compared by at equal gain (`evaluation/frontier.py`)."""

    gain: Annotated[str, Field(min_length=1)]
    """Hold-out (`holdout:NAME`) or benchmark that the pipelines are to raise."""
    kept: Annotated[str, Field(min_length=1)]
    """Hold-out or benchmark on which what they forget shows."""
    ladder: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    """Pipelines that differ in their intensity alone: `RECIPE` or `RECIPE:STAGE`."""


def combinations_of(grid: Grid) -> int:
    """Return the number of combinations of a grid's values."""
    return math.prod(map(len, grid.values()))


def corners(search: SearchSpec) -> tuple[dict[str, Any], ...]:
    """Return two trials at the ends of all that a search varies: what is wrong with a field shows in them."""
    low, high = {}, {}
    for field, values in search.space.items():
        ends = (values.low, values.high) if isinstance(values, Range) else (values[0], values[-1])
        low[field], high[field] = ends
    return low, high
