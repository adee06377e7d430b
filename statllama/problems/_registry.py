"""Which topics and kinds there are: found in the modules of this folder, not listed anywhere."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType

from ._draw import Kind

SPLITS = ("train", "test")
SYLLABUSES = ("ap",)
_PACKAGE = __name__.rpartition(".")[0]
_FOLDER = str(Path(__file__).parent)


@cache
def topics() -> tuple[str, ...]:
    """Return the names of all topics, in alphabetical order."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules([_FOLDER]) if not m.name.startswith("_")))


def kinds(topic: str, split: str | None = None) -> tuple[str, ...]:
    """Return the names of a topic's kinds, in the order of its file; with `split`, those that occur in that split.

    `ValueError` for an unknown topic or split.
    """
    if split is not None:
        check_split(split)
    return tuple(of.name for of in kinds_of(topic).values() if split is None or of.in_split(split))


def ap_topics(topic: str) -> dict[str, str]:
    """Return the topics of the AP course that cover each kind of a topic, "" for a kind off the syllabus."""
    return {of.name: of.ap for of in kinds_of(topic).values()}


def held_out_kinds() -> tuple[tuple[str, str], ...]:
    """Return (topic, kind) of every kind that occurs in the test split only."""
    return tuple((topic, of.name) for topic in topics() for of in kinds_of(topic).values() if of.held_out)


@cache
def kinds_of(topic: str) -> Mapping[str, Kind]:
    """Return a topic's kinds by name, in the order of its file or files."""
    if topic not in topics():
        raise ValueError(unknown("topic", topic, topics()))
    module = importlib.import_module(f"{_PACKAGE}.{topic}")
    names = [m.name for m in pkgutil.iter_modules(getattr(module, "__path__", [])) if not m.name.startswith("_")]
    files = [importlib.import_module(f"{module.__name__}.{name}") for name in names] or [module]
    return MappingProxyType(
        {item.name: item for file in files for item in vars(file).values() if isinstance(item, Kind)}
    )


def live_kinds(
    names: Collection[str] | None,
    split: str,
    difficulty: int | Collection[int] | None,
    syllabus: str | None = None,
) -> dict[str, list[Kind]]:
    """Return the kinds to draw from, by topic. Raises `ValueError` when a topic that was asked for has none.

    Without `names`, topics that have no kind of the difficulty are left out. `syllabus` "ap" leaves out kinds off it.
    """
    check_split(split)
    if syllabus is not None and syllabus not in SYLLABUSES:
        raise ValueError(unknown("syllabus", syllabus, SYLLABUSES))
    wanted = _difficulties(difficulty)
    if names is not None and (isinstance(names, str) or not names):
        raise ValueError(f"topics must not be empty, nor a single text; got {names!r}")
    live: dict[str, list[Kind]] = {}
    for name in topics() if names is None else names:
        of = [
            kind
            for kind in kinds_of(name).values()
            if kind.in_split(split) and kind.difficulty in wanted and (kind.ap or syllabus is None)
        ]
        if not of and names is not None:
            raise ValueError(f"topic {name!r} has no {split} kind of difficulty {', '.join(map(str, sorted(wanted)))}")
        if of:
            live[name] = of
    return live


def check_split(split: str) -> None:
    """Raise `ValueError` unless the split is "train" or "test"."""
    if split not in SPLITS:
        raise ValueError(unknown("split", split, SPLITS))


def unknown(what: str, got: str, allowed: Sequence[str]) -> str:
    """Return the message for an unknown name, with a near match where there is one."""
    near = difflib.get_close_matches(str(got), allowed, n=1)
    hint = f", did you mean {near[0]!r}?" if near else ";"
    return f"unknown {what} {got!r}{hint} allowed: {', '.join(allowed)}"


def _difficulties(difficulty: int | Collection[int] | None) -> frozenset[int]:
    levels = frozenset((1, 2, 3))
    wanted = levels if difficulty is None else frozenset([difficulty] if isinstance(difficulty, int) else difficulty)
    if not wanted or not wanted <= levels:
        raise ValueError(f"difficulty must be 1, 2, 3 or several of them, got {difficulty!r}")
    return wanted
