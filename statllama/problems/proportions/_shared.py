"""What several modules of this topic use: samples, the sentences that tell of them, and critical values."""

from __future__ import annotations

import math

from .._draw import Draw
from .._numerics import normal_cdf, normal_quantile
from .._settings import Share
from .._settings_proportions import Contrast
from .._wording import wordings

# fmt: off

CRITICAL = {level: normal_quantile(0.5 + level / 200) for level in (90, 95, 99)}
"""z* by confidence level in percent."""

ALPHAS = ((0.01, 0.05), (0.05, 0.10), (0.01, 0.10))
"""Pairs of significance levels, for kinds in which the level is one of the choices."""

_ONE_SAMPLE = wordings("""
    train: In a random sample of {n} {s.who}, {x} {s.does}.
    train: Of {n} {s.many} chosen at random from all {s.who}, {x} {s.does}.
    train: A researcher selects {n} {s.who} at random and finds that {x} of them {s.does}.
    train: A random sample of {s.who} has size {n}; {x} of the {s.many} in it {s.does}.
    test: What proportion of {s.who} {s.does}? In a simple random sample of size {n} there are {x} {s.rel} do.
    test: {s.who!c} are surveyed by simple random sampling, and {x} of the {n} {s.many} selected {s.does}.
    test: The data come from a simple random sample, taken from {s.who}: {x} {s.does}, and the other {rest} do not.
""")

_TWO_SAMPLES = wordings("""
    train: In independent random samples, {x1} of {n1} {c.a} and {x2} of {n2} {c.b} {c.does}.
    train: A random sample of {n1} {c.a} includes {x1} {c.rel} {c.does}; an independent random sample of {n2} {c.b}
        includes {x2}.
    train: Of {n1} {c.a} selected at random, {x1} {c.does}. Of {n2} {c.b}, selected at random and independently of the
        first sample, {x2} {c.does}.
    train: To compare {c.a} with {c.b}, a researcher takes an independent random sample of each. In the samples, {x1} of
        {n1} {c.a} and {x2} of {n2} {c.b} {c.does}.
    test: Is the proportion {c.rel} {c.does} the same for {c.a} and {c.b}? Simple random samples, drawn separately, show
        {x1} out of {n1} among {c.a} and {x2} out of {n2} among {c.b}.
    test: A survey draws two separate random samples. Of the {n1} {c.a} surveyed, {x1} {c.does}; of the {n2} {c.b}, {x2}
        do.
    test: The numbers {c.rel} {c.does} are {x1} of {n1} sampled {c.a} and {x2} of {n2} sampled {c.b}. Both samples are
        random and independent of each other.
""")


def sample(draw: Draw, p: tuple[float, float], low: int, high: int) -> tuple[int, int]:
    """Return a sample size from `low` to `high` and a count of successes, with at least ten of each sort."""
    n = draw.integer(low, high)
    x = round(n * draw.decimal(*p, 3))
    draw.need(x >= 10 and n - x >= 10)
    return n, x


def one_sample(draw: Draw, s: Share, n: int, x: int) -> str:
    """Return the sentence that tells of a random sample of n with x successes."""
    return draw.ask(_ONE_SAMPLE, s=s, n=n, x=x, rest=n - x)


def two_samples(draw: Draw, c: Contrast, n1: int, x1: int, n2: int, x2: int) -> str:
    """Return the sentences that tell of two independent random samples."""
    return draw.ask(_TWO_SAMPLES, c=c, n1=n1, x1=x1, n2=n2, x2=x2)


def negated(does: str) -> str:
    """Return the negation of what several do: "are not late", "do not own a dog"."""
    return does.replace("are ", "are not ", 1) if does.startswith("are ") else f"do not {does}"


def other_alpha(alphas: tuple[float, float]) -> tuple[str, str]:
    """Return the slips of a choice between two significance levels."""
    low, high = alphas
    return (
        f"used the significance level {high:.2f} instead of {low:.2f}",
        f"used the significance level {low:.2f} instead of {high:.2f}",
    )


def power(null: float, true: float, n: int, alpha: float) -> float:
    """Return the power of the one-sided z test whose alternative lies on the side of the true value."""
    way = 1 if true > null else -1
    cut = null + way * normal_quantile(1 - alpha) * math.sqrt(null * (1 - null) / n)
    return normal_cdf(way * (true - cut) / math.sqrt(true * (1 - true) / n))
