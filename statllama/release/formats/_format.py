"""What a release format declares of itself. Loads no torch: the command line reads it for its options."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statllama.release.artefact import Artefact, Order
from statllama.release.card_use import Reader
from statllama.release.certificate import Check, Verified
from statllama.release.source import Progress, Source

if TYPE_CHECKING:
    from statllama.release.exam import Exam


@dataclass(frozen=True)
class Option:
    """An option of `statllama export`."""

    name: str
    """Name under which the format gets its value."""
    flags: str
    """The user's spelling: `--merged`, or `--adapter/--no-adapter`."""
    type: Any
    """Type of the value, as an annotation: `bool`, `str | None`, `list[str] | None`."""
    help: str
    default: Any = None
    metavar: str | None = None
    least: int | None = None
    """Smallest allowed number."""
    chooses: bool = True
    """Whether it chooses a form: without any choice a release holds the formats' defaults."""


def _nothing(*_: Any) -> dict[str, str]:
    return {}


def _there() -> None:
    """Require nothing: the program that runs the form is always installed."""


def _any(type_: str) -> None:
    """Require nothing of a type: the user names none."""


@dataclass(frozen=True)
class Format:
    """A release format: how its forms are ordered, written, verified and described.

    A name in the release is a path relative to its folder, with forward slashes.
    """

    name: str
    """The module's name, with `-` for `_`: in certificates."""
    position: int
    """Its place among the formats in commands, tables and cards; smaller comes first."""
    options: tuple[Option, ...]
    orders: Callable[[Mapping[str, Any], bool], Sequence[Order]]
    """Called with {option: value} and whether any format was chosen: the forms to make. UsageError for wrong values."""
    place: Callable[[Source, Order], str]
    """Name in the release of what is written for an order; of several files, the main one's."""
    needed_bytes: Callable[[Source, Order], int]
    """Bytes that writing and verifying take on the disk, at most. UsageError or ExportError for what can be told to be
    impossible before anything is written."""
    write: Callable[[Source, Order, Path, Progress | None], Sequence[Artefact]]
    """Write an order into the release's folder. ExportError when it cannot be, StoreError when the disk refuses."""
    checks: Callable[[Exam, Artefact], Iterator[Check]]
    """Open an artefact in the program that will run it and compare it with the reference; cheap checks first."""
    instead: Callable[[Verified, Sequence[Verified]], str]
    """The alternative to a failed artefact, given those that passed."""
    relation: str
    """A model's relation to its base in this format, for Hugging Face: `finetune`, `quantized` or `adapter`."""
    library: str
    """Library that loads it, as Hugging Face names it; empty: none that it knows."""
    tags: tuple[str, ...]
    """Tag for Hugging Face's search."""
    contents: Callable[[Verified], tuple[str, str]]
    """Return (name in the card, description)."""
    use: Callable[[Sequence[Verified], Reader], Iterator[str]]
    """Yield the card's text on how to run what the release holds in this format, at least one artefact."""
    require_program: Callable[[], None] = _there
    """ExportError when the program that verifies it is not installed."""
    require_type: Callable[[str], None] = _any
    """UsageError for a type of numbers that there is not."""
    side_files: Callable[[Source, Sequence[Verified], Path, Any], Mapping[str, str]] = _nothing
    """Write further files beside the artefacts; called with what the release holds in this format, the release's folder
    and the tokenizer. Return {name: description}."""
