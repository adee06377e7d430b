"""What a user sets about the extraction."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from statllama.config.spec import Count, Positive, Spec


class ExtractSpec(Spec):
    """How files are read."""

    ocr: Literal["auto"] | bool = "auto"
    """Whether a page that is a picture is read with the program `tesseract`; `auto`: where it is installed. A page that
    is not read is left out as `page without text`."""
    ocr_language: Annotated[str, Field(pattern=r"^[A-Za-z_]+(\+[A-Za-z_]+)*$")] = "eng"
    """Tesseract's name of the language, or several with `+` between them."""
    seconds: Positive = 60.0
    """Most seconds that one file may take; it has as many again behind each page that OCR has read."""
    memory: Annotated[int, Field(ge=256, le=1 << 20)] = 2048
    """Most memory in MiB that reading one file may take, the interpreter's own (about 100 MiB) included."""
    pages: Count = 2000
    """Most pages of a PDF: a longer one is left out."""
