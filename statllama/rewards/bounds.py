"""Bounds on expressions: which are short to evaluate, by their text alone."""

from __future__ import annotations

import re

MOST_CHARACTERS = 160
_MOST_DEPTH = 6
_MOST_POWER = 400  # product of all exponents
_MOST_IN_A_SET = 12  # the same in sets, tuples and intervals: comparing their elements may expand them

_FUNCTIONS = frozenset({
    "sqrt", "ln", "log", "exp", "sin", "cos", "tan", "arcsin", "arccos", "arctan",
})  # fmt: skip
_GREEK = frozenset({
    "alpha", "beta", "gamma", "delta", "epsilon", "lambda", "mu", "nu", "rho", "sigma", "tau", "theta", "phi", "chi",
    "omega",
})  # fmt: skip
_SIGNS = frozenset({
    "frac", "dfrac", "tfrac", "cdot", "times", "div", "pi", "pm", "infty", "cup", "cap", "in", "emptyset", "varnothing",
    "mathbb", "binom", "le", "leq", "ge", "geq", "lt", "gt", "ne", "neq", "bar", "hat", "text", "mathrm",
})  # fmt: skip
_COMMANDS = _FUNCTIONS | _GREEK | _SIGNS
_COMMAND = re.compile(r"\\([a-zA-Z]+|.)")
_EXPONENT = re.compile(r"\^\s*(?:\{([^{}^]*(?:\{[^{}^]*\}[^{}^]*)*)\}|([0-9]+|[a-zA-Z]|\\pi)|)(\s*\^)?")
_IN_EXPONENT = re.compile(
    r"-?\d{1,2}\.\d{1,6}|(?:[-+*\w{}\s]|\\(?:[dt]?frac|cdot|pi|mu|sigma|lambda|theta|alpha|beta))*"
)
_CONSTANTS = re.compile(r"\\[a-zA-Z]+|(?<![a-zA-Z])e(?![a-zA-Z])|\bR\b")


def admitted(expression: str) -> bool:
    """Return True when an expression is short to evaluate by its form, whoever wrote it.

    >>> admitted(r"\\frac{2^{10}}{3}"), admitted("9^{9^{9}}"), admitted("(((9^{99})^{99})^{99})"), admitted("99!!")
    (True, False, False, False)
    """
    if (
        not 0 < len(expression) <= MOST_CHARACTERS
        or not expression.isascii()
        or re.search(r"\d{16}|[;~@`]", expression)
    ):
        return False
    commands = _COMMAND.findall(expression)
    if any(name not in _COMMANDS and name not in "{}%" for name in commands):
        return False
    if not _shallow(expression) or not _small_factorials(expression):
        return False
    powers = _exponents(expression)
    if powers is None or commands.count("exp") > 1:  # exp of exp is a tower too
        return False
    collection = re.search(r"\\\{|,|\\c[ua]p|\\in(?![a-z])", expression)
    return powers <= (_MOST_IN_A_SET if collection else _MOST_POWER)


def _shallow(expression: str) -> bool:
    depth = deepest = 0
    for character in expression:
        depth += (character in "({[") - (character in ")}]")
        deepest = max(deepest, depth)
    return deepest <= _MOST_DEPTH


def _small_factorials(expression: str) -> bool:
    """Return the factorials and binomials of written numbers up to 170 alone."""
    for found in re.finditer("!", expression):
        before = re.search(r"(?<![\d.])(\d{1,3})\s*$", expression[: found.start()])
        if (
            not before
            or int(before[1]) > 170
            or expression[: before.start()].rstrip(" -").endswith("^")
            or expression[found.end() :].lstrip().startswith("!")
        ):
            return False
    pairs = re.findall(r"\\binom\s*(?:\{\s*(\d{1,3}|[a-z])\s*\}\s*\{\s*(\d{1,3}|[a-z])\s*\})?", expression)
    return all(top and bottom for top, bottom in pairs)


def _exponents(expression: str) -> int | None:
    """Return the product of all numbers above 1 in exponents; None when an exponent is more than a short product."""
    product = 1
    for found in _EXPONENT.finditer(expression):
        inner = found[1] if found[1] is not None else found[2]
        if inner is None or found[3] or not _IN_EXPONENT.fullmatch(inner.strip()):
            return None  # 2^3^4 may be read as 2^(3^4)
        inner = re.sub(r"(?<=\d)[\s{}]+(?=\d)", "", inner)
        for number in re.findall(r"\d+", inner.partition(".")[0]):
            product *= max(1, int(number))
    return product


def variables(expression: str) -> frozenset[str]:
    r"""Return the letters of an expression that stand for unknowns.

    >>> sorted(variables(r"\mu + 2x - e^{y}"))
    ['mu', 'x', 'y']
    """
    greek = set(re.findall(r"\\([a-z]+)", expression)) & _GREEK
    return frozenset(re.findall(r"[a-zA-Z]", _CONSTANTS.sub(" ", expression))) | greek
