"""How many items of ap_statistics a keyword classifier gets right that can read but not calculate.

It learns from generated problems of the train split and sees words, masked numbers and how the options' numbers rank
(`tests/problems/shortcuts.py` says what exactly). Measured on the benchmark, on fresh problems of the test split, kind
by kind, and on fresh problems in wordings that it has learned from. Rules of thumb such as "99% asked: the widest
interval" stand beside it. Chance is 25 percent.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from common import report

from statllama.evaluation.clusters import clustered_error, sums_of
from statllama.problems import kinds, make_problem, rows, to_multiple_choice, topics

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from tests.problems.shortcuts import RULES, Array, Row, hits, learn, thumb  # noqa: E402

SEED = 77


def percent(right: Array, items: list[Row]) -> str:
    """Return the share right with its standard error over kinds, in percent."""
    values = [float(x) for x in right]
    error = clustered_error(values, sums_of(values, [item["kind"] for item in items]))
    return f"{100 * np.mean(values):.1f} ± {100 * (error or 0):.1f}"


def of_kind(topic: str, kind: str, count: int) -> list[Row]:
    """Return fresh problems of the test split, of one kind."""
    return [to_multiple_choice(make_problem(topic, kind, 10_000 + i, "test"), seed=i) for i in range(count)]


def measured(train: list[Row], test: list[Row], fresh: int, per_kind: int, words: bool) -> dict[str, Any]:
    """Return the figures of one classifier; with `words` it sees the options' words, else only their looks."""
    weights = learn(train, words)
    drawn = [list(rows("mc", fresh, seed=1000 * seed, split="test")) for seed in (1, 2, 3)]
    known = list(rows("mc", fresh, seed=4242))
    each = {
        kind: float(hits(weights, of_kind(topic, kind, per_kind), words).mean())
        for topic in topics()
        for kind in kinds(topic)
    }
    high = sorted((kind for kind in each if each[kind] > 0.4), key=lambda kind: -each[kind])
    return {
        "benchmark": percent(hits(weights, test, words), test),
        "fresh_test_problems": [percent(hits(weights, items, words), items) for items in drawn],
        "wordings_learned_from": percent(hits(weights, known, words), known),
        "kinds_above_40": {kind: round(100 * each[kind], 1) for kind in high},
        "mean_of_kinds": round(100 * float(np.mean(list(each.values()))), 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=6000, help="problems to learn from")
    parser.add_argument("--fresh", type=int, default=1500, help="problems in each fresh draw")
    parser.add_argument("--per-kind", type=int, default=200, help="fresh problems of each kind")
    parser.add_argument("--save", action="store_true", help="write results/shortcuts.json")
    args = parser.parse_args()
    train = list(rows("mc", args.train, seed=SEED))
    lines = (REPO / "eval" / "ap_statistics" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    test = [json.loads(line) for line in lines]
    figures: dict[str, Any] = {
        name: measured(train, test, args.fresh, args.per_kind, words)
        for name, words in (("looks", False), ("looks_and_words", True))
    }
    drawn = [item for seed in (1, 2, 3) for item in rows("mc", args.fresh, seed=1000 * seed, split="test")]
    said = {rule: thumb(rule, drawn) for rule in RULES}
    figures["rules_on_fresh_test_problems"] = {
        rule: f"{100 * sum(points) / len(points):.1f} % of {len(points)}" for rule, points in said.items() if points
    }
    report("shortcuts", {"settings": vars(args), **figures}, args.save)


if __name__ == "__main__":
    main()
