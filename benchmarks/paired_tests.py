"""Levels, coverage and power of the paired tests, and the answers of gates, by simulation with the real implementation.

Two models answer the same items; a share of them changes (discordance), in clusters that lean their own way. False
alarms: how often a change is called at 5 % where there is none. Coverage: how often the 95 % interval holds a true
change of 4 points, or of what the discordance has room for. Power: how often that change is called, beside what
`smallest_change` says can be found in 80 % of samples. Gates with a budget of 2 points: their answers at true losses of
0, 2 and 6 points, beside the chance of `held` that `plan` says. Graded scores: false alarms of differences with rare
large gains, at n = 50. Families: 14 changes judged together, 7 of them of 14 points: how often all intervals hold, and
the share found, beside Holm's procedure.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from typing import Any

import numpy as np
from common import report

from statllama.evaluation import paired
from statllama.evaluation.paired import judge_budget, paired_change
from statllama.evaluation.power import Design, smallest_change

Draw = np.random.Generator
Items = tuple[list[int], list[int], list[int]]


def items(draw: Draw, n: int, size: int, discordance: float, lean: float, change: float) -> Items:
    """Return 0/1 scores before and after, and clusters of `size` items; `lean`: how far a cluster leans either way."""
    clusters = np.arange(n) // size
    tilt = draw.choice([-lean, lean], clusters[-1] + 1)[clusters]
    gain = np.clip((discordance + change / 100) / 2 + discordance / 2 * tilt, 0, discordance)
    draws = draw.random(n)
    up, down = draws < gain, (draws >= gain) & (draws < discordance)
    return (~up).astype(int).tolist(), (~down).astype(int).tolist(), clusters.tolist()


def share(values: list[bool]) -> str:
    """Return a share with its Monte-Carlo standard error, in percent."""
    p = sum(values) / len(values)
    return f"{100 * p:.1f} ± {100 * math.sqrt(p * (1 - p) / len(values)):.1f}"


def binary(draw: Draw, n: int, size: int, discordance: float, samples: int) -> dict[str, Any]:
    """Return the figures of one setting."""
    lean = 0.0 if size == 1 else 0.6
    true = min(4.0, 100 * discordance * (1 - lean))  # more would have clusters gain above their discordance
    null = [items(draw, n, size, discordance, lean, 0.0) for _ in range(samples)]
    real = [items(draw, n, size, discordance, lean, true) for _ in range(samples)]
    of_null = [paired_change(*one) for one in null]
    of_real = [paired_change(*one) for one in real]
    alone = [paired_change(before, after) for before, after, _ in null]
    return {
        "false_alarms_percent": share([c.p < 0.05 for c in of_null]),
        "false_alarms_without_clusters_percent": share([c.p < 0.05 for c in alone]),
        "coverage_percent": share([c.low <= true <= c.high for c in of_real]),
        f"power_at_{true:g}_points_percent": share([c.p < 0.05 for c in of_real]),
        "smallest_change_points": round(smallest_change(n, discordance), 1),
        "effective_items": round(float(np.median([c.effective for c in of_null]))),
    }


def gates(draw: Draw, n: int, samples: int) -> dict[str, dict[str, float]]:
    """Return the shares of the answers at each true loss, budget 2 points, a tenth of the items changed."""
    found: dict[str, dict[str, float]] = {}
    for loss in (0.0, 2.0, 6.0):
        drawn = (items(draw, n, 1, 0.1, 0.0, -loss) for _ in range(samples))
        said = Counter(judge_budget(before, after, -2.0).answer for before, after, _ in drawn)
        found[f"loss of {loss:g} points"] = {answer: round(count / samples, 3) for answer, count in said.items()}
    found["foreseen at no loss"] = {"held": round(Design(n, n, 0.5, 0.1, 1.0, "measured").held(-2.0), 3)}
    return found


def families(draw: Draw, samples: int, n: int = 216, tests: int = 14, real: int = 7) -> dict[str, str]:
    """Return the chance that all intervals of a family hold, and of a real change to be found."""
    held, ours, holms = [], [], []
    for _ in range(samples):
        true = [14.0] * real + [0.0] * (tests - real)
        drawn = [items(draw, n, 1, 0.3, 0.0, change) for change in true]
        changes = [paired_change(before, after, tests=tests) for before, after, _ in drawn]
        held.append(all(c.low <= t <= c.high for c, t in zip(changes, true, strict=True)))
        ours += [c.p_adjusted < 0.05 for c in changes[:real]]
        holms += holm([c.p for c in changes])[:real]
    return {"all_hold_percent": share(held), "found_percent": share(ours), "found_by_holm_percent": share(holms)}


def holm(ps: list[float], level: float = 0.05) -> list[bool]:
    """Return which of these Holm's procedure finds (1979, Scandinavian Journal of Statistics 6, 65-70)."""
    found = [False] * len(ps)
    for rank, i in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        if (len(ps) - rank) * ps[i] >= level:
            break
        found[i] = True
    return found


def graded(draw: Draw, rare: float, samples: int, n: int = 50) -> str:
    """Return the false alarms of differences that are rarely large gains and else small losses, mean 0."""
    called = []
    for _ in range(samples):
        deltas = np.where(draw.random(n) < rare, 1 - rare, -rare)
        before = np.where(deltas > 0, 0.0, rare)
        called.append(paired_change(before.tolist(), (before + deltas).tolist()).p < 0.05)
    return share(called)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--items", type=int, nargs="+", default=[50, 216, 656, 1319])
    parser.add_argument("--save", action="store_true", help="write results/paired_tests.json")
    args = parser.parse_args()
    paired.DRAWS = 999  # as valid with fewer random signs, and quicker
    draw = np.random.default_rng(2026)
    figures: dict[str, Any] = {}
    for n in args.items:
        for size in (1, 4):
            for discordance in (0.02, 0.1, 0.3):
                name = f"{n} items, clusters of {size}, {100 * discordance:g} % change"
                figures[name] = binary(draw, n, size, discordance, args.samples)
        figures[f"gates, {n} items"] = gates(draw, n, args.samples)
    for rare in (0.02, 0.05, 0.1):
        figures[f"graded, 50 items, {100 * rare:g} % gain much"] = graded(draw, rare, args.samples)
    figures["families"] = families(draw, args.samples)
    report("paired_tests", {"settings": vars(args), **figures}, args.save)


if __name__ == "__main__":
    main()
