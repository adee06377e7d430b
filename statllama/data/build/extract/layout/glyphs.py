"""A PDF page's glyphs as words.

PDFium gives each glyph its character, its box and its font, in the order in which the file draws them, and puts in the
spaces and line ends that a file leaves out.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections import Counter
from typing import Any, NamedTuple

from statllama.data.build.extract.layout.accents import with_accents
from statllama.data.build.extract.layout.piece import Font, Page, Piece, pieces_of

_BOLD = re.compile(r"bold|black|heavy|demi|cmbx|cmssbx|[-,]bd|medi$|\.b$", re.IGNORECASE)
_ITALIC = re.compile(r"ital|obli|slant|cmti|cmsl|cmmi|[-,]it|csc|smallcap", re.IGNORECASE)  # or small capitals
_FIXED = re.compile(r"mono|courier|consol|cmtt|cmsltt|typewriter|ectt|txtt|lmtt|menlo|inconsolata", re.IGNORECASE)
_FORCED_BOLD, _ITALIC_FLAG, _FIXED_PITCH = 1 << 18, 1 << 6, 1 << 0  # PDF 32000-1, table 123
_SAMPLES = 60  # glyphs that are asked for their direction
_ENDS = frozenset((9, 10, 13, 32, 160, 0x2002, 0x2003, 0x2009))
_RETURN = 13
_TEX = {
    11: "ff", 12: "fi", 13: "fl", 14: "ffi", 15: "ffl", 16: "“", 17: "”", 21: "–", 22: "—", 27: "ff", 28: "fi",
    29: "fl", 30: "ffi", 31: "ffl",
}  # fmt: skip
"""Ligatures, quotes and dashes at their places in TeX's encodings OT1 and T1: old files do not say what they mean."""
_TEX_BULLET = ("ffl", "•")  # the same place in its font of symbols, where it stands alone
_CUT_HYPHENS = (2, 0xFFFE)  # PDFium's sign for a hyphen at the end of a line

_Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""


class _Style(NamedTuple):
    base: float
    size: float
    font: Font
    upright: bool


def page_of(page: Any, number: int) -> Page:
    """Return what stands on a `pypdfium2.PdfPage`."""
    import pypdfium2.raw as c

    text_page = page.get_textpage()
    try:
        reader = _Reader(c, text_page.raw)
        words, sideways = reader.words()
    finally:
        text_page.close()
    left, bottom, right, top = _turned_box(page.get_mediabox(), reader.turn)
    return Page(
        number, right - left, top - bottom, pieces_of(with_accents(words)), " ".join("".join(sideways).split()), bottom
    )


class _Reader:
    """Reads the glyphs of one page. Turns the page so that most of its text is upright."""

    def __init__(self, c: Any, raw: Any) -> None:
        self._c, self._raw = c, raw
        self._count = c.FPDFText_CountChars(raw)
        self._box, self._matrix = c.FS_RECTF(), c.FS_MATRIX()
        self._x, self._y = ctypes.c_double(), ctypes.c_double()
        self._name, self._flags = ctypes.create_string_buffer(128), ctypes.c_int()
        self._fonts: dict[tuple[bytes, int], Font] = {}
        step = max(1, self._count // _SAMPLES)
        turns = Counter(self._turn(i) for i in range(0, self._count, step) if c.FPDFText_GetUnicode(raw, i) > 32)
        self.turn = turns.most_common(1)[0][0] if turns else 0

    def _turn(self, index: int) -> int:
        """Return the direction of a glyph's line, in quarters counterclockwise."""
        self._c.FPDFText_GetMatrix(self._raw, index, ctypes.byref(self._matrix))
        return round(math.atan2(self._matrix.b, self._matrix.a) / (math.pi / 2)) % 4

    def words(self) -> tuple[list[Piece], list[str]]:
        """Return the upright words in the file's order, and the characters of all others."""
        unicode_of, box_of, raw, box = (
            self._c.FPDFText_GetUnicode,
            self._c.FPDFText_GetLooseCharBox,
            self._raw,
            self._box,
        )
        at, turn = ctypes.byref(box), self.turn
        words, sideways, run = list[Piece](), list[str](), list[str]()
        style: _Style | None = None
        left = right = 0.0  # of the run
        last: _Box = (0.0, 0.0, 0.0, 0.0)
        for i in range(self._count):
            code = unicode_of(raw, i)
            if code in _ENDS and not (code == _RETURN and self._is_drawn(i)):
                if run and style:
                    words.append(_word(run, left, right, style))
                elif style:
                    sideways.append(" ")
                run, style = [], None
                continue
            box_of(raw, i, at)
            here = (box.left, box.bottom, box.right, box.top)
            if turn:
                here = _turned_box(here, turn)
            if code < 32:
                char = _TEX.get(code, "-" if code in _CUT_HYPHENS else "\ufffd")
            else:
                char = "-" if code in _CUT_HYPHENS else chr(code)
            if run and style and _breaks(last, here):
                words.append(_word(run, left, right, style))
                run, style = [], None
            if style is None:
                style = self._style(i, here)
                left, right = here[0], here[2]
            if not style.upright:
                sideways.append(char)
                continue
            run.append(char)
            left, right, last = min(left, here[0]), max(right, here[2]), here
        if run and style:
            words.append(_word(run, left, right, style))
        return words, sideways

    def _is_drawn(self, index: int) -> bool:
        """Return whether the file itself has a glyph here, rather than PDFium a line end."""
        return bool(self._c.FPDFText_IsGenerated(self._raw, index) == 0)

    def _style(self, index: int, box: _Box) -> _Style:
        c, raw = self._c, self._raw
        turn = self._turn(index)
        c.FPDFText_GetCharOrigin(raw, index, ctypes.byref(self._x), ctypes.byref(self._y))
        size = c.FPDFText_GetFontSize(raw, index) * math.hypot(self._matrix.c, self._matrix.d)
        if not 0.5 < size < 1000:  # no matrix: a glyph that PDFium put in
            size = max(1.0, box[3] - box[1])
        c.FPDFText_GetFontInfo(raw, index, self._name, 127, ctypes.byref(self._flags))
        font = (self._name.value, self._flags.value)
        if font not in self._fonts:
            self._fonts[font] = _font(*font)
        base = _turned(self._x.value, self._y.value, self.turn)[1] if self.turn else self._y.value
        return _Style(base, size, self._fonts[font], turn == self.turn)


def _font(name: bytes, flags: int) -> Font:
    """Return a font's look, by its flags and its name without the tag of a subset."""
    text = re.sub(r"^[A-Z]{6}\+", "", name.decode("latin-1"))
    return Font(
        bool(_BOLD.search(text) or flags & _FORCED_BOLD),
        bool(_ITALIC.search(text) or flags & _ITALIC_FLAG),
        bool(_FIXED.search(text) or flags & _FIXED_PITCH),
    )


def _breaks(last: _Box, box: _Box) -> bool:
    """Return whether a glyph begins another word though no space stands before it."""
    height = max(last[3] - last[1], box[3] - box[1], 1.0)
    lifted = abs(last[1] + last[3] - box[1] - box[3]) / 2
    return lifted > 0.7 * height or box[0] < last[0] - 0.6 * height or box[0] > last[2] + 0.5 * height


def _word(run: list[str], left: float, right: float, style: _Style) -> Piece:
    text = "".join(run)
    if text == _TEX_BULLET[0]:
        text = _TEX_BULLET[1]
    if not text.isprintable():  # halves of a character beyond the basic plane
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return Piece(left, right, style.base, style.size, style.font, text)


def _turned(x: float, y: float, turn: int) -> tuple[float, float]:
    """Return a point of a page that is turned back by so many quarters."""
    return ((x, y), (y, -x), (-x, -y), (-y, x))[turn]


def _turned_box(box: _Box, turn: int) -> _Box:
    """Return a box of a page that is turned back by so many quarters."""
    (x0, y0), (x1, y1) = _turned(box[0], box[1], turn), _turned(box[2], box[3], turn)
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
