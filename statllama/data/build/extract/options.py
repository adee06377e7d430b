"""What a form of file is told about how to read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """The settings that reach the process that reads."""

    pages: int = 2000
    """Most pages."""
    ocr: bool = False
    """Read pages that are pictures."""
    ocr_language: str = "eng"
    memory: int = 2048
    """MiB that the process may take."""
    page_read: Callable[[], None] | None = None
    """Called when OCR has read a page, which takes seconds: the time of the file begins anew."""
