"""How often a score is called above chance, or meaningless, by simulation with the real implementation.

A model answers items with four choices. Items come one by one, or in clusters of 4 whose shares of right answers differ
(beta distribution, intra-cluster correlation 0.25). Above chance: how often a score is, at 5 %, by the test that minds
clusters and by the binomial test alone. Meaningless: how often a score is called less than 5 points above chance, or
below it. True shares: 25 % (chance), 30 % (at the margin: to be called meaningless in 5 % of samples at most) and 40 %.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np
from common import report

from statllama.evaluation.meaning import LEVEL, NEAR, p_above, p_below

CHANCE, CORRELATION = 0.25, 0.25
Draw = np.random.Generator
Items = tuple[list[float], list[str] | None]


def items(draw: Draw, n: int, size: int, true: float) -> Items:
    """Return 0/1 scores that are 1 in a share of `true`, and their clusters of `size` items; None for one."""
    if size == 1:
        return (draw.random(n) < true).astype(float).tolist(), None
    spread = (1 - CORRELATION) / CORRELATION
    clusters = np.arange(n) // size
    shares = draw.beta(true * spread, (1 - true) * spread, clusters[-1] + 1)[clusters]
    return (draw.random(n) < shares).astype(float).tolist(), [str(one) for one in clusters]


def share(values: list[bool]) -> str:
    """Return a share with its Monte-Carlo standard error, in percent."""
    p = sum(values) / len(values)
    return f"{100 * p:.1f} ± {100 * math.sqrt(p * (1 - p) / len(values)):.1f}"


def figures(draw: Draw, n: int, size: int, true: float, samples: int) -> dict[str, Any]:
    """Return the figures of one setting."""
    drawn = [items(draw, n, size, true) for _ in range(samples)]
    above = [p_above(scores, CHANCE, clusters=clusters) < LEVEL for scores, clusters in drawn]
    alone = [p_above(scores, CHANCE) < LEVEL for scores, _ in drawn]
    # what is below chance is less than 5 points above it too
    near = [p_below(scores, CHANCE + NEAR, clusters=clusters) < LEVEL for scores, clusters in drawn]
    return {
        "above_chance_percent": share(above),
        "above_chance_by_the_binomial_test_alone_percent": share(alone),
        "meaningless_percent": share([called and not shown for called, shown in zip(near, above, strict=True)]),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--items", type=int, nargs="+", default=[20, 60, 216, 662])
    parser.add_argument("--save", action="store_true", help="write results/chance_tests.json")
    args = parser.parse_args()
    draw = np.random.default_rng(2026)
    found = {
        f"{n} items, clusters of {size}, {100 * true:g} % right": figures(draw, n, size, true, args.samples)
        for n in args.items
        for size in (1, 4)
        for true in (CHANCE, CHANCE + NEAR, 0.4)
    }
    report("chance_tests", {"settings": vars(args), **found}, args.save)


if __name__ == "__main__":
    main()
