"""Which fields of a spec are in a stage's key: each field says so itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True)
class Unkeyed:
    """Marks a field that is not in a stage's key: it cannot change the result, or the key has something in its place.

    `seed: Annotated[int, Unkeyed(unless=("method", "dare"))]` is in the key when the same spec's `method` is `dare`.
    """

    unless: tuple[str, object] | None = None

    def holds(self, spec: BaseModel) -> bool:
        """Return whether the field is left out of the key of this spec."""
        return self.unless is None or getattr(spec, self.unless[0]) != self.unless[1]


@dataclass(frozen=True)
class AddedLater:
    """Marks a field that came when results had keys already: it is in the key unless it has its default, which means
    what there was before the field. Such a default never changes.
    """


def is_keyed(spec: BaseModel, field: str) -> bool:
    """Return whether a field of the spec is in the key."""
    known = type(spec).model_fields[field]
    if any(isinstance(mark, AddedLater) for mark in known.metadata):
        return bool(getattr(spec, field) != known.get_default(call_default_factory=True))
    marks = [mark for mark in known.metadata if isinstance(mark, Unkeyed)]
    return not any(mark.holds(spec) for mark in marks)


def keyed(value: Any) -> Any:
    """Return the part of a spec that is in the key, specs within it too, as plain JSON data."""
    if isinstance(value, BaseModel):
        return {name: keyed(getattr(value, name)) for name in type(value).model_fields if is_keyed(value, name)}
    if isinstance(value, Mapping):
        return {name: keyed(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [keyed(item) for item in value]
    return value
