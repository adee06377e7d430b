"""What all collectors' specs share."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from statllama.config.spec import Spec


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_compiles)]
"""A regular expression of Python's `re`, searched anywhere; it heeds case unless it begins with `(?i)`."""
Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)]
Year = Annotated[int, Field(ge=1000, le=9999)]


class CollectorSpec(Spec):
    """The fields of every collector."""

    type: str
    """Name of a module in statllama/data/build/collect."""
    licences: Annotated[Names, Field(min_length=1)] | None = None
    """Licences to let in, by SPDX names such as CC-BY-4.0 or in any common spelling; `unknown` lets in what bears none.
    None: all, whatever their licence."""
