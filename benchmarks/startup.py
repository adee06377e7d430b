"""How fast a command answers that needs no model, as a ratio to the interpreter's own start.

`statllama --help` loads Typer, rich and the commands; `show quickstart` reads and resolves a recipe as well; `Tab` is
what a shell runs to complete a key of `--set` on a line with a recipe. Each is timed in turn with `python -c pass`,
from the start of the process to its end. The least of `--rounds` counts: other work on the machine only adds to it.
`processor` is the same ratio of user and system time.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from common import report

COMMANDS = ("--help", "plan --help", "show quickstart")
TAB = "import sys; sys.argv[:] = ['statllama']; from statllama.cli import main; main()"
ASKED = {  # by bash, of a line whose last word is being typed
    "COMP_WORDS": "statllama run quickstart --set stages.sft.train.",
    "COMP_CWORD": "4",
    "_STATLLAMA_COMPLETE": "complete_bash",
}
QUIET = ((os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0))


def timed(*arguments: str) -> tuple[float, float]:
    """Run the interpreter on `arguments`; (wall, processor) seconds. SystemExit when it fails."""
    began = time.perf_counter()
    pid = os.posix_spawn(sys.executable, [sys.executable, *arguments], {**os.environ, **ASKED}, file_actions=QUIET)
    _, status, used = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"python {' '.join(arguments)} failed")
    return wall, used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="times that each command is started")
    parser.add_argument("--save", action="store_true", help="write results/startup.json")
    args = parser.parse_args()

    starts = {"bare": ("-c", "pass"), **{c: ("-m", "statllama", *c.split()) for c in COMMANDS}, "Tab": ("-c", TAB)}
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in starts}
    for _ in range(args.rounds):
        for name, arguments in starts.items():
            runs[name].append(timed(*arguments))
    least = {name: [min(values) for values in zip(*times, strict=True)] for name, times in runs.items()}
    bare = least["bare"]
    result = {
        "rounds": args.rounds,
        "bare start, seconds": bare[0],
        **{
            f"statllama {name}": {"starts": least[name][0] / bare[0], "processor": least[name][1] / bare[1]}
            for name in (*COMMANDS, "Tab")
        },
    }
    report("startup", result, args.save)


if __name__ == "__main__":
    main()
