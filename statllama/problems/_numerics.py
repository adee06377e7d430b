"""Distribution functions on the standard library alone, so that problems need no scipy.

Sources: the continued fraction of the regularised incomplete beta function is DLMF 8.17.22, the series and
the continued fraction of the regularised incomplete gamma function are DLMF 8.11.4 and 8.9.2, both evaluated
by the modified Lentz method. The tests hold every function to scipy within 1e-10.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

_TINY = 1e-300
_EPSILON = 1e-16
_TERMS = 10_000


def normal_cdf(z: float) -> float:
    """Return P(Z <= z) for a standard normal Z; accurate in both tails because it uses erfc."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def normal_quantile(p: float) -> float:
    """Return the z with P(Z <= z) = p, for 0 < p < 1; `ValueError` otherwise."""
    if not 0.0 < p < 1.0:
        raise ValueError(f"a quantile needs 0 < p < 1, got {p}")
    return NormalDist().inv_cdf(p)


def _lentz(first: float, terms: Callable[[int], tuple[float, float]]) -> float:
    """Return the continued fraction first + a1/(b1 + a2/(b2 + ...)), where terms(k) gives (a_k, b_k)."""
    value = first if first != 0.0 else _TINY
    c, d = value, 0.0
    for k in range(1, _TERMS):
        a, b = terms(k)
        d = b + a * d
        d = 1.0 / (d if d != 0.0 else _TINY)
        c = b + a / c
        c = c if c != 0.0 else _TINY
        value *= c * d
        if abs(c * d - 1.0) < _EPSILON * 4:
            return value
    raise ArithmeticError("the continued fraction did not converge")


def beta_regularized(a: float, b: float, x: float) -> float:
    """Return I_x(a, b), the regularised incomplete beta function, for a > 0, b > 0 and 0 <= x <= 1."""
    if a <= 0.0 or b <= 0.0 or not 0.0 <= x <= 1.0:
        raise ValueError(f"needs a > 0, b > 0 and 0 <= x <= 1, got {a}, {b}, {x}")
    if x in (0.0, 1.0):
        return x
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - beta_regularized(b, a, 1.0 - x)

    def terms(k: int) -> tuple[float, float]:
        if k == 1:
            return 1.0, 1.0
        m, odd = divmod(k - 1, 2)
        if odd:
            return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)), 1.0
        return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), 1.0

    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / a * _lentz(0.0, terms)


def gamma_upper_regularized(a: float, x: float) -> float:
    """Return Q(a, x), the regularised upper incomplete gamma function, for a > 0 and x >= 0."""
    if a <= 0.0 or x < 0.0:
        raise ValueError(f"needs a > 0 and x >= 0, got {a}, {x}")
    if x == 0.0:
        return 1.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1.0:
        term = total = 1.0 / a
        for k in range(1, _TERMS):
            term *= x / (a + k)
            total += term
            if term < total * _EPSILON:
                break
        return 1.0 - front * total

    def terms(k: int) -> tuple[float, float]:
        if k == 1:
            return 1.0, x + 1.0 - a
        return -(k - 1) * (k - 1 - a), x + 2.0 * k - 1.0 - a

    return front * _lentz(0.0, terms)


def t_upper_tail(t: float, df: float) -> float:
    """Return P(T >= t) for Student's t with `df` > 0 degrees of freedom."""
    square = t * t
    if square < df:  # near the center df / (df + t^2) would lose the digits of t
        half = 0.5 * (1.0 - beta_regularized(0.5, df / 2.0, square / (df + square)))
    else:
        half = 0.5 * beta_regularized(df / 2.0, 0.5, df / (df + square))
    return half if t >= 0.0 else 1.0 - half


@lru_cache(maxsize=4096)
def t_quantile(p: float, df: float) -> float:
    """Return the t with P(T <= t) = p; `ValueError` unless 0 < p < 1.

    Newton's method on the upper tail, which is convex and decreasing for t > 0. The normal quantile lies to
    the left of the root, so the steps rise to it without overshooting.
    """
    if not 0.0 < p < 1.0:
        raise ValueError(f"a quantile needs 0 < p < 1, got {p}")
    if p <= 0.5:
        return -t_quantile(1.0 - p, df) if p < 0.5 else 0.0
    log_peak = math.lgamma((df + 1.0) / 2.0) - math.lgamma(df / 2.0) - 0.5 * math.log(df * math.pi)
    t = normal_quantile(p)
    for _ in range(200):
        density = math.exp(log_peak - (df + 1.0) / 2.0 * math.log1p(t * t / df))
        step = (t_upper_tail(t, df) - (1.0 - p)) / density
        t += step
        if abs(step) <= 1e-14 * t:
            break
    return t


def chi_square_upper_tail(x: float, df: float) -> float:
    """Return P(X >= x) for a chi-square variable with `df` > 0 degrees of freedom and x >= 0."""
    return gamma_upper_regularized(df / 2.0, x / 2.0)


def binomial_pmf(k: int, n: int, p: float) -> float:
    """Return P(X = k) for X ~ Binomial(n, p); 0 outside 0..n."""
    if not 0 <= k <= n:
        return 0.0
    return math.comb(n, k) * p**k * (1.0 - p) ** (n - k)
