"""The step `extract`: files that were found become documents."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from statllama.config.keyed import keyed
from statllama.data.build.extract.forms import form_module, form_names
from statllama.data.build.extract.layout.ocr import tesseract_version
from statllama.data.build.extract.options import Options
from statllama.data.build.extract.outline import sections_of
from statllama.data.build.extract.reader import Reader
from statllama.data.build.extract.spec import ExtractSpec
from statllama.data.build.extract.topics import topics_of
from statllama.data.build.extract.unreadable import NO_TEXT, Unreadable
from statllama.data.build.headings import kind_of_heading
from statllama.data.build.records import Document, Json, Kept, LeftOut, Outcome, Section, text_of
from statllama.errors import DataError, near

NUMERICS = 1
"""Raised when the same file would give other text."""


@dataclass(frozen=True)
class Extract:
    """Makes a Document of each Found, or says why there is none."""

    spec: ExtractSpec
    name: str = "extract"
    block: int = 32
    threads: bool = False

    def material(self) -> Mapping[str, Any]:
        """Return what decides the text but the files: settings, versions of libraries, and of Tesseract where pages
        that are pictures are read. DataError when a library or Tesseract is missing.
        """
        versions = {package: _version(package) for form in form_names() for package in form_module(form).VERSIONS}
        read = self._ocr()
        return {
            "name": "extract",
            "numerics": NUMERICS,
            "spec": {**keyed(self.spec), "ocr": read},
            "versions": versions | ({"tesseract": tesseract_version()} if read else {}),
        }

    def plan(self, inputs: Callable[[], Iterator[Json]]) -> Any:
        """Return nothing: a file says all about itself."""
        return None

    def apply(self, records: Sequence[Json], plan: Any, files: Path) -> Iterable[Outcome]:
        """Yield a document for each record, and what is left out of it. DataError for a file that is missing or is not
        what was collected.
        """
        spec = self.spec
        options = Options(spec.pages, self._ocr(), spec.ocr_language, spec.memory)
        with Reader(spec.seconds, options) as reader:
            for record in records:
                yield from _outcomes(record, reader)

    def _ocr(self) -> bool:
        if self.spec.ocr is True and tesseract_version() is None:
            raise DataError(
                "`ocr: true` needs the program tesseract, which is not installed",
                remedy="apt-get install tesseract-ocr, or `ocr: false`: pages that are pictures are then left out",
            )
        return self.spec.ocr is not False and tesseract_version() is not None


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise DataError(
            f"reading files needs {package}, which is not installed", remedy="pip install 'statllama[build]'"
        ) from None


def _outcomes(record: Json, reader: Reader) -> Iterator[Outcome]:
    """Yield what becomes of one record."""
    if "sections" in record:
        yield from _passed_on(record)
        return
    path = _checked(record)
    form = record.get("form") or path.suffix.removeprefix(".").lower()
    if form not in form_names():
        yield LeftOut("form is not read", record["id"], detail=f"{form!r}; {near(form, form_names())}")
        return
    try:
        extracted = reader.read(path, form)
    except Unreadable as error:
        yield LeftOut(error.reason, record["id"], detail=error.detail)
        return
    document = _document(record, sections_of(extracted.blocks, extracted.title), extracted.title)
    if document is None:
        yield LeftOut(NO_TEXT, record["id"])
        return
    document["extraction"] = dict(extracted.about)
    yield Kept(document)
    for reason, place, detail in extracted.left_out:
        yield LeftOut(reason, f"{record['id']}, {place}", detail=detail)


def _passed_on(record: Json) -> Iterator[Outcome]:
    """Yield a record that has its sections, with their kinds."""
    sections = list[Section]()
    for given in record["sections"]:
        kind = given.get("kind") or "other"
        kind = kind_of_heading(given["heading"]) if kind == "other" else kind
        sections.append(cast(Section, {**given, "kind": kind}))
    document = _document(record, sections, "")
    yield Kept(document) if document is not None else LeftOut(NO_TEXT, record["id"])


def _document(record: Json, sections: list[Section], title: str) -> Document | None:
    """Return a document with its topics; None when no section has text."""
    if not any(section["text"].strip() for section in sections):
        return None
    origin = dict(record["origin"])
    if title and not origin.get("title"):
        origin["title"] = title
    document: Document = {"id": record["id"], "origin": origin, "sections": sections}  # type: ignore[typeddict-item]
    topics = topics_of(text_of(document))
    if topics:
        document["topics"] = topics
    return document


def _checked(record: Json) -> Path:
    """Return the path of a record's file, whose bytes are those that were collected. DataError else."""
    path = Path(record["file"])
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(
            f"{record['id']}: {path} cannot be read: {error.strerror or error}",
            remedy="put the file back, or collect again",
        ) from None
    wanted = record.get("sha256", found)
    if found != wanted:
        raise DataError(
            f"{record['id']}: {path} is not what was collected: its SHA-256 is {found[:16]}, not {wanted[:16]}",
            remedy="put the file back as it was, or collect again",
        )
    return path
