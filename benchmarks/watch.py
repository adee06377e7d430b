"""What a run's page costs: the training time of a stage while it is watched, over that without, in turns.

Three ways to run the same stage, each in a process and a workspace of its own: `statllama.run` in Python, which shows
nothing; `statllama run`, which prints and writes its state into the workspace; and `statllama run --watch`, whose page
another process draws at a low priority. The time is the stage's own, from its manifest; the least of `--rounds` counts,
since other work on the machine only adds to it. With as many threads as cores, drawing takes from training; `--threads`
leaves a core, as a run on a GPU does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import report

from statllama.store import Store

FEW = "evaluate.limit=20"  # scores are on the page too, but are not what is timed
API = f"import sys, statllama; statllama.run(sys.argv[1], sys.argv[2], overrides='{FEW}', until=sys.argv[3])"


def seconds_of(way: str, recipe: str, stage: str, threads: int) -> float:
    """Training time of the stage, run in this way. SystemExit when the run fails."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder) / "w"
        command = ["-m", "statllama", "run", recipe, "--until", stage, "--set", FEW, "--workspace", str(workspace)]
        ways = {
            "python": ["-c", API, recipe, str(workspace), stage],
            "run": command,
            "watch": [*command, "--page", str(Path(folder) / "page.html")],
        }
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        done = subprocess.run([sys.executable, *ways[way]], env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{way} failed: {done.stderr.strip()}")
        found = [entry.manifest for entry in Store(workspace).entries("results")]
        return float(next(m["metrics"]["seconds"] for m in found if m["name"] == stage))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="quickstart", help="recipe whose stage is trained")
    parser.add_argument("--stage", default="cpt", help="its first stage, so that nothing else is trained")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of training")
    parser.add_argument("--rounds", type=int, default=3, help="times that each way is run")
    parser.add_argument("--save", action="store_true", help="write results/watch.json")
    args = parser.parse_args()

    times: dict[str, list[float]] = {"python": [], "run": [], "watch": []}
    for _ in range(args.rounds):
        for way, found in times.items():
            found.append(seconds_of(way, args.recipe, args.stage, args.threads))
            print(f"{way}: {found[-1]:.1f} s", file=sys.stderr)
    least = {way: min(found) for way, found in times.items()}
    result = {
        "rounds": args.rounds,
        "training threads": args.threads,
        "seconds of the stage": least,
        "run over python": least["run"] / least["python"],
        "watch over python": least["watch"] / least["python"],
    }
    report("watch", result, args.save)


if __name__ == "__main__":
    main()
