"""The one JSON text of a value, and its hash: what keys are made of."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value: keys sorted, no whitespace, floats in Python's shortest repr.

    Equal numbers have one text: a float without a fraction is written as an integer, so 1.0 and 1 are `1`
    and -0.0 is `0`. True stays `true`: it is not 1. Tuples are written as lists.

    Raises ValueError (NaN, infinity, lone surrogates) or TypeError (no JSON type) naming the place: `$.a[0]`.
    """
    return json.dumps(_plain(value, "$"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: object, where: str) -> object:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where}: {value} is not a finite number")
        return int(value) if value.is_integer() else value
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError(f"{where}: {value!r} is not valid Unicode")
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"{where}: the key {odd[0]!r} is not a string")
        return {_plain(key, where): _plain(item, f"{where}.{key}") for key, item in value.items()}
    raise TypeError(f"{where}: {type(value).__name__} is not a JSON type")


def digest(value: object) -> str:
    """Return the SHA-256 of `canonical_json(value)`, 64 hex digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
