"""How long an uncontended lock of the workspace takes: hold and release of one entry, with the publishing of a small
entry inside, and a lease of the workspace.

In a folder of a real disk (`--folder`), since syncing costs most. The median of `--rounds` counts, in microseconds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import report

from statllama.store import Store
from statllama.store.canonical import digest
from statllama.store.leases import working


def microseconds(action: Callable[[int], None], rounds: int) -> float:
    """Return the median time of an action."""
    times = []
    for number in range(rounds):
        began = time.perf_counter()
        action(number)
        times.append(1e6 * (time.perf_counter() - began))
    return round(statistics.median(times))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the workspace is made up; default: the temporary folder")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--save", action="store_true", help="write results/hold.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        store = Store(Path(folder))

        def hold(number: int) -> None:
            with store.hold("results", digest("one")):
                pass

        def publish(number: int) -> None:
            with store.hold("scores", digest(number)):
                store.fresh_out("scores", digest(number))
                store.publish("scores", digest(number), {"kind": "score"})

        def lease(number: int) -> None:
            with working(store):
                pass

        found = {action.__name__: microseconds(action, args.rounds) for action in (hold, publish, lease)}
    report("hold", {"rounds": args.rounds, "microseconds": found}, args.save)


if __name__ == "__main__":
    main()
