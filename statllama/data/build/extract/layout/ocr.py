"""Pictures of pages, read by the program Tesseract.

Smith (2007), "An overview of the Tesseract OCR engine", ICDAR. It is asked for words with their boxes, so that columns
and headings are found as on any other page.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from typing import Any

from statllama.data.build.extract.layout.piece import Font, Page, Piece, pieces_of
from statllama.data.build.extract.unreadable import Unreadable

DPI = 300
_LEAST_CONFIDENCE = 30.0  # of a word, in percent; below it Tesseract sees letters in smudges
_TALL = "bdfhkltABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@cache
def tesseract_version() -> str | None:
    """Return the version of the program `tesseract`, such as `5.3.0`; None where it is not installed."""
    if shutil.which("tesseract") is None:
        return None
    told = subprocess.run(["tesseract", "--version"], capture_output=True, text=True, check=False)
    first = (told.stdout or told.stderr).splitlines()[:1]
    return first[0].removeprefix("tesseract").strip() if first else None


def read_picture(page: Any, number: int, language: str) -> Page:
    """Return what stands on a picture of a `pypdfium2.PdfPage`. Unreadable where Tesseract fails."""
    bitmap = page.render(scale=DPI / 72, grayscale=True)
    try:
        header = b"P5 %d %d 255\n" % (bitmap.width, bitmap.height)
        rows = bytes(bitmap.buffer)
        picture = header + b"".join(
            rows[y * bitmap.stride : y * bitmap.stride + bitmap.width] for y in range(bitmap.height)
        )
        height = bitmap.height
    finally:
        bitmap.close()
    command = ["tesseract", "stdin", "stdout", "-l", language, "--dpi", str(DPI), "--psm", "3", "tsv"]
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    read = subprocess.run(command, input=picture, capture_output=True, env=environment, check=False)
    if read.returncode:
        raise Unreadable("OCR failed", read.stderr.decode("utf-8", "replace").strip()[-300:])
    width_in_points, height_in_points = page.get_size()
    words = _words(read.stdout.decode("utf-8", "replace"), height)
    return Page(number, width_in_points, height_in_points, pieces_of(words))


def _words(table: str, height: int) -> list[Piece]:
    """Return the words of Tesseract's table. A line's size is the middle one of what its words' boxes tell."""
    lines: dict[tuple[str, ...], list[list[str]]] = {}
    for row in table.splitlines()[1:]:
        cells = row.split("\t")
        if len(cells) == 12 and cells[0] == "5" and cells[11].strip() and float(cells[10]) >= _LEAST_CONFIDENCE:
            lines.setdefault(tuple(cells[1:5]), []).append(cells)
    words = list[Piece]()
    scale = 72 / DPI
    for cells_of_line in lines.values():
        boxes = [tuple(map(int, cells[6:10])) for cells in cells_of_line]  # left, top, width, height in pixels
        bases = sorted(
            top + h for (_, top, _, h), cells in zip(boxes, cells_of_line, strict=True) if _stands(cells[11])
        )
        bottom = bases[(len(bases) - 1) // 2] if bases else max(top + h for _, top, _, h in boxes)
        tops = sorted(
            top for (_, top, _, _), cells in zip(boxes, cells_of_line, strict=True) if set(cells[11]) & set(_TALL)
        )
        top = tops[len(tops) // 2] if tops else min(top for _, top, _, _ in boxes)
        size = max(1.0, round((bottom - top) * scale / 0.7, 1))  # ascenders are about 0.7 of a font's size
        for (left, _, width, _), cells in zip(boxes, cells_of_line, strict=True):
            base = (height - bottom) * scale
            words.append(Piece(left * scale, (left + width) * scale, base, size, Font(), cells[11].strip()))
    return words


def _stands(word: str) -> bool:
    """Return whether a word has no letter below the line."""
    return not set(word) & set("gjpqyQ,;()[]{}|/")
