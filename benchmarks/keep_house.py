"""How long `status`, `gc --dry-run` and `rm --dry-run` take in a workspace of many entries, however large the weights.

The workspace is made up: a fifth of the entries are adapters of `--megabytes` (files with a hole, so that they cost no
disk), the rest scores with `--items` items each; every four adapters are the chain of one run, and a tenth of the runs
has lost its record. Commands run in a process of their own; the least of `--rounds` counts, and `processor` is user and
system time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from common import report
from startup import timed

from statllama.store import Store
from statllama.store.canonical import digest

COMMANDS = (("status",), ("gc", "--dry-run"), ("rm", "run1", "--dry-run"))
CHAIN = 4
BASE = {"model": {"repo": "some/model", "commit": "a" * 40}}


def publish(store: Store, kind: Any, key: str, size: int, manifest: dict[str, Any]) -> None:
    """Put an entry with one file of that many bytes in its place, without hashing it."""
    folder = store.root / kind / key
    folder.mkdir(parents=True)
    with (folder / "data").open("wb") as file:
        file.truncate(size)
    listed = {"data": {"sha256": "0" * 64, "bytes": size}}
    (folder / "manifest.json").write_text(json.dumps({**manifest, "schema": 1, "key": key, "files": listed}))


def fill(store: Store, entries: int, megabytes: int, items: int) -> None:
    """Make up the workspace."""
    adapters = [digest(f"adapter {i}") for i in range(entries // 5)]
    for i, key in enumerate(adapters):
        metrics = {"metrics": {"steps": 100, "loss": 1.0}, "created": "2026-11-30T12:00:00+00:00"}
        publish(store, "results", key, megabytes << 20, {"name": f"s{i % CHAIN}", "recipe": "r", **metrics})
    for i in range(entries - len(adapters)):
        chain = adapters[i % len(adapters) // CHAIN * CHAIN : i % len(adapters) + 1]
        score = {"task": f"t{i}", "items": [i % 2] * items, "n": items}
        protocol = {"base": BASE, "stack": chain, "task": i}
        publish(store, "scores", digest(protocol), 100 * items, {"kind": "score", "protocol": protocol, "score": score})
    for i in range(0, len(adapters), CHAIN):
        chain = adapters[i : i + CHAIN]
        stages = {f"s{j}": {"key": key, "below": chain[:j], "material": {"base": BASE}} for j, key in enumerate(chain)}
        if i // CHAIN % 10:
            store.write_run(f"run{i // CHAIN}", {"order": list(stages), "stages": stages, "identity": BASE})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1000)
    parser.add_argument("--megabytes", type=int, default=100, help="bytes of an adapter, in MiB")
    parser.add_argument("--items", type=int, default=1000, help="items of a score")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", action="store_true", help="write results/keep_house.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fill(Store(Path(folder)), args.entries, args.megabytes, args.items)
        seconds = {}
        for command in COMMANDS:
            runs = [timed("-m", "statllama", *command, "--workspace", folder) for _ in range(args.rounds)]
            wall, processor = (min(times) for times in zip(*runs, strict=True))
            seconds[" ".join(command)] = {"wall": wall, "processor": processor}
    report("keep_house", {"entries": args.entries, "seconds": seconds}, args.save)


if __name__ == "__main__":
    main()
