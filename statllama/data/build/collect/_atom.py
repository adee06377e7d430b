"""Answers of arXiv's API (Atom 1.0 with OpenSearch's counts) and of its OAI-PMH interface, as records.

arXiv API User's Manual, https://info.arxiv.org/help/api/user-manual.html; OAI-PMH, https://info.arxiv.org/help/oa/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from statllama.data.build.collect._http import TryAgain
from statllama.data.build.collect._xml import XmlError, parsed
from statllama.data.build.licences import normalised
from statllama.data.build.records import Json
from statllama.errors import DataError

_ATOM, _ARXIV, _SEARCH = (
    "{http://www.w3.org/2005/Atom}",
    "{http://arxiv.org/schemas/atom}",
    "{http://a9.com/-/spec/opensearch/1.1/}",
)
_OAI = "{http://www.openarchives.org/OAI/2.0/}"
_LICENCE = "{http://arxiv.org/OAI/arXiv/}license"
_ID = re.compile(r"https?://(?:\w+\.)?arxiv\.org/abs/(.+?)(v\d+)?")


@dataclass(frozen=True)
class Page:
    """One page of answers. `total`: of all pages, as the server counts."""

    total: int
    entries: tuple[Json, ...]


def page_of(data: bytes) -> Page:
    """Return a page of answers as `Found` records without a file. TryAgain for what is no feed, DataError for arXiv's
    own word that the query is wrong.
    """
    feed = _tree(data, f"{_ATOM}feed")
    entries = feed.findall(f"{_ATOM}entry")
    for entry in entries:
        if "/api/errors" in (entry.findtext(f"{_ATOM}id") or ""):
            said = _text(entry, f"{_ATOM}summary") or _text(entry, f"{_ATOM}title")
            raise DataError(f"arXiv refuses the query: {said}", remedy="mend `query`, `categories` or `ids`")
    total = feed.findtext(f"{_SEARCH}totalResults") or ""
    if not total.strip().isdigit():
        raise TryAgain("a feed without its number of results")
    return Page(int(total), tuple(record for entry in entries if (record := _record(entry)) is not None))


def licence_of(data: bytes) -> str | None:
    """Return the licence in an answer of `GetRecord` with the prefix `arXiv`, normalised; None where there is none."""
    tree = _tree(data, f"{_OAI}OAI-PMH")
    error = tree.find(f"{_OAI}error")
    if error is not None and error.get("code") != "idDoesNotExist":
        raise TryAgain(f"OAI-PMH error {error.get('code')}: {error.text or ''}")
    return normalised(next((found.text for found in tree.iter(_LICENCE)), None))


def _tree(data: bytes, root: str) -> Element:
    try:
        tree = parsed(data)
    except XmlError as error:
        shown = " ".join(data[:80].decode(errors="replace").split())
        raise TryAgain(f"no XML ({error}): {shown!r}") from None
    if tree.tag != root:
        raise TryAgain(f"<{tree.tag.rpartition('}')[2]}> in place of <{root.rpartition('}')[2]}>")
    return tree


def _record(entry: Element) -> Json | None:
    match = _ID.fullmatch(" ".join((entry.findtext(f"{_ATOM}id") or "").split()))
    if match is None:
        return None
    ids = {"arxiv": match[1]}
    if doi := _text(entry, f"{_ARXIV}doi"):
        ids["doi"] = doi
    version = match[1] + (match[2] or "")
    origin: Json = {"collector": "arxiv", "place": f"https://arxiv.org/abs/{version}", "ids": ids}
    if title := _text(entry, f"{_ATOM}title"):
        origin["title"] = title
    authors = [name for author in entry.findall(f"{_ATOM}author") if (name := _text(author, f"{_ATOM}name"))]
    if authors:
        origin["authors"] = authors
    published = _text(entry, f"{_ATOM}published")
    if published[:4].isdigit():
        origin["year"] = int(published[:4])
    if fields := _categories(entry):
        origin["fields"] = fields
    return {"id": f"arxiv:{version}", "origin": origin, "sections": _abstract(entry)}


def _categories(entry: Element) -> list[str]:
    """Return the categories, the primary one first."""
    elements: list[Any] = [*entry.findall(f"{_ARXIV}primary_category"), *entry.findall(f"{_ATOM}category")]
    return list(dict.fromkeys(term for element in elements if (term := element.get("term"))))


def _abstract(entry: Element) -> list[Json]:
    paragraphs = re.split(r"\n\s*\n|\n {2,}", entry.findtext(f"{_ATOM}summary") or "")
    text = "\n\n".join(plain for part in paragraphs if (plain := " ".join(part.split())))
    return [{"heading": "Abstract", "level": 1, "kind": "abstract", "text": text}] if text else []


def _text(element: Element, name: str) -> str:
    return " ".join((element.findtext(name) or "").split())
