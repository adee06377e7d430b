r"""LaTeX: sections, paragraphs, lists and tables; formulas stay LaTeX; the author's macros are expanded.

Comments, the preamble and commands of layout go; `\cite` and `\ref` become their keys in brackets; a footnote goes to
the end of its section; a file that is put in with `\input` is not followed and is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from statllama.data.build.extract.forms import txt
from statllama.data.build.extract.forms._tex_source import expanded, group_end, macros_of, without_comments
from statllama.data.build.extract.forms._tex_words import ACCENTS, DROPPED, FIRST_DROPPED, SIGNS, SYMBOLS, accented
from statllama.data.build.extract.options import Options
from statllama.data.build.extract.outline import Block, Extracted
from statllama.data.build.extract.unreadable import NO_TEXT, Unreadable

VERSIONS = ()
_LEVELS = {"part": 0, "chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4}
_MATHS = frozenset([
    "equation", "align", "gather", "multline", "eqnarray", "displaymath", "math", "flalign", "alignat", "dmath",
    "IEEEeqnarray",
])  # fmt: skip
_ALIGNED = frozenset(["align", "eqnarray", "flalign", "alignat", "IEEEeqnarray"])
_TABLES = frozenset(["tabular", "tabularx", "tabulary", "longtable", "array"])
_THEOREMS = {
    "theorem": "Theorem", "lemma": "Lemma", "proposition": "Proposition", "corollary": "Corollary",
    "example": "Example", "definition": "Definition", "remark": "Remark", "assumption": "Assumption",
    "proof": "Proof", "exercise": "Exercise",
}  # fmt: skip
_VERBATIM = frozenset(("verbatim", "lstlisting", "minted", "Verbatim"))
_DROPPED_ENVIRONMENTS = frozenset(("tikzpicture", "comment", "filecontents", "CCSXML"))
_NEW_THEOREM = re.compile(r"\\newtheorem\*?\s*\{(\w+)\}\s*(?:\[\w+\])?\s*\{([^{}]+)\}")
_DOCUMENT = re.compile(r"\\begin\s*\{document\}(.*?)(?:\\end\s*\{document\}|\Z)", re.DOTALL)
_ORDINARY = re.compile(r"[^\\${}~`'\-\[\]&%\n]+")
_COMMAND = re.compile(r"\\([A-Za-z]+\*?|.|\Z)", re.DOTALL)
_CITE = re.compile(r"[A-Za-z]*cite[A-Za-z]*\*?|nocite")
_REF = re.compile(r"(eq|auto|c|C|page|name|v)?refs?\*?")
_LABEL = re.compile(r"\\(label|nonumber|notag)\b\s*(\{[^{}]*\})?")
_RULES = re.compile(r"\\(hline|toprule|midrule|bottomrule|cline\{[^}]*\}|cmidrule(\([^)]*\))?\{[^}]*\})(\[[^\]]*\])?")
_CELL = re.compile(r"(?<!\\)&")
_ROW = re.compile(r"\\\\(?:\[[^\]]*\])?|\\tabularnewline")
_DEEPEST = 60  # groups within groups that are read; deeper ones are taken as they stand


def read(path: Path, options: Options) -> Extracted:
    """Return a document's text. Unreadable: `no text`, `damaged`."""
    source = without_comments(txt.decoded(path.read_bytes()))
    theorems = _THEOREMS | dict(_NEW_THEOREM.findall(source))
    macros, source = macros_of(source)
    title = re.search(r"\\title\s*(?:\[[^\]]*\])?\s*\{", source)
    title_source = source[title.end() : group_end(source, title.end() - 1) - 1] if title else ""
    body = _DOCUMENT.search(source)
    walker = _Walker(theorems)
    walker.walk(expanded(body[1] if body else source, macros))
    blocks = [block for block in walker.ended() if block.text.strip()]
    if not blocks:
        raise Unreadable(NO_TEXT)
    shown = _Walker(theorems).inline(expanded(title_source, macros))
    left_out = [("file put in by LaTeX", f"\\input{{{name}}}", "not followed") for name in walker.inputs]
    return Extracted(_from_level_one(blocks), " ".join(shown.split()), {"tool": "latex"}, left_out)


def _from_level_one(blocks: list[Block]) -> list[Block]:
    """Return the blocks with the highest heading at level 1."""
    least = min((block.level for block in blocks if block.level), default=1)
    return [Block(b.text, b.level - least + 1 if b.level else 0, note=b.note) for b in blocks]


class _Walker:
    """Reads source from left to right and collects blocks."""

    def __init__(self, theorems: dict[str, str], depth: int = 0) -> None:
        self._theorems, self._depth = theorems, depth
        self._blocks: list[Block] = []
        self._parts: list[str] = []
        self._mark = ""
        self._lists: list[int | None] = []
        self._shift = 0  # of headings behind \appendix
        self._text, self._at = "", 0
        self.inputs: list[str] = []

    def inline(self, text: str) -> str:
        """Return source as running text; blocks in it follow each other on lines."""
        if self._depth > _DEEPEST:
            return text
        inner = _Walker(self._theorems, self._depth + 1)
        inner.walk(text)
        self.inputs += inner.inputs
        blocks = inner.ended()
        self._blocks += [block for block in blocks if block.note]
        return "\n".join(block.text for block in blocks if not block.note)

    def ended(self) -> list[Block]:
        """Return the blocks, the last one ended."""
        self._end()
        return self._blocks

    def walk(self, text: str) -> None:
        """Add what a source says."""
        self._text, self._at = text, 0
        while self._at < len(text):
            if match := _ORDINARY.match(text, self._at):
                self._parts.append(match[0])
                self._at = match.end()
                continue
            self._sign(text[self._at])

    def _sign(self, char: str) -> None:
        text, at = self._text, self._at
        if char == "\\":
            match = _COMMAND.match(text, at)
            self._at = match.end() if match else at + 1
            self._command(match[1] if match else "")
        elif char == "$":
            display = text.startswith("$$", at)
            close = text.find("$$" if display else "$", at + (2 if display else 1))
            end = len(text) if close < 0 else close + (2 if display else 1)
            self._at = end
            self._parts.append(_formula(text[at + (2 if display else 1) : end - (2 if display else 1)], display))
        elif char == "\n":
            rest = re.compile(r"\n[ \t]*(\n\s*)?").match(text, at)
            self._at = rest.end() if rest else at + 1
            if rest and rest[1] is not None:
                self._end()
            else:
                self._parts.append("\n")
        else:
            run = next((r for r in ("---", "--", "``", "''") if text.startswith(r, at)), char)
            self._at += len(run)
            shown = {"---": "—", "--": "–", "``": "“", "''": "”", "`": "‘", "'": "’", "~": " ", "{": "", "}": ""}
            self._parts.append(shown.get(run, run))

    def _argument(self) -> str:
        """Return the next argument's source; a command takes itself."""
        text = self._text
        while text[self._at : self._at + 1] in (" ", "\n", "\t"):
            self._at += 1
        start = self._at
        if text[start : start + 1] == "{":
            self._at = group_end(text, start)
            return text[start + 1 : self._at - 1]
        match = _COMMAND.match(text, start)
        self._at = match.end() if match else min(start + 1, len(text))
        return text[start : self._at]

    def _option(self) -> str:
        """Return the optional argument that comes next, if one does."""
        if self._text[self._at : self._at + 1] != "[":
            return ""
        start, self._at = self._at, group_end(self._text, self._at, "[", "]")
        return self._text[start + 1 : self._at - 1]

    def _options(self) -> None:
        while self._text[self._at : self._at + 1] == "[":
            self._option()

    def _command(self, name: str) -> None:
        plain = name.rstrip("*")
        if plain in ACCENTS and (not plain.isalpha() or self._text[self._at : self._at + 1] in "{ "):
            letter = self.inline(self._argument())
            self._parts.append(accented(letter, plain) if letter else "")
        elif name in SIGNS:
            self._parts.append(SIGNS[name])
            if name == "\\":
                self._options()
        elif name in ("(", "["):
            self._math_until("\\)" if name == "(" else "\\]", display=name == "[")
        elif rule := _COMMANDS.get(plain):
            rule(self)
        elif plain in _LEVELS:
            self._options()
            self._heading(self.inline(self._argument()), _LEVELS[plain])
        elif _CITE.fullmatch(plain) or _REF.fullmatch(plain):
            self._options()
            keys = ", ".join(key.strip() for key in self._argument().split(","))
            self._parts.append("" if plain == "nocite" else f"[{keys}]")
        elif plain in SYMBOLS:
            self._parts.append(SYMBOLS[plain])
            self._at += len(self._text[self._at : self._at + 1]) if self._text[self._at : self._at + 1] == " " else 0
        elif plain in DROPPED:
            self._options()
            for _ in range(DROPPED[plain]):
                self._argument()
                self._options()
        else:
            self._options()
            for _ in range(FIRST_DROPPED.get(plain, 0)):
                self._argument()
                self._options()

    def _math_until(self, close: str, *, display: bool) -> None:
        end = self._text.find(close, self._at)
        end = len(self._text) if end < 0 else end
        self._parts.append(_formula(self._text[self._at : end], display))
        self._at = end + len(close)

    def _heading(self, text: str, level: int) -> None:
        self._end()
        self._blocks.append(Block(" ".join(text.split()), level + self._shift + 1))

    def _end(self) -> None:
        text = "".join(self._parts).strip()
        self._parts = []
        if text:
            self._blocks.append(Block(re.sub(r"[ \t]*\n[ \t]*", "\n", self._mark + text)))
            self._mark = ""

    def _begin(self) -> None:
        name = self._argument()
        plain = name.rstrip("*")
        if plain in _MATHS or plain in _VERBATIM or plain in _TABLES or plain in _DROPPED_ENVIRONMENTS:
            self._whole(name, plain)
        elif plain in ("itemize", "enumerate", "description"):
            self._options()
            self._end()
            self._lists.append(1 if plain == "enumerate" else None)
        elif plain == "abstract":
            self._heading("Abstract", _LEVELS["section"])
        elif plain == "thebibliography":
            self._argument()
            self._heading("References", _LEVELS["section"] - self._shift)
        elif plain in self._theorems:
            self._end()
            given = self._option()
            self._parts.append(self._theorems[plain] + (f" ({self.inline(given)}). " if given else ". "))
        else:
            self._end()
            self._options()
            if plain in ("minipage", "wrapfigure", "multicols", "adjustbox"):
                self._argument()

    def _whole(self, name: str, plain: str) -> None:
        """Add an environment that is taken as it stands: a formula, a listing, a table."""
        close = f"\\end{{{name}}}"
        end = self._text.find(close, self._at)
        end = len(self._text) if end < 0 else end
        start = self._at
        self._at = end + len(close)
        if plain in _MATHS:
            inner = self._text[start:end]
            if plain in ("alignat", "IEEEeqnarray"):
                inner = inner[group_end(inner, 0) :] if inner.startswith("{") else inner
            inner = rf"\begin{{aligned}}{inner}\end{{aligned}}" if plain in _ALIGNED else inner
            self._parts.append(_formula(inner, display=plain != "math"))
        elif plain in _VERBATIM:
            self._end()
            self._blocks.append(Block(self._text[start:end].strip("\n")))
        elif plain in _TABLES:
            self._end()
            self._blocks.append(Block(self._rows(self._text[start:end], plain)))

    def _rows(self, inner: str, plain: str) -> str:
        """Return a table's rows on lines."""
        at = 0
        for _ in range(2 if plain in ("tabularx", "tabulary") else 1):
            while inner[at : at + 1] == "[":
                at = group_end(inner, at, "[", "]")
            at = group_end(inner, at) if inner[at : at + 1] == "{" else at
        rows = []
        for row in _ROW.split(_RULES.sub("", inner[at:])):
            cells = [" ".join(self.inline(cell).split()) for cell in _CELL.split(row)]
            if any(cells):
                rows.append(" | ".join(cells))
        return "\n".join(rows)

    def _finish(self) -> None:
        name = self._argument().rstrip("*")
        self._end()
        if name in ("itemize", "enumerate", "description") and self._lists:
            self._lists.pop()

    def _item(self) -> None:
        self._end()
        label = self._option()
        number = self._lists[-1] if self._lists else None
        if label:
            self._mark = f"- {self.inline(label)}: "
        else:
            self._mark = "- " if number is None else f"{number}. "
        if number is not None:
            self._lists[-1] = number + 1

    def _entry(self) -> None:
        self._end()
        self._options()
        self._parts.append(f"[{self._argument()}] ")

    def _footnote(self) -> None:
        self._options()
        self._blocks.append(Block(self.inline(self._argument()), note=True))

    def _caption(self) -> None:
        self._options()
        self._end()
        self._blocks.append(Block(self.inline(self._argument())))

    def _paragraph(self) -> None:
        self._end()
        heading = self.inline(self._argument()).strip()
        self._parts.append(heading + ("" if heading.endswith((".", ":", "?")) else ".") + " ")

    def _appendix(self) -> None:
        if not self._shift:
            self._heading("Appendix", _LEVELS["section"])
            self._shift = 1

    def _verb(self) -> None:
        mark = self._text[self._at : self._at + 1]
        end = self._text.find(mark, self._at + 1) if mark else -1
        if end > 0:
            self._parts.append(self._text[self._at + 1 : end])
            self._at = end + 1

    def _input(self) -> None:
        self.inputs.append(self._argument().strip())

    def _name(self) -> None:
        self._options()
        self._argument()


def _formula(source: str, display: bool) -> str:
    """Return a formula between dollar signs, without its labels."""
    latex = " ".join(_LABEL.sub("", source).split())
    if not latex:
        return ""
    return f"\n$${latex}$$\n" if display else f"${latex}$"


_COMMANDS: dict[str, Callable[[_Walker], None]] = {
    "begin": _Walker._begin,
    "end": _Walker._finish,
    "item": _Walker._item,
    "bibitem": _Walker._entry,
    "footnote": _Walker._footnote,
    "footnotetext": _Walker._footnote,
    "caption": _Walker._caption,
    "paragraph": _Walker._paragraph,
    "subparagraph": _Walker._paragraph,
    "appendix": _Walker._appendix,
    "verb": _Walker._verb,
    "lstinline": _Walker._verb,
    "input": _Walker._input,
    "include": _Walker._input,
    "bibliography": _Walker._input,
    "title": _Walker._name,
    "author": _Walker._name,
    "maketitle": lambda walker: None,
}
