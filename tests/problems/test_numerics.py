"""The numerics against scipy, within 1e-10; against mpmath where scipy itself is less exact (t near its center)."""

from __future__ import annotations

import math

import mpmath
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import special, stats

from statllama.problems import _numerics as numerics

shape = st.floats(0.3, 300.0)
df = st.integers(1, 500)


def close(got: float, wanted: float) -> bool:
    return math.isclose(got, wanted, rel_tol=1e-10, abs_tol=1e-13)


@given(z=st.floats(-12, 12))
def test_normal_cdf(z: float) -> None:
    assert close(numerics.normal_cdf(z), float(stats.norm.cdf(z)))


@given(p=st.floats(1e-12, 1 - 1e-12))
def test_normal_quantile(p: float) -> None:
    assert math.isclose(numerics.normal_quantile(p), float(stats.norm.ppf(p)), rel_tol=1e-10, abs_tol=1e-10)


@settings(max_examples=300)
@given(a=shape, b=shape, x=st.floats(0, 1))
def test_beta(a: float, b: float, x: float) -> None:
    assert math.isclose(numerics.beta_regularized(a, b, x), float(special.betainc(a, b, x)), rel_tol=0.0, abs_tol=1e-10)


@settings(max_examples=300)
@given(a=shape, x=st.floats(0, 900))
def test_gamma(a: float, x: float) -> None:
    assert math.isclose(
        numerics.gamma_upper_regularized(a, x), float(special.gammaincc(a, x)), rel_tol=0.0, abs_tol=1e-10
    )


def t_tail(t: float, k: int) -> float:
    """P(T >= t) in 40 digits. scipy 1.17 is off by 1.5e-9 at t = 1e-8 with one degree of freedom."""
    with mpmath.workdps(40):
        t_, k_ = mpmath.mpf(t), mpmath.mpf(k)
        half = mpmath.betainc(k_ / 2, 0.5, 0, k_ / (k_ + t_ * t_), regularized=True) / 2
        return float(half if t >= 0 else 1 - half)


@given(t=st.floats(-40, 40), k=df)
@example(t=1e-8, k=1)
def test_t_tail(t: float, k: int) -> None:
    assert math.isclose(numerics.t_upper_tail(t, k), t_tail(t, k), rel_tol=0.0, abs_tol=1e-10)


@given(p=st.floats(0.001, 0.999), k=df)
def test_t_quantile(p: float, k: int) -> None:
    assert math.isclose(t_tail(numerics.t_quantile(p, k), k), 1.0 - p, rel_tol=0.0, abs_tol=1e-12)


@pytest.mark.parametrize("k", [1, 2, 5, 30, 400])
@pytest.mark.parametrize("p", [0.005, 0.1, 0.5, 0.9, 0.975])
def test_t_quantile_as_in_tables(p: float, k: int) -> None:
    assert math.isclose(numerics.t_quantile(p, k), float(stats.t(k).ppf(p)), rel_tol=1e-10, abs_tol=1e-10)


@given(x=st.floats(0, 700), k=df)
def test_chi_square(x: float, k: int) -> None:
    assert math.isclose(numerics.chi_square_upper_tail(x, k), float(stats.chi2(k).sf(x)), rel_tol=0.0, abs_tol=1e-10)


@given(n=st.integers(1, 60), p=st.floats(1e-9, 1), data=st.data())
def test_binomial(n: int, p: float, data: st.DataObject) -> None:
    k = data.draw(st.integers(-1, n + 1))
    assert close(numerics.binomial_pmf(k, n, p), float(stats.binom(n, p).pmf(k)))


@given(t=st.floats(0, 30), k=df)
def test_tails_are_symmetric(t: float, k: int) -> None:
    assert close(numerics.t_upper_tail(t, k) + numerics.t_upper_tail(-t, k), 1.0)


@pytest.mark.parametrize("p", [0.0, 1.0, -1.0, 2.0])
def test_refuses_impossible_probabilities(p: float) -> None:
    with pytest.raises(ValueError, match="0 < p < 1"):
        numerics.normal_quantile(p)
    with pytest.raises(ValueError, match="0 < p < 1"):
        numerics.t_quantile(p, 5)


def test_refuses_impossible_shapes() -> None:
    with pytest.raises(ValueError):
        numerics.beta_regularized(0.0, 1.0, 0.5)
    with pytest.raises(ValueError):
        numerics.gamma_upper_regularized(1.0, -1.0)
