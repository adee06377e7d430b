"""Files that cannot be read, one of each kind; and that the next file is read none the less."""

from __future__ import annotations

import io
import struct
import time
import zipfile
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from statllama.data.build.extract.options import Options
from statllama.data.build.extract.reader import Reader
from statllama.data.build.extract.unreadable import Unreadable
from statllama.data.build.records import text_of
from statllama.errors import DataError
from tests.data.build.extract.conftest import extract, record_of

Write = Callable[[str, str | bytes], Path]


def pdf(text: str = "Some words that a page says", pages: int = 1) -> bytes:
    from reportlab.pdfgen.canvas import Canvas

    buffer = io.BytesIO()
    canvas = Canvas(buffer, invariant=1)
    for _ in range(pages):
        canvas.drawString(72, 700, text)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def encrypted_pdf() -> bytes:
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen.canvas import Canvas

    buffer = io.BytesIO()
    canvas = Canvas(buffer, encrypt=StandardEncryption("secret", strength=128))
    canvas.drawString(72, 700, "hidden")
    canvas.save()
    return buffer.getvalue()


def docx(body: str) -> bytes:
    return archive({"word/document.xml": document_xml(body)})


def document_xml(body: str) -> str:
    namespace = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    return f'<w:document xmlns:w="{namespace}"><w:body>{body}</w:body></w:document>'


def archive(parts: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name, content)
    return buffer.getvalue()


@cache
def bomb() -> bytes:
    """A part of 65 MiB in some kilobytes."""
    return docx("<w:p/>" + " " * (65 << 20))


def lying_bomb() -> bytes:
    """A bomb whose declared size is 10 bytes."""
    data = bomb()
    central = data.rindex(b"PK\x01\x02")
    small = struct.pack("<I", 10)
    return data[: central + 24] + small + data[central + 28 :]


LAUGHS = (
    '<!DOCTYPE lolz [<!ENTITY a "lol">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(8))
    + "]>"
)
HOSTILE: dict[str, tuple[str, Callable[[], str | bytes], str]] = {
    "a password": ("a.pdf", encrypted_pdf, "encrypted"),
    "a PDF without its end": ("a.pdf", lambda: pdf()[:300], "damaged"),
    "no PDF": ("a.pdf", lambda: b"GIF89a no pdf at all", "damaged"),
    "an empty PDF": ("a.pdf", lambda: b"", "damaged"),
    "too many pages": ("a.pdf", lambda: pdf(pages=30), "more than 25 pages"),
    "no text on its page": ("a.pdf", lambda: pdf(" "), "no text"),
    "a zip bomb": ("a.docx", bomb, "unpacks to more than 64 MiB"),
    "a zip bomb that lies": ("a.docx", lying_bomb, "damaged"),
    "no zip": ("a.docx", lambda: b"PK\x03\x04 no zip", "damaged"),
    "no document": ("a.docx", lambda: archive({"other.xml": "<a/>"}), "damaged"),
    "XML that ends early": ("a.docx", lambda: archive({"word/document.xml": "<w:document"}), "damaged"),
    "a Word 97 file": ("a.docx", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 99, "damaged"),
    "an encrypted docx": (
        "a.docx",
        lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
        "encrypted",
    ),
    "entities in entities": (
        "a.docx",
        lambda: archive({"word/document.xml": LAUGHS + document_xml("<w:p><w:r><w:t>&i;</w:t></w:r></w:p>")}),
        "damaged",
    ),
    "a page of scripts": ("a.html", lambda: "<html><script>var a = 1;</script><nav>Home</nav></html>", "no text"),
    "elements within elements": ("a.html", lambda: "<div>" * 3000 + "Down here.", "damaged"),
    "bytes": ("a.txt", lambda: bytes(range(256)) * 40, "damaged"),
    "nothing": ("a.md", lambda: "\n\n", "no text"),
    "only a preamble": ("a.tex", lambda: "\\documentclass{article}\\begin{document}\\end{document}", "no text"),
}


@pytest.fixture(scope="module")
def strict() -> Any:
    with Reader(20, Options(pages=25, memory=512)) as reader:
        yield reader


@pytest.mark.parametrize("name", HOSTILE)
def test_left_out_with_its_reason(name: str, strict: Reader, write: Write) -> None:
    if HOSTILE[name][0].endswith("pdf"):
        pytest.importorskip("reportlab")
    file, make, reason = HOSTILE[name]
    path = write(file, make())
    with pytest.raises(Unreadable) as error:
        strict.read(path, path.suffix[1:])
    assert error.value.reason == reason
    assert strict.read(write("next.txt", "The next file."), "txt").blocks[0].text == "The next file."


def test_the_step_keeps_the_reason_and_goes_on(write: Write) -> None:
    records = [record_of(write("a.docx", b"PK")), record_of(write("b.txt", "Words."))]
    kept, left_out = extract(*records)
    assert [each.reason for each in left_out] == ["damaged"] and left_out[0].where == "file:a.docx"
    assert [text_of(document) for document in kept] == ["Words."]


def test_a_file_that_takes_too_long(write: Write) -> None:
    slow = "\\newcommand{\\a}{" + "\\b" * 9 + "}" + "{" * 60_000 + "\\a " * 60_000 + "\n"
    with Reader(1.0, Options()) as reader:
        reader.read(write("first.txt", "Started."), "txt")  # so that the limit is the file's alone
        began = time.monotonic()
        with pytest.raises(Unreadable, match="took longer than 1 s"):
            reader.read(write("slow.tex", "\\section{" * 3000 + slow * 20), "tex")
        assert time.monotonic() - began < 4
        assert reader.read(write("b.txt", "Words."), "txt").blocks[0].text == "Words."


def test_a_file_that_needs_too_much_memory(write: Write) -> None:
    with Reader(60, Options(memory=144)) as reader:
        with pytest.raises(Unreadable, match="needed more than 144 MiB"):
            reader.read(write("a.html", "<p>" + "<b>x</b>" * 300_000), "html")
        assert reader.read(write("b.txt", "Words."), "txt").blocks[0].text == "Words."


def test_elements_within_elements(write: Write) -> None:
    deep = "<div>" * 1000 + "Down here." + "</div>" * 1000
    (document,), _ = extract(record_of(write("a.html", deep)))
    assert text_of(document) == "Down here."
    (document,), _ = extract(record_of(write("a.tex", "{" * 3000 + "Down here." + "}" * 3000)))
    assert text_of(document) == "Down here."


def test_macros_that_grow_without_end(write: Write) -> None:
    growing = "".join("\\newcommand{\\%s}{%s}" % (b, f"\\{a}" * 40) for a, b in pairwise("abcdefgh"))  # noqa: UP031
    tex = "\\newcommand{\\a}{boom}" + growing + "\\begin{document}Before. \\h After.\\end{document}"
    (document,), _ = extract(record_of(write("a.tex", tex)))
    assert text_of(document).startswith("Before.") and len(text_of(document)) < 100_000


def test_a_file_that_has_changed_ends_the_build(write: Write) -> None:
    path = write("a.txt", "Words.")
    with pytest.raises(DataError, match="is not what was collected"):
        extract(record_of(path, sha256="0" * 64))
    with pytest.raises(DataError, match="cannot be read"):
        extract(record_of(path.with_name("gone.txt")))


def test_a_form_that_is_not_read(write: Write) -> None:
    kept, left_out = extract(record_of(write("a.odt", "x")))
    assert not kept and left_out[0].reason == "form is not read" and "'odt'" in left_out[0].detail
