"""Rewards for GRPO: pure functions in TRL's signature, chosen in a recipe by name, with a weight and options.

    rewards:
      - {name: correctness, rtol: 0.01}
      - {name: format, weight: 0.5}
      - {name: length, target: 200}

| name | says | range | options (default) |
|---|---|---|---|
| `correctness` | the final answer agrees with the row's own | 2.0, -1.5, none: -1.0 | `column` (answer), \
`rtol` (0.01), `atol` (1e-4), `fuzzy` (85), `last_number` (false), `whole` (false), `correct`, `wrong`, `no_answer` |
| `format` | `<reasoning>` and `<answer>`, once, in order, filled, nothing after | -0.75 to 1.25 | |
| `reasoning` | length, connectives, statistical terms | -0.5 to 1.1 | `words` (40) |
| `length` | 0 up to a target, then down to the penalty | -penalty to 0 | `target`, `over` (target), `penalty` (1.0), \
`unit` (tokens) |
| `local` | a user's own `module:function`, with `--trust-local-code` | its own | `function`, `options` |

All have `weight` (1.0). A reward is a module here with `Spec`, its options, and `make(spec)`, its function; it is added
to `AnyReward` and `_MAKERS`. `build` makes the function of a spec; what it returns is checked at every call.
A row's `value` and `tolerance` (columns of generated problems) replace `rtol` and `atol` for that row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from statllama.rewards import correctness, format, length, local, reasoning
from statllama.rewards.checked import checked
from statllama.rewards.local import load_local
from statllama.rewards.spec import Reward, RewardSpec
from statllama.store.versions import installed_version

#: Raised when a reward would judge the same completion otherwise: a stage trained by rewards has it in its key.
REWARDS_VERSION = 2

#: The type of an item of a recipe's `rewards`.
AnyReward = Annotated[
    correctness.Spec | format.Spec | reasoning.Spec | length.Spec | local.Spec, Field(discriminator="name")
]

_MAKERS: dict[str, Callable[[Any], Reward]] = {
    "correctness": correctness.make,
    "format": format.make,
    "length": length.make,
    "reasoning": reasoning.make,
}

__all__ = [
    "REWARDS_VERSION",
    "AnyReward",
    "Reward",
    "RewardSpec",
    "build",
    "checked",
    "libraries",
    "load_local",
    "required_columns",
    "reward_names",
]


def reward_names() -> list[str]:
    """Return the names that a recipe may write for a reward."""
    return sorted([*_MAKERS, "local"])


def required_columns(spec: RewardSpec) -> tuple[str, ...]:
    """Return the columns that the data must have, so that they can be checked before training begins."""
    return (spec.column,) if isinstance(spec, correctness.Spec) else ()


def libraries(specs: Sequence[RewardSpec]) -> dict[str, str]:
    """Return {library: version} of those that judge completions for these rewards: another one may judge otherwise."""
    judging = "math-verify" if any(isinstance(spec, correctness.Spec) for spec in specs) else None
    found = installed_version(judging) if judging else None
    return {} if judging is None or found is None else {judging: found}


def build(spec: RewardSpec, folder: Path = Path(), trusted: bool = False) -> Reward:
    """Return the reward function of a spec, checked at every call; its `__name__` is the reward's name.

    `folder` (the recipe's) and `trusted` (`--trust-local-code`) are for `local` alone, which raises `UsageError`
    when it may not or cannot be loaded.

    >>> reward = build(correctness.Spec(name="correctness"))
    >>> reward(prompts=["2+2?"], completions=["<answer>4</answer>"], answer=["4"])
    [2.0]
    """
    if isinstance(spec, local.Spec):
        return checked(load_local(spec, folder, trusted), spec.function.partition(":")[2])
    return checked(_MAKERS[spec.name](spec), spec.name)
