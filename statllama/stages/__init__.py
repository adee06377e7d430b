"""Stage types: one module a type, found by name.

A stage module declares

- `Spec(TrainingSpec)`: the fields its type adds to a recipe, and `train_on` (`responses` or `all`), field or property,
- `NUMERICS: int`: raised when the same config would train differently,
- `DATA_KIND`: what `data.prepare` makes of its sources, one of `encode.Kind`,
- `make_trainer(job, model, arguments)`: the TRL trainer, mixed with `training.StageTrainer`, that `training.run` runs.

and where it needs to

- `key_extras(spec, root)`: what bears on the result beside the spec and the data, as JSON,
- `require(spec, root, trust_local_code)`: raises when it needs code that is not there or may not run.

The first three are read to check and plan a recipe, so a stage module imports no torch at its top. A type that trains
nothing (`blend`) declares `Spec(StageSpec)`, `NUMERICS` and `make_adapter(spec, adapters, on_module)`.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from types import ModuleType

EXPERIMENTAL = ("orpo", "simpo", "cpo")
NOT_OFFERED = (
    "TRL keeps ORPO, SimPO and CPO among its experiments, which change without notice, so they are not offered; "
    "preference losses: `type: dpo` with loss sigmoid, ipo or robust, `type: kto` with loss kto or apo_zero_unpaired"
)
"""The error for `EXPERIMENTAL` stage types and losses."""


@cache
def stage_types() -> tuple[str, ...]:
    """Return the names of all stage types, sorted. Modules that start with an underscore are helpers, not types."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))


def stage_module(type_name: str) -> ModuleType:
    """Return the module of a stage type. KeyError for an unknown one."""
    if type_name not in stage_types():
        raise KeyError(type_name)
    return import_module(f"{__name__}.{type_name}")
