"""A blend: the weighted mean of adapters that stand on the same stages, as one adapter on those stages.

It trains nothing and reads no data. Its stack is the siblings' parents and the blend; the siblings are not below it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from statllama.config.keyed import Unkeyed
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
    of: Annotated[dict[str, Positive], Field(min_length=2), Unkeyed()]
    """{stage: weight}: stages on the same parents. Weights are relative to each other: 2 and 3 are 0.4 and 0.6. Not in
    the key by name: the stages' keys with their shares are."""
    method: Literal["linear", "ties", "dare"] = "linear"
    """`linear`: of the updates, exactly. `ties`: arXiv 2306.01708. `dare`: arXiv 2311.03099."""
    density: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the entries of each update that `ties` and `dare` keep."""
    scale: Positive = 1.0
    """Factor on the result."""
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
        return self

    @property
    def siblings(self) -> tuple[str, ...]:
        """Return the stages that it blends."""
        return tuple(self.of)

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
