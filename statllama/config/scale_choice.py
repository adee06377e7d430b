"""How far a blend goes from its parents: the scale that held-out rows say is best."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from statllama.config.keyed import Unkeyed
from statllama.config.spec import NonNegative, Spec


class ScaleChoice(Spec):
    """The choice among a blend's `scales`, by hold-outs: what to gain, and what to keep."""

    on: Annotated[str, Field(min_length=1), Unkeyed()]
    """`holdout:NAME`: the hold-out of a stage, or of `evaluate.holdouts`. The scale of the lowest loss on it is
    published, of pairs that of the highest accuracy. Not in the key by name: the rows are."""
    keep: Annotated[dict[str, NonNegative], Unkeyed()] = Field(default_factory=dict)
    """{hold-out: nats per token}: what a scale may lose on it at most, compared with the stack that the blend stands
    on. Of pairs the chosen completions count. Not in the key by name: the rows are, with the nats."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the hold-outs that it reads, each once, `on` first."""
        return tuple(dict.fromkeys((self.on, *self.keep)))
