"""Guarding a stage's rows against copies of held-out ones: what it costs, and what it finds.

Conversations of 180 words from a Zipf-like vocabulary; one in ten is another one with its prompt changed and one word
of its answer (Jaccard similarity of 0.88 or more, where the threshold is 0.8). Of the rows, 5 % are held out. Usable
rows are chosen without a hold-out, with one (its rows chosen and read before, as a workspace keeps them), and with
`deduplicate: near`. Rows a second are of the fastest round; `choosing` is the first reading, once for a source.

    python benchmarks/held_out.py [--rows 20000] [--rounds 3] [--save]
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from common import report

from statllama.config.holdout import Held, bare
from statllama.config.source import SourceSpec
from statllama.data.held_index import HeldOut
from statllama.data.prepare import settled
from statllama.data.select import Guard, select
from statllama.data.selection import COPIES_HELD

WORDS, PROMPT, VOCABULARY, SHARE = 180, 40, 20_000, 0.05


def write_rows(path: Path, count: int) -> list[int]:
    """Write the rows; returns of each which it is a changed copy of, or -1."""
    draw = np.random.default_rng(0)
    words = draw.zipf(1.3, size=(count, WORDS)) % VOCABULARY
    of = np.where(draw.random(count) < 0.1, draw.integers(0, count, count), -1)
    of[of >= 0] = np.where(of[of[of >= 0]] < 0, of[of >= 0], -1)  # of rows that are no copies themselves
    copies = np.flatnonzero(of >= 0)
    words[copies] = words[of[copies]]
    words[copies, 0] = VOCABULARY
    words[copies, draw.integers(PROMPT, WORDS, len(copies))] = VOCABULARY
    spelled = ["".join(chr(97 + i // 26**k % 26) for k in range(4)) for i in range(VOCABULARY + 1)]
    with path.open("w", encoding="utf-8") as file:
        for row in words.tolist():
            said = [spelled[i] for i in row]
            question, answer = " ".join(said[:PROMPT]), " ".join(said[PROMPT:])
            file.write(json.dumps({"question": question, "answer": answer}) + "\n")
    return [int(i) for i in of]


def main() -> None:
    """Measure in this process and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        of = write_rows(root / "rows.jsonl", options.rows)
        sources = settled([SourceSpec(path="rows.jsonl")], root, None)
        held = HeldOut([Held("sft", bare(sources[0]), SHARE, None)], root, None)
        began = time.perf_counter()
        (rows,) = held.read()
        choosing = time.perf_counter() - began
        guards = {"without": Guard(), "held_out": Guard(held=held, stage="sft"), "near": Guard("near")}
        seconds: dict[str, list[float]] = {way: [] for way in guards}
        for turn in range(options.rounds):
            for way, guard in guards.items():
                began = time.perf_counter()
                found = select(sources, root, guard=guard, scratch=root / f"{way}{turn}").sources[0]
                seconds[way].append(time.perf_counter() - began)
                if way == "held_out":
                    left, copies = set(found.kept.tolist()), found.dropped.get(COPIES_HELD, 0)
    gone = set(rows.rows.tolist())
    # A copy is one of the row that it was made of, and of the other copies of that.
    family = {i: of[i] if of[i] >= 0 else i for i in range(options.rows)}
    taken = {family[i] for i in gone}
    copied = {i for i in range(options.rows) if family[i] in taken} - gone
    figures = {
        "rows": options.rows,
        "held_out": len(gone),
        "rows_a_second": {way: options.rows / min(taken_) for way, taken_ in seconds.items()},
        "choosing_seconds": choosing,
        "microseconds_a_row": 1e6 * (min(seconds["held_out"]) - min(seconds["without"])) / options.rows,
        "copies": len(copied),
        "copies_left_out": len(copied - left) / max(1, len(copied)),
        "others_left_out": copies - len(copied - left),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    report("held_out", figures, options.save)


if __name__ == "__main__":
    main()
