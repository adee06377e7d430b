"""Arithmetic as it stands in text: reads an expression of numbers, and works it out in floats.

    sum   = product (("+" | "-") product)*
    product = power (("*" | "/" | "% of") power)*
    power = ("-" | "+") power | postfix ("^" power)?
    postfix = primary ("%" | "!")*
    primary = number | "(" sum ")" | name "(" sum ("," sum)* ")"

No part of a text is ever executed. Names are those of `FUNCTIONS`; with any other, or a variable, it is no expression
of numbers. `Expression.value_of` takes the numbers, so that it can be seen what their rounding moves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

MOST_TOKENS = 200  # of one expression
_LARGEST_POWER = 1000.0

Kind = Literal["number", "sign", "relation", "break", "word", "other"]


@dataclass(frozen=True)
class Token:
    """A piece of a line. `start`, `end`: where it stands there, in characters."""

    kind: Kind
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Leaf:
    """A number as it is printed. `decimals`: its digits after the point, with an exponent counted in."""

    value: float
    decimals: int
    text: str


@dataclass(frozen=True)
class Expression:
    """A parsed expression: `leaves` in the order of the text; `value_of` takes a value for each.

    `operations`: binary operators and functions in it; `doubtful`: whether people read it in more than one way, such as
    `6/2(1+2)`; `percent`: whether a percent sign stands in it.
    """

    leaves: tuple[Leaf, ...]
    value_of: Callable[[Sequence[float]], float]
    operations: int
    doubtful: bool
    percent: bool

    def value(self) -> float:
        """Return its value. Raises `ArithmeticError` or `ValueError` where it has none."""
        return finite(self.value_of([leaf.value for leaf in self.leaves]))


def _comb(n: float, k: float) -> float:
    if n != int(n) or k != int(k) or not 0 <= k <= n <= 1000:
        raise ValueError("no number of combinations")
    return float(math.comb(int(n), int(k)))


def _factorial(n: float) -> float:
    if n != int(n) or not 0 <= n <= 170:
        raise ValueError("no factorial")
    return float(math.factorial(int(n)))


def _power(base: float, exponent: float) -> float:
    if abs(exponent) > _LARGEST_POWER:
        raise ValueError("too large a power")
    value = base**exponent
    if isinstance(value, complex):
        raise ValueError("a root of a negative number")
    return float(value)


FUNCTIONS: Mapping[str, tuple[int, Callable[..., float]]] = {
    "sqrt": (1, math.sqrt), "exp": (1, math.exp), "ln": (1, math.log), "abs": (1, abs), "C": (2, _comb),
}  # fmt: skip
"""{name: (number of arguments, function)}. `log` is not among them: its base depends on the field."""

_FRACTION = re.compile(r"\\[dtc]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_ROOT = re.compile(r"(?:\\sqrt|√)\s*(?:\{([^{}]*)\}|\(([^()]*)\)|(\d+(?:\.\d+)?))")
_RAISED = {ord(c): d for c, d in zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-", strict=True)}
_REWRITTEN: Sequence[tuple[str, str]] = (
    (r"<<[^<>]*>>", ""),  # GSM8K's calculator
    (r"\\(?:text|mathrm|mathbf|textbf|operatorname|mbox)\s*\{([^{}]*)\}", r" \1 "),
    (r"\\left(?![a-z])|\\right(?![a-z])|\\[,;:! ]|\\q?quad(?![a-z])|\\displaystyle(?![a-z])|\\[()\[\]]", " "),
    (r"\\times(?![a-z])|\\cdot(?![a-z])|[×·∗⋅]", "*"),
    (r"\\div(?![a-z])|÷", "/"),
    (r"\\approx(?![a-z])|\\simeq(?![a-z])|[≃≅≐]", "≈"),
    (r"\\pm(?![a-z])|\+/-|\+-", "±"),
    (r"\\(?:leq?|geq?|neq?|lt|gt)(?![a-z])", "≠"),
    (r"\\([%#_&])", r"\1"),
    (r"\{,\}", ","),
    (r"\\?\$", ""),
    (r"\^\s*\{([^{}]*)\}", r"^(\1)"),
    (r"(?<=[\d)])\s*\*\*\s*(?=[\d(])", "^"),
    (r"\*\*|__|`", ""),  # Markdown
    (r"[−‒–—]", "-"),
    (r"(?<=\d)\s+percent\b", "%"),
    (r"(?<=[\d)])\s*[xX]\s*(?=[\d(])", "*"),
)
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_TOKEN = re.compile(
    rf"(?P<number>(?:{_NUMBER})(?:[eE][-+]?\d{{1,3}}(?![\w.]))?)"
    r"|(?P<break><=|>=|!=|==|=>|->|[<>≤≥≠→⇒±|~])|(?P<relation>[=≈])|(?P<sign>[-+*/^()!%,])"
    r"|(?P<word>[^\W\d_][\w']*)|(?P<other>\S)"
)


def written(text: str) -> str:
    r"""Return a text with LaTeX, Markdown and Unicode's signs in plain notation, its lines as they were.

    >>> written(r"$\frac{(182-190)^2}{190} \approx 0.34$"), written("3 × 4² = **48**")
    ('(((182-190)^2)/(190)) ≈ 0.34', '3 * 4^2 = 48')
    """
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+", lambda run: "^" + run[0].translate(_RAISED), text)
    for _ in range(8):  # from the innermost braces outward
        again = _FRACTION.sub(r"((\1)/(\2))", re.sub(r"\^\s*\{([^{}]*)\}", r"^(\1)", text))
        again = _ROOT.sub(lambda found: f"sqrt({next(part for part in found.groups() if part is not None)})", again)
        if again == text:
            break
        text = again
    for pattern, plain in _REWRITTEN:
        text = re.sub(pattern, plain, text)
    return text


def tokens(line: str) -> list[Token]:
    """Return the tokens of a line of `written` text."""
    return [
        Token(found.lastgroup, found[0], *found.span())  # type: ignore[arg-type]
        for found in _TOKEN.finditer(line)
    ]


def leaf(text: str) -> Leaf:
    """Return a number as printed: `1,250.5` has one decimal, `2e-3` has three.

    >>> leaf("1,250.5").value, leaf("2e-3").decimals, leaf("50").decimals
    (1250.5, 3, 0)
    """
    digits, _, exponent = text.lower().replace(",", "").partition("e")
    decimals = len(digits.partition(".")[2]) - (int(exponent) if exponent else 0)
    return Leaf(float(digits + (f"e{exponent}" if exponent else "")), decimals, text)


def finite(value: float) -> float:
    """Return the value. `ValueError` where it is infinite or no number."""
    if not math.isfinite(value):
        raise ValueError("no finite value")
    return value


_Node = Callable[[Sequence[float]], float]


class NoExpression(ValueError):
    """The tokens are no expression of numbers."""


def parse(found: Sequence[Token], *, tight_minus: bool = False) -> Expression:
    """Return the expression that all the tokens are. Raises `NoExpression`.

    `tight_minus` reads `-3^2` as (-3)^2, which some mean by it.
    """
    if not found or len(found) > MOST_TOKENS:
        raise NoExpression
    reader = _Reader(found, tight_minus)
    node = reader.sum()
    if reader.at < len(found):
        raise NoExpression
    return Expression(tuple(reader.leaves), node, reader.operations, reader.doubtful, reader.percent)


class _Reader:
    """A recursive-descent reader of the grammar above."""

    def __init__(self, found: Sequence[Token], tight_minus: bool) -> None:
        self._found, self._tight = found, tight_minus
        self.at, self.operations, self._depth = 0, 0, 0
        self.leaves: list[Leaf] = []
        self.doubtful = self.percent = False

    def _next(self) -> str:
        return self._found[self.at].text if self.at < len(self._found) else ""

    def _take(self, text: str) -> None:
        if self._next() != text:
            raise NoExpression
        self.at += 1

    def sum(self) -> _Node:
        """Read a sum."""
        node = self._product()
        whole = not self._ends_in_percent()
        while (sign := self._next()) in ("+", "-"):
            self.at += 1
            node = self._both(sign, node, self._product())
            self.doubtful = self.doubtful or (whole and self._ends_in_percent())  # 400 - 20% is 320 to many
        return node

    def _ends_in_percent(self) -> bool:
        return self.at > 0 and self._found[self.at - 1].text == "%"

    def _product(self) -> _Node:
        node, divided = self._power(), False
        while True:
            sign = self._next()
            before = self._found[self.at - 1].text
            if sign in ("*", "/"):
                self.at += 1
                self.doubtful = self.doubtful or (divided and sign == "/")  # 2 / 1/5
                divided = divided or sign == "/"
            elif sign == "of" and before == "%":
                self.at += 1
                sign = "*"
            elif sign == "(" and before != "%":  # side by side
                self.doubtful = self.doubtful or divided
                sign = "*"
            else:
                return node
            node = self._both(sign, node, self._power())

    def _power(self) -> _Node:
        sign = self._next()
        if sign in ("-", "+"):
            self.at += 1
            if sign == "-" and self._tight and self.at < len(self._found) and self._found[self.at].kind == "number":
                return self._raised(_negative(self._postfix()))
            inner = self._power()
            return _negative(inner) if sign == "-" else inner
        return self._raised(self._postfix())

    def _raised(self, base: _Node) -> _Node:
        if self._next() != "^":
            return base
        self.at += 1
        return self._both("^", base, self._power())

    def _postfix(self) -> _Node:
        node = self._primary()
        while (sign := self._next()) in ("%", "!"):
            self.at += 1
            if sign == "%":
                self.percent = True
                node = _percent(node)
            else:
                self.operations += 1
                node = _applied(_factorial, (node,))
        return node

    def _primary(self) -> _Node:
        if self.at >= len(self._found):
            raise NoExpression
        token = self._found[self.at]
        if token.kind == "number":
            self.at += 1
            self.leaves.append(leaf(token.text))
            return _leaf(len(self.leaves) - 1)
        if token.text == "(":
            return self._bracketed()
        if token.text in FUNCTIONS:
            count, function = FUNCTIONS[token.text]
            self.at += 1
            self._take("(")
            arguments = [self.sum()]
            while len(arguments) < count:
                self._take(",")
                arguments.append(self.sum())
            self._take(")")
            self.operations += 1
            return _applied(function, arguments)
        raise NoExpression

    def _bracketed(self) -> _Node:
        self._depth += 1
        if self._depth > 20:
            raise NoExpression
        self._take("(")
        node = self.sum()
        self._take(")")
        self._depth -= 1
        return node

    def _both(self, sign: str, left: _Node, right: _Node) -> _Node:
        self.operations += 1
        return _applied(_OPERATIONS[sign], (left, right))


_OPERATIONS: Mapping[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b, "^": _power,
}  # fmt: skip


def _applied(function: Callable[..., float], arguments: Sequence[_Node]) -> _Node:
    return lambda values: function(*(argument(values) for argument in arguments))


def _negative(node: _Node) -> _Node:
    return lambda values: -node(values)


def _percent(node: _Node) -> _Node:
    return lambda values: node(values) / 100.0


def _leaf(index: int) -> _Node:
    return lambda values: values[index]
