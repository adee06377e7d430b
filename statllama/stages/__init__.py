"""Stage types: one module a type, found by name.

A stage module declares

- `Spec(StageSpec)`: the fields its type adds to a recipe, and `train_on` (`responses` or `all`) as field or property,
- `NUMERICS: int`: raised when the same config would train differently,
- `DATA_KIND`: `documents`, `conversations` or `preferences`, what `data.prepare` makes of its sources,
- `make_trainer(job, model, arguments)`: the TRL trainer, mixed with `training.StageTrainer`, that `training.run` runs.

The first three are read to check and plan a recipe, so a stage module imports no torch at its top.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from types import ModuleType


@cache
def stage_types() -> tuple[str, ...]:
    """Names of all stage types, sorted. Modules that start with an underscore are helpers, not types."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))


def stage_module(type_name: str) -> ModuleType:
    """The module of a stage type. KeyError for an unknown one."""
    if type_name not in stage_types():
        raise KeyError(type_name)
    return import_module(f"{__name__}.{type_name}")
