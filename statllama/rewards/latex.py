r"""Mathematics in answers: LaTeX and plain expressions become numbers, or are compared as expressions, by math-verify.

math-verify bounds its work with an alarm signal, which exists in a process's main thread alone and makes a result
depend on the load of the machine. Here the *text* is bounded instead: `admitted` lets through only expressions whose
evaluation is short by their form (no towers of powers, no unbounded factorials, sums or integrals). So it works in
any thread, and gives the same on every machine.
"""

from __future__ import annotations

import logging
import math
import re
import threading
from typing import Any

MOST_CHARACTERS = 160
_MOST_DEPTH = 8
_MOST_POWER = 400  # product of all exponents of a number
_MOST_SYMBOLIC_POWER = 12  # the same where there are variables: expanding costs more
_MOST_SYMBOLIC_FUNCTIONS = 3

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
    r"-?\d{1,2}\.\d{1,6}|(?:[-+*a-zA-Z{}\s]|\d{1,3}|\\(?:[dt]?frac|cdot|pi|mu|sigma|lambda|theta|alpha|beta))*"
)
_CONSTANTS = re.compile(r"\\[a-zA-Z]+|(?<![a-zA-Z])[ei](?![a-zA-Z])|\bR\b")
_one_at_a_time = threading.Lock()  # its parser keeps caches that are not made for threads


def is_mathematics(text: str) -> bool:
    """True when a text looks like an expression: it has LaTeX, a power or a root, or numbers with operators alone.

    >>> is_mathematics(r"\\frac{\\sqrt{3}}{2}"), is_mathematics("2*(3+4)"), is_mathematics("the mean")
    (True, True, False)
    """
    if len(text) > MOST_CHARACTERS or re.search(r"[A-Za-z]{4,}(?:\s+[A-Za-z]{2,}){2,}", text):
        return False
    if re.search(r"\\[a-zA-Z{]|\^|√|π|\bsqrt\b|\bpi\b", text):
        return True
    return bool(re.fullmatch(r"[\d\s.()+*/=a-z-]*", text) and re.search(r"[a-z\d)]\s*[-+*/=]\s*[a-z\d(]", text)
                and not re.search(r"[a-z]{2}", text))  # fmt: skip


def number_of(text: str) -> float | None:
    r"""The finite real number that an expression without variables is, or None.

    >>> number_of(r"\sqrt{2} \cdot 3"), number_of("10^{10^{10}}")
    (4.242640687119285, None)
    """
    expression = to_latex(text)
    if not admitted(expression) or _variables(expression):
        return None
    parsed = _parsed(expression)
    try:
        value = complex(parsed[0].evalf(20)) if parsed else complex("nan")
    except Exception:  # whatever SymPy says of a text that no one proofread, it is no number
        return None
    return value.real if math.isfinite(value.real) and abs(value.imag) < 1e-12 else None


def equivalent(reply: str, reference: str) -> bool:
    """True when two expressions in the same variables are equal by math-verify: algebra, sets, tuples, intervals.

    >>> equivalent("x^2 + 2x + 1", "(x + 1)^2"), equivalent("x + 1", "x + 2")
    (True, False)
    """
    one, other = to_latex(reply), to_latex(reference)
    if not (admitted(one) and admitted(other)) or _variables(one) != _variables(other):
        return False
    wanted, got = _parsed(other), _parsed(one)
    if not wanted or not got:
        return False
    import math_verify

    try:
        with _one_at_a_time:
            return bool(math_verify.verify(wanted, got, timeout_seconds=None))
    except Exception:  # as above: an expression that cannot be compared is not equal
        return False


def to_latex(text: str) -> str:
    r"""An expression with what stands around the LaTeX taken off, and plain roots and powers in LaTeX's way.

    >>> to_latex("$2*sqrt(3)$.")
    '2\\cdot \\sqrt{3}'
    """
    text = re.sub(r"^[\s.,;:]+|[\s.,;:]+$", "", text.replace("−", "-").replace("×", r"\times ").replace("π", r"\pi "))
    text = re.sub(r"\\[()\[\]]|\$|\\(?:left|right)(?![a-z])|\\[,;:! ]|\\displaystyle(?![a-z])", " ", text)
    text = re.sub(r"(?:√|\bsqrt)\s*\(([^()]*)\)", r"\\sqrt{\1}", text)
    text = re.sub(r"√\s*(\d+)", r"\\sqrt{\1}", text)
    text = re.sub(r"(?<![\\a-z])(pi|ln|log|exp)\b", r"\\\1 ", text).replace("**", "^").replace("*", r"\cdot ")
    return re.sub(r"\^\s*\((-?\d+(?:/\d+)?|[a-z])\)", r"^{\1}", text).strip()


def admitted(expression: str) -> bool:
    """True when an expression is short to evaluate by its form, whoever wrote it.

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
    functions = sum(name in _FUNCTIONS for name in commands)
    if powers is None or commands.count("exp") > 1:  # exp of exp is a tower too
        return False
    if not _variables(expression):
        return powers <= _MOST_POWER
    relation = re.search(r"[=<>]|\\(?:[lg]eq?|[lg]t|neq?)(?![a-z])", expression)
    most = 3 if relation else _MOST_SYMBOLIC_POWER
    return powers <= most and functions <= (0 if relation else _MOST_SYMBOLIC_FUNCTIONS)


def _shallow(expression: str) -> bool:
    depth = deepest = 0
    for character in expression:
        depth += (character in "({[") - (character in ")}]")
        deepest = max(deepest, depth)
    return deepest <= _MOST_DEPTH


def _small_factorials(expression: str) -> bool:
    """Factorials and binomials of written numbers up to 170 alone."""
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
    """The product of all numbers above 1 in exponents; None when an exponent is more than a short product."""
    product = 1
    for found in _EXPONENT.finditer(expression):
        inner = found[1] if found[1] is not None else found[2]
        if inner is None or found[3] or not _IN_EXPONENT.fullmatch(inner.strip()):
            return None  # 2^3^4 may be read as 2^(3^4)
        inner = re.sub(r"(?<=\d)[\s{}]+(?=\d)", "", inner)
        for number in re.findall(r"\d+", inner.partition(".")[0]):
            product *= max(1, int(number))
    return product


def _variables(expression: str) -> frozenset[str]:
    """The letters of an expression that stand for unknowns."""
    greek = set(re.findall(r"\\([a-z]+)", expression)) & _GREEK
    return frozenset(re.findall(r"[a-zA-Z]", _CONSTANTS.sub(" ", expression))) | greek


def _parsed(expression: str) -> list[Any]:
    import math_verify

    logging.getLogger("math_verify.parser").setLevel(logging.ERROR)  # it warns that there is no alarm
    logging.getLogger("math_verify.grader").setLevel(logging.ERROR)
    try:
        with _one_at_a_time:
            return list(
                math_verify.parse(
                    f"${expression}$",
                    extraction_config=[math_verify.LatexExtractionConfig()],
                    fallback_mode="no_fallback",
                    parsing_timeout=None,
                )
            )
    except Exception:  # as above
        return []
