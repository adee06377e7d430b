"""Reward `length`: a soft penalty on completions beyond a target length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from statllama.config.spec import Count, Positive
from statllama.errors import TrainingError
from statllama.rewards.completions import texts
from statllama.rewards.spec import Reward, RewardSpec


class Spec(RewardSpec):
    """The start, growth and end of the penalty."""

    name: Literal["length"]
    target: Count
    """Length up to which there is no penalty, in `unit`."""
    over: Count | None = None
    """Distance beyond the target at which the whole penalty is reached, in `unit`. None: the target again."""
    penalty: Positive = 1.0
    """The whole penalty."""
    unit: Literal["tokens", "words"] = "tokens"
    """Tokens of the completion as generated (with its end-of-turn token), or words between white space."""


def make(spec: Spec) -> Reward:
    """Return the reward function: 0 up to `target`, then falling evenly to `-penalty` (as in DAPO, arXiv 2503.14476,
    eq. 13).

    >>> reward = make(Spec(name="length", target=4, unit="words"))
    >>> reward(prompts=["p"] * 3, completions=["a b c d", "a b c d e", "a " * 20])
    [0.0, -0.25, -1.0]
    """
    over = spec.over or spec.target

    def length(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        lengths = _lengths(spec, completions, columns)
        return [-spec.penalty * min(1.0, (n - spec.target) / over) if n > spec.target else 0.0 for n in lengths]

    return length


def _lengths(spec: Spec, completions: Sequence[Any], columns: dict[str, Any]) -> list[int]:
    if spec.unit == "words":
        return [len(text.split()) for text in texts(completions)]
    if columns.get("completion_ids") is None:
        raise TrainingError(
            "reward 'length' counts tokens, but was not given `completion_ids`",
            remedy="set `unit: words` in the reward, or pass the completions' token ids",
        )
    return [len(ids) for ids in columns["completion_ids"]]
