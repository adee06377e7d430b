"""Kinds of rows that a model writes: one module a kind, found by name.

A kind's module declares

- `FORMAT`: the format in statllama/data/formats that reads its rows,
- `Reply`: what the model says, a model of `_reply.Grounded`; its fields, in their order, are the JSON schema,
- `row(reply, seed) -> Json`: the format's columns; `seed` for what is drawn, such as the place of the right option,

and where it needs to `NOTED`: fields of the reply that go into the row's provenance. Its prompt is
`write/prompts/<kind>.md`. Adding a kind is adding these two files, and a line in README.md.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from types import ModuleType

from statllama.errors import DataError, near


@cache
def kind_names() -> tuple[str, ...]:
    """Return the names of all kinds, sorted. Modules that start with an underscore are not kinds."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))


def kind_module(name: str) -> ModuleType:
    """Return the module of a kind. DataError with the nearest names for an unknown one."""
    if name not in kind_names():
        raise DataError(f"unknown kind {name!r}; {near(name, kind_names())}")
    return import_module(f"{__name__}.{name}")
