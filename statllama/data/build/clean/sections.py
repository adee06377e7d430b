"""Taking sections out of a document, and naming places in a record."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

_NOT_TEXT = frozenset({"role", "from"})  # keys of a message whose values are no text


def place(record: Mapping[str, Any], section: int | None = None) -> str:
    """Return where something is: the record's id, and the number (from 1) and heading of a section."""
    if section is None:
        return str(record["id"])
    heading = " ".join(record["sections"][section]["heading"].split())[:80]
    return f"{record['id']}, section {section + 1}" + (f": {heading}" if heading else "")


def without(
    sections: Sequence[Mapping[str, Any]], gone: Collection[int], bare: Collection[int] = ()
) -> list[dict[str, Any]]:
    """Return the sections without those in `gone`.

    Of those in `bare`, which are too short, the heading stays without text where a section below it stays: it says what
    the sections below it are about.
    """
    kept: list[dict[str, Any]] = []
    below: int | None = None
    """Level of the section that comes next in the result; None: there is none."""
    for i in range(len(sections) - 1, -1, -1):
        section = dict(sections[i])
        if i in bare:
            if not section["heading"].strip() or below is None or below <= section["level"]:
                continue
            section["text"] = ""
        elif i in gone:
            continue
        kept.append(section)
        below = section["level"]
    return kept[::-1]


def strings(value: Any) -> Iterator[str]:
    """Yield all texts of a row's columns, in order, but not the roles of messages."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key not in _NOT_TEXT:
                yield from strings(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from strings(item)


def changed(value: Any, change: Callable[[str], str]) -> Any:
    """Return a row's columns with each text that `strings` yields changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: item if key in _NOT_TEXT else changed(item, change) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [changed(item, change) for item in value]
    return value


def body(document: Mapping[str, Any]) -> str:
    """Return the texts of a document's sections without their headings."""
    return "\n\n".join(section["text"].strip() for section in document["sections"] if section["text"].strip())
