"""Is the recipe better, or this checkpoint alone? False alarms, coverage and power, by simulation with the real code.

Two recipes are trained under several seeds, and all runs answer the same items. An answer is right when the item's
ease, the recipe's part in it (also by cluster), the run's own luck and the luck of this run with this item add up to
more than 0, all of them normal. The sd between runs is that of a run's true accuracy, in points, about 50 %.

False alarms where the recipes are equal, at 5 %: `recipes`, over runs and items; `checkpoints`, the paired test of the
two first runs, taken for a verdict on the recipes; `two seeds`, the paired test of two runs of one recipe. Coverage and
power of the interval over runs and items at a true difference of 8 points.
"""

from __future__ import annotations

import argparse
import math
from statistics import NormalDist
from typing import Any

import numpy as np
from common import report

from statllama.evaluation import paired
from statllama.evaluation.paired import paired_change
from statllama.evaluation.repeated import recipe_change

TRUE = 8.0  # points
RECIPE, CLUSTER, LUCK = 0.3, 0.2, 0.4  # sds beside an ease of 1: a tenth to a quarter of the items change

Scores = list[list[int]]


def draw(random: np.random.Generator, n: int, size: int, runs: int, sd: float, change: float) -> tuple[Scores, Scores]:
    """Return 0/1 scores of `runs` runs of two recipes whose accuracies differ by `change` points."""
    cluster = np.arange(n) // size
    by_cluster = CLUSTER if size > 1 else 0.0
    spread = math.sqrt(1 + RECIPE**2 + by_cluster**2 + LUCK**2)
    of_run = sd / 100 * spread / NormalDist().pdf(0)
    shift = math.hypot(spread, of_run) * NormalDist().inv_cdf(0.5 + change / 100)
    ease = random.normal(size=n)
    found = []
    for better in (0.0, shift):
        own = ease + RECIPE * random.normal(size=n) + by_cluster * random.normal(size=cluster[-1] + 1)[cluster]
        luck = of_run * random.normal(size=(runs, 1)) + LUCK * random.normal(size=(runs, n))
        found.append((own + luck + better > 0).astype(int).tolist())
    return found[0], found[1]


def share(values: list[bool]) -> str:
    """Return a share with its Monte-Carlo standard error, in percent."""
    p = sum(values) / len(values)
    return f"{100 * p:.1f} ± {100 * math.sqrt(p * (1 - p) / len(values)):.1f}"


def setting(random: np.random.Generator, n: int, size: int, runs: int, sd: float, samples: int) -> dict[str, Any]:
    """Return the figures of one setting."""
    clusters = (np.arange(n) // size).tolist()
    equal = [draw(random, n, size, runs, sd, 0.0) for _ in range(samples)]
    better = [recipe_change(*draw(random, n, size, runs, sd, TRUE), clusters).change for _ in range(samples)]
    return {
        "false_alarms_recipes_percent": share([recipe_change(a, b, clusters).change.p < 0.05 for a, b in equal]),
        "false_alarms_checkpoints_percent": share([paired_change(a[0], b[0], clusters).p < 0.05 for a, b in equal]),
        "false_alarms_two_seeds_percent": share([paired_change(a[0], a[1], clusters).p < 0.05 for a, _ in equal]),
        "coverage_percent": share([c.low <= TRUE <= c.high for c in better]),
        "power_percent": share([c.p < 0.05 for c in better]),
        "median_half_width_points": round(float(np.median([(c.high - c.low) / 2 for c in better])), 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--items", type=int, nargs="+", default=[50, 216, 662, 1319])
    parser.add_argument("--save", action="store_true", help="write results/seeds.json")
    args = parser.parse_args()
    paired.DRAWS = 999  # as valid with fewer random signs, and quicker
    random = np.random.default_rng(2026)
    figures: dict[str, Any] = {}
    for n in args.items:
        for size in (1, 4):
            for runs in (2, 3, 5):
                for sd in (0.0, 1.0, 3.0):
                    name = f"{n} items, clusters of {size}, {runs} runs, sd between runs {sd:g}"
                    figures[name] = setting(random, n, size, runs, sd, args.samples)
    report("seeds", {"settings": vars(args), "true_change_points": TRUE, **figures}, args.save)


if __name__ == "__main__":
    main()
