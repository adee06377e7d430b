"""A document out of a row with columns, whatever they are called in the file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from statllama.data.build.headings import kind_of_heading
from statllama.data.build.licences import normalised
from statllama.data.build.records import Json
from statllama.errors import near

COLUMNS = (
    "abstract",
    "arxiv",
    "authors",
    "doi",
    "fields",
    "id",
    "licence",
    "place",
    "sections",
    "text",
    "title",
    "year",
)
"""Names that a document's columns have unless `columns` names others."""
_YEAR = re.compile(r"(?<!\d)(1[5-9]\d\d|20\d\d)(?!\d)")


def check_columns(columns: Mapping[str, str]) -> None:
    """Raise ValueError for a key that no document has."""
    for name in columns:
        if name not in COLUMNS:
            raise ValueError(f"`columns.{name}` is nothing that a document has; {near(name, COLUMNS)}")


def at(row: Mapping[str, Any], path: str) -> Any:
    """Return what stands at a path such as `metadata.title`; None where there is nothing.

    >>> at({"metadata": {"title": "Trees"}}, "metadata.title")
    'Trees'
    """
    if path in row:
        return row[path]
    value: Any = row
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def as_words(value: Any) -> list[str]:
    """Return names, one text or many, as a list of texts; of an object its name."""
    if isinstance(value, str):
        return [plain] if (plain := " ".join(value.split())) else []
    if isinstance(value, Mapping):
        if "name" in value:
            return as_words(value["name"])
        if "category" in value:
            return as_words(value["category"])
        middle = value.get("middle")
        parts = [value.get("first"), *(middle if isinstance(middle, list) else [middle]), value.get("last")]
        return as_words(" ".join(part for part in parts if isinstance(part, str)))
    if isinstance(value, Sequence):
        return [word for each in value for word in as_words(each)]
    return [str(value)] if isinstance(value, int) and not isinstance(value, bool) else []


def as_year(value: Any) -> int | None:
    """Return the year in a number or a date; None where there is none."""
    match = _YEAR.search(str(value)) if isinstance(value, int | str) else None
    return int(match[1]) if match else None


def origin_of(row: Mapping[str, Any], names: Mapping[str, str], collector: str, place: str) -> Json:
    """Return a row's origin. `names`: {what a document has: path in the row}."""

    def get(name: str) -> Any:
        return at(row, names.get(name, name))

    given = as_words(get("place"))
    origin: Json = {"collector": collector, "place": given[0] if given else place}
    if title := as_words(get("title")):
        origin["title"] = title[0]
    if authors := as_words(get("authors")):
        origin["authors"] = authors
    if (year := as_year(get("year"))) is not None:
        origin["year"] = year
    licences = [found for word in as_words(get("licence")) if (found := normalised(word))]
    if licences:
        origin["licence"] = " AND ".join(dict.fromkeys(licences))
    ids = {kind: words[0] for kind in ("arxiv", "doi") if (words := as_words(get(kind)))}
    if ids:
        origin["ids"] = ids
    if fields := as_words(get("fields")):
        origin["fields"] = fields
    return origin


def sections_of(row: Mapping[str, Any], names: Mapping[str, str]) -> list[Json]:
    """Return a row's sections: of `sections` (a list with `heading` and `text`), or the whole of `text`; `abstract`
    first.
    """
    sections = []
    abstract = at(row, names.get("abstract", "abstract"))
    if isinstance(abstract, str) and abstract.strip():
        sections.append(section("Abstract", 1, "abstract", abstract))
    parts = at(row, names.get("sections", "sections"))
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, Mapping) and isinstance(part.get("text"), str) and part["text"].strip():
            heading = part.get("heading") if isinstance(part.get("heading"), str) else ""
            level = part.get("level") if isinstance(part.get("level"), int) else 1
            sections.append(section(heading or "", level or 1, kind_of_heading(heading or ""), part["text"]))
    text = at(row, names.get("text", "text"))
    if isinstance(text, str) and text.strip():
        sections.append(section("", 1, "other", text))
    return sections


def section(heading: str, level: int, kind: str, text: str) -> Json:
    """Return a section whose paragraphs have one empty line between them."""
    paragraphs = (part.strip() for part in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n")))
    return {
        "heading": " ".join(heading.split()),
        "level": max(1, level),
        "kind": kind,
        "text": "\n\n".join(part for part in paragraphs if part),
    }
