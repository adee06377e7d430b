"""What `statllama.export` does: a release of a run in a workspace, and what was made of it as a table. No torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statllama.errors import UsageError, near
from statllama.release.certificate import Certificate
from statllama.release.formats import Option, options, orders
from statllama.release.release import export as make_release
from statllama.release.release import require_complete
from statllama.runs.api import Named, Words, find_stack, open_store
from statllama.runs.loaded import Loaded
from statllama.runs.reporting import Reporter
from statllama.runs.scorer import reading_here
from statllama.runs.signals import StopSignal
from statllama.runs.tables import Shown, Table, place

Formats = Words | Mapping[str, Any]
"""The command's options without dashes: `"gguf=q8_0"`, `["adapter", "merged=f16"]`, `{"gguf": ["q8_0", "f16"]}`."""


@dataclass(frozen=True, repr=False)
class Released(Table):
    """A release that was written, verified and published."""

    folder: Path
    certificate: Certificate
    """The checks and their figures, as in the folder's `verification.json`."""
    remarks: tuple[str, ...]
    """Notes for its user, such as a stage that loses much in the cast to 16 bits."""

    @property
    def title(self) -> str:
        """Return the folder."""
        return f"released: {place(self.folder)}"

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each check of each artefact."""
        return [
            {
                "artefact": artefact.name,
                "format": artefact.kind,
                "type": artefact.type,
                "check": check.name,
                "passed": check.passed,
                "required": check.required,
                "value": check.value,
                "bound": check.bound,
                "detail": check.detail,
            }
            for artefact in self.certificate.artefacts
            for check in artefact.checks
        ]

    def shown(self) -> Shown:
        """Return a row for each artefact: its type, its required checks and how many of them it passed."""
        required = {a.name: [c.passed for c in a.checks if c.required] for a in self.certificate.artefacts}
        return [
            {
                "artefact": artefact.name,
                "type": artefact.type,
                "verified": f"{sum(required[artefact.name])} of {len(required[artefact.name])} checks",
            }
            for artefact in self.certificate.artefacts
        ]

    def notes(self) -> Sequence[str]:
        """Return the failed checks of a forced release, then the remarks."""
        return (*(f"failed: {failure}" for failure in self.certificate.failures()), *self.remarks)


def export(
    target: Named,
    workspace: Named | None,
    out: Named | None,
    formats: Formats | None,
    stage: str | None,
    scale: Mapping[str, float] | None,
    name: str | None,
    force: bool,
    reporter: Reporter,
) -> Released:
    """Do the work of `statllama.export`."""
    wanted = orders(**option_values(formats))
    store = open_store(workspace)
    subject, stack = find_stack(target, store, stage, scale)
    folder = Path(f"{subject.name.replace('/', '_')}-{stack.name}") if out is None else Path(out).expanduser()
    # Verification asks plain Transformers and PEFT, which Unsloth would rewrite for the whole process.
    loaded = Loaded(
        subject.base, subject.identity, store, reporter, subject.evaluate.max_length, backend="transformers"
    )
    with StopSignal(), reading_here(store, subject):
        release = make_release(subject, stack, loaded, folder, wanted, name, force)
    require_complete(release)
    return Released(release.folder, release.certificate, release.notes)


def option_values(formats: Formats | None) -> dict[str, Any]:
    """Return {option of the release formats: value} of `formats`. UsageError for a word that is no option.

    >>> option_values(["adapter", "rank=8", "gguf=q8_0", "gguf=f16"])
    {'adapter': True, 'rank': 8, 'gguf': ['q8_0', 'f16']}
    """
    known = {option.flags.partition("/")[0].removeprefix("--"): option for option in options()}
    values: dict[str, Any] = {}
    for word, value in _pairs(formats):
        if word not in known:
            raise UsageError(f"formats: {word!r} is not one: {near(word, known)}")
        option = known[word]
        if _takes(option, list):
            values[option.name] = [*values.get(option.name, []), *_several(word, option, value)]
        else:
            values[option.name] = _one(word, option, value)
    return values


def _pairs(formats: Formats | None) -> Iterator[tuple[str, Any]]:
    if isinstance(formats, Mapping):
        yield from formats.items()
        return
    for text in [formats] if isinstance(formats, str) else formats or ():
        word, sign, value = os.fspath(text).partition("=")
        yield word, value if sign else True


def _several(word: str, option: Option, value: Any) -> list[str]:
    """Return the values of an option that may be given more than once."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) and one for one in given):
        raise UsageError(f"formats: {word} needs a value, as in {word}={option.metavar}")
    return list(given)


def _one(word: str, option: Option, value: Any) -> Any:
    """Return the value of an option that is given once."""
    if _takes(option, bool):
        if isinstance(value, bool):
            return value
        raise UsageError(f"formats: {word} takes no value, got {value!r}")
    if _takes(option, int):
        if str(value).isdecimal() and int(value) >= (option.least or 0):
            return int(value)
        raise UsageError(f"formats: {word}={value}: expected a whole number of at least {option.least or 0}")
    if not isinstance(value, str) or not value:
        raise UsageError(f"formats: {word} needs a value, as in {word}={option.metavar}")
    return value


def _takes(option: Option, kind: type) -> bool:
    """Return whether the option's value is of that kind: `bool`, `int | None`, `list[str] | None`."""
    parts = getattr(option.type, "__args__", ()) if option.type.__class__.__name__ == "UnionType" else (option.type,)
    return any(getattr(part, "__origin__", part) is kind for part in parts)
