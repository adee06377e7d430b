"""PDF, with PDFium: glyphs to text in reading order (`layout/`); pages that are pictures by OCR."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from statllama.data.build.extract.layout.columns import columns_of
from statllama.data.build.extract.layout.glyphs import page_of
from statllama.data.build.extract.layout.ocr import read_picture, tesseract_version
from statllama.data.build.extract.layout.paragraphs import blocks_of
from statllama.data.build.extract.layout.piece import Page
from statllama.data.build.extract.layout.running import without_running
from statllama.data.build.extract.options import Options
from statllama.data.build.extract.outline import Extracted
from statllama.data.build.extract.unreadable import (
    DAMAGED,
    ENCRYPTED,
    GARBLED,
    NO_TEXT,
    PAGE_WITHOUT_TEXT,
    RUNNING,
    SIDEWAYS,
    Unreadable,
)

VERSIONS = ("pypdfium2",)
_NEARLY_NONE = 30  # letters of a page: a stamp on a picture, not text
_SIGNS = frozenset(("So", "Co", "Cn", "Cs"))  # dingbats, a font's own characters
_GARBLED = 0.2  # share of a page's characters
_PICTURE = 0.4  # share of a page that pictures cover, for it to be one itself


def read(path: Path, options: Options) -> Extracted:
    """Return a PDF's text. Unreadable: `encrypted`, `damaged`, `no text`, `more than N pages`."""
    document = _opened(path)
    try:
        count = len(document)
        if count > options.pages:
            raise Unreadable(f"more than {options.pages:,} pages", f"{count:,}")
        pages, ocr_pages, left_out = list[Page](), list[int](), list[tuple[str, str, str]]()
        for number, page in _pages(document, left_out):
            found = page_of(page, number)
            if flaw := _flaw(found, page):
                if not options.ocr:
                    left_out.append((flaw[0], f"page {number}", flaw[1]))
                    continue
                found = read_picture(page, number, options.ocr_language)
                ocr_pages.append(number)
                if options.page_read:
                    options.page_read()
            if found.sideways:
                left_out.append((SIDEWAYS, f"page {number}", found.sideways[:300]))
            pages.append(found)
    finally:
        document.close()
    pages, running = without_running(pages)
    left_out += [(RUNNING, _span(line.pages), line.text) for line in running]
    columns = [(page.number, column) for page in pages for column in columns_of(page.pieces)]
    blocks, title = blocks_of(columns)
    if not blocks:
        unread = ", ".join(
            f"{often} times {reason}" for reason, often in Counter(reason for reason, _, _ in left_out).items()
        )
        raise Unreadable(NO_TEXT, f"{count} pages" + (f"; {unread}" if unread else ""))
    about: dict[str, object] = {"tool": f"pypdfium2 {version('pypdfium2')}", "pages": count}
    if ocr_pages:
        about |= {"ocr_pages": ocr_pages, "ocr": f"tesseract {tesseract_version()}"}
    return Extracted(blocks, title, about, left_out)


def _opened(path: Path) -> Any:
    import pypdfium2 as pdfium
    import pypdfium2.raw as c

    try:
        return pdfium.PdfDocument(path)
    except pdfium.PdfiumError as error:
        if getattr(error, "err_code", None) == c.FPDF_ERR_PASSWORD:
            raise Unreadable(ENCRYPTED, "a password is needed to open it") from None
        raise Unreadable(DAMAGED, str(error)) from None


def _pages(document: Any, left_out: list[tuple[str, str, str]]) -> Iterator[tuple[int, Any]]:
    """Yield (number, page), each closed after its use; a page that cannot be loaded is noted."""
    import pypdfium2 as pdfium

    for index in range(len(document)):
        try:
            page = document[index]
        except pdfium.PdfiumError as error:
            left_out.append(("damaged page", f"page {index + 1}", str(error)))
            continue
        yield index + 1, page
        page.close()


def _flaw(found: Page, page: Any) -> tuple[str, str] | None:
    """Return why a page must be read by eye, reason and detail: it is a picture, or its fonts do not say which letters
    they show and give signs in their place. None: its text is there.
    """
    text = "".join(piece.text for piece in found.pieces)
    if sum(char.isalnum() for char in text) < _NEARLY_NONE and _is_picture(page):
        return PAGE_WITHOUT_TEXT, "a picture"
    signs = sum(unicodedata.category(char) in _SIGNS for char in text)
    return (GARBLED, text[:60]) if signs > _GARBLED * max(len(text), _NEARLY_NONE) else None


def _is_picture(page: Any) -> bool:
    import pypdfium2.raw as c

    width, height = page.get_size()
    covered = 0.0
    for item in page.get_objects(filter=(c.FPDF_PAGEOBJ_IMAGE,), max_depth=4):
        left, bottom, right, top = item.get_bounds()
        covered += max(0.0, right - left) * max(0.0, top - bottom)
    return bool(covered >= _PICTURE * width * height)


def _span(pages: tuple[int, ...]) -> str:
    """Return `page 3` or `12 pages, 1 to 20`."""
    return f"page {pages[0]}" if len(pages) == 1 else f"{len(pages)} pages, {pages[0]} to {pages[-1]}"
