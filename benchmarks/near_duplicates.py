"""Finding near duplicates among more and more rows: is the time close to linear?

Rows of 80 words are drawn from a Zipf-like vocabulary; one in ten is an earlier row with one word changed (Jaccard
similarity of 0.88 or more, where the threshold is 0.8). For each
number of rows: seconds to add the rows and to find the repeats, and the share of the changed copies that was found.
The growth is the exponent k of time ~ rows^k between consecutive sizes: 1 is linear.

    python benchmarks/near_duplicates.py [--rows 10000 100000 1000000] [--save]
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import report

WORDS, VOCABULARY = 80, 20_000


def texts(count: int) -> tuple[list[str], set[int]]:
    """The rows, and which of them are changed copies."""
    draw = np.random.default_rng(0)
    words = draw.zipf(1.3, size=(count, WORDS)) % VOCABULARY
    chosen = draw.random(count) < 0.1
    chosen[0] = False
    copies, own = np.flatnonzero(chosen), np.flatnonzero(~chosen)
    before = np.searchsorted(own, copies)  # how many rows of their own come before each copy
    words[copies] = words[own[(draw.random(len(copies)) * before).astype(np.int64)]]
    words[copies, draw.integers(0, WORDS, len(copies))] = VOCABULARY
    spelled = ["".join(chr(97 + i // 26**k % 26) for k in range(4)) for i in range(VOCABULARY + 1)]
    return [" ".join(spelled[i] for i in row) for row in words.tolist()], set(copies.tolist())


def child(count: int) -> None:
    """One size in this process."""
    from statllama.data.duplicates import Duplicates

    rows, copies = texts(count)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with Duplicates("near", Path(folder)) as duplicates:
            for row in rows:
                duplicates.add(row)
        added = time.perf_counter()
        found = {duplicate.row for duplicate in duplicates.find()}
        ended = time.perf_counter()
    figures = {
        "rows": count,
        "seconds": ended - began,
        "seconds_finding": ended - added,
        "copies_found": len(copies & found) / len(copies),
        "others_found": len(found - copies),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(figures))


def main() -> None:
    """Measure each size in a process of its own and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    sizes = []
    for count in options.rows:
        command = [sys.executable, __file__, "--child", str(count)]
        sizes.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))
    growth = [
        math.log(b["seconds"] / a["seconds"]) / math.log(b["rows"] / a["rows"]) for a, b in itertools.pairwise(sizes)
    ]
    report("near_duplicates", {"sizes": sizes, "growth": growth}, options.save)


if __name__ == "__main__":
    main()
