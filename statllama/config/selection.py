"""Which step of a stage is published: the best by what it does not train on."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from statllama.config.keyed import Unkeyed
from statllama.config.spec import Count, Spec

OWN = "holdout"
PREFIX = f"{OWN}:"
VALIDATIONS = 10
"""In all, unless a stage says how often."""


class SelectSpec(Spec):
    """The choice of the step whose adapter a stage publishes, by validating while it trains."""

    on: Annotated[str, Field(min_length=1), Unkeyed()]
    """`holdout`: the stage's own held-out rows; `holdout:NAME`: those of another stage, or of `evaluate.holdouts`; or a
    benchmark of `evaluate.tasks`, which is no test of this stage any more. Of rows the loss counts, of pairs the share
    that is ranked right. Not in the key by name: the rows or questions are."""
    every: Count | None = None
    """Optimizer steps between validations; the last step is validated too. None: a tenth of the steps."""
    patience: Count | None = None
    """End the stage after so many validations in a row without a better one. None: it runs to its last step."""

    def interval(self, steps: int) -> int:
        """Return the optimizer steps between two validations of a stage of so many steps."""
        return self.every or max(1, math.ceil(steps / VALIDATIONS))

    def due(self, step: int, steps: int) -> bool:
        """Return whether a stage is validated after this step of all its steps."""
        return step % self.interval(steps) == 0 or step >= steps

    def validations(self, steps: int) -> int:
        """Return how often a stage of so many steps is validated, if nothing ends it early."""
        return math.ceil(steps / self.interval(steps))

    @property
    def holdout(self) -> str | None:
        """Return the name of the hold-out that `on` names, empty for the stage's own; None where it is a benchmark."""
        if self.on == OWN:
            return ""
        return self.on.removeprefix(PREFIX) if self.on.startswith(PREFIX) else None
