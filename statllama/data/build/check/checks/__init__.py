"""Checks of written rows: one module a check, found by name.

A check module declares

- `KIND`: `alone` (of a row by itself), `together` (of all rows), `asked` (a model is asked),
- `COST`: rank among the checks, the cheapest first,
- `NUMERICS`: raised when the same settings would find otherwise,
- `Spec`: its part of the YAML,
- `prepare(spec, folder)`: what it needs beside the row, as plain JSON, which is in the key (None: nothing); files are
  read here, once, relative to `folder`,

and by its kind

- alone: `make(spec, prepared)`: a function that takes (row, reading) and returns a Finding,
- together: `compare(spec, rows, folder)`: takes what yields all (id, reading) as often as it is called, and a folder
  for what does not fit into memory; returns {id: finding as JSON} of the rows that fail,
- asked: `talk(spec, prepared, row, reading)`: a generator of requests (`asking.Talk`); `Spec` has `server`.

Adding a check is adding a file here: its name is what is written under `check:`.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from types import ModuleType


@cache
def check_names() -> tuple[str, ...]:
    """Return the names of all checks, the cheapest first."""
    names = [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]
    return tuple(sorted(names, key=lambda name: (check_module(name).COST, name)))


@cache
def check_module(name: str) -> ModuleType:
    """Return the module of a check."""
    return import_module(f"{__name__}.{name}")
