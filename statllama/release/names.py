"""The name of a release."""

from __future__ import annotations

import re

from statllama.errors import UsageError
from statllama.release.licences import Duties, named
from statllama.runs.subject import Subject


def release_name(subject: Subject, stage: str, given: str | None, duties: Duties) -> str:
    """Return the release's name: `given`, or that of run and stage, with the prefix that the base's licence asks for.

    UsageError when `given` lacks the prefix, or cannot be a part of a file's name.
    """
    if given is None:
        return named(duties, re.sub(r"[^A-Za-z0-9._-]+", "-", f"{subject.name}-{stage}").strip("-."))
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}", given):
        raise UsageError(f"--name {given!r}: letters, digits, `.`, `_` and `-` only, the first a letter or digit")
    if duties.prefix and not given.lower().startswith(duties.prefix.lower()):
        raise UsageError(
            f"--name {given!r}: the {duties.name} asks that the name begins with {duties.prefix!r}",
            remedy=f"--name {duties.prefix}-{given}",
        )
    return given
