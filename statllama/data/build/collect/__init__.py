"""Collectors: one module each, found by name: what a build writes under `type:` of an entry of `collect:`.

A collector module declares

- `Spec(CollectorSpec)`: the fields that the user writes, with `type: Literal["<name>"]`,
- `steps(spec, root, name) -> tuple[Step, ...]`: its steps. The first is a `chain.Collector`; each of the others takes
  the records of the one before. `root`: folder that relative paths refer to; `name`: unique in the build.

`papers`, `arxiv` and `files` yield `Found`; `stack_exchange` yields `Row`; `hub` yields either.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from statllama.data.build.chain import Step
from statllama.data.build.collect.spec import CollectorSpec
from statllama.errors import DataError, near

_NO_COLLECTORS = ("spec",)


@cache
def collector_names() -> tuple[str, ...]:
    """Return the names of all collectors, sorted. Modules that start with an underscore are helpers."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in names if not name.startswith("_") and name not in _NO_COLLECTORS))


def collector_module(name: str) -> ModuleType:
    """Return the module of a collector. DataError with the nearest names for an unknown one."""
    if name not in collector_names():
        raise DataError(f"unknown collector {name!r}; {near(name, collector_names())}")
    return import_module(f"{__name__}.{name}")


def steps_of(spec: CollectorSpec, root: Path, name: str) -> tuple[Step, ...]:
    """Return a collector's steps, the first of which takes no records. See the module's `steps` for its errors."""
    steps: tuple[Step, ...] = collector_module(spec.type).steps(spec, root, name)
    return steps
