"""Markdown (CommonMark with tables), with markdown-it-py. Formulas between dollar signs stay as they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from statllama.data.build.extract.forms import html, txt
from statllama.data.build.extract.options import Options
from statllama.data.build.extract.outline import Block, Extracted
from statllama.data.build.extract.unreadable import NO_TEXT, Unreadable

if TYPE_CHECKING:
    from markdown_it.token import Token

VERSIONS = ("markdown-it-py", "lxml")
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n(---|\.\.\.)\n", re.DOTALL)
_TITLE = re.compile(r"^title:\s*['\"]?(.+?)['\"]?\s*$", re.MULTILINE)
_FORMULA = re.compile(
    r"\$\$.+?\$\$|\\\[.+?\\\]|\\\(.+?\\\)|(?<![\\$\w])\$(?![\s$])[^$\n]+?(?<![\s\\])\$(?![\d$])", re.DOTALL
)
_KEPT = re.compile("\ue000(\\d+)\ue001")


def read(path: Path, options: Options) -> Extracted:
    """Return a file's headings and paragraphs. Unreadable: `no text`, `damaged`."""
    text = txt.decoded(path.read_bytes())
    title = ""
    if front := _FRONT_MATTER.match(text):
        found = _TITLE.search(front[1])
        title, text = found[1] if found else "", text[front.end() :]
    blocks = list(blocks_of(text))
    if not blocks:
        raise Unreadable(NO_TEXT)
    return Extracted(blocks, title or _only_top(blocks), {"tool": f"markdown-it-py {version('markdown-it-py')}"})


def _only_top(blocks: Sequence[Block]) -> str:
    """Return the text of the heading of level 1, where there is one at the start and no other."""
    tops = [block for block in blocks if block.level == 1]
    return tops[0].text if len(tops) == 1 and blocks[0] is tops[0] else ""


def blocks_of(text: str) -> Iterator[Block]:
    """Yield a Markdown text's blocks."""
    from markdown_it import MarkdownIt

    formulas: list[str] = []

    def keep(match: re.Match[str]) -> str:
        formulas.append(match[0])
        return f"\ue000{len(formulas) - 1}\ue001"

    def put_back(text: str) -> str:
        return _KEPT.sub(lambda match: formulas[int(match[1])], text)

    plain = text.replace("\ue000", "").replace("\ue001", "")
    tokens = MarkdownIt("commonmark").enable("table").parse(_FORMULA.sub(keep, plain))
    for block in _blocks(tokens):
        yield Block(put_back(block.text), block.level)


def _blocks(tokens: Sequence[Token]) -> Iterator[Block]:
    level, marks, lists = 0, "", list[int | None]()
    rows: list[list[str]] | None = None
    for token in tokens:
        match token.type:
            case "heading_open":
                level = int(token.tag[1])
            case "heading_close":
                level = 0
            case "ordered_list_open":
                lists.append(int(token.attrs.get("start", 1)))
            case "bullet_list_open":
                lists.append(None)
            case "ordered_list_close" | "bullet_list_close":
                lists.pop()
            case "list_item_open":
                number = lists[-1]
                marks = "- " if number is None else f"{number}. "
                lists[-1] = None if number is None else number + 1
            case "table_open":
                rows = []
            case "tr_open" if rows is not None:
                rows.append([])
            case "table_close" if rows is not None:
                yield Block("\n".join(" | ".join(row) for row in rows))
                rows = None
            case "fence" | "code_block":
                yield Block(token.content.rstrip("\n"))
            case "html_block":
                yield from html.fragment_blocks(token.content)
            case "inline" if rows is not None:
                rows[-1].append(_inline(token))
            case "inline":
                yield Block(marks + _inline(token), level)
                marks = ""


def _inline(token: Token) -> str:
    """Return the text of an inline token: of links and images their words, of HTML nothing."""
    parts = []
    for child in token.children or ():
        match child.type:
            case "text" | "code_inline":
                parts.append(child.content)
            case "softbreak":
                parts.append(" ")
            case "hardbreak":
                parts.append("\n")
            case "image":
                parts.append(child.content)
    return "".join(parts)
