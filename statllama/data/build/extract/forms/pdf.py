"""PDF, with PDFium: glyphs to text in reading order (`layout/`); pages that are pictures by OCR."""

from __future__ import annotations

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
    NO_TEXT,
    PAGE_WITHOUT_TEXT,
    RUNNING,
    SIDEWAYS,
    Unreadable,
)

VERSIONS = ("pypdfium2",)
_NEARLY_NONE = 30  # letters of a page: a stamp on a picture, not text
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
            found, by_eye = _page(page, number, options)
            if found is None:
                left_out.append((PAGE_WITHOUT_TEXT, f"page {number}", "a picture"))
                continue
            if by_eye:
                ocr_pages.append(number)
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
        pictures = sum(reason == PAGE_WITHOUT_TEXT for reason, _, _ in left_out)
        raise Unreadable(NO_TEXT, f"{count} pages, {pictures} of them pictures")
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


def _page(page: Any, number: int, options: Options) -> tuple[Page | None, bool]:
    """Return what stands on a page, and whether it was read by eye; None: it is a picture that is not read."""
    found = page_of(page, number)
    letters = sum(char.isalnum() for piece in found.pieces for char in piece.text)
    if letters >= _NEARLY_NONE or not _is_picture(page):
        return found, False
    if not options.ocr:
        return None, False
    return read_picture(page, number, options.ocr_language), True


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
