"""A benchmark's blind baseline, as its task file states it: what its options give away without the question.

`metadata: {blind: 0.245}`, or with its error and how it was measured:

    metadata:
      blind: {value: 0.245, stderr: 0.014, how: "logistic regression on the options, 6,000 training rows"}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from statllama.errors import near


@dataclass(frozen=True)
class Blind:
    """The share that a classifier gets right which sees the options of a benchmark's items and nothing else."""

    value: float
    """Share right, 0 to 1, measured on the benchmark's own items."""
    stderr: float | None = None
    """Its standard error, a share too."""
    how: str = ""
    """How it was measured, in a few words."""


def blind_of(config: Mapping[str, Any]) -> Blind | None:
    """Return the baseline that a task file states. Raises ValueError for wrong `metadata`: see `read_blind`."""
    metadata = config.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        raise ValueError(f"`metadata` must be a mapping, got {metadata!r}")
    return read_blind(metadata.get("blind"))


def read_blind(stated: object) -> Blind | None:
    """Return the baseline that `metadata.blind` states; None for none.

    Raises ValueError, whose text begins with the name of the field, for what is neither a share nor a mapping of
    Blind's fields.

    >>> read_blind({"value": 0.245, "stderr": 0.014})
    Blind(value=0.245, stderr=0.014, how='')
    """
    if stated is None:
        return None
    if not isinstance(stated, Mapping):
        return Blind(_share("metadata.blind", stated))
    names = [f.name for f in fields(Blind)]
    for name in stated:
        if name not in names:
            raise ValueError(f"`metadata.blind` has an unknown field `{name}`; {near(str(name), names)}")
    if "value" not in stated:
        raise ValueError("`metadata.blind.value` is missing: the share that was right, from 0 to 1")
    given: dict[str, Any] = {"value": _share("metadata.blind.value", stated["value"])}
    if stated.get("stderr") is not None:
        given["stderr"] = _share("metadata.blind.stderr", stated["stderr"])
    if not isinstance(how := stated.get("how", ""), str):
        raise ValueError(f"`metadata.blind.how` is {how!r}; write how it was measured, as a text")
    return Blind(**given, how=how)


def _share(field: str, value: object) -> float:
    """Return a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"`{field}` is {value!r}, which is not a number; write a share from 0 to 1, such as 0.245")
    if math.isfinite(value) and 1 < value <= 100:
        raise ValueError(f"`{field}` is {value!r}; it is a share from 0 to 1: for {value:g} % write {value / 100:g}")
    if not 0 <= value <= 1:
        raise ValueError(f"`{field}` is {value!r}; write a share from 0 to 1, such as 0.245")
    return float(value)
