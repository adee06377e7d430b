"""What all specs share: immutable, strictly typed, no unknown keys; and the types of their numbers and names.

A spec validates itself at construction and never changes. Types are strict: `"5"` is not a number and unknown keys are
errors.
"""

from __future__ import annotations

import fractions
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]


def shares_of(weights: Sequence[float]) -> tuple[float, ...]:
    """Return weights above 0 as shares of 1. Weights that mean the same shares, as written, give the same floats.

    >>> shares_of([1, 2]) == shares_of([0.1, 0.2])
    True
    """
    exact = [fractions.Fraction(repr(weight)) for weight in weights]
    return tuple(float(weight / sum(exact)) for weight in exact)


class Spec(BaseModel):
    """Base of all specs: immutable, strictly typed, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)
