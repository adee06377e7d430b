"""Why a batch of `grpo` teaches nothing: what the rewards of all its completions have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

SAME = 1e-8  # rewards that differ by less are the same


def why_unvaried(
    spec: Any, names: Sequence[str], rewards: Tensor, ids: Sequence[Sequence[int]], stops: Sequence[int]
) -> str:
    """Name what all completions of a batch have in common. `rewards`: (completions, rewards), NaN where not
    judged.
    """
    reasons = []
    groups = [ids[i : i + spec.generations] for i in range(0, len(ids), spec.generations)]
    if all(len({tuple(one) for one in group}) == 1 for group in groups):
        reasons.append("each prompt's completions are the same text (raise `temperature`)")
    if all(one[-1] not in stops for one in ids):
        reasons.append(f"all are cut at `max_completion_length` {spec.max_completion_length}")
    for reward, name, column in zip(spec.rewards, names, rewards.T, strict=True):
        known = column[~column.isnan()]
        if not len(known):
            reasons.append(f"{name} judged none")
        elif float(known.max() - known.min()) <= SAME:
            reasons.append(f"{name} is {_said(reward, float(known[0]))} for all")
        else:
            reasons.append(f"{name} is {float(known.min()):g} to {float(known.max()):g}, alike for each prompt")
    return "; ".join(reasons)


def _said(reward: Any, value: float) -> str:
    """Return a reward's value, with what it stands for where its options say so (`correct: 2.0`)."""
    meaning = [
        name.replace("_", " ")
        for name, option in reward.model_dump(exclude={"weight"}).items()
        if name in ("correct", "wrong", "no_answer") and math.isclose(option, value, rel_tol=1e-6)
    ]
    return f"{value:g}" + (f" ({meaning[0]})" if meaning else "")
