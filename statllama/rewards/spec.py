"""The common parts of rewards: the spec, and the type of the function made from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from statllama.config.spec import NonNegative, Spec


class RewardSpec(Spec):
    """`name` chooses the reward; a module of this folder declares its options."""

    name: str
    weight: NonNegative = 1.0
    """Factor in the sum of all rewards. 0: measured and shown, without effect on learning."""


class Reward(Protocol):
    """TRL's signature: `prompts`, `completions` and the data's columns as lists, one entry per completion."""

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """Return one reward per completion; None where a completion is not to be judged."""
        ...
