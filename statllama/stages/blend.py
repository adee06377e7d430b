"""A blend: the weighted mean of adapters that stand on the same stages, as one adapter on those stages.

Of one stage it is that stage's adapter at another size: interpolation between its parents and it (arXiv 2109.01903).
It trains nothing and reads no data. Its stack is the siblings' parents and the blend; the siblings are not below it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from statllama.config.keyed import AddedLater, Unkeyed
from statllama.config.scale_choice import ScaleChoice
from statllama.config.spec import Count, Positive, shares_of
from statllama.config.stage import StageSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from statllama.model.adapter import Adapter
    from statllama.model.blending import Blend

NUMERICS = 1


class Spec(StageSpec):
    """`blend` names the adapters and the method that combines them."""

    type: Literal["blend"]
    of: Annotated[dict[str, Positive], Field(min_length=1), Unkeyed()]
    """{stage: weight}: stages on the same parents, or one stage. Weights are relative to each other: 2 and 3 are 0.4
    and 0.6. Not in the key by name: the stages' keys with their shares are."""
    method: Literal["linear", "ties", "dare"] = "linear"
    """`linear`: of the updates, exactly. `ties`: arXiv 2306.01708. `dare`: arXiv 2311.03099."""
    density: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the entries of each update that `ties` and `dare` keep."""
    scale: Positive = 1.0
    """Factor on the result."""
    scales: Annotated[tuple[Positive, ...], Field(strict=False), AddedLater()] = ()
    """Factors to choose from, in place of `scale`: see `choose`."""
    choose: Annotated[ScaleChoice | None, AddedLater()] = None
    """The hold-outs on which one of `scales` is chosen. None: `scale` is the factor."""
    rank: Count | None = None
    """Rank of the blend. None: the sum of its adapters' ranks, at which `linear` loses nothing."""
    seed: Annotated[int, Field(ge=0, lt=2**32), Unkeyed(unless=("method", "dare"))] = 42
    """Seed of `dare`'s dropping. Not in the key of the other methods, which draw nothing."""

    @model_validator(mode="after")
    def _blend_rules(self) -> Self:
        if self.method == "linear" and self.density != 1:
            raise ValueError("`density` is for `ties` and `dare`; `linear` keeps all of each update")
        if self.name in self.of:
            raise ValueError(f"a blend cannot blend itself ({self.name})")
        first, *others = self.of
        if not others and self.method != "linear":
            raise ValueError(f"`{self.method}` is for what several stages disagree on, and `of` names {first} alone")
        if not others and self.scale == 1 and self.rank is None and not self.scales:
            raise ValueError(f"`of` names {first} alone, at full size: add `scale`, or name another stage")
        return self

    @field_validator("scales", mode="after")
    @classmethod
    def _each_once(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if twice := sorted({scale for scale in value if value.count(scale) > 1}):
            raise ValueError(f"{twice[0]:g} is listed twice")
        return tuple(sorted(value))  # in the key: the order means nothing

    @model_validator(mode="after")
    def _choice_rules(self) -> Self:
        if self.choose is not None and not self.scales:
            raise ValueError("`choose` needs what to choose from, as in `scales: [0.25, 0.5, 0.75, 1.0]`")
        if self.scales and self.choose is None:
            raise ValueError("`scales` needs what they are chosen on, as in `choose: {on: holdout:NAME}`")
        if self.scales and self.scale != 1:
            raise ValueError(f"`scales` are chosen from, so there is no `scale` ({self.scale:g}) beside them")
        return self

    @property
    def siblings(self) -> tuple[str, ...]:
        """Return the stages that it blends."""
        return tuple(self.of)

    @property
    def chosen_on(self) -> tuple[str, ...]:
        """Return the hold-outs that its scale is chosen on."""
        return () if self.choose is None else self.choose.names

    @property
    def shares(self) -> tuple[float, ...]:
        """Return the weights, as shares of 1."""
        return shares_of(tuple(self.of.values()))


def make_adapter(spec: Spec, adapters: Sequence[Adapter], on_module: Callable[[int, int], None]) -> Blend:
    """Blend `adapters`, in the order of `spec.of`. TrainingError when nothing would change."""
    from statllama.model.blending import blend

    return blend(
        adapters,
        spec.shares,
        spec.method,
        density=spec.density,
        scale=spec.scale,
        rank=spec.rank,
        seed=spec.seed,
        on_module=on_module,
    )
