"""PDFs against the text that they were typeset from."""

from __future__ import annotations

import random
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from statllama.data.build.extract.reader import Reader
from statllama.data.build.records import text_of
from tests.data.build.extract.conftest import extract, record_of

VOCABULARY = """
the a of and sample estimate variance population distribution regression interval hypothesis significant probability
observation experiment randomised coefficient independence parameter asymptotic inference model data well-known
two-sided Kullback-Leibler
"""
WORDS = VOCABULARY.split()
HEADER = "Ann Author: A paper of known words"


def prose(seed: int, words: int = 70) -> str:
    draw = random.Random(seed)
    chosen = [draw.choice(WORDS) for _ in range(words)]
    for i in range(9, words - 5, 17):
        chosen[i] += "."
        chosen[i + 1] = chosen[i + 1].capitalize()
    return " ".join([chosen[0].capitalize(), *chosen[1:-1], f"words{seed}."])


def paper(t: Any) -> list[Any]:
    """Everything that papers have; each paragraph is different."""
    p = t.Part
    return [
        p("title", "Estimation of Known Quantities"),
        p("author", "Ann Author and Oliver Other"),
        p("abstract", prose(0)),
        p("heading", "1 Introduction"),
        *(p("text", prose(i)) for i in range(1, 5)),
        p("heading", "2 Methods"),
        p("text", prose(5)),
        p("formula", "L(μ, σ) = Σ log φ((x − μ) / σ)    (1)"),
        p("text", prose(6)),
        p("note", "1 Computed with the unbiased estimator of the variance."),
        p("heading", "2.1 The design"),
        p("text", prose(7)),
        p("table", "Group | n | Mean\nControl | 41 | 10.2\nTreated | 39 | 12.9\nAll | 80 | 11.5"),
        p("caption", "Table 1: Means of both groups."),
        *(p("text", prose(i)) for i in range(8, 14)),
        p("heading", "References"),
        *(p("entry", f"Author{i}, A. ({2000 + i}). " + prose(20 + i, 25)) for i in range(4)),
        p("heading", "A Proofs"),
        *(p("text", prose(i)) for i in range(14, 18)),
    ]


LOOKS = {
    "one": {"columns": 1, "indent": False},
    "two": {"columns": 2, "stamp": "arXiv:0000.00000v1 [stat.ME] 1 Jan 2000"},
    "across": {"columns": 2, "across": True, "spaces": False},
}


@pytest.fixture(scope="module", params=LOOKS)
def made(request: pytest.FixtureRequest, typesetting: Any, reader: Reader, tmp_path_factory: Any) -> Any:
    path = tmp_path_factory.mktemp("pdf") / f"{request.param}.pdf"
    typesetting.typeset(paper(typesetting), path, typesetting.Look(header=HEADER, **LOOKS[request.param]))
    (document,), left_out = extract(record_of(path), ocr=False)
    return request.param, document, left_out


def test_the_text_is_what_was_typeset(made: Any, typesetting: Any) -> None:
    """Word for word, in order, hyphens joined and kept; the footnote at the end of the section at its page's foot."""
    _, document, _ = made
    known = [block.replace("    ", " ") for block in typesetting.truth(paper(typesetting))]
    note = next(block for block in known if block.startswith("1 Computed"))
    found = text_of(document).split("\n\n")
    assert [block for block in found if block != note] == [block for block in known if block != note]
    assert sum(section["text"].endswith("\n\n" + note) for section in document["sections"]) == 1


def test_sections_have_kinds_levels_and_pages(made: Any) -> None:
    _, document, _ = made
    shown = [(s["heading"], s["level"], s["kind"]) for s in document["sections"]]
    assert shown == [
        ("Estimation of Known Quantities", 1, "other"),
        ("Abstract", 1, "abstract"),
        ("1 Introduction", 1, "introduction"),
        ("2 Methods", 1, "methods"),
        ("2.1 The design", 2, "methods"),
        ("References", 1, "references"),
        ("A Proofs", 1, "appendix"),
    ]
    pages = [s["pages"] for s in document["sections"]]
    assert pages[0] == [1, 1] and pages[-1][1] == document["extraction"]["pages"] > 1
    assert all(a[1] <= b[0] or a[1] == b[0] for a, b in pairwise(pages))
    assert document["origin"]["title"] == "Estimation of Known Quantities"


def test_running_lines_are_left_out_and_told(made: Any) -> None:
    look, document, left_out = made
    told = {(each.reason, each.detail) for each in left_out}
    assert HEADER not in text_of(document) and ("running header or footer", HEADER) in told
    assert ("running header or footer", "#") in told  # the page numbers
    assert (("sideways text", LOOKS[look]["stamp"]) in told) if "stamp" in LOOKS[look] else True  # type: ignore[index]


def test_a_wide_table_is_read_row_by_row(typesetting: Any, tmp_path: Path) -> None:
    p, rows = (
        typesetting.Part,
        "A | B | C | D | E | F\n" + "\n".join(f"r{i} | 1{i} | 2{i} | 3{i} | 4{i} | 5{i}" for i in range(4)),
    )
    parts = [p("table", rows, wide=True), *(p("text", prose(i)) for i in range(9))]
    typesetting.typeset(parts, tmp_path / "a.pdf", typesetting.Look(columns=2))
    (document,), _ = extract(record_of(tmp_path / "a.pdf"))
    assert text_of(document).split("\n\n") == [rows, *(prose(i) for i in range(9))]


def test_three_columns(typesetting: Any, tmp_path: Path) -> None:
    parts = [typesetting.Part("text", prose(i, 90)) for i in range(12)]
    typesetting.typeset(parts, tmp_path / "a.pdf", typesetting.Look(columns=3, size=8.0))
    (document,), _ = extract(record_of(tmp_path / "a.pdf"))
    assert text_of(document).split("\n\n") == [prose(i, 90) for i in range(12)]


def test_numbered_lines_that_are_no_page_numbers_stay(typesetting: Any, tmp_path: Path) -> None:
    """`Exercise 3` at the top of each page: the same but for a number, which does not count the pages."""
    parts = []
    for i, number in enumerate((3, 5, 11, 12)):
        parts += [
            typesetting.Part("text", f"Exercise {number}"),
            typesetting.Part("text", prose(i)),
            typesetting.Part("column"),
        ]
    typesetting.typeset(parts, tmp_path / "a.pdf", typesetting.Look(footer=False))
    (document,), left_out = extract(record_of(tmp_path / "a.pdf"))
    assert [f"Exercise {n}" in text_of(document) for n in (3, 5, 11, 12)] == [True] * 4 and not left_out


def canvas(path: Path, draw: Any, pages: int = 1, **more: Any) -> Path:
    from reportlab.pdfgen.canvas import Canvas

    made = Canvas(str(path), pagesize=(595, 842), invariant=1, **more)
    for i in range(pages):
        draw(made, i)
        made.showPage()
    made.save()
    return path


@pytest.mark.usefixtures("typesetting")
@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_page_turned_on_its_side(tmp_path: Path, turn: int) -> None:
    """A wide table across a page: its lines run up or down the sheet."""

    def draw(c: Any, _: int) -> None:
        c.translate(300, 400)
        c.rotate(turn)
        c.translate(-200, 0)
        for i in range(8):
            c.drawString(0, -14 * i, f"Line number {i} of a page that is turned by some degrees")

    (document,), _ = extract(record_of(canvas(tmp_path / "a.pdf", draw)))
    lines = [f"Line number {i} of a page that is turned by some degrees" for i in range(8)]
    assert " ".join(text_of(document).split()) == " ".join(lines)


@pytest.mark.usefixtures("typesetting")
def test_reading_order_is_the_pages_not_the_files(tmp_path: Path) -> None:
    """Lines that the file draws from the bottom up."""
    lines = [f"This is the line with the number {i} of the page" for i in range(12)]

    def draw(c: Any, _: int) -> None:
        for i in reversed(range(12)):
            c.drawString(70, 700 - 14 * i, lines[i])

    (document,), _ = extract(record_of(canvas(tmp_path / "a.pdf", draw)))
    assert text_of(document).split() == " ".join(lines).split()


@pytest.mark.usefixtures("typesetting")
def test_letters_without_meaning_are_left_out(tmp_path: Path) -> None:
    """Fonts that do not say which letters they show come as dingbats."""

    def draw(c: Any, page: int) -> None:
        c.setFont("ZapfDingbats" if page else "Times-Roman", 12)
        for i in range(9):
            c.drawString(70, 700 - 14 * i, f"This is the line with the number {i} of the page")

    (document,), left_out = extract(record_of(canvas(tmp_path / "a.pdf", draw, pages=2)), ocr=False)
    assert [(each.reason, each.where) for each in left_out] == [
        ("page in letters without meaning", "file:a.pdf, page 2")
    ]
    assert document["sections"][0]["pages"] == [1, 1]


SCANNED = prose(1, 40).replace("words1", "words")
needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="apt-get install tesseract-ocr")


@pytest.fixture(scope="module")
def picture(typesetting: Any, tmp_path_factory: Any) -> Path:
    """A page of text, and one that is a picture."""
    folder = tmp_path_factory.mktemp("picture")
    parts = [typesetting.Part("heading", "1 Introduction"), typesetting.Part("text", SCANNED)]
    typesetting.typeset(parts, folder / "text.pdf", typesetting.Look(footer=False, size=12))
    typesetting.as_picture(folder / "text.pdf", folder / "scan.pdf")
    import pypdfium2

    both = pypdfium2.PdfDocument.new()
    for name in ("text.pdf", "scan.pdf"):
        both.import_pages(pypdfium2.PdfDocument(folder / name))
    both.save(folder / "both.pdf")
    return folder


def test_a_picture_without_ocr_is_left_out_and_counted(picture: Path) -> None:
    (document,), left_out = extract(record_of(picture / "both.pdf"), ocr=False)
    assert [(each.reason, each.where) for each in left_out] == [("page without text", "file:both.pdf, page 2")]
    assert text_of(document) == f"1 Introduction\n\n{SCANNED}"
    kept, left_out = extract(record_of(picture / "scan.pdf"), ocr=False)
    assert not kept and [(each.reason, each.detail) for each in left_out] == [
        ("no text", "1 pages; 1 times page without text")
    ]


@needs_tesseract
def test_a_picture_is_read_with_ocr(picture: Path) -> None:
    (document,), left_out = extract(record_of(picture / "scan.pdf"), ocr=True)
    assert not left_out and document["extraction"]["ocr_pages"] == [1]
    assert [(s["heading"], s["text"]) for s in document["sections"]] == [("1 Introduction", SCANNED)]


@needs_tesseract
def test_the_time_begins_anew_with_each_page_of_ocr(typesetting: Any, tmp_path: Path) -> None:
    """Pages that take longer together than a file may, but none by itself."""
    import time

    typesetting.typeset([typesetting.Part("text", prose(1, 40))], tmp_path / "a.pdf", typesetting.Look(footer=False))
    typesetting.as_picture(tmp_path / "a.pdf", tmp_path / "one.pdf", dpi=100)
    began = time.monotonic()
    assert extract(record_of(tmp_path / "one.pdf"), ocr=True)[0]
    one = time.monotonic() - began
    import pypdfium2

    many = pypdfium2.PdfDocument.new()
    for _ in range(3):
        many.import_pages(pypdfium2.PdfDocument(tmp_path / "one.pdf"))
    many.save(tmp_path / "three.pdf")
    (document,), _ = extract(record_of(tmp_path / "three.pdf"), ocr=True, seconds=2 * one)
    assert document["extraction"]["ocr_pages"] == [1, 2, 3]
