"""The value of a parsed expression in floating point.

SymPy's own evaluation works to a precision, and computes as many digits as that takes: tan(exp(exp(9))) takes hours.
In floats each operation takes the same time, and what is too large raises `OverflowError`.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Mapping
from typing import Any

_FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    "exp": cmath.exp, "log": cmath.log, "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "asin": cmath.asin,
    "acos": cmath.acos, "atan": cmath.atan, "Abs": abs, "UnevaluatedExpr": lambda value: value,
}  # fmt: skip


def value_of(expression: Any, values: Mapping[str, float]) -> complex:
    """Return the value of a SymPy expression where the variables named in `values` take those values.

    Raises `ValueError` for an operation that is not known here or a variable that has no value, and `OverflowError` or
    `ZeroDivisionError` where there is no finite value.

    >>> import sympy
    >>> value_of(sympy.sympify("sqrt(x) / 2 + factorial(3)"), {"x": 9.0})
    (7.5+0j)
    """
    if expression.is_Symbol:
        return complex(values[str(expression)]) if str(expression) in values else _unknown(expression)
    if expression.is_Number or expression.is_NumberSymbol:
        return complex(float(expression))
    arguments = [value_of(argument, values) for argument in expression.args]
    name = type(expression).__name__
    if expression.is_Add:
        return sum(arguments, 0j)
    if expression.is_Mul:
        return math.prod(arguments, start=1 + 0j)
    if expression.is_Pow:
        base, power = arguments
        return math.pow(base.real, power.real) + 0j if _real_power(base, power) else base**power
    if name == "factorial" and arguments[0].imag == 0:
        return complex(math.gamma(arguments[0].real + 1))
    if name == "binomial" and all(a.imag == 0 and a.real == int(a.real) and 0 <= a.real <= 1000 for a in arguments):
        return complex(math.comb(*(int(a.real) for a in arguments)))
    if name == "log" and len(arguments) == 2:
        return cmath.log(arguments[0]) / cmath.log(arguments[1])
    if name in _FUNCTIONS and len(arguments) == 1:
        return complex(_FUNCTIONS[name](arguments[0]))
    return _unknown(expression)


def _real_power(base: complex, power: complex) -> bool:
    """Return true where a power of real numbers is real, and more exact than through complex logarithms."""
    return base.imag == power.imag == 0 and (base.real > 0 or (base.real != 0 and power.real == int(power.real)))


def _unknown(expression: Any) -> complex:
    raise ValueError(f"no value for {type(expression).__name__}")
