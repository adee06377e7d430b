"""Wordings of a question, each kept for one split, written as plain text above the kind that asks it.

    _ASK = wordings('''
        train: The {m.thing} of {m.who} has mean {mean} {m.unit}. What is ...?
        train: For {m.who}, the mean {m.thing} is {mean} {m.unit}.
            Find ...
        test: Someone records a mean {m.thing} of {mean} {m.unit} for {m.who}. How ...?
    ''')

A test wording has to differ from the train wordings in more than a word: `tests/problems/test_near_copies.py`
holds every test question to sharing at most half of its word 5-grams with any train question, with numbers and
names masked. Where one kind tells several stories, a label tells them apart: `train/cluster: ...`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import Formatter

from ._problem import article

_MARK = re.compile(r"^\s*(train|test)(?:/([\w ]+))?: ", re.MULTILINE)
_CONVERSIONS: Mapping[str | None, Callable[[object], object]] = {
    None: lambda value: value,
    "a": lambda value: article(str(value)),
    "c": lambda value: capital(str(value)),
    "A": lambda value: capital(article(str(value))),
}


@dataclass(frozen=True)
class _Field:
    """One `{name.attribute:spec}` of a wording; `!a` puts an article before it, `!c` a capital, `!A` both."""

    path: tuple[str, ...]
    convert: Callable[[object], object]
    spec: str

    def fill(self, values: Mapping[str, object]) -> str:
        value = values[self.path[0]]
        for attribute in self.path[1:]:
            value = getattr(value, attribute)
        return format(self.convert(value), self.spec)


class Wording:
    """One wording: literal text and fields, parsed once so that filling it is fast."""

    def __init__(self, text: str) -> None:
        self.parts: list[str | _Field] = []
        for literal, name, spec, conversion in Formatter().parse(" ".join(text.split())):
            if literal:
                self.parts.append(literal)
            if name is not None:
                self.parts.append(_Field(tuple(name.split(".")), _CONVERSIONS[conversion], spec or ""))

    def fill(self, values: Mapping[str, object]) -> str:
        """Return the wording with its fields filled in; `KeyError` or `AttributeError` when one is not given."""
        return "".join(part if isinstance(part, str) else part.fill(values) for part in self.parts)


@dataclass(frozen=True)
class Wordings:
    """The wordings of one question by (split, label); the label is "" for a kind that tells one story."""

    of: Mapping[tuple[str, str], tuple[Wording, ...]]


def wordings(text: str) -> Wordings:
    """Read a block of wordings; `ValueError` when it does not begin with a mark such as `train:`."""
    first, *pieces = _MARK.split(text)
    if first.strip() or not pieces:
        raise ValueError(f"a block of wordings begins with 'train: ' or 'test: ', got {text.strip()[:40]!r}")
    found: dict[tuple[str, str], list[Wording]] = {}
    for split, label, wording in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True):
        found.setdefault((split, label or ""), []).append(Wording(wording))
    return Wordings({key: tuple(group) for key, group in found.items()})


def capital(text: str) -> str:
    """Return the text with its first letter in upper case and the rest as it is."""
    return text[:1].upper() + text[1:]
