r"""Mathematics in answers: LaTeX and plain expressions become numbers, or are compared as expressions, by math-verify.

math-verify bounds its work with an alarm signal, which exists in a process's main thread alone and makes a result
depend on the load of the machine. Here the *text* is bounded instead: `admitted` lets through only expressions whose
evaluation is short by their form (no towers of powers, no unbounded factorials, sums or integrals), and `value_of`
evaluates them in floats. So it works in any thread, and gives the same on every machine.
"""

from __future__ import annotations

import cmath
import math
import re
import threading
from functools import cache, lru_cache
from typing import Any

from statllama.errors import TrainingError
from statllama.rewards.bounds import MOST_CHARACTERS, admitted, variables
from statllama.rewards.evaluate import value_of
from statllama.store.noise import hush

_MOST_FOR_VERIFY = 60  # characters of a set, tuple or interval
_TRANSCENDENTAL = r"\\(?:exp|ln|log|arc|sin|cos|tan)|e\s*\^"  # of a large number these take any time to evaluate
_SAME = 1e-11  # relative, of values at points
# Nothing is special about these numbers but that no formula has them.
_POINTS = tuple(tuple(0.4 + (row + 2) * 0.6180339887 * (place + 1) % 2.3 for place in range(8)) for row in range(3))

_one_at_a_time = threading.Lock()  # its parser keeps caches that are not made for threads


def is_mathematics(text: str) -> bool:
    """Return True when a text looks like an expression: it has LaTeX, a power or a root, or numbers with operators
    alone.

    >>> is_mathematics(r"\\frac{\\sqrt{3}}{2}"), is_mathematics("2*(3+4)"), is_mathematics("the mean")
    (True, True, False)
    """
    if len(text) > MOST_CHARACTERS or re.search(r"[A-Za-z]{4,}(?:\s+[A-Za-z]{2,}){2,}", text):
        return False
    if re.search(r"\\[a-zA-Z{]|\^|√|π|\bsqrt\b|\bpi\b|^\d+!$", text):
        return True
    return bool(re.fullmatch(r"[\d\s.()+*/=a-z-]*", text) and re.search(r"[a-z\d)]\s*[-+*/=]\s*[a-z\d(]", text)
                and not re.search(r"[a-z]{2}", text))  # fmt: skip


@lru_cache(maxsize=4096)  # the completions of one prompt share its reference, and often an answer
def number_of(text: str) -> float | None:
    r"""Return the finite real number that an expression without variables is, or None.

    >>> number_of(r"\sqrt{2} \cdot 3"), number_of("10^{10^{10}}")
    (4.242640687119286, None)
    """
    expression = to_latex(text)
    if not admitted(expression) or variables(expression):
        return None
    parsed = _parsed(expression)
    try:
        value = value_of(parsed[0], {}) if parsed else complex("nan")
    except Exception:  # whatever SymPy says of a text that no one proofread, it is no number
        return None
    return value.real if math.isfinite(value.real) and abs(value.imag) < 1e-12 else None


def equivalent(reply: str, reference: str, rtol: float = 1e-2) -> bool:
    r"""Return True when two expressions in the same variables are equal.

    Formulas are compared by their values at fixed points, which costs the same whatever they are, within `rtol` when
    one has a decimal (it may be rounded) and exactly otherwise. Equations and inequalities with the same left side are
    compared by their right sides, others by whether the differences of their sides stay in one proportion (a positive
    one for inequalities in the same direction). Sets, tuples and intervals are math-verify's, while they are short.

    >>> equivalent("x^2 + 2x + 1", "(x + 1)^2"), equivalent("x + 1", "x + 2"), equivalent("y = 2x", "2x - y = 0")
    (True, False, True)
    """
    one, other = to_latex(reply), to_latex(reference)
    if not (admitted(one) and admitted(other)) or variables(one) != variables(other):
        return False
    got, wanted = _parsed(one)[:1], _parsed(other)[:1]
    if not got or not wanted:
        return False
    allowed = max(rtol, _SAME) if re.search(r"\d\.\d|\D\.\d", one + other) else _SAME
    simple = max(len(one), len(other)) <= _MOST_FOR_VERIFY and not re.search(_TRANSCENDENTAL, one + other)
    try:
        with _one_at_a_time:
            return _equal(got[0], wanted[0], allowed, simple)
    except Exception:  # as above: an expression that cannot be compared is not equal
        return False


def _equal(got: Any, wanted: Any, rtol: float, simple: bool) -> bool:
    """Return whether two parsed expressions are equal; math-verify judges `simple` ones that are no formulas or
    relations.
    """
    import sympy

    relation = sympy.core.relational.Relational
    if isinstance(got, relation) and isinstance(wanted, relation):
        if type(got) is type(wanted) and got.lhs == wanted.lhs:
            return _equal(got.rhs, wanted.rhs, rtol, simple)
        return _same_relation(got, wanted)
    if isinstance(got, sympy.Expr) and isinstance(wanted, sympy.Expr):
        pairs = zip(*_values(got, wanted), strict=True)
        return all(abs(a - b) <= rtol * abs(b) or abs(a - b) < _SAME for a, b in pairs)
    return simple and bool(_math_verify().verify(wanted, got, timeout_seconds=None))


def _same_relation(got: Any, wanted: Any) -> bool:
    """Return whether two (in)equations say the same, by the proportion of the differences of their sides."""
    same, turned = type(got) is type(wanted), type(got) is type(wanted.reversed)
    if not (same or turned):
        return False
    ratios = [a / b for a, b in zip(*_values(got.lhs - got.rhs, wanted.lhs - wanted.rhs), strict=True)]
    if any(abs(ratio - ratios[0]) > _SAME * abs(ratios[0]) for ratio in ratios) or abs(ratios[0]) < _SAME:
        return False
    return (same and turned) or (ratios[0].real > 0) == same  # an equation is its own reverse


def _values(*expressions: Any) -> list[list[complex]]:
    """Return the values of each where their variables, in alphabetical order, take the numbers of each row of
    `_POINTS`.

    Raises `ValueError` when their variables differ or a value is not finite.
    """
    names = [{str(symbol) for symbol in expression.free_symbols} for expression in expressions]
    if any(own != names[0] for own in names) or len(names[0]) > len(_POINTS[0]):
        raise ValueError("other variables")
    rows = [dict(zip(sorted(names[0]), point, strict=False)) for point in _POINTS]
    values = [[value_of(expression, row) for row in rows] for expression in expressions]
    if not all(cmath.isfinite(value) for row in values for value in row):
        raise ValueError("no finite value")
    return values


def to_latex(text: str) -> str:
    r"""Return an expression with what stands around the LaTeX taken off, and plain roots and powers in LaTeX's way.

    >>> to_latex("$2*sqrt(3)$.")
    '2\\cdot \\sqrt{3}'
    """
    text = re.sub(r"^[\s.,;:]+|[\s.,;:]+$", "", text.replace("−", "-").replace("×", r"\times ").replace("π", r"\pi "))
    text = re.sub(r"\\[()\[\]]|\$|\\(?:left|right)(?![a-z])|\\[,;:! ]|\\displaystyle(?![a-z])", " ", text)
    text = re.sub(r"(?:√|\bsqrt)\s*\(([^()]*)\)", r"\\sqrt{\1}", text)
    text = re.sub(r"√\s*(\d+)", r"\\sqrt{\1}", text)
    text = re.sub(r"(?<![\\a-z])(pi|ln|log|exp)\b", r"\\\1 ", text).replace("**", "^").replace("*", r"\cdot ")
    return re.sub(r"\^\s*\((-?\d+(?:/\d+)?|[a-z])\)", r"^{\1}", text).strip()


@lru_cache(maxsize=4096)
def _parsed(expression: str) -> tuple[Any, ...]:
    """Return the SymPy objects that math-verify reads in an expression; none when it cannot read it."""
    library = _math_verify()
    try:
        with _one_at_a_time:
            return tuple(_parse(library, expression))
    except Exception:  # as above
        return ()


def _parse(library: Any, expression: str) -> list[Any]:
    extraction = [library.LatexExtractionConfig()]
    return list(
        library.parse(
            f"${expression}$", extraction_config=extraction, fallback_mode="no_fallback", parsing_timeout=None
        )
    )


@cache
def _math_verify() -> Any:
    """Return math-verify, shown to work: later, whatever it raises counts as the expression's fault."""
    import math_verify

    hush()
    try:
        if complex(_parse(math_verify, r"\frac{1}{4}")[0]) == 0.25:
            return math_verify
        reason = "it reads 1/4 otherwise"
    except Exception as error:  # another version may fail in any way
        reason = f"{type(error).__name__}: {error}"
    raise TrainingError(f"math-verify cannot read LaTeX: {reason}", remedy="pip install 'math-verify==0.9.0'")
