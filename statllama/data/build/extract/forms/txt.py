"""Plain text: paragraphs between empty lines, UTF-8 or what its first bytes say, else Latin-1."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from statllama.data.build.extract.options import Options
from statllama.data.build.extract.outline import Block, Extracted
from statllama.data.build.extract.unreadable import DAMAGED, NO_TEXT, Unreadable
from statllama.data.build.headings import kind_of_heading

VERSIONS = ()
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_PARAGRAPHS = re.compile(r"\n[ \t]*\n\s*")
_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,4})[.)]?\s+[A-Z]")
_UNDERLINED = re.compile(r"(?P<title>[^\n]{1,120})\n(?P<line>=|-|~){3,}[=~-]*\s*(?:\n|$)")


def read(path: Path, options: Options) -> Extracted:
    """Return a file's paragraphs. A line by itself is a heading where it is underlined, numbered, or names a kind of
    section. Unreadable: `no text`, `damaged` where it is no text file.
    """
    blocks = list(blocks_of(decoded(path.read_bytes())))
    if not blocks:
        raise Unreadable(NO_TEXT)
    return Extracted(blocks, about={"tool": "text"})


def decoded(data: bytes) -> str:
    """Return a file's bytes as text, by its mark of byte order, as UTF-8, or as Latin-1. Unreadable when it is none."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    if text.count("\0") > len(text) // 1000:
        raise Unreadable(DAMAGED, "bytes that are no text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def blocks_of(text: str) -> list[Block]:
    """Return the paragraphs of a text, and its headings."""
    blocks = []
    for part in _PARAGRAPHS.split(text):
        part = part.strip("\n")
        while match := _UNDERLINED.match(part):
            blocks.append(Block(match["title"], 1 if match["line"] == "=" else 2))
            part = part[match.end() :]
        if part.strip():
            blocks.append(Block(part, _level(part.strip())))
    return blocks


def _level(part: str) -> int:
    if "\n" in part or len(part) > 120 or part.endswith((".", ",", ";", ":")):
        return 0
    if match := _NUMBERED.match(part):
        return match[1].count(".") + 1
    return int(kind_of_heading(part) != "other" and len(part.split()) <= 6 and not part[0].islower())
