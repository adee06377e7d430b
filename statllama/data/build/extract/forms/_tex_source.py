"""LaTeX's source before it is read as text: comments away, macros of the author put in place of their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

LARGEST_GROWTH = 20
"""How many times as long as the source its expansion may be: macros that call each other can grow without end."""
_VERBATIM = re.compile(
    r"\\begin\{(verbatim|lstlisting|minted|Verbatim)\*?\}.*?\\end\{\1\*?\}|\\verb\*?([^\w\s])[^\n]*?\2", re.DOTALL
)
_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%[^\n]*(\n[ \t]*(?=\S))?")
_COMMENT_BLOCK = re.compile(r"\\begin\{comment\}.*?\\end\{comment\}|\\iffalse\b.*?\\fi\b", re.DOTALL)
_DEFINITION = re.compile(
    r"\\(?:(?P<new>(?:re)?newcommand|providecommand|DeclareRobustCommand)\*?\s*(?:\{\s*\\(?P<a>[A-Za-z]+)\s*\}|\\(?P<b>[A-Za-z]+))"
    r"\s*(?:\[(?P<count>\d)\])?\s*(?:\[(?P<default>[^\]]*)\])?\s*(?=\{)"
    r"|def\s*\\(?P<c>[A-Za-z]+)\s*(?P<marks>(?:#\d)*)\s*(?=\{)"
    r"|DeclareMathOperator(?P<star>\*?)\s*\{?\s*\\(?P<d>[A-Za-z]+)\s*\}?\s*(?=\{))"
)
_MARK = re.compile(r"#([1-9])")
_NAME = re.compile(r"\\([A-Za-z]+)")


class Macro(NamedTuple):
    """What stands for a name."""

    arguments: int
    default: str | None
    """Of the first argument, which is optional then."""
    body: str


def group_end(text: str, start: int, open_: str = "{", close: str = "}") -> int:
    """Return the place behind the group that begins at `start`; the text's end where it is never closed."""
    depth, at = 0, start
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
        elif char == open_:
            depth += 1
        elif char == close:
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return len(text)


def without_comments(text: str) -> str:
    """Return source without comments; what is verbatim stays as it is."""
    parts, at = [], 0
    for match in _VERBATIM.finditer(text):
        if _in_comment(text, match.start()):
            continue
        parts += [_plain(text[at : match.start()]), match[0]]
        at = match.end()
    return "".join([*parts, _plain(text[at:])])


def _in_comment(text: str, at: int) -> bool:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return re.search(r"(?<!\\)(?:\\\\)*%", line) is not None


def _plain(text: str) -> str:
    return _COMMENT.sub(r"\1", _COMMENT_BLOCK.sub("", text))


def macros_of(text: str) -> tuple[dict[str, Macro], str]:
    """Return the macros that a source defines, and the source without their definitions."""
    macros: dict[str, Macro] = {}
    kept, at = [], 0
    for match in _DEFINITION.finditer(text):
        if match.start() < at:
            continue
        end = group_end(text, match.end())
        body = text[match.end() + 1 : end - 1]
        if name := match["d"]:
            macros[name] = Macro(0, None, rf"\operatorname{match['star']}{{{body}}}")
        elif name := match["c"]:
            macros[name] = Macro(len(match["marks"]) // 2, None, body)
        else:
            macros[match["a"] or match["b"]] = Macro(int(match["count"] or 0), match["default"], body)
        kept.append(text[at : match.start()])
        at = end
    return macros, "".join([*kept, text[at:]])


def expanded(text: str, macros: Mapping[str, Macro]) -> str:
    """Return source with macros in place of their names, at most 20 times as long; a macro that calls itself stays."""
    most = LARGEST_GROWTH * len(text) + 10_000
    for _ in range(8):
        grown = _expanded_once(text, macros, most)
        if grown == text or len(grown) > most:
            break
        text = grown
    return text


def _expanded_once(text: str, macros: Mapping[str, Macro], most: int) -> str:
    parts, at, size = [], 0, 0
    for match in _NAME.finditer(text):
        macro = macros.get(match[1])
        if match.start() < at or macro is None or re.search(rf"\\{match[1]}(?![A-Za-z])", macro.body):
            continue
        arguments, end = _arguments(text, match.end(), macro)
        body = _filled(macro.body, arguments)
        after = text[end : end + 1]
        space = " " if after.isalpha() and re.search(r"\\[A-Za-z]+$", body) else ""
        parts += [text[at : match.start()], body, space]
        size += len(body)
        at = end
        if size > most:
            break
    return "".join([*parts, text[at:]])


def _filled(body: str, arguments: Sequence[str]) -> str:
    """Return a macro's body with arguments in place of `#1`, `#2`."""

    def argument(mark: re.Match[str]) -> str:
        number = int(mark[1])
        return arguments[number - 1] if number <= len(arguments) else ""

    return _MARK.sub(argument, body)


def _arguments(text: str, at: int, macro: Macro) -> tuple[list[str], int]:
    """Return a macro's arguments behind its name, and the place behind them."""
    arguments: list[str] = []
    end = at
    if macro.default is not None:
        start = _skipped(text, at)
        if text[start : start + 1] == "[":
            end = group_end(text, start, "[", "]")
            arguments.append(text[start + 1 : end - 1])
        else:
            arguments.append(macro.default)
    while len(arguments) < macro.arguments:
        start = _skipped(text, end)
        if text[start : start + 1] == "{":
            end = group_end(text, start)
            arguments.append(text[start + 1 : end - 1])
        elif name := _NAME.match(text, start):
            end = name.end()
            arguments.append(name[0])
        else:
            end = min(start + 1, len(text))
            arguments.append(text[start:end])
    return arguments, end


def _skipped(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\n", "\t"):
        at += 1
    return at
