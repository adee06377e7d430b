r"""Formulas of worked steps, from plain notation between backquotes to LaTeX between dollar signs.

    latex("The interval is `x_bar +/- t* (s / sqrt(n))`.")
    -> The interval is $\bar{x} \pm t^{*} \frac{s}{\sqrt{n}}$.

A formula is read by precedence: relations, sums, products, powers. What stands side by side is a product, and a product
before a slash is the numerator. Words that are no names stay words. What cannot be read (brackets that do not
match) is written token by token, so that no number is lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MARKED = re.compile(r"`([^`\n]+)`")
_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![0-9])|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
    r"|(?P<critical>[tz]\*(?![A-Za-z0-9]))"
    r"|(?P<word>[Pp]-value|chi-square)"
    r"|(?P<name>[A-Za-z]+[0-9]*(?:_[A-Za-z0-9]+)*)"
    r"|(?P<sign>\+/-|<=|>=|!=|->|[-+*/^()\[\]|=<>~,;:])"
    r"|(?P<other>.)",
    re.DOTALL,
)
_GREEK = re.compile(
    "alpha|beta|gamma|delta|epsilon|theta|lambda|mu|nu|pi|rho|sigma|tau|phi|chi|omega|Delta|Sigma|Omega"
)
_FUNCTIONS = frozenset({"log", "ln", "exp", "min", "max", "sum"})
_JOINING = frozenset({"and", "or", "not", "if", "for", "of"})
_SMALL = frozenset({"a", "of", "for"})
_RELATIONS = {"=": "=", "<": "<", ">": ">", "<=": r"\leq", ">=": r"\geq", "!=": r"\neq", "->": r"\to", "~": r"\sim"}
_ADDED = {"+": "+", "-": "-", "+/-": r"\pm"}
_BETWEEN = {",": ", ", ";": "; ", ":": r"\colon ", "|": r" \mid "}
_CLOSING = {"(": ")", "[": "]"}
_ESCAPES = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"} | {
    c: f"\\{c}" for c in "{}$&%#_"
}
_ENDS_POWER = frozenset({"+", "+/-", "*", "/", ",", *_RELATIONS})  # a minus sign may stand in an exponent
_TALL = (r"\frac", r"\sum", r"\binom")
_DEEPEST = 12


def plain(text: str) -> str:
    """Return the text without the backquotes around its formulas."""
    return text.replace("`", "")


def latex(text: str) -> str:
    r"""Return the text with each `formula` between backquotes as $LaTeX$; raises nothing.

    Where there is a formula, a dollar sign in the text around it becomes `\$`. Without any, the text stays as it is.
    """
    if not _MARKED.search(text):
        return plain(text)
    pieces = _MARKED.split(text)
    around = (
        plain(piece).replace("$", r"\$") if i % 2 == 0 else f"${formula(piece)}$" for i, piece in enumerate(pieces)
    )
    return "".join(around)


def formula(source: str) -> str:
    """Return one formula in plain notation as LaTeX, without dollar signs."""
    tokens = _tokens(source)
    if _depth(tokens) <= _DEEPEST:
        reader = _Reader(tokens)
        try:
            return reader.whole()
        except _Unread:
            pass
    return " ".join(_alone(token) for token in tokens)


@dataclass(frozen=True)
class _Token:
    """A token; `apart` is true after a space."""

    kind: str
    text: str
    apart: bool


@dataclass(frozen=True)
class _Part:
    """LaTeX with what it is: "atom", "power", "fraction", "product", "sum", "list", or a "group" with brackets.

    `inner` is the content of a group.
    """

    latex: str
    kind: str = "atom"
    inner: _Part | None = None

    def bare(self) -> str:
        """Return the LaTeX for a place that groups by itself: over a fraction's line, under a root, in an exponent."""
        return self.inner.latex if self.inner else self.latex

    def factor(self) -> str:
        """Return the LaTeX for a place in a product: a fraction needs no brackets there."""
        return self.inner.latex if self.inner and self.inner.kind == "fraction" else self.latex


class _Unread(Exception):
    """The formula does not fit the grammar."""


class _Reader:
    """A recursive-descent reader of one formula."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens, self.at = tokens, 0

    def whole(self) -> str:
        """Return the formula; raises `_Unread` where a part is left over."""
        part = self._list()
        if self.at < len(self.tokens):
            raise _Unread
        return part.latex

    def _sign(self, *allowed: str) -> str:
        """Return the next token, taken, when it is one of the signs; otherwise ""."""
        if self.at < len(self.tokens) and self._next().kind == "sign" and self._next().text in allowed:
            self.at += 1
            return self.tokens[self.at - 1].text
        return ""

    def _next(self) -> _Token:
        if self.at >= len(self.tokens):
            raise _Unread
        return self.tokens[self.at]

    def _list(self) -> _Part:
        part = self._relation()
        while sign := self._sign(*_BETWEEN):
            more = self._relation()
            part = _Part(part.latex + _BETWEEN[sign] + more.latex, "list")
        return part

    def _relation(self) -> _Part:
        part = self._sum()
        while sign := self._sign(*_RELATIONS):
            part = _Part(f"{part.latex} {_RELATIONS[sign]} {self._sum().latex}", "sum")
        return part

    def _sum(self) -> _Part:
        lead = self._sign("-", "+", "+/-")
        part = self._product()
        if lead:
            part = _Part(_ADDED[lead] + (" " if lead == "+/-" else "") + part.latex, "sum")
        while sign := self._sign(*_ADDED):
            part = _Part(f"{part.latex} {_ADDED[sign]} {self._product().latex}", "sum")
        return part

    def _product(self) -> _Part:
        part = self._power()
        while True:
            if self._sign("*"):
                part = _Part(rf"{part.factor()} \cdot {self._signed().factor()}", "product")
            elif self._sign("/"):
                part = _Part(rf"\frac{{{part.bare()}}}{{{self._signed().bare()}}}", "fraction")
            elif self._begins():
                gap = self._gap()
                part = _Part(part.factor() + gap + self._power().factor(), "product")
            else:
                return part

    def _gap(self) -> str:
        """Return what stands between two factors: a space that shows beside a word and between two numbers."""
        left, right = self.tokens[self.at - 1], self._next()
        if left.text in _JOINING or right.text in _JOINING:  # these bring spaces of their own
            return " "
        return r"\ " if _is_word(left) or _is_word(right) or left.kind == right.kind == "number" else " "

    def _signed(self) -> _Part:
        """Return a factor that may have a minus sign: 2 * -3."""
        if self._sign("-"):
            return _Part(f"-{self._power().latex}")
        return self._power()

    def _begins(self) -> bool:
        """Return True when a factor begins here."""
        if self.at >= len(self.tokens):
            return False
        token = self._next()
        return token.kind != "sign" or token.text in _CLOSING

    def _power(self) -> _Part:
        base = self._atom()
        if not self._sign("^"):
            return base
        exponent = self._signed_power().bare()
        below = f"{{{base.latex}}}" if base.latex.endswith("}") and "^" in base.latex and not base.inner else base.latex
        return _Part(f"{below}^{{{exponent}}}", "power")

    def _signed_power(self) -> _Part:
        return _Part(f"-{self._power().bare()}") if self._sign("-") else self._power()

    def _atom(self) -> _Part:
        token = self._next()
        if token.kind == "sign":
            return self._group()
        self.at += 1
        if token.kind == "name":
            return self._named(token)
        percent = token.kind == "number" and self.at < len(self.tokens) and self._next().text == "%"
        self.at += percent
        return _Part(_alone(token) + r"\%" * percent)

    def _named(self, token: _Token) -> _Part:
        """Return a name, with its arguments where a bracket follows at once."""
        after = self.tokens[self.at] if self.at < len(self.tokens) else None
        if after is None or after.text != "(" or after.apart:
            return _Part(_name(token.text))
        group = self._group()
        inner = group.inner
        if inner is None:
            raise _Unread
        if token.text == "sqrt":
            return _Part(rf"\sqrt{{{inner.latex}}}")
        if token.text == "sum":
            return _Part(rf"\sum {group.latex if inner.kind == 'sum' else inner.latex}", "product")
        pair = inner.latex.split(", ")
        if token.text == "C" and inner.kind == "list" and len(pair) == 2:
            return _Part(rf"\binom{{{pair[0]}}}{{{pair[1]}}}")
        return _Part(_name(token.text) + group.latex)

    def _group(self) -> _Part:
        """Return what stands between brackets, or between the bars of an absolute value."""
        if self._sign("|"):
            inside = self._sum()
            if not self._sign("|"):
                raise _Unread
            return _Part(rf"\left| {inside.latex} \right|")
        opening = self._sign(*_CLOSING)
        if not opening:
            raise _Unread
        inside = self._list()
        closing = self._sign(")", "]")
        if not closing:
            raise _Unread
        tall = any(name in inside.latex for name in _TALL)
        around = rf"\left{opening} {inside.latex} \right{closing}" if tall else f"{opening}{inside.latex}{closing}"
        return _Part(around, "group", inside if (opening, closing) == ("(", ")") else None)


def _tokens(source: str) -> list[_Token]:
    """Return the tokens without the spaces."""
    tokens, apart = [], False
    for found in _TOKEN.finditer(source):
        kind = str(found.lastgroup)
        if kind != "space":
            tokens.append(_Token(kind, found.group(), apart))
        apart = kind == "space"
    return _phrases(tokens)


def _phrases(tokens: list[_Token]) -> list[_Token]:
    """Join neighboring words, with small ones between them, into one token each: a "row total" is one quantity."""
    joined: list[_Token] = []
    small: list[_Token] = []
    for i, token in enumerate(tokens):
        called = i + 1 < len(tokens) and tokens[i + 1].text == "(" and not tokens[i + 1].apart
        if _is_word(token) and not called and joined and _is_word(joined[-1]):
            text = " ".join(part.text for part in (joined[-1], *small, token))
            joined[-1], small = _Token("word", text, joined[-1].apart), []
        elif token.text in _SMALL:
            small.append(token)
        else:
            joined, small = [*joined, *small, token], []
    return [*joined, *small]


def _depth(tokens: list[_Token]) -> int:
    """Return a bound on how deep the reader goes: brackets that are open at once, bars, and signs in a row."""
    deepest = depth = run = 0
    for token in tokens:
        depth += (token.text in _CLOSING) - (token.text in _CLOSING.values()) + (token.text == "|")
        run = run + 1 if token.text == "^" else 0 if token.text in _ENDS_POWER else run
        deepest = max(deepest, depth + run)
    return deepest


def _alone(token: _Token) -> str:
    """Return the LaTeX of a token that stands by itself."""
    if token.kind == "number":
        return token.text.replace(",", "{,}")
    if token.kind == "critical":
        return f"{token.text[0]}^{{*}}"
    if token.kind == "name":
        return _name(token.text)
    signs = {**_RELATIONS, **_ADDED, "*": r"\cdot", ":": r"\colon"}
    if token.kind == "sign" and token.text != "^" and token.text in {*signs, *"/()[]|,;"}:
        return signs.get(token.text, token.text)
    escaped = _escape(token.text)
    return escaped if token.text in ("$", "%", "!") else rf"\text{{{escaped}}}"


def _name(text: str) -> str:
    r"""Return a name as LaTeX: mu_0 is \mu_{0}, x_bar is \bar{x}, p_hat_1 and p1_hat are \hat{p}_{1}, n1 is n_{1}."""
    head, *rest = re.sub(r"^(H)(a)$|^([Ss])([xy]{1,2})$", r"\1\3_\2\4", text).split("_")  # Ha, sx, Sxy
    letters, digits = re.fullmatch(r"([A-Za-z]*)([0-9]*)", head).groups()  # type: ignore[union-attr]
    parts = [_symbol(letters or digits)]
    if letters and digits:
        parts.append(digits)
    for word in rest:
        if word in ("hat", "bar"):
            place = 0 if digits and len(parts) == 2 else -1  # p1_hat is p_hat_1
            parts[place] = rf"\{word}{{{parts[place]}}}"
        else:
            parts.append(_symbol(word))
    below = ", ".join(parts[1:])
    return parts[0] + (f"_{{{below}}}" if below else "")


def _symbol(word: str) -> str:
    """Return a letter, a Greek name, a function or a number as it is written in mathematics, and a word as text."""
    if _GREEK.fullmatch(word) or word in _FUNCTIONS:
        return f"\\{word}"
    if len(word) == 1 or word.isdigit():
        return word
    return rf"\text{{ {word} }}" if word in _JOINING else rf"\text{{{word}}}"


def _is_word(token: _Token) -> bool:
    """Return True for what is written as text and brings no space of its own."""
    named = token.kind == "name" and token.text not in {"sqrt", *_JOINING} and _name(token.text).startswith(r"\text{")
    return named or token.kind == "word"


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(char, char) for char in text)
