"""Papers of S2ORC, in its three layouts, as origin and sections.

- 2020 and s2orc-doc2json: `body_text` and `abstract` are lists of {section, text}; metadata beside or in `metadata`.
- since 2022: `content.text` is the whole paper, `content.annotations` has {kind: JSON text of [{start, end}]}.
- s2orc_v2: as since 2022, but `body` and `bibliography` in place of `content`, and other names of the kinds.

Lo, Wang, Neumann, Kinney and Weld, S2ORC: The Semantic Scholar Open Research Corpus, ACL 2020.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from statllama.data.build.collect._columns import as_words, at, origin_of, section
from statllama.data.build.headings import kinds_in_order
from statllama.data.build.records import Json

Span = tuple[int, int, Mapping[str, Any]]
_NESTED = " ::: "  # between the headings of a section and of the one that it is in
_OLD = {"authors": "authors", "arxiv": "arxiv_id", "doi": "doi", "fields": "mag_field_of_study", "licence": "license"}


class BrokenLayout(ValueError):
    """A record whose layout is S2ORC's, but whose parts do not fit each other."""


def is_s2orc(row: Mapping[str, Any]) -> bool:
    """Return whether a row is in one of S2ORC's layouts."""
    return isinstance(row.get("body_text"), list) or _whole(row) is not None


def paper_of(row: Mapping[str, Any]) -> tuple[Json, list[Json]]:
    """Return origin (`collector` and `place` are `papers` and S2's address) and sections. BrokenLayout."""
    if isinstance(row.get("body_text"), list):
        return _old(row)
    return _new(row)


def _old(row: Mapping[str, Any]) -> tuple[Json, list[Json]]:
    metadata = row.get("metadata") if isinstance(row.get("metadata"), Mapping) else {}
    flat = {**row, **metadata} if isinstance(metadata, Mapping) else dict(row)
    flat.setdefault("mag_field_of_study", flat.get("fields_of_study") or flat.get("s2fieldsofstudy"))
    name = as_words(flat.get("paper_id"))
    origin = origin_of(flat, {**_OLD, "place": "s2_url"}, "papers", _place(name[0] if name else ""))
    if name:
        origin["ids"] = {**origin.get("ids", {}), "s2orc": name[0]}
    abstract = row.get("abstract") or flat.get("abstract")
    if isinstance(abstract, str):
        abstract = [{"text": abstract}]
    text = "\n\n".join(text for _, _, text in _parts(abstract))
    sections = [section("Abstract", 1, "abstract", text)] if text else []
    return origin, sections + _grouped(list(_parts(row["body_text"])))


def _parts(listed: Any) -> Iterator[tuple[int, str, str]]:
    """Yield (level, heading, text) of paragraphs."""
    for part in listed if isinstance(listed, list) else []:
        if not isinstance(part, Mapping) or not isinstance(part.get("text"), str):
            raise BrokenLayout("a paragraph without `text`")
        if not part["text"].strip():
            continue
        heading = part.get("section") or ""
        if not isinstance(heading, str):
            raise BrokenLayout(f"a `section` that is no text but {heading!r}")
        number = part.get("sec_num")
        level = _level(str(number)) if number else heading.count(_NESTED) + 1
        yield level, heading.rpartition(_NESTED)[2], part["text"]


def _grouped(parts: list[tuple[int, str, str]]) -> list[Json]:
    """Return the sections of paragraphs that follow each other under one heading."""
    groups: list[tuple[int, str, list[str]]] = []
    for level, heading, text in parts:
        if not groups or groups[-1][:2] != (level, heading):
            groups.append((level, heading, []))
        groups[-1][2].append(text)
    kinds = kinds_in_order((level, heading) for level, heading, _ in groups)
    return [
        section(heading, level, kind, "\n\n".join(texts))
        for (level, heading, texts), kind in zip(groups, kinds, strict=True)
    ]


def _whole(row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the text with its annotations, where a row has them."""
    for name in ("content", "body"):
        part = row.get(name)
        if isinstance(part, Mapping) and isinstance(part.get("text"), str) and "annotations" in part:
            return part
    return None


def _new(row: Mapping[str, Any]) -> tuple[Json, list[Json]]:
    whole = _whole(row) or {}
    text: str = whole["text"]

    def spans(*kinds: str, of: Any = whole) -> list[Span]:
        return next((found for kind in kinds if (found := _spans(of, kind))), [])

    def marked(span: Span) -> str:
        return " ".join(text[span[0] : span[1]].split())

    title = row.get("title") or " ".join(marked(span) for span in spans("title")[:1])
    authors = row.get("authors") or [marked(span) for span in spans("author")]
    flat = {**row, "title": title, "authors": authors}
    name = next((found[0] for key in ("corpusid", "corpusId", "id") if (found := as_words(row.get(key)))), "")
    info = "openaccessinfo" if "openaccessinfo" in row else "content.source.oainfo"
    outside = "openaccessinfo.externalids" if "openaccessinfo" in row else "externalids"
    names = {"licence": f"{info}.license", "arxiv": f"{outside}.arxiv", "doi": f"{outside}.doi"}
    names |= {"fields": "s2fieldsofstudy" if "s2fieldsofstudy" in row else "fieldsofstudy"}
    if at(flat, names["arxiv"]) is None:  # as its API spells it
        names |= {"arxiv": f"{outside}.ArXiv"}
    origin = origin_of(flat, names, "papers", _place(name))
    if name:
        origin["ids"] = {**origin.get("ids", {}), "s2orc": name}
    abstracts = spans("abstract")
    body = _annotated(text, abstracts, spans("sectionheader", "section_header"), spans("paragraph"))
    bibliography = row.get("bibliography")
    listed: Mapping[str, Any] = bibliography if isinstance(bibliography, Mapping) else whole
    entries = [listed["text"][start:end] for start, end, _ in spans("bibentry", "bib_entry", of=listed)]
    if entries:
        body.append(section("References", 1, "references", "\n\n".join(" ".join(entry.split()) for entry in entries)))
    return origin, body


def _annotated(text: str, abstracts: list[Span], headers: list[Span], paragraphs: list[Span]) -> list[Json]:
    """Return the sections of a text: each paragraph belongs to the last header before it."""
    own = "\n\n".join(text[start:end].strip() for start, end, _ in abstracts)
    inside = [span for span in paragraphs if not any(a <= span[0] < b for a, b, _ in abstracts)]
    if not headers and not inside:
        inside = [(max((end for _, end, _ in abstracts), default=0), len(text), {})]
    parts: list[tuple[int, str, str]] = []
    level, heading, following = 1, "", iter([*headers, (len(text) + 1, len(text) + 1, {})])
    upcoming = next(following)
    for start, end, _ in inside:
        while upcoming[0] <= start and upcoming[0] <= len(text):
            heading = " ".join(text[upcoming[0] : upcoming[1]].split())
            number = str(upcoming[2].get("n") or "")
            level, upcoming = _level(number or heading), next(following)
        if text[start:end].strip():
            parts.append((level, heading, text[start:end]))
    sections = [section("Abstract", 1, "abstract", own)] if own.strip() else []
    return sections + _grouped(parts)


def _spans(whole: Any, kind: str) -> list[Span]:
    """Return a kind's spans in reading order; none where it is null. BrokenLayout for what leads out of the text."""
    annotations = whole.get("annotations") if isinstance(whole, Mapping) else None
    value: Any = annotations.get(kind) if isinstance(annotations, Mapping) else None
    if isinstance(value, str):
        written = value
        try:
            value = json.loads(written) if written.strip() else None
        except (ValueError, RecursionError):
            raise BrokenLayout(f"annotations.{kind} is not JSON: {written[:60]!r}") from None
    if value is None:
        return []
    size = len(whole["text"]) if isinstance(whole.get("text"), str) else 0
    try:
        spans = [(int(each["start"]), int(each["end"]), each.get("attributes") or {}) for each in value]
    except (TypeError, KeyError, ValueError, AttributeError):
        raise BrokenLayout(f"annotations.{kind} is no list of {{start, end}}: {str(value)[:60]}") from None
    for start, end, _ in spans:
        if not 0 <= start <= end <= size:
            raise BrokenLayout(f"annotations.{kind} has {start} to {end} of a text of {size} characters")
    return sorted((s for s in spans if s[0] < s[1] and isinstance(s[2], Mapping)), key=lambda span: span[:2])


def _level(number: str) -> int:
    """Return 1 for `2` and `2.`, 2 for `2.1`, 1 for what begins with no number."""
    match = re.match(r"[A-Z\d]+((?:\.\d+)*)\.?(?=\s|$)", number)
    return 1 + (match[1].count(".") if match else 0)


def _place(name: str) -> str:
    return f"https://api.semanticscholar.org/CorpusID:{name}" if name.isdigit() else name
