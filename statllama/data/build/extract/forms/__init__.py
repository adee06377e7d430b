"""Forms of files, one module each: its name is the form's, `read` returns what it says.

`read(path, options)` runs in a process whose time and memory are limited; `Unreadable` says why a file has no text. A
module has `VERSIONS`, names of the packages whose version decides what comes out.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType


def form_names() -> tuple[str, ...]:
    """Return the names of all forms."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))


def form_module(name: str) -> ModuleType:
    """Return a form's module. ModuleNotFoundError when a library that it needs is missing."""
    return import_module(f"{__name__}.{name}")
