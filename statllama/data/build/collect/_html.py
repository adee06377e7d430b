"""HTML of forum posts as text in Markdown's manner; code and formulas stay as they are written.

Links keep their words, images their description as `[image: ...]`, tables their cells between bars.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

DEEPEST = 60
"""Elements within elements; what is deeper is read as if it stood there."""
_VOID = frozenset(("br", "hr", "img", "input", "meta", "link", "wbr", "col"))
_BLOCKS = frozenset(
    ("p", "div", "pre", "ul", "ol", "li", "blockquote", "table", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "tr", "dl",
     "dt", "dd", "section", "article", "details", "summary", "root")
)  # fmt: skip
_AROUND = {"strong": "**", "b": "**", "em": "*", "i": "*", "del": "~~", "s": "~~", "strike": "~~"}
_SPACE = re.compile(r"[ \t\n\r\f]+")


@dataclass
class _Node:
    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[_Node | str] = field(default_factory=list)


class _Tree(HTMLParser):
    """Builds the tree of a fragment; what is not closed ends with what it is in."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = _Node("root")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS or tag in ("td", "th"):
            block = next(node.tag for node in reversed(self._open) if node.tag in _BLOCKS or node.tag in ("td", "th"))
            if block == "p" or (block == tag and tag in ("li", "tr", "td", "th")):  # it ends where the next begins
                self._close(block)
        node = _Node(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(node)
        if tag not in _VOID and len(self._open) < DEEPEST:
            self._open.append(node)

    def handle_endtag(self, tag: str) -> None:
        self._close(tag)

    def _close(self, tag: str) -> None:
        for depth in range(len(self._open) - 1, 0, -1):
            if self._open[depth].tag == tag:
                del self._open[depth:]
                return

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def as_text(html: str) -> str:
    """Return the text of an HTML fragment, paragraphs with an empty line between them.

    >>> as_text("<p>The <em>mean</em> is $\\\\bar x$:</p><pre><code>mean(x)</code></pre>")
    'The *mean* is $\\\\bar x$:\\n\\n```\\nmean(x)\\n```'
    """
    tree = _Tree()
    tree.feed(html)
    tree.close()
    return "\n\n".join(_blocks(tree.root))


def has_image(html: str) -> bool:
    """Return whether a fragment shows an image."""
    return re.search(r"<img\b", html, re.IGNORECASE) is not None


def _blocks(node: _Node) -> list[str]:
    """Return the blocks in a node, in order; words between blocks are blocks of their own."""
    blocks: list[str] = []
    words: list[str] = []

    def end() -> None:
        if text := _tidy("".join(words)):
            blocks.append(text)
        words.clear()

    for child in node.children:
        if isinstance(child, _Node) and child.tag in _BLOCKS:
            end()
            blocks += _block(child)
        elif isinstance(child, _Node) and any(isinstance(c, _Node) and c.tag in _BLOCKS for c in child.children):
            end()
            blocks += _blocks(child)
        else:
            _append(words, _inline(child))
    end()
    return blocks


def _block(node: _Node) -> list[str]:
    tag = node.tag
    if tag == "hr":
        return ["---"]
    if tag == "pre":
        code = _raw(node).strip("\n")
        fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`{3,}", code))])
        return [f"{fence}\n{code}\n{fence}"] if code.strip() else []
    if tag in ("ul", "ol"):
        return ["\n".join(_items(node))]
    if tag == "table":
        return ["\n".join(_rows(node))]
    inner = _blocks(node)
    if tag == "blockquote":
        return ["\n".join(f"> {line}".rstrip() for line in "\n\n".join(inner).split("\n"))] if inner else []
    if re.fullmatch("h[1-6]", tag):
        return [f"{'#' * int(tag[1])} {' '.join(inner)}"] if inner else []
    return inner


def _items(node: _Node) -> list[str]:
    items = [child for child in node.children if isinstance(child, _Node) and child.tag == "li"]
    lines = []
    for number, item in enumerate(items, start=1):
        mark = f"{number}. " if node.tag == "ol" else "- "
        inner = "\n\n".join(_blocks(item)) if any(_is_block(c) for c in item.children) else "".join(_blocks(item))
        if inner:
            lines.append(mark + inner.replace("\n", "\n" + " " * len(mark)))
    return [re.sub(r"[ \t]+(?=\n)", "", line) for line in lines]


def _is_block(child: _Node | str) -> bool:
    return isinstance(child, _Node) and child.tag in _BLOCKS


def _rows(node: _Node) -> list[str]:
    rows: list[str] = []
    for child in node.children:
        if not isinstance(child, _Node):
            continue
        if child.tag != "tr":
            rows += _rows(child)
            continue
        cells = [each for each in child.children if isinstance(each, _Node) and each.tag in ("td", "th")]
        rows.append("| " + " | ".join(" ".join(" ".join(_blocks(cell)).split()) for cell in cells) + " |")
        if len(rows) == 1 and all(cell.tag == "th" for cell in cells):
            rows.append("|" + " --- |" * len(cells))
    return rows


def _inline(child: _Node | str) -> str:
    if isinstance(child, str):
        return _SPACE.sub(" ", child)
    if child.tag == "br":
        return "\n"
    if child.tag == "img":
        return f"[image: {_tidy(child.attributes.get('alt', '')) or 'no description'}]"
    if child.tag in ("code", "kbd", "tt", "samp"):
        code = _raw(child)
        ticks = "`" * (1 + max((len(run) for run in re.findall("`+", code)), default=0))
        pad = " " if code.startswith("`") or code.endswith("`") else ""
        return f"{ticks}{pad}{code}{pad}{ticks}" if code.strip() else code
    if child.tag in ("script", "style"):
        return ""
    parts: list[str] = []
    for each in child.children:
        _append(parts, _inline(each))
    inner = "".join(parts)
    if child.tag in ("sup", "sub") and inner.strip():
        return f"{'^' if child.tag == 'sup' else '_'}{inner if len(inner) == 1 else '{' + inner + '}'}"
    mark = _AROUND.get(child.tag, "")
    if not mark or not inner.strip():
        return inner
    left, right = len(inner) - len(inner.lstrip()), len(inner) - len(inner.rstrip())
    return f"{inner[:left]}{mark}{inner.strip()}{mark}{inner[len(inner) - right :]}"


def _append(words: list[str], more: str) -> None:
    """Add words, with one space where both sides have one."""
    words.append(more.lstrip(" ") if words and words[-1].endswith((" ", "\n")) else more)


def _raw(node: _Node) -> str:
    return "".join(
        child if isinstance(child, str) else "\n" if child.tag == "br" else _raw(child) for child in node.children
    )


def _tidy(text: str) -> str:
    """Return words with one space between them; line ends that were written stay."""
    return "\n".join(line for part in text.split("\n") if (line := part.strip()))
