"""HTML, with lxml: the article's headings, paragraphs, lists and tables; formulas as LaTeX where the page has it.

Left out: what is no text of the article, as the elements and roles of HTML say it (navigation, header and footer of the
page, forms, scripts), and lists that are nothing but links. MathML carries the author's LaTeX as an annotation or, on
arXiv's pages, in `alttext`.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from statllama.data.build.extract.options import Options
from statllama.data.build.extract.outline import Block, Extracted
from statllama.data.build.extract.unreadable import DAMAGED, NO_TEXT, Unreadable

VERSIONS = ("lxml",)
_DROPPED = frozenset([
    "script", "style", "nav", "header", "footer", "aside", "form", "button", "select", "textarea", "template",
    "noscript", "iframe", "object", "svg", "canvas", "audio", "video", "head", "title", "dialog", "menu",
])  # fmt: skip
_DROPPED_ROLES = frozenset([
    "navigation", "banner", "contentinfo", "search", "complementary", "menu", "menubar", "dialog",
])  # fmt: skip
_DROPPED_CLASSES = frozenset([
    "nav", "navbar", "navigation", "menu", "sidebar", "breadcrumb", "breadcrumbs", "toc", "share", "social",
    "advert", "advertisement", "ads", "cookie-banner", "cookies", "footer", "page-footer", "site-header",
    "site-footer", "comments", "ltx_page_footer", "ltx_page_header", "ltx_TOC",
])  # fmt: skip
_BLOCKS = frozenset([
    "p", "div", "section", "article", "main", "body", "html", "blockquote", "pre", "ul", "ol", "li", "dl", "dt",
    "dd", "table", "figure", "figcaption", "address", "hr", "details", "summary", "fieldset", "center", "h1",
    "h2", "h3", "h4", "h5", "h6", "tr", "td", "th", "caption", "thead", "tbody", "tfoot",
])  # fmt: skip
_HEADING = re.compile(r"h([1-6])")
_SPACE = re.compile(r"[ \t\r\n\f]+")


def read(path: Path, options: Options) -> Extracted:
    """Return the article of a page. Unreadable: `no text`, `damaged`."""
    from lxml import html

    parser = html.HTMLParser(remove_comments=True, remove_pis=True, huge_tree=True)
    data = path.read_bytes()
    if b"charset" not in data[:4096].lower() and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        try:
            data.decode("utf-8")
            parser = html.HTMLParser(remove_comments=True, remove_pis=True, huge_tree=True, encoding="utf-8")
        except UnicodeDecodeError:
            pass
    tree = html.document_fromstring(data, parser=parser) if data.strip() else None
    if tree is None:
        raise Unreadable(NO_TEXT)
    if deep := next((entry.message for entry in parser.error_log if "depth" in entry.message.lower()), None):
        raise Unreadable(DAMAGED, f"elements within elements: {deep}")  # the parser has dropped what is in them
    writer = _Writer()
    writer.walk(_article(tree))
    blocks = [block for block in writer.blocks() if block.text.strip()]
    if not blocks:
        raise Unreadable(NO_TEXT)
    return Extracted(blocks, _title(tree), {"tool": f"lxml {version('lxml')}"})


def fragment_blocks(source: str) -> list[Block]:
    """Return the blocks of HTML that stands within another text."""
    from lxml import html

    if not re.sub(r"<!--.*?-->|</?[a-zA-Z][^>]*>", "", source, flags=re.DOTALL).strip():
        return []
    writer = _Writer()
    writer.walk(html.fragment_fromstring(source, create_parent="div"))
    return [block for block in writer.blocks() if block.text.strip()]


def _article(tree: Any) -> Any:
    """Return the element of the article: the only `main` or `article` with most of the text, else the body."""
    body = tree.find("body") if tree.find("body") is not None else tree
    whole = len(body.text_content())
    for path in (".//article", ".//main", ".//*[@role='main']"):
        found = tree.findall(path)
        if len(found) == 1 and len(found[0].text_content()) > 0.3 * whole:
            return found[0]
    return body


def _title(tree: Any) -> str:
    tops = tree.findall(".//h1")
    shown = tops[0].text_content() if len(tops) == 1 else tree.findtext(".//title") or ""
    return _SPACE.sub(" ", shown).strip()


class _Writer:
    """Walks elements without recursion, so that no depth of nesting can end it, and collects blocks."""

    def __init__(self) -> None:
        self._blocks = list[Block]()
        self._parts = list[str]()
        self._lists = list[list[Any]]()
        self._mark = ""

    def blocks(self) -> list[Block]:
        """Return the blocks so far."""
        self._end()
        return self._blocks

    def walk(self, top: Any) -> None:
        """Add what an element says."""
        waiting: list[tuple[Any, bool]] = [(top, False)]
        while waiting:
            element, leaving = waiting.pop()
            tag = element.tag if isinstance(element.tag, str) else ""
            if leaving:
                self._leave(tag)
                if element is not top and element.tail:
                    self._parts.append(element.tail)
                continue
            if self._whole(element, tag, element is top):
                if element is not top and element.tail:
                    self._parts.append(element.tail)
                continue
            self._enter(element, tag)
            if element.text:
                self._parts.append(element.text)
            waiting.append((element, True))
            waiting += [(child, False) for child in reversed(element)]

    def _whole(self, element: Any, tag: str, is_top: bool) -> bool:
        """Add an element that is taken, or left out, as a whole; return whether it is one."""
        if not is_top and _is_dropped(element, tag):
            return True
        if tag == "math":
            self._parts.append(_formula(element))
        elif tag == "img":
            self._parts.append(element.get("alt", "") if "tex" in element.get("class", "") else "")
        elif tag == "script":  # of MathJax: the formula's source
            self._parts.append(f"${element.text}$")
        elif tag == "br":
            self._parts.append("\n" if self._parts else "")
        elif tag == "pre":
            self._end()
            self._blocks.append(Block(element.text_content().strip("\n")))
        elif tag == "table" and not _is_layout(element):
            self._end()
            self._table(element)
        elif match := _HEADING.fullmatch(tag):
            self._end()
            self._blocks.append(Block(_inline(element), int(match[1])))
        else:
            return False
        return True

    def _enter(self, element: Any, tag: str) -> None:
        if tag in _BLOCKS:
            self._end()
        if tag in ("ul", "ol"):
            self._lists.append([tag, 1])
        elif tag == "li" and self._lists:
            kind, number = self._lists[-1]
            self._mark = "- " if kind == "ul" else f"{number}. "
            self._lists[-1][1] += 1

    def _leave(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._end()
        if tag in ("ul", "ol") and self._lists:
            self._lists.pop()

    def _end(self) -> None:
        text = _joined(self._parts)
        self._parts = []
        if text:
            self._blocks.append(Block(self._mark + text))
            self._mark = ""

    def _table(self, table: Any) -> None:
        """Add a table as rows on lines, its caption before it."""
        caption = table.find("caption")
        if caption is not None:
            self._blocks.append(Block(_inline(caption)))
        rows = []
        for row in table.iter("tr"):
            cells = [_inline(cell) for cell in row if cell.tag in ("td", "th")]
            if "ltx_eqn_table" in table.get("class", ""):  # a formula and its number
                rows.append(" ".join(cell for cell in cells if cell))
            elif any(cells):
                rows.append(" | ".join(cells))
        self._blocks.append(Block("\n".join(rows)))


def _is_dropped(element: Any, tag: str) -> bool:
    """Return whether an element is no text of the article."""
    if tag == "script" and element.get("type", "").startswith("math/tex") and element.text:
        return False
    if not tag or tag in _DROPPED or element.get("role") in _DROPPED_ROLES:
        # `header` holds the title of an article, too
        return not (tag == "header" and any(parent.tag == "article" for parent in element.iterancestors()))
    if element.get("hidden") is not None or (element.get("aria-hidden") == "true" and tag != "math"):
        return True
    if "display:none" in element.get("style", "").replace(" ", ""):
        return True
    names = {*element.get("class", "").split(), element.get("id", "")}
    if tag in ("div", "section", "ul", "ol", "span") and names & _DROPPED_CLASSES:
        return True
    return tag in ("ul", "ol") and _is_links(element)


def _is_links(element: Any) -> bool:
    """Return whether a list of three or more is nothing but links."""
    links = element.findall(".//a")
    if len(links) < 3 or len(links) < len(element.findall(".//li")):
        return False
    linked = sum(len(_SPACE.sub("", link.text_content())) for link in links)
    return linked > 0.9 * len(_SPACE.sub("", element.text_content()))


def _is_layout(table: Any) -> bool:
    """Return whether a table only places things: it says so, or has one cell in a row, or tables within."""
    if table.get("role") == "presentation" or table.find(".//table") is not None:
        return True
    return all(len(row) <= 1 for row in table.iter("tr"))


def _inline(element: Any) -> str:
    """Return an element's text on one line, formulas as LaTeX."""
    parts = list[str]()
    waiting: list[Any] = [element]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            parts.append(item)
            continue
        tag = item.tag if isinstance(item.tag, str) else ""
        if tag == "math":
            parts.append(_formula(item))
        elif tag and tag not in ("script", "style"):
            waiting += [part for child in reversed(item) for part in (child.tail or "", child)]
            waiting.append(item.text or "")
    return _SPACE.sub(" ", "".join(parts)).strip()


def _formula(math: Any) -> str:
    """Return a formula as LaTeX between dollar signs, else its characters."""
    found = next((a.text for a in math.iter("annotation") if a.get("encoding") == "application/x-tex"), None)
    latex = (found or math.get("alttext") or "").strip()
    if not latex:
        return _SPACE.sub(" ", "".join(math.itertext())).strip()
    return f"$${latex}$$" if math.get("display") == "block" else f"${latex}$"


def _joined(parts: list[str]) -> str:
    """Return text as a browser shows it: white space is one space, but for a `br`."""
    text = "".join("\v" if part == "\n" else _SPACE.sub(" ", part) for part in parts)
    return re.sub(r" *\v *", "\n", re.sub(r" +", " ", text)).strip()
