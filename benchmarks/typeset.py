"""PDFs of known text, set as journals set them: one or two columns, justified and hyphenated lines, running headers,
footnotes, tables, a wide title and abstract. For `build_extract.py` and for tests of the extraction.

    paper = [Part("title", "..."), Part("heading", "1 Introduction"), Part("text", "...")]
    typeset(paper, Path("paper.pdf"), Look(columns=2, header="A. Author: A paper"))
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

SIZES = {"title": 17.0, "heading": 12.0, "note": 8.0, "caption": 9.0, "table": 9.0, "author": 11.0}
_CUT = re.compile(r"[aeiou](?=[bcdfgklmnprst][aeiou])")


@dataclass(frozen=True)
class Part:
    """A block of a paper: `title`, `author`, `abstract`, `heading`, `text`, `formula`, `table`, `caption`, `note`,
    `entry` (of a list of references) or `column` (what follows begins in the next column).
    """

    kind: str
    text: str = ""
    wide: bool = False
    """Across all columns, at the top of the next page."""


@dataclass(frozen=True)
class Look:
    """How a paper is set."""

    columns: int = 1
    size: float = 10.0
    header: str = ""
    footer: bool = True
    """Number the pages."""
    indent: bool = True
    """Begin paragraphs with an indent, rather than space before them."""
    hyphens: bool = True
    across: bool = False
    """Draw the lines of both columns in turn, as some programs do."""
    spaces: bool = True
    """Write spaces between words, rather than leave room for them as TeX does."""
    stamp: str = ""
    """Sideways in the margin of the first page."""


@dataclass
class _Drawn:
    """A line where it stands."""

    x: float
    y: float
    words: list[tuple[float, str]]
    font: str
    size: float


@dataclass
class _Sheet:
    lines: list[_Drawn] = field(default_factory=list)
    notes: list[tuple[int, list[tuple[float, list[str]]]]] = field(default_factory=list)


@cache
def fonts() -> tuple[str, str, str]:
    """Register the fonts that come with matplotlib; returns the names of regular, bold and italic."""
    import matplotlib
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    folder = Path(matplotlib.get_data_path()) / "fonts/ttf"
    for name in ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic"):
        pdfmetrics.registerFont(TTFont(name, folder / f"{name}.ttf"))
    return "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic"


def width(text: str, font: str, size: float) -> float:
    """Width of a text in points."""
    from reportlab.pdfbase.pdfmetrics import stringWidth

    return float(stringWidth(text, font, size))


def broken(text: str, font: str, size: float, room: float, first: float, hyphens: bool) -> list[list[str]]:
    """The lines of a paragraph, as words; its first line has `first` points less room. Long words are cut."""
    lines, line, used = [], list[str](), first
    space = width(" ", font, size)
    waiting = [piece for word in text.split(" ") for piece in _pieces(word)]
    glued = False
    while waiting:
        word, tight = waiting.pop(0)
        wide = width(word, font, size)
        gap = 0.0 if not line or glued else space
        if used + gap + wide <= room:
            if glued and line:
                line[-1] += word
            else:
                line.append(word)
            used += gap + wide
        else:
            cut = _cut(word, font, size, room - used - gap) if hyphens and line else None
            if cut:
                head = word[:cut] + "-"
                if glued:
                    line[-1] += head
                else:
                    line.append(head)
                waiting.insert(0, (word[cut:], tight))
            else:
                waiting.insert(0, (word, tight))
            lines.append(line)
            line, used, glued = [], 0.0, False
            continue
        glued = tight
    return [*lines, line] if line else lines


def _pieces(word: str) -> list[tuple[str, bool]]:
    """A word's pieces between which a line may end, `cause-` `and-` `effect`; True: no space follows."""
    parts = re.findall(r"[^-]+-?|-", word)
    return [(part, i + 1 < len(parts)) for i, part in enumerate(parts)]


def _cut(word: str, font: str, size: float, room: float) -> int | None:
    if not word.isalpha() or len(word) < 7:
        return None
    places = [match.end() for match in _CUT.finditer(word) if 3 <= match.end() <= len(word) - 3]
    fitting = [place for place in places if width(word[:place] + "-", font, size) <= room]
    return fitting[-1] if fitting else None


class _Setter:
    """Puts parts into columns and pages."""

    page = (595.0, 842.0)
    margin, top, bottom, gutter = 62.0, 770.0, 80.0, 18.0

    def __init__(self, look: Look) -> None:
        self.look = look
        self.regular, self.bold, self.italic = fonts()
        self.sheets = [_Sheet()]
        self.column, self.start = 0, self.top
        self.y = self.top
        self.low = [self.bottom] * look.columns

    @property
    def room(self) -> float:
        whole = self.page[0] - 2 * self.margin
        return (whole - (self.look.columns - 1) * self.gutter) / self.look.columns

    def left(self, wide: bool = False) -> float:
        return self.margin + (0 if wide else self.column * (self.room + self.gutter))

    def next_column(self) -> None:
        self.column += 1
        if self.column == self.look.columns:
            self.sheets.append(_Sheet())
            self.column, self.start, self.low = 0, self.top, [self.bottom] * self.look.columns
        self.y = self.start

    def needs(self, height: float) -> None:
        if self.y - height < self.low[self.column]:
            self.next_column()

    def put(self, words: list[tuple[float, str]], x: float, font: str, size: float) -> None:
        self.sheets[-1].lines.append(_Drawn(x, self.y, words, font, size))

    def lines(self, text: str, font: str, size: float, *, first: float = 0.0, rest: float = 0.0, wide: bool = False,
              center: bool = False) -> None:  # fmt: skip
        room = self.page[0] - 2 * self.margin if wide else self.room
        rows = broken(text, font, size, room - rest, first - rest, self.look.hyphens and not center)
        for i, words in enumerate(rows):
            self.needs(size * 1.2)
            self.y -= size * 1.2
            indent = first if i == 0 else rest
            x = self.left(wide) + indent
            natural = sum(width(word, font, size) for word in words) + width(" ", font, size) * (len(words) - 1)
            spare = room - indent - natural
            stretch = spare / (len(words) - 1) if len(words) > 1 and i + 1 < len(rows) and not center else 0.0
            placed, at = [], x + (spare / 2 if center else 0.0)
            for word in words:
                placed.append((at, word))
                at += width(word, font, size) + width(" ", font, size) + max(0.0, stretch)
            self.put(placed, x, font, size)

    def part(self, part: Part) -> None:
        size = SIZES.get(part.kind, self.look.size)
        match part.kind:
            case "title" | "author":
                self.lines(part.text, self.bold if part.kind == "title" else self.regular, size, wide=True, center=True)
                self.y -= 8
                self.start = self.y
            case "abstract":
                self.lines("Abstract", self.bold, self.look.size, wide=True, center=True)
                self.y -= 4
                self.lines(part.text, self.regular, self.look.size, wide=True)
                self.y -= 20
                self.start = self.y
            case "heading":
                deep = "." in part.text.split(" ")[0]
                self.needs(60)
                self.y -= 10
                self.lines(part.text, self.bold, self.look.size if deep else size)
                self.y -= 4
            case "text":
                if not self.look.indent:
                    self.y -= 6
                self.lines(part.text, self.regular, size, first=12.0 if self.look.indent else 0.0)
            case "entry":
                self.lines(part.text, self.regular, size - 1, rest=14.0)
            case "formula":
                self.needs(40)
                self.y -= 6
                self.lines(part.text, self.italic, size, center=True)
                self.y -= 6
            case "caption":
                self.y -= 4
                self.lines(part.text, self.regular, size)
                self.y -= 10
            case "table":
                self.table(part, size)
            case "note":
                self.note(part.text)
            case "column":
                self.next_column()

    def table(self, part: Part, size: float) -> None:
        rows = [row.split(" | ") for row in part.text.split("\n")]
        room = self.page[0] - 2 * self.margin if part.wide else self.room
        self.needs(len(rows) * size * 1.4 + 16)
        self.y -= 8
        for row in rows:
            self.y -= size * 1.4
            step = room / len(row)
            left = self.left(part.wide)
            for i, cell in enumerate(row):
                self.put([(left + i * step, cell)], left + i * step, self.regular, size)
        self.y -= 12
        if part.wide:
            self.start = self.y

    def note(self, text: str) -> None:
        """Put a note at the foot of this column; what is above stays above it."""
        size = SIZES["note"]
        rows = broken(text, self.regular, size, self.room, 0.0, False)
        floor = self.low[self.column]
        for i, words in enumerate(reversed(rows)):
            line = _Drawn(self.left(), floor + i * size * 1.2, [(self.left(), " ".join(words))], self.regular, size)
            self.sheets[-1].lines.append(line)
        self.low[self.column] = floor + len(rows) * size * 1.2 + 8


def typeset(parts: Sequence[Part], path: Path, look: Look) -> int:
    """Write the PDF; returns its number of pages."""
    from reportlab.pdfgen.canvas import Canvas

    setter = _Setter(look)
    for part in parts:
        setter.part(part)
    canvas = Canvas(str(path), pagesize=setter.page, invariant=1)
    for number, sheet in enumerate(setter.sheets, start=1):
        lines = sheet.lines
        if look.across:
            lines = sorted(lines, key=lambda line: (-round(line.y), line.x))
        elif look.columns > 1:  # notes are drawn last, as TeX does
            lines = [line for line in lines if line.size != SIZES["note"]] + [
                line for line in reversed(lines) if line.size == SIZES["note"]
            ]
        _decorate(canvas, setter, look, number)
        for line in lines:
            _draw(canvas, line, look.spaces)
        canvas.showPage()
    canvas.save()
    return len(setter.sheets)


def _draw(canvas: Any, line: _Drawn, spaces: bool) -> None:
    canvas.setFont(line.font, line.size)
    for x, word in line.words:
        canvas.drawString(x, line.y, word + " " * spaces)


def _decorate(canvas: Any, setter: _Setter, look: Look, number: int) -> None:
    canvas.setFont(setter.italic, 9)
    if look.header:
        canvas.drawString(setter.margin, 800, look.header)
    if look.footer:
        canvas.drawCentredString(setter.page[0] / 2, 45, str(number))
    if look.stamp and number == 1:
        canvas.saveState()
        canvas.translate(30, 300)
        canvas.rotate(90)
        canvas.drawString(0, 0, look.stamp)
        canvas.restoreState()


def truth(parts: Sequence[Part]) -> list[str]:
    """The blocks of a paper's text, in reading order; notes stand where they are referred to."""
    shown = []
    for part in parts:
        if part.kind == "abstract":
            shown.append("Abstract")
        if part.text:
            shown.append(part.text)
    return shown


def as_picture(source: Path, target: Path, dpi: int = 200) -> None:
    """Write a PDF whose pages are pictures of another one's."""
    import pypdfium2
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    document = pypdfium2.PdfDocument(source)
    canvas = Canvas(str(target), invariant=1)
    for page in document:
        size = page.get_size()
        canvas.setPageSize(size)
        image = page.render(scale=dpi / 72, grayscale=True).to_pil()
        canvas.drawImage(ImageReader(image), 0, 0, *size)
        canvas.showPage()
    canvas.save()
    document.close()
