"""Tokenising and packing a corpus, against the loop that most scripts have.

The loop: read all rows, call the tokenizer on each, cut into pieces of `--length` tokens as Python lists (`input_ids`,
`attention_mask`, `labels`), and save them as JSON. statllama: `prepare` with packing, into the workspace's cache. Each
side runs in a process of its own; peak memory is that process's. The corpus is repeated to `--megabytes`, and for
statllama's memory once more to twice that.

    python benchmarks/data_throughput.py --corpus A.jsonl B.jsonl --tokenizer FOLDER [--save]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import report


def repeat_corpus(files: list[Path], megabytes: int, out: Path) -> int:
    """Write the rows of `files` again and again until `megabytes` are reached; returns the bytes written."""
    rows = [json.dumps({"text": json.loads(line)["text"]}) + "\n" for file in files for line in file.open()]
    written = 0
    with out.open("w", encoding="utf-8") as target:
        while written < megabytes * 1_000_000:
            for row in rows:
                written += target.write(row)
    return written


def loop(corpus: Path, tokenizer: Any, length: int, out: Path) -> int:
    """The plain loop; returns the number of tokens."""
    examples, tokens = [], 0
    for line in corpus.open(encoding="utf-8"):
        ids = [*tokenizer(json.loads(line)["text"], verbose=False)["input_ids"], tokenizer.eos_token_id]
        for start in range(0, len(ids), length):
            piece = ids[start : start + length]
            examples.append({"input_ids": piece, "attention_mask": [1] * len(piece), "labels": list(piece)})
            tokens += len(piece)
    out.mkdir()
    with (out / "data.json").open("w") as file:
        json.dump(examples, file)
    return tokens


def ours(corpus: Path, tokenizer: Any, length: int, out: Path) -> int:
    """statllama's way; returns the number of tokens."""
    from statllama.config.source import SourceSpec
    from statllama.data.prepare import prepare

    source = SourceSpec(path=str(corpus), format="text")
    prepared = prepare(
        "documents", [source], root=corpus.parent, tokenizer=tokenizer, train_on="all", max_length=length,
        packing=True, seed=0, cache=out,
    )  # fmt: skip
    return prepared.report.tokens


def child(side: str, corpus: str, tokenizer: str, length: str, out: str) -> None:
    """One side in this process; prints seconds, tokens and peak memory."""
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(tokenizer)
    began = time.perf_counter()
    tokens = {"loop": loop, "ours": ours}[side](Path(corpus), loaded, int(length), Path(out))
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "tokens": tokens, "peak_bytes": peak}))


def measure(side: str, corpus: Path, options: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--child", side, str(corpus), options.tokenizer, str(options.length), str(out)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, Any] = json.loads(printed.splitlines()[-1])
    figures["disk_bytes"] = sum(p.stat().st_size for p in out.rglob("*") if p.suffix in (".json", ".arrow"))
    figures["megabytes_per_second"] = corpus.stat().st_size / 1e6 / figures["seconds"]
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, nargs="+", required=True, help="JSONL files with a `text` column")
    parser.add_argument("--tokenizer", required=True, help="folder of a tokenizer")
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        once, twice = folder / "once.jsonl", folder / "twice.jsonl"
        repeat_corpus(options.corpus, options.megabytes, once)
        repeat_corpus(options.corpus, 2 * options.megabytes, twice)
        ours_once = measure("ours", once, options, folder / "ours")
        ours_twice = measure("ours", twice, options, folder / "twice")
        plain = measure("loop", once, options, folder / "loop")
    figures = {
        "megabytes": options.megabytes,
        "loop": plain,
        "statllama": ours_once,
        "statllama_twice_the_input": ours_twice,
        "times_faster": plain["seconds"] / ours_once["seconds"],
        "times_smaller_on_disk": plain["disk_bytes"] / ours_once["disk_bytes"],
        "peak_memory_at_twice_the_input": ours_twice["peak_bytes"] / ours_once["peak_bytes"],
    }
    report("data_throughput", figures, options.save)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
