"""Prose: what is left of a text without formulas, code, links and rows of tables.

Language and quality are judged on it. A page of mathematics has short lines, few full stops, many signs and rows of
numbers, so the rules for web pages would drop it for being mathematics.
"""

from __future__ import annotations

import re
from functools import cached_property

import numpy as np
import numpy.typing as npt

from statllama.data.ngrams import every_word, words

_MATHS = "equation|align|gather|multline|eqnarray|displaymath|math|array|[bpvBV]?matrix|tabular|verbatim|lstlisting"
# Each has a greatest length, so that a lone opening sign costs little.
_FORMULA = re.compile(
    rf"\$\$.{{1,4000}}?\$\$|\\\[.{{1,4000}}?\\\]|\\\(.{{1,1000}}?\\\)"
    rf"|\\begin\{{((?:{_MATHS})\*?)\}}.{{1,20000}}?\\end\{{\1\}}"
    r"|(?<![\\$\w])\$(?![\s\d.,]+\s)(?!\s)[^$\n]{1,300}?(?<![\s\\])\$(?![\d$])",
    re.DOTALL,
)
_CODE = re.compile(r"^(```|~~~)[^\n]*\n.{0,40000}?^\1[ \t]*$|`[^`\n]{1,400}`", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?:(?:https?://|www\.)\S+|[^\s@]+@[^\s@]+)(?<![.,;:!?)])")  # the sentence ends behind it
_TAG = re.compile(r"^[ \t]*#{1,6}[ \t]+", re.MULTILINE)
_WORD = re.compile(r"[^\W\d_]{2,}")
_SPACED = re.compile(r"(?<!\S)(?:[^\W\d_] ){8}")  # letters set apart, as damaged extraction leaves them
_TOKEN = re.compile(r"\S+")
_LETTER = re.compile(r"[^\W\d_]")
_ids = every_word()


def plain(text: str) -> str:
    """Return the text without formulas, code, links and the signs of Markdown headings; lines stay lines.

    >>> plain("So $x_1 + x_2$ is `sum(x)`, see https://a.org.")
    'So   is  , see  .'
    """
    text = _CODE.sub(" ", text)
    if "$" in text or "\\" in text:
        text = _FORMULA.sub(" ", text)
    return _TAG.sub("", _LINK.sub(" ", text))


def is_prose(line: str) -> bool:
    """Return whether at least half of what stands in a line are words of two letters or more, and it is no table row.
    Words whose letters are set apart are prose too, of the worst kind.

    >>> is_prose("The mean is 3.5 here."), is_prose("P(X > 3) = 1 – 0.2"), is_prose("Race 1 | 135 | 130 | 131")
    (True, False, False)
    """
    if line.count("|") > 1 or line.count("\t") > 1 or line.count(" & ") > 1:
        return False
    if _SPACED.search(line):
        return True
    tokens = _TOKEN.findall(line)
    return 2 * sum(1 for token in tokens if _WORD.search(token)) >= len(tokens) > 0


class Text:
    """A text as the rules see it. Everything is worked out at its first use."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def plain(self) -> str:
        """The text without formulas, code and links."""
        return plain(self.text)

    @cached_property
    def size(self) -> int:
        """Words and numbers of the whole text."""
        return len(words(self.text))

    @cached_property
    def _blocks(self) -> list[list[str]]:
        """The lines of prose of each paragraph, stripped; a paragraph without any is none."""
        blocks: list[list[str]] = [[]]
        for line in map(str.strip, self.plain.split("\n")):
            if not line:
                blocks.append([])
            elif is_prose(line):
                blocks[-1].append(line)
        return [block for block in blocks if block]

    @cached_property
    def lines(self) -> list[str]:
        """Lines of prose, stripped."""
        return [line for block in self._blocks for line in block]

    @cached_property
    def paragraphs(self) -> list[str]:
        """Paragraphs, of their lines of prose."""
        return ["\n".join(block) for block in self._blocks]

    @cached_property
    def words(self) -> list[str]:
        """Words and numbers of the lines of prose."""
        return [word for line in self.lines for word in words(line)]

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Characters of each word, int64 (words,)."""
        return np.fromiter(map(len, self.words), dtype=np.int64, count=len(self.words))

    @cached_property
    def ids(self) -> npt.NDArray[np.int64]:
        """An id of each word, whatever its case, int64 (words,)."""
        return _ids.ids(self.words)

    @cached_property
    def alphabetic(self) -> float:
        """Share with a letter of all that stands between spaces, rows of tables too, signs by themselves not."""
        tokens = [token for token in _TOKEN.findall(self.plain) if any(map(str.isalnum, token))]
        return sum(1 for token in tokens if _LETTER.search(token)) / len(tokens) if tokens else 1.0
