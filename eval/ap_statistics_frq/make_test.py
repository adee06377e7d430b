"""Write test.jsonl: the same bytes every time.

    python eval/ap_statistics_frq/make_test.py [FILE]

One question of each kind of the test split of `statllama.problems`, in parts, with its rubric and an examiner's answer;
none of the kinds whose questions have other answers as right once there are no options. No two items share more than
half of the shorter one's word 5-grams, numbers and names masked.
"""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from statllama.problems import kinds, make_problem, to_free_response, topics

SEED, TRIES = 4053, 400
OPEN = frozenset((
    "conditions_for_slope", "conditions_for_t", "confounding", "design_principles", "sampling_advantage",
    "simulation_trial",
))  # fmt: skip
FIELDS = ("question", "rubric", "answer", "topic", "kind", "difficulty", "held_out", "ap")


def near_copies() -> Any:
    """Return what ap_statistics keeps its own items apart by."""
    spec = importlib.util.spec_from_file_location(
        "ap_statistics_items", Path(__file__).parents[1] / "ap_statistics" / "make_test.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Taken()


def items() -> Iterator[dict[str, Any]]:
    """Yield the items in an order that mixes topics and kinds."""
    taken, found = near_copies(), []
    for topic in topics():
        for kind in (kind for kind in kinds(topic) if kind not in OPEN):
            rows = (to_free_response(make_problem(topic, kind, SEED + turn, "test")) for turn in range(TRIES))
            found.append(next(row for row in rows if taken.take(row["question"])))
    random.Random(SEED).shuffle(found)
    for row in found:
        yield {name: row[name] for name in FIELDS}


def main(out: Path) -> None:
    """Write the items to `out`."""
    out.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items()), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "test.jsonl")
