"""Word documents (Office Open XML, ECMA-376), read with zipfile and lxml: no part is unpacked beyond its limit, and
pictures and embedded files are never opened.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from statllama.data.build.extract.forms._omml import M, latex_of
from statllama.data.build.extract.options import Options
from statllama.data.build.extract.outline import Block, Extracted
from statllama.data.build.extract.unreadable import DAMAGED, ENCRYPTED, NO_TEXT, Unreadable

VERSIONS = ("lxml",)
LARGEST = 64 << 20
"""Bytes that one part may have when unpacked."""
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"  # the same again for old readers
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # an older container: Word 97, or an encrypted document
_SKIPPED = frozenset(
    {_FALLBACK, *(_W + name for name in ("del", "moveFrom", "instrText", "pPr", "rPr", "sdtPr", "tblPr"))}
)


def read(path: Path, options: Options) -> Extracted:
    """Return a document's text. Unreadable: `encrypted`, `damaged`, `no text`, `unpacks to more than 64 MiB`."""
    with path.open("rb") as file:
        start = file.read(8)
    if start == _OLE:
        encrypted = "EncryptedPackage".encode("utf-16-le") in path.read_bytes()
        raise Unreadable(ENCRYPTED if encrypted else DAMAGED, "" if encrypted else "a document of Word 97, or none")
    try:
        with zipfile.ZipFile(path) as archive:
            parts = {
                name: _part(archive, f"word/{name}.xml") for name in ("document", "styles", "numbering", "footnotes")
            }
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise Unreadable(DAMAGED, str(error)) from None
    body = parts["document"].find(_W + "body") if parts["document"] is not None else None
    if body is None:
        raise Unreadable(DAMAGED, "no word/document.xml with a body")
    reader = _Reader(parts)
    blocks = [block for block in reader.blocks(body) if block.text.strip()]
    if not blocks:
        raise Unreadable(NO_TEXT)
    return Extracted(blocks, reader.title, {"tool": f"lxml {version('lxml')}"})


def _part(archive: zipfile.ZipFile, name: str) -> Any:
    """Return a part's root element; None where there is no such part."""
    from lxml import etree

    if name not in archive.namelist():
        return None
    declared = archive.getinfo(name)
    if declared.flag_bits & 1:
        raise Unreadable(ENCRYPTED, f"{name} has a password")
    with archive.open(name) as file:
        data = file.read(LARGEST + 1) if declared.file_size <= LARGEST else b""
    if declared.file_size > LARGEST or len(data) > LARGEST:
        raise Unreadable(f"unpacks to more than {LARGEST >> 20} MiB", f"{name}: {declared.file_size:,} bytes")
    try:
        return etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    except etree.XMLSyntaxError as error:
        raise Unreadable(DAMAGED, f"{name}: {error}") from None


class _Reader:
    """Reads paragraphs and tables, with what styles, numbering and footnotes say about them."""

    def __init__(self, parts: Mapping[str, Any]) -> None:
        self.title = ""
        self._levels = dict(_levels(parts["styles"]))
        self._formats = dict(_number_formats(parts["numbering"]))
        self._counts: Counter[tuple[str, str]] = Counter()
        notes = parts["footnotes"] if parts["footnotes"] is not None else ()
        self._notes = {note.get(_W + "id"): note for note in notes}
        self._found: list[Block] = []  # footnotes and text boxes of the paragraph that is read

    def blocks(self, parent: Any) -> Iterator[Block]:
        """Yield the blocks of a body, a cell or a text box."""
        for element in parent:
            if element.tag == _W + "p":
                yield from self._paragraph(element)
            elif element.tag == _W + "tbl":
                rows = (
                    " | ".join(" ".join(block.text for block in self.blocks(cell)) for cell in row.iter(_W + "tc"))
                    for row in element.findall(_W + "tr")
                )
                yield Block("\n".join(rows))
            elif element.tag not in _SKIPPED and isinstance(element.tag, str):
                yield from self.blocks(element)

    def _paragraph(self, paragraph: Any) -> Iterator[Block]:
        self._found = []
        text = "".join(self._runs(paragraph)).strip()
        found, self._found = self._found, []
        style = _value(paragraph, "pPr/pStyle")
        level = self._levels.get(style, 0)
        if own := _value(paragraph, "pPr/outlineLvl"):
            level = int(own) + 1 if own.isdecimal() and int(own) < 9 else 0
        if style.lower() == "title" and text and not self.title:
            self.title, level = text, 1
        if text:
            yield Block(text if level else self._mark(paragraph) + text, level)
        yield from found

    def _mark(self, paragraph: Any) -> str:
        """Return `- ` or `3. ` for a paragraph of a list."""
        list_id = _value(paragraph, "pPr/numPr/numId")
        if list_id in ("", "0"):
            return ""
        depth = _value(paragraph, "pPr/numPr/ilvl") or "0"
        if self._formats.get((list_id, depth), "bullet") in ("bullet", "none"):
            return "- "
        self._counts[list_id, depth] += 1
        return f"{self._counts[list_id, depth]}. "

    def _runs(self, parent: Any) -> Iterator[str]:
        for element in parent:
            tag = element.tag
            if tag in _SKIPPED or not isinstance(tag, str):
                continue
            if tag == _W + "t":
                yield element.text or ""
            elif tag in (_W + "tab", _W + "ptab"):
                yield " "
            elif tag in (_W + "br", _W + "cr"):
                yield "" if element.get(_W + "type") in ("page", "column") else "\n"
            elif tag == _W + "noBreakHyphen":
                yield "-"
            elif tag == M + "oMathPara":
                yield "".join(f"$${latex_of(formula)}$$" for formula in element.iter(M + "oMath"))
            elif tag == M + "oMath":
                yield f"${latex_of(element)}$"
            elif tag == _W + "footnoteReference":
                self._note(element.get(_W + "id"))
            elif tag == _W + "txbxContent":
                outer = self._found
                outer += list(self.blocks(element))
                self._found = outer
            else:
                yield from self._runs(element)

    def _note(self, number: str) -> None:
        note = self._notes.pop(number, None)
        if note is not None:
            outer = self._found
            text = " ".join(block.text for block in self.blocks(note))
            self._found = [*outer, Block(text, note=True)]


def _value(element: Any, path: str) -> str:
    """Return `w:val` of the element at a path, empty where there is none."""
    found = element.find("/".join(_W + name for name in path.split("/")))
    return "" if found is None else str(found.get(_W + "val", ""))


def _levels(styles: Any) -> Iterator[tuple[str, int]]:
    """Yield (style id, heading level) of the styles of headings: named so, of an outline level, or based on one."""
    known: dict[str, tuple[str, str, str]] = {
        style.get(_W + "styleId", ""): (
            _value(style, "name").lower(),
            _value(style, "pPr/outlineLvl"),
            _value(style, "basedOn"),
        )
        for style in (styles.iter(_W + "style") if styles is not None else ())
    }
    for first in known:
        style = first
        for _ in range(10):  # styles may be based on each other in a circle
            name, outline, base = known.get(style, ("", "", ""))
            number = name.removeprefix("heading ") if name.startswith("heading ") else ""
            if number.isdecimal() or outline.isdecimal():
                level = int(number) if number.isdecimal() else int(outline) + 1
                if level <= 9:
                    yield first, level
                break
            style = base
    if not known:
        yield from ((f"Heading{level}", level) for level in range(1, 10))


def _number_formats(numbering: Any) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield ((list's id, depth), format), such as `bullet` or `decimal`."""
    if numbering is None:
        return
    abstract = {
        (one.get(_W + "abstractNumId"), level.get(_W + "ilvl")): _value(level, "numFmt")
        for one in numbering.iter(_W + "abstractNum")
        for level in one.iter(_W + "lvl")
    }
    for number in numbering.iter(_W + "num"):
        base = _value(number, "abstractNumId")
        for (abstract_id, depth), kind in abstract.items():
            if abstract_id == base:
                yield (number.get(_W + "numId"), depth), kind
