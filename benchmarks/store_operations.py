"""What one work of a cluster's worker asks of the workspace: calls to its file system, files and bytes published.

    python benchmarks/store_operations.py [--steps 6] [--save]

A worker's own code (`perform`) trains, scores and measures the quickstart's first two stages, few steps each, with one
checkpoint, in a process under strace; the calls on paths in the workspace are counted by the work that made them. On a
network file system each is a request to its server, but for those that its cache answers. Needs strace.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import report

CALLS = {
    "openat": "open",
    "newfstatat": "look",
    "stat": "look",
    "lstat": "look",
    "statx": "look",
    "access": "look",
    "rename": "rename",
    "renameat": "rename",
    "renameat2": "rename",
    "mkdir": "make or delete",
    "unlink": "make or delete",
    "unlinkat": "make or delete",
    "rmdir": "make or delete",
    "fsync": "fsync",
    "flock": "lock",
    "getdents64": "list",
}
"""{system call: what it is counted as}; an open that may create a file counts as `create`."""
MARK = "/work-begins/"
PAGE = 1000  # objects of one answer to a request that lists a bucket


def child(workspace: Path, steps: int) -> None:
    """Do the works, and mark in the trace where each begins."""
    from statllama.recipe import load_recipe
    from statllama.runs.cluster.agenda import Course
    from statllama.runs.cluster.perform import Desk, perform
    from statllama.runs.plan import plan
    from statllama.runs.reporting import Reporter
    from statllama.runs.runner import prepared_course
    from statllama.runs.session import Session
    from statllama.runs.signals import StopSignal
    from statllama.store import Store

    settings = [
        f"defaults.train.steps={steps}",
        f"defaults.train.checkpoint_every={steps // 2 + 1}",
        "evaluate.limit=20",
    ]
    recipe = load_recipe("quickstart", settings).down_to("sft")
    store = Store(workspace)

    def mark(what: str) -> None:
        os.path.exists(MARK + what)

    with StopSignal() as stop:
        for what in ("plan, first", "plan"):  # the first one tokenises the data and hashes the base
            mark(what)
            planned = plan(recipe, store, contents=True)
            session = Session(recipe, store, Reporter(), stop, base=planned[0].material["base"])
            course: Course = prepared_course(recipe.name, session, planned)
        desk = Desk(workspace)
        for work, _ in course.lacks:
            mark(f"{work.kind} {work.name} {work.task}")
            perform(work, desk, Reporter(), stop)
            mark(f"take {work.kind} {work.name}")
            assert course.holds(work)
        mark("end")


def counted(trace: str, workspace: str) -> dict[str, Counter[str]]:
    """{mark: {what: calls}} of strace's output."""
    found: dict[str, Counter[str]] = {}
    now: Counter[str] = Counter()
    for line in trace.splitlines():
        call = re.search(r"^(?:\d+ +)?(?:\d+:\d+:\d+\S* )?(\w+)\((.*)", line)
        if call is None or call[1] not in CALLS:
            continue
        if begins := re.search(re.escape(MARK) + r'([^"]*)"', call[2]):
            now = found.setdefault(begins[1], Counter())
        elif workspace in call[2]:
            creates = call[1] == "openat" and "O_CREAT" in call[2]
            now["create" if creates else CALLS[call[1]]] += 1
    return found


def traced(workspace: Path, steps: int) -> dict[str, Counter[str]]:
    """Run the works under strace."""
    if shutil.which("strace") is None:
        raise SystemExit("this needs strace: apt-get install strace")
    log = workspace.parent / "trace"
    watched = ["-f", "-y", "--seccomp-bpf", "-s", "4096", "-e", f"trace={','.join(CALLS)}", "-o", str(log)]
    this = [sys.executable, __file__, "--steps", str(steps), "--child", str(workspace)]
    subprocess.run(["strace", *watched, *this], check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    return counted(log.read_text(encoding="utf-8", errors="replace"), str(workspace))


def means(found: Mapping[str, Counter[str]]) -> dict[str, dict[str, float]]:
    """{kind of work: {what: calls of one in the mean}}. The first of each kind is left out where there are others: it
    loads the base.
    """
    kinds: dict[str, list[Counter[str]]] = {}
    for name, counts in found.items():
        kinds.setdefault(name if name.startswith("plan") else name.partition(" ")[0], []).append(counts)
    kinds.pop("end", None)
    made = {}
    for kind, all_ in kinds.items():
        rest = all_[1:] or all_
        made[kind] = {
            what: round(sum(c[what] for c in rest) / len(rest), 1) for what in sorted({w for c in rest for w in c})
        }
    return made


def published(workspace: Path) -> dict[str, dict[str, float]]:
    """{kind of work: files and bytes of its entry; requests to an object store that a push and a fetch of it take}.

    By `store/mirror.py`: a push writes every file and then the manifest, an object each; a fetch reads the manifest,
    then every file. Files above the size of a part (50 MiB by default) take a request for each part and two more.
    """
    from statllama.store import Store

    sizes: dict[str, list[tuple[int, int]]] = {}
    for folder in ("results", "scores"):
        for entry in Store(workspace).entries(folder):  # type: ignore[arg-type]
            kind = "train" if folder == "results" else "score" if entry.manifest["kind"] == "score" else "measure"
            files = [path.stat().st_size for path in entry.path.rglob("*") if path.is_file()]
            sizes.setdefault(kind, []).append((len(files), sum(files)))
    return {
        kind: {
            "files": round(sum(n for n, _ in found) / len(found), 1),
            "bytes": round(sum(size for _, size in found) / len(found)),
            "mirror, requests to push": round(sum(n for n, _ in found) / len(found), 1),
            "mirror, requests to fetch": round(sum(n for n, _ in found) / len(found), 1),
        }
        for kind, found in sizes.items()
    }


def main() -> None:
    """Count, print, and save where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6, help="steps of each stage")
    parser.add_argument("--save", action="store_true", help="write results/store_operations.json")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child is not None:
        child(asked.child, asked.steps)
        return
    with tempfile.TemporaryDirectory() as place:
        workspace = Path(place).resolve() / "workspace"
        found = traced(workspace, asked.steps)
        works: dict[str, dict[str, Any]] = means(found)
        for kind, entry in published(workspace).items():
            works[kind] |= entry
    report("store_operations", {"steps": asked.steps, "works": works}, asked.save)


if __name__ == "__main__":
    main()
