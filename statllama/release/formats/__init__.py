"""Release formats: one module a format, found by name.

A module declares `FORMAT`, a `Format`: how its forms are ordered on the command line, written, verified, and described
in the card. It imports no torch at its top. Modules that start with an underscore are helpers, not formats.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from typing import Any

from statllama.release.artefact import Order
from statllama.release.formats._format import Format, Option

__all__ = ["Format", "Option", "options", "orders", "release_format", "release_formats"]


@cache
def release_formats() -> tuple[Format, ...]:
    """Return all formats, in the order of their `position`."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))
    found: list[Format] = [import_module(f"{__name__}.{name}").FORMAT for name in names]
    return tuple(sorted(found, key=lambda one: one.position))


def release_format(name: str) -> Format:
    """Return a format by its name in certificates. KeyError for an unknown one."""
    return {one.name: one for one in release_formats()}[name]


def options() -> tuple[Option, ...]:
    """Return the options of `statllama export` that choose forms."""
    return tuple(option for one in release_formats() for option in one.options)


def orders(**given: Any) -> tuple[Order, ...]:
    """Return the forms that these values of `options` ask for; without a choice, those that are made by default.

    UsageError for a value that a format does not know.

    >>> [order.label for order in orders(merged="f16")]
    ['merged (f16)']
    >>> [order.label for order in orders()]
    ['adapter', 'merged (bf16)']
    """
    if unknown := given.keys() - {option.name for option in options()}:
        raise TypeError(f"unknown option of a release format: {', '.join(sorted(unknown))}")
    values = {option.name: given.get(option.name, option.default) for option in options()}
    chosen = any(values[option.name] for option in options() if option.chooses)
    return tuple(order for one in release_formats() for order in one.orders(values, chosen))
