"""Looking for benchmark questions among more and more rows: what does the search for suspects cost?

The questions are those of ap_statistics. The rows are its generator's own train problems, where nearly every row has
words of some question (the worst case), or those of a file with other text. For each number of rows: seconds to look
for copies alone, and for copies and suspects; their ratio is what the search for suspects costs. The growth is the
exponent k of time ~ rows^k between consecutive sizes: 1 is linear.

    python benchmarks/contamination.py [--rows 10000 100000] [--file ROWS.jsonl] [--save]
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import report

from statllama.config.benchmarks import find_tasks
from statllama.data.contamination import Questions, plain, read_questions
from statllama.data.ngrams import words
from statllama.data.suspects import Resembling
from statllama.problems import rows as problem_rows

EVAL = Path(__file__).parent.parent / "eval"
DISTINCT = 5_000  # generated problems; more rows repeat them
BATCH = 256


def texts_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """All strings of each row."""

    def strings(value: Any) -> list[str]:
        if isinstance(value, str):
            return [value]
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return [text for part in parts for text in strings(part)]

    return ["\n".join(strings(row)) for row in rows]


def measure(texts: Sequence[str], count: int) -> dict[str, Any]:
    """One size: `count` rows, the texts again and again."""
    asked = read_questions(find_tasks(["ap_statistics"], [EVAL]).values())
    questions, resembling = Questions(asked), Resembling(asked)
    copies = suspects = 0.0
    for start in range(0, count, BATCH):
        batch = [(str(i), texts[i % len(texts)]) for i in range(start, min(count, start + BATCH))]
        began = time.perf_counter()
        rows = [(where, plain(text)) for where, text in batch]
        split = [words(text) for _, text in rows]
        questions.search_words(rows, split)
        looked = time.perf_counter()
        resembling.add(rows, split)
        copies, suspects = copies + looked - began, suspects + time.perf_counter() - looked
    return {
        "rows": count,
        "characters_a_row": sum(map(len, texts)) / len(texts),
        "seconds_copies": copies,
        "seconds_both": copies + suspects,
        "ratio": (copies + suspects) / copies,
        "rows_suspected": sum(group.rows for group in resembling.found()),
    }


def main() -> None:
    """Measure each size and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--file", type=Path, help="rows of another text, JSON lines")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    if options.file is None:
        given = list(problem_rows("sft", min(DISTINCT, max(options.rows)), seed=7))
    else:
        given = [json.loads(line) for line in options.file.read_text(encoding="utf-8").splitlines()]
    sizes = [measure(texts_of(given), count) for count in options.rows]
    growth = [
        math.log(b["seconds_both"] / a["seconds_both"]) / math.log(b["rows"] / a["rows"])
        for a, b in itertools.pairwise(sizes)
    ]
    report("contamination", {"sizes": sizes, "growth": growth}, options.save)


if __name__ == "__main__":
    main()
